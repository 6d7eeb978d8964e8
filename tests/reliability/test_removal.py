"""NWB files that lost one member: equal, refused by name, or with a note."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nwb_ophys.formats.nwb.sample import write_nwb
from nwb_ophys.simulation.recording import simulate_recording

from .corruption import convert
from .removal import contents_of, hdf5_removals, judged, zarr_removals
from .setting import rounds

_WRONG = ("silent", "foreign", "unnamed")
# A file of another author without them is a whole file: optional facts of the plane, and objects,
# which NWB counts nowhere.
_UNKNOWABLE = re.compile(
    r"^(dataset|header) general/optophysiology/\w+/(description|grid_spacing|imaging_rate)$"
    r"|^(group|dataset|link) (processing|acquisition)/\w+(/\w+)?$"
)


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> dict[str, Path]:
    """A file of another author, and the files that a conversion makes of it."""
    folder = tmp_path_factory.mktemp("originals")
    recording = simulate_recording(num_samples=4, num_cells=3)
    own = write_nwb(folder / "a.nwb", recording.movie, recording)
    found = {"foreign": own}
    for backend, suffix in (("hdf5", ".nwb"), ("zarr", ".nwb.zarr")):
        found[backend] = folder / f"session{suffix}"
        convert(own, None, {}, found[backend], backend)
    return found


@pytest.fixture
def judge(originals, tmp_path) -> Callable[..., list[Any]]:
    """Return a function that judges some removals from one of the files."""

    def copied(origin: Path) -> Path:
        path = tmp_path / origin.name
        if origin.is_dir():
            shutil.rmtree(path, ignore_errors=True)
            return Path(shutil.copytree(origin, path))
        return Path(shutil.copyfile(origin, path))

    def judge(name: str, first: int, step: int) -> list[Any]:
        origin, output = originals[name], tmp_path / "out.nwb"
        notes = convert(copied(origin), None, {}, output)
        whole = contents_of(output), notes
        assert not notes
        removals = list((zarr_removals if origin.is_dir() else hdf5_removals)(origin))
        found = []
        for removal in removals[first::step]:
            output.unlink(missing_ok=True)
            found.append((removal.label, *judged(copied(origin), removal, whole, output)))
        return found

    return judge


@pytest.mark.parametrize("name", ["foreign", "hdf5", "zarr"])
def test_no_member_is_lost_without_a_word(judge, name):
    found = judge(name, 3, rounds(14, 1))
    assert len(found) >= 8
    wrong = [each for each in found if each[1] in _WRONG]
    if name == "foreign":
        wrong = [each for each in wrong if not _UNKNOWABLE.match(each[0])]
    assert not wrong, "\n".join(map(str, wrong))
