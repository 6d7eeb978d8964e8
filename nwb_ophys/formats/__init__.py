"""One small file per format. Importing one imports no package that only that format needs."""

from nwb_ophys.formats.bruker import BrukerImagingInterface
from nwb_ophys.formats.caiman import CaimanSegmentationInterface
from nwb_ophys.formats.cnmfe import CnmfeSegmentationInterface
from nwb_ophys.formats.extract import ExtractSegmentationInterface
from nwb_ophys.formats.femtonics import FemtonicsImagingInterface
from nwb_ophys.formats.hdf5 import Hdf5ImagingInterface
from nwb_ophys.formats.inscopix import InscopixImagingInterface, InscopixSegmentationInterface
from nwb_ophys.formats.memmap import MemmapImagingInterface
from nwb_ophys.formats.micromanager import MicroManagerImagingInterface
from nwb_ophys.formats.minian import MinianSegmentationInterface
from nwb_ophys.formats.miniscope import MiniscopeImagingInterface
from nwb_ophys.formats.numpy import NumpyImagingInterface, NumpySegmentationInterface
from nwb_ophys.formats.nwb import NwbImagingInterface
from nwb_ophys.formats.nwb_segmentation import NwbSegmentationInterface
from nwb_ophys.formats.ome_tiff import OmeTiffImagingInterface
from nwb_ophys.formats.scanbox import ScanboxImagingInterface
from nwb_ophys.formats.scanimage import ScanImageImagingInterface
from nwb_ophys.formats.scanimage_legacy import ScanImageLegacyImagingInterface
from nwb_ophys.formats.sima import SimaSegmentationInterface
from nwb_ophys.formats.suite2p import Suite2pImagingInterface, Suite2pSegmentationInterface
from nwb_ophys.formats.thor import ThorImagingInterface
from nwb_ophys.formats.tiff import TiffImagingInterface

__all__ = [
    "BrukerImagingInterface",
    "CaimanSegmentationInterface",
    "CnmfeSegmentationInterface",
    "ExtractSegmentationInterface",
    "FemtonicsImagingInterface",
    "Hdf5ImagingInterface",
    "InscopixImagingInterface",
    "InscopixSegmentationInterface",
    "MemmapImagingInterface",
    "MicroManagerImagingInterface",
    "MinianSegmentationInterface",
    "MiniscopeImagingInterface",
    "NumpyImagingInterface",
    "NumpySegmentationInterface",
    "NwbImagingInterface",
    "NwbSegmentationInterface",
    "OmeTiffImagingInterface",
    "ScanImageImagingInterface",
    "ScanImageLegacyImagingInterface",
    "ScanboxImagingInterface",
    "SimaSegmentationInterface",
    "Suite2pImagingInterface",
    "Suite2pSegmentationInterface",
    "ThorImagingInterface",
    "TiffImagingInterface",
]
