"""Fixtures of the tests with neuroconv."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_file_left_open() -> None:
    """Do nothing: pytest holds the interfaces of neuroconv's fixtures longer than a test lasts."""
