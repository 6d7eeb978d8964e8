"""Tests of --times, --pulses and --trials."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

START = "NWBFile.session_start_time=2024-05-17T14:30:00+02:00"


@pytest.fixture
def convert(run, raw):
    """Function that converts the movie with further arguments."""

    def call(*arguments, paths=("movie.tif",), options=("sampling_frequency=30",)):
        given = [word for option in options for word in ("--option", option)]
        return run(
            *("convert", *paths, "-o", "out.nwb", "--overwrite", "--no-progress", "--set", START),
            *(*given, *arguments),
        )

    return call


@pytest.fixture
def times(raw):
    """Times of the frames, also in a table; and a trace with a pulse for each and one more."""
    values = 1 + np.arange(40) / 30 + np.random.default_rng(0).uniform(-2e-3, 2e-3, 40)
    np.savetxt("times.csv", values * 1e3, header="t (ms)", comments="")
    trace = np.zeros((30_000, 2), "i2")
    for onset in np.rint([*values, values[-1] + 0.033] * np.array(10_000)).astype(int):
        trace[onset : onset + 50, 1] = 1000
    np.save("daq.npy", trace)
    (raw / "trials.csv").write_text("start_time,stop_time,side\n1,2,left\n2,2.5,right\n")
    return values


def test_what_was_matched_and_dropped_is_printed(convert, times):
    done = convert("--pulses", "daq.npy::1,rate=10000", "--trials", "trials.csv")
    assert done.code == 0
    assert done.err == (
        "Note: 'daq.npy': 1 pulse is not used: 1 after the last frame, the first at "
        f"{np.rint((times[-1] + 0.033) * 1e4) / 1e4:.6g} s.\n"
    )
    first, second, third, *_ = done.out.splitlines()
    assert first == (
        "pulses: array '[1]' of 'daq.npy', 41 rising edges; low level 0, high level 1000, "
        "threshold 500 (halfway)."
    )
    assert second.startswith("'tiff' has 40 frames at the times of 'daq.npy': ")
    assert second.endswith(" Hz on average; 40 of 41 used.")
    assert third == (
        "trials: 2 trials of 'trials.csv' from 1 s to 2.5 s after the start of the session; "
        "further columns: 'side'."
    )
    with h5py.File("out.nwb") as file:
        written = file["acquisition/TwoPhotonSeries/timestamps"][()]
        np.testing.assert_allclose(written, times, rtol=0, atol=1e-4)
        assert list(file["intervals/trials/side"].asstr()) == ["left", "right"]


def test_times_of_a_named_stream(convert, times):
    done = convert(
        *("--times", "scanimage Channel 1=times.csv", "--times", "scanimage Channel 2=times.csv"),
        paths=["si.tif"],
        options=[],
    )
    assert (done.code, done.err) == (0, "")
    with h5py.File("out.nwb") as file:
        for series in file["acquisition"].values():
            np.testing.assert_allclose(series["timestamps"], times, rtol=0, atol=1e-9)


def test_times_replace_the_rate_in_all_commands(convert, run, times):
    done = convert("--times", "times.csv", options=())
    assert done.code == 0, done.err
    with h5py.File("out.nwb") as file:
        written = file["acquisition/TwoPhotonSeries/timestamps"][()]
    np.testing.assert_allclose(written, times, rtol=0, atol=1e-9)
    assert convert(options=()).code == 2
    for command in ("check", "metadata"):
        assert run(command, "movie.tif").code == 2
        assert "Error" not in run(command, "movie.tif", "--times", "times.csv").err


def test_a_plan_has_them_too(convert, times):
    done = convert("--times", "times.csv", "--trials", "trials.csv", "--plan")
    assert "timestamps" in done.out
    assert done.code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--times", "absent.csv"], ["'absent.csv' does not exist"]),
        (["--times", "tif=times.csv"], ["no stream 'tif'", "Did you mean 'tiff'"]),
        (["--times", "times.csv,unit=s"], ["states the unit 'ms'"]),
        (["--times", "movie.npy"], ["shape (40, 24, 34)"]),
        (["--pulses", "daq.npy,rate=10000"], ["shape (30000, 2)"]),
        (["--pulses", "daq.npy::1,rate=10000,after=1.5"], ["pulses for 40 frames", "too few"]),
        (["--pulses", "daq.npy::0,rate=10000"], ["is 0 everywhere"]),
        (["--trials", "times.csv"], ["no column 'start_time'"]),
        (["--trials", "movie.tif"], ["not a text file"]),
    ],
)
def test_mistakes_are_said_in_a_line_and_nothing_is_written(convert, raw, times, arguments, words):
    assert convert(*arguments).is_mistake(*words)
    assert not (raw / "out.nwb").exists()
