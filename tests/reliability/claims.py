"""Recordings that claim what is not there, bombs, and a process that converts each of them.

The script runs each case in a process of its own, forked after the imports, with limits of memory
and time, and prints a line of JSON for each: ``python claims.py FOLDER [NAMES.json | WORD …]``.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import pickle
import pkgutil
import re
import resource
import shutil
import signal
import struct
import sys
import time
import traceback
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import numpy as np
import tifffile

START = "NWBFile.session_start_time=2024-05-17T14:30:00+02:00"
RATE = ("--option", "sampling_frequency=30")
MEMORY_LIMIT = 6 << 30
TIME_LIMIT = 40

Build = Callable[[Path], Any]
CASES: dict[str, tuple[str, Build, bool]] = {}


def case(kind: str, name: str, *, may_read: bool = False) -> Callable[[Build], Build]:
    """Add a case: a function that changes the files of a good recording.

    It gets the path that is converted, and may return the arguments of the command instead.
    Where the claim does not matter for the data, ``may_read`` allows to read them without it.
    """

    def add(build: Build) -> Build:
        assert f"{kind}: {name}" not in CASES
        CASES[f"{kind}: {name}"] = (kind, build, may_read)
        return build

    return add


# --- running ----------------------------------------------------------------------------------


def write_good(folder: Path) -> dict[str, tuple[str, list[str]]]:
    """Write a good recording of each format; return its path and options by format."""
    from nwb_ophys.formats import builtin_rows
    from nwb_ophys.testing import simulate_recording
    from nwb_ophys.testing.samples import write_sample

    recording = simulate_recording(num_samples=12, num_rows=24, num_columns=34, num_cells=3)
    found = {}
    for row in builtin_rows():
        place = folder / row.name
        place.mkdir(parents=True)
        arguments = write_sample(row, place, recording)
        path = Path(next(iter(arguments.values())))
        options = list(RATE) if "sampling_frequency" in arguments else []
        found[row.name] = (str(path.relative_to(folder)), options)
    return found


def run_case(name: str, good: Path, samples: dict[str, Any], place: Path) -> dict[str, Any]:
    """Build a case in a copy of a recording and convert it, each in a process of its own."""
    kind, build, may_read = CASES[name]
    path, options = samples[kind]
    shutil.copytree(good / kind, place / kind)
    given = _in_child(lambda: _built(build, place / path, options))
    outcome = given if isinstance(given, dict) else _in_child(lambda: _convert(given, place))
    shutil.rmtree(place)
    return {"name": name, "kind": kind, "may_read": may_read, **outcome}


def _in_child(work: Callable[[], Any]) -> Any:
    """Return the result of a function in a forked process, whose memory is its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        code = 1
        try:
            result = work()
            with os.fdopen(writing, "w") as file:
                json.dump(result, file)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as file:
        text = file.read()
    _, status = os.waitpid(child, 0)
    return json.loads(text) if text else {"code": -1, "err": f"ended with status {status}"}


def _built(build: Build, path: Path, options: list[str]) -> list[str]:
    os.chdir(path.parent)
    arguments = build(path)
    return arguments if isinstance(arguments, list) else [str(path), *options]


def _convert(arguments: list[str], place: Path) -> dict[str, Any]:
    from nwb_ophys.cli import main

    os.chdir(place)
    names = [each.name for each in place.rglob("*")]
    signal.alarm(TIME_LIMIT)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))
    start, out, err, code = time.perf_counter(), io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(["convert", *arguments, "-o", "out.nwb", "--set", START, "--workers", "1"])
        except SystemExit as end:
            code = int(end.code or 0)
    return {
        "code": code,
        "err": err.getvalue()[-4000:],
        "seconds": time.perf_counter() - start,
        "cpu_seconds": sum(
            use.ru_utime + use.ru_stime
            for use in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        ),
        "megabytes": max(
            resource.getrusage(each).ru_maxrss / 1024
            for each in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        ),
        "is_named": any(each in err.getvalue() for each in names),
        "is_written": Path("out.nwb").exists(),
    }


def import_everything() -> None:
    """Import what a conversion may import before the fork, so that no case pays for it."""
    import hdf5plugin  # noqa: F401
    import pynwb
    import scipy.io
    import scipy.sparse  # noqa: F401
    import zarr  # noqa: F401

    import nwb_ophys

    for module in pkgutil.walk_packages(nwb_ophys.__path__, "nwb_ophys."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    pynwb.get_manager()


def main(folder: str, *words: str) -> None:
    """Run the cases of a list, or those whose names have one of the words; all without any."""
    import_everything()
    root = Path(folder)
    good = root / "good"
    samples = write_good(good)
    listed = words and words[0].endswith(".json")
    names = json.loads(Path(words[0]).read_text()) if listed else CASES
    for number, name in enumerate(names):
        if listed or not words or any(word in name for word in words):
            outcome = run_case(name, good, samples, root / f"case{number}")
            print(json.dumps(outcome), flush=True)


# --- pickles and patterns ---------------------------------------------------------------------


def _pickle_case(name: str, content: Callable[[], bytes]) -> None:
    @case("suite2p", f"pickle, {name}")
    def build(path: Path) -> None:
        header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }".ljust(117) + b"\n"
        head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
        (path / "plane0/ops.npy").write_bytes(head + content())


_pickle_case("ranges that unfold", lambda: b"\x80\x04(" + _RANGE * 30 + b"t.")
_pickle_case("lists in lists", lambda: b"\x80\x04" + b"]" * 2_000_000 + b"a" * 1_999_999 + b".")
_pickle_case("tuples in tuples", lambda: b"\x80\x04)" + b"\x85" * 2_000_000 + b".")
_pickle_case("integers of one remainder", lambda: b"\x80\x04\x8f(" + b"".join(
    b"\x8a\x0a" + (n * (2**61 - 1)).to_bytes(10, "little") for n in range(1, 60_000)
) + b"\x90.")  # fmt: skip
_RANGE = (
    b"\x8c\x08builtins\x8c\x04list\x93\x8c\x08builtins\x8c\x05range\x93"
    + b"J"
    + struct.pack("<i", 9_999_999)
    + b"\x85R\x85R"
)


@case("scanimage", "a channel list of 2 MB")
def _(path: Path) -> None:
    lines = "SI.VERSION_MAJOR = 2020\nSI.hChannels.channelSave = [" + "1;" * 1_000_000 + "]\n"
    text = f"{lines}SI.hRoiManager.scanFrameRate = 30\n"
    tifffile.imwrite(path, np.zeros((6, 16, 16), "u2"), description=text, metadata=None)


@case("scanimage", "spaces without end after a property", may_read=True)
def _(path: Path) -> None:
    text = "SI.VERSION_MAJOR = 2020\nSI.hChannels.channelSave = 1" + " " * 4_000_000 + "x\n"
    tifffile.imwrite(path, np.zeros((6, 16, 16), "u2"), description=text, metadata=None)


# --- TIFF -------------------------------------------------------------------------------------

WIDTH, LENGTH, BITS, COMPRESSION, DESCRIPTION = 256, 257, 258, 259, 270
OFFSETS, SAMPLES, ROWS, COUNTS = 273, 277, 278, 279


def _ifds(data: bytes) -> list[int]:
    (offset,) = struct.unpack_from("<I", data, 4)
    found = []
    while offset and offset not in found:
        found.append(offset)
        (count,) = struct.unpack_from("<H", data, offset)
        (offset,) = struct.unpack_from("<I", data, offset + 2 + 12 * count)
    return found


def set_tag(path: Path, code: int, value: int, *, count: int | None = None) -> None:
    """Replace the value, or the count, of a tag of the first page in a little-endian TIFF file."""
    data = bytearray(path.read_bytes())
    ifd = _ifds(data)[0]
    (num_tags,) = struct.unpack_from("<H", data, ifd)
    for place in range(ifd + 2, ifd + 2 + 12 * num_tags, 12):
        if struct.unpack_from("<H", data, place) == (code,):
            if count is None:
                struct.pack_into("<HII", data, place + 2, 4, 1, value)
            else:
                struct.pack_into("<I", data, place + 4, count)
            path.write_bytes(data)
            return
    raise AssertionError(f"no tag {code}")


def set_next(path: Path, page: int, target: int) -> None:
    """Let a page of a TIFF file be followed by the one at an offset."""
    data = bytearray(path.read_bytes())
    ifd = _ifds(data)[page]
    (num_tags,) = struct.unpack_from("<H", data, ifd)
    struct.pack_into("<I", data, ifd + 2 + 12 * num_tags, target)
    path.write_bytes(data)


def _plain(path: Path, shape: tuple[int, ...] = (6, 16, 16), **how: Any) -> None:
    tifffile.imwrite(path, np.zeros(shape, "u2"), photometric="minisblack", metadata=None, **how)


def _tag_case(name: str, *changes: tuple[int, int], may_read: bool = False, **how: Any) -> None:
    @case("tiff", name, may_read=may_read)
    def build(path: Path) -> None:
        _plain(path, **how)
        for code, value in changes:
            set_tag(path, code, value)


_HUGE = 2**31 - 1
_tag_case("a width of 2**31", (WIDTH, _HUGE))
_tag_case("a height of 2**32", (LENGTH, 2**32 - 1), (ROWS, 2**32 - 1))
_tag_case("10**6 pixels squared", (WIDTH, 10**6), (LENGTH, 10**6), (ROWS, 10**6))
_tag_case("10**6 pixels squared, deflate", (WIDTH, 10**6), (LENGTH, 10**6), (ROWS, 10**6),
          compression="zlib")  # fmt: skip
_tag_case("40,000 pixels squared, deflate", (WIDTH, 40_000), (LENGTH, 40_000), (ROWS, 40_000),
          compression="zlib")  # fmt: skip
_tag_case("40,000 pixels squared, LZW", (WIDTH, 40_000), (LENGTH, 40_000), (ROWS, 40_000),
          compression="lzw")  # fmt: skip
_tag_case("40,000 pixels squared, zstd", (WIDTH, 40_000), (LENGTH, 40_000), (ROWS, 40_000),
          compression="zstd")  # fmt: skip
_tag_case("40,000 pixels squared, packbits", (WIDTH, 40_000), (LENGTH, 40_000), (ROWS, 40_000),
          compression="packbits")  # fmt: skip
_tag_case("one row in each of 10**9 strips", (LENGTH, 10**9), (ROWS, 1), compression="zlib")
_tag_case("65,535 samples per pixel", (SAMPLES, 65_535))
_tag_case("10**9 samples per pixel, deflate", (SAMPLES, 10**9), compression="zlib")
_tag_case("65,535 bits per sample", (BITS, 65_535))
# Some programs write a wrong size; the one strip of an uncompressed page is known without it.
_tag_case("strip of 2**32 bytes", (COUNTS, 2**32 - 1), may_read=True)
_tag_case("deflated strip of 2**32 bytes", (COUNTS, 2**32 - 1), compression="zlib")
_tag_case("strip beyond the end", (OFFSETS, 2**32 - 1))
_tag_case("0 rows per strip", (ROWS, 0), compression="zlib")
_tag_case("a height of 0", (LENGTH, 0))


def _tile_case(name: str, code: int, value: int) -> None:
    @case("tiff", name)
    def build(path: Path) -> None:
        _plain(path, (6, 32, 32), tile=(16, 16), compression="zlib")
        set_tag(path, code, value)


_tile_case("tiles of 2**31 columns", 322, 2**31 - 16)
_tile_case("tiles of 0 columns", 322, 0)
_tile_case("tiles of 60,000 rows and columns", 323, 1 << 29)


@case("tiff", "10**9 strips in a tag")
def _(path: Path) -> None:
    _plain(path)
    set_tag(path, OFFSETS, 0, count=10**9)
    set_tag(path, COUNTS, 0, count=10**9)


@case("tiff", "description of 2**31 bytes", may_read=True)
def _(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((6, 16, 16), "u2"), description="x" * 100, metadata=None)
    set_tag(path, DESCRIPTION, 0, count=2**31)


@case("tiff", "description of 2**31 bytes in a sparse file", may_read=True)
def _(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((6, 16, 16), "u2"), description="x" * 100, metadata=None)
    set_tag(path, DESCRIPTION, 0, count=2**31)
    os.truncate(path, 2**32)


@case("tiff", "page that follows itself")
def _(path: Path) -> None:
    _plain(path)
    set_next(path, 5, _ifds(path.read_bytes())[5])


@case("tiff", "pages in a circle")
def _(path: Path) -> None:
    _plain(path)
    set_next(path, 5, _ifds(path.read_bytes())[0])


@case("tiff", "pages that lead beyond the end")
def _(path: Path) -> None:
    _plain(path)
    set_next(path, 5, 2**32 - 4)


@case("tiff", "65,535 tags")
def _(path: Path) -> None:
    _plain(path)
    data = bytearray(path.read_bytes())
    struct.pack_into("<H", data, _ifds(data)[0], 65_535)
    path.write_bytes(data)


@case("tiff", "BigTIFF with 2**60 tags")
def _(path: Path) -> None:
    _plain(path, bigtiff=True)
    data = bytearray(path.read_bytes())
    (ifd,) = struct.unpack_from("<Q", data, 8)
    struct.pack_into("<Q", data, ifd, 2**60)
    path.write_bytes(data)


@case("tiff", "BigTIFF with a strip of 2**60 bytes", may_read=True)
def _(path: Path) -> None:
    _plain(path, (1, 16, 16), bigtiff=True)
    data = bytearray(path.read_bytes())
    (ifd,) = struct.unpack_from("<Q", data, 8)
    (num_tags,) = struct.unpack_from("<Q", data, ifd)
    for place in range(ifd + 8, ifd + 8 + 20 * num_tags, 20):
        code, _ = struct.unpack_from("<HH", data, place)
        if code == COUNTS:
            struct.pack_into("<HQQ", data, place + 2, 16, 1, 2**60)
    path.write_bytes(data)


def _pages(path: Path, packed: bytes, codec: int, shape: tuple[int, int]) -> None:
    num_pages, bits = 6, 8 if codec in (7, 34712, 34933, 50001, 34892) else 16
    tags = [(WIDTH, shape[1]), (LENGTH, shape[0]), (BITS, bits), (COMPRESSION, codec), (262, 1)]
    tags += [(OFFSETS, 8), (SAMPLES, 1), (ROWS, shape[0]), (COUNTS, len(packed))]
    size = 2 + 12 * len(tags) + 4
    first = 8 + len(packed) + len(packed) % 2
    data = struct.pack("<2sHI", b"II", 42, first) + packed + b"\0" * (len(packed) % 2)
    for page in range(num_pages):
        data += struct.pack("<H", len(tags))
        data += b"".join(struct.pack("<HHII", code, 4, 1, value) for code, value in tags)
        data += struct.pack("<I", first + (page + 1) * size if page < num_pages - 1 else 0)
    path.write_bytes(data)


def deflated_zeros(num_bytes: int) -> bytes:
    """Return a deflate stream of zeros, whose number is rounded down to MB."""
    stream, number = zlib.compressobj(), num_bytes >> 20
    # Two blocks are compressed, as every further one is the same as the second.
    first, next_one = (
        stream.compress(bytes(1 << 20)) + stream.flush(zlib.Z_FULL_FLUSH) for _ in range(2)
    )
    checksum = ((number << 20) % 65_521 << 16) + 1  # Adler-32 of zeros
    return first + next_one * (number - 1) + b"\x03\x00" + struct.pack(">I", checksum)


def _bomb_case(name: str, codec: int, pack: Callable[[], bytes]) -> None:
    @case("tiff", f"strip that inflates to more than its page, {name}", may_read=True)
    def build(path: Path) -> None:
        _pages(path, pack(), codec, (16, 16))


def _zeros(megabytes: int) -> np.ndarray:
    return np.zeros(megabytes << 20, "u1")


def _jpeg_of(width: int, height: int) -> bytes:
    """Return a JPEG image of 16 x 16 pixels whose header states another size."""
    packed = bytearray(imagecodecs.jpeg8_encode(np.zeros((16, 16), "u1")))
    place = packed.index(b"\xff\xc0")
    struct.pack_into(">HH", packed, place + 5, height, width)
    return bytes(packed)


def _zstd_of_zeros(blocks: int) -> bytes:
    """Return a frame of Zstandard that states no size, of blocks of 128 kB of zeros."""
    zeros = (1 << 17 << 3 | 2).to_bytes(3, "little") + b"\0"
    return b"\x28\xb5\x2f\xfd\x00\x58" + zeros * blocks + b"\1\0\0"


@case("tiff", "thousands of pages that share one image")
def _(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((1, 1024, 1024), "u2"), metadata=None)
    content = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    end = start + 2 + 12 * count
    directory = bytes(content[start:end])
    for _ in range(20_000):
        struct.pack_into("<I", content, end, len(content))
        content += directory + bytes(4)
        end = len(content) - 4
    path.write_bytes(content)


_bomb_case("deflate", 8, lambda: deflated_zeros(1 << 30))
_bomb_case("LZW", 5, lambda: imagecodecs.lzw_encode(_zeros(600)))
_bomb_case("zstd", 50000, lambda: imagecodecs.zstd_encode(_zeros(2000)))
_bomb_case("LZMA", 34925, lambda: imagecodecs.lzma_encode(_zeros(600), level=0))
_bomb_case("packbits", 32773, lambda: imagecodecs.packbits_encode(_zeros(1)) * 600)
_bomb_case("JPEG", 7, lambda: _jpeg_of(65_500, 65_500))
_bomb_case("WebP", 50001, lambda: imagecodecs.webp_encode(np.zeros((16000, 16000, 3), "u1")))
_bomb_case("PNG", 34933, lambda: imagecodecs.png_encode(np.zeros((30_000, 30_000), "u1")))
_bomb_case("JPEG XL", 50002, lambda: imagecodecs.jpegxl_encode(
    np.zeros((16_000, 16_000), "u1"), effort=1))  # fmt: skip
_bomb_case("JPEG XL with frames", 50002, lambda: imagecodecs.jpegxl_encode(
    np.zeros((600, 1024, 1024), "u1"), effort=1))  # fmt: skip
_bomb_case("JPEG XR", 22610, lambda: imagecodecs.jpegxr_encode(np.zeros((16_000, 16_000), "u1")))
_bomb_case("LERC", 34887, lambda: imagecodecs.lerc_encode(np.zeros((30_000, 30_000), "u1")))
_bomb_case("zstd without its size", 50000, lambda: _zstd_of_zeros(16_000))
_bomb_case("JPEG 2000", 34712, lambda: imagecodecs.jpeg2k_encode(
    np.zeros((9000, 9000), "u1"), reversible=False, level=100))  # fmt: skip


@case("tiff", "ImageJ states 2**40 images", may_read=True)
def _(path: Path) -> None:
    text = f"ImageJ=1.53t\nimages={2**40}\nframes={2**40}\nhyperstack=true\n"
    tifffile.imwrite(path, np.zeros((1, 16, 16), "u2"), description=text, metadata=None)


@case("tiff", "ImageJ states numbers of 5,000 digits", may_read=True)
def _(path: Path) -> None:
    text = f"ImageJ=1.53t\nimages={'9' * 5000}\nframes={'9' * 5000}\n"
    tifffile.imwrite(path, np.zeros((6, 16, 16), "u2"), description=text, metadata=None)


@case("tiff", "tifffile states a shape of 10**18", may_read=True)
def _(path: Path) -> None:
    text = json.dumps({"shape": [10**18, 16, 16], "axes": "TYX"})
    tifffile.imwrite(path, np.zeros((1, 16, 16), "u2"), description=text, metadata=None)


@case("tiff", "deeply nested JSON in the description", may_read=True)
def _(path: Path) -> None:
    text = '{"shape": ' + "[" * 100_000
    tifffile.imwrite(path, np.zeros((6, 16, 16), "u2"), description=text, metadata=None)


# --- OME-TIFF ---------------------------------------------------------------------------------


def _ome(path: Path, sizes: str = "", inner: str = "<TiffData/>", before: str = "") -> None:
    stated = dict.fromkeys("CZT", "1") | {"X": "16", "Y": "16", "T": "6"}
    stated |= dict(item.split("=") for item in sizes.split())
    attributes = " ".join(f'Size{axis}="{size}"' for axis, size in stated.items())
    xml = (
        f'{before}<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="I:0">'
        f'<Pixels ID="P:0" DimensionOrder="XYCZT" Type="uint16" {attributes}>{inner}</Pixels>'
        "</Image></OME>"
    )
    tifffile.imwrite(
        path, np.zeros((6, 16, 16), "u2"), description=xml.encode("ascii"), metadata=None
    )


def _ome_case(name: str, sizes: str = "", *, may_read: bool = False, **how: str) -> None:
    case("ome-tiff", name, may_read=may_read)(lambda path: _ome(path, sizes, **how))


for _axis in "XYZCT":
    _ome_case(f"Size{_axis} of 10**12", f"{_axis}={10**12}")
_ome_case("SizeT of 200 million", f"T={2 * 10**8}")
_ome_case("SizeC of 10**8", f"C={10**8} T=1")
_ome_case("SizeT of 5,000 digits", f"T={'9' * 5000}")
_ome_case("negative size", "T=-6")
_ome_case("PlaneCount of 10**15", inner=f'<TiffData IFD="0" PlaneCount="{10**15}"/>')
_ome_case("IFD of 10**15", inner=f'<TiffData IFD="{10**15}" PlaneCount="1"/>')
_ome_case("FirstT of 10**15", inner=f'<TiffData FirstT="{10**15}" IFD="0" PlaneCount="6"/>')
_ome_case("TheT of 10**300", may_read=True,
          inner=f'<TiffData/><Plane TheC="0" TheZ="0" TheT="{10**300}" DeltaT="1"/>')  # fmt: skip
_ome_case("TheT that is infinite", may_read=True,
          inner='<TiffData/><Plane TheC="0" TheZ="0" TheT="-5" DeltaT="1e999"/>')  # fmt: skip
_ome_case("XML nested 100,000 levels deep", inner="<a>" * 100_000)
_ome_case("XML of 4 million elements", inner="<a/>" * 4_000_000)
_ome_case("element with 100,000 attributes",
          inner="<a " + " ".join(f"b{i}=''" for i in range(100_000)) + "/>")  # fmt: skip
_LAUGHS = "".join(f'<!ENTITY e{i} "{(f"&e{i - 1};" * 10) if i else "ha" * 10}">' for i in range(12))
_ome_case("billion laughs", before=f"<!DOCTYPE OME [{_LAUGHS}]>", inner="&e11;")
_ome_case("quadratic entities", before=f'<!DOCTYPE OME [<!ENTITY e "{"ha" * 50_000}">]>',
          inner="&e;" * 50_000)  # fmt: skip
_ome_case("external entity", before='<!DOCTYPE OME [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
          inner="&e;")  # fmt: skip


@case("ome-tiff", "pages in a circle")
def _(path: Path) -> None:
    _ome(path)
    set_next(path, 5, _ifds(path.read_bytes())[2])


# --- XML and JSON of other formats --------------------------------------------------------------


def _replaced(path: Path, pattern: str, value: str, count: int = 0) -> None:
    text = path.read_text(encoding="utf-8")
    changed = re.sub(pattern, lambda _: value, text, count=count)
    assert changed != text, pattern
    path.write_text(changed, encoding="utf-8")


@case("bruker", "billion laughs")
def _(path: Path) -> None:
    _replaced(next(path.glob("*.xml")), "<PVScan", f"<!DOCTYPE PVScan [{_LAUGHS}]><PVScan", 1)


@case("bruker", "nested 100,000 levels deep")
def _(path: Path) -> None:
    _replaced(next(path.glob("*.xml")), "<Frame", "<a>" * 100_000 + "<Frame", 1)


@case("bruker", "4 million elements")
def _(path: Path) -> None:
    _replaced(next(path.glob("*.xml")), "<Sequence", "<a/>" * 4_000_000 + "<Sequence", 1)


@case("bruker", "frame index of 10**15", may_read=True)
def _(path: Path) -> None:
    _replaced(next(path.glob("*.xml")), 'index="12"', f'index="{10**15}"')


@case("bruker", "10**9 rasters per frame", may_read=True)
def _(path: Path) -> None:
    xml = next(path.glob("*.xml"))
    _replaced(xml, 'key="rastersPerFrame" value="1"', f'key="rastersPerFrame" value="{10**9}"')


@case("bruker", "images of 2**31 columns")
def _(path: Path) -> None:
    for each in path.glob("*.tif"):
        set_tag(each, WIDTH, _HUGE)


@case("thor", "billion laughs")
def _(path: Path) -> None:
    _replaced(path / "Experiment.xml", "<ThorImageExp", f"<!DOCTYPE a [{_LAUGHS}]><ThorImageExp", 1)


def _thor_case(name: str, pattern: str, value: str, *, may_read: bool = False) -> None:
    case("thor", name, may_read=may_read)(
        lambda path: _replaced(path / "Experiment.xml", pattern, value, 1)
    )


_thor_case("10**12 timepoints", 'timepoints="[0-9]+"', f'timepoints="{10**12}"', may_read=True)
_thor_case("pixelX of 10**12", 'pixelX="[0-9]+"', f'pixelX="{10**12}"')
_thor_case("10**9 steps in z", 'steps="[0-9]+"', f'steps="{10**9}"', may_read=True)


@case("miniscope", "deeply nested JSON")
def _(path: Path) -> None:
    (path / "metaData.json").write_text('{"a": ' + "[" * 200_000)


@case("miniscope", "number of a million digits")
def _(path: Path) -> None:
    _replaced(
        path / "Miniscope" / "metaData.json", r'"frameRate": [^,]*', f'"frameRate": {"9" * 10**6}'
    )


@case("micromanager", "deeply nested JSON in the summary")
def _(path: Path) -> None:
    tiff = next(path.glob("*Pos0.ome.tif"))
    data = bytearray(tiff.read_bytes())
    (length,) = struct.unpack_from("<I", data, 36)
    data[40 : 40 + length] = (b'{"a":' + b"[" * length)[:length]
    tiff.write_bytes(data)


@case("micromanager", "summary of 2**32 bytes")
def _(path: Path) -> None:
    tiff = next(path.glob("*Pos0.ome.tif"))
    data = bytearray(tiff.read_bytes())
    struct.pack_into("<I", data, 36, 2**32 - 1)
    tiff.write_bytes(data)


@case("micromanager", "index of 2**32 entries", may_read=True)
def _(path: Path) -> None:
    tiff = next(path.glob("*Pos0.ome.tif"))
    data = bytearray(tiff.read_bytes())
    (place,) = struct.unpack_from("<I", data, 12)
    struct.pack_into("<I", data, place + 4, 2**32 - 1)
    tiff.write_bytes(data)


@case("ndtiff", "texts of 2**31 bytes in the index")
def _(path: Path) -> None:
    index = path / "NDTiff.index"
    data = bytearray(index.read_bytes())
    struct.pack_into("<I", data, 0, 2**31 - 1)
    index.write_bytes(data)


def _ndtiff_numbers(path: Path, number: int, value: int) -> None:
    index = path / "NDTiff.index"
    data = bytearray(index.read_bytes())
    position = 0
    while position < len(data):
        for _ in range(2):
            (length,) = struct.unpack_from("<I", data, position)
            position += 4 + length
        struct.pack_into("<I", data, position + 4 * number, value)
        position += 32
    index.write_bytes(data)


for _number, _what in enumerate(("offset", "width", "height")):
    case("ndtiff", f"{_what} of 2**32")(
        lambda path, number=_number: _ndtiff_numbers(path, number, 2**32 - 1)
    )


@case("ndtiff", "time of 10**18 in the index", may_read=True)
def _(path: Path) -> None:
    index = path / "NDTiff.index"
    data = index.read_bytes()
    text = json.dumps({"time": 10**18}).encode()
    (length,) = struct.unpack_from("<I", data, 0)
    index.write_bytes(struct.pack("<I", len(text)) + text + data[4 + length :])


# --- HDF5 -------------------------------------------------------------------------------------


def _hdf5(path: Path, shape: tuple[int, ...], chunks: tuple[int, ...], **how: Any) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("movie", shape, "u2", chunks=chunks, **how)


@case("hdf5", "2**40 frames of which none is stored")
def _(path: Path) -> list[str]:
    _hdf5(path, (2**40, 64, 64), (1, 64, 64))
    return [str(path), *RATE]


@case("hdf5", "contiguous, 2**40 frames, not stored")
def _(path: Path) -> list[str]:
    with h5py.File(path, "w") as file:
        file.create_dataset("movie", (2**40, 64, 64), "u2")
    return [str(path), *RATE]


@case("hdf5", "2**30 frames of which one is stored")
def _(path: Path) -> list[str]:
    _hdf5(path, (2**30, 64, 64), (1, 64, 64))
    with h5py.File(path, "a") as file:
        file["movie"][0] = 1
    return [str(path), *RATE]


@case("hdf5", "frames of 2**20 x 2**20 pixels")
def _(path: Path) -> list[str]:
    _hdf5(path, (6, 2**20, 2**20), (1, 64, 64))
    with h5py.File(path, "a") as file:
        file["movie"][:, :64, :64] = 1
    return [str(path), *RATE]


def _write_chunks(
    path: Path, packed: bytes, shape: tuple[int, ...], chunks: tuple[int, ...]
) -> None:
    _hdf5(path, shape, chunks, compression="gzip")
    with h5py.File(path, "a") as file:
        for start in range(0, shape[0], chunks[0]):
            file["movie"].id.write_direct_chunk((start, 0, 0), packed)


@case("hdf5", "compressed chunks of 2 GB")
def _(path: Path) -> list[str]:
    _write_chunks(path, deflated_zeros(1 << 31), (4, 32768, 32767), (1, 32768, 32767))
    return [str(path), *RATE]


@case("hdf5", "chunks that inflate to 2 GB instead of 8 kB")
def _(path: Path) -> list[str]:
    _write_chunks(path, deflated_zeros(1 << 31), (4, 64, 64), (1, 64, 64))
    return [str(path), *RATE]


@case("hdf5", "one frame in each of 10**9 columns")
def _(path: Path) -> list[str]:
    with h5py.File(path, "w") as file:
        file.create_dataset("movie", data=np.zeros((10**6, 1, 1), "u1"), compression="gzip")
        file["movie"].attrs["a"] = 1
        file.create_dataset("movie2", (2, 10**9, 10**9), "f8", chunks=(1, 1000, 1000))
    return [str(path), *RATE, "--option", "dataset_path=movie2"]


@case("nwb", "2**40 frames of which none is stored")
def _(path: Path) -> None:
    with h5py.File(path, "a") as file:
        group = next(iter(file["acquisition"].values()))
        attributes = dict(group["data"].attrs)
        del group["data"]
        data = group.create_dataset("data", (2**40, 64, 64), "u2", chunks=(1, 64, 64))
        data.attrs.update(attributes)


@case("nwb-segmentation", "mask of 10**5 pixels squared for each of 10**6 ROIs")
def _(path: Path) -> None:
    with h5py.File(path, "a") as file:
        found: list[h5py.Dataset] = []
        file.visititems(
            lambda name, each: (
                found.append(each)
                if name.rpartition("/")[2] in ("image_mask", "pixel_mask", "voxel_mask")
                else None
            )
        )
        attributes, parent = dict(found[0].attrs), found[0].parent
        name = found[0].name.rpartition("/")[2]
        dtype, shape = found[0].dtype, (10**12,) if found[0].ndim == 1 else (10**6, 10**5, 10**5)
        del parent[name]
        parent.create_dataset(name, shape, dtype, chunks=True).attrs.update(attributes)


@case("femtonics", "10**9 frames")
def _(path: Path) -> None:
    with h5py.File(path, "a") as file:
        found: list[str] = []
        file.visititems(
            lambda name, each: (
                found.append(name)
                if isinstance(each, h5py.Dataset) and each.ndim == 3 and "Channel" in name
                else None
            )
        )
        for name in found:
            attributes, dtype = dict(file[name].attrs), file[name].dtype
            parent = file[name].parent
            shape = (10**9, *file[name].shape[1:])
            del file[name]
            data = file.create_dataset(name, shape, dtype, chunks=(1, *shape[1:]))
            data.attrs.update(attributes)
            for key in parent.attrs:
                if key.startswith("ZDim") or key == "ZDim":
                    parent.attrs[key] = 10**9


@case("femtonics", "billion laughs in an attribute", may_read=True)
def _(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file.visititems(
            lambda _, each: (
                each.attrs.__setitem__(
                    "MeasurementParamsXML", f"<!DOCTYPE a [{_LAUGHS}]><a>&e11;</a>"
                )
                if "MeasurementParamsXML" in each.attrs
                else None
            )
        )


def _resized(path: Path, name: str, shape: tuple[int, ...]) -> None:
    with h5py.File(path, "a") as file:
        attributes, dtype = dict(file[name].attrs), file[name].dtype
        del file[name]
        data = file.create_dataset(name, shape, dtype, chunks=True)
        data.attrs.update(attributes)


@case("caiman", "traces of 2**40 samples")
def _(path: Path) -> None:
    _resized(path, "estimates/C", (3, 2**40))


@case("caiman", "sparse masks of 10**12 rows")
def _(path: Path) -> None:
    with h5py.File(path, "a") as file:
        group = file["estimates/A"]
        if "shape" in group:
            del group["shape"]
            group["shape"] = np.array([10**12, 3])
        file["dims"][...] = [10**6, 10**6] if "dims" in file else 0


@case("caiman", "image of 10**6 pixels squared")
def _(path: Path) -> None:
    with h5py.File(path, "a") as file:
        for name in ("dims", "estimates/dims", "params/data/dims"):
            if name in file:
                del file[name]
                file[name] = np.array([10**6, 10**6])


@case("caiman", "sparse masks of 10**11 stored values")
def _(path: Path) -> None:
    _resized(path, "estimates/A/data", (10**11,))
    _resized(path, "estimates/A/indices", (10**11,))


# --- MATLAB -----------------------------------------------------------------------------------


def _mat5(elements: list[bytes], *, is_packed: bool = True) -> bytes:
    head = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H2s", 0x0100, b"IM")
    for each in elements:
        packed = zlib.compress(each)
        head += struct.pack("<II", 15, len(packed)) + packed if is_packed else each
    return head


def _matrix(name: str, shape: tuple[int, ...], num_bytes: int, kind: int = 6) -> bytes:
    """Return a matrix element of doubles that states a shape and a number of bytes."""
    encoded = name.encode()
    inner = struct.pack("<IIII", 6, 8, kind, 0)
    inner += struct.pack("<II", 5, 4 * len(shape)) + struct.pack(f"<{len(shape)}i", *shape)
    inner += b"\0" * (-4 * len(shape) % 8)
    inner += struct.pack("<II", 1, len(encoded)) + encoded + b"\0" * (-len(encoded) % 8)
    inner += struct.pack("<II", 9, num_bytes % 2**32) + b"\0" * 64
    return struct.pack("<II", 14, (len(inner) - 64 + num_bytes) % 2**32) + inner


@case("scanbox", "info of 10**9 numbers")
def _(path: Path) -> None:
    element = _matrix("info", (30_000, 30_000), 30_000**2 * 8 % 2**32)
    path.with_suffix(".mat").write_bytes(_mat5([element]))


@case("scanbox", "info of 10**9 numbers, not compressed")
def _(path: Path) -> None:
    element = _matrix("info", (10_000, 10_000), 10_000**2 * 8)
    path.with_suffix(".mat").write_bytes(_mat5([element], is_packed=False))


@case("scanbox", "compressed element of 2 GB")
def _(path: Path) -> None:
    head = _matrix("info", (16_000, 16_000), 16_000**2 * 8)
    stream = zlib.compressobj()
    parts = [stream.compress(head)]
    parts += [stream.compress(bytes(1 << 20)) for _ in range(1953)]
    packed = b"".join([*parts, stream.flush()])
    data = _mat5([]) + struct.pack("<II", 15, len(packed)) + packed
    path.with_suffix(".mat").write_bytes(data)


@case("scanbox", "compressed element of 2 GB beside the info", may_read=True)
def _(path: Path) -> None:
    mat = path.with_suffix(".mat")
    stream = zlib.compressobj()
    parts = [stream.compress(_matrix("other", (16_000, 16_000), 16_000**2 * 8))]
    parts += [stream.compress(bytes(1 << 20)) for _ in range(1953)]
    packed = b"".join([*parts, stream.flush()])
    mat.write_bytes(mat.read_bytes() + struct.pack("<II", 15, len(packed)) + packed)


def _info(path: Path, **values: Any) -> None:
    import scipy.io

    mat = path.with_suffix(".mat")
    info = scipy.io.loadmat(mat, struct_as_record=False, squeeze_me=True)["info"]
    fields = {name: getattr(info, name) for name in info._fieldnames}
    scipy.io.savemat(mat, {"info": fields | values})


case("scanbox", "images of 10**9 pixels squared")(
    lambda path: _info(path, sz=np.array([10**9, 10**9]), recordsPerBuffer=10**9)
)
case("scanbox", "images of 0 pixels")(
    lambda path: _info(path, sz=np.array([0, 0]), recordsPerBuffer=0)
)
case("scanbox", "10**12 channels")(lambda path: _info(path, nchan=10**12, channels=10**12))
case("scanbox", "10**12 planes")(
    lambda path: _info(path, volscan=1, otwave=np.zeros(10**6), otparam=np.array([0, 1, 10**12]))
)
case("scanbox", "resfreq of 10**300", may_read=True)(lambda path: _info(path, resfreq=1e300))


def _matlab_arrays(path: Path, name: str, shape: tuple[int, ...]) -> None:
    with h5py.File(path, "a") as file:
        found: list[str] = []
        file.visititems(
            lambda key, each: (
                found.append(key)
                if isinstance(each, h5py.Dataset) and key.rpartition("/")[2] == name
                else None
            )
        )
        assert found, list(file)
    for key in found:
        _resized(path, key, shape)


case("extract", "masks of 10**6 pixels squared")(
    lambda path: _matlab_arrays(path, "spatial_weights", (3, 10**6, 10**6))
)
case("extract", "traces of 2**40 samples")(
    lambda path: _matlab_arrays(path, "temporal_weights", (3, 2**40))
)


@case("cnmfe", "MAT file of 2**32 bytes in one element")
def _(path: Path) -> None:
    path.write_bytes(_mat5([_matrix("neuron", (2**15, 2**14), 2**32 - 8)]))


@case("cnmfe", "compressed element of 2 GB")
def _(path: Path) -> None:
    stream = zlib.compressobj()
    parts = [stream.compress(_matrix("neuron", (16_000, 16_000), 16_000**2 * 8))]
    parts += [stream.compress(bytes(1 << 20)) for _ in range(1953)]
    packed = b"".join([*parts, stream.flush()])
    path.write_bytes(_mat5([]) + struct.pack("<II", 15, len(packed)) + packed)


@case("cnmfe", "struct of 2**31 elements")
def _(path: Path) -> None:
    path.write_bytes(_mat5([_matrix("neuron", (2**30, 1), 64, kind=2)]))


@case("cnmfe", "cell array of 2**30 elements")
def _(path: Path) -> None:
    path.write_bytes(_mat5([_matrix("neuron", (2**30, 1), 64, kind=1)]))


# --- NumPy ------------------------------------------------------------------------------------


def _npy(path: Path, shape: str, descr: str = "<f8", body: bytes = bytes(1000)) -> None:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    text = text.ljust(-(len(text) + 11) % 64 + len(text)) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + body)


def _npy_case(name: str, shape: str, descr: str = "<f8") -> None:
    case("numpy", name)(lambda path: _npy(path, shape, descr))


_npy_case("shape of 2**60", f"({2**60}, 4, 4)")
_npy_case("shape of 10**30", f"({10**30}, 4, 4)")
_npy_case("negative shape", "(-5, 4, 4)")
_npy_case("1 TB", "(1000, 25000, 20000)")
_npy_case("items of 2**31 bytes", "(4, 4, 4)", "|S2147483647")


@case("numpy", "header of 4 GB")
def _(path: Path) -> None:
    path.write_bytes(b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b"{" * 10_000)


@case("numpy", "header nested 60,000 levels deep")
def _(path: Path) -> None:
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", 60_000) + b"(" * 60_000)


@case("numpy", "sparse file of 8 EB in a shape")
def _(path: Path) -> None:
    _npy(path, f"({2**62}, 1)", "|u1")


def _ops(path: Path, **values: Any) -> None:
    for each in path.rglob("ops.npy"):
        ops = np.load(each, allow_pickle=True).item()
        np.save(each, {**ops, **values})


for _kind in ("suite2p", "suite2p-movie"):
    case(_kind, "image of 10**9 pixels squared")(lambda path: _ops(path, Ly=10**9, Lx=10**9))
    case(_kind, "image of 60,000 pixels squared", may_read=_kind == "suite2p")(
        lambda path: _ops(path, Ly=60_000, Lx=60_000)
    )
    case(_kind, "image of -1 rows")(lambda path: _ops(path, Ly=-1, Lx=10))
    case(_kind, "image with a size of 10**400")(lambda path: _ops(path, Ly=10**400, Lx=10**400))
case("suite2p-movie", "10**12 frames")(lambda path: _ops(path, nframes=10**12))
case("suite2p-movie", "10**9 planes and channels", may_read=True)(
    lambda path: _ops(path, nplanes=10**9, nchannels=10**9)
)


def _stat(path: Path, **values: Any) -> None:
    each = next(path.rglob("stat.npy"))
    stat = np.load(each, allow_pickle=True)
    for roi in stat:
        roi.update(values)
    np.save(each, stat)


case("suite2p", "pixels at 10**15")(
    lambda path: _stat(path, ypix=np.array([10**15]), xpix=np.array([3]), lam=np.ones(1, "f4"))
)
case("suite2p", "pixels without weights")(
    lambda path: _stat(path, ypix=np.arange(5), xpix=np.arange(5), lam=np.ones(1, "f4"))
)


@case("suite2p", "traces of 2**40 samples")
def _(path: Path) -> None:
    for name in ("F", "Fneu", "spks"):
        _npy(path / "plane0" / f"{name}.npy", f"(3, {2**40})", "<f4")


@case("suite2p", "array of objects with 2**40 entries")
def _(path: Path) -> None:
    _npy(path / "plane0" / "stat.npy", f"({2**40},)", "|O", pickle.dumps([1, 2]))


@case("suite2p", "pickled array that states 2**40 entries")
def _(path: Path) -> None:
    array = np.empty(1, object)
    array[0] = {"ypix": np.zeros(3, "i8"), "xpix": np.zeros(3, "i8"), "lam": np.zeros(3, "f4")}
    data = pickle.dumps(array, 2)
    # The shape (1,) of the outer array follows its version, 1.
    data = data.replace(
        b"(K\x01K\x01\x85", b"(K\x01\x8a\x06" + (2**40).to_bytes(6, "little") + b"\x85", 1
    )
    _npy(path / "plane0" / "stat.npy", "(1,)", "|O", data)


@case("sima", "pickle that builds lists without end")
def _(path: Path) -> None:
    data = b"\x80\x02]" + b"".join(b"(" + b"2" * 0 + b"h\x00" * 0 + b"l" for _ in range(10))
    body = b"\x80\x02](K\x01" + b"2" * 100 + b"e" + b"0" * 0
    (path / "rois.pkl").write_bytes(data[:0] + body + b".")


@case("sima", "pickle that refers to a memo of 2**31")
def _(path: Path) -> None:
    (path / "dataset.pkl").write_bytes(b"\x80\x04K\x01r\xff\xff\xff\x7f.")


@case("sima", "pickle with a text of 2**60 bytes")
def _(path: Path) -> None:
    (path / "dataset.pkl").write_bytes(b"\x80\x04\x8d" + struct.pack("<Q", 2**60) + b"a.")


@case("sima", "image of 10**9 pixels squared", may_read=True)
def _(path: Path) -> None:
    rois = pickle.loads((path / "rois.pkl").read_bytes(), encoding="latin1")
    for label in rois.values():
        for roi in label["rois"]:
            roi["im_shape"] = (1, 10**9, 10**9)
            if roi.get("mask") is not None:
                roi["mask"] = None
            roi["polygons"] = [[[0, 0, 0], [1e9, 0, 0], [1e9, 1e9, 0], [0, 0, 0]]]
    (path / "rois.pkl").write_bytes(pickle.dumps(rois, 2))


def _renamed(name: str) -> Callable[[Path], list[str]]:
    def build(path: Path) -> list[str]:
        path.rename(path.with_name(name))
        return [str(path.with_name(name)), *RATE]

    return build


for _what, _name in {
    "10**15 frames": f"memmap_d1_24_d2_34_d3_1_order_F_frames_{10**15}_.mmap",
    "d1 of 10**15": f"memmap_d1_{10**15}_d2_34_d3_1_order_F_frames_12_.mmap",
    "frames of 100 digits": f"memmap_d1_24_d2_34_d3_1_order_F_frames_{'9' * 100}_.mmap",
    "0 rows": "memmap_d1_0_d2_34_d3_1_order_F_frames_12_.mmap",
    "d3 of 10**9": f"memmap_d1_24_d2_34_d3_{10**9}_order_C_frames_12_.mmap",
}.items():
    case("memmap", _what)(_renamed(_name))


def _shifts(path: Path, member: bytes, **how: Any) -> list[str]:
    import zipfile

    given = path.with_name("shifts.npz")
    with zipfile.ZipFile(given, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("shifts_rig.npy", member, **how)
    return [str(path), *RATE, "--option", f"shifts_path={given}"]


@case("memmap", "array of 2**50 shifts in a .npz file")
def _(path: Path) -> list[str]:
    place = path.with_name("a.npy")
    _npy(place, f"({2**50}, 2)")
    return _shifts(path, place.read_bytes())


@case("memmap", "member of 1 GB in a .npz file")
def _(path: Path) -> list[str]:
    place = path.with_name("a.npy")
    _npy(place, f"({1 << 26}, 2)", body=b"")
    return _shifts(path, place.read_bytes() + bytes(1 << 30))


# --- Inscopix ---------------------------------------------------------------------------------


def _isxd(path: Path, pattern: bytes, value: bytes) -> None:
    """Replace a text in the JSON at the end of a file; the length after it is kept right."""
    data = path.read_bytes()
    (length,) = struct.unpack("<q", data[-8:])
    begin = len(data) - 8 - length - 1
    text = data[begin:-9]
    changed = re.sub(pattern, lambda _: value, text)
    assert changed != text, text[:3000]
    path.write_bytes(data[:begin] + changed + b"\0" + struct.pack("<q", len(changed)))


def _isxd_case(kind: str, name: str, pattern: bytes, value: bytes, **how: Any) -> None:
    case(kind, name, **how)(lambda path: _isxd(path, pattern, value))


_NUMBER = rb'"numTimes"\s*:\s*[0-9]+'
_isxd_case("inscopix", "10**15 frames", _NUMBER, b'"numTimes":1000000000000000')
_isxd_case("inscopix", "frames of 5,000 digits", _NUMBER, b'"numTimes":' + b"9" * 5000)
_isxd_case("inscopix", "-5 frames", _NUMBER, b'"numTimes":-5')
_isxd_case("inscopix", "images of 10**9 columns", rb'("x"\s*:\s*)34', b'"x":1000000000')
_isxd_case("inscopix-cells", "10**15 samples", _NUMBER, b'"numTimes":1000000000000000')
_isxd_case("inscopix-cells", "images of 10**9 columns", rb'("x"\s*:\s*)34', b'"x":1000000000')
_isxd_case("inscopix", "deeply nested JSON", rb"^\{", b'{"a":' + b"[" * 100_000)


@case("inscopix", "JSON of 2**62 bytes")
def _(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-8] + struct.pack("<q", 2**62))


# --- AVI --------------------------------------------------------------------------------------


def _avi(path: Path, mark: bytes, shift: int, value: int) -> None:
    avi = next(path.rglob("*.avi"))
    data = bytearray(avi.read_bytes())
    struct.pack_into("<I", data, data.index(mark) + shift, value)
    avi.write_bytes(data)


for _what, _place in {
    "2**32 frames": (b"avih", 8 + 16, 2**32 - 1),
    "2**31 columns": (b"avih", 8 + 32, 2**31 - 1),
    "2**31 columns in the stream": (b"strf", 8 + 4, 2**31 - 1),
    "2**32 frames in the stream": (b"strh", 8 + 32, 2**32 - 1),
    "40,000 rows in the stream": (b"strf", 8 + 8, 40_000),
    "a movie list of 4 GB": (b"movi", -4, 2**32 - 1),
    "an index of 4 GB": (b"idx1", 4, 2**32 - 1),
}.items():
    case("miniscope", _what, may_read=True)(lambda path, at=_place: _avi(path, *at))


# --- Zarr -------------------------------------------------------------------------------------


def _zarr(path: Path, name: str, **values: Any) -> Path:
    folder = next(each.parent for each in path.rglob(".zarray") if each.parent.name == name)
    header = json.loads((folder / ".zarray").read_text())
    (folder / ".zarray").write_text(json.dumps(header | values))
    return folder


for _what, _values in {
    "shape of 2**60": {"shape": [2**60, 24, 34]},
    "shape of 10**30": {"shape": [10**30, 24, 34]},
    "chunks of 2**60": {"chunks": [2**60, 24, 34]},
    "chunks of 8 GB": {"chunks": [2**22, 24, 34], "shape": [2**22, 24, 34]},
    "chunks of 0": {"chunks": [0, 24, 34]},
    "negative shape": {"shape": [-1, 24, 34]},
    "items of 2**31 bytes": {"dtype": "|S2147483647"},
}.items():
    case("minian-movie", _what)(
        lambda path, values=_values: _zarr(path, "Y_fm_chk", **values) and None
    )
case("minian", "masks of 10**6 pixels squared")(
    lambda path: _zarr(path, "A", shape=[3, 10**6, 10**6]) and None
)
case("minian", "traces of 2**40 samples")(lambda path: _zarr(path, "C", shape=[3, 2**40]) and None)


@case("minian-movie", "deeply nested header")
def _(path: Path) -> None:
    folder = _zarr(path, "Y_fm_chk")
    (folder / ".zarray").write_text('{"shape": ' + "[" * 100_000)


def _chunk_bomb(codec: dict[str, Any], packed: Callable[[], bytes]) -> Callable[[Path], None]:
    def build(path: Path) -> None:
        folder = _zarr(path, "Y_fm_chk", compressor=codec)
        data = packed()
        for each in folder.iterdir():
            if not each.name.startswith("."):
                each.write_bytes(data)

    return build


def _blosc_header(num_bytes: int) -> bytes:
    packed = bytearray(imagecodecs.blosc_encode(np.zeros(1000, "u1")))
    struct.pack_into("<I", packed, 4, num_bytes)
    return bytes(packed)


for _what, _codec, _pack in (
    ("zlib", {"id": "zlib", "level": 1}, lambda: deflated_zeros(1 << 30)),
    ("gzip", {"id": "gzip", "level": 1}, lambda: imagecodecs.gzip_encode(_zeros(1000))),
    ("zstd", {"id": "zstd", "level": 1}, lambda: imagecodecs.zstd_encode(_zeros(1900))),
    ("lz4", {"id": "lz4"}, lambda: struct.pack("<I", 2**31 - 1) + b"\0" * 100),
    ("lzma", {"id": "lzma", "preset": 1}, lambda: imagecodecs.lzma_encode(_zeros(600), level=0)),
    ("bz2", {"id": "bz2", "level": 1}, lambda: imagecodecs.bz2_encode(_zeros(600))),
    ("blosc", {"id": "blosc", "cname": "lz4"}, lambda: imagecodecs.blosc_encode(_zeros(1900))),
    ("blosc header", {"id": "blosc", "cname": "lz4"}, lambda: _blosc_header(2**31 - 100)),
):
    case("minian-movie", f"chunks that inflate to GBs, {_what}")(_chunk_bomb(_codec, _pack))


# --- MetaMorph, ScanImage ------------------------------------------------------------------------

for _tag in (33628, 33629, 33630, 33631):

    @case("metamorph", f"tag {_tag} of 2**31 entries", may_read=True)
    def _(path: Path, tag: int = _tag) -> None:
        set_tag(path, tag, 0, count=2**31 - 1)


@case("metamorph", "images of 2**31 columns")
def _(path: Path) -> None:
    set_tag(path, WIDTH, _HUGE)


@case("scanimage", "10**9 slices", may_read=True)
def _(path: Path) -> None:
    data = path.read_bytes()
    for old, new in ((b"numSlices = 1", b"numSlices = 9"), (b"numSlices=1", b"numSlices=9")):
        data = data.replace(old, new)
    path.write_bytes(data)


@case("scanimage", "header of 2**32 bytes", may_read=True)
def _(path: Path) -> None:
    data = bytearray(path.read_bytes())
    place = data.index(struct.pack("<I", 117637889))
    struct.pack_into("<II", data, place + 8, 2**32 - 1, 2**32 - 1)
    path.write_bytes(data)


@case("scanimage", "images of 2**31 columns")
def _(path: Path) -> None:
    data = bytearray(path.read_bytes())
    big = data[2] == 43
    (ifd,) = struct.unpack_from("<Q" if big else "<I", data, 8 if big else 4)
    size, start = (20, 8) if big else (12, 2)
    for number in range(8):
        place = ifd + start + number * size
        if struct.unpack_from("<H", data, place) == (WIDTH,):
            struct.pack_into("<H", data, place + 2, 4)
            struct.pack_into("<Q" if big else "<I", data, place + 4, 1)
            struct.pack_into("<I", data, place + (12 if big else 8), _HUGE)
            break
    path.write_bytes(data)


# --- YAML ---------------------------------------------------------------------------------------


def _yaml_case(name: str, text: str, option: str = "--metadata") -> None:
    @case("tiff", f"{name} in a file for {option}")
    def build(path: Path) -> list[str]:
        given = path.with_name("given.yaml")
        given.write_text(text)
        return [str(path), *RATE, option, str(given)]


_ALIASES = "a0: &a0 [ha]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)
for _option in ("--metadata", "--configuration"):
    _yaml_case("billion laughs", _ALIASES, _option)
    _yaml_case("100,000 brackets", "a: " + "[" * 100_000, _option)
    _yaml_case("object of Python", "a: !!python/object/apply:os.system [touch executed]", _option)
_yaml_case("long text repeated 10**5 times",
           "NWBFile:\n  a: &a " + "x" * 10**6 + f"\n  keywords: [{'*a, ' * 10**5}]")  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
