"""Reader of Suite2p's ROIs, which corrects the reader of roiextractors.

That reader pads the correlation image of a cropped field on the wrong side; leaves images out, and
gives images of the first channel as those of the second; reads the second channel's ``iscell`` from
``redcell.npy``; does not name damaged files in errors; and builds the pixel masks of all ROIs
whenever one is requested.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from roiextractors import Suite2pSegmentationExtractor

from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.filetypes.npy import load_npy
from nwb_ophys.formats.suite2p.folder import (
    channel_names,
    num_frames_of_traces,
    placed,
    plane_names,
    read_ops,
)
from nwb_ophys.rois.pixel_lists import PixelLists, field_of
from nwb_ophys.rois.properties import FastPropertiesMixin

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


def _check_stat(path: Path, data: NDArray[Any]) -> None:
    if data.ndim != 1 or not all(isinstance(roi, dict) for roi in data):
        raise CorruptSourceError(f"'{path}' does not hold a list of ROIs; it may be damaged.")
    for index, roi in enumerate(data):
        pixels = [np.shape(roi.get(key)) for key in ("ypix", "xpix", "lam")]
        if len(set(pixels)) != 1 or len(pixels[0]) != 1:
            raise CorruptSourceError(
                f"'{path}': ROI {index} must have ypix, xpix and lam of the same length."
            )


class MendedSuite2pExtractor(FastPropertiesMixin, Suite2pSegmentationExtractor):  # type: ignore[misc]
    """ROIs and traces of one plane and channel of a ``suite2p`` folder.

    Parameters
    ----------
    folder_path : pathlib.Path
        The folder that holds the planes.
    channel_name : {"chan1", "chan2"}
    plane_name : str
        Such as ``plane0``.

    Raises
    ------
    CorruptSourceError
        When a file is damaged or does not fit the others.
    """

    extractor_name = "MendedSuite2pExtractor"

    def __init__(self, folder_path: Path, channel_name: str, plane_name: str) -> None:
        try:
            super().__init__(folder_path, channel_name=channel_name, plane_name=plane_name)
            self._set_images()
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, SourceError):
                raise
            folder = Path(folder_path) / plane_name
            raise CorruptSourceError(
                f"'{folder}' cannot be read as Suite2p's output: {error!r}. It may be damaged."
            ) from error
        self._check_field()
        self._set_flags()

    @classmethod
    def get_available_planes(cls, folder_path: str | Path) -> list[str]:
        """Return the names of the planes."""
        return plane_names(Path(folder_path))

    @classmethod
    def get_available_channels(cls, folder_path: str | Path) -> list[str]:
        """Return the names of the channels."""
        return channel_names(Path(folder_path))

    def _load_npy(
        self,
        file_name: str,
        mmap_mode: str | None = None,
        transpose: bool = False,
        require: bool = False,
    ) -> NDArray[Any] | None:
        path = self.folder_path / self.plane_name / file_name
        if file_name == "ops.npy":
            return np.array(self._ops(path.parent), dtype=object)
        if not path.exists() and not require:
            return None
        data = load_npy(path, allow_pickle=mmap_mode is None)
        if file_name == "stat.npy":
            _check_stat(path, data)
        else:
            self._check_shape(path, data)
        return data.T if transpose else data

    @staticmethod
    def _ops(plane: Path) -> dict[str, Any]:
        """Return the settings of a plane, with the number of frames that its traces have."""
        ops, counted = read_ops(plane), num_frames_of_traces(plane)
        return ops if counted is None else {**ops, "nframes": counted}

    def _check_shape(self, path: Path, data: NDArray[Any]) -> None:
        """Check a file of traces or of flags against ops.npy and stat.npy, which are read first."""
        columns = 2 if path.name in ("iscell.npy", "redcell.npy") else self._num_frames
        if data.shape != (len(self.stat), columns):
            raise CorruptSourceError(
                f"'{path}' has the shape {data.shape}; ops.npy and stat.npy state "
                f"{len(self.stat)} ROIs and {self._num_frames} frames, for which it must be "
                f"{(len(self.stat), columns)}."
            )

    def _check_field(self) -> None:
        """Check that the ROIs and the images lie in the field that ops.npy states."""
        folder = self.folder_path / self.plane_name
        for index, roi in enumerate(self.stat):
            for key, size in zip(("ypix", "xpix"), self._image_shape, strict=True):
                if len(roi[key]) and not 0 <= np.min(roi[key]) <= np.max(roi[key]) < size:
                    raise CorruptSourceError(
                        f"'{folder / 'stat.npy'}': ROI {index} reaches beyond the field of "
                        f"{self._image_shape} pixels that ops.npy states."
                    )

    def _set_flags(self) -> None:
        """Set the results of Suite2p's classifiers as properties named after their files."""
        self._properties.clear()
        for name, what in (("iscell", "a cell"), ("redcell", "seen in the second channel")):
            flags = self._load_npy(f"{name}.npy", mmap_mode="r")
            if flags is None:
                continue
            columns = {
                name: (flags[:, 0], f"Whether Suite2p classified the ROI as {what}: 1 or 0."),
                f"{name}_probability": (flags[:, 1], f"Probability that the ROI is {what}."),
            }
            for key, (values, description) in columns.items():
                self.set_property(key, np.asarray(values), self._roi_ids, description=description)

    def _correlation_image_read(self) -> None:
        """Return None: `_set_images` sets all images together."""

    def _set_images(self) -> None:
        """Set the images of this channel, each at its position in the whole field."""
        found = {name: self.options.get(key) for name, key in _IMAGES[self.channel_name].items()}
        self._summary_images.clear()
        for name, image in found.items():
            if np.ndim(image):  # absent, or 0 where it was not computed
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
