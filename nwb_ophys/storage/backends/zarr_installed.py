"""The Zarr formats that the installed packages read and write, and words where they do not."""

from __future__ import annotations

import functools
from pathlib import Path

from nwb_ophys.errors import MissingPackageError

# hdmf-zarr writes format 3 from this version on, and reads format 2 only.
_FIRST_OF_FORMAT_3 = (0, 14)
_HINTS = {
    2: 'pip install "hdmf-zarr<0.14"',
    3: 'pip install "hdmf-zarr>=0.14", in Python 3.12 or later',
}


@functools.cache
def written_format() -> int:
    """Return the format that the installed hdmf-zarr writes; 2 where there is none."""
    version = _version()
    if version is None:
        return 2
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    return 3 if numbers >= _FIRST_OF_FORMAT_3 else 2


def _version() -> str | None:
    try:
        return _found_version()
    except ImportError:  # asked again, as it may be installed meanwhile
        return None


@functools.cache
def _found_version() -> str:
    from importlib import metadata  # here, as the command line imports this module

    return metadata.version("hdmf-zarr")


def require_format(number: int, path: Path | None = None) -> None:
    """Check that the installed packages write a format, and so read it as well.

    Parameters
    ----------
    number : int
    path : pathlib.Path, optional
        A store that is to be read, for the message.

    Raises
    ------
    MissingPackageError
        If hdmf-zarr is absent, or too old or too new; names the ``pip install`` that helps.
    """
    version = _version()
    if version is None:
        raise MissingPackageError(
            'The backend "zarr" needs the package hdmf-zarr: pip install "nwb-ophys[zarr]".'
        )
    if written_format() == number:
        return
    step = f"Install another version: {_HINTS[number]}."
    if path is not None:
        raise MissingPackageError(
            f"'{path}' is of Zarr format {number}, which hdmf-zarr {version} does not read. {step}"
        )
    raise MissingPackageError(
        f"hdmf-zarr {version} writes Zarr format {written_format()}, not format {number}. {step}"
    )
