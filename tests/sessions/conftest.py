"""A lab with a few sessions, written once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .lab import make_lab


@pytest.fixture(scope="session")
def written_lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a lab with two sessions of each of five formats; not to be changed."""
    folder = tmp_path_factory.mktemp("lab")
    make_lab(folder, per_format=2)
    return folder


@pytest.fixture
def lab(written_lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the specification of a lab of one's own."""
    # A file of settings of whoever runs the tests has no effect.
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "lab"
    shutil.copytree(written_lab, folder)
    return folder / "lab-sessions.yaml"
