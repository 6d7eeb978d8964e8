"""Interface of a line scan: one channel of one line, scanned again and again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from nwb_ophys.extractors.lines import FirstLines
from nwb_ophys.interfaces.arguments import (
    StubOptions,
    argument,
    iterator_options_argument,
    stub_of,
)
from nwb_ophys.interfaces.base import BaseOphysInterface
from nwb_ophys.interfaces.imaging import block_size
from nwb_ophys.interfaces.mixins import DeviceWriter, LineScanWriter
from nwb_ophys.metadata import (
    DeepDict,
    get_default_ophys_metadata,
    images_entry,
    line_scan_entry,
    line_scan_schema,
    merge_description,
    with_suffix,
)
from nwb_ophys.metadata.neuroconv_keys import with_neuroconv_keys

if TYPE_CHECKING:
    from pynwb import NWBFile


@attrs.frozen(kw_only=True)
class LineScanOptions(StubOptions):
    """Conversion options of a line scan."""

    stub: int | None = argument("Write only the first N lines.", default=None)
    iterator_options: dict[str, Any] | None = iterator_options_argument(
        "buffer_gb or buffer_shape, and chunk_mb or chunk_shape, of the data.", shapes=True
    )


class LineScanInterface(BaseOphysInterface, DeviceWriter, LineScanWriter):
    """Base class for line scans; each interface is one channel of one line.

    The extractor is a :class:`~nwb_ophys.extractors.lines.LineScanExtractor`. The lines become a
    ``TimeSeries`` in the processing module ``ophys``.
    """

    Options = LineScanOptions

    def get_metadata(self, **options: Any) -> DeepDict:
        """Return the metadata that the files state, with defaults for the rest; edit it freely."""
        defaults = get_default_ophys_metadata()
        defaults["Ophys"]["LineScan"] = [line_scan_entry()]
        if self.extractor.source_images():
            entry = images_entry("LineScanSource", "Images on which the scanned line was drawn.")
            defaults["Ophys"]["Images"] = [entry]
        return with_suffix(merge_description(defaults, self.possible_facts()), self.part())

    def get_metadata_schema(self) -> dict[str, Any]:
        """Return the JSON schema of the metadata."""
        return with_neuroconv_keys(line_scan_schema())

    def add_to_nwbfile(
        self, nwbfile: NWBFile, metadata: Mapping[str, Any] | None = None, **options: Any
    ) -> NWBFile:
        """Add the device, the imaging plane, the lines and the images on which they were drawn.

        Parameters
        ----------
        nwbfile : pynwb.NWBFile
        metadata : Mapping, optional
            Filled from :meth:`get_metadata` where keys are missing.
        **options
            See :class:`LineScanOptions`.

        Returns
        -------
        pynwb.NWBFile
            The same.
        """
        self.count_from_start_of(nwbfile)
        chosen = self.parse_options(options)
        full = self.joined_metadata(nwbfile, metadata)
        stub = stub_of(chosen, "line")
        source = self if stub is None else self.with_extractor(FirstLines(self.extractor, stub))
        source.add_devices(nwbfile, full)
        source.add_line_scan(nwbfile, full, iterator_options=block_size(chosen.iterator_options))
        return nwbfile
