"""Tests of the notes on descriptions of traces and images that a recording does not have."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from nwb_ophys import NumpySegmentationInterface

MASKS = np.eye(2, 12 * 14, dtype="float32").reshape(2, 12, 14).transpose(1, 2, 0)
NO_EFFECT = "It has no effect"


def _interface():
    return NumpySegmentationInterface(MASKS, 30.0, raw=np.ones((5, 2)))


def _prepare(ophys):
    session = {"session_start_time": "2024-05-17T14:30:00+02:00"}
    with _interface() as interface:
        return interface.prepare({"NWBFile": session, "Ophys": ophys})


def test_a_trace_that_is_not_there_is_named():
    given = {"Fluorescence": {"PlaneSegmentation": {"neuropil": {"name": "Neuropil"}}}}
    with pytest.warns(
        UserWarning, match=r'\["neuropil"\] is not in the recording, which has'
    ) as found:
        _prepare(given)
    assert found[0].message.args[0].endswith("which has 'raw'. It has no effect.")


def test_a_plane_segmentation_that_is_not_there_is_named():
    given = {"Fluorescence": {"PlaneSegmentation7": {"raw": {"name": "Raw"}}}}
    expected = r'\["PlaneSegmentation7"\] is of a plane segmentation that is not there'
    with pytest.warns(UserWarning, match=expected):
        _prepare(given)


def test_a_renamed_plane_segmentation_may_be_described():
    given = {
        "ImageSegmentation": {
            "plane_segmentations": [{"name": "Mine", "imaging_plane": "ImagingPlane"}]
        },
        "Fluorescence": {"Mine": {"raw": {"name": "Raw"}}},
    }
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=NO_EFFECT)
        _prepare(given)
