"""Minian output folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from nwb_ophys.interfaces.arguments import argument
from nwb_ophys.interfaces.segmentation import SegmentationInterface
from nwb_ophys.paths import PathProbe


@attrs.frozen(kw_only=True)
class MinianSource:
    """Source arguments of a folder of Minian."""

    folder_path: Path = argument("The folder in which Minian saved A.zarr, C.zarr and others.")
    sampling_frequency: float | None = argument(
        "Samples of the traces per second; needed where there is no timeStamps.csv.", default=None
    )
    timestamps_path: Path | None = argument(
        "The timeStamps.csv of the miniscope, where it is neither in the folder nor in the one "
        "that the folder lies in.",
        default=None,
    )


class MinianSegmentationInterface(SegmentationInterface):
    """The units that Minian found, with their traces and the background."""

    Source = MinianSource

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.minian.reader import MinianExtractor

        return MinianExtractor(
            source.folder_path, source.sampling_frequency, source.timestamps_path
        )

    def describe(self) -> Mapping[str, Any]:
        """Return the session and the animal that the output names, and what its parts are."""
        text = self.extractor.stated_text
        segmentation = {"plane_segmentations": [{"description": self._description()}]}
        ophys: dict[str, Any] = {"ImageSegmentation": segmentation}
        if "c0" in self.extractor.get_traces_dict():
            what = "Decay of calcium that rose before the recording began, of each ROI."
            initial = {"name": "InitialDecay", "description": what}
            ophys["Fluorescence"] = {"PlaneSegmentation": {"c0": initial}}
        if "maximum_projection" in self.extractor.get_images_dict():
            image = {"description": "Maximum over time of each pixel."}
            ophys["SegmentationImages"] = {"PlaneSegmentation": {"maximum_projection": image}}
        described: dict[str, Any] = {"Ophys": ophys}
        session, animal = text("session_id") or text("session"), text("animal")
        if session:
            described["NWBFile"] = {"session_id": session}
        if animal:
            described["Subject"] = {"subject_id": animal}
        return described

    def _description(self) -> str:
        """Say where the field lies in the recorded movie, unless it is all of it."""
        parts = []
        for name, axis in (("height", "rows"), ("width", "columns")):
            places = self.extractor.field_coordinates()[name]
            if places is None or places.ndim != 1 or np.array_equal(places, range(len(places))):
                continue
            parts.append(f"{axis} {places[0]:g} to {places[-1]:g}")
        where = f" The field is {' and '.join(parts)} of the recorded movie." if parts else ""
        return f"Units that Minian found.{where}"

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return evidence, in words, that a path is a folder that Minian saved."""
        from nwb_ophys.formats.minian.zarr_variables import read_zarr_shape

        probe = PathProbe.of(path)
        traces = [name for name in ("C.zarr", "S.zarr") if name in probe.folder_names]
        if "A.zarr" not in probe.folder_names or not traces:
            return None
        shape = probe.read_once(read_zarr_shape, probe.path / "A.zarr" / "A")
        if shape is None or len(shape) != 3:
            return None
        return (
            f"A.zarr with footprints of {shape[0]} units in {shape[1]} x {shape[2]} pixels, and "
            f"{' and '.join(traces)}"
        )
