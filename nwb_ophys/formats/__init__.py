"""One small file per format. Importing one imports no package that only that format needs."""

from nwb_ophys.formats.bruker.interface import BrukerImagingInterface
from nwb_ophys.formats.caiman.interface import CaimanSegmentationInterface
from nwb_ophys.formats.cnmfe.interface import CnmfeSegmentationInterface
from nwb_ophys.formats.extract.interface import ExtractSegmentationInterface
from nwb_ophys.formats.femtonics.interface import FemtonicsImagingInterface
from nwb_ophys.formats.hdf5.interface import Hdf5ImagingInterface
from nwb_ophys.formats.inscopix.interface import (
    InscopixImagingInterface,
    InscopixSegmentationInterface,
)
from nwb_ophys.formats.memmap.interface import MemmapImagingInterface
from nwb_ophys.formats.micromanager.interface import MicroManagerImagingInterface
from nwb_ophys.formats.minian.interface import MinianSegmentationInterface
from nwb_ophys.formats.miniscope.interface import MiniscopeImagingInterface
from nwb_ophys.formats.numpy.interface import NumpyImagingInterface, NumpySegmentationInterface
from nwb_ophys.formats.nwb.imaging import NwbImagingInterface
from nwb_ophys.formats.nwb.segmentation import NwbSegmentationInterface
from nwb_ophys.formats.ome_tiff.interface import OmeTiffImagingInterface
from nwb_ophys.formats.scanbox.interface import ScanboxImagingInterface
from nwb_ophys.formats.scanimage.interface import ScanImageImagingInterface
from nwb_ophys.formats.scanimage_legacy.interface import ScanImageLegacyImagingInterface
from nwb_ophys.formats.sima.interface import SimaSegmentationInterface
from nwb_ophys.formats.suite2p.interface import (
    Suite2pImagingInterface,
    Suite2pSegmentationInterface,
)
from nwb_ophys.formats.thor.interface import ThorImagingInterface
from nwb_ophys.formats.tiff.interface import TiffImagingInterface

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
