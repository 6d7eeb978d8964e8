"""Structures that damage takes away: an error with the name, a note, or no difference."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import tifffile

from .corruption import WRONG, Worker, write_originals
from .setting import rounds

_HEADERS = (".zgroup", ".zarray", ".zattrs")


@pytest.fixture(scope="module")
def worker(tmp_path_factory) -> Worker:
    folder = tmp_path_factory.mktemp("lost")
    for name in ("originals", "work"):
        (folder / name).mkdir()
    recordings = write_originals(folder / "originals", None)
    return Worker(folder / "originals", folder / "work", recordings)


def _judged(worker: Worker, name: str, damage: Callable[[Path], list[Path]]) -> dict[str, str]:
    """Return the result of a conversion after damage, which returns the damaged files."""
    whole = worker.whole_of(name)
    with worker.copied(name) as home:
        files = damage(home)
        result: dict[str, str] = worker.judged(name, home, files, whole, True)
    return result


def _one(home: Path, pattern: str) -> Path:
    return next(iter(sorted(home.rglob(pattern))))


# --- TIFF: the chain of directories -------------------------------------------------------------


def _next_offsets(path: Path) -> list[int]:
    """Return the places of the offsets of the next directories in a classic TIFF."""
    with tifffile.TiffFile(path) as tiff:
        order, places = tiff.byteorder, []
        assert not tiff.is_bigtiff
        for page in tiff.pages:
            content = path.read_bytes()
            (count,) = struct.unpack_from(f"{order}H", content, page.offset)
            places.append(page.offset + 2 + 12 * count)
    return places


@pytest.mark.parametrize("target", ["end", "loop", "itself", "outside"])
@pytest.mark.parametrize("page", [0, 5])
def test_a_chain_of_pages_that_is_cut_or_loops(worker, page, target):
    def damage(home: Path) -> list[Path]:
        path = _one(home, "*.tif*")
        places = _next_offsets(path)
        content = bytearray(path.read_bytes())
        first = struct.unpack_from("<I", content, 4)[0]
        own = struct.unpack_from("<I", content, places[page - 1])[0] if page else first
        offset = {"end": 0, "loop": first, "itself": own, "outside": len(content) + 8}[target]
        struct.pack_into("<I", content, places[page], offset)
        path.write_bytes(content)
        return [path]

    assert _judged(worker, "tiff", damage)["class"] in ("refused", "noted")


# --- headers and footers ------------------------------------------------------------------------


@pytest.mark.parametrize("header", _HEADERS)
@pytest.mark.parametrize("name", ["minian", "nwb-segmentation-of-zarr"])
def test_lost_headers_of_zarr(worker, name, header):
    originals = worker.originals / name
    found = sorted(path.relative_to(originals) for path in originals.rglob(header))
    wrong = []
    for place in found[:: max(len(found) // rounds(5, 100), 1)]:

        def damage(home: Path, place: Path = place) -> list[Path]:
            (home / place).unlink()
            return [home / place]

        result = _judged(worker, name, damage)
        wrong += [(place, result)] * (result["class"] in WRONG)
    assert found
    assert not wrong


@pytest.mark.parametrize("damaged", [b"numTimes", b"period", b"numPixels", b"timingInfo"])
@pytest.mark.parametrize("name", ["inscopix", "inscopix-cells"])
def test_a_footer_of_isxd_without_a_key(worker, name, damaged):
    def damage(home: Path) -> list[Path]:
        path = _one(home, "*.isxd")
        content = path.read_bytes()
        assert damaged in content
        place = content.rindex(damaged)
        path.write_bytes(content[:place] + b"x" + content[place + 1 :])
        return [path]

    assert _judged(worker, name, damage)["class"] == "refused"


def test_an_index_of_avi_that_is_lost(worker):
    def damage(home: Path) -> list[Path]:
        path = _one(home, "*.avi")
        content = path.read_bytes()
        path.write_bytes(content[: content.rindex(b"idx1")])
        return [path]

    assert _judged(worker, "miniscope", damage)["class"] not in WRONG


@pytest.mark.parametrize(("suffix", "kept"), [(".sbx", 0.55), (".mat", 0.5), (".sbx", 0.99)])
def test_data_and_header_of_scanbox_that_do_not_fit(worker, suffix, kept):
    def damage(home: Path) -> list[Path]:
        path = _one(home, f"*{suffix}")
        os.truncate(path, int(path.stat().st_size * kept))
        return [path]

    assert _judged(worker, "scanbox", damage)["class"] == "refused"


# --- cut files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.3, 0.7, 0.999])
@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("cnmfe", "*.mat"),
        ("extract", "*.mat"),
        ("caiman", "*.hdf5"),
        ("numpy", "*.npy"),
        ("suite2p", "stat.npy"),
        ("suite2p", "F.npy"),
        ("bruker", "*.xml"),
        ("thor", "*.xml"),
        ("miniscope", "metaData.json"),
        ("ndtiff", "NDTiff.index"),
    ],
)
def test_files_that_are_cut(worker, name, pattern, share):
    def damage(home: Path) -> list[Path]:
        path = _one(home, pattern)
        os.truncate(path, int(path.stat().st_size * share))
        return [path]

    assert _judged(worker, name, damage)["class"] not in (*WRONG, "same", "other values")


# --- members of a recording ---------------------------------------------------------------------


def test_every_file_of_a_recording_is_missed(worker):
    """A file without which less is written is named."""
    wrong = []
    for name in rounds(("suite2p", "caiman", "bruker"), tuple(worker.recordings)):
        originals = worker.originals / name
        files = [path for path in sorted(originals.rglob("*")) if path.is_file()]
        for path in files if len(files) > 1 else ():
            place = path.relative_to(originals)

            def damage(home: Path, place: Path = place) -> list[Path]:
                (home / place).unlink()
                return [home / place]

            result = _judged(worker, name, damage)
            wrong += [(name, place, result)] * (result["class"] in WRONG)
    assert not wrong


def test_a_plane_of_suite2p_is_lost(worker):
    def damage(home: Path) -> list[Path]:
        plane = _one(home, "plane0")
        shutil.move(plane, plane.with_name("plane1"))
        return [plane]

    assert _judged(worker, "suite2p", damage)["class"] == "noted"
