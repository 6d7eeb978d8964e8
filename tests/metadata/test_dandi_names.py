"""Names of files in the DANDI archive."""

from __future__ import annotations

import datetime

import numpy as np
import pytest
from pynwb.device import Device
from pynwb.image import GrayscaleImage, ImageSeries
from pynwb.ophys import Fluorescence

from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata.dandi_names import dandi_path, modalities_of

START = datetime.datetime(2024, 5, 17, 14, 30, tzinfo=datetime.timezone.utc)


# Expected values are those of "dandi organize" of dandi-cli 0.81.
@pytest.mark.parametrize(
    ("subject", "session", "name"),
    [
        ("M7", "day1", "sub-M7/sub-M7_ses-day1_ophys.nwb"),
        ("M_7 left", "2024.05/a", "sub-M-7-left/sub-M-7-left_ses-2024-05-a_ophys.nwb"),
        ("Ä7", None, "sub-Ä7/sub-Ä7_ses-20240517T143000_ophys.nwb"),
    ],
)
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
