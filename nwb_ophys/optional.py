"""Import packages that only some formats need, when they are used and with a helpful error."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from nwb_ophys.errors import MissingPackageError


def require_package(name: str, extra: str) -> Any:
    """Import an optional package.

    Parameters
    ----------
    name : str
        Import name of the package, such as ``"tifffile"``.
    extra : str
        The extra of nwb-ophys that installs it, such as ``"tiff"``.

    Returns
    -------
    module
        The imported package.

    Raises
    ------
    MissingPackageError
        If it is not installed; the message gives the ``pip install`` command.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingPackageError(
            f"The package {name!r} is not installed ({error}); install it with: "
            f'pip install "nwb-ophys[{extra}]".'
        ) from error
