"""Reader of CaImAn's output, in all forms that CaImAn itself loads.

roiextractors' own reader is not used. It cannot read volumes, a background in a sparse matrix,
dense components, null datasets or a field that is stated elsewhere; holds all traces in memory;
reads an evaluation that accepted no component as one that accepted all; calls the sum of the
background's footprints the movie's mean; rounds masks to float32; and does not name damaged files
in errors.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.base_extractors import RoiMasks, SegmentationExtractor
from nwb_ophys.errors import CorruptSourceError, as_sentence, first_of
from nwb_ophys.extractors.ranges import check_stated_rate, warn_of_stated_rate
from nwb_ophys.filetypes.files import is_of_rois
from nwb_ophys.formats.caiman.estimates import DIMS, RATE, EstimatesFile
from nwb_ophys.remote.paths import as_path
from nwb_ophys.rois.pixel_lists import PixelLists, RoiMaskList, field_of
from nwb_ophys.rois.properties import FastPropertiesMixin
from nwb_ophys.rois.traces import Response, SummedTraces, TransposedTraces
from nwb_ophys.timing import require_rate

# Traces of components by CaImAn's names; "YrA", the residuals, is "R" in some files.
_TRACES = ("C", "YrA", "F_dff", "S")
_MOST_LISTED = 10
_KINDS = {"F_dff": "dff", "C": "denoised", "S": "deconvolved"}

# CaImAn saves all attributes of its estimates, those that are None as a text. Files of other
# programs have only some of them.
_ALWAYS = (
    *("b", "C", "f", "S", "YrA", "F_dff", "idx_components", "idx_components_bad"),
    *("SNR_comp", "r_values", "cnn_preds"),
)
_MARKS = ("W", "b0", "bl", "c1", "ecc", "g", "lam", "neurons_sn", "noisyC", "sn")

# Attributes that are not read: parameters, the state of the online algorithm, what follows from
# others, and those that notes name.
_NOT_READ = frozenset(
    (
        *("sn", "W", "discarded_components", "shifts"),
        *("A_thr", "center", "coordinates", "merged_ROIs", "nr", "psx", "dims", "groups"),
        *("Ab", "Ab_dense", "AtA", "AtY_buf", "CC", "CY", "C_on", "Cf", "OASISinstances", "noisyC"),
        *("Yr_buf", "Yres_buf", "ind_new", "mn", "vr", "rho_buf", "sv", "time_new_comp"),
        "optional_outputs",
    )
)

_QUALITIES = {
    "SNR_comp": ("snr", "Signal-to-noise ratio of the component."),
    "r_values": ("r_values", "Correlation in space of the component with the movie."),
    "cnn_preds": ("cnn_preds", "Prediction of CaImAn's neural network, from 0 to 1 (neuron)."),
    "ecc": ("eccentricity", "Eccentricity of the component (ecc)."),
}
# Of the model of each trace: CaImAn's documentation of its estimates and of constrained_foopsi.
_MODEL = {
    "bl": ("trace_baseline", "Constant baseline of the trace (bl)."),
    "neurons_sn": ("trace_noise", "Standard deviation of the noise of the trace (neurons_sn)."),
    "g": ("trace_g", "Coefficients of the autoregressive model of the trace, per sample (g)."),
    "c1": ("trace_c1", "Initial value of calcium in the model of the trace (c1)."),
    "lam": ("trace_lam", "Weight of the penalty for activity in the deconvolution (lam)."),
}


class CaimanExtractor(FastPropertiesMixin, SegmentationExtractor):  # type: ignore[misc]
    """Components, traces and background of a file that CaImAn saved.

    Parameters
    ----------
    file_path : pathlib.Path
    sampling_frequency : float, optional
        Samples of the traces per second, in place of the rate in the file.

    Raises
    ------
    CorruptSourceError
        When CaImAn did not save the file, it is damaged, or it does not state a rate.
    """

    extractor_name = "CaimanExtractor"

    def __init__(self, file_path: Path, sampling_frequency: float | None = None) -> None:
        super().__init__()
        self.file_path = as_path(file_path)
        self._left_out: list[str] = []
        self._other_left_out: list[str] = []
        self._file = EstimatesFile(self.file_path)
        self._dataset_file = self._file.file  # as in roiextractors' readers of HDF5 files
        try:
            self._field = self._checked_field()
            self._sampling_frequency = self._checked_rate(sampling_frequency)
            self._read()
        except Exception as error:  # a damaged file can raise anything
            self._file.close()
            if isinstance(error, CorruptSourceError):
                raise
            raise CorruptSourceError(
                f"'{file_path}' cannot be read as CaImAn's output: {as_sentence(error)} It may be "
                "damaged."
            ) from error
        self._warn_of_left_out()

    def _read(self) -> None:
        cells = self._matrix_of_components()
        self._roi_ids: list[Any] = list(range(cells.shape[1]))
        self._mask_type = cells.dtype
        background = self._background(cells)
        self._num_planes = int((*self._field, 1)[2])
        self._read_traces(len(self._roi_ids), background.shape[1])
        self._roi_masks = self._masks(cells, background)
        self._read_image()
        self._read_acceptance()
        self._read_qualities()

    # --- what is needed ---------------------------------------------------------------------------

    def _checked_field(self) -> tuple[int, ...]:
        """Return (rows, columns[, planes])."""
        for place in ("estimates", "estimates/A"):
            if self._file.get(place) is None:
                raise CorruptSourceError(
                    f"'{self.file_path}' is not CaImAn's output: it has no {place}, or it is None. "
                    "Give the HDF5 file that CaImAn's save() wrote after components were found."
                )
        dims = self._file.dims()
        if dims is not None:
            return dims
        absent = all(self._file.get(place) is None for place in DIMS)
        what = f"it has no {', no '.join(DIMS)}" if absent else f"{DIMS[0]} is something else"
        raise CorruptSourceError(
            f"'{self.file_path}' does not state the field: {what}. {DIMS[0]} must hold rows and "
            "columns, and planes if there are several. Save the results again with CaImAn's save()."
        )

    def _checked_rate(self, given: float | None) -> float | None:
        stated = self._file.number(RATE)
        if given is not None:
            known = stated if stated and stated > 0 else None
            warn_of_stated_rate(self.file_path, given, known, RATE)
            return float(given)
        if stated is None or stated <= 0:
            place = self._file.get("params/data")
            there = isinstance(place, h5py.Group) and RATE.rsplit("/", 1)[1] in place
            what = f"{RATE} cannot be read as a rate" if there else f"it has no {RATE}"
            require_rate(
                CorruptSourceError(
                    f"'{self.file_path}' does not state the rate of its traces: {what}. Give "
                    "sampling_frequency, in samples per second."
                )
            )
            return None
        return check_stated_rate(self.file_path, stated, RATE)

    def _matrix_of_components(self) -> Any:
        """Return the footprints, (pixels, components), as a matrix that is sparse by column."""
        cells, num_pixels = self._file.matrix("estimates/A"), int(np.prod(self._field))
        if cells is None:
            raise ValueError("estimates/A is neither a sparse matrix nor an array of numbers.")
        if cells.shape[0] != num_pixels:
            raise ValueError(f"A has {cells.shape[0]} pixels for a field of {self._field}.")
        return cells

    # --- what can be left out ---------------------------------------------------------------------

    def _background(self, cells: Any) -> Any:
        """Return the footprints of the background, (pixels, components)."""
        found, problem = None, ""
        try:
            found = self._file.matrix("estimates/b")
        except (ValueError, CorruptSourceError) as error:
            problem = f"b, the footprints of the background, cannot be read ({error})"
        if found is not None and found.shape[0] != cells.shape[0]:
            problem = f"b has {found.shape[0]} pixels, the field {cells.shape[0]}"
        if problem:
            self._other_left_out.append(problem)
        if found is None or problem:
            return type(cells)((cells.shape[0], 0), dtype=cells.dtype)
        return found

    def _read_traces(self, num_cells: int, num_background: int) -> None:
        """Set the traces of the components and the background that fit their masks."""
        found = {name: self._file.traces(f"estimates/{name}") for name in _TRACES}
        if found["YrA"] is None:
            found["YrA"] = self._file.traces("estimates/R")
        fitting = {
            name: trace
            for name, trace in found.items()
            if trace is not None and self._fits(name, trace, num_cells)
        }
        background = self._file.traces("estimates/f")
        if background is not None and not self._fits("f", background, num_background):
            background = None
        lengths = Counter(trace.shape[1] for trace in fitting.values())
        if not lengths and background is not None:
            lengths[background.shape[1]] += 1
        self._num_samples = lengths.most_common(1)[0][0] if lengths else 0
        fitting = {n: t for n, t in fitting.items() if self._is_as_long(n, t)}
        if background is not None and not self._is_as_long("f", background):
            background = None
        self._set_responses(fitting, background, num_background)

    def _fits(self, name: str, trace: Any, expected: int) -> bool:
        """Return whether a trace is of as many components as the masks, and note it if not.

        After components were merged or removed by hand, traces that CaImAn did not compute again
        are still those of the former components.
        """
        if trace.shape[0] == expected:
            return True
        of = "masks" if name != "f" else "background's footprints"
        self._left_out.append(f"{name} is of {trace.shape[0]} components, the {of} of {expected}")
        return False

    def _is_as_long(self, name: str, trace: Any) -> bool:
        if trace.shape[1] == self._num_samples:
            return True
        self._left_out.append(
            f"{name} has {trace.shape[1]} samples, most traces {self._num_samples}"
        )
        return False

    def _set_responses(self, fitting: dict[str, Any], background: Any, num_background: int) -> None:
        traces: dict[str, Any] = {
            _KINDS[name]: TransposedTraces(trace)
            for name, trace in fitting.items()
            if name in _KINDS
        }
        if "YrA" in fitting and "C" in fitting:
            residual = TransposedTraces(fitting["YrA"])
            traces["raw"] = SummedTraces(traces["denoised"], residual)
        self._roi_responses = [
            Response(kind, traces[kind], list(self._roi_ids))
            for kind in ("raw", "dff", "denoised", "deconvolved")
            if kind in traces
        ]
        if background is not None:
            ids = [f"background{index}" for index in range(num_background)]
            self._roi_responses.append(Response("background", TransposedTraces(background), ids))

    def _read_image(self) -> None:
        """Set the correlation image and, of the ring model, the baseline of each pixel.

        The background's footprints are not the movie's mean.
        """
        baseline, num_pixels = self._file.array("estimates/b0"), int(np.prod(self._field))
        if baseline is not None and baseline.size == num_pixels:
            values = np.asarray(baseline[()]).reshape(-1)
            self._summary_images["baseline"] = values.reshape(self._field, order="F")
        elif baseline is not None:
            self._other_left_out.append(f"b0 has {baseline.size} pixels, the field {num_pixels}")
        image = self._file.array("estimates/Cn")
        if image is None:
            return
        if image.shape != self._field:
            self._other_left_out.append(
                f"the image Cn has the shape {image.shape}, the field {self._field}"
            )
            return
        self._summary_images["correlation"] = image[()]

    def _read_acceptance(self) -> None:
        """Set acceptance where components were evaluated, or accepted and rejected by hand."""
        evaluated = self._pair_of_indices("idx_components", "idx_components_bad")
        by_hand = self._pair_of_indices("accepted_list", "rejected_list")
        if not any(map(len, (*evaluated, *by_hand))):
            return
        accepted = self._flags(evaluated[0])
        # One list alone means that the other one is of the rest.
        rejected = self._flags(evaluated[1])
        if len(evaluated[0]) and not len(evaluated[1]):
            rejected = ~accepted
        both = np.flatnonzero(accepted & rejected)
        if len(both):
            self._other_left_out.append(
                f"idx_components and idx_components_bad both name {_listed(both)}, which count as "
                "accepted"
            )
            rejected[both] = False
        for own, other, chosen in (
            (accepted, rejected, by_hand[0]),
            (rejected, accepted, by_hand[1]),
        ):
            own[chosen], other[chosen] = True, False
        how = "evaluation" + (", or a person," if any(map(len, by_hand)) else "")
        self._set("is_accepted", accepted, f"Whether CaImAn's {how} accepted the component.")
        if not np.array_equal(rejected, ~accepted):
            who = "CaImAn's evaluation" if any(map(len, evaluated)) else "a person"
            self._set("is_rejected", rejected, f"Whether {who} rejected the component.")
        if any(map(len, by_hand)):
            words = np.full(len(accepted), "unassigned", dtype="U10")
            words[by_hand[0]], words[by_hand[1]] = "accepted", "rejected"
            self._set(
                "curation",
                words,
                "Decision by hand: accepted (accepted_list), rejected (rejected_list) or "
                "unassigned.",
            )

    def _flags(self, indices: Any) -> NDArray[np.bool_]:
        flags = np.zeros(len(self._roi_ids), dtype=bool)
        flags[np.asarray(indices, dtype=int)] = True
        return flags

    def _pair_of_indices(self, *names: str) -> list[NDArray[Any]]:
        """Return the indices of two lists; both empty where one of them is of other components."""
        found = [self._indices(name) for name in names]
        faults = [each for each in found if isinstance(each, str)]
        if not faults:
            return [each for each in found if not isinstance(each, str)]
        others = [n for n, e in zip(names, found, strict=True) if not isinstance(e, str) and len(e)]
        with_it = f", so that {others[0]} may be of other components as well" if others else ""
        self._other_left_out.append("; ".join(faults) + with_it)
        return [np.zeros(0, dtype=int)] * 2

    def _indices(self, name: str) -> NDArray[Any] | str:
        """Return indices of components, empty where CaImAn wrote none; or what is wrong of them."""
        stored, count = self._file.array(f"estimates/{name}"), len(self._roi_ids)
        if stored is None:
            return np.zeros(0, dtype=int)
        found = np.asarray(stored[()]).reshape(-1)
        if found.dtype == bool and len(found) == count:
            return np.flatnonzero(found)
        if not (found == np.rint(found)).all():
            return f"{name} has values that are no whole numbers"
        others = found[(found < 0) | (found >= count)]
        if len(others):
            return f"{name} names the component {others[-1]:.0f}, the masks are of {count}, from 0"
        indices = found.astype(int)
        if len(np.unique(indices)) != len(indices):
            return f"{name} names a component twice"
        return indices

    def _read_qualities(self) -> None:
        for name, (key, description) in (_QUALITIES | _MODEL).items():
            values, count = self._file.numbers(f"estimates/{name}"), len(self._roi_ids)
            if values is not None and values.ndim == 2 and 1 in values.shape:
                values = values.reshape(-1)  # the network's predictions have a column
            is_known = values is not None and not np.isnan(values).all()
            if values is None or not count or (name in _MODEL and not is_known):
                continue
            if len(values) != count:
                self._other_left_out.append(
                    f"{name} is of {len(values)} components, the masks of {count}"
                )
                continue
            self._set(key, values, description)

    def _set(self, key: str, values: NDArray[Any], description: str) -> None:
        self.set_property(key, values, self._roi_ids, description=description)

    def absent_parts(self) -> list[str]:
        """Return attributes that are not even None in a file with most others of CaImAn's."""
        estimates = self._file.file["estimates"]
        # A damaged name may be that of a link that leads nowhere.
        names = {name for name in estimates if estimates.get(name) is not None}
        if len(names.intersection(_MARKS)) < len(_MARKS) // 2:
            return []
        residuals = {"YrA"} if "R" in names else set()
        return [f"estimates/{name}" for name in _ALWAYS if name not in names | residuals]

    def other_parts(self) -> list[str]:
        """Return arrays of components or pixels that CaImAn does not write, which are not read."""
        known = {*_NOT_READ, *_ALWAYS, *_TRACES, *_QUALITIES, *_MODEL, "A", "R", "b0", "Cn"}
        known |= {"accepted_list", "rejected_list"}
        found = []
        for name in self._file.file["estimates"].keys() - known:
            # Links that lead nowhere are damage, which other notes name.
            stored = self._file.get(f"estimates/{name}")
            shape = stored.shape if isinstance(stored, h5py.Dataset) else ()
            if is_of_rois(shape, len(self._roi_ids), self._field):
                found.append(f"estimates/{name}")
        return sorted(found)

    def _warn_of_left_out(self) -> None:
        if self._left_out:
            warnings.warn(
                f"'{self.file_path}': {'; '.join(self._left_out)}. These traces are left out; "
                "compute them again in CaImAn to have them.",
                UserWarning,
                stacklevel=3,
            )
        odd = [
            name for name in (*_ALWAYS, "Cn") if self._file.holds_other_values(f"estimates/{name}")
        ]
        odd += [
            name
            for name in _MODEL
            if self._file.holds_other_values(f"estimates/{name}")
            and self._file.numbers(f"estimates/{name}") is None
        ]
        if odd:
            self._other_left_out.append(f"{', '.join(odd)} hold other values than real numbers")
        if isinstance(self._file.get("estimates/W"), h5py.Group):
            self._other_left_out.append("W holds the weights of the background's ring model")
        shifts = self._file.get("estimates/shifts")
        if isinstance(shifts, h5py.Dataset) and shifts.size:
            self._other_left_out.append("shifts holds those of CaImAn's motion correction")
        if isinstance(self._file.get("estimates/discarded_components"), h5py.Group):
            self._other_left_out.append(
                "discarded_components holds components that a selection removed"
            )
        if self._other_left_out:
            warnings.warn(
                f"'{self.file_path}': {'; '.join(self._other_left_out)}. This is left out.",
                UserWarning,
                stacklevel=3,
            )

    # --- masks ------------------------------------------------------------------------------------

    def _masks(self, cells: Any, background: Any) -> RoiMasks:
        """Return the footprints of components and of the background.

        The matrices number the pixels of the field column by column, those of a volume plane by
        plane.
        """
        kept = [matrix.data != 0 for matrix in (cells, background)]
        parts = list(zip((cells, background), kept, strict=True))
        places = np.concatenate([matrix.indices[own] for matrix, own in parts])
        counts = [np.diff(np.append(0, np.cumsum(own))[m.indptr]) for m, own in parts]
        rows, columns, *planes = np.unravel_index(places, self._field, order="F")
        pixels = PixelLists(
            coordinates=tuple(axis.astype(np.int32) for axis in (columns, rows, *planes)),
            weights=np.concatenate([matrix.data[own] for matrix, own in parts]),
            ends=np.cumsum(np.concatenate(counts)),
            field_shape=field_of(self._field),
            image_dtype=cells.dtype,
        )
        ids = [*self._roi_ids, *(f"background{i}" for i in range(background.shape[1]))]
        id_map = {roi_id: index for index, roi_id in enumerate(ids)}
        form = "nwb-voxel_mask" if planes else "nwb-pixel_mask"
        return RoiMasks(RoiMaskList(pixels), form, self._field, id_map)

    def get_ragged_pixels(self, ids: Sequence[Any], of_background: bool = False) -> PixelLists:
        """Return the pixels of components, in the precision that CaImAn wrote."""
        indices = [self._roi_masks.roi_id_map[component] for component in ids]
        return self._roi_masks.data.pixels.take(indices)  # type: ignore[no-any-return]

    def get_roi_image_masks(self, roi_ids: Any = None) -> NDArray[Any]:
        """Return masks, (rows, columns[, planes], components), in the precision of CaImAn.

        roiextractors rounds them to float32.
        """
        return self._images(self.get_roi_ids() if roi_ids is None else roi_ids)

    def get_background_image_masks(self, background_ids: Any = None) -> NDArray[Any]:
        """Return masks of background components, (rows, columns[, planes], components)."""
        return self._images(self.get_background_ids() if background_ids is None else background_ids)

    def _images(self, ids: Any) -> NDArray[Any]:
        images = np.zeros((*self._field, len(ids)), self._mask_type)
        for position, component in enumerate(ids):
            *axes, weights = self._roi_masks.get_roi_pixel_mask(component).T
            images[(*(axis.astype(int) for axis in axes), position)] = weights
        return images

    # --- sizes and times --------------------------------------------------------------------------

    def get_frame_shape(self) -> tuple[int, ...]:
        """Return (rows, columns[, planes])."""
        return self._field

    def get_num_samples(self) -> int:
        """Return the number of samples of the traces; 0 when there are none."""
        return self._num_samples

    def get_num_rois(self) -> int:
        """Return the number of components."""
        return len(self._roi_ids)

    def get_native_timestamps(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> None:
        """Return None: CaImAn states no times."""

    def __del__(self) -> None:
        if getattr(self, "_file", None) is not None:
            self._file.close()


def _listed(indices: NDArray[Any]) -> str:
    """Return some components in words."""
    one = "the component" if len(indices) == 1 else "the components"
    return f"{one} {first_of(indices.tolist(), _MOST_LISTED)}"
