"""Read movies and cell sets of Inscopix without Inscopix's package.

roiextractors reads them through ``isx``, which is not available for Python 3.13 or for Macs with
Apple processors. It also reads the whole movie for an empty range, returns blank frames for
dropped ones, 1 January 1970 for a missing start, (columns, rows) for the shape of a cell set, and
no traces.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.extractors.arrays import ArrayImagingExtractor, ArraySegmentationExtractor
from nwb_ophys.filetypes.files import COPY_AGAIN
from nwb_ophys.filetypes.mapped import mapped_rows, mapped_whole
from nwb_ophys.formats.inscopix.header import CELL_SET, MOVIE, IsxdHeader, check_size, open_isxd
from nwb_ophys.remote.paths import as_path
from nwb_ophys.rois.pixel_lists import PixelLists

_DTYPES: dict[int, np.dtype[Any]] = {0: np.dtype("<u2"), 1: np.dtype("<f4"), 2: np.dtype("u1")}
# Header and footer of each frame, if there are any: two lines of the sensor, whatever the dtype.
_MARGIN_BYTES = 5120
# Lists of the header that match the cells with those of other recordings.
_MATCHING = ("Matches", "CentroidDistances", "PairScores")
_STATUSES = ("accepted", "undecided", "rejected")
# Names of the software for the unit of traces relative to a baseline.
_RELATIVE_UNITS = ("df/f", "df over f", "dff", "delta f over f")


class InscopixMovieExtractor(ArrayImagingExtractor):
    """Frames of an ``.isxd`` movie, in a memory map.

    Parameters
    ----------
    file_path : pathlib.Path

    Attributes
    ----------
    header : IsxdHeader
        Header of the file.

    Raises
    ------
    CorruptSourceError
        When the file is not a movie, or lacks frames that its header states.
    """

    extractor_name = "InscopixMovieExtractor"

    def __init__(self, file_path: Path) -> None:
        self.header = open_isxd(as_path(file_path), MOVIE)
        self._valid = self.header.valid_samples
        super().__init__(_frames(self.header, len(self._valid)), float(1 / self.header.period))
        missing = self.header.num_times - len(self._valid)
        if missing:
            warnings.warn(
                f"'{file_path}': {missing} of {self.header.num_times} frames were dropped, cropped "
                f"or left blank and are not in the file; the other {len(self._valid)} are read, "
                "with their times.",
                UserWarning,
                stacklevel=2,
            )
        _warn_of_alternating_frames(self.header)

    def get_native_timestamps(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> NDArray[np.float64] | None:
        """Return the times of the frames in seconds if frames are missing, else None."""
        if len(self._valid) == self.header.num_times:
            return None
        times = self._valid * float(self.header.period)
        return times[start_sample:end_sample].astype(np.float64)


def _frames(header: IsxdHeader, num_frames: int) -> Any:
    """Map the frames, (samples, rows, columns)."""
    stated = header.content.get("dataType")
    if stated not in _DTYPES:
        known = ", ".join(f"{number} ({dtype.name})" for number, dtype in _DTYPES.items())
        raise CorruptSourceError(
            f"'{header.path}' has pixels of type {stated!r}; supported are {known}."
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
    return mapped_rows(header.path, frame, (num_frames,), field="pixels")


def _warn_of_alternating_frames(header: IsxdHeader) -> None:
    """Warn that frames of several planes or colours may alternate in a movie."""
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
            f"'{header.path}' was recorded from {' and '.join(mixed)} and does not state which one "
            "it contains: their frames may alternate, and are read as one movie. Separate them "
            "with Inscopix's software first.",
            UserWarning,
            stacklevel=3,
        )


class InscopixCellsExtractor(ArraySegmentationExtractor):
    """Cells of an ``.isxd`` cell set: footprints, traces and acceptance.

    Parameters
    ----------
    file_path : pathlib.Path

    Attributes
    ----------
    header : IsxdHeader
        Header of the file.

    Raises
    ------
    CorruptSourceError
        When the file is not a cell set, or lacks cells that its header states.
    """

    extractor_name = "InscopixCellsExtractor"

    def __init__(self, file_path: Path) -> None:
        self.header = header = open_isxd(as_path(file_path), CELL_SET)
        names = _cell_list(header, "CellNames", None)
        num_pixels, num_cells = int(np.prod(header.frame_shape)), len(names)
        cells = _cells(header, num_cells, num_pixels)
        footprints = cells[:, :num_pixels].reshape(num_cells, *header.frame_shape)
        super().__init__(
            np.moveaxis(footprints, 0, -1),
            {trace_kind(header): cells[:, num_pixels:].T},
            sampling_frequency=float(1 / header.period),
            # Users know cells by their names; if names are not unique, positions replace them.
            roi_ids=names if len(set(names)) == num_cells else None,
        )
        self._set_properties(names)

    def _set_properties(self, names: list[str]) -> None:
        ids, count = self.get_roi_ids(), len(names)
        codes = _cell_list(self.header, "CellStatuses", count)
        if not all(code in range(len(_STATUSES)) for code in codes):
            raise CorruptSourceError(
                f"'{self.header.path}' has cells with the statuses {sorted(set(codes))}; supported "
                "are 0 (accepted), 1 (undecided) and 2 (rejected)."
            )
        status = np.array([_STATUSES[code] for code in codes], dtype="U9")
        described = {
            "cell_name": (np.array(names, dtype=str), "Name of the cell."),
            "cell_status": (status, "Status of the cell: accepted, undecided or rejected."),
        }
        if np.any(status != "undecided"):
            accepted, rejected = status == "accepted", status == "rejected"
            described["is_accepted"] = (accepted, "Whether the cell was accepted.")
            described["is_rejected"] = (rejected, "Whether the cell was rejected.")
        activity = self.header.content.get("CellActivity")
        if isinstance(activity, list) and len(activity) == count and not all(activity):
            active = np.array([bool(each) for each in activity])
            described["cell_active"] = (active, "Whether the cell is active (CellActivity).")
        for key, (values, description) in described.items():
            if count:
                self.set_property(key, values, ids, description=description)
        matched = [name for name in _MATCHING if self.header.content.get(name)]
        if matched:
            warnings.warn(
                f"'{self.header.path}' holds results of longitudinal registration "
                f"({', '.join(matched)}), which are left out; export them with Inscopix Data "
                "Processing to have them.",
                UserWarning,
                stacklevel=3,
            )

    def get_ragged_pixels(self, ids: Any, of_background: bool = False) -> PixelLists | None:
        """Return the nonzero pixels if they are few, else None."""
        if of_background:
            return None
        images = self._masks.view(np.ndarray)
        return PixelLists.from_images(images, self._indices(ids))


def trace_kind(header: IsxdHeader) -> str:
    """Return the kind of the traces of a cell set: ``dff`` for a relative unit, else ``raw``."""
    unit = str(header.stated("idps", "cellset", "units") or "").lower()
    return "dff" if unit.strip() in _RELATIVE_UNITS else "raw"


def _cell_list(header: IsxdHeader, key: str, count: int | None) -> list[Any]:
    """Return a list of the header with one entry per cell."""
    found = header.content.get(key)
    if not isinstance(found, list) or count not in (None, len(found)):
        number = len(found) if isinstance(found, list) else "no"
        of = "" if count is None else f" for {count} cells"
        raise CorruptSourceError(
            f"'{header.path}' has {number} {key}{of}; the file is damaged. To repair it, "
            f"{COPY_AGAIN}."
        )
    return found


def _cells(header: IsxdHeader, num_cells: int, num_pixels: int) -> Any:
    """Map the cells: the pixels of the footprint and the samples of the trace of each cell."""
    if header.content.get("dataType") != "float":
        raise CorruptSourceError(
            f"'{header.path}' has values of type {header.content.get('dataType')!r}; supported is "
            "'float'."
        )
    shape = (num_cells, num_pixels + header.num_times)
    rows, columns = header.frame_shape
    what = f"{num_cells} cells of {rows} x {columns} pixels and {header.num_times} samples"
    check_size(header, 4 * num_cells * shape[1], what)
    if num_cells == 0:
        return np.zeros(shape, "<f4")
    return mapped_whole(header.path, "<f4", shape)
