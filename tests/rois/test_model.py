"""Tests of ROIs as one object, which reads each part of an extractor once for all writers."""

from __future__ import annotations

import datetime
from collections import Counter
from typing import Any

import numpy as np
import pytest
from pynwb import NWBHDF5IO, NWBFile
from roiextractors import SegmentationExtractor
from roiextractors.segmentationextractor import _RoiResponse

from nwb_ophys import tools
from nwb_ophys.errors import ArgumentError, SourceError
from nwb_ophys.extractors.arrays import ArraySegmentationExtractor
from nwb_ophys.formats.caiman.reader import CaimanExtractor
from nwb_ophys.iterators import RoiImageMaskIterator
from nwb_ophys.rois.model import Rois
from nwb_ophys.rois.pixel_lists import PixelLists
from nwb_ophys.rois.views import BackgroundComponents, FirstSamples, SelectedRois
from nwb_ophys.testing import simulate_recording, write_caiman

NUM_ROIS = 5
RECORDING = simulate_recording(num_samples=8, num_cells=NUM_ROIS)
TWO_TABLES = {
    "Ophys": {
        "ImageSegmentation": {
            "name": "ImageSegmentation",
            "plane_segmentations": [
                {"name": name, "description": "d", "imaging_plane": "ImagingPlane"}
                for name in ("Images", "Pixels")
            ],
        }
    },
}
# The methods that give a part of the segmentation as a whole.
ONCE = ("get_roi_ids", "get_background_ids", "get_traces_dict", "get_property_keys")


def new_file() -> NWBFile:
    start = datetime.datetime(2024, 5, 17, tzinfo=datetime.timezone.utc)
    return NWBFile(session_description="s", identifier="i", session_start_time=start)


class Foreign(SegmentationExtractor):
    """Extractor without code of this package, with images of few pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.images = np.moveaxis(RECORDING.image_masks(), 0, -1)
        self._roi_ids = list(range(NUM_ROIS))
        self._sampling_frequency = 30.0
        self._roi_responses = [_RoiResponse("raw", np.ones((8, NUM_ROIS)), self._roi_ids)]
        self.set_property("is_accepted", [True, False, True, True, False], self._roi_ids)
        self.set_property("size", np.arange(NUM_ROIS), self._roi_ids)

    def get_frame_shape(self) -> Any:
        return RECORDING.field_shape

    def get_roi_image_masks(self, roi_ids: Any = None) -> Any:
        return self.images[..., list(roi_ids)]

    def get_roi_pixel_masks(self, roi_ids: Any = None) -> Any:
        return [RECORDING.pixel_masks[roi_id] for roi_id in roi_ids]

    def get_native_timestamps(self, start_sample: Any = None, end_sample: Any = None) -> None:
        return None


def count_requests(kind: type, monkeypatch: pytest.MonkeyPatch) -> Counter[Any]:
    """Count the calls of methods of extractors, as a whole and for each ROI or property."""
    asked: Counter[Any] = Counter()

    def count(name: str) -> None:
        method = getattr(kind, name)

        def counting(self: Any, *args: Any, **options: Any) -> Any:
            (subject,) = (*args[:1], *options.values())[:1] or (None,)
            asked[name] += 1
            for one in subject if isinstance(subject, list) else [subject]:
                asked[name, one] += 1
            return method(self, *args, **options)

        monkeypatch.setattr(kind, name, counting)

    for name in dir(kind):
        if name.startswith("get_"):
            count(name)
    return asked


def convert(rois: Rois, nwbfile: NWBFile, path: Any) -> Any:
    """Write image masks, pixel masks, both with centroids, and traces; return the tables."""
    tools.add_plane_segmentation(rois, nwbfile, TWO_TABLES, "Images", mask_type="image")
    tools.add_plane_segmentation(rois, nwbfile, TWO_TABLES, "Pixels", mask_type="pixel")
    tools.add_fluorescence_traces(rois, nwbfile, TWO_TABLES, "Images")
    with NWBHDF5IO(str(path), "w") as io:
        io.write(nwbfile)
    with NWBHDF5IO(str(path), "r") as io:
        tables = io.read().processing["ophys"]["ImageSegmentation"].plane_segmentations
        return [table.to_dataframe() for table in (tables["Images"], tables["Pixels"])]


def test_one_conversion_asks_a_foreign_extractor_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    extractor = Foreign()
    asked = count_requests(Foreign, monkeypatch)
    images, pixels = convert(Rois.of(extractor), new_file(), tmp_path / "a.nwb")
    for roi_id in range(NUM_ROIS):
        assert asked["get_roi_image_masks", roi_id] == 1
        assert asked["get_roi_pixel_masks", roi_id] == 1
    assert asked["get_roi_image_masks"] == NUM_ROIS
    assert asked["get_roi_pixel_masks"] == 1
    for name in ONCE:
        assert asked[name] == 1
    for key in ("is_accepted", "size"):
        assert asked["get_property_info", key] == 1
    np.testing.assert_array_equal(
        np.stack(images["image_mask"]), RECORDING.image_masks().swapaxes(1, 2)
    )
    assert np.stack(images["ROICentroids"]).tolist() == np.stack(pixels["ROICentroids"]).tolist()
    assert images["Accepted"].tolist() == pixels["Accepted"].tolist() == [1, 0, 1, 1, 0]


def test_one_conversion_asks_a_source_of_pixels_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    extractor = CaimanExtractor(write_caiman(tmp_path / "a.hdf5", RECORDING))
    asked = count_requests(CaimanExtractor, monkeypatch)
    convert(Rois.of(extractor), new_file(), tmp_path / "a.nwb")
    assert [asked["get_ragged_pixels", roi_id] for roi_id in range(NUM_ROIS)] == [1] * NUM_ROIS
    assert asked["get_ragged_pixels"] == 1
    assert asked["get_roi_image_masks"] == asked["get_roi_pixel_masks"] == 0
    for name in ONCE:
        assert asked[name] <= 1 + (name == "get_roi_ids")  # its sampling rate needs them again


@pytest.mark.parametrize("mask_type", ["image", "pixel"])
def test_a_segmentation_with_background_is_asked_once(
    mask_type: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    extractor = CaimanExtractor(write_caiman(tmp_path / "a.hdf5", RECORDING))
    asked = count_requests(CaimanExtractor, monkeypatch)
    nwbfile = tools.add_segmentation(Rois.of(extractor), new_file(), mask_type=mask_type)
    tables = nwbfile.processing["ophys"]["ImageSegmentation"].plane_segmentations
    assert set(tables) == {"PlaneSegmentation", "BackgroundPlaneSegmentation"}
    ids = [*range(NUM_ROIS), "background0", "background1"]
    assert [asked["get_ragged_pixels", roi_id] for roi_id in ids] == [1] * len(ids)
    assert asked["get_ragged_pixels"] == 2


# --- parts of a whole ---------------------------------------------------------------------------


def test_rois_of_rois_are_the_same_object() -> None:
    rois = Rois.of(Foreign())
    assert Rois.of(rois) is rois
    assert len(rois) == NUM_ROIS
    assert rois.pixels is rois.pixels
    assert rois.images is rois.images


def test_a_part_asks_for_its_own_rois_only(monkeypatch: pytest.MonkeyPatch) -> None:
    extractor = Foreign()
    view = FirstSamples(SelectedRois(extractor, [3, 1]), 4)
    asked = count_requests(Foreign, monkeypatch)
    rois = Rois.of(view)
    assert rois.ids == [3, 1]
    assert rois.source is extractor
    assert rois.field_shape == RECORDING.field_shape[::-1]
    assert rois.image_centroids.tolist() == rois.pixel_centroids.tolist()
    assert {key for key in asked if isinstance(key, tuple) and "masks" in key[0]} == {
        (f"get_roi_{form}_masks", roi_id) for form in ("image", "pixel") for roi_id in (3, 1)
    }
    assert rois.accepted.tolist() == [True, False]
    assert rois.rejected.tolist() == [False, True]
    assert rois.properties["size"].values.tolist() == [3, 1]
    assert rois.traces["raw"].shape == (4, 2)
    assert rois.background_ids == []


def test_the_background_of_a_part(tmp_path: Any) -> None:
    extractor = CaimanExtractor(write_caiman(tmp_path / "a.hdf5", RECORDING))
    view = SelectedRois(FirstSamples(extractor, 3), [2, 0])
    for background in (Rois.of(view).background, Rois.of(BackgroundComponents(view))):
        assert background.ids == ["background0", "background1"]
        assert background.source is extractor
        assert background.traces["background"].shape == (3, 2)
        assert background.properties == {}
        assert background.accepted is background.rejected is None
        assert background.background_ids == background.background.ids == []
        expected = extractor.get_background_image_masks()
        np.testing.assert_array_equal(background.images.image(1), expected[..., 1].T)


def test_a_segmentation_without_rois() -> None:
    rois = Rois.of(ArraySegmentationExtractor(np.zeros((4, 7, 0)), {}))
    assert rois.images is rois.image_centroids is rois.pixel_centroids is None
    assert isinstance(rois.pixels, PixelLists)
    with pytest.raises(ArgumentError, match="no ROIs"):
        RoiImageMaskIterator(rois)


@pytest.mark.parametrize(
    ("stated", "accepted", "rejected"),
    [
        ({}, None, None),
        ({"is_accepted": [1, 0]}, [True, False], [False, True]),
        ({"iscell": [1, 0]}, [True, False], [False, True]),
        ({"is_rejected": [1, 0]}, [False, True], [True, False]),
        ({"is_accepted": [1, 0], "is_rejected": [0, 0]}, [True, False], [False, False]),
        ({"is_accepted": [1, 0], "iscell": [0, 0]}, [True, False], [False, True]),
    ],
)
def test_acceptance_and_rejection(stated: Any, accepted: Any, rejected: Any) -> None:
    extractor = ArraySegmentationExtractor(np.ones((4, 7, 2)), {})
    for key, values in stated.items():
        extractor.set_property(key, values, [0, 1])
    rois = Rois.of(extractor)
    for found, expected in ((rois.accepted, accepted), (rois.rejected, rejected)):
        assert (None if found is None else found.tolist()) == expected
    assert set(rois.properties) == set(stated) & {"iscell"} - {next(iter(stated), "")}


@pytest.mark.parametrize("key", ["is_accepted", "iscell", "is_rejected"])
@pytest.mark.parametrize("values", [[1, np.nan], [0.3, 0.9], ["True", "False"]])
def test_flags_that_are_no_truth_values_are_refused(key: str, values: Any) -> None:
    extractor = ArraySegmentationExtractor(np.ones((4, 7, 2)), {})
    extractor.set_property(key, values, [0, 1])
    with pytest.raises(SourceError, match=f"The property '{key}' of Array.* must be 0 or 1"):
        _ = Rois.of(extractor).rejected


@pytest.mark.parametrize("dtype", [bool, np.int8, float, object])
def test_flags_of_any_type(dtype: Any) -> None:
    extractor = ArraySegmentationExtractor(np.ones((4, 7, 2)), {})
    extractor.set_property("is_accepted", np.array([True, False], dtype), [0, 1])
    assert Rois.of(extractor).accepted.tolist() == [True, False]
