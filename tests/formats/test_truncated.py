"""Truncated recordings: refused with the option that helps, or read up to the last whole frame."""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import h5py
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
WITHOUT_OPTION = {"femtonics", "hdf5", "inscopix", "nwb", "sima"}
PIXELS = (".tif", ".tiff", ".raw", ".avi", ".sbx", ".mmap", ".npy", ".bin", ".btf")
SHAPE = {"num_samples": 12, "num_rows": 24, "num_columns": 34, "num_cells": 3}


def write(name: str) -> Callable[..., Any]:
    return sample_writers()[name]


@pytest.fixture(scope="session")
def recording() -> SimulatedRecording:
    return simulate_recording(**SHAPE)


def movie_formats() -> list[str]:
    return sorted(name for name, row in formats().items() if row.kind == "imaging")


def has_option(name: str) -> bool:
    return "allow_truncated" in {field.name for field in attrs.fields(formats()[name].load().Source)}


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
    assert len(lengths) > 2 or len(content) < 5000


@pytest.mark.parametrize("name", sorted(WITHOUT_OPTION))
def test_formats_without_the_option_do_not_name_it(
    tmp_path: Path, name: str, recording: SimulatedRecording
) -> None:
    cls = formats()[name].load()
    source = write_sample(formats()[name], tmp_path, recording)
    path = next(value for value in source.values() if isinstance(value, Path))
    if path.is_dir():
        path = max(path.rglob("*.h5"), default=max(path.rglob("*.*")))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceError) as caught:
        opened(cls, source, allow=False)
    assert "allow_truncated" not in str(caught.value)
