"""Positions of the stage: each is a stream with its own frames, times and coordinates."""

from __future__ import annotations

import re

import numpy as np
import pytest

import nwb_ophys
from nwb_ophys import BrukerImagingInterface
from nwb_ophys.errors import SourceArgumentError
from nwb_ophys.formats.bruker.contents import _positions
from nwb_ophys.formats.bruker.xml import Cycle, Frame
from nwb_ophys.testing import write_bruker

METADATA = {"NWBFile": {"session_start_time": "2024-05-17T14:03:21+00:00"}}


def _movie(*shape):
    return np.random.default_rng(2).integers(0, 999, shape).astype("uint16")


def _move(folder, places):
    """Replace the coordinates of the stage in each cycle: texts by axis, or None to keep them."""
    xml = folder / f"{folder.name}.xml"
    head, *cycles = re.split(r"(?=<Sequence )", xml.read_text(encoding="utf-8-sig"))
    for index, place in enumerate(places):
        for axis, value in (place or {}).items():
            new = rf'(index="{axis}"><SubindexedValue subindex="0" value=")[^"]*'
            old = rf'(key="positionCurrent_{axis}"[^>]*value=")[^"]*'
            for pattern in (new, old):
                cycles[index] = re.sub(pattern, rf"\g<1>{value}", cycles[index])
    xml.write_text("".join([head, *cycles]), encoding="utf-8-sig")
    return folder


@pytest.mark.parametrize("version", ["5.6.64.400", "4.3.2.24"])
def test_alternating_positions_are_a_stream_each(tmp_path, version):
    movie = _movie(12, 12, 9)
    folder = write_bruker(
        tmp_path / "T-1", movie, frames_per_cycle=3, sampling_frequency=10.0, version=version
    )
    away = {"XAxis": "514.9", "YAxis": "-20"}
    _move(folder, [None, away, None, away])
    session = nwb_ophys.open(folder)
    assert list(session.interfaces) == ["bruker Position0", "bruker Position1"]
    first, second = session.interfaces.values()
    np.testing.assert_array_equal(first.extractor.get_series(), movie[[0, 1, 2, 6, 7, 8]])
    np.testing.assert_array_equal(second.extractor.get_series(), movie[[3, 4, 5, 9, 10, 11]])
    times = np.arange(12) / 10
    np.testing.assert_allclose(first.get_timestamps(), times[[0, 1, 2, 6, 7, 8]])
    np.testing.assert_allclose(second.get_timestamps(), times[[3, 4, 5, 9, 10, 11]])
    planes = session.create_nwbfile(METADATA).imaging_planes
    assert sorted(planes) == ["ImagingPlanePosition0", "ImagingPlanePosition1"]
    origins = [planes[name].origin_coords for name in sorted(planes)]
    np.testing.assert_allclose(
        origins, [[14.9e-6, 56.2e-6, 166.5e-6], [514.9e-6, -20e-6, 166.5e-6]]
    )
    assert {plane.origin_coords_unit for plane in planes.values()} == {"meters"}


def test_one_position_is_chosen_by_its_index(tmp_path):
    folder = write_bruker(tmp_path / "T-1", _movie(6, 12, 9), frames_per_cycle=3)
    _move(folder, [None, {"YAxis": "99"}])
    with pytest.raises(SourceArgumentError, match="2 positions of the stage; choose one with pos"):
        BrukerImagingInterface(folder)
    second = BrukerImagingInterface(folder, position_index=1)
    np.testing.assert_array_equal(second.extractor.get_series(), _movie(6, 12, 9)[3:])
    with pytest.raises(SourceArgumentError, match="position_index is 2; it must be from 0 to 1"):
        BrukerImagingInterface(folder, position_index=2)
    assert list(BrukerImagingInterface.streams(folder, position_index=1)) == ["Position1"]


def test_positions_that_differ_in_depth_alone(tmp_path):
    folder = write_bruker(tmp_path / "T-1", _movie(6, 12, 9), frames_per_cycle=3)
    _move(folder, [None, {"ZAxis": "300"}])
    first, second = nwb_ophys.open(folder).interfaces.values()
    depths = [
        interface.get_metadata()["Ophys"]["ImagingPlane"][0]["origin_coords"][2]
        for interface in (first, second)
    ]
    assert depths == pytest.approx([166.5e-6, 300e-6])


def test_jitter_of_the_stage_is_one_position(tmp_path):
    folder = write_bruker(tmp_path / "T-1", _movie(9, 12, 9), frames_per_cycle=3)
    _move(folder, [None, {"XAxis": "15.3", "YAxis": "55.7", "ZAxis": "166.9"}, {"XAxis": "14.6"}])
    movie = nwb_ophys.open(folder)
    np.testing.assert_array_equal(movie.extractor.get_series(), _movie(9, 12, 9))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_planes_of_a_volume_are_no_positions(tmp_path, bidirectional):
    volumes = _movie(4, 12, 9, 3)
    folder = write_bruker(tmp_path / "T-1", volumes, bidirectional=bidirectional)
    np.testing.assert_array_equal(nwb_ophys.open(folder).extractor.get_series(), volumes)


def test_volumes_at_two_positions(tmp_path):
    volumes = _movie(4, 12, 9, 3)
    folder = write_bruker(tmp_path / "T-1", volumes)
    _move(folder, [None, {"XAxis": "900"}, None, {"XAxis": "900"}])
    first, second = nwb_ophys.open(folder).interfaces.values()
    np.testing.assert_array_equal(first.extractor.get_series(), volumes[::2])
    np.testing.assert_array_equal(second.extractor.get_series(), volumes[1::2])


def test_a_stage_that_moves_within_a_cycle_of_one_file(tmp_path):
    """The XML file does not number the pages: frame k is page k, whatever its position."""
    movie = _movie(6, 12, 9)
    folder = write_bruker(tmp_path / "T-1", movie, pages_per_file=6)
    xml = folder / "T-1.xml"
    parts = re.split(r"(?=<Frame )", xml.read_text(encoding="utf-8-sig"))
    for index in (2, 4, 6):
        parts[index] = parts[index].replace('value="14.9"', 'value="99"')
    xml.write_text(re.sub(r' page="\d+"', "", "".join(parts)), encoding="utf-8-sig")
    first, second = nwb_ophys.open(folder).interfaces.values()
    np.testing.assert_array_equal(first.extractor.get_series(), movie[::2])
    np.testing.assert_array_equal(second.extractor.get_series(), movie[1::2])


def test_relative_times_that_restart_do_not_place_a_position_in_time(tmp_path):
    folder = write_bruker(
        tmp_path / "T-1", _movie(6, 12, 9), frames_per_cycle=3, restart_times=True
    )
    _move(folder, [None, {"XAxis": "900"}])
    xml = folder / "T-1.xml"
    text = re.sub(r' absoluteTime="[^"]*"', "", xml.read_text(encoding="utf-8-sig"))
    xml.write_text(text, encoding="utf-8-sig")
    with pytest.warns(UserWarning, match=r"\(relativeTime\) do not ascend in the recording"):
        second = BrukerImagingInterface(folder, position_index=1)
    assert second.extractor.get_native_timestamps() is None
    assert second.extractor.get_sampling_frequency() == pytest.approx(30.0)


# --- the recording that a file belongs to -------------------------------------------------------


def test_each_file_belongs_to_its_folder(tmp_path):
    from nwb_ophys.paths import PathProbe

    folder = write_bruker(tmp_path / "T-1", _movie(3, 12, 9))
    for path in folder.iterdir():
        assert BrukerImagingInterface.recording_of(PathProbe(path)) == folder
    (folder / "notes.txt").write_text("")
    (folder / "other.xml").write_text("<other/>")
    for name in ("notes.txt", "other.xml"):
        assert BrukerImagingInterface.recording_of(PathProbe(folder / name)) is None
    assert BrukerImagingInterface.recording_of(PathProbe(folder)) is None


def test_a_file_of_two_recordings_in_a_folder_belongs_to_its_xml(tmp_path):
    from nwb_ophys.paths import PathProbe

    folder = write_bruker(tmp_path / "T-1", _movie(3, 12, 9))
    other = write_bruker(tmp_path / "T-2", _movie(3, 12, 9))
    for path in other.iterdir():
        path.rename(folder / path.name)
    for name in ("T-2_Cycle00001_Ch2_000001.ome.tif", "T-2.xml"):
        found = BrukerImagingInterface.recording_of(PathProbe(folder / name))
        assert found == folder / "T-2.xml"


# --- texts in other encodings -------------------------------------------------------------------


def test_a_byte_of_another_encoding_is_read(tmp_path):
    """Fault: a text that a user of Windows typed makes the whole recording unreadable."""
    folder = write_bruker(tmp_path / "T-1", _movie(3, 12, 9))
    xml = folder / "T-1.xml"
    content = xml.read_bytes().replace(b'notes="', 'notes="Größe '.encode() + b"25 \xb5m", 1)
    xml.write_bytes(content)
    movie = BrukerImagingInterface(folder)
    np.testing.assert_array_equal(movie.extractor.get_series(), _movie(3, 12, 9))
    assert movie.get_metadata()["NWBFile"]["notes"] == "Größe 25 µm"


def test_the_depths_of_a_long_cycle_are_read_once():
    """A cycle may have 100,000 frames; its depths must not be gathered for each of them."""
    num_reads = 0

    class Counted(Frame):
        @property
        def z(self):
            nonlocal num_reads
            num_reads += 1
            return (3.0,)

    frames = [Counted(index, None, None, (), (), (1.0, 2.0), {}) for index in range(500)]
    cycle = Cycle(number=1, type="TSeries Timed Element", frames=tuple(frames))
    (position,) = _positions([cycle])
    assert len(position[0].frames) == 500
    assert num_reads <= 2 * 500
