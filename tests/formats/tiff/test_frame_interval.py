"""Interval of frames that ImageJ states, compared with the rate that the user gives."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import tifffile

from nwb_ophys.errors import SourceArgumentError
from nwb_ophys.formats.tiff.interface import TiffImagingInterface

PIXELS = np.arange(6 * 4 * 5, dtype=np.uint16).reshape(6, 4, 5)


def _write(path, axes="TYX", pixels=PIXELS, **metadata):
    tifffile.imwrite(path, pixels, imagej=True, metadata={"axes": axes, **metadata})
    return path


def _opened(path, **source):
    with TiffImagingInterface(file_path=path, **{"sampling_frequency": 30.0, **source}) as found:
        assert found.extractor.get_sampling_frequency() == 30.0


@pytest.mark.parametrize(
    ("interval", "unit", "rate"),
    [
        (0.5, None, "2"),
        (0.04, "sec", "25"),
        (50.0, "ms", "20"),
        (500.0, r"\u00B5s", "2000"),
        (0.5, "min", "0.0333333"),
        (1.0, "hour", "0.000277778"),
    ],
)
def test_another_interval_is_named_with_both_rates(tmp_path, interval, unit, rate):
    more = {} if unit is None else {"tunit": unit}
    path = _write(tmp_path / "m.tif", finterval=interval, **more)
    message = (
        f"'{path}': sampling_frequency gives 30 Hz, which is used, but the file states {rate} Hz."
    )
    with pytest.warns(UserWarning, match="sampling_frequency gives") as notes:
        _opened(path)
    assert [str(note.message) for note in notes] == [message]


@pytest.mark.parametrize(
    "metadata",
    [
        {"finterval": 1 / 30},
        {"finterval": 100 / 3, "tunit": "ms"},
        {"finterval": 0.0333},
        {"finterval": 0.0},
        {"finterval": -2.0},
        {"finterval": float("nan")},
        {"finterval": float("inf")},
        {"finterval": 1e-300},
        {"finterval": 1e300},
        {"finterval": "wrong"},
        {"finterval": 2.0, "tunit": "frames"},
        {"fps": 7.0},
        {},
    ],
)
def test_an_equal_or_impossible_interval_is_not_mentioned(tmp_path, metadata):
    path = _write(tmp_path / "m.tif", **metadata)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _opened(path)


def test_the_interval_of_volumes_is_compared_with_their_rate(tmp_path):
    path = _write(tmp_path / "m.tif", "TZYX", PIXELS.reshape(3, 2, 4, 5), finterval=0.5)
    with pytest.warns(UserWarning, match="the file states 2 Hz"):
        _opened(path)


def test_an_interval_of_pages_is_not_compared_with_the_rate_of_volumes(tmp_path):
    lines = "ImageJ=1.53t\nimages=6\nslices=6\nfinterval=0.5\n"
    path = tmp_path / "m.tif"
    with tifffile.TiffWriter(path) as writer:
        for number, page in enumerate(PIXELS):
            description = lines if number == 0 else None
            writer.write(page, description=description, metadata=None, contiguous=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _opened(path, num_planes=2)
    with pytest.warns(UserWarning, match="the file states 2 Hz"):
        _opened(path)


def test_a_missing_rate_is_asked_for_with_the_one_that_is_stated(tmp_path):
    """Fault: the message says that no rate is stated."""
    path = _write(tmp_path / "m.tif", finterval=0.04)
    with pytest.raises(SourceArgumentError, match=r"needs .* states 25 Hz \(finterval\)"):
        TiffImagingInterface(path)
