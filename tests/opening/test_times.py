"""Tests of times and pulses of other devices, applied to recordings."""

from __future__ import annotations

import json
import shutil
import warnings

import h5py
import numpy as np
import pytest

from nwb_ophys import OphysConverter, verify
from nwb_ophys.errors import (
    ArgumentError,
    MetadataError,
    OptionError,
    SourceArgumentError,
    SourceError,
)
from nwb_ophys.formats import NumpyImagingInterface, TiffImagingInterface
from nwb_ophys.opening import apply_times, open_recording
from nwb_ophys.testing import simulate_recording, write_scanimage, write_suite2p, write_tiff

NUM, RATE = 40, 20_000
START = "2024-05-17T14:30:00+02:00"


@pytest.fixture(scope="module")
def simulated():
    return simulate_recording(num_samples=NUM, num_rows=24, num_columns=34, num_cells=3)


@pytest.fixture(scope="module")
def movie(tmp_path_factory, simulated):
    """File of the movie, which tests copy."""
    return write_tiff(tmp_path_factory.mktemp("movie") / "movie.tif", simulated.movie)


@pytest.fixture
def folder(tmp_path, monkeypatch, simulated, movie):
    shutil.copy2(movie, tmp_path)
    write_suite2p(tmp_path, [simulated])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def times():
    rng = np.random.default_rng(5)
    return 2 + np.arange(NUM) / 29.9 + rng.uniform(-2e-3, 2e-3, NUM)


def opened(*paths):
    options = {} if paths in [("si.tif",), ("suite2p",)] else {"sampling_frequency": 30}
    return open_recording(paths or ["movie.tif", "suite2p"], options=options)


def written(recording, path="out.nwb"):
    session = {"NWBFile": {"session_start_time": START}}
    return recording.converter.run_conversion(
        path, metadata=session, progress=False, conversion_options=recording.conversion_options
    )


def trace(onsets, size=RATE * 5, high=5.0):
    values = np.zeros(size, "f4")
    for onset in np.rint(onsets * RATE).astype(int):
        values[onset : onset + 200] = high
    return values


def of_series(file):
    return file["acquisition/TwoPhotonSeries/timestamps"][()]


def of_traces(file):
    return file["processing/ophys/Fluorescence/RoiResponseSeries/timestamps"][()]


# --- what is written ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form", ["text", "path", "mapping", "list", "with stream"], ids=lambda form: form
)
def test_times_of_a_file_are_those_of_the_movie_and_its_traces(folder, times, form):
    np.savetxt("t.csv", times * 1e3, header="time (ms)", comments="")
    given = {
        "text": "t.csv",
        "path": folder / "t.csv",
        "mapping": {"file": "t.csv", "column": "time (ms)", "unit": "ms"},
        "list": ["t.csv::time (ms),unit=ms"],
        "with stream": "tiff=t.csv",
    }[form]
    recording = opened()
    lines = apply_times(recording, times=given)
    assert "column 'time (ms)'" in lines[0]
    assert "in ms" in lines[0]
    assert "'tiff' has 40 frames" in lines[1]
    assert "40 of 40 used" in lines[1]
    with h5py.File(written(recording)) as file:
        np.testing.assert_allclose(of_series(file), times, rtol=0, atol=1e-9)
        np.testing.assert_array_equal(of_traces(file), of_series(file))


def test_pulses_of_a_trace_are_the_times_of_frames(folder, times):
    onsets = np.concatenate([[0.1, 0.15], times, [times[-1] + 0.0334]])
    with h5py.File("daq.h5", "w") as file:
        noise = np.random.default_rng(0).normal(0, 0.05, RATE * 5)
        file.create_dataset("ai/frames", data=trace(onsets) + noise, chunks=(5000,))
    recording = opened()
    with pytest.warns(UserWarning, match="3 pulses are not used: 2 before .* and 1 after"):
        lines = apply_times(
            recording, pulses={"file": "daq.h5", "column": "ai/frames", "rate": RATE}
        )
    assert "43 rising edges; low level 0.0" in lines[0]
    assert "(halfway)" in lines[0]
    assert "40 of 43 used" in lines[1]
    with h5py.File(written(recording)) as file:
        np.testing.assert_allclose(of_series(file), times, rtol=0, atol=1.5 / RATE)
        np.testing.assert_array_equal(of_traces(file), of_series(file))
        record = json.loads(file["scratch/nwb_ophys_record"][()])
    stream = record["streams"][0]
    assert stream["times_from"] == {
        "file": "daq.h5",
        "kind": "pulses",
        "column": "ai/frames",
        "rate": float(RATE),
    }
    assert record["clock_files"][0]["hash"]
    assert any("3 pulses are not used" in note for note in record["notes"])


@pytest.mark.parametrize("edge", ["rising", "falling"])
@pytest.mark.parametrize("kind", ["bit", "clock"])
def test_digital_ports_and_traces_with_a_clock(folder, times, edge, kind):
    high = trace(times) > 1
    if kind == "bit":
        np.save("port.npy", (high.astype("u2") << 5) | (np.arange(high.size) % 7).astype("u2"))
        given = {"file": "port.npy", "rate": RATE, "bit": 5}
    else:
        every = slice(None, None, 10)
        clock = np.arange(high.size)[every] / RATE * 1e6
        np.savez("port.npz", ttl=high[every], clock=clock)
        given = {"file": "port.npz", "column": "ttl", "time": "clock", "unit": "us"}
    recording = opened()
    apply_times(recording, pulses={**given, "edge": edge})
    found = recording.converter.interfaces["tiff"].get_timestamps()
    late = 0.01 if edge == "falling" else 0.0
    np.testing.assert_allclose(found, times + late, rtol=0, atol=11 / RATE)


def test_times_that_are_a_rate_are_written_as_one_for_the_traces_too(folder):
    np.save("t.npy", 3 + np.arange(NUM) / 28.0)
    recording = opened()
    with pytest.warns(UserWarning, match="has 28 Hz, but its source states 30 Hz"):
        apply_times(recording, times="t.npy")
    with pytest.warns(UserWarning, match="The traces get these timestamps"):
        path = written(recording)
    with h5py.File(path) as file:
        for place in ("acquisition/TwoPhotonSeries", "processing/ophys/Fluorescence"):
            group = file[place]
            start = group.get("starting_time") or group["RoiResponseSeries/starting_time"]
            assert (start[()], start.attrs["rate"]) == (3, 28)


def test_volumes_get_the_pulse_of_each_volume_or_of_their_first_plane(tmp_path):
    movie = np.zeros((10, 6, 5, 4), "u2")
    pulses = 1 + np.arange(40) / 40.0
    for name, given in (("a", pulses), ("b", pulses[::4])):
        interface = NumpyImagingInterface(movie, sampling_frequency=10.0)
        np.save(tmp_path / f"{name}.npy", given)
        (_, line) = apply_times(interface, pulses=tmp_path / f"{name}.npy")
        assert "10 volumes" in line
        assert (", 4 for each volume" in line) == (name == "a")
        np.testing.assert_array_equal(interface.get_timestamps(), pulses[::4])
    interface = NumpyImagingInterface(movie, sampling_frequency=10.0)
    apply_times(interface, times={"file": str(tmp_path / "a.npy"), "plane": 3})
    np.testing.assert_array_equal(interface.get_timestamps(), pulses[3::4])


_WITHOUT_RATE = {
    "tiff": lambda movie: write_tiff("m.tif", movie),
    "numpy": lambda movie: np.save("m.npy", movie),
    "hdf5": lambda movie: h5py.File("m.h5", "w").create_dataset("mov", data=movie).file.close(),
    "memmap": lambda movie: movie.astype("f4").tofile("m_d1_24_d2_34_d3_1_order_F_frames_40.mmap"),
}


@pytest.mark.parametrize("name", _WITHOUT_RATE)
def test_times_of_all_frames_make_a_rate_unnecessary(tmp_path, monkeypatch, simulated, times, name):
    monkeypatch.chdir(tmp_path)
    _WITHOUT_RATE[name](simulated.movie)
    (path,) = tmp_path.glob("m*.*")
    np.savetxt("t.csv", times * 1e3, header="time (ms)", comments="")
    with pytest.raises(SourceError, match="sampling_frequency"):
        open_recording([path])
    recording = open_recording([path], has_times=True)
    assert recording.converter.interfaces[name].extractor.get_sampling_frequency() is None
    # Times that are not set after all are demanded before anything is written.
    with pytest.raises(MetadataError, match="states no sampling rate and no times"):
        written(recording)
    assert not (tmp_path / "out.nwb").exists()
    apply_times(recording, times="t.csv")
    written(recording)
    with h5py.File("out.nwb") as file:
        np.testing.assert_allclose(of_series(file), times, rtol=0, atol=1e-12)
        assert "imaging_rate" not in file["general/optophysiology/ImagingPlane"]
    report = verify("out.nwb", [path])
    assert not report.differences
    assert "acquisition/TwoPhotonSeries/data" in report.compared_with_source


def test_streams_without_a_rate_whose_times_are_not_given_are_named(folder, simulated, times):
    np.save("m.npy", simulated.movie)
    np.save("t.npy", times)
    recording = open_recording(["movie.tif", "m.npy"], has_times=True)
    lines = apply_times(recording, times="numpy=t.npy,unit=s")
    assert not any("are kept" in line for line in lines)
    with pytest.raises(MetadataError, match=r"movie.tif' states no sampling rate"):
        written(recording)


def test_zero_is_subtracted(folder, times):
    epoch = 1_715_950_000
    np.save("ns.npy", epoch * 10**9 + np.rint(times * 1e9).astype("i8"))
    recording = opened()
    with pytest.raises(OptionError, match="counts from a date"):
        apply_times(recording, times="ns.npy,unit=ns")
    movie = recording.converter.interfaces["tiff"]
    apply_times(recording, times="ns.npy,unit=ns,zero=first")
    np.testing.assert_allclose(movie.get_timestamps(), times - times[0], rtol=0, atol=2e-9)
    apply_times(recording, times=f"ns.npy,unit=ns,zero={epoch}")
    np.testing.assert_allclose(movie.get_timestamps(), times, rtol=0, atol=1e-6)


def test_a_column_of_an_array_states_no_unit_by_its_index(folder, times):
    np.save("t.npy", np.stack([np.arange(NUM), times], axis=1))
    recording = opened()
    apply_times(recording, times="t.npy::1")
    np.testing.assert_array_equal(recording.converter.interfaces["tiff"].get_timestamps(), times)


def test_counters_that_pass_their_largest_value_and_those_that_are_set_back(folder):
    counts = (np.arange(NUM) * 33_333 + 2**32 - 500_000) % 2**32
    np.save("wrapped.npy", counts.astype("u4"))
    reset = np.arange(NUM, dtype="u4") * 33_333
    reset[:30] += 10**8
    np.save("reset.npy", reset)
    recording = opened()
    apply_times(recording, times="wrapped.npy,unit=us,zero=first")
    found = recording.converter.interfaces["tiff"].get_timestamps()
    np.testing.assert_allclose(found, np.arange(NUM) * 0.033333, rtol=0, atol=1e-9)
    with pytest.raises(SourceError, match="does not ascend"):
        apply_times(recording, times="reset.npy,unit=us,zero=first")


def test_limits_of_pulses_are_on_the_clock_of_the_file_whatever_zero_is(folder, times):
    onsets = np.concatenate([[0.5], times, [20.0]]) + 1000
    np.save("us.npy", np.rint(onsets * 1e6).astype("i8"))
    recording = opened()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        apply_times(recording, pulses="us.npy,unit=us,zero=first,after=1001,before=1019")
    found = recording.converter.interfaces["tiff"].get_timestamps()
    np.testing.assert_allclose(found, times - times[0], rtol=0, atol=2e-6)


# --- streams --------------------------------------------------------------------------------------


def test_channels_of_one_recording_share_their_times(folder, simulated, times):
    write_scanimage(folder / "si.tif", {1: simulated.movie, 2: simulated.movie})
    np.save("t.npy", times)
    recording = opened("si.tif")
    (_, line) = apply_times(recording, times="t.npy")
    assert "'scanimage Channel 1' and 'scanimage Channel 2' have" in line
    for each in recording.converter.interfaces.values():
        np.testing.assert_array_equal(each.get_timestamps(), times)
    recording = opened("si.tif")
    with pytest.warns(UserWarning, match="'scanimage Channel 1' is another channel"):
        lines = apply_times(recording, times="scanimage Channel 2=t.npy")
    assert lines[-1] == "'scanimage Channel 1': the times of the files are kept."
    first, second = recording.converter.interfaces.values()
    assert not first.times_are_set
    assert second.times_are_set


def test_several_movies_need_a_name_each(folder, simulated, times):
    write_tiff(folder / "other.tif", simulated.movie + 1)
    np.save("t.npy", times)
    np.save("u.npy", times + 100)
    recording = opened("movie.tif", "other.tif")
    with pytest.raises(OptionError, match=r"2 streams .*'movie'.*as in 'movie=FILE'"):
        apply_times(recording, times="t.npy")
    with pytest.raises(OptionError, match=r"no stream 'tiff'.*'movie', 'other'"):
        apply_times(recording, times="tiff=t.npy")
    apply_times(recording, times=["movie=t.npy", {"file": "u.npy", "stream": "other"}])
    found = [each.get_timestamps() for each in recording.converter.interfaces.values()]
    np.testing.assert_array_equal(found[0], times)
    np.testing.assert_array_equal(found[1], times + 100)


def test_rois_alone_get_times(folder, times):
    np.save("t.npy", times)
    recording = opened("suite2p")
    (_, line) = apply_times(recording, times="t.npy")
    assert "'suite2p' has 40 samples" in line
    with h5py.File(written(recording)) as file:
        np.testing.assert_array_equal(of_traces(file), times)


def test_traces_whose_times_the_user_wants_keep_them(folder, times):
    np.save("t.npy", times)
    recording = open_recording(
        ["movie.tif", "suite2p"], options={"sampling_frequency": 30, "align": "own"}
    )
    apply_times(recording, times="t.npy")
    with h5py.File(written(recording)) as file:
        traces = file["processing/ophys/Fluorescence/RoiResponseSeries"]
        assert "timestamps" not in traces
        np.testing.assert_array_equal(of_series(file), times)


# --- dates and times ------------------------------------------------------------------------------


def iso(times, zone="", start="2024-05-17T14:30:00"):
    """Texts of dates and times that lie some seconds after a start, to the nanosecond."""
    base = np.datetime64(start, "ns")
    return [f"{base + np.timedelta64(round(t * 1e9), 'ns')}{zone}" for t in times]


def exact(times):
    return np.array([round(t * 1e9) / 1e9 for t in times])


@pytest.mark.parametrize(
    ("zone", "start"),
    [
        ("+02:00", "2024-05-17T14:30:00"),
        ("Z", "2024-05-17T12:30:00"),
        ("-0530", "2024-05-17T07:00:00"),
        ("", "2024-05-17T14:30:00"),
    ],
    ids=["zone of the session", "UTC", "another zone", "none"],
)
def test_dates_and_times_count_from_the_start_of_the_file(folder, times, zone, start):
    rows = [f"{i},{text}" for i, text in enumerate(iso(times, zone, start))]
    (folder / "t.csv").write_text("\n".join(["frame,Date Time", *rows]))
    recording = opened()
    lines = apply_times(recording, times="t.csv")
    assert "dates and times with" in lines[0]
    assert f" at the times of 't.csv': {start[:10]} " in lines[1] or zone == "-0530"
    movie = recording.converter.interfaces["tiff"]
    with pytest.raises(MetadataError, match="are dates and times, which become seconds when"):
        movie.get_timestamps()
    with h5py.File(written(recording)) as file:
        np.testing.assert_array_equal(of_series(file), exact(times))
        np.testing.assert_array_equal(of_traces(file), exact(times))
    # The metadata of another file states another start, a second later.
    later = {"NWBFile": {"session_start_time": "2024-05-17T14:30:01+02:00"}}
    recording.converter.run_conversion("later.nwb", metadata=later, progress=False)
    with h5py.File("later.nwb") as file:
        np.testing.assert_array_equal(of_series(file), exact(times - 1))


@pytest.mark.parametrize("form", ["blanks", "no names", "numpy"])
def test_dates_and_times_in_other_files(folder, times, form):
    texts = iso(times, "" if form == "numpy" else "+02:00")
    if form == "numpy":
        name = "t.npy"
        np.save(name, np.array(texts, "datetime64[ns]"))
    else:
        name = "t.txt::1" if form == "blanks" else "t.txt"
        with_blank = [text.replace("T", " ") for text in texts]
        rows = [f"{i} {text}" for i, text in enumerate(with_blank)] if "::" in name else with_blank
        (folder / "t.txt").write_text("\n".join(rows))
    recording = opened("movie.tif")
    apply_times(recording, times=name)
    with h5py.File(written(recording)) as file:
        np.testing.assert_array_equal(of_series(file), exact(times))


@pytest.mark.parametrize(
    "zero",
    ["first", "2024-05-17T14:30:01.123456789+02:00", "2024-05-17 12:30:01.123456789Z"],
)
def test_zero_of_dates_and_times(folder, times, zero):
    (folder / "t.csv").write_text("\n".join(["time", *iso(times, "+02:00")]))
    recording = opened("movie.tif")
    apply_times(recording, times=f"t.csv,zero={zero}")
    first = times[0] if zero == "first" else 1.123456789
    with h5py.File(written(recording)) as file:
        np.testing.assert_allclose(of_series(file), times - first, rtol=0, atol=2e-9)


def test_pulses_and_the_clock_of_a_trace_may_be_dates_and_times(folder, times):
    (folder / "p.csv").write_text("\n".join(["time", *iso([*times, times[-1] + 0.03], "Z")]))
    recording = opened("movie.tif")
    with pytest.warns(UserWarning, match="1 pulse is not used"):
        apply_times(recording, pulses="p.csv,zero=2024-05-17T14:30:00Z")
    onsets, clock = np.rint(times * 1e3) / 1e3, np.arange(4000) / 1e3
    level = np.isin(np.rint(clock * 1e3), np.rint(onsets * 1e3)).astype(int)
    rows = [f"{text},{value}" for text, value in zip(iso(clock, "+02:00"), level, strict=True)]
    (folder / "trace.csv").write_text("\n".join(["time,frames", *rows]))
    other = opened("movie.tif")
    apply_times(other, pulses="trace.csv::frames,time=time")
    for source, expected in ((recording, exact(times)), (other, onsets)):
        with h5py.File(written(source, f"{id(source)}.nwb")) as file:
            np.testing.assert_allclose(of_series(file), expected, rtol=0, atol=2e-9)


@pytest.mark.parametrize(
    ("line", "given", "message"),
    [
        ("2024-05-17T14:30:02.1", "", "line 3, column 'time': .* states no time zone, unlike"),
        ("2024-13-17T14:30:02.1Z", "", "line 3, .* is not a date and time .month must be"),
        ("1024-05-17T14:30:02.1Z", "", "line 3, .* is not one of 1678 to 2261"),
        ("2024-05-17T14:30:02.1+25:00", "", "line 3, .* there is no time zone '.25:00'"),
        ("2024-05-17T14:30:02.1+02:75", "", "line 3, .* there is no time zone '.02:75'"),
        ("", "", "line 3, column 'time': a date and time is absent"),
        ("12.5", "", "line 3, column 'time': '12.5' is not a date and time"),
        (None, ",zero=2.5", "zero is 2.5, but the file has dates and times"),
        (None, ",zero=2024-05-17T14:30:00", "the file states a time zone, and zero does not"),
        (None, ",unit=ms", "unit is given, but the column 'time' .* has dates and times"),
    ],
)
def test_wrong_dates_and_times_are_named(folder, times, line, given, message):
    rows = ["time,frame", *(f"{text},{i}" for i, text in enumerate(iso(times, "+02:00")))]
    if line is not None:
        rows[2] = f"{line},1"
    (folder / "t.csv").write_text("\n".join(rows))
    with pytest.raises((SourceError, OptionError), match=message):
        apply_times(opened(), times=f"t.csv::time{given}")


@pytest.mark.parametrize("text", ["17.05.2024 14:30:01", "14:30:01", "2024-05-17 2:30:01 PM"])
def test_dates_and_times_of_other_forms_are_refused_with_the_form(folder, text):
    (folder / "t.csv").write_text("\n".join(["time", *[text] * NUM]))
    with pytest.raises(SourceError, match=r"is not a number\. A date and time has the form 2024-"):
        apply_times(opened(), times="t.csv")


def test_numbers_have_no_date_as_zero(folder, times):
    np.save("t.npy", times)
    with pytest.raises(OptionError, match=r"zero is 2024.*, but the file has numbers"):
        apply_times(opened(), times="t.npy,zero=2024-05-17T14:30:00Z")
    np.save("t.npy", np.array(["2024-05-17", "NaT"], "datetime64[ns]"))
    with pytest.raises(SourceError, match="lack a date and time at index 1"):
        apply_times(opened(), times="t.npy")
    np.save("t.npy", np.array(["2024-05-17", "3024-05-17"], "datetime64[s]"))
    with pytest.raises(SourceError, match="cannot be held as nanoseconds in 64 bits"):
        apply_times(opened(), times="t.npy")


@pytest.mark.parametrize(("day", "side"), [("18", "before"), ("15", "after")])
def test_dates_far_from_the_start_of_the_session_are_noted(folder, times, day, side):
    (folder / "t.csv").write_text("\n".join(["time", *iso(times, "Z")]))
    recording = opened("movie.tif")
    apply_times(recording, times="t.csv")
    session = {"NWBFile": {"session_start_time": f"2024-05-{day}T14:30:00Z"}}
    with pytest.warns(UserWarning, match=f"s {side} the start of the session") as caught:
        recording.converter.create_nwbfile(session)
    assert sum("date and time" in str(each.message) for each in caught) == 1


def test_dates_are_seconds_where_a_converter_aligns_its_streams(folder, times):
    class Rig(OphysConverter):
        def temporally_align(self, metadata, conversion_options):
            found.append(self.interfaces["first"].get_timestamps())
            self.interfaces["second"].set_aligned_datetimes(moments + one_second, in_utc=True)

    found, one_second = [], np.timedelta64(1, "s")
    moments = np.array(iso(times, start="2024-05-17T12:30:00"), "datetime64[ns]")
    pixels = np.zeros((NUM, 4, 5), "u2")
    movies = {
        name: NumpyImagingInterface(pixels, sampling_frequency=30.0) for name in ("first", "second")
    }
    movies["first"].set_aligned_datetimes(moments, in_utc=True)
    nwbfile = Rig(movies).create_nwbfile({"NWBFile": {"session_start_time": START}})
    np.testing.assert_array_equal(found[-1], exact(times))
    written = [series.timestamps for series in nwbfile.acquisition.values()]
    np.testing.assert_array_equal(written[1], exact(times + 1))


def test_datetimes_are_set_in_python_and_replaced(folder, times):
    movie = TiffImagingInterface("movie.tif", sampling_frequency=30.0)
    moments = np.array(iso(times), "datetime64[ns]")
    movie.set_aligned_datetimes(moments, in_utc=False)
    np.testing.assert_array_equal(movie.get_datetimes(), moments)
    assert movie.times_are_set
    session = {"NWBFile": {"session_start_time": START}}
    movie.run_conversion("out.nwb", metadata=session, progress=False)
    with h5py.File("out.nwb") as file:
        np.testing.assert_array_equal(of_series(file), exact(times))
    movie.set_aligned_timestamps(times + 1)
    assert movie.get_datetimes() is None
    np.testing.assert_array_equal(movie.get_timestamps(), times + 1)
    for wrong, message in (
        (np.full(NUM, "NaT", "datetime64[ns]"), "lack a date and time at index 0"),
        (np.arange(NUM), "are of type int64; give an array of numpy.datetime64"),
        (iso(times), "are of type <U.*; give an array of numpy.datetime64"),
        (np.full(NUM, "3024-01-01", "datetime64[s]"), "cannot be held as nanoseconds"),
    ):
        with pytest.raises(SourceError, match=message):
            movie.set_aligned_datetimes(wrong, in_utc=True)
    assert movie.get_datetimes() is None


# --- mistakes -------------------------------------------------------------------------------------


def test_nothing_is_changed_by_a_mistake(folder, times):
    np.save("t.npy", times)
    np.save("short.npy", times[:-3])
    recording = opened()
    movie = recording.converter.interfaces["tiff"]
    for mistake in (
        {"times": "t.npy", "trials": "absent.csv"},
        {"times": ["t.npy", "suite2p=short.npy"]},
        {"times": "t.npy", "pulses": "t.npy"},
    ):
        with pytest.raises((SourceError, OptionError)):
            apply_times(recording, **mistake)
        assert not movie.times_are_set
        assert "trials" not in recording.converter.interfaces
    with pytest.raises(SourceError, match="37 times for 40 frames, 3 too few"):
        apply_times(recording, times="short.npy")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.0, 0.1, np.nan, 0.3], r"1 time without a finite number, the first at index 2 of 4"),
        ([0.0, 0.1, 0.1, 0.3], r"does not ascend: value 1 is 0\.1, value 2 is 0\.1"),
        ([0.0, 100.0, 200.0, 300.0], r"In seconds it has 0\.01 Hz, .* states 10 Hz; give unit=ms"),
        ([0.0, 1e-4, 2e-4], r"In seconds it has 1e\+04 Hz, .*states 10 Hz; give unit="),
        ([0.0, 0.1, 0.2], "3 times for 4 frames, 1 too few"),
        ([0.0, 0.1, 0.2, 0.3, 0.4], "5 times for 4 frames, 1 too many"),
        ([1j, 2j, 3j, 4j], "is of type complex128, not of numbers"),
    ],
)
def test_times_that_cannot_be_true_are_refused(tmp_path, values, message):
    np.save(tmp_path / "t.npy", values)
    movie = NumpyImagingInterface(np.zeros((4, 3, 3), "u2"), sampling_frequency=10.0)
    with pytest.raises((SourceError, OptionError), match=message) as fault:
        apply_times(movie, times=tmp_path / "t.npy")
    assert "''" not in str(fault.value)  # the recording has no name


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"times": "t.npy,unti=s"}, "no argument 'unti'"),
        ({"times": "t.npy,unit=frames"}, "unit is 'frames'; it must be s, ms, us, ns or min"),
        ({"times": "t.npy,zero=now"}, "zero is 'now'"),
        ({"times": "t.npy,unit=s,unit=ms"}, "states unit twice"),
        ({"times": {"column": "t"}}, "needs the argument 'file'"),
        ({"times": 3}, "times is a int"),
        ({"times": "ms.csv,unit=s"}, "unit=s is given, but .* states the unit 'ms'"),
        ({"pulses": "t.npy,edge=falling"}, "edge is of a trace, which needs rate=HZ"),
        ({"pulses": "t.npy,rate=10,time=t"}, "rate and time are both given"),
        ({"pulses": "t.npy,rate=10,unit=ms"}, "unit is given, but a rate is in Hz"),
        ({"pulses": "t.npy,rate=0"}, "rate"),
        ({"pulses": "t.npy,per_sample=2,plane=2"}, "plane is 2, but with per_sample=2"),
        ({"pulses": "t.npy,rate=10,bit=2"}, "bit=2 is given, but .* has no integers"),
        ({"trials": "t.npy::a"}, "names a column, but trials have several"),
        ({"trials": "ms.csv,begin=a"}, "no argument 'begin'"),
    ],
)
def test_wrong_keys_are_named(folder, times, given, message):
    np.save("t.npy", times)
    np.savetxt("ms.csv", times, header="t_ms", comments="")
    with pytest.raises(OptionError, match=message):
        apply_times(opened(), **given)


def test_files_with_the_signs_of_the_syntax_in_their_names(folder, times):
    for name in ("a=b.npy", "a,unit=ms.npy", "a::b.npy"):
        np.save(name, times)
        recording = opened()
        apply_times(recording, times=name)
        assert recording.converter.interfaces["tiff"].times_are_set


def test_only_recordings_get_times(folder):
    with pytest.raises(ArgumentError, match="recording is a str"):
        apply_times("movie.tif", times="t.npy")
    movie = TiffImagingInterface("movie.tif", sampling_frequency=30.0)
    with pytest.raises(ArgumentError, match="give an OphysConverter"):
        apply_times(movie, trials="trials.csv")


def test_a_file_of_times_among_the_sources_is_named_as_such(folder, times):
    """Its times are compared; another version of it is not as converted."""
    np.save("t.npy", times)
    recording = opened("movie.tif")
    apply_times(recording, times="t.npy")
    path = written(recording)
    report = verify(path, sources=["movie.tif", "t.npy"])
    assert report.is_equal
    assert report.answer.is_yes
    np.save("t.npy", times + 1)
    (reason,) = verify(path, sources=["movie.tif", "t.npy"]).answer.reasons
    assert reason.startswith("1 file of times is not as converted")


def test_times_set_afterwards_have_no_file(folder, times):
    np.save("t.npy", times)
    movie = TiffImagingInterface("movie.tif", sampling_frequency=30.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        apply_times(OphysConverter({"movie": movie}), times="t.npy")
    assert movie.times_origin.path.name == "t.npy"
    movie.set_aligned_timestamps(times + 1)
    assert movie.times_origin is None


def test_an_empty_path_is_not_the_current_folder(folder):
    movie = TiffImagingInterface("movie.tif", sampling_frequency=30.0)
    converter = OphysConverter({"movie": movie})
    for given in ({"times": ""}, {"times": " ,unit=ms"}, {"pulses": {"file": ""}}, {"trials": ""}):
        with pytest.raises(OptionError, match="is an empty text; give a path"):
            apply_times(converter, **given)
    with pytest.raises(SourceArgumentError, match="file_path is an empty text"):
        TiffImagingInterface("", sampling_frequency=30.0)


def timed_by(values, **keys):
    """Return the recording of a movie without a rate, with times of a file."""
    np.save("t.npy", values)
    recording = open_recording("movie.tif", has_times=True)
    apply_times(recording, times={"file": "t.npy", **keys})
    return recording


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.arange(NUM) * 100.0, "have 0.01 Hz, but in ms they have 10 Hz"),
        (738_000 + np.arange(NUM) / 864_000, "but few recordings have such a rate"),
        (np.arange(NUM), "count one by one, as numbers of frames do"),
    ],
)
def test_times_without_a_unit_that_are_hardly_seconds_are_named(folder, values, said):
    with pytest.warns(UserWarning, match=f"states no unit: in seconds .*{said}"):
        timed_by(values)
    timed_by(values, unit="s")  # no note
    timed_by(np.arange(NUM) / 3, unit="s")


def test_a_clock_of_a_trace_without_a_unit_that_is_hardly_in_seconds_is_named(folder, times):
    np.savez("t.npz", frames=trace(times), clock=np.arange(RATE * 5) / RATE * 1e3)
    given = {"file": "t.npz", "column": "frames", "time": "clock"}
    with pytest.warns(UserWarning, match="in seconds its values have 0.0.* but in ms they have"):
        apply_times(open_recording("movie.tif", has_times=True), pulses=given)
    with pytest.raises(OptionError, match="states 30 Hz; give unit=ms"):
        apply_times(opened("movie.tif"), pulses=given)
    apply_times(open_recording("movie.tif", has_times=True), pulses={**given, "unit": "ms"})


def test_each_of_many_planes_may_have_a_time(tmp_path):
    movie = NumpyImagingInterface(np.zeros((4, 60, 60, 50), "u2"), sampling_frequency=1.0)
    np.save(tmp_path / "t.npy", np.arange(200) / 50)
    apply_times(movie, times=tmp_path / "t.npy")
    np.testing.assert_allclose(movie.get_timestamps(), [0, 1, 2, 3])


@pytest.mark.parametrize("value", [np.inf, np.nan, np.float32("-inf")])
@pytest.mark.parametrize("key", ["zero", "rate", "after", "threshold"])
def test_numbers_are_finite(folder, times, key, value):
    np.save("p.npy", trace(times))
    given = {"file": "p.npy", "rate": RATE, key: value}
    with pytest.raises(OptionError, match=f"pulses: {key} is .*; it must be a finite number"):
        apply_times(opened("movie.tif"), pulses=given)
    with pytest.raises(OptionError, match=r"rate is .*; it must be at most"):
        apply_times(opened("movie.tif"), pulses={"file": "p.npy", "rate": 1e300})


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"rate": 20.0}, r"Ophys.TwoPhotonSeries.0.rate is 20, but .* have 10 Hz"),
        ({"starting_time": 5.0}, r"Ophys.TwoPhotonSeries.0.starting_time is 5, but .* at 2 s"),
    ],
)
def test_metadata_that_contradict_times_that_were_set_are_refused(folder, stated, said):
    recording = timed_by(2 + np.arange(NUM) / 10)
    metadata = recording.converter.get_metadata()
    metadata["NWBFile"]["session_start_time"] = START
    series = metadata["Ophys"]["TwoPhotonSeries"][0]
    series.update(stated)
    with pytest.raises(MetadataError, match=f"{said}.*leave one of the two out"):
        recording.converter.run_conversion("out.nwb", metadata=metadata, progress=False)
    assert not (folder / "out.nwb").exists()
    series.update(rate=10.0, starting_time=2.0)
    recording.converter.run_conversion("out.nwb", metadata=metadata, progress=False)


def test_a_rate_beside_uneven_times_and_a_start_beside_a_shift_are_refused(folder, times):
    movie = TiffImagingInterface("movie.tif", sampling_frequency=20.0)
    metadata = movie.get_metadata()
    metadata["NWBFile"]["session_start_time"] = START
    series = metadata["Ophys"]["TwoPhotonSeries"][0]
    series["rate"] = 30.0
    movie.set_aligned_starting_time(7.0)
    assert movie.create_nwbfile(metadata).acquisition["TwoPhotonSeries"].rate == 30.0
    series["starting_time"] = 3.0
    with pytest.raises(MetadataError, match=r"starting_time is 3, but .* begin at 7 s"):
        movie.create_nwbfile(metadata)
    del series["starting_time"]
    movie.set_aligned_timestamps(times)
    with pytest.raises(MetadataError, match=r"rate is 30, but .* have no constant rate"):
        movie.create_nwbfile(metadata)


def test_a_rate_of_traces_that_contradicts_times_that_were_set_is_refused(folder, times):
    recording = open_recording("suite2p")
    apply_times(recording, times={"file": str(np.save("t.npy", times) or "t.npy")})
    traces = {"PlaneSegmentation": {"raw": {"rate": 30.0}}}
    metadata = {"NWBFile": {"session_start_time": START}, "Ophys": {"Fluorescence": traces}}
    with pytest.raises(MetadataError, match=r"rate is 30, but .* have no constant rate"):
        recording.converter.create_nwbfile(metadata)
