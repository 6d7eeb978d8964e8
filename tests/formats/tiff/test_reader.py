"""Tests of TIFF stacks: samples equal to tifffile's, axes, and errors."""

import math
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nwb_ophys.errors import CorruptSourceError, SourceArgumentError, SourceError
from nwb_ophys.filetypes.tiff import reader as tiff_reader
from nwb_ophys.formats.tiff.reader import TiffStackExtractor, tiff_layout


def movie(*shape: int, dtype: str = "uint16") -> np.ndarray:
    values = np.random.default_rng(1).integers(0, 200, shape)
    return values.astype(dtype)


def write_pages(path: Path, pages: np.ndarray, **options: Any) -> None:
    """Write pages that say nothing about axes."""
    tifffile.imwrite(path, pages, metadata=None, photometric="minisblack", **options)


def keep_first_directory(path: Path, num_bytes: int) -> None:
    """Remove all but the first page directory, as in ImageJ's files of more than 4 GB."""
    with tifffile.TiffFile(path) as tiff:
        page: Any = tiff.pages[0]
        next_offset = page.offset + 2 + 12 * len(page.tags)
        end = page.dataoffsets[0] + num_bytes
    data = bytearray(path.read_bytes()[:end])
    data[next_offset : next_offset + 4] = bytes(4)
    path.write_bytes(data)


def write_part(path: Path, pages: np.ndarray, **encoding: Any) -> None:
    """Write pages one by one, in the stated encoding."""
    file_options = {key: encoding.pop(key, None) for key in ("bigtiff", "byteorder")}
    file_options["bigtiff"] = bool(file_options["bigtiff"])
    if encoding.keys().isdisjoint({"compression", "tile"}):
        encoding.setdefault("contiguous", True)
    with tifffile.TiffWriter(path, **file_options) as writer:
        for page in pages:
            writer.write(page, metadata=None, photometric="minisblack", **encoding)


ENCODINGS: list[dict[str, Any]] = [
    {},
    {"bigtiff": True},
    {"byteorder": ">"},
    {"rowsperstrip": 2},
    {"contiguous": False},
    {"compression": "zlib"},
    {"compression": "lzw", "rowsperstrip": 3},
    {"compression": "zstd", "predictor": True, "bigtiff": True},
    {"compression": "packbits"},
    {"tile": (16, 16), "compression": "zlib"},
    {"tile": (16, 32)},
]


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    sizes=st.fixed_dictionaries({"C": st.integers(1, 3), "Z": st.integers(1, 3)}),
    num_samples=st.integers(1, 6),
    frame=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    dtype=st.sampled_from(["uint8", "int16", "uint16", "int32", "float32"]),
    order=st.permutations("CZT").map("".join),
    encoding=st.sampled_from(ENCODINGS),
    num_files=st.integers(1, 3),
    data=st.data(),
)
def test_equals_tifffile(
    tmp_path: Path,
    sizes: dict[str, int],
    num_samples: int,
    frame: tuple[int, int],
    dtype: str,
    order: str,
    encoding: dict[str, Any],
    num_files: int,
    data: st.DataObject,
) -> None:
    lengths = sizes | {"T": num_samples}
    pages = movie(*(lengths[axis] for axis in reversed(order)), *frame, dtype=dtype)
    flat = pages.reshape(-1, *frame)
    paths = []
    for index, part in enumerate(np.array_split(flat, min(num_files, len(flat)))):
        paths.append(tmp_path / f"part{index}.tif")
        write_part(paths[-1], part, **encoding)
    read = np.concatenate([tifffile.imread(path, key=slice(None)) for path in paths], axis=None)
    np.testing.assert_array_equal(read, flat.reshape(-1))
    positions = [order[::-1].index(axis) for axis in "CTZ"]
    by_axis = read.reshape(pages.shape).transpose(*positions, 3, 4)

    channel = data.draw(st.integers(0, sizes["C"] - 1))
    start = data.draw(st.integers(0, num_samples))
    end = data.draw(st.integers(start, num_samples))
    with TiffStackExtractor(
        paths,
        30.0,
        dimension_order=order,
        num_channels=sizes["C"],
        num_planes=sizes["Z"],
        channel_index=channel,
    ) as extractor:
        series = extractor.get_series(start, end)
        expected = by_axis[channel, start:end]
        expected = expected.transpose(0, 2, 3, 1) if sizes["Z"] > 1 else expected[:, 0]
        np.testing.assert_array_equal(series, expected)
        assert series.dtype == extractor.get_dtype() == np.dtype(dtype)
        assert extractor.is_volumetric == (sizes["Z"] > 1)
        assert extractor.get_num_samples() == num_samples
        assert extractor.get_image_shape() == frame
        assert extractor.get_sample_shape() == series.shape[1:]


@pytest.mark.parametrize(
    "options",
    [
        {"imagej": True, "metadata": {"axes": "TZCYX"}},
        {"imagej": True, "metadata": {"axes": "TZCYX"}, "byteorder": "<"},
        {"ome": True, "metadata": {"axes": "TZCYX"}, "photometric": "minisblack"},
        {"metadata": {"axes": "TZCYX"}, "photometric": "minisblack"},
        {"metadata": {"axes": "TZCYX"}, "photometric": "minisblack", "compression": "zlib"},
    ],
    ids=["imagej", "imagej_little", "ome", "shaped", "shaped_zlib"],
)
@pytest.mark.parametrize("shape", [(4, 3, 2), (4, 1, 2), (4, 3, 1), (1, 3, 2), (5, 1, 1)])
def test_stated_axes_are_used(
    tmp_path: Path, options: dict[str, Any], shape: tuple[int, int, int]
) -> None:
    path = tmp_path / "stated.tif"
    frames = movie(*shape, 6, 7)
    tifffile.imwrite(path, frames, **options)
    layout = tiff_layout(path)
    assert (layout.num_samples, layout.num_planes, layout.num_channels) == shape
    assert (layout.num_pages, layout.rows, layout.columns) == (math.prod(shape), 6, 7)
    assert layout.dtype == np.uint16
    for channel in range(shape[2]):
        series = TiffStackExtractor([path, path], 10.0, channel_index=channel).get_series()
        expected = np.concatenate([frames[:, :, channel]] * 2)
        expected = expected.transpose(0, 2, 3, 1) if shape[1] > 1 else expected[:, 0]
        np.testing.assert_array_equal(series, expected)


@pytest.mark.parametrize("axes", ["ZTCYX", "CZTYX", "TCZYX", "CTZYX"])
@pytest.mark.parametrize("ome", [False, True])
def test_stated_axes_of_other_orders(tmp_path: Path, axes: str, ome: bool) -> None:
    path = tmp_path / "stated.tif"
    frames = movie(2, 3, 4, 5, 6)
    tifffile.imwrite(path, frames, ome=ome, metadata={"axes": axes}, photometric="minisblack")
    expected = frames.transpose(*(axes.index(axis) for axis in "CTYXZ"))
    extractor = TiffStackExtractor(path, 1.0, channel_index=1)
    np.testing.assert_array_equal(extractor.get_series(), expected[1])
    assert tiff_layout(path).axes == axes


def test_imagej_order_and_single_directory(tmp_path: Path) -> None:
    frames = movie(4, 3, 2, 5, 6)
    path = tmp_path / "hyperstack.tif"
    tifffile.imwrite(path, frames, imagej=True)
    keep_first_directory(path, frames.nbytes)
    with tifffile.TiffFile(path) as tiff:
        assert len(tiff.pages) == 1
    extractor = TiffStackExtractor(path, 1.0, channel_index=1)
    np.testing.assert_array_equal(
        extractor.get_series(), tifffile.imread(path)[:, :, 1].transpose(0, 2, 3, 1)
    )
    np.testing.assert_array_equal(extractor.get_series(), frames[:, :, 1].transpose(0, 2, 3, 1))
    description = (
        "ImageJ=1.54\nimages=24\nchannels=2\nslices=3\nframes=4\nhyperstack=true\norder=zct\n"
    )
    write_pages(path, frames.reshape(24, 5, 6), description=description)
    series = TiffStackExtractor(path, 1.0, channel_index=1).get_series()
    expected = frames.reshape(4, 2, 3, 5, 6)[:, 1].transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(series, expected)


def test_shaped_file_with_one_directory(tmp_path: Path) -> None:
    path = tmp_path / "truncated.tif"
    frames = movie(4, 3, 5, 6)
    with tifffile.TiffWriter(path) as writer:
        writer.write(frames, metadata={"axes": "TZYX", "truncate": True}, photometric="minisblack")
    keep_first_directory(path, frames.nbytes)
    np.testing.assert_array_equal(tifffile.imread(path), frames)
    series = TiffStackExtractor(path, 1.0).get_series()
    np.testing.assert_array_equal(series, frames.transpose(0, 2, 3, 1))


def test_imagej_stack_that_is_no_hyperstack_is_a_series(tmp_path: Path) -> None:
    # ImageJ calls the images of any plain stack slices, also those of a movie.
    path = tmp_path / "stack.tif"
    description = "ImageJ=1.51h\nimages=6\nslices=6\nloop=false\n"
    write_pages(path, movie(6, 5, 4), description=description)
    assert tiff_layout(path).axes == "IYX"
    assert TiffStackExtractor(path, 1.0).get_series().shape == (6, 5, 4)
    assert TiffStackExtractor(path, 1.0, num_planes=3).get_series().shape == (2, 5, 4, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_channels": 3}, "2 channels .*num_channels is 3"),
        ({"num_planes": 1}, "3 planes .*num_planes is 1"),
        ({"dimension_order": "ZCT"}, "dimension_order is ZCT"),
    ],
)
def test_arguments_that_contradict_the_file(
    tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    path = tmp_path / "stated.tif"
    tifffile.imwrite(path, movie(4, 3, 2, 5, 6), imagej=True)
    with pytest.raises(SourceError, match=message):
        TiffStackExtractor(path, 1.0, **arguments)
    agreeing: dict[str, Any] = {"num_channels": 2, "num_planes": 3, "dimension_order": "CZT"}
    assert TiffStackExtractor(path, 1.0, **agreeing).get_num_samples() == 4


def test_page_count_that_is_no_multiple(tmp_path: Path) -> None:
    path = tmp_path / "movie.tif"
    write_pages(path, movie(11, 4, 5))
    with pytest.raises(SourceError, match=r"11 pages.* 2 channels x 3 planes = 6.*5 pages are"):
        TiffStackExtractor(path, 1.0, num_channels=2, num_planes=3)


@pytest.mark.parametrize("rate", [0, -1.0, float("nan"), float("inf"), "30", None, True])
def test_sampling_frequency_must_be_a_rate(tmp_path: Path, rate: Any) -> None:
    path = tmp_path / "movie.tif"
    write_pages(path, movie(2, 4, 5))
    with pytest.raises(SourceArgumentError, match="sampling_frequency"):
        TiffStackExtractor(path, rate)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channel_index": 2, "num_channels": 2}, "channel_index is 2; it must be from 0 to 1"),
        ({"channel_index": -1}, "channel_index is -1"),
        ({"channel_index": 0.0}, "channel_index must be an int"),
        ({"plane_index": 3, "num_planes": 3}, "plane_index is 3"),
        ({"num_planes": 0}, "num_planes is 0"),
        ({"num_planes": 1.0}, "num_planes is 1.0"),
        ({"num_channels": True}, "num_channels"),
        ({"dimension_order": "CZ"}, "dimension_order"),
        ({"dimension_order": "CCT"}, "dimension_order"),
        ({"dimension_order": 3}, "dimension_order"),
    ],
)
def test_wrong_arguments(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    path = tmp_path / "movie.tif"
    write_pages(path, movie(6, 4, 5))
    with pytest.raises(SourceArgumentError, match=message):
        TiffStackExtractor(path, 1.0, **arguments)


def test_no_files() -> None:
    with pytest.raises(SourceArgumentError, match="file_paths is empty"):
        TiffStackExtractor([], 1.0)


def test_plane_index_gives_a_planar_recording(tmp_path: Path) -> None:
    path = tmp_path / "movie.tif"
    frames = movie(6, 4, 5)
    write_pages(path, frames)
    extractor = TiffStackExtractor(path, 1.0, num_planes=3, plane_index=2)
    np.testing.assert_array_equal(extractor.get_series(), frames[2::3])
    assert not extractor.is_volumetric
    with pytest.raises(NotImplementedError):
        extractor.get_num_planes()
    assert extractor.get_native_timestamps() is None
    assert TiffStackExtractor(path, 1.0, num_planes=3).get_num_planes() == 3


def test_files_that_differ_are_named(tmp_path: Path) -> None:
    first, second = tmp_path / "first.tif", tmp_path / "second.tif"
    write_pages(first, movie(2, 4, 5))
    for other in (movie(2, 4, 6), movie(2, 4, 5, dtype="int16")):
        write_pages(second, other)
        with pytest.raises(SourceError, match=r"second\.tif has pages of shape"):
            TiffStackExtractor([first, second], 1.0)
    tifffile.imwrite(second, movie(2, 4, 5), imagej=True)
    with pytest.raises(SourceError, match=r"second\.tif states the axes"):
        TiffStackExtractor([first, second], 1.0)


def test_files_of_one_sample_may_lack_time(tmp_path: Path) -> None:
    paths = [tmp_path / "first.tif", tmp_path / "second.tif"]
    frames = movie(4, 3, 4, 5)
    tifffile.imwrite(paths[0], frames[:3], imagej=True, metadata={"axes": "TZYX"})
    tifffile.imwrite(paths[1], frames[3], imagej=True, metadata={"axes": "ZYX"})
    series = TiffStackExtractor(paths, 1.0).get_series()
    np.testing.assert_array_equal(series, frames.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("metadata", [{"axes": "TRYX"}, {"axes": "ZYX"}])
def test_unclear_axes_need_both_numbers(tmp_path: Path, metadata: dict[str, str]) -> None:
    path = tmp_path / "unclear.tif"
    frames = movie(2, 3, 5, 6)
    with tifffile.TiffWriter(path) as writer:
        for part in frames if metadata["axes"] == "ZYX" else [frames]:
            writer.write(part, metadata=metadata, contiguous=False, photometric="minisblack")
    with pytest.raises(SourceError, match=r"states.*Give num_channels and num_planes"):
        TiffStackExtractor(path, 1.0)
    series = TiffStackExtractor(path, 1.0, num_channels=1, num_planes=3).get_series()
    np.testing.assert_array_equal(series, frames.transpose(0, 2, 3, 1))


def test_unnamed_axes_are_time(tmp_path: Path) -> None:
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, movie(4, 2, 5, 6), metadata={"axes": "QCYX"}, photometric="minisblack")
    assert tiff_layout(path).axes == "TCYX"
    # tifffile changed the order of its keys in 2025.
    description = '{"axes": "TZYX", "shape": [2, 4, 5, 6]}'
    write_pages(path, movie(8, 5, 6), description=description)
    assert tiff_layout(path).axes == "TZYX"
    for description in ('{"shape": [7, 7]}', '{"shape": "?"}', '{"shape": [4, 5, 6]'):
        write_pages(path, movie(4, 5, 6), description=description)
        assert tiff_layout(path).axes == "IYX"


def test_an_array_of_several_axes_without_names(tmp_path: Path) -> None:
    """Fault: planes or channels were read as samples, 12 here."""
    path, frames = tmp_path / "movie.tif", movie(4, 3, 5, 6)
    tifffile.imwrite(path, frames, photometric="minisblack")
    with pytest.raises(SourceError, match=r"shape \[4, 3, 5, 6\] without names of its axes"):
        TiffStackExtractor(path, 1.0)
    series = TiffStackExtractor(path, 1.0, num_channels=1, num_planes=3).get_series()
    np.testing.assert_array_equal(series, frames.transpose(0, 2, 3, 1))
    series = TiffStackExtractor(path, 1.0, num_channels=1, num_planes=1).get_series()
    np.testing.assert_array_equal(series, frames.reshape(12, 5, 6))
    for shape in ((4, 1, 5, 6), (1, 4, 5, 6)):
        tifffile.imwrite(path, movie(*shape), photometric="minisblack")
        assert TiffStackExtractor(path, 1.0).get_num_samples() == 4


OME = (
    '<?xml version="1.0"?><OME xmlns="o"><Image><Pixels DimensionOrder="{order}" '
    'SizeC="1" SizeZ="{planes}" SizeT="2">{data}</Pixels></Image>{more}</OME>'
)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (OME.format(order="XYCZT", planes=9, data="", more=""), "18 planes and the file has 6"),
        (
            OME.format(order="XYCZT", planes=3, data='<TiffData IFD="1" FirstT="1"/>', more=""),
            "out of the stated order",
        ),
        (OME.format(order="XYCZT", planes=3, data="", more="<Pixels/>"), "describes 2 images"),
        (OME.format(order="XYCZ", planes=3, data="", more=""), "dimension order 'ZC'"),
        (OME.format(order="XYCZT", planes="three", data="", more=""), "lacks sizes or order"),
        ("<OME><broken></OME>", "cannot be parsed"),
    ],
)
def test_ome_that_does_not_describe_this_file(
    tmp_path: Path, description: str, message: str
) -> None:
    path = tmp_path / "movie.ome.tif"
    write_pages(path, movie(6, 4, 5), description=description)
    with pytest.raises(SourceError, match=message):
        tiff_layout(path)
    assert tiff_layout(path, num_channels=1, num_planes=3).num_samples == 2


def test_ome_with_tiff_data_in_order(tmp_path: Path) -> None:
    path = tmp_path / "movie.ome.tif"
    data = '<TiffData/><TiffData IFD="4" FirstZ="1" FirstT="1"/><Plane/>'
    description = OME.format(order="XYCZT", planes=3, data=data, more="")
    write_pages(path, movie(6, 4, 5), description=description)
    assert tiff_layout(path).axes == "TZYX"


def test_stated_images_that_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "removed.tif"
    description = "ImageJ=1.54\nimages=9\nframes=9\nhyperstack=true\n"
    write_pages(path, movie(6, 4, 5), description=description)
    with pytest.raises(CorruptSourceError, match=r"states 9 images.*6 of 9 pages"):
        tiff_layout(path)


def test_imagej_states_fewer_images_than_pages(tmp_path: Path) -> None:
    path = tmp_path / "appended.tif"
    write_pages(path, movie(6, 4, 5), description="ImageJ=1.54\nframes=3\nhyperstack=true\n")
    with pytest.raises(SourceError, match=r"states 3 images, but has more\. Give num_channels"):
        tiff_layout(path)
    # MATLAB and others append pages without telling.
    write_pages(path, movie(6, 4, 5), description="ImageJ=1.54\nimages=1\nhyperstack=true\n")
    assert tiff_layout(path).num_samples == 6


@pytest.mark.parametrize("bounds", [(-1, 2), (0, 4), (3, 2)])
def test_samples_outside_of_the_recording(tmp_path: Path, bounds: tuple[int, int]) -> None:
    path = tmp_path / "movie.tif"
    write_pages(path, movie(3, 4, 5))
    with pytest.raises(SourceArgumentError, match="samples 0 to 3"):
        TiffStackExtractor(path, 1.0).get_series(*bounds)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
def test_closing_and_reading_after(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "movie.tif"
    frames = movie(3, 4, 5)
    write_pages(path, frames, **options)
    extractor = TiffStackExtractor(path, 1.0)
    series = extractor.get_series(0, 2)
    extractor.close()
    extractor.close()
    series += 1  # a copy of its own
    np.testing.assert_array_equal(series, frames[:2] + 1)
    with pytest.raises(SourceError, match="was closed"):
        extractor.get_series()


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
def test_many_files_with_few_handles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    monkeypatch.setattr(tiff_reader, "MAXIMAL_OPEN_FILES", 3)
    frames = movie(20, 4, 5)
    paths = [tmp_path / f"{index}.tif" for index in range(10)]
    for index, path in enumerate(paths):
        write_pages(path, frames[2 * index : 2 * index + 2], **options)
    folder = Path("/proc/self/fd")
    before = len(list(folder.iterdir())) if folder.is_dir() else 0
    with TiffStackExtractor(paths, 1.0) as extractor:
        np.testing.assert_array_equal(extractor.get_series(), frames)
        np.testing.assert_array_equal(extractor.get_series(3, 9), frames[3:9])
        if folder.is_dir():
            assert len(list(folder.iterdir())) <= before + 3
    if folder.is_dir():
        assert len(list(folder.iterdir())) == before


@pytest.mark.parametrize("options", [{}, {"compression": "lzw"}])
def test_threads_read_the_same(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "movie.tif"
    frames = movie(64, 32, 32)
    write_pages(path, frames, **options)
    wrong: list[int] = []
    with TiffStackExtractor(path, 1.0) as extractor:

        def read(thread: int) -> None:
            for start in range(thread, 60, 4):
                if not np.array_equal(
                    extractor.get_series(start, start + 4), frames[start : start + 4]
                ):
                    wrong.append(start)

        threads = [threading.Thread(target=read, args=(index,)) for index in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_pages_encoded_differently(tmp_path: Path) -> None:
    path = tmp_path / "mixed.tif"
    frames = movie(4, 8, 6)
    with tifffile.TiffWriter(path) as writer:
        for index, frame in enumerate(frames):
            writer.write(
                frame, metadata=None, compression="zlib", rowsperstrip=index + 1, contiguous=False
            )
    np.testing.assert_array_equal(TiffStackExtractor(path, 1.0).get_series(), frames)


def test_bits_that_are_no_bytes(tmp_path: Path) -> None:
    path = tmp_path / "mask.tif"
    frames = movie(3, 8, 11) > 100
    tifffile.imwrite(path, frames, metadata=None, photometric="minisblack")
    extractor = TiffStackExtractor(path, 1.0)
    np.testing.assert_array_equal(extractor.get_series(), frames)
    assert extractor.get_dtype() == np.bool_


def test_damaged_and_shortened_after_opening(tmp_path: Path) -> None:
    path = tmp_path / "movie.tif"
    write_pages(path, movie(3, 40, 50), compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages[1].dataoffsets[0]
    data = bytearray(path.read_bytes())
    data[start : start + 20] = b"?" * 20
    path.write_bytes(data)
    with pytest.raises(CorruptSourceError, match="pages 0 to 2 cannot be decoded"):
        TiffStackExtractor(path, 1.0).get_series()

    write_pages(path, movie(3, 40, 50))
    extractor = TiffStackExtractor(path, 1.0)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CorruptSourceError, match="Do not change a recording"):
        extractor.get_series()


def test_more_pages_than_sixteen_bits_count(tmp_path: Path) -> None:
    path = tmp_path / "long.tif"
    frames = np.repeat(np.arange(70_000, dtype=np.uint32), 4).reshape(-1, 2, 2)
    write_pages(path, frames)
    with TiffStackExtractor(path, 1.0, num_channels=2, channel_index=1) as extractor:
        assert extractor.get_num_samples() == 35_000
        series = extractor.get_series(32_760, 32_780)
        np.testing.assert_array_equal(series, frames[65_521:65_561:2])
        np.testing.assert_array_equal(extractor.get_series(34_999, 35_000), frames[-1:])


def test_real_recordings(data_folder: Path) -> None:
    folder = data_folder / "tiff"
    # ImageJ wrote the second file, with an interval of 0.100013 s.
    rates = {"neurofinder_crop_101x256x256.tif": 7.5, "video-gcamp.tif": 10.0}
    for name, rate in rates.items():
        expected = tifffile.imread(folder / name)
        extractor = TiffStackExtractor(folder / name, rate)
        np.testing.assert_array_equal(extractor.get_series(), expected)
        np.testing.assert_array_equal(extractor.get_series(3, 9), expected[3:9])
    paths = sorted((folder / "zebrafish_two_planes").glob("*.tif"))
    expected = np.stack([tifffile.imread(path) for path in paths]).transpose(0, 2, 3, 1)
    extractor = TiffStackExtractor(paths, 1.0, num_planes=2)
    np.testing.assert_array_equal(extractor.get_series(), expected)


STACK = np.arange(9 * 4 * 5, dtype="uint16").reshape(9, 4, 5)


@pytest.mark.parametrize(
    "how",
    [
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"imagej": True},
        {"photometric": "minisblack", "metadata": {"axes": "ZYX"}},
        {"photometric": "minisblack", "metadata": {"axes": "CYX"}},
    ],
)
def test_a_movie_that_was_saved_as_planes_or_channels(tmp_path, how):
    """Fault: it was one volume, or a series for each frame, and nothing could be said of it."""
    tifffile.imwrite(tmp_path / "a.tif", STACK, **how)
    given = {"num_channels": 1} if "C" in str(how) or "metadata" not in how else {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        extractor = TiffStackExtractor(tmp_path / "a.tif", 10.0, num_planes=1, **given)
    np.testing.assert_array_equal(extractor.get_series(), STACK)
    if "metadata" not in how:
        with pytest.raises(SourceError, match="9 channels and one frame, which may be frames"):
            TiffStackExtractor(tmp_path / "a.tif", 10.0)
        return
    name = "channels" if given else "planes"
    with pytest.warns(UserWarning, match=rf"9 {name} and one sample.* give num_{name}=1"):
        TiffStackExtractor(tmp_path / "a.tif", 10.0)


@pytest.mark.parametrize(("axes", "given"), [("ZC", {}), ("CZ", {"num_channels": 2})])
def test_channels_of_a_movie_that_was_saved_as_planes(tmp_path, axes, given):
    """Fault: num_planes=1, which the warning gives, was refused for a file with channels."""
    movie = np.arange(9 * 2 * 4 * 5, dtype=np.uint16).reshape(9, 2, 4, 5)
    stored = movie if axes == "ZC" else movie.swapaxes(0, 1)
    how = {"photometric": "minisblack", "metadata": {"axes": f"{axes}YX"}}
    tifffile.imwrite(tmp_path / "a.tif", stored, **how)
    with pytest.warns(UserWarning, match="9 planes and one sample.* give num_planes=1"):
        TiffStackExtractor(tmp_path / "a.tif", 10.0)
    with warnings.catch_warnings():  # the user is sure that they are planes
        warnings.simplefilter("error")
        assert TiffStackExtractor(tmp_path / "a.tif", 10.0, num_planes=9).get_num_samples() == 1
    tifffile.imwrite(tmp_path / "b.tif", stored + 500, **how)
    for channel in (0, 1):
        extractor = TiffStackExtractor(
            [tmp_path / "a.tif", tmp_path / "b.tif"],
            10.0,
            num_planes=1,
            channel_index=channel,
            **given,
        )
        expected = np.concatenate([movie[:, channel], movie[:, channel] + 500])
        np.testing.assert_array_equal(extractor.get_series(), expected)


def test_files_of_one_sample_and_of_more_keep_their_planes(tmp_path):
    """Planes are frames in all files of a movie, or in none of them."""
    for name, samples in (("a", 1), ("b", 2)):
        values = np.zeros((samples, 9, 4, 5), np.uint16)
        tifffile.imwrite(tmp_path / f"{name}.tif", values, imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(SourceError, match=r"9 planes.*but num_planes is 1"):
        TiffStackExtractor([tmp_path / "a.tif", tmp_path / "b.tif"], 10.0, num_planes=1)
