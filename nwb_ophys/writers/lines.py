"""Add line scans as series of lines over time; the pixels are read when the file is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from pynwb import NWBFile, TimeSeries

from nwb_ophys.extractors.labels import extractor_label
from nwb_ophys.extractors.lines import LineScanExtractor
from nwb_ophys.iterators import LineScanDataChunkIterator
from nwb_ophys.metadata import models, parse_model
from nwb_ophys.timing import clock_of
from nwb_ophys.writers.compression import compressed
from nwb_ophys.writers.devices import add_imaging_plane
from nwb_ophys.writers.images import add_images
from nwb_ophys.writers.series import time_fields
from nwb_ophys.writers.session import check_name_is_free, ophys_module

_CONTAINER = "processing/ophys"


def add_line_scan(
    line_scan: LineScanExtractor,
    nwbfile: NWBFile,
    metadata: Mapping[str, Any],
    line_scan_index: int = 0,
    iterator_options: dict[str, Any] | None = None,
) -> NWBFile:
    """Add a line scan as a ``TimeSeries`` of (lines, pixels) to the processing module ``ophys``.

    Parameters
    ----------
    line_scan : LineScanExtractor
        The images on which the line was drawn, where there are any, are added beside the series.
    nwbfile : pynwb.NWBFile
    metadata : Mapping
        Complete metadata; ``metadata["Ophys"]["LineScan"][line_scan_index]`` describes the series,
        the entry of the same index in ``Images`` the images.
    line_scan_index : int
    iterator_options : dict, optional
        Arguments of the iterator.

    Returns
    -------
    pynwb.NWBFile
        The same file.

    Raises
    ------
    ValueError
        When the file has an object of the name already, or the metadata is wrong.
    """
    path = f'metadata["Ophys"]["LineScan"][{line_scan_index}]'
    model = parse_model(models.LineScan, metadata["Ophys"]["LineScan"][line_scan_index], path)
    check_name_is_free(nwbfile, model.name, _CONTAINER)
    clock = clock_of(line_scan, model.rate, model.starting_time, label=extractor_label(line_scan))
    add_imaging_plane(nwbfile, metadata, imaging_plane_name=model.imaging_plane)
    fields = attrs.asdict(model, filter=lambda _, value: value is not None) | time_fields(clock)
    # A TimeSeries has no link to an imaging plane.
    place = f"Imaging plane: {fields.pop('imaging_plane')}."
    fields["comments"] = " ".join(filter(None, [place, model.comments]))
    data = LineScanDataChunkIterator(line_scan, **(iterator_options or {}))
    ophys_module(nwbfile).add(TimeSeries(**fields, data=compressed(data)))
    images = line_scan.source_images()
    if images:
        transposed = {name: pixels.T for name, pixels in images.items()}
        add_images(nwbfile, metadata, transposed, line_scan_index, _CONTAINER)
    return nwbfile
