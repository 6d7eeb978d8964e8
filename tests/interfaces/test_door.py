"""Errors of other packages become errors of this one at the door."""

from __future__ import annotations

import struct
from pathlib import Path

import attrs
import pytest

from nwb_ophys.errors import CorruptSourceError, NwbOphysError, SourceError
from nwb_ophys.interfaces import ImagingInterface, argument


@attrs.frozen(kw_only=True)
class Source:
    """Source arguments."""

    file_path: Path = argument("File.")


class Foreign(ImagingInterface):
    """A format whose reader raises what it is asked to."""

    Source = Source
    error: Exception = KeyError("MUnit_0")

    @classmethod
    def open(cls, source):
        raise cls.error


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "movie.raw"
    path.write_bytes(b"0")
    return path


@pytest.mark.parametrize(
    "error",
    [
        KeyError("MUnit_0"),
        struct.error("unpack requires 4 bytes"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        OSError("unable to open file"),
        MemoryError(),
        RuntimeError("first line\nsecond line"),
        StopIteration(),
    ],
)
def test_a_foreign_error_names_the_file_and_keeps_its_cause(error, path, monkeypatch):
    monkeypatch.setattr(Foreign, "error", error)
    with pytest.raises(CorruptSourceError, match=r"movie\.raw' cannot be read: ") as raised:
        Foreign(file_path=path)
    assert raised.value.__cause__ is error
    assert "\n" not in str(raised.value)
    assert isinstance(raised.value, type(error)) or isinstance(error, StopIteration)


def test_an_error_of_the_system_is_no_damage(path, monkeypatch):
    monkeypatch.setattr(Foreign, "error", PermissionError(13, "Permission denied", "other.raw"))
    with pytest.raises(SourceError, match=r"movie\.raw' cannot be read: Permission denied: 'other"):
        Foreign(file_path=path)


def test_an_error_of_this_package_gets_the_path_it_lacks(path, monkeypatch):
    monkeypatch.setattr(Foreign, "error", CorruptSourceError("The masks end early."))
    with pytest.raises(NwbOphysError, match=r"^'.*movie\.raw': The masks end early\.$"):
        Foreign(file_path=path)
    monkeypatch.setattr(Foreign, "error", CorruptSourceError("'movie.raw' ends early."))
    with pytest.raises(NwbOphysError, match=r"^'movie\.raw' ends early\.$"):
        Foreign(file_path=path)


def test_a_warning_and_a_missing_package_pass(path, monkeypatch):
    for error in (UserWarning("a note"), ImportError("no package")):
        monkeypatch.setattr(Foreign, "error", error)
        with pytest.raises(type(error), match=r"^(a note|no package)$"):
            Foreign(file_path=path)
