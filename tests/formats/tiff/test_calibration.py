"""Calibrations of values that TIFF files of ImageJ state."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile

import nwb_ophys

_STORED = (np.arange(5 * 6 * 8) * 37).reshape(5, 6, 8).astype("u2")
_START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}


def _write(path: Path, *lines: str, pixels: Any = _STORED) -> Path:
    text = "\n".join(["ImageJ=1.53t", f"images={len(pixels)}", f"frames={len(pixels)}", *lines, ""])
    tifffile.imwrite(path, pixels, description=text, metadata=None, software=None)
    return path


def _series(paths: Any, folder: Path) -> dict[str, Any]:
    interface = nwb_ophys.TiffImagingInterface(file_path=paths, sampling_frequency=10.0)
    interface.run_conversion(folder / "out.nwb", metadata=_START, progress=False)
    with h5py.File(folder / "out.nwb") as file:
        data = file["acquisition/TwoPhotonSeries/data"]
        return {"pixels": np.swapaxes(data[()], 1, 2), **data.attrs}


@pytest.mark.parametrize(("offset", "factor"), [(-32768.0, 1.0), (-500.25, 0.125), (0.0, 2.5)])
def test_a_straight_line_becomes_conversion_and_offset(tmp_path, offset, factor):
    lines = ("cf=0", f"c0={offset}", f"c1={factor}", "vunit=Gray Value")
    found = _series(_write(tmp_path / "a.tif", *lines), tmp_path)
    np.testing.assert_array_equal(found["pixels"], tifffile.imread(tmp_path / "a.tif"))
    assert found["pixels"].dtype == np.uint16
    assert (found["conversion"], found["offset"]) == (np.float32(factor), np.float32(offset))
    assert found["unit"] == "n.a."


def test_the_unit_of_the_values_is_stated(tmp_path):
    found = _series(_write(tmp_path / "a.tif", "cf=0", "c0=1", "c1=2", "vunit=mV"), tmp_path)
    assert (found["unit"], found["conversion"], found["offset"]) == ("mV", 2, 1)


def test_coefficients_without_a_function_are_a_straight_line(tmp_path):
    found = _series(_write(tmp_path / "a.tif", "c0=-10", "c1=3"), tmp_path)
    assert (found["conversion"], found["offset"]) == (3, -10)


@pytest.mark.parametrize("lines", [(), ("cf=20",), ("unit=micron", "finterval=0"), ("cf=x",)])
def test_without_a_calibration_the_numbers_are_the_values(tmp_path, lines):
    found = _series(_write(tmp_path / "a.tif", *lines), tmp_path)
    assert (found["conversion"], found["offset"], found["unit"]) == (1, 0, "n.a.")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("cf=4", "c0=1", "c1=2"), r"not linear, which NWB cannot hold: exponential \(cf=4\)"),
        (("cf=21",), "uncalibrated optical density"),
        (("cf=0", "c0=1", "c1=0"), "factor 0 and the offset 1, which cannot be right"),
        (("cf=0", "c0=nan", "c1=1"), "offset nan"),
        (("cf=0", "c0=4"), "without both c0 and c1"),
    ],
)
def test_what_cannot_be_written_is_said(tmp_path, lines, words):
    _write(tmp_path / "a.tif", *lines)
    with pytest.warns(UserWarning, match=f"a.tif.*{words}"):
        found = _series(tmp_path / "a.tif", tmp_path)
    assert (found["conversion"], found["offset"]) == (1, 0)


def test_pixels_that_imagej_does_not_calibrate_keep_their_numbers(tmp_path):
    _write(tmp_path / "a.tif", "cf=0", "c0=5", "c1=2", pixels=_STORED.astype("f4"))
    with pytest.warns(UserWarning, match="its pixels are float32"):
        assert _series(tmp_path / "a.tif", tmp_path)["offset"] == 0


def test_files_that_differ_have_no_common_calibration(tmp_path):
    paths = [
        _write(tmp_path / f"a_{index}.tif", "cf=0", f"c0={index}", "c1=1") for index in range(2)
    ]
    with pytest.warns(UserWarning, match=r"a_0.tif' and .*a_1.tif' state different calibrations"):
        found = _series(paths, tmp_path)
    assert (found["conversion"], found["offset"], len(found["pixels"])) == (1, 0, 10)
    same = [_write(tmp_path / f"b_{index}.tif", "cf=0", "c0=7", "c1=1") for index in range(2)]
    (tmp_path / "out.nwb").unlink()
    assert _series(same, tmp_path)["offset"] == 7


def test_the_functional_interface_writes_it_too(tmp_path):
    from nwb_ophys.tools import write_imaging

    _write(tmp_path / "a.tif", "cf=0", "c0=-32768.0", "c1=1.0")
    interface = nwb_ophys.TiffImagingInterface(
        file_path=tmp_path / "a.tif", sampling_frequency=10.0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nwbfile = write_imaging(interface.extractor, metadata=_START, verbose=False)
    series = nwbfile.acquisition["TwoPhotonSeries"]
    assert (series.conversion, series.offset) == (1.0, -32768.0)
