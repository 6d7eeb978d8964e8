"""One small file per format. Importing one imports no package that only that format needs."""

from nwb_ophys.formats.caiman import CaimanSegmentationInterface
from nwb_ophys.formats.micromanager import MicroManagerImagingInterface
from nwb_ophys.formats.numpy import NumpyImagingInterface, NumpySegmentationInterface
from nwb_ophys.formats.ome_tiff import OmeTiffImagingInterface
from nwb_ophys.formats.scanimage import ScanImageImagingInterface
from nwb_ophys.formats.scanimage_legacy import ScanImageLegacyImagingInterface
from nwb_ophys.formats.suite2p import Suite2pSegmentationInterface
from nwb_ophys.formats.tiff import TiffImagingInterface

__all__ = [
    "CaimanSegmentationInterface",
    "MicroManagerImagingInterface",
    "NumpyImagingInterface",
    "NumpySegmentationInterface",
    "OmeTiffImagingInterface",
    "ScanImageImagingInterface",
    "ScanImageLegacyImagingInterface",
    "Suite2pSegmentationInterface",
    "TiffImagingInterface",
]
