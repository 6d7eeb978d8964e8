"""CaImAn output files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

import attrs

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.interfaces.arguments import argument
from nwb_ophys.interfaces.segmentation import SegmentationInterface
from nwb_ophys.paths import PathProbe

_BASELINE = "Constant baseline of each pixel in CaImAn's ring model of the background (b0)."


@attrs.frozen(kw_only=True)
class CaimanSource:
    """Source arguments of a CaImAn file."""

    file_path: Path = argument("HDF5 file that CaImAn saved.")
    sampling_frequency: float | None = argument(
        "Samples of the traces per second; required if the file states no rate (params/data/fr), "
        "which this one replaces.",
        default=None,
        schema={"exclusiveMinimum": 0},
    )


class CaimanSegmentationInterface(SegmentationInterface):
    """The components that CaImAn found in one plane, with their traces and the background."""

    Source = CaimanSource
    reads_ranges = True

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.filetypes.files import warn_of_absent, warn_of_others
        from nwb_ophys.formats.caiman.reader import CaimanExtractor
        from nwb_ophys.optional import require_package

        require_package("scipy", "caiman")
        extractor = CaimanExtractor(source.file_path, source.sampling_frequency)
        warn_of_absent(source.file_path, extractor.absent_parts(), "CaImAn", stacklevel=5)
        warn_of_others(source.file_path, extractor.other_parts(), "CaImAn", stacklevel=5)
        return extractor

    def describe(self) -> Mapping[str, Any]:
        """Return a description of the components; the file states nothing about the microscope."""
        segmentation = {"plane_segmentations": [{"description": "Components that CaImAn found."}]}
        described: dict[str, Any] = {"ImageSegmentation": segmentation}
        if "baseline" in self.extractor.get_images_dict():
            images = {"PlaneSegmentation": {"baseline": {"description": _BASELINE}}}
            described["SegmentationImages"] = images
        return {"Ophys": described}

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for a file that CaImAn saved: its groups."""
        from nwb_ophys.filetypes.hdf5 import read_hdf5_outline

        probe = PathProbe.of(path)
        outline = probe.read_once(read_hdf5_outline) if probe.is_file else None
        if outline is None or not all(part in outline for part in ("estimates", "params/data")):
            return None
        return f"'{probe.path.name}' has CaImAn's estimates and params"

    @classmethod
    def refusal(cls, probe: PathProbe) -> str | None:
        """Return what a file with the estimates of CaImAn lacks, or None."""
        from nwb_ophys.filetypes.hdf5 import read_hdf5_outline

        outline = probe.read_once(read_hdf5_outline) if probe.is_file else None
        if outline is None or "estimates/A" not in outline:
            return None
        return (
            f"'{probe.path}' contains CaImAn's estimates, but not the group params/data with the "
            "field and the rate. Save the results again with CaImAn's save()."
        )

    @classmethod
    def movie_files(cls, path: Path) -> Sequence[str]:
        """Return the names of the movie files that CaImAn read (``params/data/fnames``)."""
        from nwb_ophys.formats.caiman.estimates import EstimatesFile

        try:
            file = EstimatesFile(path)
        except CorruptSourceError:  # opening the file raises with words
            return ()
        try:
            texts = file.texts("params/data/fnames")
        except CorruptSourceError:
            return ()
        finally:
            file.close()
        # PureWindowsPath parts the paths of all systems.
        return [PureWindowsPath(text).name for text in texts]
