"""Sessions of a batch whose recordings and files are in an object store."""

from __future__ import annotations

import attrs
import fsspec
import h5py
import numpy as np
import pytest

from nwb_ophys.errors import NwbOphysError, SpecificationError
from nwb_ophys.remote import reading
from nwb_ophys.sessions import patterns, plan_sessions, sessions_of
from nwb_ophys.sessions.running import run_session
from nwb_ophys.sessions.session import Share
from nwb_ophys.sessions.states import settings_fingerprint

from .conftest import METADATA

FOLDER = "/remote-batches"
URL = f"memory:/{FOLDER}"


@pytest.fixture
def memory():
    store = fsspec.filesystem("memory")
    yield store
    reading._info.cache_clear()
    if store.exists(FOLDER):
        store.rm(FOLDER, recursive=True)


@pytest.fixture
def lab(memory, tmp_path, monkeypatch):
    """A specification of one session, whose movie and file are in the store."""
    monkeypatch.chdir(tmp_path)
    _put_movie(memory, tmp_path, 0)
    return {
        "output": f"{URL}/{{subject_id}}.nwb",
        "metadata": METADATA,
        "sessions": [
            {
                "paths": [f"{URL}/movie.hdf5"],
                "subject_id": "M1",
                "options": {"sampling_frequency": 30},
            }
        ],
    }


def _put_movie(memory, folder, value):
    path = folder / "movie.hdf5"
    with h5py.File(path, "w") as file:
        file["mov"] = np.full((5, 40, 48), value, np.uint16)
    memory.put(str(path), f"{FOLDER}/movie.hdf5")
    path.unlink()
    reading._info.cache_clear()


def _run(lab):
    (session,) = sessions_of(lab)
    return run_session(session, Share(workers=0, buffer_gb=0.1))


def _decision(lab):
    (planned,) = plan_sessions(sessions_of(lab))
    return planned.decision.act, planned.decision.why


@pytest.mark.parametrize("name", ["{subject_id}.nwb", "{subject_id}.nwb.zarr"])
def test_what_is_done_is_skipped_until_something_changes(memory, lab, tmp_path, name):
    lab["output"] = f"{URL}/{name}"
    output = name.format(subject_id="M1")
    assert _decision(lab) == ("convert", "new")
    state = _run(lab)
    assert state.state == "done", state.reason
    size = sum(memory.size(each) for each in memory.find(f"{FOLDER}/{output}"))
    assert state.num_bytes == size > 0
    assert _decision(lab) == ("skip", "done")
    _put_movie(memory, tmp_path, 7)
    assert _decision(lab) == ("convert", "source files changed")
    assert _run(lab).state == "done"
    assert _decision(lab) == ("skip", "done")
    memory.rm(f"{FOLDER}/{output}", recursive=True)
    assert _decision(lab) == ("convert", f"'{URL}/{output}' is no longer there")


def test_an_object_that_no_run_wrote_is_not_replaced(memory, lab, tmp_path):
    memory.pipe_file(f"{FOLDER}/M1.nwb", b"of somebody else")
    assert "only --overwrite replaces" in _decision(lab)[1]
    state = _run(lab)
    assert state.state == "failed"
    assert "exists, and no run of this batch wrote it as it is now" in state.reason
    assert memory.cat_file(f"{FOLDER}/M1.nwb") == b"of somebody else"


def test_an_object_that_was_replaced_after_a_run_is_not_replaced(memory, lab, tmp_path):
    assert _run(lab).state == "done"
    memory.pipe_file(f"{FOLDER}/M1.nwb", b"of somebody else")
    _put_movie(memory, tmp_path, 7)
    assert _run(lab).state == "failed"
    assert memory.cat_file(f"{FOLDER}/M1.nwb") == b"of somebody else"


def test_a_new_signature_of_a_url_is_no_change(lab):
    (session,) = sessions_of(lab)
    urls = [f"https://127.0.0.1/a.nwb?X-Amz-Signature={each}" for each in ("1", "2")]
    one, other = (settings_fingerprint(attrs.evolve(session, paths=(url,))) for url in urls)
    assert one == other != settings_fingerprint(session)


def test_an_output_in_place_of_that_of_the_specification_may_be_a_url(lab):
    (session,) = sessions_of(lab, output=f"{URL}/out/{{subject_id}}.nwb")
    assert session.output == f"{URL}/out/M1.nwb"


@pytest.fixture
def raw(memory):
    """Sessions in folders of a store: some subjects have no folder of imaging."""
    for place in ("M1/imaging/day1", "M1/imaging/day10", "M1/imaging/day2", "M2/imaging/day1"):
        memory.pipe(f"{FOLDER}/raw/{place}/movie.tif", b"x")
        memory.pipe(f"{FOLDER}/raw/{place}/clock.csv", b"x")
    memory.pipe(f"{FOLDER}/raw/M3/behaviour/a.csv", b"x")
    memory.pipe(f"{FOLDER}/raw/.hidden/imaging/day1/movie.tif", b"x")
    memory.pipe(f"{FOLDER}/raw/notes.txt", b"x")
    reading._entries.cache_clear()
    return f"{URL}/raw"


def _sessions(pattern, **entry):
    return sessions_of({"output": "out", "sessions": [{"pattern": pattern, **entry}]})


def test_a_pattern_in_a_store_finds_the_sessions(raw, tmp_path, monkeypatch):
    """Fault: nothing matched the pattern of a URL."""
    monkeypatch.chdir(tmp_path)
    listed = []
    names_in = patterns.names_in
    monkeypatch.setattr(patterns, "names_in", lambda path: listed.append(path) or names_in(path))
    found = _sessions(f"{raw}/{{subject_id}}/imaging/{{session_id}}/")
    keys = ["M1/day1", "M1/day2", "M1/day10", "M2/day1"]
    assert [each.key for each in found] == keys
    assert [each.paths for each in found] == [
        (f"{raw}/{key.replace('/', '/imaging/')}",) for key in keys
    ]
    assert not any(each.faults for each in found)
    assert len(listed) == len(set(listed)) == 6  # raw, 3 subjects and 2 folders of imaging


def test_names_within_the_match_of_a_pattern_in_a_store(raw):
    found = _sessions(
        f"{raw}/M1/imaging/{{session_id:day[0-9]}}", paths=["*.tif", "movie.tif"], times="clock*"
    )
    assert [each.paths for each in found] == [
        (f"{raw}/M1/imaging/{day}/movie.tif",) for day in ("day1", "day2")
    ]
    assert found[0].beside == (f"{raw}/M1/imaging/day1/clock.csv",)
    (lacking,) = _sessions(f"{raw}/M2/imaging/{{session_id}}", paths=["other.tif"])
    assert f"'{raw}/M2/imaging/day1/other.tif' does not exist" in lacking.faults[0]


def test_files_beside_folders_of_a_store_are_named(raw):
    with pytest.warns(UserWarning, match=r"matches folders and files, such as '.*notes\.txt'"):
        assert len(_sessions(f"{raw}/*")) == 4


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("raw/{a}/**", r"has '\*\*', which patterns in object stores must not have"),
        ("raw/../{a}", r"has '\.\.', which patterns in object stores must not have"),
        ("raw/X{a}", r"nothing matches the pattern 'memory://remote-batches/raw/X{a}'; check"),
        ("raw/{a}{b}", r"'memory://remote-batches/raw/notes.txt' matches '{a}{b}' in two ways"),
        ("none/{a}", "'memory://remote-batches/none' cannot be listed"),
    ],
)
def test_patterns_that_stores_cannot_have(raw, pattern, message):
    with pytest.raises(NwbOphysError, match=message):
        _sessions(f"{URL}/{pattern}")


def test_the_bucket_of_a_pattern_has_one_name():
    with pytest.raises(SpecificationError, match="name one bucket"):
        _sessions("s3://{lab}/raw/{subject_id}")
    with pytest.raises(SpecificationError, match=r"has '\?', which"):
        _sessions("https://example.org/raw/M?/{session_id}")


def test_a_pattern_lists_a_bounded_number_of_folders(raw, monkeypatch):
    monkeypatch.setattr(patterns, "_MOST_LISTINGS", 3)
    with pytest.raises(SpecificationError, match="more than 3 requests for lists of folders"):
        _sessions(f"{raw}/{{subject_id}}/imaging/{{session_id}}")
