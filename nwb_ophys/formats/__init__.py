"""One small file per format. Importing one imports no package that only that format needs."""

from nwb_ophys.formats.caiman import CaimanSegmentationInterface
from nwb_ophys.formats.minian import MinianSegmentationInterface
from nwb_ophys.formats.numpy import NumpyImagingInterface, NumpySegmentationInterface
from nwb_ophys.formats.scanimage import ScanImageImagingInterface
from nwb_ophys.formats.sima import SimaSegmentationInterface
from nwb_ophys.formats.suite2p import Suite2pSegmentationInterface
from nwb_ophys.formats.tiff import TiffImagingInterface

__all__ = [
    "CaimanSegmentationInterface",
    "MinianSegmentationInterface",
    "NumpyImagingInterface",
    "NumpySegmentationInterface",
    "ScanImageImagingInterface",
    "SimaSegmentationInterface",
    "Suite2pSegmentationInterface",
    "TiffImagingInterface",
]
