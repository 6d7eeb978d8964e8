"""Writer mixins, each of which binds one writer to an interface.

A mixin has no ``__init__``, no state and no ``super()`` chain. Its method reads ``self.extractor``
and the metadata it receives, and makes one call. An interface composes the mixins that it needs.

Each method imports its writer, and with it pynwb, so that what only reads imports neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pynwb import NWBFile


class DeviceWriter:
    """Mixin that writes devices."""

    def add_devices(self, nwbfile: NWBFile, metadata: Mapping[str, Any]) -> NWBFile:
        """Add the devices of ``metadata["Ophys"]["Device"]``."""
        from nwb_ophys.writers.devices import add_devices

        return add_devices(nwbfile, metadata)


class PlaneWriter:
    """Mixin that writes imaging planes."""

    def add_imaging_plane(
        self, nwbfile: NWBFile, metadata: Mapping[str, Any], imaging_plane_name: str | None = None
    ) -> NWBFile:
        """Add an imaging plane: the named one, or the first one of the metadata."""
        from nwb_ophys.writers.devices import add_imaging_plane

        return add_imaging_plane(nwbfile, metadata, imaging_plane_name=imaging_plane_name)


class SeriesWriter:
    """Mixin that writes the movie of an imaging extractor."""

    extractor: Any

    def add_photon_series(
        self, nwbfile: NWBFile, metadata: Mapping[str, Any], **options: Any
    ) -> NWBFile:
        """Add the movie; see ``tools.add_photon_series`` for the options."""
        from nwb_ophys.writers.series import add_photon_series

        return add_photon_series(self.extractor, nwbfile, metadata, **options)


class LineScanWriter:
    """Mixin that writes the lines of a line scan extractor."""

    extractor: Any

    def add_line_scan(
        self, nwbfile: NWBFile, metadata: Mapping[str, Any], **options: Any
    ) -> NWBFile:
        """Add the lines over time; see ``writers.lines.add_line_scan`` for the options."""
        from nwb_ophys.writers.lines import add_line_scan

        return add_line_scan(self.extractor, nwbfile, metadata, **options)


class StillsWriter:
    """Mixin that writes the planes of the only sample of an imaging extractor."""

    extractor: Any

    def add_stills(self, nwbfile: NWBFile, metadata: Mapping[str, Any], **options: Any) -> NWBFile:
        """Add an image per plane; see ``writers.stills.add_stills`` for the options."""
        from nwb_ophys.writers.stills import add_stills

        return add_stills(self.extractor, nwbfile, metadata, **options)


class MotionWriter:
    """Mixin that writes a registered movie with the shift of each frame."""

    extractor: Any

    def add_corrected_image_stack(
        self, nwbfile: NWBFile, metadata: Mapping[str, Any], **options: Any
    ) -> NWBFile:
        """Add the movie to ``MotionCorrection``.

        See ``writers.motion.add_corrected_image_stack`` for the options.
        """
        from nwb_ophys.writers.motion import add_corrected_image_stack

        return add_corrected_image_stack(self.extractor, nwbfile, metadata, **options)


class MaskWriter:
    """Mixin that writes the ROIs and background components of a segmentation extractor."""

    extractor: Any

    def add_plane_segmentation(
        self, nwbfile: NWBFile, metadata: Mapping[str, Any], **options: Any
    ) -> NWBFile:
        """Add the table of ROIs: the named one, or the first one of the metadata.

        See ``tools.add_plane_segmentation`` for the options.
        """
        from nwb_ophys.writers.own_segmentation import add_own_plane_segmentation

        return add_own_plane_segmentation(self.extractor, nwbfile, metadata, **options)

    def add_background(
        self, nwbfile: NWBFile, metadata: Mapping[str, Any], **options: Any
    ) -> NWBFile:
        """Add the background components as a plane segmentation with traces of its own."""
        from nwb_ophys.writers.own_segmentation import add_own_background

        return add_own_background(self.extractor, nwbfile, metadata, **options)


class TraceWriter:
    """Mixin that writes the traces of a segmentation extractor."""

    extractor: Any

    def add_fluorescence_traces(
        self, nwbfile: NWBFile, metadata: Mapping[str, Any], **options: Any
    ) -> NWBFile:
        """Add the traces, with a table of ROIs without masks where no other mixin added one.

        See ``tools.add_fluorescence_traces`` for the options.
        """
        from nwb_ophys.writers.own_segmentation import add_own_traces

        return add_own_traces(self.extractor, nwbfile, metadata, **options)


class ImageWriter:
    """Mixin that writes the summary images of a segmentation extractor."""

    extractor: Any

    def add_summary_images(
        self,
        nwbfile: NWBFile,
        metadata: Mapping[str, Any],
        plane_segmentation_name: str | None = None,
    ) -> NWBFile:
        """Add the summary images of the named plane segmentation, or of the first one."""
        from nwb_ophys.writers.own_segmentation import add_own_images

        return add_own_images(self.extractor, nwbfile, metadata, plane_segmentation_name)
