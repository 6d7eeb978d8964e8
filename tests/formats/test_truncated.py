"""Truncated recordings: refused with the option that helps, or read up to the last whole frame."""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import nwb_ophys
from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.registry import formats
from nwb_ophys.testing import SimulatedRecording, simulate_recording
from nwb_ophys.testing.samples import sample_writers, write_sample

OPTION = "allow_truncated=True (on the command line --option allow_truncated=true)"
# Formats whose files have an index at their end, or chunks, without which nothing can be read.
WITHOUT_OPTION = {"femtonics", "hdf5", "inscopix", "minian-movie", "nwb"}
PIXELS = (".stk", ".tif", ".tiff", ".raw", ".avi", ".sbx", ".mmap", ".npy", ".bin", ".btf")
SHAPE = {"num_samples": 12, "num_rows": 24, "num_columns": 34, "num_cells": 3}


def write(name: str) -> Callable[..., Any]:
    return sample_writers()[name]


@pytest.fixture(scope="session")
def recording() -> SimulatedRecording:
    return simulate_recording(**SHAPE)


def movie_formats() -> list[str]:
    return sorted(name for name, row in formats().items() if row.kind == "imaging")


def has_option(name: str) -> bool:
    return "allow_truncated" in formats()[name].load().get_source_schema()["properties"]


def test_every_format_read_frame_by_frame_has_the_option() -> None:
    assert {name for name in movie_formats() if not has_option(name)} == WITHOUT_OPTION


def last_file(folder: Path, name: str) -> Path:
    """Return the last file with pixels of a sample."""
    files = [path for path in folder.rglob("*") if path.suffix in PIXELS]
    if name == "suite2p-movie":
        files = [path for path in files if path.name == "data.bin"]
    return max(files, key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)] or [0])


def opened(cls: Any, source: dict[str, Any], allow: bool) -> list[np.ndarray]:
    """Return the contents of all streams of a path."""
    name, path = next((key, value) for key, value in source.items() if isinstance(value, Path))
    others = {key: value for key, value in source.items() if key != name}
    given = {**others, **({"allow_truncated": True} if allow else {})}
    contents = []
    for arguments in cls.streams(path, **given).values():
        interface = cls(**arguments)
        contents.append(np.asarray(interface.extractor.get_series()))
        close = getattr(interface.extractor, "close", None)
        if close is not None:
            close()
    return contents


@pytest.mark.parametrize("name", sorted(set(movie_formats()) - WITHOUT_OPTION))
def test_files_cut_at_random_places(
    tmp_path: Path, name: str, recording: SimulatedRecording
) -> None:
    cls = formats()[name].load()
    source = write_sample(formats()[name], tmp_path, recording)
    whole = opened(cls, source, allow=False)
    path = last_file(tmp_path, name)
    content = path.read_bytes()
    places = random.Random(name).sample(range(len(content)), 12)
    lengths = set()
    for place in [*places, len(content) - 1, 0]:
        path.write_bytes(content[:place])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                kept = opened(cls, source, allow=False)
            except SourceError as error:
                kept = []
                message = str(error)
                try:
                    kept = opened(cls, source, allow=True)
                except SourceError:
                    assert OPTION not in message, (place, message)
                else:
                    assert OPTION in message, (place, message)
                    assert path.name in message, (place, message)
            for stream, full in zip(kept, whole, strict=bool(kept)):
                assert len(stream) == len(kept[0])
                np.testing.assert_array_equal(stream, full[: len(stream)])
        lengths.add(len(kept[0]) if kept else 0)
    # Without MetaMorph's tags, which the sample has at its end, the number of planes is unknown.
    assert len(lengths) > 2 or len(content) < 5000 or name == "metamorph"


@pytest.mark.parametrize("name", sorted(WITHOUT_OPTION))
def test_formats_without_the_option_do_not_name_it(
    tmp_path: Path, name: str, recording: SimulatedRecording
) -> None:
    cls = formats()[name].load()
    source = write_sample(formats()[name], tmp_path, recording)
    path = next(value for value in source.values() if isinstance(value, Path))
    if path.is_dir():
        chunks = [each for each in path.rglob("Y_fm_chk.zarr/*/0.*") if each.is_file()]
        path = max([*chunks, *path.rglob("*.h5")], default=max(path.rglob("*.*")))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceError) as caught:
        opened(cls, source, allow=False)
    assert "allow_truncated" not in str(caught.value)


# --- several channels, planes and files -----------------------------------------------------------

RNG = np.random.default_rng(3)
CHANNELS = [RNG.integers(1, 3000, (8, 20, 24)).astype("u2") for _ in range(2)]
STACKS = [RNG.integers(1, 3000, (6, 20, 24, 3)).astype("u2") for _ in range(2)]


def scanimage(folder: Path, movies: list[np.ndarray]) -> tuple[Path, list[Path]]:
    signed = {number: movie.astype("i2") for number, movie in enumerate(movies, start=1)}
    files = write("write_scanimage")(folder, signed, frames_per_file=3, sampling_frequency=10)
    return folder, files


def thor(folder: Path, movies: list[np.ndarray], raw: bool) -> tuple[Path, list[Path]]:
    named = dict(zip(("ChanA", "ChanB"), movies, strict=True))
    write("write_thor")(folder, named, raw=raw)
    if raw:
        return folder, [folder / "Image_001_001.raw"]
    return folder, sorted(folder.glob("ChanB*.tif"))


def bruker(folder: Path, movies: list[np.ndarray], pages: int = 1) -> tuple[Path, list[Path]]:
    write("write_bruker")(folder, dict(enumerate(movies, start=1)), pages_per_file=pages)
    return folder, sorted(folder.glob("*Ch2*.tif"))


def ome(folder: Path, movies: list[np.ndarray]) -> tuple[Path, list[Path]]:
    named = dict(zip(("Green", "Red"), movies, strict=True))
    return folder, write("write_ome_tiff")(folder, named, num_files=2)


def micromanager(folder: Path, movies: list[np.ndarray]) -> tuple[Path, list[Path]]:
    named = dict(zip(("GFP", "RFP"), movies, strict=True))
    return folder, write("write_micromanager")(folder, named, num_files=2)


def scanbox(folder: Path, movies: list[np.ndarray]) -> tuple[Path, list[Path]]:
    folder.mkdir()
    path = write("write_scanbox")(folder / "m_000_001.sbx", dict(enumerate(movies)))
    return path, [path]


def legacy(folder: Path, movies: list[np.ndarray]) -> tuple[Path, list[Path]]:
    folder.mkdir()
    named = dict(enumerate(movies, start=1))
    return folder, [write("write_scanimage_legacy")(folder / "a001.tif", named)]


def hyperstack(folder: Path, movies: list[np.ndarray]) -> tuple[Path, list[Path]]:
    folder.mkdir()
    data = np.stack(movies, axis=1)  # TCYX, or TCYXZ
    data = data if data.ndim == 4 else data.transpose(0, 4, 1, 2, 3)
    axes = "TCYX" if data.ndim == 4 else "TZCYX"
    tifffile.imwrite(folder / "m.tif", data, imagej=True, metadata={"axes": axes})
    return folder, [folder / "m.tif"]


def suite2p(folder: Path, _: Any) -> tuple[Path, list[Path]]:
    recording = simulate_recording(**SHAPE)
    path = write("write_suite2p")(folder, recording, second_channel=True, movie=True)
    return path, [path / "plane0" / "data_chan2.bin"]


LAYOUTS: dict[str, tuple[str, Callable[..., Any]]] = {
    "ScanImage": ("scanimage", lambda folder: scanimage(folder, CHANNELS)),
    "ScanImage stack": ("scanimage", lambda folder: scanimage(folder, STACKS)),
    "ScanImage 3": ("scanimage-legacy", lambda folder: legacy(folder, CHANNELS)),
    "Thor images": ("thor", lambda folder: thor(folder, CHANNELS, raw=False)),
    "Thor volumes": ("thor", lambda folder: thor(folder, STACKS, raw=False)),
    "Thor raw": ("thor", lambda folder: thor(folder, CHANNELS, raw=True)),
    "Thor raw volumes": ("thor", lambda folder: thor(folder, STACKS, raw=True)),
    "Bruker": ("bruker", lambda folder: bruker(folder, CHANNELS)),
    "Bruker volumes": ("bruker", lambda folder: bruker(folder, STACKS)),
    "Bruker, several pages": ("bruker", lambda folder: bruker(folder, CHANNELS, pages=3)),
    "OME-TIFF": ("ome-tiff", lambda folder: ome(folder, CHANNELS)),
    "OME-TIFF volumes": ("ome-tiff", lambda folder: ome(folder, STACKS)),
    "Micro-Manager": ("micromanager", lambda folder: micromanager(folder, CHANNELS)),
    "Scanbox": ("scanbox", lambda folder: scanbox(folder, CHANNELS)),
    "Scanbox volumes": ("scanbox", lambda folder: scanbox(folder, STACKS)),
    "ImageJ": ("tiff", lambda folder: hyperstack(folder, CHANNELS)),
    "ImageJ volumes": ("tiff", lambda folder: hyperstack(folder, STACKS)),
    "Suite2p": ("suite2p-movie", lambda folder: suite2p(folder, None)),
}


def source_of(name: str, path: Path) -> dict[str, Any]:
    source = {"folder_path" if takes_folder(name) else "file_path": path}
    return source | ({"sampling_frequency": 30.0} if name == "tiff" else {})


def takes_folder(name: str) -> bool:
    return "folder_path" in formats()[name].load().get_source_schema()["properties"]


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@pytest.mark.parametrize("which", ["last", "middle"])
def test_all_streams_keep_the_same_samples(tmp_path: Path, layout: str, which: str) -> None:
    name, writer = LAYOUTS[layout]
    cls = formats()[name].load()
    path, files = writer(tmp_path / "rec")
    source = source_of(name, path)
    whole = opened(cls, source, allow=False)
    file = files[-1] if which == "last" else files[len(files) // 2]
    content = file.read_bytes()
    kept_lengths, refused = set(), []
    for place in [0, *random.Random(layout).sample(range(len(content)), 6)]:
        file.write_bytes(content[:place])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                kept = opened(cls, source, allow=True)
            except CorruptSourceError:
                refused.append(place)
                continue
        assert any(file.name in str(each.message) for each in caught)
        assert len({len(stream) for stream in kept}) == 1
        for stream, full in zip(kept, whole, strict=True):
            np.testing.assert_array_equal(stream, full[: len(stream)])
        kept_lengths.add(len(kept[0]))
    assert kept_lengths
    # Channels of Suite2p are one movie, of which a file without a frame leaves nothing.
    assert not refused or file == files[0] or name in ("micromanager", "suite2p-movie")
    if files.index(file) and layout != "Bruker, several pages":
        # The files before the truncated one are whole.
        share = files.index(file) / len(files)
        assert min(kept_lengths) >= int(share * len(whole[0])) - 1


def test_files_of_scanimage_however_they_are_given(tmp_path: Path) -> None:
    folder, files = scanimage(tmp_path / "rec", CHANNELS)
    files[-1].write_bytes(files[-1].read_bytes()[:-300])
    cls = formats()["scanimage"].load()
    for given in (folder, files[0], files[-1], files):
        with pytest.raises(CorruptSourceError, match=re.escape(files[-1].name)) as caught:
            cls(file_path=files[0] if given == folder else given, channel_name="Channel 1")
        assert OPTION in str(caught.value)
        with warnings.catch_warnings(record=True) as noted:
            warnings.simplefilter("always")
            interface = cls(
                file_path=files[0] if given == folder else given,
                channel_name="Channel 1",
                allow_truncated=True,
            )
        assert any(files[-1].name in str(each.message) for each in noted)
        assert interface.extractor.get_num_samples() == 7
        interface.extractor.close()


def test_a_truncated_file_in_the_middle_ends_the_recording(tmp_path: Path) -> None:
    """Later frames would have the times of lost ones."""
    folder, files = scanimage(tmp_path / "rec", CHANNELS)
    files[1].write_bytes(files[1].read_bytes()[:-300])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kept = opened(formats()["scanimage"].load(), {"file_path": folder}, allow=True)
    assert [len(stream) for stream in kept] == [5, 5]
    texts = [str(each.message) for each in caught]
    assert any("5 of 6 pages are complete" in text and files[1].name in text for text in texts)
    assert any(f"the 1 file after it, '{files[2].name}', is left out" in text for text in texts)


def test_missing_files_of_bruker_end_the_recording(tmp_path: Path) -> None:
    folder, files = bruker(tmp_path / "rec", CHANNELS)
    for file in files[5:]:
        file.unlink()
    cls = formats()["bruker"].load()
    with pytest.raises(SourceError, match="allow_truncated"):
        opened(cls, {"folder_path": folder}, allow=False)
    with pytest.warns(UserWarning, match="5 of 8 samples are complete"):
        kept = opened(cls, {"folder_path": folder}, allow=True)
    for stream, full in zip(kept, CHANNELS, strict=True):
        np.testing.assert_array_equal(stream, full[:5])


def test_the_last_video_of_a_miniscope_is_empty(tmp_path: Path) -> None:
    movie = RNG.integers(0, 255, (40, 48, 64)).astype("u1")
    folder = write("write_miniscope")(tmp_path / "rec", movie, frames_per_file=16)
    (folder / "Miniscope" / "2.avi").write_bytes(b"")
    with pytest.raises(CorruptSourceError, match=r"2\.avi.*--option allow_truncated=true"):
        nwb_ophys.open(folder)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        interface = nwb_ophys.open(folder, allow_truncated=True)
    texts = [str(each.message) for each in caught]
    assert any("2.avi' is truncated (it has 0 bytes)" in text for text in texts)
    assert any("the last 8 timestamps are left out" in text for text in texts)
    np.testing.assert_array_equal(interface.extractor.get_series(), movie[:32])
    assert len(interface.extractor.get_native_timestamps()) == 32


def test_axes_with_time_not_slowest_have_no_complete_sample(tmp_path: Path) -> None:
    path = tmp_path / "movie.raw"
    CHANNELS[0].transpose(1, 2, 0).copy().tofile(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CorruptSourceError, match="time is not the slowest") as caught:
        nwb_ophys.open(
            path,
            format="memmap",
            shape=[20, 24, 8],
            dtype="uint16",
            dimension_order="YXT",
            sampling_frequency=30.0,
        )
    assert "allow_truncated" not in str(caught.value)
    array = tmp_path / "movie.npy"
    np.save(array, np.asfortranarray(CHANNELS[0]))
    array.write_bytes(array.read_bytes()[:-10])
    with pytest.raises(CorruptSourceError, match="time is the fastest axis"):
        nwb_ophys.open(array, sampling_frequency=30.0)


# --- no false alarm -------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_a_page_saved_from_a_stack(tmp_path: Path, compression: str | None, bigtiff: bool) -> None:
    """Its description still states the images of the stack."""
    frame = CHANNELS[0][0]
    path = tmp_path / "page.tif"
    description = "ImageJ=1.53t\nimages=3500\nframes=3500\nhyperstack=true\n"
    tifffile.imwrite(
        path,
        frame,
        description=description,
        metadata=None,
        compression=compression,
        bigtiff=bigtiff,
    )
    interface = nwb_ophys.open(path, sampling_frequency=30.0)
    np.testing.assert_array_equal(interface.extractor.get_series(), frame[None])


def test_a_page_whose_pixels_lie_before_its_directory(tmp_path: Path) -> None:
    """The directory lies where the second of the stated images would be."""
    frame = np.arange(16, dtype="<u2").reshape(4, 4)
    text = b"ImageJ=1.53t\nimages=3500\nframes=3500\nhyperstack=true\n" + b" " * 200 + b"\0"
    path = tmp_path / "page.tif"
    path.write_bytes(pixels_first(frame, text))
    np.testing.assert_array_equal(tifffile.imread(path, key=0), frame)
    interface = nwb_ophys.open(path, sampling_frequency=30.0)
    np.testing.assert_array_equal(interface.extractor.get_series(), frame[None])


def pixels_first(frame: np.ndarray, text: bytes) -> bytes:
    """Return a TIFF file with the pixels, the directory and the description in this order."""
    pixels = frame.tobytes()
    directory = 8 + len(pixels)
    end = directory + 2 + 12 * 9 + 4
    tags = [
        (256, 3, 1, frame.shape[1]),
        (257, 3, 1, frame.shape[0]),
        (258, 3, 1, 16),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (270, 2, len(text), end),
        (273, 4, 1, 8),
        (278, 3, 1, frame.shape[0]),
        (279, 4, 1, len(pixels)),
    ]
    body = b"".join(
        np.array([code, kind], "<u2").tobytes() + np.array([count, value], "<u4").tobytes()
        for code, kind, count, value in tags
    )
    head = b"II*\0" + np.uint32(directory).tobytes()
    return head + pixels + np.uint16(len(tags)).tobytes() + body + bytes(4) + text
