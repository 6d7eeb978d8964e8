"""EXTRACT's output, read here: what roiextractors makes of it is mended.

Mended: masks of versions before 1.0, which it transposes against the movie, and their rate, which
it takes from the time that the analysis took, whatever rate the user states; sparse weights, and
files before MATLAB's 7.3, which it refuses; traces of a movie that EXTRACT was told not to
normalise (``skip_dff``), which it calls delta F over F; and acceptance, which it invents.

Fields are those of EXTRACT's own documentation, https://github.com/schnitzer-lab/EXTRACT-public.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from nwb_ophys.errors import SourceError
from nwb_ophys.extractors.ranges import check_rate
from nwb_ophys.filetypes.matlab.rois import as_pixels, as_traces, count_rois
from nwb_ophys.filetypes.matlab.structs import find_struct, image_of, matrix_of, reading
from nwb_ophys.filetypes.matlab.variables import MatlabFile, MatlabStruct
from nwb_ophys.rois.pixel_extractor import PixelRois

# Since version 1.0, and before.
NEW_FIELDS = frozenset({"spatial_weights", "temporal_weights"})
OLD_FIELDS = frozenset({"filters", "traces", "info"})
EXTRACT_KINDS = (NEW_FIELDS, OLD_FIELDS)

_IMAGES = {
    "summary_image": "info/summary_image",
    "f_per_pixel": "info/F_per_pixel",
    "max_image": "info/max_image",
}


class ExtractExtractor(PixelRois):
    """Cells that EXTRACT found, with their traces and its summary images.

    Parameters
    ----------
    file_path : pathlib.Path
    sampling_frequency : float
        Samples per second; EXTRACT states none.
    output_struct_name : str, optional
        Which struct, where there are several.

    Attributes
    ----------
    version : str or None
        Of EXTRACT.
    trace_option : str or None
        Its ``trace_output_option``.

    Raises
    ------
    CorruptSourceError
        When it is no such file, or is damaged.
    SourceArgumentError
        When an argument is wrong.
    """

    extractor_name = "ExtractExtractor"

    def __init__(
        self, file_path: Path, sampling_frequency: float, output_struct_name: str | None = None
    ) -> None:
        check_rate(sampling_frequency)
        self._file = MatlabFile(Path(file_path), "extract")
        with reading(self._file, "EXTRACT"):
            self._read(sampling_frequency, output_struct_name)

    def _read(self, sampling_frequency: float, name: str | None) -> None:
        file = self._file
        output = find_struct(file, EXTRACT_KINDS, name, "EXTRACT")
        is_old = not set(output.names) >= NEW_FIELDS
        stored = matrix_of(file, output, ["traces" if is_old else "temporal_weights"])
        weights = matrix_of(file, output, ["filters" if is_old else "spatial_weights"])
        if stored is None or weights is None or len(stored.shape) != 2:
            raise SourceError("the weights or the traces are no array of numbers")
        roi_axis = 0 if is_old else 1
        num_rois = count_rois(weights.shape, stored.shape, roi_axis, is_old)
        traces = as_traces(stored, num_rois, roi_axis)
        field = _field_of(output)
        pixels = as_pixels(weights, field, num_rois, rois_may_be_first=is_old)
        config = output if output.get("config") is not None else file.variables
        kind = "dff" if _is_normalised(config) else "raw"
        super().__init__(pixels, {kind: traces}, sampling_frequency, {})
        self.version = output.text("info/version")
        self.trace_option = config.text("config/trace_output_option")
        for image, path in _IMAGES.items():
            found = image_of(file, output, path, self.get_frame_shape())
            if found is not None:
                self._summary_images[image] = found
        self._set_acceptance(output)

    def _set_acceptance(self, output: MatlabStruct) -> None:
        """State which cells passed EXTRACT's last check of their quality."""
        flags = output.get("info/cellcheck/is_bad")
        if hasattr(flags, "shape") and math.prod(flags.shape) == self.get_num_rois() > 0:
            passed = np.asarray(flags).reshape(-1) == 0
            description = "Whether the cell passed EXTRACT's last check of quality."
            self.set_property("is_accepted", passed, self._roi_ids, description=description)


def _field_of(output: MatlabStruct) -> tuple[int, int] | None:
    """Return (rows, columns) as the summary image says them, for weights that do not."""
    weights = output.first(["spatial_weights", "filters"])
    if len(weights.shape) == 3:
        return None
    image = output.first(["info/summary_image", "info/F_per_pixel", "info/max_image"])
    if not hasattr(image, "shape") or len(image.shape) != 2 or min(image.shape) < 2:
        return None
    return (int(image.shape[0]), int(image.shape[1]))


def _is_normalised(config: MatlabStruct) -> bool:
    """Whether EXTRACT made delta F over F of the movie before it looked for cells."""
    return bool(config.number("config/preprocess")) and not config.number("config/skip_dff")
