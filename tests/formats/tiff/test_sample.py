import sys

import numpy as np
import pytest
import tifffile

from nwb_ophys.errors import MissingPackageError
from nwb_ophys.testing import simulate_recording, write_tiff


@pytest.fixture(scope="module")
def movie():
    return simulate_recording(num_samples=6, dtype="uint16").movie


@pytest.fixture(scope="module")
def volume():
    return simulate_recording(num_samples=5, num_planes=3, dtype="uint16").movie


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"bigtiff": True}])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32"])
def test_one_page_per_frame(tmp_path, movie, options, dtype):
    path = write_tiff(tmp_path / "movie.tif", (movie // 16).astype(dtype), **options)
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == 6
        assert file.is_bigtiff is options.get("bigtiff", False)
        assert not file.is_imagej
        assert not file.is_shaped
        assert file.pages[0].compression.name in ("NONE", "ADOBE_DEFLATE")
        assert (file.pages[0].compression == 1) is ("compression" not in options)
        assert file.pages[0].photometric.name == "MINISBLACK"
        pages = np.stack([page.asarray() for page in file.pages])
    assert pages.dtype == dtype
    assert np.array_equal(pages, movie // 16)


def test_planes_follow_each_other(tmp_path, volume):
    path = write_tiff(str(tmp_path / "volume.tif"), volume)
    pages = tifffile.imread(path, key=range(15))
    assert np.array_equal(pages.reshape(5, 3, 48, 64), np.moveaxis(volume, 3, 1))


@pytest.mark.parametrize("num_samples", [3, 4])
def test_few_frames_are_not_taken_for_colours(tmp_path, movie, num_samples):
    path = write_tiff(tmp_path / "short.tif", movie[:num_samples])
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == num_samples
        assert file.pages[0].samplesperpixel == 1


def test_white_is_zero(tmp_path, movie):
    path = write_tiff(tmp_path / "inverted.tif", movie, photometric="miniswhite")
    with tifffile.TiffFile(path) as file:
        assert file.pages[0].photometric.name == "MINISWHITE"
    assert np.array_equal(tifffile.imread(path), movie)


def test_imagej_hyperstack(tmp_path, volume):
    path = write_tiff(tmp_path / "hyper.tif", volume, imagej=True, sampling_frequency=12.5)
    with tifffile.TiffFile(path) as file:
        assert file.is_imagej
        assert file.imagej_metadata["frames"] == 5
        assert file.imagej_metadata["slices"] == 3
        assert file.imagej_metadata["fps"] == 12.5
        assert file.imagej_metadata["finterval"] == pytest.approx(0.08)
        assert file.series[0].axes == "TZYX"
        assert np.array_equal(file.asarray(), np.moveaxis(volume, 3, 1))


def test_imagej_stack_of_one_plane(tmp_path, movie):
    path = write_tiff(tmp_path / "stack.tif", movie, imagej=True)
    with tifffile.TiffFile(path) as file:
        assert file.imagej_metadata["frames"] == 6
        assert "fps" not in file.imagej_metadata
        assert np.array_equal(file.asarray(), movie)


@pytest.mark.parametrize("name", ["movie", "volume"])
def test_roiextractors_reads_it(tmp_path, name, request):
    from roiextractors import MultiTIFFMultiPageExtractor

    movie = request.getfixturevalue(name)
    path = write_tiff(tmp_path / "movie.tif", movie)
    extractor = MultiTIFFMultiPageExtractor(
        [path],
        30.0,
        dimension_order="ZCT",
        num_channels=1,
        num_planes=movie.shape[3] if movie.ndim == 4 else 1,
    )
    assert np.array_equal(extractor.get_series(), movie)


@pytest.mark.parametrize("options", [{"bigtiff": True}, {"compression": "zlib"}])
def test_imagej_options_that_do_not_go_together(tmp_path, movie, options):
    with pytest.raises(ValueError, match="ImageJ reads neither"):
        write_tiff(tmp_path / "x.tif", movie, imagej=True, **options)


def test_plain_stack_has_no_place_for_the_rate(tmp_path, movie):
    with pytest.raises(ValueError, match="sampling_frequency has no place"):
        write_tiff(tmp_path / "x.tif", movie, sampling_frequency=30.0)


def test_wrong_number_of_axes(tmp_path, movie):
    with pytest.raises(ValueError, match="movie has 2 axes"):
        write_tiff(tmp_path / "x.tif", movie[0])


def test_without_tifffile(tmp_path, movie, monkeypatch):
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(MissingPackageError, match=r'pip install "nwb-ophys\[tiff\]"'):
        write_tiff(tmp_path / "x.tif", movie)
