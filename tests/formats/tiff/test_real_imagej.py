"""Tests of real ImageJ files: a hyperstack behind one page directory, and colour images."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from nwb_ophys import TiffImagingInterface
from nwb_ophys.errors import SourceError

_DATA = Path(os.environ.get("NWB_OPHYS_TEST_DATA", "../shared/data")) / "scanimage_nansen"
HYPERSTACK = _DATA / "TS_UnitTestImage_ImageJ_BigStack_8frames.tif"
COLOUR = _DATA / "TS_UnitTestImage.tif"

pytestmark = pytest.mark.skipif(not _DATA.is_dir(), reason="the real recordings are not here")


def test_a_hyperstack_is_a_stream_of_volumes_per_channel():
    expected = tifffile.imread(HYPERSTACK)  # time, plane, channel, row, column
    assert expected.shape == (2, 2, 2, 65, 128)
    streams = TiffImagingInterface.streams(HYPERSTACK, sampling_frequency=10.0)
    assert list(streams) == ["channel0", "channel1"]
    for number, arguments in enumerate(streams.values()):
        found = TiffImagingInterface(**arguments).extractor.get_series()
        np.testing.assert_array_equal(found, expected[:, :, number].transpose(0, 2, 3, 1))
    planes = TiffImagingInterface.streams(HYPERSTACK, as_volume=False, sampling_frequency=10.0)
    found = [TiffImagingInterface(**own).extractor.get_series() for own in planes.values()]
    every = expected.transpose(2, 1, 0, 3, 4).reshape(4, 2, 65, 128)
    np.testing.assert_array_equal(np.array(found), every)


def test_colour_images_are_refused_in_plain_words():
    with pytest.raises(SourceError, match=r"3 samples per pixel .a colour image, such as RGB"):
        TiffImagingInterface.streams(COLOUR, sampling_frequency=10.0)
