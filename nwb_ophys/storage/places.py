"""Places where files can be written, checked before any work is done."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from nwb_ophys.errors import OutputError
from nwb_ophys.home import with_home
from nwb_ophys.outside import check_output
from nwb_ophys.storage.backends.registry import kind_of_folder
from nwb_ophys.storage.disk_errors import disk_error, longest_name

# Of the file systems of all usual systems, where the system does not state it.
_MOST_BYTES_OF_NAME = 255


def check_place(target: Path, *, makes_folders: bool = False) -> None:
    """Check that a file can be written at a path, whatever is there already.

    Parameters
    ----------
    target : pathlib.Path
        Links followed.
    makes_folders : bool
        Whether missing folders are made.

    Raises
    ------
    OutputError
        When the name is too long, or the folder is absent, is a file, is within a store, or
        does not allow new files.
    """
    check_output(target)
    folder = target.parent
    if makes_folders:
        while not _exists(folder, target) and folder != folder.parent:
            folder = folder.parent
    _check_length(target, folder)
    check_folder(folder)
    for each in (folder, *folder.parents):
        kind = kind_of_folder(each)
        if kind is not None:
            raise OutputError(
                f"'{target}' lies within '{each}', which is {kind} and would be damaged; choose "
                "another folder."
            )


def real_place(path: Path) -> Path:
    """Return the place of a file to write, with links followed.

    Raises
    ------
    OutputError
        When no file can have the name: Windows cannot follow it then.
    """
    check_output(path)
    return Path(os.path.realpath(with_home(path)))


def check_folder(folder: Path) -> None:
    """Check that files can be written to a folder.

    Parameters
    ----------
    folder : pathlib.Path

    Raises
    ------
    OutputError
        When the folder is absent, is a file, or does not allow new files.
    """
    if not folder.exists():
        raise OutputError(f"The folder '{folder}' does not exist; make it first.")
    if not folder.is_dir():
        raise OutputError(f"'{folder}' is a file, not a folder; choose another path.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"The folder '{folder}' does not allow new files; choose another one.")


def _exists(path: Path, target: Path) -> bool:
    """Return whether a path exists; a part of it may be a file, or too long for any file."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise disk_error(error.errno or 0, target) from error
    return True


def _check_length(target: Path, folder: Path) -> None:
    """Check that no name of a path is longer than the file system allows."""
    most = longest_name(folder) or _MOST_BYTES_OF_NAME
    if any(len(os.fsencode(name)) > most for name in target.parts):
        raise disk_error(errno.ENAMETOOLONG, target)
