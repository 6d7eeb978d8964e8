"""Tests of the contract of formats, with formats that each have one fault."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from nwb_ophys import ImagingInterface, argument
from nwb_ophys.errors import SourceError
from nwb_ophys.extractors.arrays import ArrayImagingExtractor, ArraySegmentationExtractor
from nwb_ophys.testing import check_format, simulate_recording
from nwb_ophys.testing.reading import check_pixel_masks


def _movie(path: Path, kind: type = ArrayImagingExtractor) -> Any:
    header = json.loads(path.with_suffix(".json").read_text())
    pixels = np.memmap(path, dtype="uint16", mode="r").reshape(-1, *header["shape"])
    return kind(pixels, header["rate"])


class Rig(ImagingInterface):
    """.raw files of a rig, with a .json header beside them."""

    file_suffixes = (".raw",)

    @attrs.frozen(kw_only=True)
    class Source:
        file_path: Path = argument("The .raw file.")

    @classmethod
    def open(cls, source: Any) -> Any:
        return _movie(source.file_path)

    def describe(self) -> Mapping[str, Any]:
        return {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}

    @classmethod
    def matches(cls, path: Any) -> str | None:
        is_ours = path.suffix == ".raw" and path.with_suffix(".json").exists()
        return "a .raw file with its .json" if is_ours else None


def _changed(**changes: Any) -> Any:
    own = {name: value for name, value in vars(Rig).items() if name not in ("__dict__",)}
    return type("Changed", (ImagingInterface,), own | changes)


def _read_by(kind: type) -> Any:
    return _changed(open=classmethod(lambda cls, source: _movie(source.file_path, kind)))


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    recording = simulate_recording(num_samples=12, num_rows=24, num_columns=34, dtype="uint16")
    recording.movie.tofile(tmp_path / "cell.raw")
    (tmp_path / "cell.json").write_text(json.dumps({"shape": [24, 34], "rate": 50.0}))
    return tmp_path / "cell.raw"


def test_a_format_that_is_right(sample: Path) -> None:
    check_format(Rig, sample)


class _Transposed(ArrayImagingExtractor):
    def get_image_shape(self) -> tuple[int, int]:
        return super().get_image_shape()[::-1]


class _WithOneMore(ArrayImagingExtractor):
    def get_num_samples(self) -> int:
        return super().get_num_samples() + 1


@pytest.mark.parametrize("kind", [_Transposed, _WithOneMore])
def test_shapes_that_do_not_fit(kind: type, sample: Path) -> None:
    with pytest.raises(SourceError, match="where its own counts say"):
        check_format(_read_by(kind), sample)


class _OfFloats(ArrayImagingExtractor):
    def get_series(self, start_sample: Any = None, end_sample: Any = None) -> Any:
        return super().get_series(start_sample, end_sample).astype("float32")


class _InMilliseconds(ArrayImagingExtractor):
    def get_native_timestamps(self, start_sample: Any = None, end_sample: Any = None) -> Any:
        return np.arange(12)[start_sample:end_sample] * 20.0


class _HalfAsFast(ArrayImagingExtractor):
    def get_native_timestamps(self, start_sample: Any = None, end_sample: Any = None) -> Any:
        return np.arange(12)[start_sample:end_sample] * 0.04


class _WithoutRate(ArrayImagingExtractor):
    def get_sampling_frequency(self) -> float:
        return 0.0


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (_OfFloats, r"get_dtype\(\) returns uint16, but the pixels are float32"),
        (_HalfAsFast, r"the rate \(50 Hz\) is the rate of the timestamps in seconds \(25 Hz\)"),
        (_WithoutRate, "the rate is above 0 Hz; it is 0.0"),
    ],
)
@pytest.mark.filterwarnings("ignore:The timestamps of _HalfAsFast")
def test_what_is_stated_of_the_pixels(kind: type, words: str, sample: Path) -> None:
    with pytest.raises(AssertionError, match=words):
        check_format(_read_by(kind), sample)


def test_timestamps_in_milliseconds_are_refused_before_all_checks(sample: Path) -> None:
    words = "the timestamps of _InMilliseconds have 0.05 Hz"
    with pytest.raises(SourceError, match=words):
        check_format(_read_by(_InMilliseconds), sample)


def test_an_argument_that_nothing_reads(sample: Path) -> None:
    @attrs.frozen(kw_only=True)
    class Source:
        file_path: Path = argument("The .raw file.")
        sampling_frequency: float = argument("Samples per second in Hz.", default=50.0)

    with pytest.raises(AssertionError, match="never read: sampling_frequency"):
        check_format(_changed(Source=Source), sample)


def test_a_stub_that_is_not_heeded(sample: Path) -> None:
    def add(self: Any, nwbfile: Any, metadata: Any = None, **options: Any) -> Any:
        options.pop("stub", None)
        return ImagingInterface.add_to_nwbfile(self, nwbfile, metadata, **options)

    with pytest.raises(AssertionError, match=r"data of shape \(12, 34, 24\)"):
        check_format(_changed(add_to_nwbfile=add), sample)


def _failing(cls: Any, path: Path) -> str | None:
    return path.with_suffix(".json").read_text() if path.suffix != ".txt" else None


@pytest.mark.parametrize(
    ("matches", "words"),
    [
        (lambda cls, path: "raw" if path.suffix == ".raw" else None, "'text.raw', which is no"),
        (lambda cls, path: "anything", "'empty', which is no recording, is not matched"),
        (_failing, "must return None for 'empty', .* but raises SourceError"),
        (lambda cls, path: None, "gives evidence in words"),
    ],
)
def test_claims(matches: Any, words: str, sample: Path) -> None:
    with pytest.raises(AssertionError, match=words):
        check_format(_changed(matches=classmethod(matches)), sample)


_counter = itertools.count()
_shared: dict[str, Any] = {"NWBFile": {"keywords": ["imaging"]}}


def _growing(self: Any) -> Any:
    _shared["NWBFile"]["keywords"].append("more")
    return _shared


@pytest.mark.parametrize(
    ("describe", "words"),
    [
        (_growing, "states the same on each call"),
        (lambda self: {"NWBFile": {"notes": str(next(_counter))}}, "the same on each call"),
        (lambda self: None, "returns a dictionary; it returned None"),
        (lambda self: {"NWBFile": {"session_start_time": "soon"}}, "must state a date and time"),
    ],
)
def test_what_is_described(describe: Any, words: str, sample: Path) -> None:
    with pytest.raises(AssertionError, match=words):
        check_format(_changed(describe=describe), sample)


def test_metadata_that_are_kept(sample: Path) -> None:
    kept: dict[str, Any] = {}

    def get_metadata(self: Any) -> Any:
        return kept.setdefault("once", ImagingInterface.get_metadata(self))

    with pytest.raises(
        AssertionError, match=r"get_metadata\(\) returns a new dictionary on each call"
    ):
        check_format(_changed(get_metadata=get_metadata), sample)


class _WithoutStart(ArrayImagingExtractor):
    """Reads the first samples, whichever were requested."""

    reads_in_parallel = False

    def get_series(self, start_sample: Any = None, end_sample: Any = None) -> Any:
        start, stop = start_sample or 0, end_sample or self.get_num_samples()
        return super().get_series(0, stop - start)


class _OneBuffer(ArrayImagingExtractor):
    """Fills one buffer again and again, but says that several threads may read at once."""

    def get_series(self, start_sample: Any = None, end_sample: Any = None) -> Any:
        found = super().get_series(start_sample, end_sample)
        if not hasattr(self, "_buffer"):
            self._buffer = np.empty((self.get_num_samples(), *found.shape[1:]), found.dtype)
        self._buffer[: len(found)] = found
        return self._buffer[: len(found)]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (_WithoutStart, r"get_series\(6, 12\) returns other pixels than samples 6 to 12"),
        (_OneBuffer, "when several threads call it at once, or changes arrays that it returned"),
    ],
)
def test_parts_that_are_read(kind: type, words: str, sample: Path) -> None:
    """Fault: such formats passed, and a recording of several blocks was written wrongly."""
    with pytest.raises(AssertionError, match=words):
        check_format(_read_by(kind), sample)


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.array([[2, 1, 1.0], [3, 1, 0.5]]), "shows other pixels than its image mask"),
        (np.array([[1, 2], [1, 3]]), r"has the shape \(2, 2\); it must be \(pixels, 3\)"),
        (np.array([[1, 9, 1.0]]), "has pixels outside of the field"),
    ],
)
def test_pixel_masks_that_differ_from_the_images(pixels: Any, words: str) -> None:
    masks = np.zeros((4, 6, 1))
    masks[1, 2:4, 0] = [1, 0.5]
    cells = ArraySegmentationExtractor(masks, {"raw": np.ones((5, 1))}, 30.0)
    check_pixel_masks(cells)
    cells.get_roi_pixel_masks = lambda roi_ids=None: [pixels]
    with pytest.raises(AssertionError, match=words):
        check_pixel_masks(cells)
