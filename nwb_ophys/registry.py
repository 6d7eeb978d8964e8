"""Which formats there are: a row each, by dotted names, so that nothing is imported until used.

Other packages add rows through the entry-point group ``nwb_ophys.formats``: the name of the entry
point is that of the format, its object the interface class.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import warnings
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import UnknownFormatError

ENTRY_POINT_GROUP = "nwb_ophys.formats"


@attrs.frozen(kw_only=True)
class FormatRow:
    """One format.

    Attributes
    ----------
    name : str
        As in ``--format``.
    kind : {"imaging", "segmentation"} or None
        None, until it is loaded, for a format of another package.
    interface : str
        ``module:class``.
    recognised : str
        What is recognised as it, in words.
    extra : str or None
        The extra of this package that brings what it needs.
    packages : tuple of str
        Optional modules that it imports.
    origin : str
        The distribution that provides it.
    """

    name: str
    interface: str
    kind: str | None = None
    recognised: str = ""
    extra: str | None = None
    packages: tuple[str, ...] = ()
    origin: str = "nwb-ophys"

    def load(self) -> Any:
        """Return the interface class.

        Raises
        ------
        UnknownFormatError
            When another package's entry point cannot be imported.
        """
        module, _, name = self.interface.partition(":")
        try:
            found = getattr(importlib.import_module(module), name)
            if not isinstance(found, type):
                raise TypeError(f"it is {found!r}, not a class")
            return found
        except Exception as error:  # another package's module can raise anything
            raise UnknownFormatError(
                f"The format '{self.name}' of '{self.origin}' cannot be loaded from "
                f"'{self.interface}': {error}."
            ) from error

    def is_installed(self) -> bool:
        """Whether the optional packages that it needs are there."""
        return all(importlib.util.find_spec(package) is not None for package in self.packages)


_FORMATS = "nwb_ophys.formats"

# Where a path looks like several, the first of them is meant: the particular before the general.
_BUILTIN = (
    FormatRow(
        name="scanimage",
        kind="imaging",
        interface=f"{_FORMATS}.scanimage:ScanImageImagingInterface",
        recognised="TIFF files with a ScanImage header (2016 and later), or a folder of them",
        extra="scanimage",
        packages=("tifffile",),
    ),
    FormatRow(
        name="tiff",
        kind="imaging",
        interface=f"{_FORMATS}.tiff:TiffImagingInterface",
        recognised="multi-page TIFF files, or a folder of them",
        extra="tiff",
        packages=("tifffile",),
    ),
    FormatRow(
        name="numpy",
        kind="imaging",
        interface=f"{_FORMATS}.numpy:NumpyImagingInterface",
        recognised=".npy files with an array (time, rows, columns[, planes])",
    ),
    FormatRow(
        name="suite2p",
        kind="segmentation",
        interface=f"{_FORMATS}.suite2p:Suite2pSegmentationInterface",
        recognised="a folder with plane0, plane1, … of ops.npy and stat.npy",
        extra="suite2p",
    ),
    FormatRow(
        name="caiman",
        kind="segmentation",
        interface=f"{_FORMATS}.caiman:CaimanSegmentationInterface",
        recognised="an HDF5 file with CaImAn's estimates and params",
        extra="caiman",
        packages=("scipy",),
    ),
    FormatRow(
        name="numpy-segmentation",
        kind="segmentation",
        interface=f"{_FORMATS}.numpy:NumpySegmentationInterface",
        recognised="nothing by itself: arrays of masks and traces are given by name",
    ),
)


def formats() -> dict[str, FormatRow]:
    """Return every format by its name, in order of precedence, other packages' first."""
    others = {
        point.name: FormatRow(
            name=point.name,
            interface=f"{point.module}:{point.attr}",
            origin=point.dist.name if point.dist is not None else point.value.split(".")[0],
        )
        for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name)
    }
    ours = {row.name: row for row in _BUILTIN}
    return {name: row for name, row in others.items() if name not in ours} | ours


def get_format(name: str) -> FormatRow:
    """Return a format by its name.

    Raises
    ------
    UnknownFormatError
        Naming those there are.
    """
    known = formats()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise UnknownFormatError(f"There is no format '{name}'.{hint} Formats: {', '.join(known)}.")
    return known[name]


@attrs.frozen
class Candidate:
    """A format that a path may be of.

    Attributes
    ----------
    row : FormatRow
    evidence : str
        Why, in words.
    """

    row: FormatRow
    evidence: str


def detect(path: str | Path) -> list[Candidate]:
    """Return the formats that a path may be of, the likeliest first.

    Parameters
    ----------
    path : path-like
        Names and headers only are read.
    """
    path = Path(path)
    candidates = []
    for row in formats().values():
        if row.kind is not None:
            evidence = row.load().matches(path)
        else:
            row, evidence = _asked(row, path)
        if evidence:
            candidates.append(Candidate(row, evidence))
    return candidates


def _asked(row: FormatRow, path: Path) -> tuple[FormatRow, str | None]:
    """Ask another package's format; one that fails does not stand in the way of the others."""
    try:
        return _described(row), row.load().matches(path)
    except Exception as error:
        warnings.warn(
            f"The format '{row.name}' of '{row.origin}' is left out: {error}",
            UserWarning,
            stacklevel=3,
        )
        return row, None


def format_table() -> list[tuple[str, ...]]:
    """Return the formats as rows of text, a heading first.

    Returns
    -------
    list of tuple of str
        Kind, name, whether what it needs is installed or how to install it, what is recognised.
    """
    rows: list[tuple[str, ...]] = [("KIND", "NAME", "INSTALLED", "RECOGNISED")]
    for row in formats().values():
        try:
            described = row if row.kind is not None else _described(row)
        except UnknownFormatError as error:
            rows.append(("?", row.name, "no", str(error)))
            continue
        install = f'no: pip install "nwb-ophys[{row.extra}]"'
        installed = "yes" if row.is_installed() else install
        rows.append((str(described.kind), row.name, installed, described.recognised))
    return rows


def _described(row: FormatRow) -> FormatRow:
    """Return the row of another package's format with what its class says of itself."""
    cls = row.load()
    names = [base.__name__ for base in cls.__mro__]
    kind = next((k for k in ("imaging", "segmentation") if f"{k.title()}Interface" in names), "?")
    summary = (cls.__doc__ or cls.__name__).strip().splitlines()[0]
    return attrs.evolve(row, kind=kind, recognised=f"{summary} ({row.origin})")
