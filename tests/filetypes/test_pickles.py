"""Tests of the reader of pickles: plain data equal to Python's own reader, all else refused."""

from __future__ import annotations

import builtins
import codecs
import collections
import contextlib
import datetime
import io
import os
import pathlib
import pickle
import subprocess
import sys
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nwb_ophys.cli import main
from nwb_ophys.errors import CorruptSourceError, UnsafePickleError
from nwb_ophys.filetypes.npy import load_npy
from nwb_ophys.filetypes.pickles import load_pickle
from nwb_ophys.formats import Suite2pImagingInterface
from nwb_ophys.registry import get_format
from nwb_ophys.testing import simulate_recording
from nwb_ophys.testing.samples import write_sample

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
    | st.datetimes(timezones=st.none() | st.just(datetime.timezone.utc))
    | st.dates()
    | st.timedeltas()
    | hnp.arrays(
        hnp.scalar_dtypes() | hnp.array_dtypes(max_size=3, allow_subarrays=True),
        hnp.array_shapes(max_dims=3, max_side=4),
    )
    | hnp.scalar_dtypes()
)
PLAIN = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=4)
        | st.sets(st.integers(), max_size=3)
        | st.frozensets(st.text(max_size=2), max_size=3)
    ),
    max_leaves=12,
)


def _load(content: bytes, **options: Any) -> Any:
    return load_pickle(io.BytesIO(content), **options)


def _assert_same(found: Any, expected: Any) -> None:
    if isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        assert found.tobytes() == expected.tobytes()
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, value in expected.items():
            _assert_same(found[key], value)
    elif isinstance(expected, (list, tuple)):
        assert type(found) is type(expected)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            _assert_same(one, other)
    else:
        assert type(found) is type(expected)
        assert found == expected


@given(PLAIN, st.sampled_from(PROTOCOLS))
def test_plain_data_equal_those_of_python(content: Any, protocol: int) -> None:
    text = pickle.dumps(content, protocol)
    _assert_same(_load(text), pickle.loads(text))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "content",
    [
        np.float32(1.5),
        np.datetime64("2024-05-17T14:00", "m"),
        np.array([1, 2], ">i4"),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.array([{"a": np.arange(3)}, None, "text"], object),
        collections.OrderedDict(a=1),
        range(3),
        bytearray(b"abc"),
        {"kinds": [np.dtype("f4"), np.dtype([("a", "i2"), ("b", "f8", (2,))])]},
    ],
    ids=repr,
)
def test_kinds_of_plain_data(content: Any, protocol: int) -> None:
    text = pickle.dumps(content, protocol)
    expected, found = pickle.loads(text), _load(text)
    if isinstance(content, np.ndarray) and content.dtype == object:
        assert found.tolist()[1:] == expected.tolist()[1:]
        assert type(found[0]["a"]) is np.ndarray
    else:
        _assert_same(found, expected)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("path", "text"),
    [
        (pathlib.PureWindowsPath("C:/data/m1"), "C:\\data\\m1"),
        (pathlib.PurePosixPath("/data/m1"), "/data/m1"),
        (pathlib.Path("data") / "m1", str(pathlib.Path("data/m1"))),
    ],
)
def test_paths_are_texts(path: Any, text: str, protocol: int) -> None:
    assert _load(pickle.dumps([path], protocol)) == [text]


def test_a_defaultdict_is_a_dictionary() -> None:
    content = collections.defaultdict(list, a=[1])
    assert _load(pickle.dumps(content)) == {"a": [1]}


class _Call:
    """An object whose pickle calls a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


CALLS = [
    _Call(os.system, "touch harmed"),
    _Call(subprocess.Popen, "touch harmed"),
    _Call(eval, "open('harmed', 'w')"),
    _Call(exec, "open('harmed', 'w')"),
    _Call(open, "harmed", "w"),
    _Call(getattr, "", "join"),
    _Call(builtins.__import__, "os"),
    _Call(pathlib.Path.touch, pathlib.Path("harmed")),
    _Call(np.load, "harmed"),
    _Call(np.save, "harmed", 1),
    _Call(pickle.loads, b"N."),
    _Call(codecs.encode, "x", "rot13"),
    _Call(type, "Made", (), {}),
    _Call(sys.exit),
    _Call(map, print, [1]),
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.reduced[0].__name__)
def test_no_function_is_called(
    call: _Call, protocol: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for content in (call, {"a": [call]}, np.array([{"a": call}], object)):
        with pytest.raises(UnsafePickleError, match=r"^(names '|calls )"):
            _load(pickle.dumps(content, protocol))
    assert not list(tmp_path.iterdir())


def _bomb(depth: int) -> list[Any]:
    content: list[Any] = []
    for _ in range(depth):
        content = [content, content]
    return content


def _endless() -> list[Any]:
    content: list[Any] = []
    content.append(content)
    return content


def _copies(function: bytes, argument: Any, number: int) -> bytes:
    """Return a pickle that gives one argument to a function many times."""
    given = pickle.dumps(argument, 2)[2:-1]
    once = function + b"p9\n0" + given + b"\x85p8\n0"
    return b"\x80\x02" + once + b"(" + b"h\x09h\x08R" * number + b"l."


def _arrays(num_bytes: int, number: int) -> bytes:
    """Return a pickle of many arrays that share the bytes of their content."""
    one = pickle.dumps(np.zeros(num_bytes, "u1").tobytes(), 3)[2:-1]
    kept = one + b"p8\n0"
    dtype = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xff"
    dtype += b"J\xff\xff\xff\xffK\x00tbp7\n0"
    make = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
    size = b"J" + num_bytes.to_bytes(4, "little")
    array = make + b"(K\x01(" + size + b"tg7\nI00\ng8\ntb"
    return b"\x80\x03" + kept + dtype + b"(" + array * number + b"l."


UNBOUNDED = {
    "shared lists": pickle.dumps(_bomb(60)),
    "itself": pickle.dumps(_endless()),
    "memory table": b"\x80\x02]r\xff\xff\xff\x7f.",
    "memory table as text": b"]p4000000000\n.",
    "bytearray": pickle.dumps(_Call(bytearray, 10**12)),
    "bytes": pickle.dumps(_Call(bytes, 10**12)),
    "range": pickle.dumps(_Call(list, range(10**12))),
    "zeros": pickle.dumps(_Call(np.zeros, 10**12)),
    "void": pickle.dumps(_Call(np.void, 10**12)),
    "text of shared lists": pickle.dumps(_Call(str, _bomb(60))),
    "persistent": b"\x80\x02X\x01\x00\x00\x00aQ.",
    "extension": b"\x80\x02\x82\x01.",
    "long range": pickle.dumps(_Call(list, range(10**6))),
    "many ranges": pickle.dumps([_Call(list, range(9_999)) for _ in range(1_000)]),
    "copies of a text as bytes": _copies(b"c_codecs\nencode\n", "a" * 1_000, 20_000),
    "copies of a text as a path": _copies(b"cpathlib\nPosixPath\n", "a" * 1_000, 20_000),
    "copies of a list": _copies(b"cbuiltins\ntuple\n", [1] * 5_000, 300),
    "arrays of one content": _arrays(200_000, 100),
    "many containers": b"\x80\x02(" + b"]" * 400_000 + b"l.",
    "nested lists": b"\x80\x02" + b"]" * 5_000 + b"a" * 4_999 + b".",
    "nested tuples": b"\x80\x02)" + b"\x85" * 5_000 + b".",
    "integers of one remainder": pickle.dumps({n * (2**61 - 1) << 8 for n in range(1_100)}),
    "integers of many digits": b"(" + b"L18446744073709551616000L\n" * 1_100 + b"l.",
    "an integer of a text": b"c__builtin__\nint\n(V" + b"9" * 30 + b"\ntR.",
}


@pytest.mark.parametrize("content", UNBOUNDED.values(), ids=UNBOUNDED)
def test_neither_steps_nor_memory_are_unbounded(content: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(UnsafePickleError):
            _load(content)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def _array_with(shape: Any, dtype: Any, content: Any) -> bytes:
    """Return the pickle of an array with another state than NumPy writes."""
    function, arguments, _ = np.zeros(0).__reduce__()

    class Forged:
        def __reduce__(self) -> Any:
            return function, arguments, (1, shape, dtype, False, content)

    return pickle.dumps(Forged())


@pytest.mark.parametrize(
    ("shape", "dtype", "content"),
    [
        ((10**12,), np.dtype("f8"), b""),
        ((-1,), np.dtype("f8"), b""),
        ((2,), np.dtype("f8"), b"\0" * 8),
        ((1,), np.dtype("O"), b"\0" * 8),
        ((2,), np.dtype("O"), [None]),
        ((1,), np.dtype([("a", "O")]), [(1,)]),
        (("1",), np.dtype("u1"), b"\0"),
    ],
)
def test_the_state_of_an_array_is_checked(shape: Any, dtype: Any, content: Any) -> None:
    with pytest.raises(UnsafePickleError, match="calls numpy"):
        _load(_array_with(shape, dtype, content))


def test_a_dtype_cannot_claim_that_numbers_are_objects() -> None:
    """Fault of NumPy: the flags of a dtype are taken from the pickle."""

    class Forged:
        def __reduce__(self) -> Any:
            return np.dtype, ("i8", False, True), (3, "<", None, None, None, -1, -1, 63)

    found = _load(_array_with((1,), Forged(), b"\x01" * 8))
    assert found.dtype == np.int64
    assert not found.dtype.hasobject


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_damaged_pickle_raises_and_returns_nothing_wrong(protocol: int) -> None:
    content = pickle.dumps({"a": np.arange(100.0), "b": ["x"] * 10}, protocol)
    for cut in range(len(content) - 1):
        with pytest.raises((ValueError, TypeError, EOFError, LookupError, pickle.UnpicklingError)):
            _load(content[:cut])


def test_who_trusts_a_pickle_gets_what_it_makes() -> None:
    content = pickle.dumps(_Call(os.getcwd))
    with pytest.raises(UnsafePickleError, match=r"names 'posix\.getcwd'"):
        _load(content)
    assert _load(content, is_trusted=True) == str(pathlib.Path.cwd())


def test_a_file_is_named_with_the_way_out(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "ops.npy"
    np.save(path, np.array(_Call(os.getcwd), object), allow_pickle=True)
    with pytest.raises(UnsafePickleError, match=r"ops.npy' names 'posix.getcwd'.*trust_pickles=T"):
        load_npy(path, allow_pickle=True)
    assert load_npy(path, allow_pickle=True, is_trusted=True).item() == str(pathlib.Path.cwd())


def test_objects_without_an_array_are_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "stat.npy"
    np.save(path, np.array([None], object), allow_pickle=True)
    header = path.read_bytes()[:128]
    path.write_bytes(header + pickle.dumps([1, 2]))
    with pytest.raises(CorruptSourceError, match=r"stat.npy' holds no array"):
        load_npy(path, allow_pickle=True)


PICKLES = {
    "suite2p": ("suite2p/plane0/ops.npy", "suite2p/plane0/stat.npy"),
    "sima": ("session.sima/dataset.pkl", "session.sima/rois.pkl"),
}


@pytest.mark.parametrize(
    ("name", "file"), [(name, file) for name, files in PICKLES.items() for file in files]
)
@pytest.mark.parametrize("command", ["convert", "metadata"])
def test_a_recording_of_a_stranger_runs_no_code(
    name: str,
    file: str,
    command: str,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fault: ops.npy and stat.npy ran the code that they name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    write_sample(get_format(name), tmp_path / "in", simulate_recording())
    (path,) = (tmp_path / "in").rglob(pathlib.Path(file).name)
    harm = _Call(os.system, "touch harmed")
    if path.suffix == ".npy":
        np.save(path, np.array(harm, object), allow_pickle=True)
    else:
        path.write_bytes(b"\x80\x04" + pickle.dumps({"channel_names": harm}, 4)[2:])
    output = ["-o", "out.nwb"] if command == "convert" else []
    asked = [command, str(path.parent if name == "sima" else "in"), "--format", name, *output]
    with pytest.raises(SystemExit, match="2"):
        main(asked)
    assert f"{path.name}' names 'posix.system', which is not plain data" in capsys.readouterr().err
    assert not (tmp_path / "harmed").exists()
    assert not (tmp_path / "out.nwb").exists()
    with contextlib.suppress(SystemExit):  # what the code returns is no recording
        main([*asked, "--option", "trust_pickles=true"])
    assert (tmp_path / "harmed").exists()


def test_a_movie_of_a_stranger_runs_no_code(tmp_path: pathlib.Path) -> None:
    write_sample(get_format("suite2p-movie"), tmp_path, simulate_recording())
    (path,) = tmp_path.rglob("ops.npy")
    np.save(path, np.array(_Call(os.getcwd), object), allow_pickle=True)
    with pytest.raises(UnsafePickleError, match=r"ops\.npy' names 'posix\.getcwd'"):
        Suite2pImagingInterface(path.parent.parent)
