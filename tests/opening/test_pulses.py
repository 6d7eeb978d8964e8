"""Tests of the edges of traces and of the matching of pulses with samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nwb_ophys.errors import SourceError
from nwb_ophys.opening.edges import Levels, find_edges, levels_of
from nwb_ophys.opening.pulses import Rules, match_pulses, match_times

PERIOD = 1 / 30
seeds = st.integers(0, 2**32 - 1)


def in_blocks(trace: NDArray, size: int) -> Callable[[], Iterable[NDArray]]:
    return lambda: (trace[start : start + size] for start in range(0, trace.size, size))


def train(num: int, rng: np.random.Generator, jitter: float = 0.1, start: float = 0.0):
    """Return the times of pulses at 30 Hz, with uniform jitter as a part of the period."""
    return start + (np.arange(num) + rng.uniform(-jitter, jitter, num)) * PERIOD


def trace_of(onsets: NDArray, width: int, size: int) -> NDArray:
    trace = np.zeros(size)
    for onset in onsets:
        trace[onset : onset + width] = 1
    return trace


# --- edges ----------------------------------------------------------------------------------------


@given(
    seed=seeds,
    num=st.integers(2, 40),
    width=st.integers(3, 30),
    block=st.integers(20, 700),
    low=st.floats(-5, 5),
    step=st.floats(0.5, 10),
)
def test_all_edges_of_a_noisy_trace_are_found_whatever_the_blocks(
    seed, num, width, block, low, step
):
    rng = np.random.default_rng(seed)
    onsets = 20 + np.cumsum(rng.integers(width + 5, width + 60, num))
    clean = trace_of(onsets, width, int(onsets[-1]) + width + 20)
    noise = np.clip(rng.normal(0, 0.03, clean.size), -0.1, 0.1)
    blocks = in_blocks(low + step * (clean + noise), block)
    levels = levels_of(blocks, "trace")
    assert levels.threshold == pytest.approx(low + step / 2, abs=0.05 * step)
    np.testing.assert_array_equal(find_edges(blocks, levels).samples, onsets)
    falling = find_edges(blocks, levels, falling=True)
    np.testing.assert_array_equal(falling.samples, onsets + width)
    assert falling.begins_behind


@settings(max_examples=20)
@given(seed=seeds, block=st.integers(10, 300))
def test_noise_about_the_threshold_of_a_slow_edge_makes_one_edge(seed, block):
    rng = np.random.default_rng(seed)
    ramp = np.concatenate([np.zeros(50), np.linspace(0, 1, 40), np.ones(50)])
    trace = np.tile(np.concatenate([ramp, ramp[::-1]]), 5)
    blocks = in_blocks(trace + rng.uniform(-0.08, 0.08, trace.size), block)
    edges = find_edges(blocks, levels_of(blocks, "trace")).samples
    assert edges.size == 5
    assert np.abs(edges - (70 + 280 * np.arange(5))).max() <= 6


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.float32])
def test_a_digital_trace_has_exact_levels(dtype):
    trace = trace_of(np.arange(5, 95, 10), 3, 100).astype(dtype)
    blocks = in_blocks(trace, 7)
    assert levels_of(blocks, "trace") == Levels(low=0.0, high=1.0, threshold=0.5)
    assert find_edges(blocks, levels_of(blocks, "trace")).samples.size == 9


def test_traces_without_two_levels_are_refused():
    noise = np.random.default_rng(0).normal(0, 1, 10_000)
    with pytest.raises(SourceError, match="no two levels"):
        levels_of(in_blocks(noise, 1000), "trace")
    with pytest.raises(SourceError, match="is 3 everywhere"):
        levels_of(in_blocks(np.full(10, 3.0), 4), "trace")
    with pytest.raises(SourceError, match="not finite"):
        levels_of(in_blocks(np.array([0, 1, np.nan]), 4), "trace")
    with pytest.raises(SourceError, match="threshold=7 is not between"):
        levels_of(in_blocks(np.array([0.0, 1, 0, 1]), 4), "trace", 7)


# --- pulses and samples ---------------------------------------------------------------------------


@given(seed=seeds, num=st.integers(10, 300), before=st.integers(0, 8), after=st.integers(0, 8))
def test_trains_before_and_after_the_recording_are_not_used(seed, num, before, after):
    rng = np.random.default_rng(seed)
    frames = train(num, rng, start=10)
    pulses = [train(before, rng, start=1), frames, train(after, rng, start=10 + num)]
    found = match_pulses(np.concatenate(pulses), num)
    np.testing.assert_array_equal(found.times, frames)
    assert (found.num_given, found.num_used) == (num + before + after, num)
    said = " ".join(found.notes)
    assert (f"{before} before the first frame" in said) == bool(before)
    assert (f"{after} after the last frame" in said) == bool(after)


@given(seed=seeds, num=st.integers(10, 300), extra=st.integers(1, 12))
def test_few_pulses_after_the_last_frame_are_dropped_and_more_are_refused(seed, num, extra):
    rng = np.random.default_rng(seed)
    pulses = train(num + extra, rng)
    if extra <= 2:
        found = match_pulses(pulses, num)
        np.testing.assert_array_equal(found.times, pulses[:num])
        assert f"{extra} after the last frame" in found.notes[0]
        return
    with pytest.raises(SourceError, match=rf"{num + extra} pulses for {num} frames.*extra=last"):
        match_pulses(pulses, num)
    for which, chosen in (("last", pulses[:num]), ("first", pulses[extra:])):
        found = match_pulses(pulses, num, rules=Rules(extra=which))
        np.testing.assert_array_equal(found.times, chosen)
        assert f"{extra} pulses are not used" in found.notes[0]


@given(seed=seeds, num=st.integers(20, 300), data=st.data())
def test_missing_pulses_are_refused_and_inserted_on_request(seed, num, data):
    frames = train(num, np.random.default_rng(seed), jitter=0.05)
    lost = data.draw(st.sets(st.integers(1, num - 2), min_size=1, max_size=5))
    pulses = np.delete(frames, sorted(lost))
    with pytest.raises(
        SourceError, match=rf"{num - len(lost)} pulses for {num} frames, {len(lost)} too few"
    ):
        match_pulses(pulses, num)
    found = match_pulses(pulses, num, rules=Rules(missing="interpolate"))
    assert np.abs(found.times - frames).max() <= 0.15 * PERIOD
    kept = np.delete(np.arange(num), sorted(lost))
    np.testing.assert_array_equal(found.times[kept], pulses)
    assert f"{len(lost)} absent" in found.notes[0]
    assert found.num_used == num - len(lost)


@given(
    seed=seeds,
    num=st.integers(20, 200),
    extra=st.integers(0, 4),
    lost=st.integers(0, 4),
    pause=st.sampled_from([1, 3, 40]),
)
def test_no_frame_has_a_wrong_time_without_a_word(seed, num, extra, lost, pause):
    rng = np.random.default_rng(seed)
    frames = train(num, rng)
    further = frames[-1] + (pause + np.arange(extra)) * PERIOD
    missing = rng.choice(np.arange(1, num - 1), lost, replace=False)
    pulses = np.concatenate([np.delete(frames, missing), further])
    try:
        found = match_pulses(pulses, num)
    except SourceError:
        return  # the tests above look at the numbers in its message
    is_true = np.array_equal(found.times, frames)
    assert is_true or "gap" in " ".join(found.notes)
    assert bool(found.notes) or (is_true and not extra)


def test_missing_pulses_at_the_ends_are_not_invented():
    pulses = train(50, np.random.default_rng(0))
    with pytest.raises(SourceError, match="48 pulses for 50 frames, 2 too few"):
        match_pulses(pulses[2:], 50, rules=Rules(missing="interpolate"))


@pytest.mark.parametrize("plane", [0, 2])
def test_a_pulse_per_plane_or_per_volume(plane):
    pulses = train(61, np.random.default_rng(1))
    by_volume = match_pulses(pulses[:20], 20, num_planes=3, noun="volume")
    np.testing.assert_array_equal(by_volume.times, pulses[:20])
    by_plane = match_pulses(pulses, 20, num_planes=3, rules=Rules(plane=plane), noun="volume")
    np.testing.assert_array_equal(by_plane.times, pulses[plane:60:3])
    assert by_plane.per_sample == 3
    assert "1 after the last volume" in by_plane.notes[0]


def test_a_plane_that_no_frame_has_is_refused():
    with pytest.raises(SourceError, match="plane=1 is given, but each frame has 1 pulse"):
        match_pulses(train(20, np.random.default_rng(1)), 20, rules=Rules(plane=1))


def test_pulses_of_several_planes_for_one_plane_ask_for_their_number():
    pulses = train(60, np.random.default_rng(1))
    with pytest.raises(SourceError, match=r"60 pulses for 20 frames.*per_sample=3"):
        match_pulses(pulses, 20)
    found = match_pulses(pulses, 20, rules=Rules(per_sample=3, plane=1))
    np.testing.assert_array_equal(found.times, pulses[1::3])


def test_contacts_that_bounce_ask_for_the_number_of_pulses_of_each_frame():
    pulses = (np.arange(50)[:, np.newaxis] / 30 + [0, 6e-4, 5e-3]).reshape(-1)
    with pytest.raises(SourceError, match=r"150 pulses for 50 frames.*give per_sample=3"):
        match_pulses(pulses, 50)


def test_two_trains_of_the_right_number_are_refused_with_their_places():
    rng = np.random.default_rng(2)
    pulses = np.concatenate([train(30, rng, start=1), train(30, rng, start=5)])
    with pytest.raises(
        SourceError, match=r"2 trains: 30 from 0\S* s, 30 from \S+ s.*after=SECONDS"
    ):
        match_pulses(pulses, 30)


def test_frames_in_bursts_may_be_preceded_by_other_pulses():
    rng = np.random.default_rng(3)
    bursts = np.concatenate([train(20, rng, start=5 + 3 * i) for i in range(10)])
    pulses = np.concatenate([train(7, rng, start=1), bursts])
    np.testing.assert_array_equal(match_pulses(pulses, 200).times, bursts)


def test_uneven_pulses_of_volumes_are_no_gaps():
    starts = np.arange(50) * 0.2
    pulses = (starts[:, None] + np.arange(4) * 0.02).ravel()
    assert match_pulses(pulses, 50, num_planes=4).notes == ()


# --- times ----------------------------------------------------------------------------------------


def test_times_are_neither_left_out_nor_invented():
    times = train(25, np.random.default_rng(4))
    assert match_times(times, 25).notes == ()
    with pytest.raises(SourceError, match=r"25 times for 24 frames, 1 too many.*extra=last"):
        match_times(times, 24)
    with pytest.raises(SourceError, match="25 times for 26 frames, 1 too few"):
        match_times(times, 26)
    found = match_times(times, 24, rules=Rules(extra="first"))
    np.testing.assert_array_equal(found.times, times[1:])
    np.testing.assert_array_equal(match_times(times[:24], 8, num_planes=3).times, times[:24:3])
