"""Turn optical-physiology recordings into NWB files: correct, fast and safe.

Names are imported when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nwb_ophys.converter import OphysConverter
    from nwb_ophys.errors import NwbOphysError
    from nwb_ophys.formats import (
        BrukerImagingInterface,
        CaimanSegmentationInterface,
        CnmfeSegmentationInterface,
        ExtractSegmentationInterface,
        FemtonicsImagingInterface,
        Hdf5ImagingInterface,
        InscopixImagingInterface,
        InscopixSegmentationInterface,
        MemmapImagingInterface,
        MicroManagerImagingInterface,
        MinianSegmentationInterface,
        MiniscopeImagingInterface,
        NumpyImagingInterface,
        NumpySegmentationInterface,
        NwbImagingInterface,
        NwbSegmentationInterface,
        OmeTiffImagingInterface,
        ScanboxImagingInterface,
        ScanImageImagingInterface,
        ScanImageLegacyImagingInterface,
        SimaSegmentationInterface,
        Suite2pImagingInterface,
        Suite2pSegmentationInterface,
        ThorImagingInterface,
        TiffImagingInterface,
    )
    from nwb_ophys.interfaces import (
        BaseOphysInterface,
        ImagingInterface,
        SegmentationInterface,
        argument,
    )
    from nwb_ophys.opening import open
    from nwb_ophys.opening.converters import (
        BrukerConverter,
        InscopixConverter,
        MiniscopeConverter,
        ScanImageConverter,
        Suite2pConverter,
        ThorConverter,
    )
    from nwb_ophys.registry import detect
    from nwb_ophys.storage import BackendConfiguration, DatasetConfiguration, repack
    from nwb_ophys.writers.run import write_nwbfile

__version__ = "0.1.0"

__all__ = [
    "BackendConfiguration",
    "BaseOphysInterface",
    "BrukerConverter",
    "BrukerImagingInterface",
    "CaimanSegmentationInterface",
    "CnmfeSegmentationInterface",
    "DatasetConfiguration",
    "ExtractSegmentationInterface",
    "FemtonicsImagingInterface",
    "Hdf5ImagingInterface",
    "ImagingInterface",
    "InscopixConverter",
    "InscopixImagingInterface",
    "InscopixSegmentationInterface",
    "MemmapImagingInterface",
    "MicroManagerImagingInterface",
    "MinianSegmentationInterface",
    "MiniscopeConverter",
    "MiniscopeImagingInterface",
    "NumpyImagingInterface",
    "NumpySegmentationInterface",
    "NwbImagingInterface",
    "NwbOphysError",
    "NwbSegmentationInterface",
    "OmeTiffImagingInterface",
    "OphysConverter",
    "ScanImageConverter",
    "ScanImageImagingInterface",
    "ScanImageLegacyImagingInterface",
    "ScanboxImagingInterface",
    "SegmentationInterface",
    "SimaSegmentationInterface",
    "Suite2pConverter",
    "Suite2pImagingInterface",
    "Suite2pSegmentationInterface",
    "ThorConverter",
    "ThorImagingInterface",
    "TiffImagingInterface",
    "__version__",
    "argument",
    "detect",
    "open",
    "repack",
    "write_nwbfile",
]

_HOMES = {
    "NwbOphysError": "nwb_ophys.errors",
    "OphysConverter": "nwb_ophys.converter",
    "detect": "nwb_ophys.registry",
    "open": "nwb_ophys.opening",
    "write_nwbfile": "nwb_ophys.writers.run",
    **dict.fromkeys(("ScanImageConverter", "Suite2pConverter"), "nwb_ophys.opening.converters"),
    **dict.fromkeys(("MiniscopeConverter", "ScanImageConverter"), "nwb_ophys.opening.converters"),
    **dict.fromkeys(("InscopixConverter", "ScanImageConverter"), "nwb_ophys.opening.converters"),
    **dict.fromkeys(
        ("BrukerConverter", "ScanImageConverter", "ThorConverter"), "nwb_ophys.opening.converters"
    ),
    **dict.fromkeys(
        ("BackendConfiguration", "DatasetConfiguration", "repack"), "nwb_ophys.storage"
    ),
    **dict.fromkeys(
        ("BaseOphysInterface", "ImagingInterface", "SegmentationInterface", "argument"),
        "nwb_ophys.interfaces",
    ),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'nwb_ophys' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "nwb_ophys.formats")), name)


def __dir__() -> list[str]:
    return __all__
