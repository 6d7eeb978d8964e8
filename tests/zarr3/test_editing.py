"""Metadata of stores of format 3 are changed in their place."""

from __future__ import annotations

import json
import os
import signal

import pytest
from hdmf_zarr import NWBZarrIO
from pynwb.file import Subject

from nwb_ophys import edit_metadata, verify
from nwb_ophys.errors import MissingPackageError
from nwb_ophys.storage import create_nwbfile, in_place, remove_debris

from .conftest import VALUES, in_chunks, new_file


@pytest.fixture
def session(tmp_path, small_shards):
    nwbfile = new_file(a=in_chunks(VALUES, (10, 12, 5)))
    nwbfile.subject = Subject(subject_id="M1", sex="U")
    return create_nwbfile(nwbfile, tmp_path / "a.nwb.zarr", backend="zarr")


def _files(store):
    files = (each for each in store.rglob("*") if each.is_file())
    return {each.relative_to(store).as_posix(): each.read_bytes() for each in files}


def test_headers_and_copies_of_them_change_together(session):
    before = _files(session)
    given = {"Subject.sex": "F", "Subject.weight": "25 g", "NWBFile.keywords": ["a", "b"]}
    with pytest.warns(UserWarning, match="it is written as"):
        edit_metadata(session, given)
    after = _files(session)
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert not [name for name in changed if name.startswith("acquisition")]
    copies = json.loads(after["zarr.json"])["consolidated_metadata"]["metadata"]
    for name in ("general/subject/sex", "general/subject/weight", "general/keywords"):
        assert copies[name] == json.loads(after[f"{name}/zarr.json"])
    with NWBZarrIO(str(session), "r") as io:
        nwbfile = io.read()
        assert (nwbfile.subject.sex, nwbfile.subject.weight) == ("F", "0.025 kg")
        assert list(nwbfile.keywords) == ["a", "b"]
        assert (nwbfile.acquisition["a"].data[:] == VALUES).all()
    assert verify(session).is_equal
    edit_metadata(session, {"Subject.weight": None})
    assert "general/subject/weight/zarr.json" not in _files(session)
    assert verify(session).is_equal


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_an_edit_that_was_killed_is_undone(session):
    before = _files(session)
    pid = os.fork()
    if pid == 0:
        try:
            in_place._complete = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
            edit_metadata(session, {"Subject.sex": "F"})
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert _files(session) != before
    remove_debris(session.parent)
    assert _files(session) == before


def test_a_store_of_format_2_is_only_read(format_2):
    before = _files(format_2)
    with pytest.raises(MissingPackageError, match=r"cannot be changed: .*writes Zarr format 3"):
        edit_metadata(format_2, {"NWBFile.lab": "x"})
    assert _files(format_2) == before
