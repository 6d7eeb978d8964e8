"""A file of another author and its raw arrays, for all tests of reports."""

from __future__ import annotations

import pytest
from tests_of_reports import Made, write_session


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A file and its raw arrays."""
    return write_session(tmp_path_factory.mktemp("made") / "session.nwb")
