"""Writer mixins: each binds one writer to an interface.

A mixin has no ``__init__``, no state and no ``super()`` chain. Its method reads ``self.extractor``
and the metadata it is given, and makes one call. They compose: an interface takes those it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pynwb import NWBFile

from nwb_ophys.writers.devices import add_devices, add_imaging_plane
from nwb_ophys.writers.images import add_summary_images
from nwb_ophys.writers.masks import add_plane_segmentation
from nwb_ophys.writers.motion import add_corrected_image_stack
from nwb_ophys.writers.series import add_photon_series
from nwb_ophys.writers.streams import add_background
from nwb_ophys.writers.traces import add_traces_alone


class DeviceWriter:
    """Writes devices."""

    def add_devices(self, nwbfile: NWBFile, metadata: Mapping[str, Any]) -> NWBFile:
        """Add the devices of ``metadata["Ophys"]["Device"]``."""
        return add_devices(nwbfile, metadata)


class PlaneWriter:
    """Writes imaging planes."""

    def add_imaging_plane(
        self, nwbfile: NWBFile, metadata: Mapping[str, Any], imaging_plane_name: str | None = None
    ) -> NWBFile:
        """Add an imaging plane; the first of the metadata when not named."""
        return add_imaging_plane(nwbfile, metadata, imaging_plane_name=imaging_plane_name)


class SeriesWriter:
    """Writes the movie of an imaging extractor."""

    extractor: Any

    def add_photon_series(
        self, nwbfile: NWBFile, metadata: Mapping[str, Any], **options: Any
    ) -> NWBFile:
        """Add the movie; options are those of ``tools.add_photon_series``."""
        return add_photon_series(self.extractor, nwbfile, metadata, **options)


class MotionWriter:
    """Writes the movie of an imaging extractor that was registered, with the shifts of frames."""

    extractor: Any

    def add_corrected_image_stack(
        self, nwbfile: NWBFile, metadata: Mapping[str, Any], **options: Any
    ) -> NWBFile:
        """Add the movie to ``MotionCorrection``.

        Options are those of ``writers.motion.add_corrected_image_stack``.
        """
        return add_corrected_image_stack(self.extractor, nwbfile, metadata, **options)


class MaskWriter:
    """Writes the ROIs of a segmentation extractor, and its background components."""

    extractor: Any

    def add_plane_segmentation(
        self, nwbfile: NWBFile, metadata: Mapping[str, Any], **options: Any
    ) -> NWBFile:
        """Add the table of ROIs; options are those of ``tools.add_plane_segmentation``."""
        return add_plane_segmentation(self.extractor, nwbfile, metadata, **options)

    def add_background(
        self, nwbfile: NWBFile, metadata: Mapping[str, Any], **options: Any
    ) -> NWBFile:
        """Add background components as a plane segmentation with traces of their own."""
        return add_background(self.extractor, nwbfile, metadata, **options)


class TraceWriter:
    """Writes the traces of a segmentation extractor."""

    extractor: Any

    def add_fluorescence_traces(
        self, nwbfile: NWBFile, metadata: Mapping[str, Any], **options: Any
    ) -> NWBFile:
        """Add the traces, to a table of ROIs without masks where no other mixin added one.

        Options are those of ``tools.add_fluorescence_traces``.
        """
        return add_traces_alone(self.extractor, nwbfile, metadata, **options)


class ImageWriter:
    """Writes the summary images of a segmentation extractor."""

    extractor: Any

    def add_summary_images(
        self,
        nwbfile: NWBFile,
        metadata: Mapping[str, Any],
        plane_segmentation_name: str | None = None,
    ) -> NWBFile:
        """Add the summary images."""
        return add_summary_images(
            nwbfile,
            self.extractor,
            metadata,
            plane_segmentation_name=plane_segmentation_name,
        )
