"""Tests of trials from tables."""

from __future__ import annotations

import json
import warnings

import h5py
import numpy as np
import pynwb
import pytest

from nwb_ophys import OphysConverter, verify
from nwb_ophys.errors import (
    MetadataError,
    OptionError,
    SourceArgumentError,
    SourceError,
    SourceNotFoundError,
)
from nwb_ophys.formats import NumpyImagingInterface
from nwb_ophys.interfaces import TrialsInterface
from nwb_ophys.storage import get_backend

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
TABLE = """start_time,stop_time,contrast,correct,stimulus,subject code,count
1,2,0.5,True,left,007,3
2.5,4.25,1,False,"right, far",012,n/a
4.25,4.25,0,true,ñ,100,5
"""


def table(tmp_path, text=TABLE, name="trials.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_trials_have_their_types_in_the_file(tmp_path):
    path = tmp_path / "out.nwb"
    TrialsInterface(table(tmp_path)).run_conversion(path, metadata=START, progress=False)
    with h5py.File(path) as file:
        trials = file["intervals/trials"]
        assert trials.attrs["neurodata_type"] == "TimeIntervals"
        names = ["start_time", "stop_time", "contrast", "correct", "stimulus", "subject code"]
        assert list(trials.attrs["colnames"]) == [*names, "count"]
        np.testing.assert_array_equal(trials["start_time"], [1, 2.5, 4.25])
        np.testing.assert_array_equal(trials["stop_time"], [2, 4.25, 4.25])
        np.testing.assert_array_equal(trials["contrast"], [0.5, 1, 0])
        assert trials["correct"].dtype == bool
        np.testing.assert_array_equal(trials["correct"], [True, False, True])
        texts = list(trials["stimulus"].asstr())
        assert texts == ["left", "right, far", "ñ"]
        assert list(trials["subject code"].asstr()) == ["007", "012", "100"]
        np.testing.assert_array_equal(trials["count"], [3, np.nan, 5])
        np.testing.assert_array_equal(trials["id"], [0, 1, 2])
        assert "trials.csv" in trials["contrast"].attrs["description"]
    assert not pynwb.validate(path=str(path))


@pytest.mark.parametrize("form", ["zones", "no zones", "duration"])
def test_trials_that_begin_at_dates_and_times(tmp_path, form):
    """They count from the start of the session of the file."""
    rows = {
        "zones": "start_time,stop_time\n2024-05-17T14:30:01.5+02:00,2024-05-17T12:30:02.25Z\n",
        "no zones": "start_time,stop_time\n2024-05-17 14:30:01.5,2024-05-17 14:30:02.25\n",
        "duration": "start_time,ms (ms)\n2024-05-17T14:30:01.5+02:00,750\n",
    }[form]
    duration = {"duration": "ms"} if form == "duration" else {}
    trials = TrialsInterface(table(tmp_path, rows), **duration)
    assert "from 2024-05-17 1" in trials.summary()
    path = trials.run_conversion(tmp_path / "out.nwb", metadata=START, progress=False)
    with h5py.File(path) as file:
        assert file["intervals/trials/start_time"][()] == [1.5]
        assert file["intervals/trials/stop_time"][()] == [2.25]
    report = verify(path, sources=[tmp_path / "trials.csv"])
    assert report.is_equal
    assert "intervals/trials/start_time" in report.compared_with_source


@pytest.mark.parametrize(
    ("row", "given", "message"),
    [
        ("2024-05-17T14:30:01,2.5", {}, "'stop_time' must have dates and times in the form"),
        ("2024-05-17T14:30:01,2024-05-17T14:30:02Z", {}, "with or without time zones"),
        ("2024-05-17T14:30:02,2024-05-17T14:30:01", {}, "line 2: the trial ends before it begins"),
        ("2024-05-17T14:30:01,2024-05-17T14:30:02", {"zero": 2.0}, "leave zero out"),
        ("2024-05-17T14:30:01,2024-05-17T14:30:02", {"unit": "ms"}, "unit=ms is given, but"),
        ("1.5,2024-05-17T14:30:02", {}, "'2024-05-17T14:30:02' is not a number"),
    ],
)
def test_dates_and_times_of_trials_that_do_not_fit_are_refused(tmp_path, row, given, message):
    path = table(tmp_path, f"start_time,stop_time\n{row}\n")
    with pytest.raises((SourceError, OptionError), match=message):
        TrialsInterface(path, **given)


def test_trials_beside_a_movie_in_each_backend(tmp_path, backend):
    movie = NumpyImagingInterface(np.zeros((9, 4, 5), "u2"), sampling_frequency=1.0)
    converter = OphysConverter({"movie": movie})
    converter.add_trials(table(tmp_path))
    path = converter.run_conversion(
        tmp_path / f"out.{backend}", metadata=START, backend=backend, progress=False
    )
    with get_backend(backend).open(path, "r") as io:
        trials = io.read().trials.to_dataframe()
    assert list(trials["correct"]) == [True, False, True]
    assert list(trials["stimulus"]) == ["left", "right, far", "ñ"]
    with pytest.raises(SourceArgumentError, match="stream 'trials' already"):
        converter.add_trials(table(tmp_path))


def test_trials_are_compared_with_their_table(tmp_path):
    path = tmp_path / "out.nwb"
    TrialsInterface(table(tmp_path)).run_conversion(path, metadata=START, progress=False)
    report = verify(path, sources=[tmp_path / "trials.csv"])
    assert report.is_equal
    with h5py.File(path, "r+") as file:
        file["intervals/trials/contrast"][1] = 0.9
    assert not verify(path, sources=[tmp_path / "trials.csv"]).is_equal


def test_trials_are_appended_once(tmp_path):
    path = tmp_path / "out.nwb"
    movie = NumpyImagingInterface(np.zeros((9, 4, 5), "u2"), sampling_frequency=1.0)
    movie.run_conversion(path, metadata=START, progress=False)
    trials = TrialsInterface(table(tmp_path))
    trials.run_conversion(path, append=True, progress=False)
    before = path.read_bytes()
    with pytest.raises(MetadataError, match="has 3 trials already"):
        trials.run_conversion(path, append=True, progress=False)
    assert path.read_bytes() == before


def test_other_names_units_and_zero(tmp_path):
    text = "id\tonset\tduration (ms)\tcue_time\n7\t10\t500\t10.2\n3\t11\t250\t11.1\n"
    path = table(tmp_path, text.replace("onset", "onset (ms)"), "events.tsv")
    with pytest.warns(UserWarning, match="not converted .*'cue_time'"):
        trials = TrialsInterface(path, start="onset", duration="duration", zero=0.005).extractor
    np.testing.assert_allclose(trials.start_times, [0.005, 0.006])
    np.testing.assert_allclose(trials.stop_times, [0.505, 0.256])
    np.testing.assert_array_equal(trials.ids, [7, 3])
    with pytest.raises(OptionError, match=r"unit=s is given, but .* states the unit 'ms'"):
        TrialsInterface(path, start="onset", duration="duration", unit="s")


def test_the_index_of_pandas_numbers_the_trials(tmp_path):
    trials = TrialsInterface(table(tmp_path, ",start_time,stop_time\n4,1,2\n5,2,3\n")).extractor
    np.testing.assert_array_equal(trials.ids, [4, 5])
    assert trials.columns == {}


def test_descriptions_of_a_sidecar(tmp_path):
    stated = {
        "contrast": "Contrast of the grating.",
        "stimulus": {"LongName": "Side", "Units": "n/a", "Levels": {"left": "the left screen"}},
        "correct": {"Description": "Whether the choice was right."},
        "gone": "Not in the table.",
    }
    path = table(tmp_path)
    path.with_suffix(".json").write_text(json.dumps(stated))
    with pytest.warns(UserWarning, match="does not have: 'gone'"):
        descriptions = TrialsInterface(path).extractor.descriptions
    assert descriptions["contrast"] == "Contrast of the grating."
    assert descriptions["stimulus"] == "Side Unit: n/a. left: the left screen."
    assert descriptions["correct"] == "Whether the choice was right."
    assert descriptions["count"] == "count of the trial, from 'trials.csv'."
    with pytest.raises(SourceNotFoundError, match=r"no\.json"):
        TrialsInterface(path, descriptions_path=tmp_path / "no.json")
    path.with_suffix(".json").write_text("[1")
    with pytest.raises(SourceError, match=r"trials\.json"):
        TrialsInterface(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("onset,offset\n1,2\n", r"no column 'start_time'.*'onset', 'offset'.*start=onset"),
        ("start_time,end\n1,2\n", "no column 'stop_time'.*stop=end"),
        ("start_time,duration\n1,2\n", "duration=duration"),
        ("start_time,stop_time\n", "holds no trials"),
        ("start_time,stop_time\n1,2\n2,nan\n", "line 3: the trial has a time that is not"),
        ("start_time,stop_time\n1,2\n3,2.9\n", "line 3: the trial ends before it begins"),
        ("start_time,stop_time\n1,2\n\n0.5,3\n", "line 4: the trial begins before"),
        ("start_time,stop_time\n1,2\nx,3\n", "line 3, column 'start_time': 'x' is not a number"),
        ("start_time,stop_time,a,a\n1,2,3,4\n", "several columns 'a'"),
        ("start_time,stop_time,id\n1,2,0\n2,3,0\n", "'id' .* different integer"),
        ("start_time,start_time_ms,stop_time\n1,2,3\n", "several columns 'start_time'"),
        ("start_time,stop_time,a/b\n1,2,3\n", "cannot have the name 'a/b'"),
        ("start_time,stop_time,tags\n1,2,3\n", "cannot have the name 'tags'"),
        ("1,2\n2,3\n", r"no column 'start_time'"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, text, message):
    with pytest.raises((SourceError, MetadataError), match=message):
        TrialsInterface(table(tmp_path, text))


@pytest.mark.parametrize(("unit", "is_noted"), [("s", True), ("ms", False)])
def test_trials_outside_of_the_recording_are_noted(tmp_path, unit, is_noted):
    movie = NumpyImagingInterface(np.zeros((9, 4, 5), "u2"), sampling_frequency=3.0)
    movie.set_aligned_timestamps(np.arange(9) / 3 + 0.1)
    path = tmp_path / "trials.csv"
    path.write_text("start_time,stop_time\n500,700\n1500,1700\n2500,9000\n")
    converter = OphysConverter({"movie": movie})
    converter.add_trials(path, unit=unit)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        converter.create_nwbfile(START)
    notes = [str(each.message) for each in caught]
    assert is_noted == any(
        "3 of 3 trials begin outside of the time of the recording, 0.1 s to " in note
        and "the first one at 500 s" in note
        for note in notes
    ), notes
