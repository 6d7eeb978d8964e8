"""Import packages that only some formats need, when they are used and with a helpful error."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from nwb_ophys.errors import MissingPackageError, as_sentence


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
        If it is not installed, or cannot be imported; the message gives the ``pip install``
        command.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise _broken(name, extra, error) from error
        raise MissingPackageError(
            f"The package {name!r} is not installed ({error}); install it with: "
            f'pip install "nwb-ophys[{extra}]".'
        ) from error
    except Exception as error:  # a package built for other versions can raise anything
        raise _broken(name, extra, error) from error


def _broken(name: str, extra: str, error: Exception) -> MissingPackageError:
    return MissingPackageError(
        f"The package {name!r} is installed, but cannot be imported: {type(error).__name__}: "
        f"{as_sentence(error)} Another package may be absent, or of a version that does "
        f'not fit; install them again with: pip install --upgrade "nwb-ophys[{extra}]".'
    )
