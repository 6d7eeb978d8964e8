"""Places of pages, and the checks of what they need, before any work is done."""

from __future__ import annotations

from pathlib import Path

from nwb_ophys.errors import OutputError, OutputExistsError, not_found
from nwb_ophys.home import with_home
from nwb_ophys.optional import require_package
from nwb_ophys.outside import check_output, require_ordinary
from nwb_ophys.remote.paths import as_path, is_url
from nwb_ophys.storage import backend_of_path
from nwb_ophys.storage.text_files import check_replaceable, kind_with

EXTRA = "report"
"""The extra of the package with what reports need."""

PAGE = kind_with(
    "an HTML page", r"(?i)\A(\xef\xbb\xbf)?\s*<(!doctype\s+html|html)\b", ".html", ".htm"
)
"""Pages of reports; a page of anybody may be replaced by one."""


def check_packages() -> None:
    """Check that the packages are installed that reports need.

    Raises
    ------
    MissingPackageError
        Names the ``pip install`` that brings them.
    """
    for name in ("jinja2", "PIL"):
        require_package(name, EXTRA)


def default_output(path: str | Path) -> Path:
    """Return the page beside a file, with its name and ``.html``; of a URL, in this folder.

    Parameters
    ----------
    path : path-like
    """
    file = as_path(path)
    name = f"{file.name}.html"
    return Path(name) if is_url(path) else with_home(file).with_name(name)


def check_page(page: str | Path, *, overwrite: bool = False) -> Path:
    """Check that a page can be written, before any work is done, and return its path.

    Parameters
    ----------
    page : path-like
    overwrite : bool
        Whether an existing page may be replaced. Files of other kinds never are.

    Raises
    ------
    OutputExistsError, OutputError, MissingPackageError
    """
    check_packages()
    if is_url(page):
        raise OutputError(f"'{page}' is a URL; a report is written to a disk. Give another name.")
    place = with_home(Path(page))
    if not place.parent.is_dir():
        from nwb_ophys.storage import check_folder

        check_folder(place.parent)
    check_output(place)
    if place.exists() and not overwrite:
        raise OutputExistsError(f"'{place}' already exists; use overwrite=True to replace it.")
    if place.is_file():
        try:
            check_replaceable(place, PAGE)
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(f"'{place}' cannot be read: {error.strerror or error}.") from error
    return place


def is_dataset(path: str | Path) -> bool:
    """Return whether a path is a folder of NWB files, rather than a file or a store.

    Parameters
    ----------
    path : path-like
    """
    place = as_path(path)
    if not isinstance(place, Path) or not place.is_dir():
        return False
    return backend_of_path(place) is None


def existing(path: str | Path) -> Path:
    """Return the path of a file or store that exists and may be opened.

    Raises
    ------
    SourceNotFoundError, SpecialFileError
    """
    place = with_home(as_path(path))
    if not place.exists():
        raise not_found(path)
    require_ordinary(place)
    return place
