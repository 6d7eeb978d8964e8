"""Tests of arguments of a wrong kind at the functions that a user calls in Python."""

from __future__ import annotations

from datetime import datetime, timezone

import numpy as np
import pytest

import nwb_ophys
from nwb_ophys import NumpyImagingInterface, OphysConverter
from nwb_ophys.errors import ArgumentError, MetadataError, OptionError, SourceArgumentError
from nwb_ophys.opening import open_recording

START = {"NWBFile": {"session_start_time": datetime(2024, 5, 17, tzinfo=timezone.utc)}}


@pytest.fixture
def movie():
    return NumpyImagingInterface(np.zeros((5, 3, 4), "u2"), sampling_frequency=10.0)


def test_one_path_is_a_recording(tmp_path, monkeypatch):
    np.save(tmp_path / "movie.npy", np.zeros((5, 3, 4), "u2"))
    monkeypatch.chdir(tmp_path)
    for path in ("movie.npy", tmp_path / "movie.npy", ["movie.npy"]):
        found = open_recording(path, options={"sampling_frequency": 10.0})
        assert list(found.converter.interfaces) == ["numpy"]
        found.converter.close()


@pytest.mark.parametrize("given", [["stub"], "movie", 3])
def test_options_are_a_dictionary(movie, tmp_path, given):
    for source in (movie, OphysConverter({"movie": movie})):
        for call in (
            lambda source=source: source.run_conversion(
                tmp_path / "a.nwb", metadata=START, conversion_options=given
            ),
            lambda source=source: source.create_nwbfile(START, given),
        ):
            with pytest.raises(OptionError, match=r"conversion_options is .*; it must be a dict"):
                call()
    assert not list(tmp_path.iterdir())


def test_streams_have_names(movie):
    for given in ([movie], movie, "movie"):
        with pytest.raises(SourceArgumentError, match="takes a dictionary of interfaces by the"):
            OphysConverter(given)


@pytest.mark.parametrize("given", ["2.5", None, np.nan, [1.0, "a"]])
def test_a_starting_time_is_a_number(movie, given):
    with pytest.raises(MetadataError, match="it must be a finite number of seconds"):
        movie.set_aligned_starting_time(given)
    for number in (2, np.float32(2), np.array(2.0)):
        movie.set_aligned_starting_time(number)
        assert movie.get_timestamps()[0] == 2


def test_what_is_written_and_changed(tmp_path):
    with pytest.raises(
        ArgumentError, match=r"nwbfile is a str; give a pynwb\.NWBFile, then the pa"
    ):
        nwb_ophys.write_nwbfile("a.nwb", tmp_path / "b.nwb")
    with pytest.raises(ArgumentError, match=r"changes is \['a'\]; it must be a dictionary"):
        nwb_ophys.edit_metadata(tmp_path / "b.nwb", ["a"])


def test_python_can_suggest_a_name_of_the_package():
    with pytest.raises(AttributeError, match="has no attribute 'TifImagingInterface'") as fault:
        nwb_ophys.TifImagingInterface  # noqa: B018
    # Python prints "Did you mean: 'TiffImagingInterface'?" of these.
    assert fault.value.name == "TifImagingInterface"
    assert "TiffImagingInterface" in dir(fault.value.obj)
