"""Pictures of a recording before it is converted, and of the file that was written."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from nwb_ophys.errors import as_sentence
from nwb_ophys.opening import Recording, edited_metadata
from nwb_ophys.page.request import Request
from nwb_ophys.page.wording import page_lines
from nwb_ophys.reports.gathering import StatisticsGatherer
from nwb_ophys.reports.places import PAGE, check_packages, check_page, default_output
from nwb_ophys.reports.rendering import render_parts, render_report
from nwb_ophys.reports.report import gather_report
from nwb_ophys.storage.text_files import write_text

_MOST_SAMPLES = 200
_MOST_BYTES = 100_000_000
# The pictures do not show it.
_ANY_START = "1970-01-01T00:00:00+00:00"


def pictures_of(recording: Recording, settings: Mapping[str, str]) -> dict[str, Any]:
    """Return a page with images, outlines, traces and times of the first samples of a recording.

    The samples are written to a temporary file, as a conversion writes them.

    Parameters
    ----------
    recording : Recording
    settings : Mapping of str to str
        Values of metadata by dotted keys.

    Raises
    ------
    MissingPackageError
        If the extra ``report`` is not installed.
    """
    check_packages()
    number = num_samples_of(recording.converter.interfaces.values())
    converter = recording.converter
    options = {
        name: {**chosen, **_first(converter.interfaces[name], chosen, number)}
        for name, chosen in recording.conversion_options.items()
    }
    metadata = edited_metadata(converter, None, settings, options)
    if metadata["NWBFile"].get("session_start_time") is None:
        metadata["NWBFile"]["session_start_time"] = _ANY_START
    with tempfile.TemporaryDirectory(prefix="nwb-ophys-look-") as folder:
        path = Path(folder, "look.nwb")
        converter.run_conversion(
            path, metadata=metadata, progress=False, conversion_options=options
        )
        page = render_parts(gather_report(path))
    return {"html": page, "num_samples": number}


def num_samples_of(interfaces: Any) -> int:
    """Return the number of first samples that are read: 200, or fewer of large frames.

    Parameters
    ----------
    interfaces : iterable of interface
    """
    largest = 1
    for interface in interfaces:
        extractor = getattr(interface, "imaging_extractor", None)
        if extractor is not None:
            planes = extractor.get_num_planes() if extractor.is_volumetric else 1
            shape = (*extractor.get_image_shape(), planes)
            largest = max(largest, int(np.prod(shape)) * np.dtype(extractor.get_dtype()).itemsize)
    return int(min(max(_MOST_BYTES // largest, 1), _MOST_SAMPLES))


def _first(interface: Any, chosen: Mapping[str, Any], number: int) -> dict[str, int]:
    """Return the option that takes the first samples, if the interface has it."""
    names = {field.name for field in attrs.fields(interface.Options)}
    given = chosen.get("stub")
    if "stub" not in names or (isinstance(given, int) and given < number):
        return {}
    return {"stub": number}


class FileReport:
    """Report of a file that is about to be written; the statistics are gathered meanwhile.

    Parameters
    ----------
    request : Request
        With ``report``, the report is also written beside the file.

    Raises
    ------
    OutputExistsError, OutputError
        If a report cannot be written there.
    """

    def __init__(self, request: Request) -> None:
        self.observer = StatisticsGatherer()
        self._place = None
        if request.report:
            page = default_output(request.output)
            self._place = check_page(page, overwrite=request.overwrite)

    def made(self, path: Path) -> dict[str, Any]:
        """Return the report as a page, or the reason for which there is none."""
        try:
            check_packages()
            page = render_report(gather_report(path, gatherer=self.observer))
            if self._place is not None:
                write_text(self._place, page, replaces=PAGE)
        except Exception as error:  # the file is written, whatever becomes of its pictures
            reason = " ".join(page_lines(error) or [as_sentence(error)])
            return {"html": "", "unreported": reason, "report": None}
        return {"html": page, "unreported": "", "report": self._place and str(self._place)}
