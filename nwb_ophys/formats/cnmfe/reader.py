"""Reader of CNMF-E's output.

roiextractors' own reader transposes masks and the correlation image against the movie, and computes
the rate from the duration of the analysis. It cannot read the output of CNMF-E itself, files before
MATLAB's 7.3, and files with other variables.

The fields are documented by CNMF-E, https://github.com/zhoupc/CNMF_E (``neuron.obj2struct()``), and
by CIAtah, https://bahanonu.github.io/ciatah, which runs it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import SourceArgumentError, SourceError
from nwb_ophys.extractors.ranges import check_rate, check_stated_rate
from nwb_ophys.filetypes.matlab.rois import as_pixels, as_traces, count_rois
from nwb_ophys.filetypes.matlab.structs import (
    find_struct,
    image_of,
    matrix_of,
    note_objects,
    others_of_rois,
    reading,
    weights_and_traces,
)
from nwb_ophys.filetypes.matlab.variables import MatlabFile, MatlabStruct
from nwb_ophys.formats.cnmfe.background import background_of
from nwb_ophys.remote.paths import as_path
from nwb_ophys.rois.pixel_extractor import PixelRois
from nwb_ophys.rois.traces import TraceView
from nwb_ophys.timing import require_rate

# Fields of CNMF-E itself, and of CIAtah.
OWN_FIELDS = frozenset({"A", "C", "C_raw"})
CIATAH_FIELDS = frozenset({"extractedImages", "extractedSignals"})
CNMFE_KINDS = (OWN_FIELDS, CIATAH_FIELDS)

_OWN_TRACES = {
    "raw": "C_raw",
    "denoised": "C",
    "deconvolved": "S",
    "dff": "C_df",
    "deconvolved_df": "S_df",
}
_CIATAH_TRACES = {
    "raw": "extractedSignals",
    "estimated": "extractedSignalsEst",
    "peaks": "extractedPeaks",
}
_IMAGES = {"correlation": "Cn", "pnr": "PNR", "baseline": "b0"}
# Properties of CNMF-E's class of all versions, and of versions that have any of them. A struct
# without the settings was made of some of them.
_ALWAYS = ("S", "Cn")
_TOGETHER = ("PNR", "ids")
_READ = ("A", "b", "f", "extractedImages", "file", "Fs", "ids", "tags", *_IMAGES.values())
# Traces that CNMF-E computes on request, which may have rows of the background as well.
_NORMALISED = ("C_df", "S_df")
# Properties of CNMF-E's class that are not read: its model, settings, and what follows from masks.
_NOT_READ = frozenset(
    (
        *("A_prev", "C_prev", "W", "b0_new", "kernel", "options", "P", "frame_range", "batches"),
        *("file_id", "match_status", "Coor", "Df", "neurons_per_patch"),
    )
)
_RATES = ("Fs", "options/Fs", "inputOptions/Fs")


class CnmfeExtractor(PixelRois):
    """Components that CNMF-E found, with their traces and summary images.

    Parameters
    ----------
    file_path : pathlib.Path
    sampling_frequency : float, optional
        Samples per second; required where the file does not state them.
    output_struct_name : str, optional
        Name of the struct, where there are several.

    Attributes
    ----------
    movie_paths : list of str
        Paths of the movies on the computer on which CNMF-E ran; empty if they are not stated.
    absent_parts : list of str
        Parts that CNMF-E writes and the file lacks.
    other_parts : list of str
        Arrays of ROIs or pixels that CNMF-E does not write, which are not read.

    Raises
    ------
    CorruptSourceError
        When the file is not CNMF-E's, or is damaged.
    SourceArgumentError
        When an argument is wrong, or neither the file nor the argument states the rate.
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
        self._file = MatlabFile(as_path(file_path), "cnmfe")
        with reading(self._file, "CNMF-E"):
            self._read(sampling_frequency, output_struct_name)

    def _read(self, sampling_frequency: float | None, name: str | None) -> None:
        file = self._file
        output = find_struct(file, CNMFE_KINDS, name, "CNMF-E")
        is_own = set(output.names) >= OWN_FIELDS
        note_objects(file.path, output, ("options", "inputOptions", "file", *_RATES))
        names = ("A", "C") if is_own else ("extractedImages", "extractedSignals")
        weights, first = weights_and_traces(file, output, *names)
        num_rois = count_rois(weights.shape, first.shape, 0, rois_may_be_first=not is_own)
        traces = self._traces_of(output, _OWN_TRACES if is_own else _CIATAH_TRACES, num_rois)
        pixels = as_pixels(weights, _field_of(output, weights), num_rois, not is_own)
        rate = self._rate(output, sampling_frequency)
        num_samples = next((int(each.shape[0]) for each in traces.values()), 0)
        masks = None
        if is_own:
            shape = (pixels.field_shape[1], pixels.field_shape[0])
            masks, background = background_of(file.path, output, shape, num_samples)
            traces |= {} if background is None else {"background": background}
        super().__init__(pixels, traces, rate, {}, masks)
        self._first_frame = self._first_frame_of(output, num_samples)
        for image, field in _IMAGES.items():
            found = image_of(file, output, field, self.get_frame_shape())
            if found is not None:
                self._summary_images[image] = found
        self._set_numbers(output)
        self.absent_parts = _absent(output) if is_own else []
        known = {*_READ, *_NOT_READ, *_OWN_TRACES.values(), *_CIATAH_TRACES.values()}
        self.other_parts = others_of_rois(file, output, known, num_rois, self.get_frame_shape())
        files = output.texts("file") or [output.text("file") or ""]
        self.movie_paths = [path for path in files if path]

    def _traces_of(
        self, output: MatlabStruct, fields: dict[str, str], num_rois: int
    ) -> dict[str, Any]:
        traces: dict[str, Any] = {}
        for kind, field in fields.items():
            stored = matrix_of(self._file, output, [field])
            if stored is None or max(stored.shape) == 0 or (0 in stored.shape and num_rois):
                continue
            found = as_traces(stored, num_rois, roi_axis=0)
            if found is None and field in _NORMALISED:
                background = output.get("f")
                found = self._normalised(field, stored, traces, num_rois, _shape_of(background))
                if found is None:
                    continue
            if found is None:
                raise SourceError(
                    f"{field} has the shape {tuple(stored.shape)}; there are {num_rois} components."
                )
            traces[kind] = found
        lengths = {fields[kind]: trace.shape[0] for kind, trace in traces.items()}
        if len(set(lengths.values())) > 1:
            raise SourceError(f"the traces differ in length: {lengths} samples.")
        return traces

    def _normalised(
        self,
        field: str,
        stored: Any,
        others: Mapping[str, Any],
        num_rois: int,
        background: Sequence[int],
    ) -> Any:
        """Return normalised traces without the rows of the background behind them, else None.

        CNMF-E normalises the background with the components. A note says what is left out.
        """
        rows, columns = tuple(stored.shape)
        num_samples = next((trace.shape[0] for trace in others.values()), None)
        are_behind = rows - num_rois in {1, *background[:1]} and columns == num_samples
        what, found = "which does not fit {} components; it is left out", None
        if are_behind:
            what = "its rows behind those of the {} components are of the background and left out"
            found = TraceView(as_traces(stored, rows, roi_axis=0), list(range(num_rois)))
        warnings.warn(
            f"'{self._file.path}': {field} has the shape {(rows, columns)}, "
            f"{what.format(num_rois)}.",
            UserWarning,
            stacklevel=3,
        )
        return found

    def _first_frame_of(self, output: MatlabStruct, num_samples: int) -> int:
        """Return the frame of the movie from which CNMF-E analysed it, from 0; note a later one."""
        stated = output.array("frame_range", self._file.path)
        if stated is None or math.prod(stated.shape) != 2:
            return 0
        first, last = (float(each) for each in np.asarray(stated).reshape(-1))
        if not (first > 1 and first.is_integer() and last - first + 1 == num_samples):
            return 0
        warnings.warn(
            f"'{self._file.path}': CNMF-E analysed the frames {first:.0f} to {last:.0f} of its "
            "movie (frame_range); the times of the traces are counted from the start of the movie.",
            UserWarning,
            stacklevel=2,
        )
        return int(first) - 1

    def get_native_timestamps(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> NDArray[np.float64] | None:
        """Return the times in seconds where they do not begin with the movie, else None."""
        rate = self.get_sampling_frequency()
        if not self._first_frame or rate is None:
            return None
        times = (self._first_frame + np.arange(self.get_num_samples())) / float(rate)
        return times[start_sample:end_sample]

    def _rate(self, output: MatlabStruct, given: float | None) -> float | None:
        """Return the user's rate, else the rate in CNMF-E's settings."""
        numbers = [output.number(path) for path in _RATES]
        stated = next((each for each in numbers if each and 0 < each < math.inf), None)
        if given is None and stated is None:
            require_rate(
                SourceArgumentError(
                    f"'{self._file.path}' states no frame rate (Fs); give sampling_frequency, in "
                    "Hz. Its totalTime, if present, is the duration of the analysis."
                )
            )
            return None
        if given is not None and stated is not None and not math.isclose(given, stated):
            warnings.warn(
                f"'{self._file.path}' states {stated} Hz (Fs); the given {given} Hz are used.",
                UserWarning,
                stacklevel=2,
            )
        if given is not None:
            return float(given)
        return check_stated_rate(self._file.path, float(stated or 0), "Fs")

    def _set_numbers(self, output: MatlabStruct) -> None:
        """Set the numbers and the tags that CNMF-E gave its components as properties.

        Tags name what is suspicious of a component, for a user to decide: they are no acceptance.
        """
        described = {
            "ids": ("cnmfe_id", "Number of the component in CNMF-E (ids)."),
            "tags": (
                "cnmfe_tags",
                "Bits that CNMF-E set for what is suspicious of the component (tags), such as few "
                "pixels; 0 for nothing.",
            ),
        }
        for field, (key, description) in described.items():
            numbers, count = output.array(field, self._file.path), self.get_num_rois()
            if numbers is None:
                continue
            found = np.asarray(numbers).reshape(-1)
            if len(found) != count or not (found == np.rint(found)).all():
                fault = f"are of {len(found)} components, the masks of {count}"
                if len(found) == count:
                    fault = "have values that are no whole numbers"
                warnings.warn(
                    f"'{self._file.path}': {field} {fault}; they are left out.",
                    UserWarning,
                    stacklevel=4,
                )
                continue
            values = found.astype(np.int64)
            if len(values) and (field == "ids" or values.any()):
                self.set_property(key, values, self._roi_ids, description=description)


def _shape_of(value: Any) -> tuple[int, ...]:
    return tuple(getattr(value, "shape", ()))


def _absent(output: MatlabStruct) -> list[str]:
    """Return the properties of CNMF-E's class that a struct with its settings lacks."""
    if output.get("options") is None:
        return []
    present = set(output.names)
    together = _TOGETHER if present.intersection((*_TOGETHER, "tags")) else ()
    return [name for name in (*_ALWAYS, *together) if name not in present]


def _field_of(output: MatlabStruct, weights: Any) -> tuple[int, int] | None:
    """Return (rows, columns) from the settings or an image, for weights that lack them."""
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
