"""One small file per format. Importing one imports no package that only that format needs."""

from nwb_ophys.formats.caiman import CaimanSegmentationInterface
from nwb_ophys.formats.inscopix import InscopixImagingInterface, InscopixSegmentationInterface
from nwb_ophys.formats.numpy import NumpyImagingInterface, NumpySegmentationInterface
from nwb_ophys.formats.nwb import NwbImagingInterface
from nwb_ophys.formats.nwb_segmentation import NwbSegmentationInterface
from nwb_ophys.formats.scanimage import ScanImageImagingInterface
from nwb_ophys.formats.suite2p import Suite2pSegmentationInterface
from nwb_ophys.formats.tiff import TiffImagingInterface

__all__ = [
    "CaimanSegmentationInterface",
    "InscopixImagingInterface",
    "InscopixSegmentationInterface",
    "NumpyImagingInterface",
    "NumpySegmentationInterface",
    "NwbImagingInterface",
    "NwbSegmentationInterface",
    "ScanImageImagingInterface",
    "Suite2pSegmentationInterface",
    "TiffImagingInterface",
]
