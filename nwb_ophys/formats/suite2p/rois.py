"""Reader of Suite2p's ROIs, which corrects the reader of roiextractors.

That reader pads the correlation image of a cropped field on the wrong side; leaves images out, and
gives images of the first channel as those of the second; reads the second channel's ``iscell`` from
``redcell.npy``; does not name damaged files in errors; and builds the pixel masks of all ROIs
whenever one is requested.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from roiextractors.extractors.suite2p import Suite2pSegmentationExtractor

from nwb_ophys.errors import (
    CorruptSourceError,
    SourceError,
    as_sentence,
    counted,
    first_named,
)
from nwb_ophys.filetypes.matlab.variables import StoredArray
from nwb_ophys.filetypes.npy import load_npy, read_npy_header
from nwb_ophys.formats.suite2p.fall import NAME as MATLAB_FILE
from nwb_ophys.formats.suite2p.fall import FallFile
from nwb_ophys.formats.suite2p.folder import (
    ROI_FILES,
    bad_frames,
    channel_names,
    num_frames_of_traces,
    placed,
    planes_without_second_channel,
    read_ops,
    reads_matlab_file,
    stated_deconvolution,
    trace_shape,
)
from nwb_ophys.formats.suite2p.merges import merges_of
from nwb_ophys.formats.suite2p.statistics import statistics_of, unknown_members
from nwb_ophys.paths import PathProbe
from nwb_ophys.remote.paths import as_path
from nwb_ophys.rois.pixel_lists import PixelLists, field_of
from nwb_ophys.rois.properties import FastPropertiesMixin
from nwb_ophys.rois.traces import TransposedTraces

# Images in ops.npy by channel. The first channel alone has images of contrast and of activity.
_IMAGES = {
    "chan1": {
        "mean": "meanImg",
        "enhanced": "meanImgE",
        "maximum": "max_proj",
        "correlation": "Vcorr",
    },
    "chan2": {"mean": "meanImg_chan2", "corrected": "meanImg_chan2_corrected"},
}

# Images of a second channel without traces, which are written with those of the first: Suite2p
# finds labelled cells in the mean of a short recording, which a user may give.
_IMAGES_ALONE = {
    "mean_second_channel": "meanImg_chan2",
    "corrected_second_channel": "meanImg_chan2_corrected",
}
_FLAGS = ("iscell.npy", "redcell.npy")
_MOST_LISTED = 20


def _check_stat(path: Path, data: NDArray[Any]) -> None:
    if data.ndim != 1 or not all(isinstance(roi, dict) for roi in data):
        raise CorruptSourceError(f"'{path}' does not hold a list of ROIs; it may be damaged.")
    for index, roi in enumerate(data):
        pixels = [np.shape(roi.get(key)) for key in ("ypix", "xpix", "lam")]
        if len(set(pixels)) != 1 or len(pixels[0]) != 1:
            raise CorruptSourceError(
                f"'{path}': ROI {index} must have ypix, xpix and lam of the same length."
            )
        if not all(_are_whole(roi[key]) for key in ("ypix", "xpix")):
            raise CorruptSourceError(
                f"'{path}': ROI {index} has rows (ypix) or columns (xpix) that are no whole "
                "numbers; a program has changed them. Write them as integers from 0."
            )


def _are_whole(values: Any) -> bool:
    """Return whether all values are whole numbers, which an empty list is as well."""
    array = np.asarray(values)
    if array.dtype.kind == "f":
        return bool((array == np.rint(array)).all())
    return array.dtype.kind in "iu"


def _load_flags(path: Path) -> NDArray[Any] | None:
    """Return the flags of a file; None where Suite2p 1.0 saved None for a single channel."""
    data = load_npy(path, allow_pickle=read_npy_header(path) is None)
    return None if data.dtype == object and data.ndim == 0 and data.item() is None else data


class MendedSuite2pExtractor(FastPropertiesMixin, Suite2pSegmentationExtractor):  # type: ignore[misc]
    """ROIs and traces of one plane and channel of a ``suite2p`` folder.

    Parameters
    ----------
    folder_path : pathlib.Path
        The folder that holds the planes.
    channel_name : {"chan1", "chan2"}
    plane_name : str
        Such as ``plane0``.
    is_trusted : bool
        Whether to load pickles of more than plain data.

    Raises
    ------
    CorruptSourceError
        When a file is damaged or does not fit the others.
    """

    extractor_name = "MendedSuite2pExtractor"

    def __init__(
        self, folder_path: Path, channel_name: str, plane_name: str, is_trusted: bool = False
    ) -> None:
        self._is_trusted = is_trusted
        self._file: FallFile | None = None
        self._plane = as_path(folder_path) / plane_name
        plane = PathProbe(self._plane)
        if reads_matlab_file(plane):
            self._file = FallFile(plane.path / MATLAB_FILE)
        try:
            self._plane_alone = (
                plane_name,
                channel_names(as_path(folder_path), others=[plane_name]),
            )
            super().__init__(folder_path, channel_name=channel_name, plane_name=plane_name)
            self.folder_path = as_path(folder_path)  # which roiextractors takes for one of a disk
            self._set_images()
            self._check_field()
            self._set_flags()
            self._set_merges()
            self._warn_of_bad_frames()
            self._warn_of_unknown_members()
            for key, (values, description) in statistics_of(self.stat).items():
                self.set_property(key, values, self._roi_ids, description=description)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            self.close()
            if isinstance(error, SourceError):
                raise
            folder = as_path(folder_path) / plane_name
            raise CorruptSourceError(
                f"'{folder}' cannot be read as Suite2p's output: {as_sentence(error)} It may be "
                "damaged."
            ) from error

    def get_available_planes(self, folder_path: Any) -> list[str]:
        """Return the name of the plane that is read, which may have any name."""
        return [self._plane_alone[0]]

    def get_available_channels(self, folder_path: Any) -> list[str]:
        """Return the names of the channels."""
        return self._plane_alone[1]

    def close(self) -> None:
        """Close ``Fall.mat``; its traces cannot be read any more."""
        file = getattr(self, "_file", None)
        if file is not None:
            file.close()

    def __del__(self) -> None:
        self.close()

    def _load_npy(
        self,
        file_name: str,
        mmap_mode: str | None = None,
        transpose: bool = False,
        require: bool = False,
    ) -> Any:
        """Return the content of a file, from ``Fall.mat`` where that is read; None if absent."""
        plane = self._plane
        if file_name == "ops.npy":
            return np.array(self._ops(plane), dtype=object)
        if file_name in _FLAGS:
            return None  # the flags are read by _set_flags
        path = plane / file_name
        if self._file is not None:
            name = path.stem
            data = self._file.stat() if name == "stat" else self._file.array(name)
            path = self._file.path
        elif path.exists() or require:
            data = load_npy(path, allow_pickle=mmap_mode is None, is_trusted=self._is_trusted)
        else:
            data = None
        if data is None:
            return None
        if file_name == "stat.npy":
            _check_stat(path, data)
            return data
        self._check_shape(file_name, data)
        if file_name == "spks.npy" and self._lacks_spikes(data):
            return None
        if not transpose:
            return data
        return TransposedTraces(data) if isinstance(data, StoredArray) else data.T

    def _ops(self, plane: Path) -> dict[str, Any]:
        """Return the settings of a plane, with the number of frames that its traces have."""
        ops = read_ops(plane, is_trusted=self._is_trusted)
        counted = num_frames_of_traces(plane)
        if counted is None and "nframes" not in ops:
            shape = trace_shape(plane, "F")
            if len(shape) != 2:
                raise CorruptSourceError(
                    f"'{plane}' does not state the number of frames: ops.npy lacks nframes, and "
                    "there are no traces. Copy F.npy to the others, or run Suite2p again."
                )
            counted = shape[1]
        return ops if counted is None else {**ops, "nframes": counted}

    def _lacks_spikes(self, data: Any) -> bool:
        """Return whether spikes are the zeros that Suite2p writes if it computed none, and warn."""
        if stated_deconvolution(self.options) is not False or np.any(np.asarray(data)):
            return False
        warnings.warn(
            f"{self._named('spks.npy')} holds zeros only, which Suite2p writes where it was set "
            "not to deconvolve (spikedetect, do_deconvolution); the deconvolved traces are left "
            "out.",
            UserWarning,
            stacklevel=6,
        )
        return True

    def _named(self, file_name: str) -> str:
        """Return the path of a file in quotes, or the name of the variable in ``Fall.mat``."""
        if self._file is not None:
            return f"'{self._file.path}': {file_name.removesuffix('.npy')}"
        return f"'{self._plane / file_name}'"

    def _check_shape(self, file_name: str, data: Any) -> None:
        """Check the shape of traces against ops.npy and stat.npy, which are read first."""
        expected = (len(self.stat), self._num_frames)
        if data.shape != expected:
            raise CorruptSourceError(
                f"{self._named(file_name)} has the shape {data.shape}; ops.npy and stat.npy state "
                f"{len(self.stat)} ROIs and {self._num_frames} frames, for which it must be "
                f"{expected}."
            )

    def _check_field(self) -> None:
        """Check that the ROIs and the images lie in the field that ops.npy states."""
        folder = self._plane
        for index, roi in enumerate(self.stat):
            for key, size in zip(("ypix", "xpix"), self._image_shape, strict=True):
                if len(roi[key]) and not 0 <= np.min(roi[key]) <= np.max(roi[key]) < size:
                    raise CorruptSourceError(
                        f"'{folder / 'stat.npy'}': ROI {index} reaches beyond the field of "
                        f"{self._image_shape} pixels that ops.npy states."
                    )

    def _warn_of_bad_frames(self) -> None:
        """Warn of frames that are marked as bad, which NWB has no place for."""
        bad = bad_frames(self.options)
        if bad:
            shown = ", ".join(map(str, bad[:_MOST_LISTED])) + ", …" * (len(bad) > _MOST_LISTED)
            warnings.warn(
                f"'{self._plane}' has {counted(len(bad), 'frame')} that its "
                "settings mark as bad (badframes), which Suite2p did not use to find ROIs; their "
                f"traces are written, and the marks are left out. Frames from 0: {shown}.",
                UserWarning,
                stacklevel=4,
            )

    def _warn_of_unknown_members(self) -> None:
        """Warn of values that another program added to the ROIs."""
        names = unknown_members(self.stat)
        if names:
            warnings.warn(
                f"{self._named('stat.npy')}: {first_named(names, _MOST_LISTED)} of its ROIs are "
                "not written by Suite2p, and are left out.",
                UserWarning,
                stacklevel=4,
            )

    def _set_flags(self) -> None:
        """Set the results of Suite2p's classifiers as properties named after their files."""
        self._properties.clear()
        for name, what in (("iscell", "a cell"), ("redcell", "seen in the second channel")):
            flags, probabilities = self._read_flags(name)
            columns = {
                name: (flags, f"Whether Suite2p classified the ROI as {what}: 1 or 0."),
                f"{name}_probability": (probabilities, f"Probability that the ROI is {what}."),
            }
            for key, (values, description) in columns.items():
                if values is not None:
                    self.set_property(key, values, self._roi_ids, description=description)

    def _read_flags(self, name: str) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
        """Return the flags and the probabilities of a file, each None where it lacks them.

        Flags of other ROIs, such as those before a merge, are left out with a warning.
        """
        count, file_name = len(self.stat), f"{name}.npy"
        path = self._plane / file_name
        if self._file is not None:
            stored = self._file.array(name)
            # Suite2p writes two zeros to Fall.mat where it has no flags.
            if stored is not None and stored.shape == (1, 2):
                is_placeholder = count != 1 or not np.any(np.asarray(stored))
                stored = None if is_placeholder else stored
        else:
            stored = _load_flags(path) if path.exists() else None
        if stored is None:
            return None, None
        flags = np.asarray(stored)
        if self._file is not None and flags.shape == (1, count):  # a vector lies across in MATLAB
            flags = flags.T
        if flags.ndim == 1 or (flags.ndim == 2 and flags.shape[1] == 1):
            flags = flags.reshape(-1, 1)
        if flags.ndim != 2 or flags.shape[1] not in (1, 2):
            raise CorruptSourceError(
                f"{self._named(file_name)} has the shape {np.shape(stored)}; for {count} ROIs it "
                f"must be {(count, 2)}: flag and probability."
            )
        fault = None
        if len(flags) != count:
            fault = f"has {len(flags)} flags for {count} ROIs"
        elif not np.isin(flags[:, 0], (0, 1)).all():
            fault = "has values other than 0 and 1 in its first column"
        if fault is not None:
            warnings.warn(
                f"{self._named(file_name)} {fault}; it is left out. Open the plane in Suite2p and "
                "save it again to have it.",
                UserWarning,
                stacklevel=4,
            )
            return None, None
        return flags[:, 0], flags[:, 1] if flags.shape[1] == 2 else None

    def _set_merges(self) -> None:
        """Set the merges that a user made as properties; replaced ROIs are not accepted."""
        merges = merges_of(self.stat)
        if merges is None:
            return
        if merges.unknown:
            warnings.warn(
                f"{self._named('stat.npy')}: the merges of the ROIs "
                f"{', '.join(map(str, merges.unknown))} name ROIs whose pixels they do not have, "
                "as ROIs were drawn by hand after the merge; these merges are left out, and their "
                "parts keep their flags of cells.",
                UserWarning,
                stacklevel=4,
            )
        parts = [", ".join(map(str, own)) for own in merges.parts]
        described = {
            "imerge": (
                np.array(parts, dtype=object),
                "Ids of the ROIs of which the user merged this ROI in Suite2p; empty for others.",
            ),
            "inmerge": (
                merges.into,
                "Id of the ROI into which the user merged this ROI in Suite2p; 0 or -1 for none.",
            ),
        }
        if "iscell" in self._properties:
            cells = self.get_property("iscell", self._roi_ids).astype(bool)
            what = "Whether the ROI is a cell (iscell) and was not merged into another ROI."
            described["is_accepted"] = (cells & ~merges.is_part, what)
        for key, (values, description) in described.items():
            self.set_property(key, values, self._roi_ids, description=description)

    def _correlation_image_read(self) -> None:
        """Return None: `_set_images` sets all images together."""

    def _set_images(self) -> None:
        """Set the images of this channel, each at its position in the whole field."""
        names = dict(_IMAGES[self.channel_name])
        if planes_without_second_channel(self.folder_path, ROI_FILES, [self.plane_name]):
            names |= _IMAGES_ALONE
        found = {name: self.options.get(key) for name, key in names.items()}
        self._summary_images.clear()
        for name, image in found.items():
            if np.ndim(image) and np.size(image):  # absent, or 0 where it was not computed
                self._summary_images[name] = placed(name, np.asarray(image), self.options)

    def get_ragged_pixels(self, ids: Sequence[int], of_background: bool = False) -> PixelLists:
        """Return the pixels of ROIs as stat.npy holds them; their images consist of float32."""
        chosen = [] if of_background else [self.stat[self._roi_masks.roi_id_map[i]] for i in ids]
        columns, rows, weights = (
            np.concatenate([roi[key] for roi in chosen]) if chosen else np.zeros(0, dtype)
            for key, dtype in (("xpix", np.int32), ("ypix", np.int32), ("lam", np.float32))
        )
        return PixelLists(
            coordinates=(columns.astype(np.int32), rows.astype(np.int32)),
            weights=weights,
            ends=np.cumsum([len(roi["lam"]) for roi in chosen], dtype=np.int64),
            field_shape=field_of(self._image_shape),
            image_dtype=np.float32,
        )

    def get_roi_pixel_masks(self, roi_ids: Sequence[int] | None = None) -> list[NDArray[Any]]:
        """Return (row, column, weight) of the pixels of each ROI."""
        ids = self._roi_ids if roi_ids is None else roi_ids
        return [self._roi_masks.get_roi_pixel_mask(roi_id) for roi_id in ids]
