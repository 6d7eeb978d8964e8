"""A killed conversion goes on where it stopped, and the result is that of an uninterrupted one."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pytest

from nwb_ophys import verify
from nwb_ophys.storage.resuming import find_earlier

from .killing import (
    MOVIE,
    STEPS,
    committed,
    contents_of,
    convert,
    counted_chunks,
    frequent_commits,
    killed_after,
    killed_at,
    slowly,
    write_sources,
)
from .setting import rounds

SUFFIX = {"hdf5": "session.nwb", "zarr": "session.nwb.zarr"}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    write_sources(folder)
    return folder


@pytest.fixture(scope="module")
def whole(sources, tmp_path_factory):
    """The contents of uninterrupted conversions, by backend."""
    folder = tmp_path_factory.mktemp("whole")
    return {
        backend: contents_of(convert(sources, folder / name, backend=backend))
        for backend, name in SUFFIX.items()
    }


def resumed(sources, target, backend, workers):
    """Resume a conversion; check that no committed chunk is written again."""
    before = committed(target)
    with warnings.catch_warnings(), counted_chunks() as (stored, read):
        warnings.filterwarnings("ignore", "An earlier run was killed")
        warnings.filterwarnings("error", ".*written from the start")
        convert(sources, target, backend=backend, workers=workers, resume=True)
    for location, chunks in before.items():
        assert not chunks & stored.get(location, set()), location
    assert [each.name for each in target.parent.iterdir()] == [target.name]
    return before, stored, read


def check_equal(target, expected):
    found = contents_of(target)
    assert found.keys() == expected.keys()
    different = [name for name in expected if found[name] != expected[name]]
    assert not different
    assert verify(target).is_equal


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("backend", list(SUFFIX))
def test_killed_conversions_are_completed(backend, workers, sources, whole, tmp_path):
    """Kill the same conversion several times before it is completed."""
    rng = random.Random(f"{backend} {workers}")
    for number in range(rounds(1, 12)):
        target = tmp_path / str(number) / SUFFIX[backend]
        target.parent.mkdir()
        reached = []
        for _ in range(rng.randint(1, 4)):
            how = {"backend": backend, "workers": workers, "progress": slowly()}

            def run(how=how, target=target):
                with frequent_commits():
                    convert(sources, target, resume=True, **how)

            killed_after(run, rng.uniform(0.15, 0.9))
            reached.append(sum(len(each) for each in committed(target).values()))
            if target.exists():
                break
        assert reached == sorted(reached) or target.exists()
        if not target.exists():
            resumed(sources, target, backend, workers)
        check_equal(target, whole[backend])


@pytest.mark.parametrize(
    ("backend", "step"), [(backend, step) for backend in SUFFIX for step in STEPS[backend]]
)
def test_a_kill_at_any_step_of_a_commit_loses_no_earlier_commit(
    backend, step, sources, whole, tmp_path
):
    for number in range(rounds(1, 4)):
        target = tmp_path / str(number) / SUFFIX[backend]
        target.parent.mkdir()
        count = 2 + number + (60 if "chunk" in step else 0)

        def run(target=target):
            with frequent_commits():
                convert(sources, target, backend=backend, workers=0, progress=slowly())

        assert killed_at(run, (step, count))
        before, _, _ = resumed(sources, target, backend, 0)
        assert len(before[MOVIE]) > 0
        check_equal(target, whole[backend])


@pytest.mark.parametrize("backend", list(SUFFIX))
def test_committed_blocks_are_not_read_again(backend, sources, whole, tmp_path):
    target = tmp_path / SUFFIX[backend]

    def run():
        with frequent_commits():
            convert(sources, target, backend=backend, workers=0, progress=slowly())

    assert killed_at(run, ("after a line of the journal", 3))
    before, stored, read = resumed(sources, target, backend, 0)
    num_chunks = len(before[MOVIE])
    assert num_chunks > 2
    (frames,) = {shape[0] for shape, _ in read if len(shape) == 3 and shape[0] > 100}
    movie = [each for shape, each in read if shape[0] == frames and len(shape) == 3]
    chunk = 600 // max(max(before[MOVIE] | stored[MOVIE]) + 1, 1)
    done = {index * chunk for index in before[MOVIE]}
    assert not [each for each in movie if each[0].start in done]
    check_equal(target, whole[backend])


@pytest.mark.parametrize("backend", list(SUFFIX))
def test_damaged_chunks_of_the_incomplete_file_are_written_again(backend, sources, whole, tmp_path):
    target = tmp_path / SUFFIX[backend]

    def run():
        with frequent_commits():
            convert(sources, target, backend=backend, workers=0, progress=slowly())

    assert killed_at(run, ("after a line of the journal", 3))
    ((earlier,), _) = find_earlier(target)
    rng = np.random.default_rng(0)
    files = [earlier.partial]
    if earlier.partial.is_dir():
        files = [
            each for each in (earlier.partial / MOVIE).glob("[0-9]*") if "partial" not in each.name
        ][:20]
        assert files
    for file in files:
        data = bytearray(file.read_bytes())
        half = len(data) // 2
        for at in rng.integers(half, half + len(data) // 4, 3):
            data[at] ^= 0xFF
        file.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        convert(sources, target, backend=backend, workers=0, resume=True)
    check_equal(target, whole[backend])
