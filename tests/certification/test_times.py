"""Times that a user gave are compared with their file, like everything else with its source."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from nwb_ophys import OphysConverter, TiffImagingInterface, verify
from nwb_ophys.opening import apply_times
from nwb_ophys.testing import simulate_recording, write_tiff

METADATA = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
SERIES = "acquisition/TwoPhotonSeries"
UNEVEN = np.arange(12) / 30.0 + np.linspace(0, 0.01, 12) ** 2 * 30
PULSES = {"column": "ttl", "rate": 1000.0, "zero": 0.05}


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    recording = simulate_recording(num_samples=12, num_rows=24, num_columns=34, num_cells=1)
    write_tiff(folder / "movie.tif", recording.movie)
    return folder


def table(raw, values=UNEVEN):
    path = raw / "clock.csv"
    path.write_text("time_ms\n" + "\n".join(f"{1e3 * each:.6f}" for each in values))
    return {"times": path}


def dates(raw):
    path = raw / "clock.csv"
    moments = np.datetime64("2024-05-17T14:30:01", "ns") + (UNEVEN * 1e9).astype("m8[ns]")
    path.write_text("time\n" + "\n".join(map(str, moments)))
    return {"times": path}


def pulses(raw):
    trace = np.zeros(600, np.int16)
    for start in (np.round(UNEVEN * 1000) + 60).astype(int):
        trace[start : start + 5] = 100
    with h5py.File(raw / "clock.h5", "w") as file:
        file["ttl"] = trace
    return {"pulses": {"file": raw / "clock.h5", **PULSES}}


def converted(raw, target, then=None, *, is_alone=True, **given):
    movie = TiffImagingInterface(raw / "movie.tif", sampling_frequency=30.0)
    source = movie if is_alone else OphysConverter({"a": movie})
    apply_times(source, **given)
    if then is not None:
        then(movie)
    return source.run_conversion(target, metadata=METADATA, progress=False)


@pytest.mark.parametrize(("write", "is_alone"), [(table, True), (dates, False), (pulses, True)])
def test_times_are_compared_with_their_file(raw, tmp_path, write, is_alone):
    given = write(raw)
    path = converted(raw, tmp_path / "a.nwb", is_alone=is_alone, **given)
    report = verify(path, raw)
    assert report.is_equal, str(report)
    assert f"{SERIES}/timestamps" in report.compared_with_source
    assert report.answer.is_yes, str(report.answer)
    assert not report.not_compared
    with h5py.File(path, "r+") as file:
        file[f"{SERIES}/timestamps"][3] += 1e-6
    report = verify(path, raw)
    (found,) = [each for each in report.differences if each.index is not None]
    assert found.location == f"{SERIES}/timestamps"
    assert found.index == (3,)


@pytest.mark.filterwarnings("ignore:By its new times")
def test_a_constant_rate_is_compared_with_its_file(raw, tmp_path):
    path = converted(raw, tmp_path / "a.nwb", **table(raw, 2 + np.arange(12) / 25))
    report = verify(path, raw)
    assert report.answer.is_yes
    assert f"{SERIES}/starting_time" in report.compared_with_source
    with h5py.File(path, "r+") as file:
        file[f"{SERIES}/starting_time"].attrs["rate"] = 30.0
        file[f"{SERIES}/starting_time"][()] = 0.0
    messages = [each.message for each in verify(path, raw).differences]
    assert "0 s in the file, 2 s in the source" in messages
    assert "30 Hz in the file, 25 Hz in the source" in messages


def test_a_shift_of_times_is_part_of_the_record(raw, tmp_path):
    def shift(movie):
        movie.set_aligned_starting_time(5.25)

    path = converted(raw, tmp_path / "a.nwb", shift, **table(raw))
    report = verify(path, raw)
    assert report.answer.is_yes, str(report.answer)
    assert f"{SERIES}/timestamps" in report.compared_with_source
    path = converted(raw, tmp_path / "b.nwb", shift)
    report = verify(path, raw / "movie.tif")
    assert report.answer.is_yes
    assert not report.not_compared


def test_a_file_of_times_that_differs_or_is_absent_is_named(raw, tmp_path):
    path = converted(raw, tmp_path / "a.nwb", **table(raw))
    report = verify(path, raw / "movie.tif")
    assert report.is_equal
    assert report.answer.is_yes
    (line,) = report.not_compared
    assert line == (
        f"'{SERIES}/timestamps': the times were set from 'clock.csv', which is not among the "
        "sources"
    )
    table(raw, UNEVEN + 1)
    report = verify(path, raw)
    assert report.is_equal
    assert not report.answer.is_yes
    assert "1 file of times is not as converted" in str(report.answer)


def test_times_that_were_set_in_python_are_named(raw, tmp_path):
    path = converted(raw, tmp_path / "a.nwb", lambda movie: movie.set_aligned_timestamps(UNEVEN))
    (line,) = verify(path, raw).not_compared
    assert line == f"'{SERIES}/timestamps': the times were set by the user"


def test_files_of_one_name_in_several_folders_are_not_mistaken(raw, tmp_path):
    """A record has only the names of files outside of the folder of the sources."""
    recording = simulate_recording(num_samples=12, num_rows=24, num_columns=34, num_cells=1)
    write_tiff(raw / "other.tif", recording.movie)
    given = []
    for index, name in enumerate(("movie", "other")):
        (tmp_path / name).mkdir()
        table(tmp_path / name, UNEVEN + index)
        given.append({"file": tmp_path / name / "clock.csv", "stream": name})
    source = OphysConverter(
        {
            n: TiffImagingInterface(raw / f"{n}.tif", sampling_frequency=30.0)
            for n in ("movie", "other")
        }
    )
    apply_times(source, times=given)
    path = source.run_conversion(tmp_path / "a.nwb", metadata=METADATA, progress=False)
    report = verify(path, [raw, tmp_path / "movie", tmp_path / "other"])
    assert report.is_equal
    assert len(report.not_compared) == 2
    assert all("a name that several files of times have" in each for each in report.not_compared)
    (reason,) = report.answer.reasons
    assert reason == "times are not compared with their files: 'clock.csv', 'clock.csv'"
