"""Frames with the settings of frames before are read as if each was parsed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.filetypes.xml import iterate_xml
from nwb_ophys.formats.bruker import own_names
from nwb_ophys.formats.bruker import xml as bruker_xml
from nwb_ophys.formats.bruker.reader import BrukerTiffExtractor
from nwb_ophys.formats.bruker.sample import write_bruker
from nwb_ophys.formats.bruker.xml import PrairieRecording, read_prairie_xml

MOVIE = np.arange(12 * 8 * 8, dtype="uint16").reshape(12, 8, 8)
VOLUMES = np.arange(6 * 8 * 8 * 3, dtype="uint16").reshape(6, 8, 8, 3)


def everything(recording: PrairieRecording) -> list[Any]:
    """Return all of a recording, with the facts of frames that are not compared otherwise."""
    return [recording, [dict(f.facts) for c in recording.cycles for f in c.frames]]


def parsed_each(path: Path, monkeypatch: pytest.MonkeyPatch) -> PrairieRecording:
    with monkeypatch.context() as patch:
        patch.setattr(bruker_xml, "iterate_repeated", lambda file, *_, **__: iterate_xml(file))
        return read_prairie_xml(path)


@pytest.mark.parametrize(
    "arguments",
    [
        {"channels": MOVIE},
        {"channels": {1: MOVIE, 2: MOVIE + 1}, "frames_per_cycle": 4},
        {"channels": MOVIE, "version": "4.0.0.55"},
        {"channels": MOVIE, "pages_per_file": 3},
        {"channels": VOLUMES, "bidirectional": True},
        {"channels": {1: MOVIE, 2: MOVIE}, "channel_names": {1: "Réd", 2: "Green & blue"}},
    ],
)
def test_recordings_are_equal(
    arguments: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_bruker(tmp_path / "TSeries-1", **arguments) / "TSeries-1.xml"
    assert everything(read_prairie_xml(path)) == everything(parsed_each(path, monkeypatch))


def test_settings_of_a_cycle_hold_for_its_repeated_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_bruker(tmp_path / "TSeries-1", MOVIE, frames_per_cycle=4) / "TSeries-1.xml"
    text = path.read_text(encoding="utf-8-sig")
    first, second, third, *others = text.split("<PVStateShard />")
    power = '<PVStateShard><PVStateValue key="opticalZoom" value="{}" /></PVStateShard>'
    path.write_text(
        first + power.format(3) + second + power.format(4) + third + "".join(others), "utf-8"
    )
    recording = read_prairie_xml(path)
    assert everything(recording) == everything(parsed_each(path, monkeypatch))
    zooms = [[f.facts["opticalZoom",] for f in cycle.frames] for cycle in recording.cycles]
    assert zooms == [["3"] * 4, ["4"] * 4, ["2"] * 4]


def test_repeated_frames_share_their_settings(tmp_path: Path) -> None:
    path = write_bruker(tmp_path / "TSeries-1", VOLUMES) / "TSeries-1.xml"
    frames = [frame for cycle in read_prairie_xml(path).cycles for frame in cycle.frames]
    assert len({id(frame.z) for frame in frames[3:]}) <= 6
    assert len({id(frame.facts) for frame in frames}) == 1


def test_an_error_names_the_line_of_the_file(tmp_path: Path) -> None:
    path = write_bruker(tmp_path / "TSeries-1", MOVIE) / "TSeries-1.xml"
    lines = path.read_text(encoding="utf-8-sig").split("\n")
    lines[-3] = lines[-3].replace("</Frame>", "</Fram>")
    path.write_text("\n".join(lines))
    with pytest.raises(CorruptSourceError, match=f"mismatched tag: line {len(lines) - 2},"):
        read_prairie_xml(path)


def test_a_repeated_frame_without_a_name_is_refused(tmp_path: Path) -> None:
    path = write_bruker(tmp_path / "TSeries-1", MOVIE) / "TSeries-1.xml"
    text = path.read_text(encoding="utf-8-sig")
    path.write_text(text.replace('filename="TSeries-1_Cycle00001_Ch2_000009.ome.tif" ', ""))
    with pytest.raises(CorruptSourceError, match="a <File> of frame 9 of cycle 1 lacks"):
        read_prairie_xml(path)


def test_only_the_first_and_the_last_path_are_made_when_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_bruker(tmp_path / "TSeries-1", MOVIE) / "TSeries-1.xml"
    checked = []
    monkeypatch.setattr(
        "nwb_ophys.formats.bruker.reader.check_own_name",
        lambda source: checked.append(source.table.path.name[-14:-8]),
    )
    extractor = BrukerTiffExtractor(path)
    assert checked == ["000001", "000012"]
    np.testing.assert_array_equal(extractor.get_series(0, 12), MOVIE)
    assert sorted(checked) == [f"{number:06d}" for number in range(1, 13)]
    extractor.close() if hasattr(extractor, "close") else None


def test_the_list_of_names_is_not_copied_for_each_file(tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    source.write_bytes(b"")
    listed = own_names._names_in(source, 0)
    assert own_names._names_in(source, 0) is listed
