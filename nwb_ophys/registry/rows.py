"""What is known of each format without loading it."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import warnings
from importlib.metadata import entry_points
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
    packages : tuple of str
        Optional modules that it imports.
    origin : str
        The distribution that provides it.
    """

    name: str
    interface: str
    kind: str | None = None
    recognised: str = ""
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
    def is_ours(self) -> bool:
        """Whether it is a format of this package."""
        return self.origin == "nwb-ophys"

    @property
    def extra(self) -> str | None:
        """The extra of this package that brings what it needs, if anything; named as the format."""
        return self.name if self.is_ours else None

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
        interface=f"{_FORMATS}.bruker.interface:BrukerImagingInterface",
        recognised="a folder with TIFF files and the PVScan XML file of Bruker's Prairie View",
        packages=("tifffile",),
    ),
    FormatRow(
        name="thor",
        kind="imaging",
        interface=f"{_FORMATS}.thor.interface:ThorImagingInterface",
        recognised="a folder with ThorImage's Experiment.xml and TIFF files or Image_*.raw",
        packages=("tifffile",),
    ),
    FormatRow(
        name="scanimage",
        kind="imaging",
        interface=f"{_FORMATS}.scanimage.interface:ScanImageImagingInterface",
        recognised="TIFF files with a ScanImage header (2016 and later), or a folder of them",
        packages=("tifffile",),
    ),
    FormatRow(
        name="scanbox",
        kind="imaging",
        interface=f"{_FORMATS}.scanbox.interface:ScanboxImagingInterface",
        recognised="a .sbx file with the .mat file of Scanbox beside it",
        packages=("scipy",),
    ),
    FormatRow(
        name="scanimage-legacy",
        kind="imaging",
        interface=f"{_FORMATS}.scanimage_legacy.interface:ScanImageLegacyImagingInterface",
        recognised="TIFF files with a header of ScanImage 3.8 or older, or a folder of them",
        packages=("tifffile",),
    ),
    FormatRow(
        name="micromanager",
        kind="imaging",
        interface=f"{_FORMATS}.micromanager.interface:MicroManagerImagingInterface",
        recognised="a folder of .ome.tif files with Micro-Manager's tags, or one of them",
        packages=("tifffile",),
    ),
    FormatRow(
        name="ome-tiff",
        kind="imaging",
        interface=f"{_FORMATS}.ome_tiff.interface:OmeTiffImagingInterface",
        recognised="TIFF files with OME-XML in the first page, or a folder of them",
        packages=("tifffile",),
    ),
    FormatRow(
        name="miniscope",
        kind="imaging",
        interface=f"{_FORMATS}.miniscope.interface:MiniscopeImagingInterface",
        recognised="a folder of a UCLA Miniscope's .avi files, or of its recordings",
        packages=("cv2",),
    ),
    FormatRow(
        name="femtonics",
        kind="imaging",
        interface=f"{_FORMATS}.femtonics.interface:FemtonicsImagingInterface",
        recognised="a .mesc file with measurement units of Femtonics' MESc",
    ),
    FormatRow(
        name="inscopix",
        kind="imaging",
        interface=f"{_FORMATS}.inscopix.interface:InscopixImagingInterface",
        recognised=".isxd files with a movie of an Inscopix miniscope",
    ),
    FormatRow(
        name="tiff",
        kind="imaging",
        interface=f"{_FORMATS}.tiff.interface:TiffImagingInterface",
        recognised="multi-page TIFF files, or a folder of them",
        packages=("tifffile",),
    ),
    FormatRow(
        name="suite2p-movie",
        kind="imaging",
        interface=f"{_FORMATS}.suite2p.interface:Suite2pImagingInterface",
        recognised="a folder with plane0, plane1, … of ops.npy and the registered movie data.bin",
    ),
    FormatRow(
        name="hdf5",
        kind="imaging",
        interface=f"{_FORMATS}.hdf5.interface:Hdf5ImagingInterface",
        recognised="an HDF5 file with a dataset 'mov', or one of 3 to 5 axes, at its root",
    ),
    FormatRow(
        name="nwb",
        kind="imaging",
        interface=f"{_FORMATS}.nwb.imaging:NwbImagingInterface",
        recognised="an NWB file, HDF5 or Zarr, with one- or two-photon series",
    ),
    FormatRow(
        name="numpy",
        kind="imaging",
        interface=f"{_FORMATS}.numpy.interface:NumpyImagingInterface",
        recognised=".npy files with an array (time, rows, columns[, planes])",
    ),
    FormatRow(
        name="memmap",
        kind="imaging",
        interface=f"{_FORMATS}.memmap.interface:MemmapImagingInterface",
        recognised="memory maps of CaImAn (.mmap); other files of pixels with --format",
    ),
    FormatRow(
        name="suite2p",
        kind="segmentation",
        interface=f"{_FORMATS}.suite2p.interface:Suite2pSegmentationInterface",
        recognised="a folder with plane0, plane1, … of ops.npy and stat.npy",
    ),
    FormatRow(
        name="caiman",
        kind="segmentation",
        interface=f"{_FORMATS}.caiman.interface:CaimanSegmentationInterface",
        recognised="an HDF5 file with CaImAn's estimates and params",
        packages=("scipy",),
    ),
    FormatRow(
        name="cnmfe",
        kind="segmentation",
        interface=f"{_FORMATS}.cnmfe.interface:CnmfeSegmentationInterface",
        recognised="a MATLAB file with CNMF-E's A, C and C_raw, or CIAtah's extractedImages of it",
        packages=("scipy",),
    ),
    FormatRow(
        name="extract",
        kind="segmentation",
        interface=f"{_FORMATS}.extract.interface:ExtractSegmentationInterface",
        recognised="a MATLAB file with EXTRACT's spatial_weights and temporal_weights",
        packages=("scipy",),
    ),
    FormatRow(
        name="minian",
        kind="segmentation",
        interface=f"{_FORMATS}.minian.interface:MinianSegmentationInterface",
        recognised="a folder with Minian's A.zarr and C.zarr",
    ),
    FormatRow(
        name="sima",
        kind="segmentation",
        interface=f"{_FORMATS}.sima.interface:SimaSegmentationInterface",
        recognised="a folder of SIMA with dataset.pkl, and rois.pkl or signals_0.pkl",
    ),
    FormatRow(
        name="inscopix-cells",
        kind="segmentation",
        interface=f"{_FORMATS}.inscopix.interface:InscopixSegmentationInterface",
        recognised=".isxd files with a cell set of Inscopix",
    ),
    FormatRow(
        name="nwb-segmentation",
        kind="segmentation",
        interface=f"{_FORMATS}.nwb.segmentation:NwbSegmentationInterface",
        recognised="an NWB file, HDF5 or Zarr, with plane segmentations",
    ),
    FormatRow(
        name="numpy-segmentation",
        kind="segmentation",
        interface=f"{_FORMATS}.numpy.interface:NumpySegmentationInterface",
        recognised="nothing by itself: arrays of masks and traces are given by name",
    ),
)


ENTRY_POINT_GROUP = "nwb_ophys.formats"


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
    ours = {row.name: row for row in BUILTIN}
    for name in others.keys() & ours.keys():
        warnings.warn(
            f"The format '{name}' of '{others[name].origin}' is left out, since that is the name "
            "of a format of nwb-ophys; give the entry point another name.",
            UserWarning,
            stacklevel=2,
        )
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


def format_table() -> list[tuple[str, ...]]:
    """Return the formats as rows of text, a heading first.

    Returns
    -------
    list of tuple of str
        Kind, name, what is recognised, the extra, whether what it needs is installed or how to
        install it.
    """
    rows: list[tuple[str, ...]] = [("KIND", "NAME", "RECOGNISED", "EXTRA", "INSTALLED")]
    for row in formats().values():
        try:
            full = row if row.kind is not None else described(row)
        except UnknownFormatError as error:
            rows.append(("?", row.name, str(error), "", "no"))
            continue
        installed = "yes" if row.is_installed() else f"no: {row.install_line}"
        rows.append((str(full.kind), row.name, full.recognised, row.extra or "", installed))
    return rows


def described(row: FormatRow) -> FormatRow:
    """Return the row of another package's format with what its class says of itself."""
    cls = row.load()
    names = [base.__name__ for base in cls.__mro__]
    kind = next((k for k in ("imaging", "segmentation") if f"{k.title()}Interface" in names), "?")
    summary = (cls.__doc__ or cls.__name__).strip().splitlines()[0]
    return attrs.evolve(row, kind=kind, recognised=f"{summary} ({row.origin})")
