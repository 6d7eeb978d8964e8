"""Damaged recordings of all formats: refused by name, noted, or converted as if they were whole."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from .corruption import WRONG, Pool, cases_of, write_originals
from .setting import IS_LONG, rounds

# Real recordings in the short setting: small ones of several types of files.
_SMALL = ("real-imagej", "real-scanimage-volume", "real-inscopix-cells", "real-nwb")


def _data() -> Path | None:
    stated = os.environ.get("NWB_OPHYS_TEST_DATA")
    folder = Path(stated) if stated else Path(__file__).resolve().parents[3] / "shared" / "data"
    return folder if folder.is_dir() else None


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one, since files are flushed to the disk."""
    memory = Path("/dev/shm")
    if not IS_LONG or not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="nwb_ophys-") as place:
        yield Path(place)


@pytest.mark.skipif(os.name != "posix", reason="the limits of the harness need POSIX")
def test_no_damage_gets_through(folder: Path) -> None:
    originals, work = folder / "originals", folder / "work"
    originals.mkdir()
    work.mkdir()
    recordings = write_originals(originals, _data(), None if IS_LONG else _SMALL)
    seed = int(os.environ.get("NWB_OPHYS_RELIABILITY_SEED", "1"))
    cases = cases_of(recordings, rounds(60, 5200), seed)
    results = Pool(originals, work, recordings).run(cases, num_workers=rounds(1, 2))
    assert len(results) == len(cases)
    wrong = [result for result in results if result["class"] in WRONG]
    print(Counter(result["class"] for result in results))
    assert not wrong, "\n".join(map(str, wrong))
