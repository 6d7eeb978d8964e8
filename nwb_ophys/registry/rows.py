"""What is known of each format without loading it."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import attrs

from nwb_ophys.errors import UnknownFormatError


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

    @property
    def install_line(self) -> str:
        """The command that brings what it needs."""
        return f'pip install "nwb-ophys[{self.extra}]"'


_FORMATS = "nwb_ophys.formats"

# Where a path looks like several, the first of them is meant: the particular before the general.
BUILTIN = (
    FormatRow(
        name="bruker",
        kind="imaging",
        interface=f"{_FORMATS}.bruker:BrukerImagingInterface",
        recognised="a folder with TIFF files and the PVScan XML file of Bruker's Prairie View",
        extra="bruker",
        packages=("tifffile",),
    ),
    FormatRow(
        name="thor",
        kind="imaging",
        interface=f"{_FORMATS}.thor:ThorImagingInterface",
        recognised="a folder with ThorImage's Experiment.xml and TIFF files or Image_*.raw",
        extra="thor",
        packages=("tifffile",),
    ),
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
