"""CNMF-E output files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

import attrs

from nwb_ophys.interfaces.arguments import argument
from nwb_ophys.interfaces.made_from import MadeFrom
from nwb_ophys.interfaces.segmentation import SegmentationInterface
from nwb_ophys.interfaces.streams import Part, named_parts
from nwb_ophys.paths import PathProbe

_PLANE = "PlaneSegmentation"
_TRACES = {
    "raw": "Trace of each component before denoising.",
    "denoised": "Denoised calcium trace of each component.",
    "deconvolved": "Deconvolved activity of each component.",
    "deconvolved_df": "Deconvolved activity of each component, relative to its background (S_df).",
    "estimated": "Trace of each component as estimated by CNMF-E (extractedSignalsEst).",
    "peaks": "Events that CNMF-E found in each component (extractedPeaks).",
}
_NAMES = {"deconvolved_df": {"name": "DeconvolvedDf"}}
_IMAGES = {
    "correlation": "Correlation of each pixel with its neighbours.",
    "pnr": "Peak-to-noise ratio of each pixel.",
    "baseline": "Constant baseline of each pixel in CNMF-E's model of the background (b0).",
}


@attrs.frozen(kw_only=True)
class CnmfeSource:
    """Source arguments of a CNMF-E file."""

    file_path: Path = argument("MATLAB file with the output of CNMF-E.")
    sampling_frequency: float | None = argument(
        "Sampling rate of the movie in Hz; required if the file does not state Fs.", default=None
    )
    output_struct_name: str | None = argument(
        "Name of the struct, such as 'results'; optional if there is only one.", default=None
    )


class CnmfeSegmentationInterface(SegmentationInterface):
    """The components that CNMF-E found, with their traces, in a MATLAB file."""

    Source = CnmfeSource
    reads_ranges = True

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.filetypes.files import warn_of_absent, warn_of_others
        from nwb_ophys.formats.cnmfe.reader import CnmfeExtractor

        extractor = CnmfeExtractor(
            source.file_path, source.sampling_frequency, source.output_struct_name
        )
        warn_of_absent(source.file_path, extractor.absent_parts, "CNMF-E", stacklevel=5)
        warn_of_others(source.file_path, extractor.other_parts, "CNMF-E", stacklevel=5)
        return extractor

    def describe(self) -> Mapping[str, Any]:
        """Return descriptions of components, traces and images; the microscope is not stated."""
        traces, images = self.extractor.get_traces_dict(), self.extractor.get_images_dict()
        described: dict[str, Any] = {
            "ImageSegmentation": {
                "plane_segmentations": [{"description": "Components that CNMF-E found."}]
            },
            "Fluorescence": {
                _PLANE: {
                    name: {"description": text} | _NAMES.get(name, {})
                    for name, text in _TRACES.items()
                    if name in traces
                }
            },
            "SegmentationImages": {
                _PLANE: {
                    name: {"name": name, "description": text}
                    for name, text in _IMAGES.items()
                    if name in images
                }
            },
        }
        return {"Ophys": described}

    def part(self) -> str:
        """Return the name of the struct, if it is one of several."""
        from nwb_ophys.filetypes.matlab.structs import part_of
        from nwb_ophys.formats.cnmfe.reader import CNMFE_KINDS

        return part_of(self.source, CNMFE_KINDS)

    def made_from(self) -> MadeFrom:
        """Return the names of the movie files that CNMF-E read."""
        # PureWindowsPath parts the paths of all systems.
        names = (PureWindowsPath(path).name for path in self.extractor.movie_paths)
        return MadeFrom(files=tuple(name for name in names if name))

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for a MATLAB file with the output of CNMF-E."""
        probe = PathProbe.of(path)
        if probe.path.suffix.lower() != ".mat":  # before h5py is imported
            return None
        from nwb_ophys.filetypes.matlab.structs import evidence_of
        from nwb_ophys.formats.cnmfe.reader import CNMFE_KINDS

        return evidence_of(probe, CNMFE_KINDS, "CNMF-E")

    @classmethod
    def refusal(cls, probe: PathProbe) -> str | None:
        """Return why a MATLAB file cannot be read: an object, or damage; or None."""
        from nwb_ophys.filetypes.matlab.structs import matlab_refusal

        return matlab_refusal(probe)

    @classmethod
    def parts(cls, path: Path, **source: Any) -> list[Part]:
        """Return a part for each output of CNMF-E in the file."""
        from nwb_ophys.filetypes.matlab.structs import struct_names
        from nwb_ophys.formats.cnmfe.reader import CNMFE_KINDS

        return named_parts(struct_names(path, CNMFE_KINDS), "output_struct_name", file_path=path)
