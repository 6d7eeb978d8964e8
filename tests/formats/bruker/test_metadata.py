"""Settings that change within a recording of Prairie View."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import nwb_ophys
from nwb_ophys.formats.bruker.metadata import session_start
from nwb_ophys.testing import write_bruker

_MOVIE = np.arange(6 * 12 * 16, dtype="u2").reshape(6, 12, 16)
_VOLUMES = np.arange(3 * 12 * 16 * 2, dtype="u2").reshape(3, 12, 16, 2)


def _set(folder: Path, shards: dict[int, str]) -> None:
    """Put settings into some frames of the XML file, by their number from 0."""
    (path,) = folder.glob("*.xml")
    parts = re.split(r"(?=<Frame )", path.read_text())
    for number, shard in shards.items():
        head, rest = parts[number + 1].split(">", 1)
        frame = f"{head}><PVStateShard>{shard}</PVStateShard>{rest}"
        parts[number + 1] = frame
    path.write_text("".join(parts))


def _indexed(key: str, value: str, index: str = "0") -> str:
    inner = f'<IndexedValue index="{index}" value="{value}" />'
    return f'<PVStateValue key="{key}">{inner}</PVStateValue>'


def _described(folder: Path, **source: Any) -> Any:
    interface = nwb_ophys.BrukerImagingInterface(folder, **source)
    ophys = interface.get_metadata()["Ophys"]
    return ophys["ImagingPlane"][0], ophys["TwoPhotonSeries"][0]


def test_a_gain_that_changes_within_a_recording_is_left_out_with_a_note(tmp_path):
    folder = write_bruker(tmp_path / "a", _MOVIE)
    before = _described(folder)[1]
    channel = str(nwb_ophys.BrukerImagingInterface(folder).extractor.channel - 1)
    changed = _indexed("pmtGain", "123.5", channel)
    _set(folder, {4: changed, 5: changed})
    assert before["pmt_gain"] not in (None, 123.5)
    words = f"pmtGain {channel} \\({before['pmt_gain']:g} in 'sample 0', 123.5 in 'sample 4'\\)"
    with pytest.warns(UserWarning, match=words):
        after = _described(folder)[1]
    assert "pmt_gain" not in after
    assert after["scan_line_rate"] == before["scan_line_rate"]


def test_the_wavelength_and_the_size_of_pixels_too(tmp_path):
    folder = write_bruker(tmp_path / "a", _MOVIE)
    before = _described(folder)[0]
    changed = _indexed("laserWavelength", "1040") + _indexed("micronsPerPixel", "9", "XAxis")
    _set(folder, {3: changed})
    assert before["excitation_lambda"] != 1040
    with pytest.warns(UserWarning, match="laserWavelength 0.*1040.*micronsPerPixel XAxis"):
        after = _described(folder)[0]
    assert np.isnan(after["excitation_lambda"])
    assert "grid_spacing" not in after
    assert "grid_spacing" in before


def test_a_power_of_each_plane_is_that_of_the_plane(tmp_path):
    folder = write_bruker(tmp_path / "a", _VOLUMES)
    before = _described(folder, plane_index=0)[1]["comments"]
    _set(folder, {number: _indexed("laserPower", "77") for number in (1, 3, 5)})
    assert ", 77 by plane" in _described(folder)[1]["comments"]
    assert ": 77)" in _described(folder, plane_index=1)[1]["comments"]
    assert _described(folder, plane_index=0)[1]["comments"] == before


def test_a_power_that_changes_in_time_is_left_out_with_a_note(tmp_path):
    folder = write_bruker(tmp_path / "a", _VOLUMES)
    _set(folder, {3: _indexed("laserPower", "77")})
    with pytest.warns(UserWarning, match="laserPower 0 .* 77 in 'plane 1 of sample 1'"):
        series = _described(folder)[1]
    assert "laser power" not in series["comments"]
    assert "laser power" in _described(folder, plane_index=0)[1]["comments"]


@pytest.mark.parametrize(
    ("date", "written", "expected"),
    [
        ("3/11/2022 1:05:09 PM", "2022:11:03 13:06:00", "2022-11-03T13:05:09"),  # Australia
        ("3/11/2022 1:05:09 PM", "2022:03:11 13:06:00", "2022-03-11T13:05:09"),
        ("3/11/2022 1:05:09 PM", "2022:12:01 08:00:00", "2022-03-11T13:05:09"),
        ("3/11/2022 1:05:09 PM", "", "2022-03-11T13:05:09"),
        ("25/11/2022 1:05:09 PM", "", "2022-11-25T13:05:09"),
        ("2022-11-03 1:05:09 PM", "", "2022-11-03T13:05:09"),  # Canada
        ("3/11/2022 13:05:09", "", None),
    ],
)
def test_days_before_months_on_a_clock_of_twelve_hours(tmp_path, date, written, expected):
    image = tmp_path / "image.tif"
    tifffile.imwrite(image, _MOVIE[0], metadata=None, datetime=written or None)
    start = session_start(date, image)
    assert (start and start.isoformat()) == expected
