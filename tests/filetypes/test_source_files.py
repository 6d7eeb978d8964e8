"""Messages about source files are worded in one way for all formats."""

from __future__ import annotations

import re

import pytest

from nwb_ophys.errors import CorruptSourceError, SourceError, SourceNotFoundError
from nwb_ophys.filetypes.files import (
    check_not_shortened,
    closed_file,
    require_file,
    unreadable_file,
)


def test_missing_files_and_folders_are_named_with_the_expected_kind(tmp_path):
    path = tmp_path / "a.tif"
    with pytest.raises(SourceNotFoundError, match=r"a\.tif' does not exist; .*a TIFF file\.$"):
        require_file(path, "a TIFF file")
    with pytest.raises(SourceNotFoundError, match=r"' is a folder; give a TIFF file\.$"):
        require_file(tmp_path, "a TIFF file")
    with pytest.raises(CorruptSourceError, match=r"' is a folder; give a \.npy file\.$"):
        require_file(tmp_path, "a .npy file", folder_error=CorruptSourceError)
    path.write_bytes(b"")
    require_file(path, "a TIFF file")


@pytest.mark.parametrize("error", [CorruptSourceError, SourceError])
def test_a_file_that_became_shorter_is_named_with_both_sizes(tmp_path, error):
    path = tmp_path / "a.raw"
    path.write_bytes(b"123")
    check_not_shortened(path, 3, error)
    with pytest.raises(error, match=r"a\.raw' has become shorter .* has 3 bytes instead of 4\."):
        check_not_shortened(path, 4, error)
    path.unlink()
    with pytest.raises(error, match=r"has 0 bytes instead of 3\."):
        check_not_shortened(path, 3, error)


def test_unreadable_and_closed_files_are_named(tmp_path):
    path = tmp_path / "a.mat"
    unreadable = str(unreadable_file(path, "a MATLAB file", ValueError("bad")))
    assert re.match(r"'.*a\.mat' cannot be read as a MATLAB file: bad\. It may be", unreadable)
    assert str(closed_file(path)) == f"'{path}' was closed; open it again to read it."
