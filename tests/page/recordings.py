"""Folders of real recordings, and the comparison of two files, for the tests of the page."""

from __future__ import annotations

import os
import shlex
import shutil
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import h5py
import numpy as np
import pytest

from nwb_ophys.cli import main
from nwb_ophys.sessions import run_sessions

FACTS = {
    "NWBFile.session_start_time": "2024-05-17T14:30:00+02:00",
    "NWBFile.experimenter": "Curie, Marie\nMeitner, Lise",
    "Subject.subject_id": "M7",
    "Subject.species": "Mus musculus",
    "Subject.sex": "F",
    "Subject.age": "P90D",
}
"""Facts that a user adds, by the key of the field."""


@attrs.frozen
class Recording:
    """A folder with copies of real recordings.

    Attributes
    ----------
    sources : Mapping of str to str
        Paths of the recordings by the name that they get in the folder.
    options : Mapping of str to str
        Values that the page must ask for.
    unticked : tuple of str
        Recordings that are left out.
    streams : tuple of str
        Neurodata types of the streams in the file.
    """

    sources: dict[str, str]
    streams: tuple[str, ...]
    options: dict[str, str] = attrs.field(factory=dict)
    unticked: tuple[str, ...] = ()


RECORDINGS = {
    "scanimage and suite2p": Recording(
        {
            "movie": "scanimage/volumetric_single_channel_single_file_no_flyback",
            "suite2p": "suite2p/v1.1.0/suite2p",
        },
        ("TwoPhotonSeries", "PlaneSegmentation"),
    ),
    "bruker": Recording({"day1": "bruker"}, ("TwoPhotonSeries",)),
    "miniscope": Recording({"day1": "miniscope/C6-J588_Disc5"}, ("OnePhotonSeries",)),
    "caiman": Recording(
        {
            "estimates.hdf5": "caiman/caiman_analysis.hdf5",
            "other.hdf5": "caiman/v1.12.1_neurofinder_crop.hdf5",
        },
        ("PlaneSegmentation",),
        unticked=("other.hdf5",),
    ),
    "plain tiff": Recording(
        {"movie.tif": "tiff/video-gcamp.tif"},
        ("TwoPhotonSeries",),
        options={"sampling_frequency": "9.99872"},
    ),
}


def real_data() -> Path | None:
    """Return the folder of the real recordings, or None where it is absent."""
    stated = os.environ.get("NWB_OPHYS_TEST_DATA", "../shared/data")
    return Path(stated).resolve() if Path(stated).is_dir() else None


def copied(name: str, root: Path) -> Path:
    """Copy the recordings of one folder, and return it."""
    folder = root / "M7"
    folder.mkdir()
    for own, source in RECORDINGS[name].sources.items():
        place = real_data() / source
        if place.is_dir():
            shutil.copytree(place, folder / own)
        else:
            shutil.copy(place, folder / own)
    return folder


# Values that are new in every file, and the record of how it was made.
_OWN = ("identifier", "file_create_date", "object_id", "nwb_ophys_record", "source_script")


def contents_of(path: Path) -> dict[str, object]:
    """Return all datasets and attributes of an HDF5 file but those that are new in every file."""
    with h5py.File(path) as file:
        return dict(_walked(file, ""))


def _walked(group: h5py.Group, where: str) -> Iterator[tuple[str, object]]:
    for name, value in group.attrs.items():
        if name not in _OWN and not isinstance(value, h5py.Reference):
            yield f"{where}@{name}", repr(np.asarray(value).tolist())
    for name, item in group.items():
        inner = f"{where}/{name}"
        if any(own in inner for own in (*_OWN, "specifications")):
            continue
        if isinstance(item, h5py.Group):
            yield from _walked(item, inner)
        elif item.dtype.kind == "O" and h5py.check_ref_dtype(item.dtype):
            yield inner, item.shape
        elif item.dtype.kind in "OV" or item.size == 1:
            yield inner, repr(item[()])
        else:
            yield inner, (str(item.dtype), np.asarray(item[()]).tobytes())  # NaN is not NaN


def run(command: str, **replaced: str) -> int:
    """Run a command as a shell would read it, with some of its words replaced."""
    words = shlex.split(command.replace("\\\n", " "))
    assert words[0] == "nwb-ophys"
    with pytest.raises(SystemExit) as end:
        main([replaced.get(word, word) for word in words[1:]])
    return end.value.code


def run_batch(specification: Path) -> int:
    """Convert the sessions of a specification in this process, which is faster than in another."""
    # The notes of a session are warnings, which a process of its own would keep.
    with warnings.catch_warnings(record=True), ThreadPoolExecutor(1) as here:
        return run_sessions(specification, here).exit_code


def types_in(path: Path) -> set[str]:
    """Return the neurodata types in an HDF5 file."""
    found: set[str] = set()
    with h5py.File(path) as file:
        file.visititems(lambda _, item: found.add(str(item.attrs.get("neurodata_type"))))
    return found
