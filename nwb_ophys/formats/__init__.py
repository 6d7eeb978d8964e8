"""Formats, one folder each: the row of a format is in the ``__init__`` of its folder.

Importing this package imports no format. The interface classes are attributes of it, loaded when
they are first used; their names follow from the rows.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from typing import Any

import attrs

from nwb_ophys.errors import UnknownFormatError, as_sentence

#: Folders in the order in which their formats are asked about a path: specific before general.
ORDER = (
    "bruker",
    "thor",
    "scanimage",
    "scanbox",
    "scanimage_legacy",
    "ndtiff",
    "micromanager",
    "metamorph",
    "ome_tiff",
    "miniscope",
    "femtonics",
    "inscopix",
    "tiff",
    "suite2p",
    "caiman",
    "cnmfe",
    "extract",
    "minian",
    "sima",
    "hdf5",
    "nwb",
    "numpy",
    "memmap",
)


@attrs.frozen(kw_only=True)
class Format:
    """Row of a format: everything that is known without loading it.

    Attributes
    ----------
    name : str
        Name in ``--format``; for formats of this package also the name of the extra.
    interface : str
        Interface class as ``module:class``. In the ``__init__`` of a format the module is relative
        to its folder.
    kind : {"imaging", "segmentation"} or None
        None for a format of another package until its class is loaded.
    recognised : str
        Description of the files that are recognised as this format.
    suffixes : tuple of str
        Endings, in lower case, of the files that a recording consists of.
    file_suffixes : tuple of str
        Endings, in lower case, of files that are each a recording, so that they are also found in
        folders. Empty for formats whose recordings are folders.
    derived_folders : tuple of str
        Names of folders with files that an analysis derived from a recording, which detection
        does not search.
    requires : tuple of str
        Optional packages, by the names they are imported by, that the extra installs.
    converter : str or None
        Name of the class that converts whole recordings of this format. Formats that state the
        same name share the class, which is made from their rows.
    sample : str or None
        Function as ``module:function``, relative like `interface`. It takes a folder and a
        simulated recording, writes a small recording of this format, and returns the source
        arguments that open it.
    origin : str
        Distribution that provides the format.
    """

    name: str
    interface: str
    kind: str | None = None
    recognised: str = ""
    suffixes: tuple[str, ...] = ()
    file_suffixes: tuple[str, ...] = ()
    derived_folders: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    converter: str | None = None
    sample: str | None = None
    origin: str = "nwb-ophys"

    def load(self) -> Any:
        """Return the interface class.

        Raises
        ------
        UnknownFormatError
            If the class cannot be imported, for example from the entry point of another package.
        """
        try:
            found = resolve(self.interface)
            if not isinstance(found, type):
                raise TypeError(f"it is {found!r}, not a class.")
            return found
        except Exception as error:  # another package's module can raise anything
            raise UnknownFormatError(
                f"The format '{self.name}' of '{self.origin}' cannot be loaded from "
                f"'{self.interface}': {as_sentence(error)}"
            ) from error

    def is_installed(self) -> bool:
        """Return whether all optional packages that the format requires are installed."""
        return all(importlib.util.find_spec(package) is not None for package in self.requires)

    @property
    def interface_name(self) -> str:
        """Name of the interface class."""
        return self.interface.partition(":")[2]

    @property
    def is_ours(self) -> bool:
        """True if this package provides the format."""
        return self.origin == "nwb-ophys"

    @property
    def extra(self) -> str | None:
        """Name of the extra that installs the required packages; None for other packages."""
        return self.name if self.is_ours else None

    @property
    def install_line(self) -> str:
        """Command that installs the required packages."""
        return f'pip install "nwb-ophys[{self.extra}]"'


def resolve(reference: str) -> Any:
    """Import the object that ``module:name`` refers to.

    Parameters
    ----------
    reference : str
        Absolute module and name, separated by a colon.

    Returns
    -------
    object
    """
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


@functools.cache
def builtin_rows() -> tuple[Format, ...]:
    """Return the rows of this package: imaging before segmentation, each kind as in ``ORDER``."""
    rows = [_absolute(row, folder) for folder in ORDER for row in _rows_of_folder(folder)]
    return tuple(sorted(rows, key=lambda row: row.kind != "imaging"))


def _rows_of_folder(folder: str) -> tuple[Format, ...]:
    module = importlib.import_module(f"{__name__}.{folder}")
    return getattr(module, "FORMATS", None) or (module.FORMAT,)


def _absolute(row: Format, folder: str) -> Format:
    package = f"{__name__}.{folder}"
    sample = None if row.sample is None else f"{package}.{row.sample}"
    return attrs.evolve(row, interface=f"{package}.{row.interface}", sample=sample)


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return sorted(row.interface_name for row in builtin_rows())
    for row in builtin_rows():
        if row.interface_name == name:
            return resolve(row.interface)
    raise AttributeError(f"module '{__name__}' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__getattr__("__all__")]
