"""What the authors of formats read when a class, an extractor or its data are wrong."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import attrs
import h5py
import numpy as np
import pytest
from roiextractors import ImagingExtractor, SegmentationExtractor

from nwb_ophys import ImagingInterface, SegmentationInterface, argument
from nwb_ophys.errors import ArgumentError, MetadataError, NwbOphysError, SourceError
from nwb_ophys.rois.model import Rois

MOVIE = np.arange(60 * 4 * 6, dtype=np.uint16).reshape(60, 4, 6)
MASKS = np.zeros((4, 6, 3), np.float32)
MASKS[1, 2:4, 0] = MASKS[2, 3, 1] = MASKS[3, 0, 2] = 1
TRACES = np.arange(30, dtype=np.float32).reshape(10, 3)
START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}


class Movie(ImagingExtractor):
    """A movie that is right."""

    def get_image_shape(self) -> Any:
        return MOVIE.shape[1:]

    def get_num_samples(self) -> Any:
        return len(MOVIE)

    def get_sampling_frequency(self) -> Any:
        return 30.0

    def get_dtype(self) -> Any:
        return MOVIE.dtype

    def get_series(self, start_sample: Any = None, end_sample: Any = None) -> Any:
        return MOVIE[start_sample:end_sample]

    def get_native_timestamps(self, start_sample: Any = None, end_sample: Any = None) -> Any:
        return None


class Cells(SegmentationExtractor):
    """A segmentation that is right."""

    def get_frame_shape(self) -> Any:
        return MASKS.shape[:2]

    def get_num_samples(self) -> Any:
        return len(TRACES)

    def get_sampling_frequency(self) -> Any:
        return 10.0

    def get_roi_ids(self) -> Any:
        return [0, 1, 2]

    def get_num_rois(self) -> Any:
        return 3

    def get_roi_image_masks(self, roi_ids: Any = None) -> Any:
        return MASKS if roi_ids is None else MASKS[..., list(roi_ids)]

    def get_traces_dict(self) -> Any:
        return {"raw": TRACES}

    def get_images_dict(self) -> Any:
        return {}

    def get_native_timestamps(self, start_sample: Any = None, end_sample: Any = None) -> Any:
        return None


@attrs.frozen(kw_only=True)
class LabSource:
    """Source arguments."""

    file_path: Path = argument("Recording of the rig.")


def changed(extractor: type, **members: Any) -> type:
    """Return an extractor class with other methods, or methods that return other values."""
    methods = {
        name: each if callable(each) or name.startswith("_") else (lambda self, value=each: value)
        for name, each in members.items()
    }
    return type("LabExtractor", (extractor,), methods)


def opened(extractor: Any, tmp_path: Path, **members: Any) -> Any:
    """Return an interface of the format of an author."""
    base = SegmentationInterface if _is_of_rois(extractor) else ImagingInterface

    def open_(cls: type, source: Any) -> Any:
        return extractor() if isinstance(extractor, type) else extractor

    members = {"Source": LabSource, "open": classmethod(open_), **members}
    (tmp_path / "a.raw").touch()
    return type("LabInterface", (base,), members)(tmp_path / "a.raw")


def _is_of_rois(extractor: Any) -> bool:
    kind = extractor if isinstance(extractor, type) else type(extractor)
    return issubclass(kind, SegmentationExtractor)


# --- what an extractor states -------------------------------------------------------------------


def test_right_extractors_pass(tmp_path):
    assert opened(Movie, tmp_path).extractor.get_num_samples() == 60
    assert opened(Cells, tmp_path).extractor.get_num_rois() == 3
    assert opened(changed(Movie, get_num_samples=60.0), tmp_path)
    assert opened(changed(Movie, get_sampling_frequency=None), tmp_path)
    assert opened(changed(Cells, get_traces_dict={"raw": None, "dff": TRACES}), tmp_path)


@pytest.mark.parametrize("number", [40.5, -3, None, "60", True, np.array([60])])
def test_numbers_of_samples(number, tmp_path):
    """Faults: 40.5 was written as 40, True as 1; others raised a plain TypeError."""
    said = r"LabExtractor\.get_num_samples\(\) returned .*; it must return the number of samples"
    with pytest.raises(SourceError, match=said):
        opened(changed(Movie, get_num_samples=number), tmp_path)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (
            {"get_image_shape": None},
            r"get_image_shape\(\) returned None; it must return \(rows, ",
        ),
        ({"get_image_shape": (4, 0)}, r"get_image_shape\(\) returned \(4, 0\)"),
        ({"get_sampling_frequency": "30"}, r"get_sampling_frequency\(\) returned '30'"),
        ({"get_sampling_frequency": [30]}, r"get_sampling_frequency\(\) returned \[30\]"),
        (
            {"get_num_samples": lambda self: {}["frames"]},
            r"a\.raw': LabExtractor\.get_num_samples\(\) failed: KeyError: 'frames'\. It must",
        ),
        ({"get_series": lambda self, a=None, b=None: MOVIE[a:b]}, r"get_series has the arguments"),
        ({"get_native_timestamps": lambda self: None}, r"must take start_sample and end_sample"),
        ({"__init__": lambda self: None}, r"no is_volumetric; call super\(\)\.__init__\(\) in the"),
    ],
)
def test_what_a_movie_states(members, said, tmp_path):
    with pytest.raises(NwbOphysError, match=said):
        opened(changed(Movie, **members), tmp_path)


def test_volumes_without_a_number_of_planes(tmp_path):
    def init(self: Any) -> None:
        ImagingExtractor.__init__(self)
        self.is_volumetric = True

    with pytest.raises(SourceError, match=r"get_num_planes\(\) failed: NotImpl.* number of planes"):
        opened(changed(Movie, __init__=init), tmp_path)


@pytest.mark.parametrize("dtype", [None, "u17"])
def test_the_dtype_of_pixels(dtype, tmp_path):
    """Fault: a movie whose get_dtype() forgot to return was written as float64."""
    interface = opened(changed(Movie, get_dtype=dtype), tmp_path)
    with pytest.raises(
        SourceError, match=r"get_dtype\(\) of LabExtractor of '.*' returned .*; it must"
    ):
        interface.create_nwbfile(START)


def test_extractors_of_another_kind(tmp_path):
    class Duck:
        get_series = Movie.get_series

    with pytest.raises(ArgumentError, match=r"returned a Duck, which has no get_num_samples, .*"):
        opened(Duck(), tmp_path)
    with pytest.raises(ArgumentError, match=r"returned the class Movie; return an instance, Movie"):
        opened(None, tmp_path, open=classmethod(lambda cls, source: Movie))


def test_masked_times(tmp_path):
    """Fault: what the mask hides was written."""
    times = np.ma.masked_equal(np.arange(60.0) ** 1.1, 0)
    extractor = changed(
        Movie,
        get_native_timestamps=lambda self, start_sample=None, end_sample=None: times,
    )
    with pytest.raises(SourceError, match="timestamps of LabExtractor: the array has masked"):
        opened(extractor, tmp_path).create_nwbfile(START)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"get_roi_ids": [0, 0, 1]}, r"the same id for several ROIs: 0 \(2 times\)"),
        ({"get_roi_ids": None}, r"get_roi_ids\(\) returned None; it must return a list"),
        ({"get_roi_ids": [(0, 1)] * 3}, r"get_roi_ids\(\) returned \[\(0, 1\).*; it must return"),
        ({"get_frame_shape": (4,)}, r"get_frame_shape\(\) returned \(4,\); it must return"),
        ({"get_traces_dict": None}, r"get_traces_dict\(\) returned None; it must return arrays"),
        ({"get_traces_dict": {"raw": TRACES.tolist()}}, r"get_traces_dict\(\) returned .*must ret"),
        (
            {"get_traces_dict": {"raw": TRACES[:, 0]}},
            r"'raw' of LabExtractor has the shape \(10,",
        ),
        ({"get_traces_dict": {"raw": TRACES, "dff": TRACES[:5]}}, r"states, 10: 'raw' 10, 'dff' 5"),
        ({"get_num_samples": 11}, r"than get_num_samples\(\) states, 11: 'raw' 10\. All must"),
        ({"get_traces_dict": lambda self: 1 / 0}, r"get_traces_dict\(\) failed: ZeroDivisionError"),
        ({"__init__": lambda self: None}, r"no _properties; call super\(\)\.__init__\(\) in the"),
    ],
)
def test_what_a_segmentation_states(members, said, tmp_path):
    """Faults: repeated ids were written, and traces of one axis left out."""
    with pytest.raises(NwbOphysError, match=said):
        opened(changed(Cells, **members), tmp_path)


def test_masks_of_another_shape_than_the_field():
    rois = Rois.of(changed(Cells, get_frame_shape=(6, 4))())
    with pytest.raises(SourceError, match=r"a mask of shape \(4, 6\), where get_frame_shape\(\) "):
        rois.read_image(0)


# --- what a class declares ----------------------------------------------------------------------


@dataclasses.dataclass
class PlainSource:
    """Not attrs."""

    file_path: Path


@attrs.frozen(kw_only=True)
class SourceWithoutArgument:
    """A field that is not declared with argument()."""

    file_path: Path


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (
            {"Source": PlainSource},
            r"LabInterface\.Source is .*attrs\.frozen\(kw_only=True\)",
        ),
        ({"Source": None}, r"LabInterface\.Source is None; it must be a class"),
        ({"Source": SourceWithoutArgument}, r"'file_path' of LabInterface\.Source is not declared"),
        (
            {"describe": property(dict)},
            r"LabInterface\.describe is a property; it must be a ",
        ),
        ({"file_suffixes": ".raw"}, r"file_suffixes is '\.raw'; it must be a tuple of endings"),
        ({"file_suffixes": (".RAW",)}, r"a tuple of endings in lower case, such as \('\.raw',\)"),
    ],
)
def test_declarations_are_checked_when_the_class_is_made(members, said):
    with pytest.raises(ArgumentError, match=said):
        type("LabInterface", (ImagingInterface,), members)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NameError("name 'np' is not defined"), r"LabInterface\.open\(\) raised it: correct that"),
        (
            KeyError("x"),
            r"KeyError: 'x'\. LabInterface\.open\(\) raised it: correct that meth",
        ),
    ],
)
def test_errors_of_an_author_are_not_said_to_be_those_of_the_file_alone(error, said, tmp_path):
    def fail(cls: type, source: Any) -> Any:
        raise error

    with pytest.raises(SourceError, match=said):
        opened(None, tmp_path, open=classmethod(fail))


def test_types_of_arguments_that_are_unknown(tmp_path):
    @attrs.frozen(kw_only=True)
    class Source:
        file_path: Path = argument("Recording of the rig.")
        kernel: "absent.Kernel | None" = argument("A kernel.", default=None)  # type: ignore[name-defined]  # noqa: F821, UP037

    with pytest.raises(ArgumentError, match=r"unknown: name 'absent' is not defined\. Import it"):
        opened(Movie, tmp_path, Source=Source)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (
            {"describe": lambda self: {"Ophys": [1]}},
            r"returned 'Ophys': \[1\]; its value must ",
        ),
        (
            {"describe": lambda self: {"NWBFile": "x"}},
            r"returned 'NWBFile': 'x'; its value must ",
        ),
        (
            {"channel_names": lambda self: ["a", "b"]},
            r"LabInterface states several channels, b",
        ),
    ],
)
def test_what_a_format_states(members, said, tmp_path):
    """Faults: a plain TypeError, and an AttributeError that was said to be damage of the file."""
    with pytest.raises(NwbOphysError, match=said):
        opened(Movie, tmp_path, **members).get_metadata()


def test_metadata_that_are_not_returned(tmp_path):
    """Fault: an AttributeError of None."""
    interface = opened(Movie, tmp_path, get_metadata=lambda self, **options: None)
    with pytest.raises(MetadataError, match=r"get_metadata\(\) of LabInterface returned None; "):
        interface.create_nwbfile(START)


# --- what a reader returns ----------------------------------------------------------------------

_SMALL = {"buffer_gb": 10 * 48 / 1e9, "chunk_mb": 5 * 48 / 1e6}


class OneBuffer(Movie):
    """Fills one buffer again and again, as readers of videos do."""

    def __init__(self) -> None:
        super().__init__()
        self._buffer = np.empty((60, 4, 6), np.uint16)

    def get_series(self, start_sample: Any = None, end_sample: Any = None) -> Any:
        block = self._buffer[: end_sample - start_sample]
        block[:] = MOVIE[start_sample:end_sample]
        return block


@pytest.mark.parametrize("members", [{}, {"opens_again": True}])
def test_a_reader_may_fill_one_buffer_again_and_again(members, tmp_path):
    """Fault: blocks that waited for compression got the pixels of later ones."""
    interface = opened(OneBuffer, tmp_path, **members)
    options = {"iterator_options": _SMALL, "workers": 3, "progress": False}
    path = interface.run_conversion(tmp_path / "a.nwb", metadata=START, **options)
    with h5py.File(path) as file:
        stored = file["acquisition/TwoPhotonSeries/data"][:]
    np.testing.assert_array_equal(stored, MOVIE.swapaxes(1, 2))


def test_an_extractor_that_is_not_opened_again_is_refused(tmp_path):
    """Fault: several threads read it at once."""
    interface = opened(Movie(), tmp_path, opens_again=True)
    nwbfile = interface.create_nwbfile(START, iterator_options=_SMALL)
    pool = nwbfile.acquisition["TwoPhotonSeries"].data.data._pool
    with pool.borrow(), pytest.raises(ArgumentError, match="open the files again on each call"):
        pool.borrow().__enter__()


def _with_times(extractor: type, times: Any) -> type:
    def native(self: Any, start_sample: Any = None, end_sample: Any = None) -> Any:
        return times[start_sample:end_sample]

    return changed(extractor, get_native_timestamps=native)


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (np.arange(60) / 30 * 1000, r"have 0\.03 Hz, and get_sampling_frequency\(\) states 30 Hz"),
        (np.arange(60.0), r"must return seconds, not milliseconds or numbers of frames"),
        (np.arange(59) / 30, "59 timestamps for 60 samples"),
        (np.array(["a"] * 60), "timestamps of LabExtractor are of type"),
    ],
)
def test_times_that_cannot_be_seconds(times, said, tmp_path):
    """Fault: timestamps in milliseconds or in numbers of frames were written as seconds."""
    with pytest.raises(SourceError, match=said):
        opened(_with_times(Movie, times), tmp_path)


@pytest.mark.parametrize("extractor", [Movie, Cells])
def test_times_of_another_rate(extractor, tmp_path):
    """Fault: the rate of the times was written without a word."""
    rate = extractor().get_sampling_frequency()
    times = np.arange(extractor().get_num_samples()) / (2 * rate)
    said = rf"have {2 * rate:g} Hz, and get_sampling_frequency\(\) states {rate:g} Hz; the times"
    with pytest.warns(UserWarning, match=said):
        opened(_with_times(extractor, times), tmp_path)


def test_times_of_the_stated_rate_and_uneven_ones(tmp_path):
    opened(_with_times(Movie, 5 + np.arange(60) / 30.5), tmp_path)
    opened(_with_times(Movie, np.cumsum(np.arange(60.0))), tmp_path)
