"""CNMF-E's output, read here: what roiextractors makes of it is mended.

Mended: masks and the correlation image, which it transposes against the movie; the rate, which it
takes from the time that the analysis took; the output of CNMF-E itself, of files before MATLAB's
7.3, and of files with other variables, which it cannot read.

Fields are those of CNMF-E, https://github.com/zhoupc/CNMF_E (``neuron.obj2struct()``), and of
CIAtah, https://bahanonu.github.io/ciatah, which runs it.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from nwb_ophys.errors import SourceArgumentError, SourceError
from nwb_ophys.extractors.ranges import check_rate
from nwb_ophys.filetypes.matlab.rois import as_pixels, as_traces, count_rois
from nwb_ophys.filetypes.matlab.structs import find_struct, image_of, matrix_of, reading
from nwb_ophys.filetypes.matlab.variables import MatlabFile, MatlabStruct
from nwb_ophys.rois.pixel_extractor import PixelRois

# Of CNMF-E itself, and of CIAtah.
OWN_FIELDS = frozenset({"A", "C", "C_raw"})
CIATAH_FIELDS = frozenset({"extractedImages", "extractedSignals"})
CNMFE_KINDS = (OWN_FIELDS, CIATAH_FIELDS)

_OWN_TRACES = {"raw": "C_raw", "denoised": "C", "deconvolved": "S", "dff": "C_df"}
_CIATAH_TRACES = {
    "raw": "extractedSignals",
    "estimated": "extractedSignalsEst",
    "peaks": "extractedPeaks",
}
_IMAGES = {"correlation": "Cn", "pnr": "PNR"}
_RATES = ("Fs", "options/Fs", "inputOptions/Fs")


class CnmfeExtractor(PixelRois):
    """Components that CNMF-E found, with their traces and its summary images.

    Parameters
    ----------
    file_path : pathlib.Path
    sampling_frequency : float, optional
        Samples per second; needed where the file states none.
    output_struct_name : str, optional
        Which struct, where there are several.

    Raises
    ------
    CorruptSourceError
        When it is no such file, or is damaged.
    SourceArgumentError
        When an argument is wrong, or the rate is neither stated nor given.
    """

    extractor_name = "CnmfeExtractor"

    def __init__(
        self,
        file_path: Path,
        sampling_frequency: float | None = None,
        output_struct_name: str | None = None,
    ) -> None:
        if sampling_frequency is not None:
            check_rate(sampling_frequency)
        self._file = MatlabFile(Path(file_path), "cnmfe")
        with reading(self._file, "CNMF-E"):
            self._read(sampling_frequency, output_struct_name)

    def _read(self, sampling_frequency: float | None, name: str | None) -> None:
        file = self._file
        output = find_struct(file, CNMFE_KINDS, name, "CNMF-E")
        is_own = set(output.names) >= OWN_FIELDS
        weights = matrix_of(file, output, ["A" if is_own else "extractedImages"])
        first = matrix_of(file, output, ["C" if is_own else "extractedSignals"])
        if weights is None or first is None or len(first.shape) != 2:
            raise SourceError("the weights or the traces are no array of numbers")
        num_rois = count_rois(weights.shape, first.shape, 0, rois_may_be_first=not is_own)
        traces = self._traces_of(output, _OWN_TRACES if is_own else _CIATAH_TRACES, num_rois)
        pixels = as_pixels(weights, _field_of(output, weights), num_rois, not is_own)
        rate = self._rate(output, sampling_frequency)
        super().__init__(pixels, traces, rate, {})
        for image, field in _IMAGES.items():
            found = image_of(file, output, field, self.get_frame_shape())
            if found is not None:
                self._summary_images[image] = found
        self._set_numbers(output)

    def _traces_of(
        self, output: MatlabStruct, fields: dict[str, str], num_rois: int
    ) -> dict[str, Any]:
        traces: dict[str, Any] = {}
        for kind, field in fields.items():
            stored = matrix_of(self._file, output, [field])
            if stored is None or max(stored.shape) == 0 or (0 in stored.shape and num_rois):
                continue
            found = as_traces(stored, num_rois, roi_axis=0)
            if found is None and kind == "dff":  # it has rows of the background, too
                warnings.warn(
                    f"'{self._file.path}': C_df has the shape {tuple(stored.shape)}; there are "
                    f"{num_rois} components, so that it is left out.",
                    UserWarning,
                    stacklevel=2,
                )
                continue
            if found is None:
                raise SourceError(
                    f"{field} has the shape {tuple(stored.shape)}; there are {num_rois} components"
                )
            traces[kind] = found
        lengths = {fields[kind]: trace.shape[0] for kind, trace in traces.items()}
        if len(set(lengths.values())) > 1:
            raise SourceError(f"the traces differ in length: {lengths} samples")
        return traces

    def _rate(self, output: MatlabStruct, given: float | None) -> float:
        """Return the user's rate, else the one that CNMF-E was told."""
        numbers = [output.number(path) for path in _RATES]
        stated = next((each for each in numbers if each and 0 < each < math.inf), None)
        if given is None and stated is None:
            raise SourceArgumentError(
                f"'{self._file.path}' states no frame rate (Fs); give sampling_frequency, in Hz. "
                "Its totalTime, if there is one, is how long the analysis took."
            )
        if given is not None and stated is not None and not math.isclose(given, stated):
            warnings.warn(
                f"'{self._file.path}' states {stated} Hz (Fs); the given {given} Hz are used.",
                UserWarning,
                stacklevel=2,
            )
        return float(stated if given is None else given)  # type: ignore[arg-type]

    def _set_numbers(self, output: MatlabStruct) -> None:
        """State the numbers by which CNMF-E knows its components."""
        numbers = output.get("ids")
        if hasattr(numbers, "shape") and math.prod(numbers.shape) == self.get_num_rois() > 0:
            values = np.asarray(numbers).reshape(-1).astype(np.int64)
            description = "Number by which CNMF-E knows the component (ids)."
            self.set_property("cnmfe_id", values, self._roi_ids, description=description)


def _field_of(output: MatlabStruct, weights: Any) -> tuple[int, int] | None:
    """Return (rows, columns) as the settings or an image say them, for weights that do not."""
    if len(weights.shape) == 3:
        return None
    rows, columns = output.number("options/d1"), output.number("options/d2")
    if rows and columns:
        return (int(rows), int(columns))
    for name in _IMAGES.values():
        image = output.get(name)
        if hasattr(image, "shape") and len(image.shape) == 2 and min(image.shape) > 1:
            return (int(image.shape[0]), int(image.shape[1]))
    return None
