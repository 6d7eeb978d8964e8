"""Read the texts of newer files of MetaMorph (MetaSeries), which have no private tags.

Each page has a text ``<MetaData>`` with lines ``<prop id="z-position" type="float" value="2.5"/>``.
Milliseconds of times have no leading zeros: ``09:49:43.66`` is 66 ms after the second.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nwb_ophys.filetypes.tiff.checks import inspect_tiff
from nwb_ophys.filetypes.tiff.heading import TiffHeading
from nwb_ophys.formats.metamorph.tags import DAY_MS, MetaMorphTags, in_metres
from nwb_ophys.metadata import possible_number

_SOFTWARE, _MARK = "MetaSeries", "<MetaData>"
# Screens of plates are no recordings over time.
_OTHER_PROGRAM = 'value="MetaXpress'
_PROPERTY = re.compile(r'<prop\s+id="([^"]+)"\s+type="[^"]*"\s+value="([^"]*)"')
_TIME = re.compile(r"(\d{8} \d{1,2}:\d{2}:\d{2})(?:\.(\d{1,3}))?$")


def is_metaseries(heading: TiffHeading) -> bool:
    """Return whether MetaMorph wrote a file, and states its pages as texts."""
    start = heading.description[:4096]
    is_ours = heading.software.startswith(_SOFTWARE) and start.lstrip().startswith(_MARK)
    return is_ours and _OTHER_PROGRAM not in start


def read_texts(path: Path) -> MetaMorphTags:
    """Return what the texts of all pages of a file state."""
    table = inspect_tiff(path, reads_axes=False, allow_truncated=True).table
    texts = table.read_descriptions(np.arange(table.num_pages, dtype=np.int64))
    pages = [dict(_PROPERTY.findall(text.decode("utf-8", "replace"))) for text in texts]
    heights = [possible_number(page.get("z-position"), least=-1e6) or 0.0 for page in pages]
    waves = np.array([possible_number(page.get("wavelength"), most=1e5) or 0 for page in pages])
    return MetaMorphTags(
        num_planes=len(pages),
        distances=_distances(np.array(heights)),
        created=np.array([_created(page.get("acquisition-time-local", "")) for page in pages]),
        wavelengths=waves if waves.any() else np.zeros(0),
        pixel_size=_pixel_size(pages[0], path),
    )


def _distances(heights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the distances of planes in z; zeros if the heights drift instead of stepping."""
    steps = np.diff(heights)
    is_stepped = len(steps) and np.allclose(steps, np.median(steps), rtol=0.2)
    return np.append(0.0, steps if is_stepped else np.zeros(len(steps)))


def _created(text: str) -> float:
    """Return a time in ms since the day before 0001-01-01; NaN if it is not stated."""
    found = _TIME.match(text.strip())
    try:
        moment = datetime.strptime(found[1], "%Y%m%d %H:%M:%S") if found else None
    except ValueError:
        moment = None
    if found is None or moment is None:
        return float("nan")
    since_midnight = moment - datetime.combine(moment.date(), datetime.min.time())
    elapsed = since_midnight / timedelta(milliseconds=1) + int(found[2] or 0)
    return float(moment.toordinal() * DAY_MS + elapsed)


def _pixel_size(page: Mapping[str, str], path: Path) -> tuple[float, float] | None:
    """Return the size of a pixel along x and y in metres, if it is stated in a unit of length."""
    x, y = (possible_number(page.get(f"spatial-calibration-{axis}")) for axis in "xy")
    is_on = page.get("spatial-calibration-state", "on") in ("on", "1", "true")
    units = page.get("spatial-calibration-units", "")
    return in_metres(x, y, units, path) if x and y and is_on else None
