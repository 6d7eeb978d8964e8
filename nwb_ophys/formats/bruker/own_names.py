"""Names that the OME-XML in Bruker's TIFF files gives to the files themselves.

Each file states its own UUID. The first file of a recording lists the names of all files with their
UUIDs, so that files that were swapped, copied over each other or renamed are found while they are
read.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nwb_ophys.errors import SourceError
from nwb_ophys.filetypes.files import misplaced_file
from nwb_ophys.filetypes.tiff.checks import TiffSource
from nwb_ophys.filetypes.tiff.page_table import PageTable
from nwb_ophys.filetypes.tiff.table import read_page_table

_OWN = re.compile(rb"<OME\b[^<>]*\sUUID=[\"']([^\"']+)[\"']")
_LISTED_IN = re.compile(rb"<BinaryOnly\b[^<>]*\sMetadataFile=[\"']([^\"']+)[\"']")
_LISTED = re.compile(rb"<UUID\s+FileName=[\"']([^\"']+)[\"']\s*>\s*([^<\s]+)")


def check_own_name(source: TiffSource) -> None:
    """Check that a file contains the images that its name promises.

    Files without a UUID, and recordings whose files have other names than they list, pass.

    Parameters
    ----------
    source : TiffSource

    Raises
    ------
    CorruptSourceError
        If the file is another file of the recording; names both.
    """
    table = source.table
    own, listed_in = _OWN.search(table.heading), _LISTED_IN.search(table.heading)
    if own is None:
        return
    name = table.path.name
    if listed_in is not None and listed_in[1].decode(errors="replace") == name:
        raise misplaced_file(table.path, None)
    names = _names_beside(table, listed_in)
    expected = names.get(name)
    if expected is None or expected == own[1]:
        return
    true_name = next((each for each, uuid in names.items() if uuid == own[1]), None)
    raise misplaced_file(table.path, true_name)


def check_not_listed(path: Path) -> None:
    """Check that a file which no list of images names is not one of the listed files.

    Parameters
    ----------
    path : pathlib.Path
        Such as the image on which a line was drawn.

    Raises
    ------
    CorruptSourceError
        If the file is an image of the recording; names both.
    """
    table = read_page_table(path)
    own = _OWN.search(table.heading)
    if own is None:
        return
    names = _names_beside(table, _LISTED_IN.search(table.heading))
    true_name = next((each for each, uuid in names.items() if uuid == own[1]), path.name)
    if true_name != path.name:
        raise misplaced_file(path, true_name)


def _names_beside(table: PageTable, listed_in: re.Match[bytes] | None) -> Mapping[str, bytes]:
    """Return the UUIDs by name, from the file itself or from the file that it refers to."""
    if listed_in is None:
        return _names_in(table.path, table.file_size)
    # Only a file beside it, whatever the text says.
    path = table.path.with_name(Path(listed_in[1].decode(errors="replace")).name)
    try:
        return _names_in(path, path.stat().st_size)
    except OSError:
        return {}


@functools.lru_cache(maxsize=4)
def _names_in(path: Path, file_size: int) -> Mapping[str, bytes]:
    """Return the UUIDs by name that one file lists; cached, since all files refer to it."""
    try:
        (text,) = read_page_table(path).head(1).read_descriptions(np.zeros(1, np.int64))
    except SourceError:  # its own reading raises this error
        return {}
    return {name.decode(errors="replace"): uuid for name, uuid in _LISTED.findall(text)}
