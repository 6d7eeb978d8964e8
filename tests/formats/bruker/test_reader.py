"""Tests of recordings of Prairie View against tifffile and the written data."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from nwb_ophys.errors import (
    CorruptSourceError,
    SourceArgumentError,
    SourceError,
    SourceNotFoundError,
)
from nwb_ophys.formats.bruker.reader import BrukerTiffExtractor
from nwb_ophys.formats.bruker.xml import read_prairie_xml
from nwb_ophys.testing import write_bruker

REAL = "bruker/NCCR32_2022_11_03_IntoTheVoid_t_series-005"


def _movie(*shape: int, first: int = 0) -> np.ndarray:
    return np.arange(first, first + np.prod(shape), dtype=np.uint16).reshape(shape)


def _open(folder: Path, **arguments: Any) -> BrukerTiffExtractor:
    return BrukerTiffExtractor(folder / f"{folder.name}.xml", **arguments)


def _edit(folder: Path, *changes: tuple[str, str]) -> Path:
    xml = folder / f"{folder.name}.xml"
    text = xml.read_text(encoding="utf-8-sig")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    xml.write_text(text, encoding="utf-8-sig")
    return folder


# --- the real recording -----------------------------------------------------------------------


@pytest.fixture
def real(data_folder: Path) -> Path:
    return data_folder / REAL


def _pages(real: Path) -> np.ndarray:
    """Every file by tifffile, in the order of cycles and planes."""
    files = sorted(real.glob("*.ome.tif"))
    pages = []
    for file in files:
        with tifffile.TiffFile(file) as tiff:
            pages.append(tiff.pages[0].asarray())
    return np.stack(pages).reshape(5, 2, 512, 512)


def test_volumes_are_what_tifffile_reads(real):
    with _open(real) as extractor:
        assert extractor.is_volumetric
        assert (extractor.get_num_samples(), extractor.get_num_planes()) == (5, 2)
        found = extractor.get_series()
        assert found.dtype == np.uint16
        np.testing.assert_array_equal(found, _pages(real).transpose(0, 2, 3, 1))
        np.testing.assert_array_equal(extractor.get_series(2, 4), found[2:4])
        assert extractor.get_series(3, 3).shape == (0, 512, 512, 2)


@pytest.mark.parametrize("plane", [0, 1])
def test_planes_are_what_tifffile_reads(real, plane):
    with _open(real, plane_index=plane) as extractor:
        assert not extractor.is_volumetric
        np.testing.assert_array_equal(extractor.get_series(), _pages(real)[:, plane])


def test_the_rate_is_of_volumes_not_of_planes(real):
    """Fault: 20.6 Hz, which is the rate of planes."""
    for arguments in ({}, {"plane_index": 1}):
        with _open(real, **arguments) as extractor:
            assert extractor.get_sampling_frequency() == pytest.approx(1 / 0.096948474, rel=1e-8)
    with _open(real) as extractor:
        times = extractor.get_native_timestamps()
        np.testing.assert_allclose(times, np.arange(5) * 0.096948474, atol=1e-9)
        np.testing.assert_array_equal(extractor.get_native_timestamps(1, 3), times[1:3])


def test_a_plane_has_the_times_of_its_own_frames(real):
    """Fault: those of the first plane, half a volume too early for the second."""
    text = (real / f"{real.name}.xml").read_text(encoding="utf-8-sig")
    stated = np.array([float(t) for t in re.findall(r'absoluteTime="([\d.]+)"', text)])
    expected = stated.reshape(5, 2) - stated[0]
    for plane in range(2):
        with _open(real, plane_index=plane) as extractor:
            found = extractor.get_native_timestamps()
            np.testing.assert_allclose(found, expected[:, plane], rtol=0, atol=2e-9)
            np.testing.assert_array_equal(extractor.get_native_timestamps(1, 3), found[1:3])
    assert expected[0, 1] > 0.04


# --- layouts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["5.6.64.400", "4.1.1.4"])
@pytest.mark.parametrize("pages_per_file", [1, 4, 7])
@pytest.mark.parametrize("cycles", [None, 5])
def test_channels_of_single_planes(tmp_path, version, pages_per_file, cycles):
    movies = {1: _movie(10, 12, 9), 2: _movie(10, 12, 9, first=5000)}
    folder = write_bruker(
        tmp_path / "TSeries-1",
        movies,
        channel_names={1: "Red", 2: "Green"},
        version=version,
        pages_per_file=pages_per_file,
        frames_per_cycle=cycles,
        sampling_frequency=8.0,
    )
    for number, name in ((1, "Red"), (2, "Green")):
        with _open(folder, channel_name=name) as extractor:
            assert not extractor.is_volumetric
            np.testing.assert_array_equal(extractor.get_series(), movies[number])
            assert extractor.get_sampling_frequency() == pytest.approx(8.0)
            assert extractor.channel == number


@pytest.mark.parametrize("version", ["5.6.64.400", "4.1.1.4"])
@pytest.mark.parametrize("pages_per_file", [1, 3])
def test_channels_of_volumes(tmp_path, version, pages_per_file):
    movies = {1: _movie(4, 12, 9, 3), 2: _movie(4, 12, 9, 3, first=9000)}
    folder = write_bruker(
        tmp_path / "TSeries-1", movies, version=version, pages_per_file=pages_per_file
    )
    for number, movie in movies.items():
        with _open(folder, channel_name=f"Ch{number}") as extractor:
            np.testing.assert_array_equal(extractor.get_series(), movie)
            assert extractor.get_sampling_frequency() == pytest.approx(30.0)
        for plane in range(3):
            with _open(folder, channel_name=f"Ch{number}", plane_index=plane) as extractor:
                np.testing.assert_array_equal(extractor.get_series(), movie[..., plane])


def test_files_of_several_pages_without_their_numbers(tmp_path):
    movie = _movie(7, 12, 9)
    folder = write_bruker(tmp_path / "TSeries-1", movie, pages_per_file=4)
    _edit(folder, *((f' page="{page}"', "") for page in (1, 2, 3, 4)))
    with _open(folder) as extractor:
        np.testing.assert_array_equal(extractor.get_series(), movie)


@pytest.mark.parametrize(
    "kind",
    [
        "TSeries Timed Element",
        "TSeries Brightness Over Time Element",
        "BrightnessOverTime",
        "Single",
        "TSeries Voltage Something New Element",
        "",
    ],
)
def test_any_type_of_sequence_is_read(tmp_path, kind):
    """Fault: a type of sequence that is not in the reader's list ends with an error."""
    movie = _movie(6, 12, 9)
    folder = write_bruker(tmp_path / "T-1", movie, sequence_type=kind, frames_per_cycle=3)
    with _open(folder) as extractor:
        np.testing.assert_array_equal(extractor.get_series(), movie)


@pytest.mark.parametrize("kind", ["ZSeries", "TSeries ZSeries Element", "Some New Stack"])
def test_any_type_of_volumes_is_read(tmp_path, kind):
    """One that is not known is of volumes where all planes of a cycle have other positions."""
    movie = _movie(3, 12, 9, 4)
    folder = write_bruker(tmp_path / "T-1", movie, sequence_type=kind)
    with _open(folder) as extractor:
        np.testing.assert_array_equal(extractor.get_series(), movie)


def test_a_single_volume_has_the_rate_of_its_frames(tmp_path):
    folder = write_bruker(tmp_path / "Z-1", _movie(1, 12, 9, 4), sampling_frequency=2.5)
    with _open(folder) as extractor:
        assert extractor.get_series().shape == (1, 12, 9, 4)
        assert extractor.get_sampling_frequency() == pytest.approx(2.5)


def test_volumes_swept_forth_and_back_have_the_planes_of_the_first(tmp_path):
    """Fault: planes of every other volume upside down."""
    movie = _movie(5, 12, 9, 3)
    folder = write_bruker(tmp_path / "T-1", movie, bidirectional=True)
    with _open(folder) as extractor:
        np.testing.assert_array_equal(extractor.get_series(), movie)


def test_a_plane_swept_forth_and_back_comes_at_uneven_times(tmp_path):
    folder = write_bruker(
        tmp_path / "T-1", _movie(4, 12, 9, 3), sampling_frequency=10.0, bidirectional=True
    )
    for plane, first, second in ((0, 0, 2), (1, 1, 1), (2, 2, 0)):
        with _open(folder, plane_index=plane) as extractor:
            frames = np.array([first, 3 + second, 6 + first, 9 + second])
            np.testing.assert_allclose(extractor.get_native_timestamps(), frames / 30, atol=2e-9)
            assert extractor.get_sampling_frequency() == pytest.approx(10.0)


# --- times ------------------------------------------------------------------------------------


@pytest.mark.parametrize("restart_times", [False, True])
def test_irregular_times_are_those_of_the_frames(tmp_path, restart_times):
    """Bursts of four frames at 20 Hz, ten seconds apart."""
    times = np.concatenate([10.0 * burst + np.arange(4) / 20 for burst in range(3)])
    folder = write_bruker(
        tmp_path / "T-1",
        _movie(12, 12, 9),
        sampling_frequency=20.0,
        timestamps=times,
        frames_per_cycle=4,
        sequence_type="TSeries Brightness Over Time Element",
        restart_times=restart_times,
    )
    with _open(folder) as extractor:
        np.testing.assert_allclose(extractor.get_native_timestamps(), times, atol=1e-9)
        assert extractor.get_sampling_frequency() == pytest.approx(20.0)


def test_without_times_the_period_of_a_frame_gives_the_rate(tmp_path):
    folder = write_bruker(
        tmp_path / "T-1",
        _movie(4, 12, 9, 2),
        sampling_frequency=5.0,
        settings={"rastersPerFrame": "4", "framePeriod": "0.025"},
    )
    _edit(folder, ("relativeTime", "someTime"), ("absoluteTime", "otherTime"))
    with _open(folder) as extractor:
        assert extractor.get_native_timestamps() is None
        assert extractor.get_sampling_frequency() == pytest.approx(5.0)


def test_neither_times_nor_a_period(tmp_path):
    folder = write_bruker(tmp_path / "T-1", _movie(1, 12, 9), settings={"framePeriod": None})
    with pytest.raises(SourceError, match="framePeriod"):
        _open(folder)


# --- incomplete recordings --------------------------------------------------------------------


def test_the_last_volume_is_left_out_when_it_lacks_planes(tmp_path):
    """Fault: a last cycle that was broken off ends with an error, or shifts planes."""
    movie = _movie(4, 12, 9, 3)
    folder = write_bruker(tmp_path / "T-1", movie, num_frames=11)
    with pytest.warns(UserWarning, match="last of 4 samples is left out.* 2 of 3 planes"):
        extractor = _open(folder)
    np.testing.assert_array_equal(extractor.get_series(), movie[:3])


def test_the_last_sample_is_left_out_when_its_files_are_missing(tmp_path):
    movies = {1: _movie(5, 12, 9), 2: _movie(5, 12, 9, first=900)}
    folder = write_bruker(tmp_path / "T-1", movies)
    (folder / "T-1_Cycle00001_Ch2_000005.ome.tif").unlink()
    for name, movie in (("Ch1", movies[1]), ("Ch2", movies[2])):
        with pytest.warns(UserWarning, match="last of 5 samples .* 1 of its files"):
            extractor = _open(folder, channel_name=name)
        np.testing.assert_array_equal(extractor.get_series(), movie[:4])


@pytest.mark.parametrize("missing", [["000002"], ["000004", "000005"], ["000001", "000005"]])
def test_files_missing_elsewhere(tmp_path, missing):
    folder = write_bruker(tmp_path / "T-1", _movie(5, 12, 9))
    for number in missing:
        (folder / f"T-1_Cycle00001_Ch2_{number}.ome.tif").unlink()
    with pytest.raises(SourceError, match=f"{len(missing)} files are missing.*{missing[0]}"):
        _open(folder)


def test_a_volume_in_between_that_lacks_planes(tmp_path):
    folder = write_bruker(tmp_path / "T-1", _movie(3, 12, 9, 3))
    xml = folder / "T-1.xml"
    text = xml.read_text(encoding="utf-8-sig")
    start = text.index("<Frame", text.index('cycle="2"'))
    xml.write_text(text[:start] + text[text.index("</Frame>", start) + 8 :])
    with pytest.raises(SourceError, match="cycle 2 has 2 planes, cycle 1 has 3"):
        _open(folder)


def test_cycles_of_different_kinds(tmp_path):
    folder = write_bruker(tmp_path / "T-1", _movie(3, 12, 9, 3))
    _edit(
        folder,
        (
            '<Sequence type="TSeries ZSeries Element" cycle="3"',
            '<Sequence type="TSeries Timed Element" cycle="3"',
        ),
    )
    with pytest.raises(SourceError, match=r"cycle 1 .* has volumes, cycle 3 .* single planes"):
        _open(folder)


def test_images_that_the_xml_does_not_name(tmp_path):
    folder = write_bruker(tmp_path / "T-1", _movie(5, 12, 9))
    (folder / "T-1_Cycle00002_Ch2_000001.ome.tif").touch()
    with pytest.warns(UserWarning, match="names 5 image files; 1 more"):
        _open(folder)


@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_truncated_image(tmp_path, number):
    folder = write_bruker(tmp_path / "T-1", _movie(5, 12, 9))
    path = folder / f"T-1_Cycle00001_Ch2_{number:06d}.ome.tif"
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(CorruptSourceError, match=path.name):
        _open(folder).get_series()


def test_an_image_of_too_few_pages(tmp_path):
    folder = write_bruker(tmp_path / "T-1", _movie(6, 12, 9), pages_per_file=3)
    tifffile.imwrite(folder / "T-1_Cycle00001_Ch2_000004.ome.tif", _movie(2, 12, 9))
    with pytest.raises(CorruptSourceError, match=r"has 2 pages, .* refers to 3"):
        _open(folder)


def test_an_image_of_another_shape(tmp_path):
    folder = write_bruker(tmp_path / "T-1", _movie(5, 12, 9))
    tifffile.imwrite(folder / "T-1_Cycle00001_Ch2_000003.ome.tif", _movie(9, 12))
    extractor = _open(folder)
    with pytest.raises(SourceError, match=r"000003.*\(9, 12\)"):
        extractor.get_series()


@pytest.mark.parametrize("size", [0, 30, 700, 2000])
def test_a_truncated_xml(tmp_path, size):
    folder = write_bruker(tmp_path / "T-1", _movie(5, 12, 9))
    xml = folder / "T-1.xml"
    xml.write_bytes(xml.read_bytes()[:size])
    with pytest.raises(CorruptSourceError, match="truncated"):
        _open(folder)


def test_other_xml(tmp_path):
    (tmp_path / "a.xml").write_text("<VRecSessionEntry/>")
    with pytest.raises(SourceError, match="VRecSessionEntry"):
        BrukerTiffExtractor(tmp_path / "a.xml")
    (tmp_path / "b.xml").write_text('<PVScan version="5.6"/>')
    with pytest.raises(SourceError, match="has no frames"):
        BrukerTiffExtractor(tmp_path / "b.xml")
    with pytest.raises(SourceNotFoundError):
        BrukerTiffExtractor(tmp_path / "c.xml")
    frame = '<PVScan version="5.6"><Sequence><Frame>{}</Frame></Sequence></PVScan>'
    (tmp_path / "d.xml").write_text(frame.format(""))
    with pytest.raises(SourceError, match="names no image file"):
        BrukerTiffExtractor(tmp_path / "d.xml")
    (tmp_path / "e.xml").write_text(frame.format('<File channel="1"/>'))
    with pytest.raises(CorruptSourceError, match="lacks its filename"):
        BrukerTiffExtractor(tmp_path / "e.xml")


def test_wrong_arguments(tmp_path):
    folder = write_bruker(tmp_path / "T-1", {1: _movie(2, 12, 9, 2), 2: _movie(2, 12, 9, 2)})
    with pytest.raises(SourceArgumentError, match=r"needed; .* Ch1, Ch2"):
        _open(folder)
    with pytest.raises(SourceArgumentError, match="is 'Ch3'"):
        _open(folder, channel_name="Ch3")
    with pytest.raises(SourceArgumentError, match="plane_index is 2"):
        _open(folder, channel_name="Ch1", plane_index=2)
    with _open(folder, channel_name="Ch1") as extractor, pytest.raises(SourceArgumentError):
        extractor.get_series(1, 4)


# --- many files -------------------------------------------------------------------------------


def test_six_thousand_files_are_opened_at_once(tmp_path):
    """Fault: the header of each image is read on opening, which takes minutes on a server."""
    movie = _movie(6000, 2, 3)
    folder = write_bruker(tmp_path / "T-1", movie)
    opened: list[Path] = []
    original = Path.open

    def counted(self: Path, *args: Any, **kwargs: Any) -> Any:
        opened.append(self)
        return original(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", counted)
        start = time.process_time()
        extractor = _open(folder)
        seconds = time.process_time() - start
    # The first and the last one, whose own names are also compared.
    assert len([path for path in opened if path.suffix == ".tif"]) <= 6
    assert len({path for path in opened if path.suffix == ".tif"}) <= 2
    # 0.4 s on a machine of its own.
    assert seconds < 5
    np.testing.assert_array_equal(extractor.get_series(), movie)
    extractor.close()


def test_several_threads_read_at_once(tmp_path):
    movie = _movie(200, 12, 9)
    extractor = _open(write_bruker(tmp_path / "T-1", movie))
    wrong: list[int] = []

    def read(start: int) -> None:
        if not np.array_equal(extractor.get_series(start, start + 25), movie[start : start + 25]):
            wrong.append(start)

    threads = [threading.Thread(target=read, args=(start,)) for start in range(0, 200, 25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_settings_of_both_versions_are_the_same(tmp_path):
    read = [
        read_prairie_xml(write_bruker(tmp_path / v, _movie(2, 12, 9), version=v) / f"{v}.xml")
        for v in ("5.6.64.400", "4.1.1.4")
    ]
    for name in ("micronsPerPixel", "pmtGain", "framePeriod", "laserWavelength", "objectiveLens"):
        assert read[0].indexed(name) == read[1].indexed(name) != {}
    assert read[0].cycles[0].frames[0].z == read[1].cycles[0].frames[0].z == (166.5,)


def test_the_xml_is_parsed_once_for_all_channels_and_planes(tmp_path, monkeypatch):
    """Fault: the XML of a long recording, of 100 MB, is parsed for each of its streams."""
    movies = {1: _movie(3, 12, 9, 2), 2: _movie(3, 12, 9, 2)}
    folder = write_bruker(tmp_path / "T-1", movies)
    read: list[Path] = []

    def counted(path: Path) -> Any:
        read.append(path)
        return read_prairie_xml(path)

    monkeypatch.setattr("nwb_ophys.formats.bruker.reader.read_prairie_xml", counted)
    for number in (1, 2):
        for plane in (0, 1):
            _open(folder, channel_name=f"Ch{number}", plane_index=plane).close()
    assert len(read) == 1
    for path in folder.glob("*.tif"):
        path.unlink()
    write_bruker(folder, {1: _movie(4, 12, 9)})
    with _open(folder) as extractor:
        np.testing.assert_array_equal(extractor.get_series(), _movie(4, 12, 9))


def test_files_of_more_pages_than_are_named(tmp_path):
    """Fault: pages that the XML file does not name are left out without a word."""
    folder = write_bruker(tmp_path / "T-1", _movie(5, 12, 9))
    for number in (1, 5):
        path = folder / f"T-1_Cycle00001_Ch2_{number:06d}.ome.tif"
        before = path.read_bytes()
        tifffile.imwrite(path, _movie(3, 12, 9), photometric="minisblack")
        with pytest.warns(UserWarning, match=f"{number:06d}.* has 3 pages, but only the first 1 "):
            _open(folder).close()
        path.write_bytes(before)


def test_names_in_other_letters_than_in_the_xml(tmp_path):
    """Fault: files that were copied to names in upper case are called missing."""
    movies = {1: _movie(5, 12, 9), 2: _movie(5, 12, 9, first=900)}
    folder = write_bruker(tmp_path / "T-1", movies)
    for path in folder.glob("*Ch2*.tif"):
        path.rename(path.with_name(path.name.upper()))
    for number, movie in movies.items():
        with _open(folder, channel_name=f"Ch{number}") as extractor:
            np.testing.assert_array_equal(extractor.get_series(), movie)


@pytest.mark.parametrize("stated", ["True", "False"])
@pytest.mark.parametrize("z_step", [0.0, 5.0])
def test_sweeps_in_both_directions_without_depths_cause_a_warning(
    tmp_path, recwarn, stated, z_step
):
    """Fault: planes of every other volume could be upside down without a word."""
    folder = write_bruker(tmp_path / "T-1", _movie(4, 12, 9, 3), bidirectional=True, z_step=z_step)
    xml = folder / "T-1.xml"
    text = xml.read_text(encoding="utf-8-sig")
    xml.write_text(text.replace("<Sequence ", f'<Sequence bidirectionalZ="{stated}" '))
    BrukerTiffExtractor(xml).close()
    found = ["bidirectionalZ" in str(each.message) for each in recwarn]
    assert found == [True] * (stated == "True" and not z_step)


def test_numbers_with_decimal_commas(tmp_path):
    """Fault: times were left out without a word, and the planned rate was written."""
    times = [0.0, 0.1, 0.25, 0.3]
    folder = write_bruker(tmp_path / "T-1", np.zeros((4, 6, 7), "u2"), timestamps=times)
    xml = folder / "T-1.xml"
    head, rest = xml.read_text(encoding="utf-8-sig").split("\n", 1)
    rest = re.sub(r'"(\d+)\.(\d+)"', r'"\1,\2"', rest)
    assert 'absoluteTime="6,8' in rest
    xml.write_text(f"{head}\n{rest}")
    with BrukerTiffExtractor(xml) as extractor:
        np.testing.assert_allclose(extractor.get_native_timestamps(), times)


def test_times_faster_than_the_scanner(tmp_path):
    """Fault: times that contradict framePeriod were written without a word; pauses are usual."""
    movie = np.zeros((6, 4, 5), np.uint16)
    for name, rate in (("fast", 60.0), ("slow", 2.0)):
        (tmp_path / name).mkdir()
        times = np.arange(6) / rate
        path = write_bruker(tmp_path / name, movie, timestamps=times, sampling_frequency=30.0)
        xml = next(Path(path).glob("*.xml")) if Path(path).is_dir() else path
        if name == "slow":
            assert BrukerTiffExtractor(xml).get_sampling_frequency() == 2
            continue
        with pytest.warns(UserWarning, match=r"give 60 Hz, .* 30 Hz at most \(framePeriod\)"):
            assert round(BrukerTiffExtractor(xml).get_sampling_frequency(), 3) == 60


def test_times_that_do_not_ascend_are_said_not_to_be_used(tmp_path):
    """Fault: the planned rate was written in place of the stated times without a word."""
    path = write_bruker(tmp_path, np.zeros((4, 4, 5), np.uint16), timestamps=[0, 0.1, 0.1, 0.3])
    xml = next(Path(path).glob("*.xml")) if Path(path).is_dir() else path
    with pytest.warns(UserWarning, match=r"\(absoluteTime\) do not ascend in .*\(framePeriod\)"):
        assert BrukerTiffExtractor(xml).get_native_timestamps() is None
