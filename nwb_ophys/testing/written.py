"""Comparison of a file with what its source gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from pynwb import NWBFile
from pynwb.ophys import OnePhotonSeries, TwoPhotonSeries

from nwb_ophys.rois.model import Rois


def check_movie(nwbfile: NWBFile, interface: Any, num_samples: int) -> None:
    """Check the one movie of a file against its source, sample for sample.

    Raises
    ------
    AssertionError
    """
    kinds = (TwoPhotonSeries, OnePhotonSeries)
    places = [nwbfile.acquisition]
    if "ophys" in nwbfile.processing:
        places.append(nwbfile.processing["ophys"].data_interfaces)
    (series,) = [each for place in places for each in place.values() if isinstance(each, kinds)]
    extractor = interface.extractor
    expected = np.asarray(extractor.get_series(0, num_samples)).swapaxes(1, 2)
    found = series.data.shape
    assert found == expected.shape, (
        f"The file has data of shape {found} (time, columns, rows), the source gives "
        f"{expected.shape} for {num_samples} samples."
    )
    is_same = np.array_equal(series.data[:], expected, equal_nan=expected.dtype.kind == "f")
    assert is_same, "The pixels in the file are not the source's."
    stated = np.dtype(extractor.get_dtype())
    assert series.data.dtype == stated, (
        f"get_dtype() says {stated}, but the pixels are of {series.data.dtype}."
    )
    _check_times(series, interface, num_samples)
    assert series.imaging_plane.device is not None


def check_rois(nwbfile: NWBFile, interface: Any, num_samples: int) -> None:
    """Check the ROIs and traces of a file against their source.

    Raises
    ------
    AssertionError
    """
    extractor = interface.extractor
    module = nwbfile.processing["ophys"]
    name = interface.get_metadata()["Ophys"]["ImageSegmentation"]["plane_segmentations"][0]["name"]
    table = module["ImageSegmentation"][name]
    ids = list(extractor.get_roi_ids())
    assert len(table) == len(ids)
    for position, roi_id in enumerate(ids):
        mask = np.squeeze(np.asarray(extractor.get_roi_image_masks(roi_ids=[roi_id])))
        np.testing.assert_array_equal(table["image_mask"][position], np.swapaxes(mask, 0, 1))
    found: list[Any] = []
    for container in ("Fluorescence", "DfOverF"):
        if container in module.data_interfaces:
            found += module[container].roi_response_series.values()
    series = [each for each in found if each.rois.table is table]
    for name, trace in Rois.of(extractor).traces.items():
        values = np.asarray(trace)[:num_samples]
        same = [each for each in series if np.array_equal(each.data[:], values)]
        assert same, f"the trace {name} of the source is in the file"
        _check_times(same[0], interface, num_samples)


def _check_times(series: Any, interface: Any, num_samples: int) -> None:
    """Check the clock within what a constant rate may differ by, 1 µs."""
    assert series.data.shape[0] == num_samples
    times = series.timestamps
    if times is None:
        times = series.starting_time + np.arange(num_samples) / series.rate
    expected = np.asarray(interface.get_timestamps())[:num_samples]
    np.testing.assert_allclose(np.asarray(times[:]), expected, rtol=0, atol=1e-6)
