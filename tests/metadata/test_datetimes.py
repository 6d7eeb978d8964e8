"""Datetimes of clocks that were not set."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import nwb_ophys
from nwb_ophys import testing
from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata import earliest_start, is_unset_clock, merge_description
from nwb_ophys.metadata.datetimes import in_own_zone, parse_datetime, plain_iso, with_zone

_ZEROS = [
    datetime(1, 1, 1),
    datetime(1601, 1, 1),
    datetime(1899, 12, 30),
    datetime(1904, 1, 1),
    datetime(1970, 1, 1),
    datetime(1980, 1, 1),
]
_SHIFTS = [
    timedelta(0),
    timedelta(minutes=7),
    timedelta(hours=-11),
    timedelta(hours=13),
    timedelta(days=1),
]


@pytest.mark.parametrize("zero", _ZEROS, ids=lambda zero: str(zero.date()))
@pytest.mark.parametrize("shift", _SHIFTS, ids=str)
@pytest.mark.parametrize("zone", [None, timezone.utc, timezone(timedelta(hours=-8))])
def test_the_zero_of_a_clock_is_not_set_whatever_the_time_zone(zero, shift, zone):
    if zero.year > 1 or shift >= timedelta(0):
        assert is_unset_clock((zero + shift).replace(tzinfo=zone))


@pytest.mark.parametrize(
    "moment", ["2024-05-17", "1900-01-01", "1998-01-01", "1980-02-01", "1970-06-01", "2000-01-01"]
)
def test_other_dates_are_those_of_a_clock_that_runs(moment):
    assert not is_unset_clock(datetime.fromisoformat(moment))


@pytest.mark.parametrize(
    "value", [datetime(1970, 1, 1, 0, 5), "1904-01-01T00:00:00Z", datetime(1, 1, 1)]
)
def test_the_start_of_a_clock_that_was_not_set_is_left_out_with_a_note(value):
    stated = {"NWBFile": {"session_start_time": value, "notes": "a"}, "Ophys": {"a": 1}}
    with pytest.warns(UserWarning, match=r"clock that was not set.*NWBFile\.session_start_time"):
        merged = merge_description({"NWBFile": {"identifier": "x"}}, stated)
    assert merged["NWBFile"] == {"identifier": "x", "notes": "a"}
    assert merged["Ophys"] == {"a": 1}
    assert stated["NWBFile"]["session_start_time"] == value


def test_a_start_that_no_clock_has_is_reported_later():
    merged = merge_description({}, {"NWBFile": {"session_start_time": "yesterday"}})
    assert merged["NWBFile"]["session_start_time"] == "yesterday"


def test_the_earliest_start_is_that_of_the_clocks_that_were_set():
    first, second = datetime(2024, 5, 17), datetime(2024, 5, 18, tzinfo=timezone.utc)
    assert earliest_start([second, None, datetime(1970, 1, 1), first]) == first
    assert earliest_start([datetime(1970, 1, 1)]) == datetime(1970, 1, 1)
    assert earliest_start([None]) is None


def _inscopix(folder: Path, movie: Any) -> Any:
    path = testing.write_inscopix(folder / "a.isxd", movie.astype("u2"), start=300.0)
    return nwb_ophys.InscopixImagingInterface(path)


def _femtonics(folder: Path, movie: Any) -> Any:
    start = datetime(1970, 1, 1, 0, 1, tzinfo=timezone.utc)
    path = testing.write_femtonics(folder / "a.mesc", movie.astype("u2"), start=start)
    return nwb_ophys.FemtonicsImagingInterface(path)


def _miniscope(folder: Path, movie: Any) -> Any:
    start = datetime(1904, 1, 1, 1, tzinfo=timezone.utc)
    testing.write_miniscope(folder / "a", movie.astype("u1"), start=start)
    return nwb_ophys.MiniscopeImagingInterface(folder / "a")


def _scanimage(folder: Path, movie: Any) -> Any:
    start = datetime(1601, 1, 1)
    (path,) = testing.write_scanimage(folder / "a.tif", movie, session_start_time=start)
    return nwb_ophys.ScanImageImagingInterface(path)


def _nwb(folder: Path, movie: Any) -> Any:
    path = testing.write_nwb(folder / "a.nwb", movie)
    with h5py.File(path, "a") as file:
        file["session_start_time"][()] = b"1969-12-31T18:00:00-06:00"
    return nwb_ophys.NwbImagingInterface(path)


@pytest.mark.parametrize("open_format", [_inscopix, _femtonics, _miniscope, _scanimage, _nwb])
def test_no_format_states_the_start_of_a_clock_that_was_not_set(tmp_path, open_format):
    movie = np.arange(6 * 48 * 64).reshape(6, 48, 64).astype("i2") % 100
    interface = open_format(tmp_path, movie)
    with pytest.warns(UserWarning, match="clock that was not set"):
        assert "session_start_time" not in interface.get_metadata()["NWBFile"]
    target = tmp_path / "o.nwb"
    with (
        pytest.warns(UserWarning, match="clock that was not set"),
        pytest.raises(MetadataError, match="lacks 'session_start_time'"),
    ):
        interface.run_conversion(target, progress=False)
    given = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
    with pytest.warns(UserWarning, match="clock that was not set"):
        interface.run_conversion(target, metadata=given, progress=False)
    with h5py.File(target) as file:
        assert file["session_start_time"][()] == b"2024-05-17T14:30:00+02:00"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("2024-05-17T14:03:21Z", "2024-05-17T14:03:21+00:00"),
        ("2024-05-17T14:03:21.5+02:00", "2024-05-17T14:03:21.500000+02:00"),
        ("2024-05-17 14:03:21.1234567", "2024-05-17 14:03:21.123456"),
        ("2024-05-17T14:03:21.25+0200", "2024-05-17T14:03:21.250000+02:00"),
        ("2024-05-17T14:03:21-0530", "2024-05-17T14:03:21-05:30"),
        ("2024-05-17", "2024-05-17"),
        ("17.05.2024", "17.05.2024"),
    ],
)
def test_iso_texts_have_the_form_that_python_3_10_reads(text, plain):
    assert plain_iso(text) == plain
    if text != "17.05.2024":
        assert parse_datetime(text, "x") == datetime.fromisoformat(plain)


class _Windows(datetime):
    """A date and time before 1970 on Windows, which knows no time zone of it."""

    def astimezone(self, tz: Any = None) -> datetime:
        if tz is None:
            raise OSError(22, "Invalid argument")
        return super().astimezone(tz)


def test_times_before_1970_have_a_zone_on_windows(monkeypatch):
    monkeypatch.setattr("time.timezone", -3600)
    with pytest.warns(UserWarning, match=r"zone of this computer: 1900-01-01 00:00:00\+01:00"):
        assert with_zone(_Windows(1900, 1, 1), "start").utcoffset() == timedelta(hours=1)
    stated = _Windows(1900, 1, 1, tzinfo=timezone.utc)
    assert in_own_zone(stated) == datetime(1900, 1, 1, tzinfo=timezone.utc)
    assert in_own_zone(stated).utcoffset() == timedelta(hours=1)
