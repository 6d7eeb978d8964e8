"""Case e: movies of several lengths, generated while they are written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from benchmarks.model import Comparison, Contender, Job, Setup
from benchmarks.ours import write_movie
from benchmarks.sources import FIELD_SHAPE, load_noise, make_noise, repeating_extractor

#: Uncompressed length in GB, and how many rounds are enough.
LENGTHS = {2: 5, 5: 5, 10: 5, 20: 5}

#: Frames of the block in memory that is shown over and over: 210 MB.
_BLOCK_FRAMES = 400
_FRAME_BYTES = 2 * FIELD_SHAPE[0] * FIELD_SHAPE[1]


def _prepare(gigabytes: float) -> Callable[[Setup], Job]:
    def prepare(setup: Setup) -> Job:
        count = max(2, round(gigabytes * setup.scale * 1e9 / _FRAME_BYTES))
        num_bytes = count * _FRAME_BYTES
        _check_space(setup.target, num_bytes)
        extractor = repeating_extractor(load_noise(setup.sources, _BLOCK_FRAMES), count)
        return Job(run=write_movie(extractor, setup.target, "hdf5"), num_bytes=num_bytes)

    return prepare


def _check_space(target: Path, num_bytes: int) -> None:
    """Raise an OSError if the disk has no room for the uncompressed movie."""
    free = shutil.disk_usage(target.parent).free
    if free < num_bytes:
        raise OSError(
            f"{free / 1e9:.0f} GB are free, but a movie of {num_bytes / 1e9:.0f} GB would be "
            "written; give a folder on a larger disk with --folder."
        )


def length_comparisons() -> list[Comparison]:
    """Return the comparison of case e."""
    contenders = [
        Contender(name=f"{gigabytes} GB", prepare=_prepare(gigabytes), max_rounds=rounds)
        for gigabytes, rounds in LENGTHS.items()
    ]
    return [
        Comparison(
            key="e-length",
            title="Movies of several lengths to HDF5, nwb_ophys",
            timed=(
                "Frames are slices of a block of 210 MB in memory. Only writing is timed. The "
                "level of memory includes the block."
            ),
            contenders=contenders,
            make_sources=make_noise,
            least_rounds=5,
        )
    ]
