"""Tests of the reader of OME-TIFF against tifffile, with files of both writers."""

from __future__ import annotations

import warnings
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
import tifffile

from nwb_ophys.errors import (
    CorruptSourceError,
    SourceArgumentError,
    SourceError,
    SourceNotFoundError,
)
from nwb_ophys.filetypes.ome import xml
from nwb_ophys.filetypes.ome.times import mean_rate
from nwb_ophys.filetypes.ome.xml import parse_ome_xml
from nwb_ophys.formats.ome_tiff.reader import OmeTiffExtractor
from nwb_ophys.formats.tiff.reader import TiffStackExtractor
from nwb_ophys.testing import write_ome_tiff, write_tiff

ORDERS = ["XYCZT", "XYCTZ", "XYZCT", "XYZTC", "XYTCZ", "XYTZC"]


@pytest.fixture
def channels() -> dict[str, np.ndarray]:
    """Two channels of 6 volumes of 3 planes; every pixel is different."""
    whole = np.arange(2 * 6 * 5 * 7 * 3, dtype="uint16").reshape(2, 6, 5, 7, 3)
    return {"Red": whole[0], "Green": whole[1]}


@pytest.fixture
def movie() -> np.ndarray:
    return np.arange(6 * 5 * 7, dtype="uint16").reshape(6, 5, 7)


def _change(path: Path, old: str, new: str) -> None:
    """Change the text of a file, of which the length stays the same."""
    content = path.read_bytes()
    assert old.encode() in content
    path.write_bytes(content.replace(old.encode(), new.encode().ljust(len(old.encode()))))


# --- which page is which plane ----------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("num_files", [1, 4])
def test_every_order_of_pages(tmp_path, channels, order, num_files):
    paths = write_ome_tiff(tmp_path, channels, dimension_order=order, num_files=num_files)
    with tifffile.TiffFile(paths[0]) as tiff:
        (series,) = tiff.series
        independent = series.asarray()
        axes = series.axes
    independent = independent.transpose([axes.index(axis) for axis in "CTYXZ"])
    # Any file of the recording is a way to all of it.
    for path in (paths[0], paths[-1]):
        for number, (name, expected) in enumerate(channels.items()):
            with OmeTiffExtractor(path, name) as extractor:
                np.testing.assert_array_equal(extractor.get_series(), expected)
                np.testing.assert_array_equal(extractor.get_series(), independent[number])
                np.testing.assert_array_equal(extractor.get_series(2, 5), expected[2:5])
                assert extractor.get_series(4, 4).shape == (0, 5, 7, 3)
                assert extractor.get_num_planes() == 3
            with OmeTiffExtractor(path, name, plane_index=1) as extractor:
                np.testing.assert_array_equal(extractor.get_series(1), expected[1:, :, :, 1])


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_file_that_tifffile_wrote(tmp_path, channels, compression):
    data = np.stack(list(channels.values())).transpose(1, 4, 0, 2, 3)
    path = tmp_path / "a.ome.tif"
    metadata = {
        "axes": "TZCYX",
        "Channel": {"Name": ["Red", "Green"]},
        "TimeIncrement": 0.25,
        "TimeIncrementUnit": "s",
        "PhysicalSizeX": 0.5,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": 0.75,
        "PhysicalSizeYUnit": "µm",
    }
    tifffile.imwrite(path, data, metadata=metadata, compression=compression)
    for name, expected in channels.items():
        with OmeTiffExtractor(path, name) as extractor:
            np.testing.assert_array_equal(extractor.get_series(), expected)
            assert extractor.get_sampling_frequency() == 4.0
            assert extractor.image.spacing[:2] == pytest.approx((5e-7, 7.5e-7))


def test_several_images_in_one_file(tmp_path, movie):
    paths = write_ome_tiff(tmp_path, [{"A": movie}, {"A": movie + 500}], num_files=2)
    with pytest.raises(SourceArgumentError, match=r"2 images.*0 \(Position 0\), 1 \(Position 1\)"):
        OmeTiffExtractor(paths[0])
    for index, expected in enumerate((movie, movie + 500)):
        with OmeTiffExtractor(paths[0], image_index=index) as extractor:
            np.testing.assert_array_equal(extractor.get_series(), expected)
    with pytest.raises(SourceArgumentError, match="image_index is 2"):
        OmeTiffExtractor(paths[0], image_index=2)


def test_files_that_refer_to_the_text_of_another(tmp_path, movie):
    paths = write_ome_tiff(tmp_path, movie, num_files=3, is_binary_only=True)
    with OmeTiffExtractor(paths[2]) as extractor:
        np.testing.assert_array_equal(extractor.get_series(), movie)
    paths[0].unlink()
    with pytest.raises(SourceNotFoundError, match="refers to the metadata in 'recording_0"):
        OmeTiffExtractor(paths[2])


def test_files_that_were_renamed_are_known_by_their_uuids(tmp_path, movie):
    paths = write_ome_tiff(tmp_path, movie, num_files=3)
    renamed = [path.rename(tmp_path / f"other{n}.ome.tif") for n, path in enumerate(paths)]
    with OmeTiffExtractor(renamed[1]) as extractor:
        np.testing.assert_array_equal(extractor.get_series(), movie)


def test_a_renamed_file_beside_another_recording_with_its_former_name(tmp_path, movie):
    """Fault: the pixels of the other recording were read, since it had the stated name."""
    (path,) = write_ome_tiff(tmp_path / "img.ome.tif", movie)
    renamed = path.rename(tmp_path / "mouse1.ome.tif")
    (other,) = write_ome_tiff(tmp_path / "img.ome.tif", movie + 500)
    _change(
        other,
        "urn:uuid:00000000-0000-0000-0000-000000000001",
        f"urn:uuid:{'1' * 8}-0000-0000-0000-{'0' * 12}",
    )
    for file, expected in ((renamed, movie), (other, movie + 500)):
        with OmeTiffExtractor(file) as extractor:
            np.testing.assert_array_equal(extractor.get_series(), expected)


# --- what is missing --------------------------------------------------------------------------


def test_a_missing_file_is_an_error_not_frames_of_zeros(tmp_path, movie):
    """tifffile fills the frames of files that are not there with zeros."""
    paths = write_ome_tiff(tmp_path, movie, num_files=3)
    paths[1].unlink()
    with tifffile.TiffFile(paths[0]) as tiff:
        assert (tiff.series[0].asarray()[2:4] == 0).all()
    with pytest.raises(
        SourceNotFoundError, match=r"names 3 files, but 1 of them cannot.*recording_1\.ome"
    ):
        OmeTiffExtractor(paths[0])


def test_times_that_were_not_recorded_are_left_out_and_told(tmp_path, movie):
    (path,) = write_ome_tiff(tmp_path, movie)
    _change(path, 'SizeT="6"', 'SizeT="9"')
    with pytest.warns(UserWarning, match="6 of 9 times in its OME-XML are complete"):
        extractor = OmeTiffExtractor(path)
    with extractor:
        np.testing.assert_array_equal(extractor.get_series(), movie)


def test_a_plane_without_a_page_in_between(tmp_path, movie):
    (path,) = write_ome_tiff(tmp_path, movie)
    _change(path, 'FirstT="2"', 'FirstT="1"')
    with pytest.raises(CorruptSourceError, match="two pages to one plane"):
        OmeTiffExtractor(path)
    (path,) = write_ome_tiff(tmp_path, {"A": movie, "B": movie})
    _change(path, '<TiffData FirstC="1" FirstT="2"', '<TiffGone FirstC="1" FirstT="2"')
    content = path.read_bytes()
    start = content.index(b"<TiffGone")
    end = content.index(b"</TiffData>", start) + len(b"</TiffData>")
    path.write_bytes(content[:start] + b" " * (end - start) + content[end:])
    with (
        pytest.warns(UserWarning, match="5 of 6 times.*are complete"),
        pytest.raises(CorruptSourceError, match="no page for planes of time 2"),
    ):
        OmeTiffExtractor(path, "B")
    # The other channel has all its pages.
    with OmeTiffExtractor(path, "A") as extractor:
        np.testing.assert_array_equal(extractor.get_series(), movie)


def test_a_time_without_a_page_is_a_gap_where_times_are_stated(tmp_path, movie):
    elapsed = np.arange(6) / 10
    (path,) = write_ome_tiff(tmp_path, movie, delta_t=elapsed, sampling_frequency=None)
    content = path.read_bytes()
    start = content.index(b'<TiffData FirstC="0" FirstT="2"')
    end = content.index(b"</TiffData>", start) + len(b"</TiffData>")
    path.write_bytes(content[:start] + b" " * (end - start) + content[end:])
    with pytest.warns(UserWarning, match="5 of 6 times in its OME-XML are complete"):
        extractor = OmeTiffExtractor(path)
    with extractor:
        kept = [0, 1, 3, 4, 5]
        np.testing.assert_array_equal(extractor.get_series(), movie[kept])
        np.testing.assert_allclose(extractor.get_native_timestamps(), elapsed[kept])


def test_one_page_for_two_planes(tmp_path, movie):
    (path,) = write_ome_tiff(tmp_path, movie)
    _change(path, 'IFD="3"', 'IFD="2"')
    with pytest.raises(CorruptSourceError, match="one page to several planes"):
        OmeTiffExtractor(path)


def test_a_page_that_is_not_in_the_file(tmp_path, movie):
    (path,) = write_ome_tiff(tmp_path, movie)
    _change(path, 'IFD="5"', 'IFD="7"')
    with pytest.raises(CorruptSourceError, match=r"6 pages.*1 planes from page 7 on"):
        OmeTiffExtractor(path)


def test_a_file_cut_off(tmp_path, movie):
    paths = write_ome_tiff(tmp_path, movie, num_files=2)
    paths[1].write_bytes(paths[1].read_bytes()[:-20])
    with pytest.raises(CorruptSourceError, match=r"recording_1\.ome\.tif' is truncated"):
        OmeTiffExtractor(paths[0])
    paths[0].write_bytes(b"")
    with pytest.raises(CorruptSourceError, match="not a TIFF"):
        OmeTiffExtractor(paths[0])


def test_a_shape_or_a_type_that_is_not_that_of_the_pages(tmp_path, movie):
    (path,) = write_ome_tiff(tmp_path, movie)
    _change(path, 'SizeX="7"', 'SizeX="8"')
    with pytest.raises(CorruptSourceError, match=r"5 x 7 pixels.*states 5 x 8"):
        OmeTiffExtractor(path)
    (path,) = write_ome_tiff(tmp_path, movie)
    _change(path, 'Type="uint16"', 'Type="int16"')
    with pytest.warns(UserWarning, match="pixels of type uint16.*states int16"):
        OmeTiffExtractor(path).close()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("</Pixels>", "</Pixel>", "cannot be parsed"),
        ('SizeZ="1"', 'SizeQ="1"', "lacks sizes or order"),
        ('"XYCZT"', '"XYCCT"', "order XYCCT"),
        ('SizeZ="1"', 'SizeZ="0"', "order XYCZT and the sizes"),
        ('IFD="4"', 'IFD="x"', "IFD='x'"),
    ],
)
def test_damaged_xml(tmp_path, movie, old, new, words):
    (path,) = write_ome_tiff(tmp_path, movie)
    _change(path, old, new)
    with pytest.raises(CorruptSourceError, match=words) as caught:
        OmeTiffExtractor(path)
    assert str(path) in str(caught.value)


def test_other_files(tmp_path, movie):
    with pytest.raises(SourceError, match="no OME-XML"):
        OmeTiffExtractor(write_tiff(tmp_path / "a.tif", movie))
    with pytest.raises(SourceNotFoundError, match="absent"):
        OmeTiffExtractor(tmp_path / "absent.ome.tif")
    path = tmp_path / "b.ome.tif"
    tifffile.imwrite(path, movie, metadata=None, description=b"<OME xmlns='x'></OME>")
    with pytest.raises(SourceError, match="describes no image"):
        OmeTiffExtractor(path)
    with pytest.raises(CorruptSourceError, match="not <OME>"):
        parse_ome_xml(Path("a"), "<html/>")


# --- time -------------------------------------------------------------------------------------


def test_rate_of_the_increment(tmp_path, movie):
    (path,) = write_ome_tiff(tmp_path, movie, sampling_frequency=8.0)
    with OmeTiffExtractor(path) as extractor:
        assert extractor.get_sampling_frequency() == 8.0
        assert extractor.get_native_timestamps() is None
    unit = {"TimeIncrementUnit": "ms"}
    (path,) = write_ome_tiff(tmp_path, movie, sampling_frequency=0.02, pixels=unit)
    with OmeTiffExtractor(path) as extractor:
        assert extractor.get_sampling_frequency() == pytest.approx(20.0)


@pytest.mark.parametrize(("unit", "factor"), [("s", 1.0), ("ms", 1e-3), ("min", 60.0)])
def test_times_of_planes(tmp_path, movie, unit, factor):
    times = np.array([1.0, 2.0, 3.5, 4.0, 5.0, 6.0])
    (path,) = write_ome_tiff(
        tmp_path, movie, delta_t=times, delta_t_unit=unit, sampling_frequency=None
    )
    with OmeTiffExtractor(path) as extractor:
        np.testing.assert_allclose(extractor.get_native_timestamps(), times * factor)
        np.testing.assert_allclose(extractor.get_native_timestamps(2, 4), times[2:4] * factor)
        assert extractor.get_sampling_frequency() == pytest.approx(1 / factor)


def test_the_time_of_a_volume_is_that_of_its_earliest_plane(tmp_path, channels):
    times = np.arange(6)[:, None] + np.array([0.5, 0.25, 0.75])
    (path,) = write_ome_tiff(tmp_path, channels, delta_t=times, sampling_frequency=1.0)
    with OmeTiffExtractor(path, "Red") as extractor:
        np.testing.assert_allclose(extractor.get_native_timestamps(), np.arange(6) + 0.25)
    with OmeTiffExtractor(path, "Red", plane_index=2) as extractor:
        np.testing.assert_allclose(extractor.get_native_timestamps(), np.arange(6) + 0.75)


def test_measured_and_planned_rates_that_differ_are_told(tmp_path, movie):
    times = np.arange(6) / 10
    (path,) = write_ome_tiff(tmp_path, movie, delta_t=times, sampling_frequency=30.0)
    with pytest.warns(UserWarning, match="gives 10 Hz, which is used, but the file states 30 Hz"):
        extractor = OmeTiffExtractor(path)
    with extractor:
        assert extractor.get_sampling_frequency() == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ([0, 1, 1, 2, 3, 4], "DeltaT of sample 2 is not later than"),
        ([0, 1, np.nan, 2, 3, 4], "5 of 6 planes state their DeltaT"),
    ],
)
def test_times_that_cannot_be_are_not_used(tmp_path, movie, times, words):
    (path,) = write_ome_tiff(tmp_path, movie, delta_t=times)
    with pytest.warns(UserWarning, match=words):
        extractor = OmeTiffExtractor(path)
    with extractor:
        assert extractor.get_native_timestamps() is None
        assert extractor.get_sampling_frequency() == 30.0


def test_a_rate_that_is_not_stated_must_be_given(tmp_path, movie):
    (path,) = write_ome_tiff(tmp_path, movie, sampling_frequency=None)
    with pytest.raises(SourceArgumentError, match="give sampling_frequency"):
        OmeTiffExtractor(path)
    with OmeTiffExtractor(path, sampling_frequency=12.5) as extractor:
        assert extractor.get_sampling_frequency() == 12.5
    for wrong in (0, -1.0, float("nan"), float("inf"), "fast"):
        with pytest.raises(SourceArgumentError, match="above 0"):
            OmeTiffExtractor(path, sampling_frequency=wrong)


def test_the_users_rate_is_taken_and_the_files_told(tmp_path, movie):
    (path,) = write_ome_tiff(tmp_path, movie, delta_t=np.arange(6) / 30)
    with pytest.warns(UserWarning, match="sampling_frequency gives 15 Hz.*states 30 Hz"):
        extractor = OmeTiffExtractor(path, sampling_frequency=15.0)
    with extractor:
        assert extractor.get_sampling_frequency() == 15.0
        assert extractor.get_native_timestamps() is None


# --- what the text states ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-05-17T14:03:21", datetime(2024, 5, 17, 14, 3, 21)),
        ("2024-05-17T14:03:21.25", datetime(2024, 5, 17, 14, 3, 21, 250000)),
        ("2024-05-17T14:03:21Z", datetime(2024, 5, 17, 14, 3, 21, tzinfo=timezone.utc)),
        (
            "2024-05-17T14:03:21.1234567+02:00",
            datetime(2024, 5, 17, 14, 3, 21, 123456, timezone(timedelta(hours=2))),
        ),
        ("yesterday", None),
        ("", None),
    ],
)
def test_start(text, expected):
    pixels = "<Pixels DimensionOrder='XYCZT' SizeX='1' SizeY='1' SizeC='1' SizeZ='1' SizeT='1'/>"
    date = f"<AcquisitionDate>{text}</AcquisitionDate>"
    document = parse_ome_xml(Path("a"), f"<OME><Image>{date}{pixels}</Image></OME>")
    assert document.images[0].acquired == expected


@pytest.mark.parametrize(
    ("unit", "metres"),
    [("µm", 2e-6), ("μm", 2e-6), ("nm", 2e-9), ("mm", 2e-3), ("pixel", None), (None, 2e-6)],
)
def test_units_of_length(tmp_path, movie, unit, metres):
    pixels = {"PhysicalSizeX": "2"} | ({} if unit is None else {"PhysicalSizeXUnit": unit})
    (path,) = write_ome_tiff(tmp_path, movie, pixels=pixels)
    with OmeTiffExtractor(path) as extractor:
        assert extractor.image.spacing[0] == pytest.approx(metres)
        assert extractor.image.spacing[1] is None


def test_the_xml_is_parsed_once_for_all_channels_and_planes(tmp_path, monkeypatch):
    """It is of megabytes, and each series asks for it."""
    volumes = np.arange(6 * 5 * 7 * 3, dtype="uint16").reshape(6, 5, 7, 3)
    (path,) = write_ome_tiff(tmp_path, {"A": volumes, "B": volumes})
    parsed = []
    parse = xml.parse_xml
    monkeypatch.setattr(xml, "parse_xml", lambda text: parsed.append(1) or parse(text))
    for name in "AB":
        for plane in range(3):
            OmeTiffExtractor(path, name, plane_index=plane).close()
    assert len(parsed) == 1
    # Not so when it has changed.
    write_ome_tiff(tmp_path, {"C": volumes})
    with OmeTiffExtractor(path) as extractor:
        assert extractor.channel_name == "C"


def test_an_axis_within_another_one_is_named(tmp_path):
    """Fault: the images of each lifetime were samples, without a word."""
    within = '<Modulo><ModuloAlongT Type="lifetime" Unit="ps" Step="100" End="500"/></Modulo>'
    sizes = 'SizeX="4" SizeY="4" SizeC="1" SizeZ="1" SizeT="6"'
    image = f'<Image><Pixels DimensionOrder="XYCZT" Type="uint8" {sizes}/></Image>'
    text = f"<OME>{image}<StructuredAnnotations>{within}</StructuredAnnotations></OME>"
    with pytest.warns(UserWarning, match=r"T also counts 'lifetime' \(ModuloAlongT\).* samples"):
        parse_ome_xml(tmp_path, text)


@pytest.mark.parametrize(
    ("times", "rate"),
    [
        ([0, 0.1, 0.2, 0.3, 0.4, 60.4, 60.5], 10),  # fault: 0.1 Hz, without a word
        ([0, 0.1, 0.3, 0.4, 0.5], 10),
        (np.round(np.arange(200) / 700, 3), 700),
        ([0, 0.1, 1, 1.1, 2, 2.1, 3], 2),
        ([0, 0.5], 2),
    ],
)
def test_the_rate_of_times_with_pauses(times, rate):
    assert mean_rate(np.array(times, float)) == pytest.approx(rate, rel=2e-3)


def test_units_that_are_not_known_are_named(tmp_path):
    """Fault: times and sizes in such a unit were left out without a word."""
    movie = np.zeros((3, 4, 5), np.uint16)
    times = {"delta_t": [0, 0.1, 0.2], "delta_t_unit": "fortnight"}
    sizes = {"PhysicalSizeX": "2", "PhysicalSizeXUnit": "furlong"}
    (path,) = write_ome_tiff(tmp_path, movie, pixels=sizes, **times)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        OmeTiffExtractor(path)
    notes = {str(each.message) for each in caught}
    assert any("PhysicalSizeX in the unit 'furlong', which is not known" in each for each in notes)
    assert any("DeltaT in the unit 'fortnight', which is not known" in each for each in notes)


@pytest.mark.parametrize(("axis", "name"), [("Z", "planes"), ("C", "channels")])
def test_a_movie_that_was_saved_as_planes_or_channels(tmp_path, movie, axis, name):
    """Fault: a rate made it one volume, or a series for each frame, without a word."""
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, movie, photometric="minisblack", metadata={"axes": f"{axis}YX"})
    channel = "Channel 0" if axis == "C" else None
    with pytest.warns(UserWarning, match=rf"6 {name} and one sample.* and num_{name}=1"):
        OmeTiffExtractor(path, channel, sampling_frequency=10.0)
    frames = TiffStackExtractor(path, 10.0, **{f"num_{name}": 1})
    np.testing.assert_array_equal(frames.get_series(), movie)


def test_bits_are_truth_values(tmp_path, movie):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, movie > 99, photometric="minisblack", metadata={"axes": "TYX"})
    np.testing.assert_array_equal(
        OmeTiffExtractor(path, None, None, None, 9.0).get_series(), movie > 99
    )
