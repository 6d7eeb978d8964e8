"""Interfaces: an extractor, its metadata, and writer mixins that put both into a file."""

from nwb_ophys.interfaces.arguments import argument
from nwb_ophys.interfaces.base import BaseOphysInterface
from nwb_ophys.interfaces.images import ImagesInterface, ImagesOptions
from nwb_ophys.interfaces.imaging import ImagingInterface, ImagingOptions
from nwb_ophys.interfaces.lines import LineScanInterface, LineScanOptions
from nwb_ophys.interfaces.mixins import (
    DeviceWriter,
    ImageWriter,
    LineScanWriter,
    MaskWriter,
    MotionWriter,
    PlaneWriter,
    SeriesWriter,
    StillsWriter,
    TraceWriter,
)
from nwb_ophys.interfaces.segmentation import SegmentationInterface, SegmentationOptions
from nwb_ophys.interfaces.trials import TrialsInterface

__all__ = [
    "BaseOphysInterface",
    "DeviceWriter",
    "ImageWriter",
    "ImagesInterface",
    "ImagesOptions",
    "ImagingInterface",
    "ImagingOptions",
    "LineScanInterface",
    "LineScanOptions",
    "LineScanWriter",
    "MaskWriter",
    "MotionWriter",
    "PlaneWriter",
    "SegmentationInterface",
    "SegmentationOptions",
    "SeriesWriter",
    "StillsWriter",
    "TraceWriter",
    "TrialsInterface",
    "argument",
]
