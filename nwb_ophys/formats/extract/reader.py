"""Reader of EXTRACT's output.

roiextractors' own reader transposes masks of versions before 1.0 against the movie and computes
their rate from the duration of the analysis, whatever rate the user states; refuses sparse weights
and files before MATLAB's 7.3; calls traces ΔF/F although EXTRACT did not normalise the movie
(``skip_dff``); and invents acceptance.

The fields are those of EXTRACT's documentation, https://github.com/schnitzer-lab/EXTRACT-public.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np

from nwb_ophys.extractors.ranges import check_rate
from nwb_ophys.filetypes.matlab.rois import as_pixels, as_traces, count_rois
from nwb_ophys.filetypes.matlab.structs import (
    find_struct,
    image_of,
    note_objects,
    others_of_rois,
    reading,
    weights_and_traces,
)
from nwb_ophys.filetypes.matlab.variables import MatlabFile, MatlabStruct
from nwb_ophys.remote.paths import as_path
from nwb_ophys.rois.pixel_extractor import PixelRois

# Fields since version 1.0, and before.
NEW_FIELDS = frozenset({"spatial_weights", "temporal_weights"})
OLD_FIELDS = frozenset({"filters", "traces", "info"})
EXTRACT_KINDS = (NEW_FIELDS, OLD_FIELDS)

_IMAGES = {
    "summary_image": "info/summary_image",
    "f_per_pixel": "info/F_per_pixel",
    "max_image": "info/max_image",
}

# What EXTRACT measured of each cell, in its order, (values, cells).
_CHECKS = {
    "metrics": (
        "cellcheck_metrics",
        "Metrics of the quality of the cell, in the order of EXTRACT (cellcheck.metrics).",
    ),
    "is_attr_bad": (
        "cellcheck_is_attr_bad",
        "Whether each metric that EXTRACT checks is beyond its limit, in its order "
        "(cellcheck.is_attr_bad).",
    ),
}


class ExtractExtractor(PixelRois):
    """Cells that EXTRACT found, with their traces and summary images.

    Parameters
    ----------
    file_path : pathlib.Path
    sampling_frequency : float
        Samples per second, which EXTRACT does not state.
    output_struct_name : str, optional
        Name of the struct, where there are several.

    Attributes
    ----------
    version : str or None
        Version of EXTRACT.
    trace_option : str or None
        EXTRACT's ``trace_output_option``.
    absent_parts : list of str
        Parts that EXTRACT writes and the file lacks.
    other_parts : list of str
        Arrays of cells or pixels that EXTRACT does not write, which are not read.

    Raises
    ------
    CorruptSourceError
        When the file is not EXTRACT's, or is damaged.
    SourceArgumentError
        When an argument is wrong.
    """

    extractor_name = "ExtractExtractor"

    def __init__(
        self,
        file_path: Path,
        sampling_frequency: float | None,
        output_struct_name: str | None = None,
    ) -> None:
        if sampling_frequency is not None:
            check_rate(sampling_frequency)
        self._file = MatlabFile(as_path(file_path), "extract")
        with reading(self._file, "EXTRACT"):
            self._read(sampling_frequency, output_struct_name)

    def _read(self, sampling_frequency: float | None, name: str | None) -> None:
        file = self._file
        output = find_struct(file, EXTRACT_KINDS, name, "EXTRACT")
        is_old = not set(output.names) >= NEW_FIELDS
        names = ("filters", "traces") if is_old else ("spatial_weights", "temporal_weights")
        weights, stored = weights_and_traces(file, output, *names)
        roi_axis = 0 if is_old else 1
        num_rois = count_rois(weights.shape, stored.shape, roi_axis, is_old)
        traces = as_traces(stored, num_rois, roi_axis)
        field = _field_of(output)
        pixels = as_pixels(weights, field, num_rois, rois_may_be_first=is_old)
        config = output if output.get("config") is not None else file.variables
        note_objects(file.path, output, ("info", "info/cellcheck", "info/version"))
        note_objects(file.path, config, ("config", "config/preprocess", "config/skip_dff"))
        kind = "dff" if _is_normalised(config) else "raw"
        super().__init__(pixels, {kind: traces}, sampling_frequency, {})
        self.version = output.text("info/version")
        self.trace_option = config.text("config/trace_output_option")
        for image, path in _IMAGES.items():
            found = image_of(file, output, path, self.get_frame_shape())
            if found is not None:
                self._summary_images[image] = found
        self._set_acceptance(output)
        self._set_checks(output)
        self.absent_parts = [] if is_old else _absent(output, config)
        known = {*NEW_FIELDS, *OLD_FIELDS, "config"}
        self.other_parts = others_of_rois(file, output, known, num_rois, self.get_frame_shape())

    def _set_acceptance(self, output: MatlabStruct) -> None:
        """Set which cells passed EXTRACT's final check of quality as a property.

        Flags other than 0 and 1 say more than that, and are a property of their own.
        """
        flags = output.array("info/cellcheck/is_bad", self._file.path)
        count = self.get_num_rois()
        if flags is None or not count:
            return
        if math.prod(flags.shape) != count:
            warnings.warn(
                f"'{self._file.path}': cellcheck.is_bad has {math.prod(flags.shape)} flags for "
                f"{count} cells; it is left out, so that no cell is accepted or rejected.",
                UserWarning,
                stacklevel=4,
            )
            return
        failed = np.asarray(flags).reshape(-1)
        passed = "Whether the cell passed EXTRACT's final check of quality."
        described = {"is_accepted": (failed == 0, passed)}
        if not np.isin(failed, (0, 1)).all():
            what = "Flag of EXTRACT's final check (cellcheck.is_bad); 0 if the cell passed."
            described["is_bad"] = (failed, what)
        for key, (values, description) in described.items():
            self.set_property(key, values, self._roi_ids, description=description)

    def _set_checks(self, output: MatlabStruct) -> None:
        """Set the metrics of each cell, and the limits that they failed, as properties.

        Their names are not in the file; they have several values for each cell.
        """
        count = self.get_num_rois()
        for name, (key, description) in _CHECKS.items():
            stored = output.array(f"info/cellcheck/{name}", self._file.path)
            if stored is None or len(stored.shape) != 2:
                continue
            if stored.shape[1] != count:
                warnings.warn(
                    f"'{self._file.path}': cellcheck.{name} is of {stored.shape[1]} cells, the "
                    f"masks of {count}; it is left out.",
                    UserWarning,
                    stacklevel=4,
                )
                continue
            values = np.ascontiguousarray(np.asarray(stored).T)
            self.set_property(key, values, self._roi_ids, description=description)


def _absent(output: MatlabStruct, config: MatlabStruct) -> list[str]:
    """Return the images, checks and settings that EXTRACT writes since version 1.0.

    A struct with cells and traces alone was made of EXTRACT's output, and lacks nothing.
    """
    info, settings = output.get("info"), config.get("config")
    if info is None and settings is None:
        return []
    check = "info/cellcheck"
    expected = [*_IMAGES.values(), check, f"{check}/is_bad"]
    absent = [path for path in expected if output.get(path) is None]
    if info is None:
        absent = ["info"]
    elif check in absent:
        absent.remove(f"{check}/is_bad")
    if settings is None:
        absent.append("config")
    elif config.get("config/preprocess") is None:
        absent.append("config/preprocess (whether the traces are dF/F)")
    return absent


def _field_of(output: MatlabStruct) -> tuple[int, int] | None:
    """Return (rows, columns) from a summary image, for weights that lack them."""
    weights = output.first(["spatial_weights", "filters"])
    if len(weights.shape) == 3:
        return None
    image = output.first(["info/summary_image", "info/F_per_pixel", "info/max_image"])
    if not hasattr(image, "shape") or len(image.shape) != 2 or min(image.shape) < 2:
        return None
    return (int(image.shape[0]), int(image.shape[1]))


def _is_normalised(config: MatlabStruct) -> bool:
    """Return whether EXTRACT converted the movie to ΔF/F before it searched for cells."""
    return bool(config.number("config/preprocess")) and not config.number("config/skip_dff")
