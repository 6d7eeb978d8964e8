"""Averaged frames, line scans, and inputs of other devices in headers of ScanImage."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import nwb_ophys
from nwb_ophys.testing import write_scanimage, write_scanimage_old


@pytest.mark.parametrize("version", ["4.2", "5.0"])
@pytest.mark.parametrize(
    "settings", [{}, {"acqNumAveragedFrames": "1", "acqNumAveragedFramesSaved": "4"}]
)
def test_the_rate_is_that_of_the_saved_frames(tmp_path, version, settings):
    movie = np.arange(4 * 12 * 16, dtype="i2").reshape(4, 12, 16)
    path = write_scanimage_old(
        tmp_path / "a.tif",
        movie,
        version=version,
        sampling_frequency=7.5,
        average_factor=4,
        settings=settings,
    )
    interface = nwb_ophys.ScanImageImagingInterface(path)
    ophys = interface.get_metadata()["Ophys"]
    assert interface.extractor.get_sampling_frequency() == pytest.approx(7.5)
    assert ophys["ImagingPlane"][0]["imaging_rate"] == pytest.approx(7.5)
    assert ophys["TwoPhotonSeries"][0]["comments"] == "Each frame is the average of 4 frames."


@pytest.mark.parametrize(("divides", "kind"), [("false", "average"), ("true", "sum")])
def test_frames_that_were_added_are_called_a_sum(tmp_path, divides, kind):
    movie = np.arange(4 * 12 * 16, dtype="i2").reshape(4, 12, 16)
    path = write_scanimage_old(
        tmp_path / "a.tif",
        movie,
        version="2015",
        average_factor=4,
        settings={"scanimage.SI.hScan2D.logAverageDisableDivide": divides},
    )
    series = nwb_ophys.ScanImageImagingInterface(path).get_metadata()["Ophys"]["TwoPhotonSeries"]
    assert series[0]["comments"] == f"Each frame is the {kind} of 4 frames."


@pytest.mark.parametrize("version", ["4.2", "5.0", "2015"])
@pytest.mark.parametrize("multiplier", ["0", "1"])
def test_a_line_scan_causes_a_warning(tmp_path, recwarn, version, multiplier):
    movie = np.arange(4 * 12 * 16, dtype="i2").reshape(4, 12, 16)
    prefix = {"4.2": "scanimage.SI4.", "5.0": "scanimage.SI5."}.get(
        version, "scanimage.SI.hRoiManager."
    )
    path = write_scanimage_old(
        tmp_path / "a.tif",
        movie,
        version=version,
        settings={f"{prefix}scanAngleMultiplierSlow": multiplier},
    )
    nwb_ophys.ScanImageImagingInterface(path).close()
    found = [str(each.message) for each in recwarn if "line scan" in str(each.message)]
    assert len(found) == (multiplier == "0")


def test_a_field_without_height_states_no_pixel_size(tmp_path):
    """The rows of a line scan are at one place."""
    (path,) = write_scanimage(tmp_path / "a.tif", np.zeros((3, 12, 16), "i2"))
    content = path.read_bytes()
    begin = content.index(b"SI.hRoiManager.imagingFovUm = ")
    end = content.index(b"\n", begin)
    flat = b"SI.hRoiManager.imagingFovUm = [-5 0;5 0;5 0;-5 0]"
    path.write_bytes(content[:begin] + flat.ljust(end - begin) + content[end:])
    plane = nwb_ophys.ScanImageImagingInterface(path).get_metadata()["Ophys"]["ImagingPlane"][0]
    assert "grid_spacing" not in plane


def test_inputs_of_other_devices_are_named(tmp_path):
    (path,) = write_scanimage(tmp_path / "a.tif", np.zeros((3, 12, 16), "i2"))
    interface = nwb_ophys.ScanImageImagingInterface(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        interface.extractor.get_native_timestamps()
    content = path.read_bytes()
    empty, last = b"auxTrigger1 = []", content.rindex(b"auxTrigger1 = []")
    content = content[:last] + b"auxTrigger1 = [0.0712]" + content[last + len(empty) :]
    length = content.rindex(b"I2CData = {}") + len(b"I2CData = {}")
    path.write_bytes(content[:length] + content[length + 6 :])
    interface = nwb_ophys.ScanImageImagingInterface(path)
    with pytest.warns(UserWarning, match=r"other devices \(auxTrigger1\), on page 2 first"):
        interface.extractor.get_native_timestamps()
