"""Tests of summary images: names, orientation, and images that are written twice."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pynwb import NWBFile
from pynwb.base import Images
from pynwb.image import GrayscaleImage
from roiextractors.testing import generate_dummy_segmentation_extractor

from nwb_ophys import tools


def images_of(nwbfile: NWBFile, name: str = "SegmentationImages") -> Any:
    return nwbfile.processing["ophys"][name]


@pytest.mark.parametrize("given", [None, {}, {"Ophys": {}}])
def test_defaults(given: Any, segmentation: Any, nwbfile: NWBFile) -> None:
    tools.add_summary_images(nwbfile, segmentation, given)
    container = images_of(nwbfile)
    assert type(container) is Images
    assert container.description
    assert set(container.images) == {"mean", "correlation"}
    source = segmentation.get_images_dict()
    for name, image in container.images.items():
        assert type(image) is GrayscaleImage
        assert image.data.shape == (9, 7)
        for row in range(7):
            np.testing.assert_array_equal(image.data[:, row], source[name][row])


def test_round_trip(segmentation: Any, nwbfile: NWBFile, round_trip: Callable[..., Any]) -> None:
    tools.add_summary_images(nwbfile, segmentation)
    found = round_trip(nwbfile, lambda f: images_of(f)["mean"].data[:])
    np.testing.assert_array_equal(found, segmentation.get_image("mean").T)


def test_names_of_the_metadata_else_of_the_extractor(
    metadata: Any, segmentation: Any, nwbfile: NWBFile
) -> None:
    tools.add_summary_images(nwbfile, segmentation, metadata, plane_segmentation_name="Cells1")
    assert list(nwbfile.processing["ophys"].data_interfaces) == ["Pictures"]
    container = images_of(nwbfile, "Pictures")
    assert container.description == "pictures of the cells"
    assert set(container.images) == {"average", "correlation"}
    assert container["average"].description == "mean of it all"
    np.testing.assert_array_equal(container["average"].data, segmentation.get_image("mean").T)


def test_one_image_of_two(segmentation: Any, nwbfile: NWBFile) -> None:
    mean = segmentation.get_image("mean")
    segmentation.get_images_dict = lambda: {"mean": mean, "correlation": None}
    tools.add_summary_images(nwbfile, segmentation)
    assert list(images_of(nwbfile).images) == ["mean"]


@pytest.mark.parametrize("images", [{}, {"mean": None, "correlation": None}])
def test_no_images_nothing_made(images: Any, segmentation: Any, nwbfile: NWBFile) -> None:
    segmentation.get_images_dict = lambda: images
    assert tools.add_summary_images(nwbfile, segmentation) is nwbfile
    assert len(nwbfile.processing) == 0


def test_no_images_from_the_generator(nwbfile: NWBFile) -> None:
    extractor = generate_dummy_segmentation_extractor(has_summary_images=False)
    tools.add_summary_images(nwbfile, extractor)
    assert len(nwbfile.processing) == 0


def test_a_plane_that_the_metadata_lack(segmentation: Any, nwbfile: NWBFile) -> None:
    with pytest.raises(AssertionError, match="Missing") as caught:
        tools.add_summary_images(nwbfile, segmentation, plane_segmentation_name="Missing")
    assert "PlaneSegmentation" in str(caught.value)
    assert len(nwbfile.processing) == 0


def test_the_same_images_again(segmentation: Any, nwbfile: NWBFile) -> None:
    tools.add_summary_images(nwbfile, segmentation)
    first = dict(images_of(nwbfile).images)
    tools.add_summary_images(nwbfile, segmentation)
    assert dict(images_of(nwbfile).images) == first
    assert len(nwbfile.processing["ophys"].data_interfaces) == 1


def test_the_same_images_again_in_a_file(segmentation: Any, metadata: Any, tmp_path: Any) -> None:
    from pynwb import NWBHDF5IO

    path = tmp_path / "images.nwb"
    base = {"NWBFile": metadata["NWBFile"]}
    for _ in range(2):
        tools.write_segmentation(segmentation, path, metadata=base, verbose=False)
    with NWBHDF5IO(str(path), "r") as io:
        assert set(images_of(io.read()).images) == {"mean", "correlation"}


def other_images(segmentation: Any) -> Any:
    other = generate_dummy_segmentation_extractor(
        num_rois=5, num_rows=7, num_columns=9, num_samples=12, seed=1
    )
    assert not np.array_equal(other.get_image("mean"), segmentation.get_image("mean"))
    return other


def test_two_planes(metadata: Any, segmentation: Any, nwbfile: NWBFile) -> None:
    """The second correlation image has a default name, which the first one uses."""
    other = other_images(segmentation)
    for extractor, plane in ((segmentation, "Cells1"), (other, "Cells2")):
        tools.add_summary_images(nwbfile, extractor, metadata, plane_segmentation_name=plane)
    images = images_of(nwbfile, "Pictures").images
    assert set(images) == {"average", "correlation", "average2", "correlationCells2"}
    np.testing.assert_array_equal(images["average2"].data, other.get_image("mean").T)
    found = images["correlationCells2"].data
    np.testing.assert_array_equal(found, other.get_image("correlation").T)
    tools.add_summary_images(nwbfile, other, metadata, plane_segmentation_name="Cells2")
    assert len(images_of(nwbfile, "Pictures").images) == 4


def test_a_different_image_under_a_stated_name_is_not_dropped(
    metadata: Any, segmentation: Any, nwbfile: NWBFile
) -> None:
    metadata["Ophys"]["SegmentationImages"]["Cells2"]["mean"]["name"] = "average"
    tools.add_summary_images(nwbfile, segmentation, metadata, plane_segmentation_name="Cells1")
    with pytest.raises(ValueError, match="average"):
        tools.add_summary_images(
            nwbfile, other_images(segmentation), metadata, plane_segmentation_name="Cells2"
        )


def test_deprecated_name(metadata: Any, segmentation: Any, nwbfile: NWBFile) -> None:
    with pytest.warns(UserWarning, match="images_set_name") as caught:
        tools.add_summary_images(nwbfile, segmentation, metadata, images_set_name="Cells2")
    assert caught[0].filename == __file__
    assert "average2" in images_of(nwbfile, "Pictures").images


def test_the_same_image_with_nan_and_of_integers(segmentation: Any, nwbfile: NWBFile) -> None:
    images = {"mean": np.array([[1.0, np.nan]]), "count": np.array([[1, 2]], np.uint16)}
    segmentation.get_images_dict = lambda: images
    for _ in range(2):
        tools.add_summary_images(nwbfile, segmentation)
    assert set(images_of(nwbfile).images) == {"mean", "count"}
