"""Movies and cell sets of Inscopix, read from their files without Inscopix's package.

roiextractors reads them through ``isx``, which Python 3.13 and Macs with Apple's processors lack;
and it reads the whole movie for the empty range, gives blank frames for those that were dropped,
1 January 1970 for a start that is not stated, (columns, rows) for the field of a cell set, and no
traces.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.extractors.arrays import ArrayImagingExtractor, ArraySegmentationExtractor
from nwb_ophys.formats.inscopix.header import CELL_SET, MOVIE, IsxdHeader, check_size, open_isxd
from nwb_ophys.rois.pixel_lists import PixelLists

_DTYPES: dict[int, np.dtype[Any]] = {0: np.dtype("<u2"), 1: np.dtype("<f4"), 2: np.dtype("u1")}
# Before and behind each frame, where frames have both: two lines of the sensor, whatever the dtype.
_MARGIN_BYTES = 5120
_STATUSES = ("accepted", "undecided", "rejected")
# What the software calls traces that are relative to a baseline.
_RELATIVE_UNITS = ("df/f", "df over f", "dff", "delta f over f")


class InscopixMovieExtractor(ArrayImagingExtractor):
    """The frames of an ``.isxd`` movie, in a memory map.

    Parameters
    ----------
    file_path : pathlib.Path

    Attributes
    ----------
    header : IsxdHeader
        What the file states.

    Raises
    ------
    CorruptSourceError
        When the file is no movie, or does not hold the frames that it states.
    """

    extractor_name = "InscopixMovieExtractor"

    def __init__(self, file_path: Path) -> None:
        self.header = open_isxd(Path(file_path), MOVIE)
        self._valid = self.header.valid_samples
        super().__init__(_frames(self.header, len(self._valid)), float(1 / self.header.period))
        missing = self.header.num_times - len(self._valid)
        if missing:
            warnings.warn(
                f"'{file_path}': {missing} of {self.header.num_times} frames were dropped, cropped "
                f"or left blank, and are not in the file; the {len(self._valid)} others are read, "
                "with their times.",
                UserWarning,
                stacklevel=2,
            )
        _warn_of_alternating_frames(self.header)

    def get_native_timestamps(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> NDArray[np.float64] | None:
        """Return the times of the frames in seconds, where frames are missing; else None."""
        if len(self._valid) == self.header.num_times:
            return None
        times = self._valid * float(self.header.period)
        return times[start_sample:end_sample].astype(np.float64)


def _frames(header: IsxdHeader, num_frames: int) -> NDArray[Any]:
    """Map the frames, (samples, rows, columns)."""
    stated = header.content.get("dataType")
    if stated not in _DTYPES:
        known = ", ".join(f"{number} ({dtype.name})" for number, dtype in _DTYPES.items())
        raise CorruptSourceError(
            f"'{header.path}' has pixels of type {stated!r}; known are {known}."
        )
    dtype = _DTYPES[stated]
    pixels: tuple[Any, ...] = ("pixels", dtype, header.frame_shape)
    margin = f"V{_MARGIN_BYTES}"
    has_margins = bool(header.content.get("hasFrameHeaderFooter"))
    frame = np.dtype([("head", margin), pixels, ("foot", margin)] if has_margins else [pixels])
    rows, columns = header.frame_shape
    what = f"{num_frames} frames of {rows} x {columns} pixels of {dtype.name}"
    check_size(header, num_frames * frame.itemsize, what)
    if num_frames == 0:
        return np.zeros((0, rows, columns), dtype)
    return np.memmap(header.path, dtype=frame, mode="r", shape=(num_frames,))["pixels"]


def _warn_of_alternating_frames(header: IsxdHeader) -> None:
    """Say that frames of several planes or colours may follow one another in a movie."""
    planes = header.stated("microscope", "multiplane", "activePlanes")
    if not header.stated("microscope", "multiplane", "enabled"):
        planes = 1
    colours = header.stated("microscope", "dualColor", "mode") == "multiplexing"
    if not header.stated("microscope", "dualColor", "enabled"):
        colours = False
    mixed = []
    if isinstance(planes, int) and planes > 1 and header.stated("idps", "efocus") is None:
        mixed.append(f"{planes} planes")
    if colours and header.stated("idps", "channel") is None:
        mixed.append("two colours")
    if mixed:
        warnings.warn(
            f"'{header.path}' was recorded from {' and '.join(mixed)}, and does not state of which "
            "it is: their frames may follow one another, and are read as one movie. Separate them "
            "with Inscopix's software first.",
            UserWarning,
            stacklevel=3,
        )


class InscopixCellsExtractor(ArraySegmentationExtractor):
    """The cells of an ``.isxd`` cell set: footprints, traces and what was decided of each.

    Parameters
    ----------
    file_path : pathlib.Path

    Attributes
    ----------
    header : IsxdHeader
        What the file states.

    Raises
    ------
    CorruptSourceError
        When the file is no cell set, or does not hold the cells that it states.
    """

    extractor_name = "InscopixCellsExtractor"

    def __init__(self, file_path: Path) -> None:
        self.header = header = open_isxd(Path(file_path), CELL_SET)
        names = _listed(header, "CellNames", None)
        num_pixels, num_cells = int(np.prod(header.frame_shape)), len(names)
        cells = _cells(header, num_cells, num_pixels)
        footprints = cells[:, :num_pixels].reshape(num_cells, *header.frame_shape)
        super().__init__(
            np.moveaxis(footprints, 0, -1),
            {trace_kind(header): cells[:, num_pixels:].T},
            sampling_frequency=float(1 / header.period),
            # Names are what users know cells by; where two share one, positions stand for them.
            roi_ids=names if len(set(names)) == num_cells else None,
        )
        self._set_properties(names)

    def _set_properties(self, names: list[str]) -> None:
        ids, count = self.get_roi_ids(), len(names)
        codes = _listed(self.header, "CellStatuses", count)
        if not all(code in range(len(_STATUSES)) for code in codes):
            raise CorruptSourceError(
                f"'{self.header.path}' has cells of the statuses {sorted(set(codes))}; known are "
                "0 (accepted), 1 (undecided) and 2 (rejected)."
            )
        status = np.array([_STATUSES[code] for code in codes], dtype="U9")
        described = {
            "cell_name": (np.array(names, dtype=str), "Name of the cell."),
            "cell_status": (status, "What was decided of the cell: accepted, undecided, rejected."),
        }
        if np.any(status != "undecided"):
            accepted, rejected = status == "accepted", status == "rejected"
            described["is_accepted"] = (accepted, "Whether the cell was accepted.")
            described["is_rejected"] = (rejected, "Whether the cell was rejected.")
        for key, (values, description) in described.items():
            if count:
                self.set_property(key, values, ids, description=description)

    def get_ragged_pixels(self, ids: Any, of_background: bool = False) -> PixelLists | None:
        """Return the pixels that are not 0, where they are few."""
        if of_background:
            return None
        images = self._masks.view(np.ndarray)
        return PixelLists.from_images(images, self._indices(ids))


def trace_kind(header: IsxdHeader) -> str:
    """Return the kind of the traces of a cell set: ``dff`` where its unit says so, else ``raw``."""
    unit = str(header.stated("idps", "cellset", "units") or "").lower()
    return "dff" if unit.strip() in _RELATIVE_UNITS else "raw"


def _listed(header: IsxdHeader, key: str, count: int | None) -> list[Any]:
    """Return a list with an entry for each cell."""
    found = header.content.get(key)
    if not isinstance(found, list) or count not in (None, len(found)):
        number = len(found) if isinstance(found, list) else "no"
        of = "" if count is None else f" for {count} cells"
        raise CorruptSourceError(f"'{header.path}' has {number} {key}{of}; it is damaged.")
    return found


def _cells(header: IsxdHeader, num_cells: int, num_pixels: int) -> NDArray[Any]:
    """Map the cells: for each the pixels of its footprint, and the samples of its trace."""
    if header.content.get("dataType") != "float":
        raise CorruptSourceError(
            f"'{header.path}' has values of type {header.content.get('dataType')!r}, not 'float'."
        )
    shape = (num_cells, num_pixels + header.num_times)
    rows, columns = header.frame_shape
    what = f"{num_cells} cells of {rows} x {columns} pixels and {header.num_times} samples"
    check_size(header, 4 * num_cells * shape[1], what)
    if num_cells == 0:
        return np.zeros(shape, "<f4")
    return np.memmap(header.path, dtype="<f4", mode="r", shape=shape)
