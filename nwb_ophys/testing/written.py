"""Comparison of a file with the data of its source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pynwb.ophys import OnePhotonSeries, TwoPhotonSeries

from nwb_ophys.dtypes import stored_dtype
from nwb_ophys.rois.model import Rois

if TYPE_CHECKING:
    from pynwb import NWBFile


def check_movie(nwbfile: NWBFile, interface: Any, num_samples: int) -> None:
    """Compare the only movie of a file with its source, sample by sample.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    interface : ImagingInterface
    num_samples : int
        Expected number of samples, starting with the first.

    Raises
    ------
    AssertionError
        If they differ.
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
        f"The file has data of shape {found} (time, columns, rows), but {num_samples} samples of "
        f"the source have shape {expected.shape}."
    )
    is_same = np.array_equal(series.data[:], expected, equal_nan=expected.dtype.kind == "f")
    assert is_same, "The pixels in the file differ from the pixels of the source."
    stated = np.dtype(extractor.get_dtype())
    assert series.data.dtype == stored_dtype(stated, "The movie"), (
        f"get_dtype() returns {stated}, but the pixels are {series.data.dtype}."
    )
    _check_times(series, interface, num_samples)
    assert series.imaging_plane.device is not None


def check_rois(nwbfile: NWBFile, interface: Any, num_samples: int) -> None:
    """Compare the ROIs and traces of a file with their source.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    interface : SegmentationInterface
    num_samples : int
        Expected number of samples, starting with the first.

    Raises
    ------
    AssertionError
        If they differ.
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
        assert same, f"The trace '{name}' of the source is not in the file."
        _check_times(same[0], interface, num_samples)


def _check_times(series: Any, interface: Any, num_samples: int) -> None:
    """Compare the times within 1 µs, the tolerance of a constant rate."""
    assert series.data.shape[0] == num_samples
    times = series.timestamps
    if times is None:
        times = series.starting_time + np.arange(num_samples) / series.rate
    expected = np.asarray(interface.get_timestamps())[:num_samples]
    np.testing.assert_allclose(np.asarray(times[:]), expected, rtol=0, atol=1e-6)
