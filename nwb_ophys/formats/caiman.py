"""CaImAn output files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.interfaces.arguments import argument
from nwb_ophys.interfaces.segmentation import SegmentationInterface


@attrs.frozen(kw_only=True)
class CaimanSource:
    """Source arguments of a CaImAn file."""

    file_path: Path = argument("The HDF5 file that CaImAn saved.")


class CaimanSegmentationInterface(SegmentationInterface):
    """The components that CaImAn found in one plane, with their traces and the background."""

    Source = CaimanSource

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.extractors.caiman import MendedCaimanExtractor
        from nwb_ophys.extractors.optional import require_package

        require_package("scipy", "caiman")
        return MendedCaimanExtractor(source.file_path)

    def describe(self) -> Mapping[str, Any]:
        """Return what the output states of itself: nothing of the microscope."""
        segmentation = {"plane_segmentations": [{"description": "Components that CaImAn found."}]}
        return {"Ophys": {"ImageSegmentation": segmentation}}

    @classmethod
    def matches(cls, path: Path) -> str | None:
        """Return evidence, in words, that a path is a file that CaImAn saved."""
        from nwb_ophys.extractors.caiman import is_caiman_file

        return f"'{path.name}' has CaImAn's estimates and params" if is_caiman_file(path) else None
