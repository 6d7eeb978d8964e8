"""Minian output folders."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from nwb_ophys.filetypes.files import warn_of_absent, warn_of_others
from nwb_ophys.formats.minian.stores import MOTION_STORE, MOVIE_STORES, ORIGINAL_STORE
from nwb_ophys.interfaces.arguments import argument
from nwb_ophys.interfaces.segmentation import SegmentationInterface
from nwb_ophys.interfaces.streams import Part
from nwb_ophys.paths import PathProbe

STORES = tuple(f"{name}.zarr" for name in ("A", "C", "S", "b", "f", "b0", "c0", "max_proj"))
"""Stores that Minian saves in one folder and that are read."""

# Stores that one step of Minian saves together.
_PAIRS = (("C.zarr", "S.zarr"), ("b.zarr", "f.zarr"), ("b0.zarr", "c0.zarr"))


@attrs.frozen(kw_only=True)
class MinianSource:
    """Source arguments of a Minian folder."""

    folder_path: Path = argument("Folder in which Minian saved A.zarr, C.zarr and others.")
    sampling_frequency: float | None = argument(
        "Sampling rate of the traces in Hz; required if there is no timeStamps.csv.", default=None
    )
    timestamps_path: Path | None = argument(
        "The timeStamps.csv of the miniscope, if it is neither in the folder nor in its parent "
        "folder.",
        default=None,
    )


class MinianSegmentationInterface(SegmentationInterface):
    """The units that Minian found, with their traces and the background."""

    Source = MinianSource
    reads_ranges = True

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.minian.reader import MinianExtractor

        return MinianExtractor(
            source.folder_path, source.sampling_frequency, source.timestamps_path
        )

    def describe(self) -> Mapping[str, Any]:
        """Return the stated session and animal, and descriptions of units, traces and images."""
        text = self.extractor.stated_text
        segmentation = {"plane_segmentations": [{"description": self._description()}]}
        ophys: dict[str, Any] = {"ImageSegmentation": segmentation}
        if "c0" in self.extractor.get_traces_dict():
            what = "Decay, in each ROI, of calcium that rose before the recording began."
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
        """Describe the units, and where the field lies in a movie that was cropped."""
        parts = []
        for name, axis in (("height", "rows"), ("width", "columns")):
            places = self.extractor.field_coordinates()[name]
            if places is None or places.ndim != 1 or np.array_equal(places, range(len(places))):
                continue
            parts.append(f"{axis} {places[0]:g} to {places[-1]:g}")
        where = f" The field covers {' and '.join(parts)} of the recorded movie." if parts else ""
        return f"Units that Minian found.{where}"

    @classmethod
    def parts(cls, path: Path, **source: Any) -> list[Part]:
        """Return the one part of a folder, after a warning of stores that it lacks."""
        names = PathProbe(path).folder_names
        lacking = [
            f"{one}, but no {other}"
            for pair in _PAIRS
            for one, other in (pair, pair[::-1])
            if one in names and other not in names
        ]
        if lacking:
            warnings.warn(
                f"'{path}' contains {'; '.join(lacking)}. Minian saves both; what is missing is "
                "left out. If Minian saved it, copy it to the others.",
                UserWarning,
                stacklevel=5,
            )
        # Minian always saves these, if not into this folder.
        absent = [store for store in ("b.zarr", "max_proj.zarr") if store not in names]
        if "f.zarr" in names and "b.zarr" in absent:
            absent.remove("b.zarr")  # which the note above names
        warn_of_absent(path, absent, "Minian", stacklevel=5)
        warn_of_others(path, _other_stores(path, names), "Minian", stacklevel=5)
        if MOTION_STORE in names and not names & {*MOVIE_STORES}:
            warnings.warn(
                f"'{path}' contains the shifts of the registered movie, {MOTION_STORE}, but not "
                f"the movie, {MOVIE_STORES[0]}; the shifts are left out. Give the folder of the "
                f"movie, with motion_path={path / MOTION_STORE}, to write both.",
                UserWarning,
                stacklevel=5,
            )
        return [Part(arguments={"folder_path": path})]

    @classmethod
    def recording_of(cls, probe: PathProbe) -> Path | None:
        """Return the folder in which Minian saved a store such as ``A.zarr``, or None."""
        beside = PathProbe(probe.path.parent)
        if probe.path.name not in STORES or cls.matches(beside) is None:
            return None
        return beside.path

    @classmethod
    def refusal(cls, probe: PathProbe) -> str | None:
        """Return which stores a folder of Minian lacks, that a file is of an old one, or None."""
        if probe.is_file:
            from nwb_ophys.filetypes.hdf5 import read_hdf5_outline

            outline = probe.read_once(read_hdf5_outline)
            is_old = outline is not None and set(outline.datasets) >= {"A", "C", "unit_id"}
            return (
                f"'{probe.path}' is of a version of Minian before 1.0 (netCDF), which is not read. "
                "Open it in Minian, and save A, C, S, b and f with its backend zarr."
                if is_old
                else None
            )
        if probe.is_folder and probe.path.name in STORES and probe.is_zarr:
            return (
                f"'{probe.path}' is one of the stores that Minian saved; give the folder that "
                "contains A.zarr and C.zarr."
            )
        found = [name for name in STORES if name in probe.folder_names]
        if len(found) < 2 and "A.zarr" not in found:
            return None
        lacking = "C.zarr or S.zarr with traces"
        if "A.zarr" not in found:
            lacking = "A.zarr with the footprints of the units"
        return (
            f"'{probe.path}' contains Minian's {' and '.join(found)}, but no readable {lacking}; "
            "copy the whole folder, or save the variable again with Minian."
        )

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for a folder that Minian saved: its Zarr stores."""
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


def _other_stores(path: Path, names: Iterable[str]) -> list[str]:
    """Return the stores of further variables, such as ``YrA.zarr``, which are not read."""
    from nwb_ophys.formats.minian.zarr_variables import read_zarr_shape

    known = {*STORES, *MOVIE_STORES, MOTION_STORE, ORIGINAL_STORE}
    others = sorted(name for name in names if name.endswith(".zarr") and name not in known)
    variables = {name: path / name / name.removesuffix(".zarr") for name in others}
    return [name for name, place in variables.items() if read_zarr_shape(place) is not None]
