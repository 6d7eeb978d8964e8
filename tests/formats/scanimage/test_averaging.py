"""Averaged frames in headers of ScanImage 4 and 5, which name their number in two ways."""

from __future__ import annotations

import numpy as np
import pytest

import nwb_ophys
from nwb_ophys.testing import write_scanimage_old


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
