"""EXTRACT output files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.interfaces.arguments import argument
from nwb_ophys.interfaces.segmentation import SegmentationInterface
from nwb_ophys.interfaces.streams import Part, named_parts
from nwb_ophys.paths import PathProbe

_PLANE = "PlaneSegmentation"
_IMAGES = {
    "summary_image": "Summary image of the movie that EXTRACT analysed.",
    "f_per_pixel": "Baseline fluorescence of each pixel of the movie that EXTRACT analysed.",
    "max_image": "Maximum over time of the movie that EXTRACT analysed.",
}


@attrs.frozen(kw_only=True)
class ExtractSource:
    """Source arguments of an EXTRACT file."""

    file_path: Path = argument("MATLAB file with the output of EXTRACT.")
    sampling_frequency: float | None = argument(
        "Sampling rate of the movie in Hz; EXTRACT does not save it.", default=None
    )
    output_struct_name: str | None = argument(
        "Name of the struct, such as 'output'; optional if there is only one.", default=None
    )


class ExtractSegmentationInterface(SegmentationInterface):
    """The cells that EXTRACT found, with their traces, in a MATLAB file."""

    Source = ExtractSource
    reads_ranges = True
    needs_rate = True

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.filetypes.files import warn_of_absent, warn_of_others
        from nwb_ophys.formats.extract.reader import ExtractExtractor

        extractor = ExtractExtractor(
            source.file_path, source.sampling_frequency, source.output_struct_name
        )
        warn_of_absent(source.file_path, extractor.absent_parts, "EXTRACT", stacklevel=5)
        warn_of_others(source.file_path, extractor.other_parts, "EXTRACT", stacklevel=5)
        return extractor

    def describe(self) -> Mapping[str, Any]:
        """Return descriptions of cells, traces and images; the microscope is not stated."""
        extractor = self.extractor
        by = f"EXTRACT {extractor.version}" if extractor.version else "EXTRACT"
        option = extractor.trace_option
        how = f", trace_output_option '{option}'" if option else ""
        images = {
            name: {"name": name, "description": text}
            for name, text in _IMAGES.items()
            if name in extractor.get_images_dict()
        }
        described: dict[str, Any] = {
            "ImageSegmentation": {
                "plane_segmentations": [{"description": f"Cells that {by} found."}]
            },
            "SegmentationImages": {_PLANE: images},
        }
        if "dff" in extractor.get_traces_dict():
            text = f"Delta F over F of each cell, computed by {by}{how}."
            described["DfOverF"] = {_PLANE: {"dff": {"description": text}}}
        else:
            text = f"Trace of each cell in the units of the movie, computed by {by}{how}."
            described["Fluorescence"] = {_PLANE: {"raw": {"description": text}}}
        return {"Ophys": described}

    def part(self) -> str:
        """Return the name of the struct, if it is one of several."""
        from nwb_ophys.filetypes.matlab.structs import part_of
        from nwb_ophys.formats.extract.reader import EXTRACT_KINDS

        return part_of(self.source, EXTRACT_KINDS)

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for a MATLAB file with the output of EXTRACT."""
        probe = PathProbe.of(path)
        if probe.path.suffix.lower() != ".mat":  # before h5py is imported
            return None
        from nwb_ophys.filetypes.matlab.structs import evidence_of
        from nwb_ophys.formats.extract.reader import EXTRACT_KINDS

        return evidence_of(probe, EXTRACT_KINDS, "EXTRACT")

    @classmethod
    def parts(cls, path: Path, **source: Any) -> list[Part]:
        """Return a part for each output of EXTRACT in the file."""
        from nwb_ophys.filetypes.matlab.structs import struct_names
        from nwb_ophys.formats.extract.reader import EXTRACT_KINDS

        return named_parts(struct_names(path, EXTRACT_KINDS), "output_struct_name", file_path=path)
