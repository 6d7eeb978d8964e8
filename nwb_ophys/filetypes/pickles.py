"""Pickles of plain data, read without running code.

A pickle is a program: it may name any function of any module and call it. The reader here makes
only numbers, texts, bytes, containers, dates, paths (as text) and arrays of NumPy, through
functions that check their arguments. It refuses any other name, instructions that reserve memory
which the file cannot fill, and shared containers that would unfold without bound.
"""

from __future__ import annotations

import collections
import datetime
import io
import pickle
import pickletools
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO

import numpy as np

from nwb_ophys.errors import UnsafePickleError

FindOther = Callable[[str, str], Any]

# Most objects that a pickle may hold, each counted as often as it is referred to.
_MOST_OBJECTS = 50_000_000
_LONGEST_RANGE = 10_000_000
_LONGEST_UNFOLDED_RANGE = 10_000
# Containers and calls take up to 500 bytes of memory each, and 1 byte of the file at least. Arrays
# and scalars of NumPy, of which recordings have the most, take 10 bytes of the file for each.
_MOST_CONTAINERS, _BYTES_PER_CONTAINER = 300_000, 8
_DEEPEST = 1000
# Functions make at most so many bytes of what a pickle holds, which it may give to many of them.
_MOST_MADE, _COPIES = 1_000_000, 16
# Containers find an integer by its remainder of 2**61 - 1, which longer ones may all share, so that
# each would be compared with all others.
_MOST_LONG_INTEGERS = 1000
# Renamed modules of Python 2 and NumPy.
_MODULES = {
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "numpy.core.multiarray": "numpy._core.multiarray",
    "numpy.core.numeric": "numpy._core.numeric",
    "pathlib._local": "pathlib",
}
_TYPE_CODE = re.compile(r"[|<>=]?([?bhilqpuBHILQPefdgFDGcSaUVOMm])(\d{0,9})")


def load_pickle(
    file: BinaryIO,
    *,
    encoding: str = "ASCII",
    find_other: FindOther | None = None,
    is_trusted: bool = False,
) -> Any:
    """Return the content of a pickle of plain data, or of any pickle that the user trusts.

    Parameters
    ----------
    file : binary file
        At the first byte of the pickle.
    encoding : str
        Encoding of texts of Python 2.
    find_other : callable, optional
        Takes a module and a name; returns a further class or function that may be called with any
        argument, or None.
    is_trusted : bool
        Whether other names are imported and called, too, as ``pickle.load`` does.

    Raises
    ------
    UnsafePickleError
        If the pickle is more than plain data and not trusted. The message continues the name of
        the file.
    Exception
        Whatever unpickling a damaged file raises.
    """
    content = file.read()
    if not is_trusted:
        _check_instructions(content)
    unpickler = _Unpickler(io.BytesIO(content), encoding=encoding)
    unpickler.find_other, unpickler.is_trusted = find_other, is_trusted
    unpickler.most_made = _MOST_MADE + _COPIES * len(content)
    return _without_standins(unpickler.load())


def unsafe_pickle(path: Path, error: UnsafePickleError) -> UnsafePickleError:
    """Return the error for a file whose pickle was refused.

    Parameters
    ----------
    path : pathlib.Path
    error : UnsafePickleError
        The error of :func:`load_pickle`.
    """
    return UnsafePickleError(
        f"'{path}' {error} It is not loaded, because a pickle can run any code. If you trust its "
        "author, give trust_pickles=True (on the command line --option trust_pickles=true)."
    )


# --- instructions ---------------------------------------------------------------------------------


@cache
def _instructions() -> tuple[list[int | None], frozenset[int], frozenset[int]]:
    """Return sizes of the arguments by code, and the codes of names and of memory places."""
    sizes: list[int | None] = [None] * 256
    refused = {"PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER"}
    for each in pickletools.opcodes:
        if each.name not in refused:
            sizes[ord(each.code)] = 0 if each.arg is None else each.arg.n
    return sizes, frozenset(b"ci"), frozenset(b"pqr")


# The instructions ]})lt(1-3 of a tuple)d, those of sets, and the calls RioNEWOBJ(_EX).
_MAKING = frozenset(b"]})lt\x85\x86\x87d\x8f\x91Rio\x81\x92")
# Most bytes of the argument of the instructions I, L, LONG1 and LONG4 for an integer of 64 bits.
_INTEGERS = {0x49: 22, 0x4C: 23, 0x8A: 10, 0x8B: 13}


def _check_instructions(content: bytes) -> None:
    """Raise for instructions of no plain data, and for places in memory that cannot be filled.

    The unpickler reserves a table of as many places as the largest number that the pickle states.
    """
    sizes, names, places = _instructions()
    end, position, containers, integers = len(content), 0, 0, 0
    most_containers = _MOST_CONTAINERS + end // _BYTES_PER_CONTAINER
    while position < end:
        code = content[position]
        size = sizes[code]
        position += 1
        if size is None:
            raise UnsafePickleError(f"has the instruction {bytes([code])!r}, which no data needs.")
        if code == 0x2E:  # the end of the pickle
            return
        if code in _MAKING:
            containers += 1
            if containers > most_containers:
                raise UnsafePickleError("holds more containers than plain data has.")
        start = position
        if size >= 0:
            position += size
        elif size == pickletools.UP_TO_NEWLINE:
            for _ in range(2 if code in names else 1):
                position = content.find(b"\n", position) + 1 or end
        else:
            width = {-2: 1, -3: 4, -4: 4, -5: 8}[size]
            position += width + int.from_bytes(content[position : position + width], "little")
        if code in places and _place(content[start:position]) > end:
            raise UnsafePickleError("reserves more memory than the file can fill.")
        if code in _INTEGERS and position - start > _INTEGERS[code]:
            integers += 1
            if integers > _MOST_LONG_INTEGERS:
                raise UnsafePickleError("holds more integers of many digits than plain data has.")


def _place(argument: bytes) -> int:
    """Return the number of a place in memory, which is a text in the oldest pickles."""
    if argument.endswith(b"\n") and argument[:-1].isdigit():
        return int(argument[:20])
    return int.from_bytes(argument, "little")


# --- names ----------------------------------------------------------------------------------------


def admitted(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a wrapper of a function, because a pickle can set attributes of what it names.

    Parameters
    ----------
    function : callable
    """
    return lambda *arguments: function(*arguments)


class _Unpickler(pickle.Unpickler):
    """Unpickler that knows the names of plain data only."""

    find_other: FindOther | None = None
    is_trusted = False
    most_made = _MOST_MADE

    def find_class(self, module: str, name: str) -> Any:
        """Return what a name means, or raise if plain data has no such name."""
        present = _MODULES.get(module, module)
        found = self.find_other(present, name) if self.find_other is not None else None
        if found is not None:
            return found
        found = _plain_name(present, name)
        if found is not None:
            return self._counted(found)
        if self.is_trusted:
            return super().find_class(module, name)
        raise UnsafePickleError(f"names '{module}.{name}', which is not plain data.")

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            made = function(*arguments)
            self.count(_made_bytes(made))
            if type(made) is _Array:
                made.count = self.count
            return made

        return call

    def count(self, num_bytes: int) -> None:
        """Raise if the functions that the pickle calls make too many bytes in all."""
        self.most_made -= num_bytes
        if self.most_made < 0 and not self.is_trusted:
            raise UnsafePickleError("makes more data of its content than plain data has.")


def _made_bytes(made: Any) -> int:
    if isinstance(made, (str, bytes, bytearray)):
        return len(made)
    if isinstance(made, (list, tuple, set, frozenset, dict)):
        return 40 * len(made)
    return made.nbytes if isinstance(made, (np.ndarray, np.generic)) else 0


def _plain_name(module: str, name: str) -> Callable[..., Any] | None:
    if module == "pathlib" and name.removeprefix("Pure") in ("WindowsPath", "PosixPath", "Path"):
        return admitted(_windows_text if "Windows" in name else _posix_text)
    if module == "numpy" and name in _number_types():
        return admitted(_number_types()[name])
    found = _FUNCTIONS.get((module, name))
    return None if found is None else admitted(found)


@cache
def _number_types() -> Mapping[str, Any]:
    """Return NumPy's types of numbers by name; those of texts and bytes reserve any size."""
    kinds = {kind for kind in np.sctypeDict.values() if issubclass(kind, (np.number, np.bool_))}
    return {kind.__name__: kind for kind in kinds}


def _windows_text(*parts: str) -> str:
    return str(PureWindowsPath(*parts))


def _posix_text(*parts: str) -> str:
    return str(PurePosixPath(*parts))


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise UnsafePickleError(f"calls {what} with arguments that no plain data has.")


def _collection(kind: type) -> Callable[..., Any]:
    """Return a function that makes a container of the items of another container."""

    def make(items: Iterable[Any] = ()) -> Any:
        containers = (list, tuple, set, frozenset, dict, range)
        is_long = isinstance(items, range) and len(items) > _LONGEST_UNFOLDED_RANGE
        _require(isinstance(items, containers) and not is_long, kind.__name__)
        return kind(items)

    return make


def _scalar(kind: type) -> Callable[..., Any]:
    """Return a function that makes a number or a text of a number or a text."""

    def make(value: Any = None) -> Any:
        _require(isinstance(value, (int, float, str, type(None))), kind.__name__)
        _require(not (kind is int and isinstance(value, str) and len(value) > 20), "int")
        return kind() if value is None else kind(value)

    return make


def _bytes(content: Any = b"", encoding: str = "latin-1") -> bytes:
    """Return bytes, which old pickles hold as text in Latin 1 or as a list of numbers."""
    is_plain = isinstance(content, (bytes, str, list)) and encoding in ("latin1", "latin-1")
    _require(is_plain, "bytes")
    return content.encode("latin-1") if isinstance(content, str) else bytes(content)


def _bytearray(content: Any = b"", encoding: str = "latin-1") -> bytearray:
    return bytearray(_bytes(content, encoding))


def _range(*limits: Any) -> range:
    made = range(*limits)
    _require(len(made) <= _LONGEST_RANGE, "range")
    return made


def _default_dict(factory: Any = None, items: Any = ()) -> dict[Any, Any]:
    return dict(items)


def _numpy_array(*_: Any) -> _Array:
    """Return an empty array, whose content follows as its state."""
    return np.zeros(0).view(_Array)


def _numpy_scalar(dtype: Any, content: Any = b"") -> Any:
    found = _resolved(dtype)
    raw = content.encode("latin-1") if isinstance(content, str) else content
    _require(
        isinstance(raw, bytes) and not found.hasobject and len(raw) == found.itemsize,
        "numpy.scalar",
    )
    return np.frombuffer(raw, found, count=1)[0] if found.itemsize else found.type()


def _numpy_buffer(buffer: Any, dtype: Any, shape: Any, order: str = "C", axes: Any = None) -> Any:
    found = _resolved(dtype)
    _require(isinstance(buffer, (bytes, bytearray)) and not found.hasobject, "numpy.frombuffer")
    array = np.frombuffer(buffer, found)
    if order == "K" and axes is not None:
        return array.reshape(shape).transpose(axes)
    return array.reshape(shape, order="F" if order == "F" else "C")


_FUNCTIONS: dict[tuple[str, str], Callable[..., Any]] = {
    ("builtins", "list"): _collection(list),
    ("builtins", "tuple"): _collection(tuple),
    ("builtins", "set"): _collection(set),
    ("builtins", "frozenset"): _collection(frozenset),
    ("builtins", "dict"): _collection(dict),
    ("builtins", "int"): _scalar(int),
    ("builtins", "long"): _scalar(int),
    ("builtins", "float"): _scalar(float),
    ("builtins", "bool"): _scalar(bool),
    ("builtins", "str"): _scalar(str),
    ("builtins", "unicode"): _scalar(str),
    ("builtins", "bytes"): _bytes,
    ("builtins", "bytearray"): _bytearray,
    ("builtins", "complex"): complex,
    ("builtins", "range"): _range,
    ("builtins", "xrange"): _range,
    ("builtins", "slice"): slice,
    ("_codecs", "encode"): _bytes,
    ("collections", "OrderedDict"): lambda items=(): collections.OrderedDict(items),
    ("collections", "defaultdict"): _default_dict,
    ("datetime", "datetime"): datetime.datetime,
    ("datetime", "date"): datetime.date,
    ("datetime", "time"): datetime.time,
    ("datetime", "timedelta"): datetime.timedelta,
    ("datetime", "timezone"): datetime.timezone,
    ("numpy", "dtype"): lambda *arguments: _Dtype(*arguments),
    # A class that other names take as their argument; the array is made by _reconstruct.
    ("numpy", "ndarray"): _numpy_array,
    ("numpy._core.multiarray", "_reconstruct"): _numpy_array,
    ("numpy._core.multiarray", "scalar"): _numpy_scalar,
    ("numpy._core.numeric", "_frombuffer"): _numpy_buffer,
}


# --- arrays ---------------------------------------------------------------------------------------


class _Dtype:
    """State of a dtype; a real one with a wrong state makes NumPy read outside of its memory."""

    def __init__(self, code: Any = None, *_: Any) -> None:
        self._code, self._state = code, ()
        self._found: np.dtype[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        _require(isinstance(state, tuple) and len(state) >= 5, "numpy.dtype")
        self._state = state

    def resolve(self, depth: int = 0) -> np.dtype[Any]:
        """Return the dtype, made through NumPy's own checks."""
        if self._found is None:
            self._found = self._made(depth)
        return self._found

    def _made(self, depth: int) -> np.dtype[Any]:
        code = self._code.decode("latin-1") if isinstance(self._code, bytes) else self._code
        match = _TYPE_CODE.fullmatch(code) if isinstance(code, str) else None
        _require(match is not None and depth < 8, "numpy.dtype")
        state: tuple[Any, ...] = self._state or (3, "|", None, None, None)
        version, order, subarray, names, fields, *rest = state
        if subarray is not None:
            return np.dtype((_resolved(subarray[0], depth + 1), tuple(subarray[1])))
        if names:
            own = [fields[name] for name in names]
            return np.dtype(
                {
                    "names": [str(name) for name in names],
                    "formats": [_resolved(each[0], depth + 1) for each in own],
                    "offsets": [int(each[1]) for each in own],
                    "titles": [each[2] if len(each) > 2 else None for each in own],
                    "itemsize": int(rest[0]),
                }
            )
        text = code.lstrip("|<>=")
        if text[0] == "O":
            return np.dtype("O")  # Python 2 stated the size of a pointer
        if text[0] in "Mm" and version == 4 and rest and rest[-1] is not None:
            unit, number = rest[-1][1][:2]
            unit = unit.decode("ascii") if isinstance(unit, bytes) else unit
            text += f"[{int(number)}{unit}]"
        found = np.dtype(text)
        return found.newbyteorder(">") if order in (">", b">") else found


def _resolved(dtype: Any, depth: int = 0) -> np.dtype[Any]:
    _require(isinstance(dtype, _Dtype), "numpy.dtype")
    return dtype.resolve(depth)  # type: ignore[no-any-return]


class _Array(np.ndarray[Any, Any]):
    """Array whose state is checked before NumPy takes it."""

    count: Callable[[int], None]

    def __setstate__(self, state: Any) -> None:
        _require(isinstance(state, tuple) and len(state) in (4, 5), "numpy.ndarray")
        shape, dtype, is_fortran, content = state[-4:]
        found = _resolved(dtype)
        count = 1
        for size in shape:
            _require(isinstance(size, int) and size >= 0, "numpy.ndarray")
            count *= size
        if isinstance(content, str):
            content = content.encode("latin-1")
        if found.hasobject:
            _require(isinstance(content, list) and found.kind == "O", "numpy.ndarray")
            _require(len(content) == count, "numpy.ndarray")
        else:
            _require(isinstance(content, bytes), "numpy.ndarray")
            _require(len(content) == count * found.itemsize, "numpy.ndarray")
        self.count(len(content))
        checked: Any = (1, tuple(shape), found, bool(is_fortran), content)
        super().__setstate__(checked)


# --- unfolded size --------------------------------------------------------------------------------


_CONTAINERS = (dict, list, tuple, set, frozenset, np.ndarray)


def _children(item: Any) -> list[Any]:
    if isinstance(item, dict):
        return [*item.keys(), *item.values()]
    if isinstance(item, np.ndarray):
        return list(item.flat) if item.dtype == object else []
    if isinstance(item, _CONTAINERS):
        return list(item)
    return [] if isinstance(item, _Dtype) else list(vars(item).values())


def _is_container(item: Any) -> bool:
    return isinstance(item, (*_CONTAINERS, _Dtype)) or hasattr(item, "__dict__")


def _without_standins(root: Any) -> Any:
    """Return the content with plain arrays and dtypes, after a count of all that it holds.

    A container that refers to another one many times, which does the same, is small in the file
    and unfolds to more objects than any memory holds as soon as it is copied or printed.

    Raises
    ------
    UnsafePickleError
        If there are too many objects, or a container contains itself.
    """
    counts: dict[int, int] = {}
    plain: dict[int, Any] = {}
    unfinished: set[int] = set()
    stack: list[tuple[Any, list[Any] | None]] = [(root, None)] if _is_container(root) else []
    while stack:
        item, children = stack.pop()
        key = id(item)
        if children is not None:
            counts[key] = 1 + sum(counts.get(id(child), 1) for child in children)
            unfinished.discard(key)
            if counts[key] > _MOST_OBJECTS:
                raise UnsafePickleError("unfolds to more objects than plain data has.")
            made = _plain(item, plain)
            if made is not item:
                plain[key] = made
        elif key in unfinished:
            raise UnsafePickleError("has a container that contains itself.")
        elif key not in counts:
            unfinished.add(key)
            if len(unfinished) > _DEEPEST:
                raise UnsafePickleError("is nested deeper than plain data is.")
            found = _children(item)
            stack.append((item, found))
            stack += [(each, None) for each in found if _is_container(each)]
    return plain.get(id(root), root)


def _plain(item: Any, plain: dict[int, Any]) -> Any:
    """Return an object without stand-ins; containers that can change are changed in place."""
    if type(item) is _Array:
        vars(item).clear()  # which would keep all that the unpickler made
        item = item.view(np.ndarray)
    if type(item) is _Dtype:
        return item.resolve()
    if isinstance(item, tuple):
        is_changed = any(id(value) in plain for value in item)
        return tuple(plain.get(id(value), value) for value in item) if is_changed else item
    if not isinstance(item, _CONTAINERS):
        _replace(vars(item), list(vars(item).items()), plain)
    elif isinstance(item, dict):
        _replace(item, list(item.items()), plain)
    elif isinstance(item, list):
        _replace(item, list(enumerate(item)), plain)
    elif isinstance(item, np.ndarray) and item.dtype == object:
        _replace(item.flat, list(enumerate(item.flat)), plain)
    return item


def _replace(target: Any, pairs: list[tuple[Any, Any]], plain: dict[int, Any]) -> None:
    for key, value in pairs:
        if id(value) in plain:
            target[key] = plain[id(value)]
