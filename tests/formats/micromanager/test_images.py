"""Tests of Micro-Manager's separate image files, and of positions of one acquisition."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from pynwb import NWBHDF5IO

import nwb_ophys
from nwb_ophys import MicroManagerImagingInterface
from nwb_ophys.cli import main
from nwb_ophys.errors import CorruptSourceError, SourceArgumentError
from nwb_ophys.paths import PathProbe
from nwb_ophys.registry import detect
from nwb_ophys.testing import write_micromanager

SUMMARY = {
    "MicroManagerVersion": "1.4.22",
    "Prefix": "session_1",
    "StartTime": "2022-04-07 15:04:05.678 +0200",
    "ChNames": ["GFP", "RFP"],
    "Channels": 2,
    "Frames": 12,
    "Slices": 2,
    "Positions": 1,
    "Interval_ms": 0,
    "PixelSize_um": 0.65,
    "z-step_um": 5,
}


@pytest.fixture
def movies() -> dict[str, np.ndarray]:
    whole = np.arange(2 * 12 * 2 * 5 * 7, dtype="uint16").reshape(2, 12, 2, 5, 7)
    return {"GFP": whole[0], "RFP": whole[1]}


def _name(version: str, channels: list[str], time: int, channel: int, plane: int) -> str:
    if version.startswith("1"):
        return f"img_{time:09d}_{channels[channel]}_{plane:03d}.tif"
    return f"img_channel{channel:03d}_position000_time{time:09d}_z{plane:03d}.tif"


def write_images(
    folder: Path,
    movies: dict[str, np.ndarray],
    *,
    version: str = "1.4",
    described: bool = True,
    summary: dict[str, Any] | None = None,
    elapsed: bool = True,
) -> dict[str, Path]:
    """Write movies (times, planes, rows, columns) as Micro-Manager does; return files by name."""
    folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"Summary": {**SUMMARY, **(summary or {})}}
    files = {}
    for time in range(len(next(iter(movies.values())))):
        for channel, movie in enumerate(movies.values()):
            for plane, image in enumerate(movie[time]):
                name = _name(version, list(movies), time, channel, plane)
                tifffile.imwrite(folder / name, image)
                files[name] = folder / name
                own = {"FrameIndex": time, "ChannelIndex": channel, "SliceIndex": plane}
                own |= {"FileName": name, "Exposure-ms": 8.5, "Camera": "Andor", "Binning": "2"}
                if elapsed:
                    own["ElapsedTime-ms"] = 50 * time + 10 * channel + plane
                if version.startswith("1"):
                    content[f"FrameKey-{time}-{channel}-{plane}"] = own
                else:
                    where = {"time": time, "channel": channel, "z": plane, "position": 0}
                    content[f"Coords-{folder.name}/{name}"] = where
                    content[f"Metadata-{folder.name}/{name}"] = own
    if not described:
        content = {"Summary": content["Summary"]}
    (folder / "metadata.txt").write_text(json.dumps(content, indent=1))
    return files


def _series(path: Path, **given: Any) -> dict[str, np.ndarray]:
    streams = MicroManagerImagingInterface.streams(path, **given)
    return {
        name: MicroManagerImagingInterface(**arguments).extractor.get_series()
        for name, arguments in streams.items()
    }


def _check(path: Path, movies: dict[str, np.ndarray], **given: Any) -> None:
    found = _series(path, **given)
    assert list(found) == (list(movies) if len(movies) > 1 else [""])
    for own, movie in zip(found.values(), movies.values(), strict=True):
        np.testing.assert_array_equal(own, movie.transpose(0, 2, 3, 1).squeeze())


@pytest.mark.parametrize("version", ["1.4", "2.0"])
@pytest.mark.parametrize("described", [True, False])
def test_channels_times_and_planes(tmp_path, movies, version, described):
    files = write_images(tmp_path / "Pos0", movies, version=version, described=described)
    for path in (tmp_path / "Pos0", tmp_path / "Pos0" / "metadata.txt", *list(files.values())[:3]):
        assert [found.format for found in detect(path)] == ["micromanager"]
        _check(path, movies, **({} if described else {"sampling_frequency": 20.0}))
        assert MicroManagerImagingInterface.recording_of(PathProbe(path)) == tmp_path / "Pos0"


def test_one_plane_and_one_channel(tmp_path, movies):
    one = {"GFP": movies["GFP"][:, :1]}
    write_images(tmp_path, one, summary={"ChNames": ["GFP"], "Channels": 1, "Slices": 1})
    interface = nwb_ophys.open(tmp_path)
    np.testing.assert_array_equal(interface.extractor.get_series(), one["GFP"][:, 0])
    assert interface.extractor.channel_name == "GFP"


def test_what_is_stated_is_in_the_file(tmp_path, movies):
    write_images(tmp_path / "Pos0", movies)
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(tmp_path / "Pos0"), "-o", str(tmp_path / "a.nwb")])
    assert ended.value.code == 0
    with NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        nwbfile = io.read()
        assert nwbfile.session_start_time.isoformat() == "2022-04-07T15:04:05.678000+02:00"
        for number, (name, movie) in enumerate(movies.items()):
            series = nwbfile.acquisition[f"OnePhotonSeries{name}"]
            np.testing.assert_array_equal(series.data[:], movie.transpose(0, 3, 2, 1))
            assert series.rate == pytest.approx(20)
            assert series.starting_time == pytest.approx(number * 0.01)
            assert series.exposure_time == pytest.approx(0.0085)
            assert series.binning == 2
            plane = series.imaging_plane
            np.testing.assert_allclose(plane.grid_spacing[:], [0.65e-6, 0.65e-6, 5e-6])
            assert plane.device.description == (
                "Microscope run by Micro-Manager 1.4.22, camera Andor."
            )


def test_a_rate_is_asked_for_if_none_is_stated(tmp_path, movies):
    write_images(tmp_path / "a", movies, described=False)
    with pytest.raises(SourceArgumentError, match="give sampling_frequency"):
        nwb_ophys.open(tmp_path / "a")
    write_images(tmp_path / "b", movies, elapsed=False, summary={"Interval_ms": 250})
    for arguments in MicroManagerImagingInterface.streams(tmp_path / "b").values():
        extractor = MicroManagerImagingInterface(**arguments).extractor
        assert extractor.get_sampling_frequency() == 4
        assert extractor.get_native_timestamps() is None


def test_metadata_come_before_names(tmp_path):
    movie = {"GFP": np.arange(3 * 35, dtype="uint16").reshape(3, 1, 5, 7)}
    write_images(tmp_path, movie, summary={"Frames": 3})
    path = tmp_path / "metadata.txt"
    content = json.loads(path.read_text())
    first, last = content["FrameKey-0-0-0"], content["FrameKey-2-0-0"]
    first["FileName"], last["FileName"] = last["FileName"], first["FileName"]
    path.write_text(json.dumps(content))
    _check(tmp_path, {"GFP": movie["GFP"][::-1]})


def test_missing_and_other_images_are_named(tmp_path, movies):
    files = write_images(tmp_path, movies)
    files["img_000000005_RFP_001.tif"].unlink()
    for name in ("AVG_all.tif", "img_000000090_GFP_000.tif"):
        tifffile.imwrite(tmp_path / name, np.ones((5, 7), "uint16"))
    assert [found.format for found in detect(tmp_path)] == ["micromanager"]
    missing = "lists 1 images that are missing: img_000000005_RFP_001.tif"
    with pytest.warns(UserWarning, match=missing):
        streams = MicroManagerImagingInterface.streams(tmp_path)
    found = MicroManagerImagingInterface.group(PathProbe(tmp_path))
    assert {each.path.name for each in found.left_out} == {
        "AVG_all.tif",
        "img_000000090_GFP_000.tif",
    }
    assert {each.reason for each in found.left_out} == {"metadata.txt does not list it"}
    with pytest.warns(UserWarning, match="of channel RFP lack images .time 5 lacks plane 1"):
        interface = MicroManagerImagingInterface(**streams["RFP"])
    np.testing.assert_array_equal(
        interface.extractor.get_series(), np.delete(movies["RFP"], 5, 0).transpose(0, 2, 3, 1)
    )
    expected = np.delete(np.arange(12), 5) * 0.05 + 0.01
    np.testing.assert_allclose(interface.get_timestamps(), expected)


def test_fewer_times_than_the_summary_states_are_said(tmp_path, movies):
    short = {name: movie[:7] for name, movie in movies.items()}
    write_images(tmp_path, short, described=False)
    with pytest.warns(UserWarning, match="states 12 times, but there are images of 7"):
        _check(tmp_path, short, sampling_frequency=20.0)


def test_an_interrupted_acquisition_is_read(tmp_path, movies):
    write_images(tmp_path, movies)
    path = tmp_path / "metadata.txt"
    text = path.read_text().rstrip()
    assert text.endswith("}")
    path.write_text(text[:-1].rstrip() + ",\n")
    _check(tmp_path, movies)
    path.write_text(text[: len(text) // 2])
    with pytest.raises(CorruptSourceError, match="truncated or damaged"):
        nwb_ophys.open(tmp_path)


def test_names_of_channels_with_underscores_or_none(tmp_path):
    names = ["Cy5_long", "", "DAPI-2"]
    movies = {name: np.full((3, 1, 5, 7), number, "uint16") for number, name in enumerate(names)}
    write_images(
        tmp_path, movies, described=False, summary={"ChNames": names, "Frames": 3, "Slices": 1}
    )
    found = _series(tmp_path, sampling_frequency=1.0)
    assert [int(movie[0, 0, 0]) for movie in found.values()] == [0, 1, 2]


def test_several_positions_in_one_folder(tmp_path):
    for position in range(2):
        for time in range(3):
            name = f"img_channel000_position{position:03d}_time{time:09d}_z000.tif"
            tifffile.imwrite(tmp_path / name, np.full((5, 7), 10 * position + time, "uint16"))
    summary = {"Summary": {**SUMMARY, "ChNames": ["GFP"], "Frames": 3}}
    (tmp_path / "metadata.txt").write_text(json.dumps(summary))
    found = _series(tmp_path, sampling_frequency=1.0)
    assert list(found) == ["Pos0", "Pos1"]
    for number, movie in enumerate(found.values()):
        assert movie[:, 0, 0].tolist() == [10 * number + time for time in range(3)]


def test_two_files_of_one_frame_are_refused(tmp_path):
    movie = {"GFP": np.ones((2, 1, 5, 7), "uint16")}
    files = write_images(tmp_path, movie, described=False, summary={"Frames": 2})
    first = next(iter(files.values()))
    first.with_name(first.name.replace(".tif", ".tiff")).write_bytes(first.read_bytes())
    with pytest.raises(CorruptSourceError, match="are the same time, channel, plane and position"):
        nwb_ophys.open(tmp_path, sampling_frequency=1.0)


def test_images_without_metadata_are_plain(tmp_path, movies):
    write_images(tmp_path, movies)
    (tmp_path / "metadata.txt").write_text("notes of the day")
    assert "micromanager" not in {found.format for found in detect(tmp_path)}


# --- positions of one acquisition ---------------------------------------------------------------


def _starts(path: Path) -> set[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metadata = nwb_ophys.open(path).get_metadata()
    return metadata["NWBFile"]["session_start_time"].isoformat()


def test_folders_of_positions_share_the_start(tmp_path, movies):
    for number in range(3):
        start = f"2022-04-07 15:04:0{5 + number}.000 +0200"
        summary = {"Positions": 3, "StartTime": start, "PositionIndex": number}
        others = {name: movie + number for name, movie in movies.items()}
        write_images(tmp_path / f"Pos{number}", others, summary=summary)
    assert _starts(tmp_path) == "2022-04-07T15:04:05+02:00"
    converter = nwb_ophys.open(tmp_path)
    assert len(converter.interfaces) == 6
    for interface in converter.interfaces.values():
        interface.extractor.close()


def test_stacks_of_positions_share_the_start(tmp_path, movies):
    movie = movies["GFP"][:, 0]
    for number in range(2):
        (path,) = write_micromanager(
            tmp_path / f"{number}",
            movie,
            start=f"2022-04-07 15:04:0{5 + number}.000 +0200",
            summary={"Positions": 2},
        )
        text = path.read_bytes().replace(b"MMStack_Pos0", b"MMStack_Pos%d" % number)
        (tmp_path / f"session_MMStack_Pos{number}.ome.tif").write_bytes(text)
        path.unlink()
        (path.parent / "DisplaySettings.json").unlink()
        path.parent.rmdir()
    assert _starts(tmp_path) == "2022-04-07T15:04:05+02:00"


def test_other_acquisitions_keep_their_starts(tmp_path, movies):
    for number, prefix in enumerate(("a_1", "a_2")):
        summary = {
            "Positions": 2,
            "StartTime": f"2022-04-07 15:04:0{5 + number}.000 +0200",
            "Prefix": prefix,
        }
        write_images(tmp_path / f"P{number}", movies, summary=summary)
    with pytest.warns(UserWarning, match="different session starts"):
        nwb_ophys.open(tmp_path).get_metadata()


def test_a_truncated_image_ends_all_channels(tmp_path, movies):
    files = write_images(tmp_path / "in", movies)
    cut = next(path for name, path in files.items() if "000000009_RFP_001" in name)
    cut.write_bytes(cut.read_bytes()[:-20])
    for channel in ("GFP", "RFP"):
        with pytest.warns(UserWarning, match=rf"{cut.name}.* is truncated"):
            movie = MicroManagerImagingInterface(
                tmp_path / "in", channel_name=channel, allow_truncated=True
            )
        expected = movies[channel][:9].transpose(0, 2, 3, 1)
        np.testing.assert_array_equal(movie.extractor.get_series(), expected)
