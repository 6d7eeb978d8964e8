"""Tests of MetaMorph stacks against tifffile, and of faults in them."""

from __future__ import annotations

import contextlib
import struct
from datetime import datetime

import numpy as np
import pytest
import tifffile

import nwb_ophys
from nwb_ophys import MetaMorphImagingInterface
from nwb_ophys.errors import CorruptSourceError, SourceArgumentError, SourceError
from nwb_ophys.formats.metamorph.names import MetaMorphName, parse_name
from nwb_ophys.formats.metamorph.tags import read_tags
from nwb_ophys.interfaces import ImagesInterface
from nwb_ophys.paths import PathProbe
from nwb_ophys.registry import detect
from nwb_ophys.testing import write_metamorph


@pytest.fixture
def movie() -> np.ndarray:
    return np.arange(12 * 5 * 7, dtype="uint16").reshape(12, 5, 7)


def _streams(path, **given):
    return MetaMorphImagingInterface.streams(path, **given)


@pytest.mark.parametrize("name", ["a.stk", "a.tif", "a.TIF", "a.tiff", "a.STK"])
def test_all_planes_are_read_over_time(tmp_path, movie, name):
    path = write_metamorph(tmp_path / name, movie, sampling_frequency=10)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_stk
        theirs, facts = tiff.asarray(), tiff.stk_metadata
    interface = nwb_ophys.open(path)
    assert isinstance(interface, MetaMorphImagingInterface)
    np.testing.assert_array_equal(interface.extractor.get_series(), theirs)
    created = facts["DatetimeCreated"]
    # tifffile of 2023 reads milliseconds as microseconds.
    np.testing.assert_allclose(interface.get_timestamps(), np.arange(12) / 10)
    stated = interface.describe()
    assert created[0].astype("M8[s]").item() == datetime(2021, 3, 4, 15, 4, 5)
    assert stated["NWBFile"]["session_start_time"] == datetime(2021, 3, 4, 15, 4, 5, 250_000)
    (plane,) = stated["Ophys"]["ImagingPlane"]
    assert plane["imaging_rate"] == pytest.approx(10)
    assert plane["grid_spacing"] == pytest.approx([0.65e-6, 0.65e-6])
    assert "525 nm" in plane["description"]


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_ranges_of_samples(tmp_path, movie, dtype):
    path = write_metamorph(tmp_path / "a.stk", movie.astype(dtype))
    extractor = MetaMorphImagingInterface(path).extractor
    assert extractor.get_dtype() == dtype
    np.testing.assert_array_equal(extractor.get_series(3, 5), movie.astype(dtype)[3:5])
    assert extractor.get_series(3, 3).shape == (0, 5, 7)


def test_only_one_format_recognises_a_stack(tmp_path, movie):
    path = write_metamorph(tmp_path / "a.tif", movie)
    for place in (path, tmp_path):
        (found,) = detect(place)
        assert found.format == "metamorph"
        assert found.evidence == "'a.tif' has the tags of a MetaMorph stack"


def test_a_z_stack_is_no_movie_unless_the_user_says_so(tmp_path, movie):
    path = write_metamorph(tmp_path / "a.stk", movie, z_step_um=0.5)
    with pytest.warns(UserWarning, match="a single z-stack, which is no movie"):
        images = nwb_ophys.open(path)
    assert isinstance(images, ImagesInterface)
    np.testing.assert_array_equal(
        images.extractor.get_series(), movie.transpose(1, 2, 0)[np.newaxis]
    )
    (plane,) = images.describe()["Ophys"]["ImagingPlane"]
    assert plane["grid_spacing"] == pytest.approx([0.65e-6, 0.65e-6, 0.5e-6])
    with pytest.raises(SourceArgumentError, match="to write it as a movie, give sampling_freq"):
        MetaMorphImagingInterface(path).extractor.get_sampling_frequency()
    volume = nwb_ophys.open(path, planes="z", sampling_frequency=1.0)
    np.testing.assert_array_equal(
        volume.extractor.get_series(), movie.transpose(1, 2, 0)[np.newaxis]
    )
    (plane,) = volume.describe()["Ophys"]["ImagingPlane"]
    assert plane["grid_spacing"] == pytest.approx([0.65e-6, 0.65e-6, 0.5e-6])
    over_time = nwb_ophys.open(path, planes="time")
    np.testing.assert_array_equal(over_time.extractor.get_series(), movie)


def test_planes_of_one_time_need_a_rate(tmp_path, movie):
    path = write_metamorph(tmp_path / "a.stk", movie, sampling_frequency=None)
    with (
        pytest.warns(UserWarning, match="times of creation of sample 1 is not later"),
        pytest.raises(SourceArgumentError, match="give sampling_frequency"),
    ):
        MetaMorphImagingInterface(path)
    with pytest.warns(UserWarning, match="not used"):
        interface = MetaMorphImagingInterface(path, sampling_frequency=20.0)
    assert interface.extractor.get_native_timestamps() is None
    assert interface.extractor.get_sampling_frequency() == 20


def test_planes_of_several_wavelengths_are_refused(tmp_path, movie):
    path = write_metamorph(tmp_path / "a.stk", movie, wavelengths=[488, 561] * 6)
    with pytest.raises(SourceError, match="the wavelengths 488, 561 nm"):
        nwb_ophys.open(path)


def test_units_other_than_micrometres_are_no_pixel_size(tmp_path, movie):
    for name, given in (("a.stk", {"units": "pixels"}), ("b.stk", {"pixel_size_um": 0})):
        path = write_metamorph(tmp_path / name, movie, **given)
        assert (
            "grid_spacing"
            not in MetaMorphImagingInterface(path).describe()["Ophys"]["ImagingPlane"][0]
        )


def test_a_truncated_stack_is_refused(tmp_path, movie):
    path = write_metamorph(tmp_path / "a.stk", movie)
    content = path.read_bytes()
    tags_at = content.index(struct.pack("<HHI", 33629, 5, 12))
    path.write_bytes(content[: tags_at + 400])
    with pytest.raises(CorruptSourceError, match="truncated or damaged"):
        MetaMorphImagingInterface(path)
    # Tags before the pixels, as some programs write them.
    (place,) = struct.unpack_from("<I", content, tags_at + 8)
    assert place > movie.nbytes
    other = content[:tags_at] + struct.pack("<HHII", 33629, 5, 24, place) + content[tags_at + 12 :]
    path.write_bytes(other)
    with pytest.raises(CorruptSourceError, match="truncated"):
        MetaMorphImagingInterface(path)


def test_a_stack_without_all_pixels_is_truncated(tmp_path, movie):
    path = write_metamorph(tmp_path / "a.stk", movie)
    content = bytearray(path.read_bytes())
    tag = content.index(struct.pack("<HHI", 257, 3, 1))
    struct.pack_into("<I", content, tag + 8, 500)
    rows = content.index(struct.pack("<HHI", 278, 3, 1))
    struct.pack_into("<I", content, rows + 8, 500)
    path.write_bytes(bytes(content))
    with pytest.raises(CorruptSourceError, match="truncated"):
        MetaMorphImagingInterface(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("damage", range(0, 180, 3))
def test_damaged_directories_are_refused_or_read(tmp_path, movie, damage):
    path = write_metamorph(tmp_path / "a.stk", movie)
    content = bytearray(path.read_bytes())
    content[8 + damage : 11 + damage] = b"\xff\xff\xff"
    path.write_bytes(bytes(content))
    with contextlib.suppress(SourceError):
        interface = MetaMorphImagingInterface(path, sampling_frequency=1.0, planes="time")
        interface.extractor.get_series()


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("cell.stk", MetaMorphName(base="cell")),
        ("cell_t10.TIF", MetaMorphName(base="cell", time=10)),
        ("a_b_w1GFP_s2_t3.stk", MetaMorphName(base="a_b", wave="1GFP", stage=2, time=3)),
        ("x_w2 RFP-57_t1.tif", MetaMorphName(base="x", wave="2 RFP-57", time=1)),
        ("x_s4.tif", MetaMorphName(base="x", stage=4)),
    ],
)
def test_names_of_files(tmp_path, name, parts):
    assert parse_name(tmp_path / name) == parts


def test_names_of_channels():
    assert MetaMorphName(base="a", wave="1GFP").channel == "GFP"
    assert MetaMorphName(base="a", wave="2").channel == "w2"
    assert MetaMorphName(base="a").channel == ""


def _write_times(folder, *, num_times=11, planes=1, waves=("1GFP", "2RFP"), left_out=()):
    """Write one file per wavelength and time; return the movies (times, planes, rows, columns)."""
    movies = {}
    for number, wave in enumerate(waves):
        movie = np.arange(num_times * planes * 35, dtype="uint16").reshape(num_times, planes, 5, 7)
        movies[wave] = movie + 1000 * number
        for time in range(num_times):
            if time not in left_out:
                write_metamorph(
                    folder / f"exp_w{wave}_t{time + 1}.TIF",
                    movies[wave][time],
                    created=time * 2.0 + number * 0.5 + np.arange(planes) * 0.1,
                    z_step_um=0.5 * (planes > 1),
                )
    return movies


@pytest.mark.parametrize("planes", [1, 3])
def test_a_file_per_time_and_wavelength_is_two_movies(tmp_path, planes):
    movies = _write_times(tmp_path, planes=planes)
    (tmp_path / "exp.nd").write_text('"NDInfoFile", Version 1.0\n"NTimePoints", 11\n"EndFile"\n')
    files = sorted(tmp_path.glob("*.TIF"))
    for given in (tmp_path, tmp_path / "exp.nd", files[0], files[-1], files):
        streams = _streams(given)
        assert list(streams) == ["GFP", "RFP"]
        for number, (wave, arguments) in enumerate(zip(movies, streams.values(), strict=True)):
            interface = MetaMorphImagingInterface(**arguments)
            expected = movies[wave].transpose(0, 2, 3, 1)
            found = interface.extractor.get_series()
            np.testing.assert_array_equal(found.reshape(expected.shape), expected)
            # The streams of one acquisition count from its first image.
            np.testing.assert_allclose(interface.get_timestamps(), np.arange(11) * 2 + number / 2)
            start = interface.describe()["NWBFile"]["session_start_time"]
            assert start == datetime(2021, 3, 4, 15, 4, 5, 250_000)


def test_each_file_is_of_one_acquisition(tmp_path):
    _write_times(tmp_path)
    alone = write_metamorph(tmp_path / "alone.stk", np.ones((2, 5, 7), "uint16"))
    files = sorted(tmp_path.glob("exp*.TIF"))

    def files_of(path):
        found = MetaMorphImagingInterface.group(PathProbe(path))
        assert not found.left_out
        return [set(group.files) for group in found.groups]

    for path in files:
        assert files_of(path) == [set(files)]
    assert files_of(alone) == [{alone}]
    assert files_of(tmp_path) == [{alone}, set(files)]


def test_numbered_images_are_one_movie(tmp_path, movie):
    for number, image in enumerate(movie):
        path = tmp_path / f"img{number + 90:03d}.tif"
        write_metamorph(path, image[np.newaxis], created=[number * 0.5])
    for given in (tmp_path, tmp_path / "img095.tif"):
        interface = nwb_ophys.open(given)
        np.testing.assert_array_equal(interface.extractor.get_series(), movie)
        np.testing.assert_allclose(interface.get_timestamps(), np.arange(12) / 2)


def test_missing_times_and_other_files_are_named(tmp_path):
    _write_times(tmp_path, waves=("1GFP",), left_out=(4,))
    tifffile.imwrite(tmp_path / "AVG_exp.tif", np.ones((5, 7), "uint16"))
    with (
        pytest.warns(UserWarning, match="lacks 1 files between .* \\(t5\\)"),
        pytest.warns(
            UserWarning, match="'AVG_exp.tif' in .* is left out: a projection or single image"
        ),
    ):
        interface = nwb_ophys.open(tmp_path)
    np.testing.assert_allclose(interface.get_timestamps(), np.delete(np.arange(11), 4) * 2.0)


_COMPANION = """"NDInfoFile", Version 1.0
"Description", a
second line
"DoTimelapse", TRUE
"NTimePoints", 11
"DoStage", FALSE
"DoWave", TRUE
"NWavelengths", 3
"WaveName1", "GFP"
"WaveName2", "RFP"
"WavePointsCollected", 2, 1, 6, 11
"WaveName3", "Cy5"
"WaveInFileName", FALSE
"EndFile"
"""


def test_times_and_wavelengths_that_the_companion_states_are_missed(tmp_path):
    """An aborted acquisition lacks its last times; others skip times of a wavelength."""
    _write_times(tmp_path, waves=("1",), left_out=(9, 10))
    _write_times(tmp_path, waves=("2",), left_out=(1, 2, 3, 4, 6, 7, 8, 9))
    (tmp_path / "exp.nd").write_text(_COMPANION)
    with (
        pytest.warns(UserWarning, match=r"exp.nd' states files of w3 \(Cy5\), which are not there"),
        pytest.warns(UserWarning, match=r"2 files of those that the .nd file .* \(t10, t11\)"),
    ):
        streams = _streams(tmp_path)
    assert list(streams) == ["GFP", "RFP"]
    interface = MetaMorphImagingInterface(**streams["RFP"])
    assert interface.describe()["Ophys"]["ImagingPlane"][0]["optical_channel"] == [{"name": "RFP"}]


def test_times_that_the_companion_does_not_state_are_named(tmp_path):
    """Fault: files that an earlier acquisition left were joined without a word."""
    _write_times(tmp_path, waves=("1",), num_times=3)
    text = _COMPANION.replace('"NTimePoints", 11', '"NTimePoints", 2')
    (tmp_path / "exp.nd").write_text(text.replace('"DoWave", TRUE', '"DoWave", FALSE'))
    with pytest.warns(UserWarning, match=r"has 1 file of times .* does not state \(t3\)"):
        _streams(tmp_path)


@pytest.mark.parametrize("content", [b"", b"II*\0", bytes(500)])
@pytest.mark.parametrize("time", [2, 4])
def test_a_damaged_file_of_a_series_is_not_left_out_silently(tmp_path, content, time):
    movie = _write_times(tmp_path, waves=("1GFP",), num_times=4)["1GFP"][:, 0]
    (tmp_path / f"exp_w1GFP_t{time}.TIF").write_bytes(content)
    for path in (tmp_path, tmp_path / "exp_w1GFP_t1.TIF"):
        with pytest.raises(CorruptSourceError, match=f"_t{time}.TIF' is truncated"):
            nwb_ophys.open(path)
    with pytest.warns(UserWarning, match="left out"):
        interface = nwb_ophys.open(tmp_path, allow_truncated=True)
    np.testing.assert_array_equal(interface.extractor.get_series(), movie[: time - 1])


def test_stage_positions_are_streams_with_the_names_of_the_companion(tmp_path):
    for stage in (1, 2):
        for time in (1, 2):
            write_metamorph(
                tmp_path / f"e_s{stage}_t{time}.stk",
                np.full((1, 5, 7), stage, "uint16"),
                created=[time * 1.0],
            )
    assert list(_streams(tmp_path)) == ["Stage1", "Stage2"]
    (tmp_path / "e.nd").write_text(
        '"NDInfoFile", Version 1.0\n"Stage1", "left"\n"Stage2", "right"\n'
    )
    streams = _streams(tmp_path / "e.nd")
    assert list(streams) == ["left", "right"]
    for value, arguments in enumerate(streams.values(), start=1):
        assert (MetaMorphImagingInterface(**arguments).extractor.get_series() == value).all()


def test_a_companion_that_states_z_makes_a_stack_of_planes(tmp_path, movie):
    path = write_metamorph(tmp_path / "e.stk", movie)
    (tmp_path / "e.nd").write_text('"NDInfoFile", Version 1.0\n"DoZSeries", TRUE\n')
    with pytest.warns(UserWarning, match="a single z-stack, which is no movie"):
        images = nwb_ophys.open(path)
    assert images.extractor.get_sample_shape() == (5, 7, 12)


def test_files_of_other_lengths_are_refused(tmp_path, movie):
    paths = [write_metamorph(tmp_path / f"e_t{n}.stk", movie[: 3 + n]) for n in (1, 2)]
    with pytest.raises(SourceError, match=r"has 5 planes, .* has 4"):
        MetaMorphImagingInterface(paths)


def test_a_file_of_another_program_is_refused(tmp_path, movie):
    path = tmp_path / "a.stk"
    tifffile.imwrite(path, movie)
    assert read_tags(path) is None
    with pytest.raises(SourceError, match="lacks the tags of MetaMorph"):
        MetaMorphImagingInterface(path)
    with pytest.raises(SourceError, match="holds no file with the tags"):
        _streams(tmp_path)


# --- newer files, without tags ----------------------------------------------------------------


def _text(seconds: float, height: float = 0.0, program: str = "MetaMorph", unit: str = "um") -> str:
    milliseconds = round(seconds * 1000)
    time = f"20240816 09:49:{milliseconds // 1000:02d}.{milliseconds % 1000}"
    properties = {
        "ApplicationName": program,
        "spatial-calibration-state": "on",
        "spatial-calibration-x": 0.65,
        "spatial-calibration-y": 0.7,
        "spatial-calibration-units": unit,
        "acquisition-time-local": time,
        "z-position": height,
        "wavelength": 525,
    }
    lines = [f'<prop id="{key}" type="x" value="{value}"/>' for key, value in properties.items()]
    return "<MetaData>" + "".join(lines) + "</MetaData>"


def _write_text_file(path, pages, times, heights=None, **more):
    heights = np.zeros(len(pages)) if heights is None else heights
    with tifffile.TiffWriter(path) as tiff:
        for page, time, height in zip(pages, times, heights, strict=True):
            text = _text(time, height, **more)
            tiff.write(page, description=text, software="MetaSeries", metadata=None)


def test_newer_files_with_texts(tmp_path):
    """Fault: waves and stages were unclear, and times and pixel sizes were not read."""
    lines = ['"NDInfoFile", Version 2.0', '"Stage1", "B2"', '"Stage2", "B3"', '"EndFile"']
    (tmp_path / "exp.nd").write_text("\n".join(lines))
    rng = np.random.default_rng(0)
    movies = {}
    times = np.arange(12) * 1.02
    for stage, wave in ((1, "1GFP"), (1, "2RFP"), (2, "1GFP"), (2, "2RFP")):
        movies[f"B{stage + 1}", wave[1:]] = movie = rng.integers(0, 99, (12, 5, 7), "uint16")
        for number, (page, time) in enumerate(zip(movie, times, strict=True)):
            name = f"exp_w{wave}_s{stage}_t{number + 1}.TIF"
            _write_text_file(tmp_path / name, page[None], [time])
    assert [found.format for found in detect(tmp_path)] == ["metamorph"]
    streams = nwb_ophys.open(tmp_path).interfaces
    assert len(streams) == 4
    for stream in streams.values():
        extractor = stream.extractor
        name = parse_name(extractor.file_paths[0])
        movie = movies[f"B{name.stage + 1}", name.channel]
        np.testing.assert_array_equal(extractor.get_series(), movie)
        np.testing.assert_allclose(stream.get_timestamps(), times, atol=1e-9)
        stated = stream.describe()
        (plane,) = stated["Ophys"]["ImagingPlane"]
        assert plane["grid_spacing"] == pytest.approx([0.65e-6, 0.7e-6])
        assert stated["NWBFile"]["session_start_time"] == datetime(2024, 8, 16, 9, 49)


def test_planes_of_a_newer_file(tmp_path, movie):
    times = np.arange(12) * 0.5
    _write_text_file(tmp_path / "t.tif", movie, times, 3 + np.arange(12) % 5 * 0.01)
    extractor = nwb_ophys.open(tmp_path / "t.tif").extractor
    np.testing.assert_array_equal(extractor.get_series(), movie)
    assert extractor.get_sampling_frequency() == pytest.approx(2)
    for number in range(3):
        pages, heights = movie[4 * number : 4 * number + 4], np.arange(4) * 2.5
        _write_text_file(tmp_path / f"z_t{number + 1}.tif", pages, [number] * 4, heights)
    files = sorted(tmp_path.glob("z_t*.tif"))
    extractor = MetaMorphImagingInterface(files).extractor
    assert extractor.facts["distance of planes"] == pytest.approx(2.5)
    expected = np.moveaxis(movie.reshape(3, 4, 5, 7), 1, 3)
    np.testing.assert_array_equal(extractor.get_series(), expected)


def test_milliseconds_of_newer_files_have_no_leading_zeros(tmp_path, movie):
    _write_text_file(tmp_path / "t.tif", movie, np.arange(12) * 0.066)
    times = nwb_ophys.open(tmp_path / "t.tif").get_timestamps()
    np.testing.assert_allclose(times, np.arange(12) * 0.066, atol=1e-9)


def test_screens_of_plates_are_no_recordings(tmp_path, movie):
    _write_text_file(tmp_path / "t.tif", movie[:1], [0], program="MetaXpress Acquire")
    assert [found.format for found in detect(tmp_path / "t.tif")] == ["tiff"]


@pytest.mark.parametrize("named_by", ["file", "companion"])
def test_wavelengths_of_one_name_have_their_numbers(tmp_path, movie, named_by):
    """Fault: streams were called metamorph and metamorph #2."""
    words = ("GFP", "GFP", "RFP") if named_by == "file" else ("", "", "")
    for number, word in enumerate(words, start=1):
        write_metamorph(tmp_path / f"cell_w{number}{word}.stk", movie + number)
    if named_by == "companion":
        waves = "".join(f'"WaveName{n}", "{word}"\n' for n, word in ((1, "G"), (2, "G"), (3, "R")))
        (tmp_path / "cell.nd").write_text(f'"NDInfoFile", Version 1.0\n{waves}"EndFile"\n')
        words = ("G", "G", "R")
    names = [f"{words[0]} w1", f"{words[1]} w2", words[2]]
    assert list(_streams(tmp_path)) == names
    for number, name in enumerate(names, start=1):
        path = next(tmp_path.glob(f"cell_w{number}*.stk"))
        with MetaMorphImagingInterface(path) as interface:
            assert interface.part() == name


@pytest.mark.parametrize("kind", ["tags", "texts"])
def test_units_of_the_pixel_size(tmp_path, movie, kind):
    """Fault: a size in another unit than micrometres was left out without a word."""

    def spacing(unit):
        path = tmp_path / f"{unit}.{'stk' if kind == 'tags' else 'tif'}"
        if kind == "tags":
            write_metamorph(path, movie, pixel_size_um=0.7, units=unit)
        else:
            _write_text_file(path, movie, np.arange(len(movie)), unit=unit)
        plane = MetaMorphImagingInterface(path).describe()["Ophys"]["ImagingPlane"][0]
        return None if "grid_spacing" not in plane else round(plane["grid_spacing"][1] * 1e9)

    assert {unit: spacing(unit) for unit in ("um", "Microns", "mm", "nm", "pixel")} == {
        **{"um": 700, "Microns": 700, "mm": 700_000, "nm": 1},
        "pixel": None,
    }
    with pytest.warns(UserWarning, match=r"pixels of '.*furlong.*' is 'furlong', which is not"):
        assert spacing("furlong") is None
