"""Streams: the parts of a path, their names, and the arguments that choose among them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nwb_ophys.interfaces.streams import (
    Part,
    distinct_labels,
    indexed_parts,
    named_parts,
    part_name,
    streams_of,
)

PATH = Path("session")


def _part(*, num_planes: int = 1, defaults: dict | None = None, **names: str) -> Part:
    """Return a part whose names are also the arguments that choose it."""
    arguments = {"folder_path": PATH, **{f"{kind}_name": name for kind, name in names.items()}}
    return Part(arguments=arguments, defaults=defaults or {}, num_planes=num_planes, **names)


RECORDINGS = ("R1", "R2")
POSITIONS = ("P1", "P2")
CHANNELS = ("Ch1", "Ch2")


@pytest.mark.parametrize(
    ("recordings", "positions", "channels", "names"),
    [
        (("R1",), ("P1",), ("Ch1",), [""]),
        (("R1",), ("P1",), CHANNELS, ["Ch1", "Ch2"]),
        (("R1",), POSITIONS, ("Ch1",), ["P1", "P2"]),
        (RECORDINGS, ("P1",), ("Ch1",), ["R1", "R2"]),
        (("R1",), POSITIONS, CHANNELS, ["P1 Ch1", "P1 Ch2", "P2 Ch1", "P2 Ch2"]),
        (RECORDINGS, ("P1",), CHANNELS, ["R1 Ch1", "R1 Ch2", "R2 Ch1", "R2 Ch2"]),
    ],
)
def test_a_name_is_in_the_stream_where_there_are_several(recordings, positions, channels, names):
    parts = [
        _part(recording=recording, position=position, channel=channel)
        for recording in recordings
        for position in positions
        for channel in channels
    ]
    streams = streams_of(parts, {})
    assert list(streams) == names
    assert list(streams.values()) == [part.arguments for part in parts]


def test_channels_are_counted_at_their_own_position():
    parts = [
        _part(position="P1", channel="Ch1"),
        _part(position="P2", channel="Ch1"),
        _part(position="P2", channel="Ch2"),
    ]
    assert list(streams_of(parts, {})) == ["P1", "P2 Ch1", "P2 Ch2"]


def test_the_name_of_a_chosen_part_is_the_same_as_among_all_parts():
    parts = [_part(channel=channel) for channel in CHANNELS]
    streams = streams_of(parts, {"channel_name": "Ch2"})
    assert streams == {"Ch2": {"folder_path": PATH, "channel_name": "Ch2"}}


def test_labels_name_only_the_parts_that_were_chosen():
    parts = named_parts(["first", "second"], "table_name", file_path=PATH)
    assert list(streams_of(parts, {})) == ["first", "second"]
    assert list(streams_of(parts, {"table_name": "second"})) == [""]


def test_arguments_choose_the_parts_with_the_same_value():
    parts = [
        _part(position=position, channel=channel) for position in POSITIONS for channel in CHANNELS
    ]
    streams = streams_of(parts, {"position_name": "P2"})
    assert [each["channel_name"] for each in streams.values()] == ["Ch1", "Ch2"]
    assert {each["position_name"] for each in streams.values()} == {"P2"}


def test_none_chooses_nothing():
    parts = [_part(channel=channel) for channel in CHANNELS]
    streams = streams_of(parts, {"channel_name": None})
    assert [each["channel_name"] for each in streams.values()] == ["Ch1", "Ch2"]


def test_an_argument_that_parts_do_not_have_goes_to_every_stream():
    parts = [_part(channel=channel, defaults={"rate": 1.0, "order": "TYX"}) for channel in CHANNELS]
    streams = streams_of(parts, {"rate": 2.0})
    assert [each["rate"] for each in streams.values()] == [2.0, 2.0]
    assert [each["order"] for each in streams.values()] == ["TYX", "TYX"]


def test_a_choice_that_fits_no_part_is_left_to_the_reader():
    parts = [_part(channel=channel, defaults={"rate": 1.0}) for channel in CHANNELS]
    (arguments,) = streams_of(parts, {"channel_name": "Ch9", "plane_index": None}).values()
    assert arguments == {"folder_path": PATH, "channel_name": "Ch9", "plane_index": None}


def test_volumes_are_one_stream():
    part = _part(channel="Ch1", num_planes=3)
    assert streams_of([part], {}) == {"": part.arguments}


def test_without_as_volume_each_plane_is_a_stream():
    parts = [_part(channel=channel, num_planes=2) for channel in CHANNELS]
    streams = streams_of(parts, {}, as_volume=False)
    assert list(streams) == ["Ch1 plane0", "Ch1 plane1", "Ch2 plane0", "Ch2 plane1"]
    assert [each["plane_index"] for each in streams.values()] == [0, 1, 0, 1]


@pytest.mark.parametrize(("num_planes", "given"), [(1, {}), (3, {"plane_index": 2})])
def test_as_volume_changes_neither_a_movie_of_one_plane_nor_a_chosen_plane(num_planes, given):
    part = _part(channel="Ch1", num_planes=num_planes)
    assert streams_of([part], given, as_volume=False) == {"": {**part.arguments, **given}}


def test_equal_names_are_numbered():
    parts = [Part(arguments={"file_path": PATH / str(i)}, channel="Ch1") for i in range(3)]
    streams = streams_of(parts, {})
    assert list(streams) == ["", "#2", "#3"]
    others = [_part(channel="Ch0"), *(_part(channel="Ch1") for _ in range(2))]
    assert list(streams_of(others, {})) == ["Ch0", "Ch1", "Ch1 #2"]


def test_spaces_in_names_are_single():
    parts = [_part(recording="R1", channel=" Ch  1"), _part(recording="R2", channel="Ch2")]
    assert list(streams_of(parts, {})) == ["R1", "R2"]
    parts = [_part(channel=" Ch  1"), _part(channel="Ch2")]
    assert list(streams_of(parts, {})) == ["Ch 1", "Ch2"]


def test_channels_with_an_index_need_no_index_where_there_is_one():
    (only,) = indexed_parts(1, 4, file_path=PATH)
    assert only == Part(arguments={"file_path": PATH}, num_planes=4)
    streams = streams_of(indexed_parts(2, 1, file_path=PATH), {})
    assert streams == {
        "channel0": {"file_path": PATH, "channel_index": 0},
        "channel1": {"file_path": PATH, "channel_index": 1},
    }


def test_names_need_no_argument_where_there_is_one():
    assert named_parts(["only"], "table_name", file_path=PATH) == [
        Part(arguments={"file_path": PATH})
    ]


def test_names_of_parts():
    assert part_name("", "Channel 1", plane_index=2) == "Channel 1 Plane2"
    assert part_name("", "") == ""
    assert part_name("P1", plane_index=0) == "P1 Plane0"
    labels = ("chan1", "plane0", "left")
    others = [labels, ("chan1", "plane1", "left"), ("chan2", "plane0", "left")]
    assert distinct_labels(labels, others) == ["chan1", "plane0"]
