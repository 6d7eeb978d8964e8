"""Facts of movies in several files: stated only where all files agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nwb_ophys
from nwb_ophys import testing

_MOVIE = np.arange(6 * 12 * 16, dtype="i2").reshape(6, 12, 16)


def _replace(path: Path, old: bytes, new: bytes, start: int = 0) -> None:
    content = path.read_bytes()
    assert len(old) == len(new)
    assert old in content[start:]
    path.write_bytes(content[:start] + content[start:].replace(old, new))


def _ophys(interface: Any) -> tuple[Any, Any]:
    ophys = interface.get_metadata()["Ophys"]
    (series,) = ophys.get("TwoPhotonSeries") or ophys["OnePhotonSeries"]
    return ophys["ImagingPlane"][0], series


def test_scanimage(tmp_path):
    paths = testing.write_scanimage(
        tmp_path / "a", _MOVIE, frames_per_file=2, pmt_gains=(0.625, 0, 0, 0), line_period=1e-4
    )
    plane, series = _ophys(nwb_ophys.ScanImageImagingInterface(paths[0]))
    assert (series["pmt_gain"], len(paths)) == (0.625, 3)
    _replace(paths[1], b"0.625", b"0.875")
    with pytest.warns(UserWarning, match=r"PMT gains \(\[0\.625\] in .*, \[0\.875\] in"):
        interface = nwb_ophys.ScanImageImagingInterface(paths[0])
    changed_plane, changed = _ophys(interface)
    assert "pmt_gain" not in changed
    assert changed["scan_line_rate"] == series["scan_line_rate"]
    assert changed_plane == plane


def test_scanimage_files_of_other_rates_have_the_times_of_their_frames(tmp_path):
    paths = testing.write_scanimage(tmp_path / "a", _MOVIE, frames_per_file=3)
    (rate,) = {
        line
        for line in paths[1].read_bytes().split(b"\n")
        if line.startswith(b"SI.hRoiManager.scanFrameRate = ")
    }
    other = rate.replace(b"3", b"2", 1)
    assert other != rate
    _replace(paths[1], rate, other)
    with pytest.warns(UserWarning, match="frame rate"):
        interface = nwb_ophys.ScanImageImagingInterface(paths[0])
    assert "imaging_rate" not in _ophys(interface)[0]
    assert len(interface.get_timestamps()) == 6


def test_metamorph(tmp_path):
    sizes = {"a_t1.stk": 0.65, "a_t2.stk": 0.325}
    for number, (name, size) in enumerate(sizes.items()):
        testing.write_metamorph(
            tmp_path / name,
            _MOVIE[:2].astype("u2"),
            pixel_size_um=size,
            z_step_um=2.0,
            created=[number, number],
        )
    with pytest.warns(UserWarning, match="pixel size .*6.5e-07.*3.25e-07"):
        plane, _ = _ophys(
            nwb_ophys.MetaMorphImagingInterface([tmp_path / name for name in sizes], planes="z")
        )
    assert "grid_spacing" not in plane


def test_ndtiff(tmp_path):
    folder = testing.write_ndtiff(
        tmp_path / "a", _MOVIE.astype("u2"), frame={"Exposure-ms": 12.5, "Binning": "1"}
    )
    assert _ophys(nwb_ophys.NDTiffImagingInterface(folder))[1]["exposure_time"] == 0.0125
    (file,) = folder.glob("*.tif")
    _replace(file, b"12.5", b"25.0", start=file.read_bytes().rindex(b"12.5"))
    with pytest.warns(UserWarning, match=r"Exposure-ms \(12\.5 in 'frame 0', 25 in 'frame 5'\)"):
        interface = nwb_ophys.NDTiffImagingInterface(folder)
    series = _ophys(interface)[1]
    assert "exposure_time" not in series
    assert series["binning"] == 1


def test_micromanager(tmp_path):
    (path,) = testing.write_micromanager(tmp_path / "a", _MOVIE.astype("u2"), exposure_ms=12.5)
    assert _ophys(nwb_ophys.MicroManagerImagingInterface(path))[1]["exposure_time"] == 0.0125
    _replace(path, b"12.5", b"25.0", start=path.read_bytes().rindex(b'"Exposure-ms"'))
    with pytest.warns(UserWarning, match=r"Exposure-ms \(12\.5 in 'frame 0', 25 in 'frame 5'\)"):
        series = _ophys(nwb_ophys.MicroManagerImagingInterface(path))[1]
    assert "exposure_time" not in series
