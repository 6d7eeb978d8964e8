"""One small file per format. Importing one imports no package that only that format needs."""

from nwb_ophys.formats.bruker import BrukerImagingInterface
from nwb_ophys.formats.caiman import CaimanSegmentationInterface
from nwb_ophys.formats.numpy import NumpyImagingInterface, NumpySegmentationInterface
from nwb_ophys.formats.scanimage import ScanImageImagingInterface
from nwb_ophys.formats.suite2p import Suite2pSegmentationInterface
from nwb_ophys.formats.thor import ThorImagingInterface
from nwb_ophys.formats.tiff import TiffImagingInterface

__all__ = [
    "BrukerImagingInterface",
    "CaimanSegmentationInterface",
    "NumpyImagingInterface",
    "NumpySegmentationInterface",
    "ScanImageImagingInterface",
    "Suite2pSegmentationInterface",
    "ThorImagingInterface",
    "TiffImagingInterface",
]
