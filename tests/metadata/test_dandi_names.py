"""Names of files in the DANDI archive."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pynwb
import pytest
from pynwb.device import Device
from pynwb.file import Subject
from pynwb.image import GrayscaleImage, ImageSeries
from pynwb.ophys import Fluorescence, OpticalChannel

from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata.dandi_names import dandi_path, modalities_of

START = datetime.datetime(2024, 5, 17, 14, 30, tzinfo=datetime.timezone.utc)


# Expected values are those of "dandi organize" of dandi-cli 0.81.
NAMES = [
    ("M7", "day1", "sub-M7/sub-M7_ses-day1_ophys.nwb"),
    ("M_7 left", "2024.05/a", "sub-M-7-left/sub-M-7-left_ses-2024-05-a_ophys.nwb"),
    ("Ä7", None, "sub-Ä7/sub-Ä7_ses-20240517T143000_ophys.nwb"),
]


@pytest.mark.parametrize(("subject", "session", "name"), NAMES)
def test_names(subject, session, name):
    assert str(dandi_path(subject, session, START)) == name


def test_a_start_at_midnight_states_the_day_only():
    midnight = START.replace(hour=0, minute=0)
    assert dandi_path("M7", None, midnight).name == "sub-M7_ses-20240517_ophys.nwb"


@pytest.mark.parametrize("subject", [None, "", "__", "/", "x" * 300])
def test_a_subject_without_a_name_is_refused(subject):
    with pytest.raises(MetadataError, match="subject_id"):
        dandi_path(subject, "day1")


def test_modalities_are_those_of_groups_in_the_file():
    image = GrayscaleImage(name="mean", data=np.zeros((3, 4)))
    movie = ImageSeries(name="camera", data=np.zeros((2, 3, 4)), rate=30.0, unit="n.a.")
    assert modalities_of([Device(name="d"), image]) == ()
    assert modalities_of([movie, Fluorescence(), image]) == ("image", "ophys")
    assert dandi_path("M7", "1", modalities=("ophys", "image")).name.endswith("_image+ophys.nwb")


def _write(path, subject, session, start=START):
    nwbfile = pynwb.NWBFile(
        session_description="a", identifier="a", session_start_time=start, session_id=session
    )
    nwbfile.subject = Subject(subject_id=subject)
    channel = OpticalChannel(name="a", description="a", emission_lambda=520.0)
    nwbfile.create_imaging_plane(
        name="a",
        optical_channel=channel,
        description="a",
        device=nwbfile.create_device("a"),
        excitation_lambda=920.0,
        indicator="a",
        location="VISp",
    )
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(nwbfile)


def _organized(dandi, folder):
    """Return the name that "dandi organize" gives each file, by its name in the folder."""
    lines = dandi("organize", "-f", "dry", "-d", folder.parent, *folder.glob("*.nwb")).splitlines()
    pairs = [line.removeprefix("DRY: ").split(" -> ") for line in lines if " -> " in line]
    return {Path(source).name: name for source, name in pairs}


def test_names_are_those_of_dandi_organize(dandi, tmp_path):
    (tmp_path / "all").mkdir()
    for index, (subject, session, _) in enumerate(NAMES):
        _write(tmp_path / "all" / f"{index}.nwb", subject, session)
    expected = {f"{index}.nwb": name for index, (*_, name) in enumerate(NAMES)}
    assert _organized(dandi, tmp_path / "all") == expected


def test_names_at_midnight_are_those_of_dandi_organize(dandi, tmp_path):
    (tmp_path / "days").mkdir()
    # The names of a single session, and of sessions that are all alike, do not state it.
    days = [START.replace(day=day, hour=0, minute=0) for day in (17, 18)]
    for index, day in enumerate(days):
        _write(tmp_path / "days" / f"{index}.nwb", "M7", None, day)
    expected = {f"{index}.nwb": str(dandi_path("M7", None, day)) for index, day in enumerate(days)}
    assert _organized(dandi, tmp_path / "days") == expected
