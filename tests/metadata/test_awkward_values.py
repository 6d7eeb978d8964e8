"""Sweep every field of the metadata over awkward values: each is written, or refused by its name.

Values that pass the check are written together, one file per value, and read back with pynwb and
with h5py.
"""

from __future__ import annotations

import datetime as dt
import warnings
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import attrs
import h5py
import numpy as np
import pynwb
import pytest
from pynwb import NWBHDF5IO

from nwb_ophys import NumpyImagingInterface, NumpySegmentationInterface
from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata import models

UTC = dt.timezone.utc
START = dt.datetime(2024, 5, 17, 14, 30, tzinfo=UTC)
HUGE = 10**400
VALUES = {
    "an empty text": "",
    "a space": " ",
    "a dot": ".",
    "two dots": "..",
    "a slash": "a/b",
    "a colon": "a:b",
    "a backslash": "a\\b",
    "letters of many scripts": "é漢😀",
    "line breaks": "line\nbreak\t",
    "300 letters": "x" * 300,
    "70000 letters": "x" * 70_000,
    "NUL": "nul\0",
    "half of a character": "\ud800",
    "a list in a text": "vision, cortex",
    "a weight": "25 g",
    "an age": "P90D",
    "a name of a dataset": "description",
    "a name of a group": "models",
    "zero": 0,
    "minus one": -1,
    "25": 25,
    "one half": 0.5,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "1e300": 1e300,
    "30 digits": 10**30,
    "400 digits": HUGE,
    "true": True,
    "true of NumPy": np.True_,
    "float32": np.float32(0.25),
    "float16": np.float16(0.5),
    "int64": np.int64(3),
    "uint8": np.uint8(3),
    "a text of NumPy": np.str_("text"),
    "a date of NumPy": np.datetime64("2024-05-17"),
    "a decimal": Decimal("1.5"),
    "a fraction": Fraction(1, 3),
    "a complex number": 1j,
    "an empty list": [],
    "a list of an empty text": [""],
    "texts": ["a", "b"],
    "a tuple": ("a", "b"),
    "an array of texts": np.array(["a", "b"]),
    "numbers": [1, 2],
    "an array of numbers": np.array([1.0, 2.0]),
    "three integers": np.array([1, 2, 3]),
    "nested numbers": [[1, 2]],
    "numbers with NaN": [float("nan"), 1.0],
    "numbers and true": [True, 1],
    "a pair of texts": [["a", "b"]],
    "a pair of kinds": [["a", 1]],
    "an array without axes": np.array(5.0),
    "an empty array": np.array([]),
    "a list of None": [None],
    "an empty dictionary": {},
    "a dictionary": {"a": 1},
    "bytes": b"bytes",
    "a date": dt.date(2024, 5, 17),
    "a time without zone": dt.datetime(2024, 5, 17),
    "a time": dt.datetime(2024, 5, 17, tzinfo=UTC),
    "year 1": dt.datetime(1, 1, 1),
    "year 1 with a zone": dt.datetime(1, 1, 1, tzinfo=UTC),
    "year 9999": dt.datetime(9999, 12, 31, 23, 59),
    "a zone with seconds": dt.datetime(
        2024, 5, 17, tzinfo=dt.timezone(dt.timedelta(hours=1, seconds=13))
    ),
    "a time of the day": dt.time(1, 2),
    "a duration": dt.timedelta(90),
    "the text of a date": "2024-05-17",
    "the text of year 1": "0001-01-01T00:00:00",
    "a date that is none": "2024-02-30",
    "a path": Path("x"),
    "an object": object(),
    "a function": len,
}


def _movie(kind):
    interface = NumpyImagingInterface(np.zeros((3, 4, 5), "uint16"), 10.0)
    return interface, {"photon_series_type": kind}


def _rois():
    masks = np.zeros((4, 5, 2), "float32")
    masks[0, 0, 0] = masks[1, 1, 1] = 1
    traces = {"raw": np.ones((6, 2)), "dff": np.zeros((6, 2))}
    images = {"mean": np.ones((4, 5), "float32")}
    return NumpySegmentationInterface(masks, 10.0, traces=traces, images=images), {}


SOURCES = {
    "TwoPhotonSeries": lambda: _movie("TwoPhotonSeries"),
    "OnePhotonSeries": lambda: _movie("OnePhotonSeries"),
    "ROIs": _rois,
}
# The models of a source: the place of the entry in the metadata, and of the object in the file.
PLANE = "PlaneSegmentation"
PLACES = {
    "Session": ("TwoPhotonSeries", models.Session, ("NWBFile",), "/"),
    "Subject": ("TwoPhotonSeries", models.Subject, ("Subject",), "/general/subject"),
    "Device": ("TwoPhotonSeries", models.Device, ("Ophys", "Device", 0), None),
    "DeviceModel": ("TwoPhotonSeries", models.DeviceModel, ("Ophys", "Device", 0, "model"), None),
    "ImagingPlane": ("TwoPhotonSeries", models.ImagingPlane, ("Ophys", "ImagingPlane", 0), None),
    "OpticalChannel": (
        "TwoPhotonSeries",
        models.OpticalChannel,
        ("Ophys", "ImagingPlane", 0, "optical_channel", 0),
        None,
    ),
    **{
        kind: (kind, getattr(models, kind), ("Ophys", kind, 0), None)
        for kind in ("TwoPhotonSeries", "OnePhotonSeries")
    },
    "ImageSegmentation": ("ROIs", models.ImageSegmentation, ("Ophys", "ImageSegmentation"), None),
    "PlaneSegmentation": (
        "ROIs",
        models.PlaneSegmentation,
        ("Ophys", "ImageSegmentation", "plane_segmentations", 0),
        None,
    ),
    "Fluorescence": ("ROIs", models.RoiResponseSeries, ("Ophys", "Fluorescence", PLANE, "raw"), 0),
    "DfOverF": ("ROIs", models.RoiResponseSeries, ("Ophys", "DfOverF", PLANE, "dff"), 0),
    "SummaryImage": (
        "ROIs",
        models.SummaryImage,
        ("Ophys", "SegmentationImages", PLANE, "mean"),
        None,
    ),
}


def _metadata(source, options):
    metadata = source.get_metadata(**options)
    metadata["NWBFile"]["session_start_time"] = START
    metadata["Ophys"]["Device"][0]["model"] = {"name": "M", "manufacturer": "X"}
    return metadata


def _at(metadata, steps):
    for step in steps:
        metadata = metadata[step]
    return metadata


def _set(metadata, place, field, value):
    _, _, steps, _ = PLACES[place]
    ophys = metadata["Ophys"]
    _at(metadata, steps)[field] = value
    if field != "name" or not isinstance(value, str):
        return
    # Links follow the name.
    if place == "Device":
        ophys["ImagingPlane"][0]["device"] = value
    if place == "ImagingPlane":
        ophys["TwoPhotonSeries"][0]["imaging_plane"] = value
    if place == "PlaneSegmentation":
        for container in ("Fluorescence", "DfOverF", "SegmentationImages"):
            ophys[container][value] = ophys[container].pop(PLANE)


@pytest.fixture(scope="module")
def sources():
    return {name: make() for name, make in SOURCES.items()}


def _accepted(source, options, metadata):
    """Return the NWBFile, or None and the message of the refusal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            return source.create_nwbfile(metadata, **options), ""
        except MetadataError as error:
            return None, str(error)


@pytest.mark.parametrize("place", PLACES)
def test_each_value_is_accepted_or_refused_by_the_name_of_its_field(sources, place):
    kind, model, _, _ = PLACES[place]
    source, options = sources[kind]
    base = _metadata(source, options)
    for field in attrs.fields(model):
        for name, value in VALUES.items():
            metadata = base.copy()
            _set(metadata, place, field.name, value)
            accepted, message = _accepted(source, options, metadata)
            assert accepted is not None or f'"{field.name}"' in message, (field.name, name, message)
            assert len(message) < 1500, (field.name, name)


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("name", VALUES)
def test_each_accepted_value_is_written_and_read_back(sources, tmp_path, kind, name):
    source, options = sources[kind]
    value, metadata = VALUES[name], _metadata(source, options)
    base, set_fields = metadata.copy(), []
    for place, (own, model, _, _) in PLACES.items():
        for field in attrs.fields(model):
            trial = base.copy()
            _set(trial, place, field.name, value) if own == kind else None
            if own != kind or _accepted(source, options, trial)[0] is None:
                continue
            together = metadata.copy()
            _set(together, place, field.name, value)
            if _accepted(source, options, together)[0] is not None:
                metadata = together
                set_fields.append((place, field.name))
    path = tmp_path / "a.nwb"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        expected = source.create_nwbfile(metadata, **options)
        source.run_conversion(path, metadata=metadata, progress=False, workers=0, **options)
    with NWBHDF5IO(path, "r") as io, h5py.File(path) as stored:
        found = io.read()
        assert pynwb.validate(io=io) == []
        mates = {each.object_id: each for each in found.objects.values()}
        assert len(mates) == len(expected.objects)
        for one, other in zip(_ordered(expected), _ordered(found), strict=True):
            _same(one, other, stored)


def _ordered(nwbfile):
    return sorted(
        nwbfile.objects.values(), key=lambda each: (type(each).__name__, _path(each), each.name)
    )


def _path(container):
    return "/".join(_path_steps(container))


def _path_steps(container):
    steps = []
    while container is not None:
        steps.append(container.name)
        container = container.parent
    return steps[::-1]


# Fields that hold other objects or large data, or that the writer makes.
SKIPPED = {"data", "timestamps", "object_id", "file_create_date", "identifier", "rois"}


def _same(one, other, stored):
    """Assert that an object and its copy in a file have equal fields, in the file itself too."""
    group = stored[_location(other)]
    for key, value in one.fields.items():
        if key in SKIPPED or _is_object(value):
            continue
        read = other.fields.get(key)
        if isinstance(value, dt.datetime):
            assert read == value, key
        else:
            np.testing.assert_equal(_plain(read), _plain(value), err_msg=f"{one.name}.{key}")
        raw = group.attrs.get(key)
        if raw is None and isinstance(group, h5py.Group) and isinstance(group.get(key), h5py.Dataset):
            raw = group[key][()]
        if isinstance(value, str) and raw is not None:
            assert (raw.decode() if isinstance(raw, bytes) else raw) == value, key


def _location(container):
    return container.get_read_io().get_builder(container).location + "/" + (
        container.get_read_io().get_builder(container).name
    )


def _is_object(value):
    if isinstance(value, (list, tuple)):
        return bool(len(value)) and _is_object(value[0])
    return hasattr(value, "object_id") or isinstance(value, dict) or callable(value)


def _plain(value):
    if isinstance(value, (list, tuple, np.ndarray, h5py.Dataset)):
        return [_plain(each) for each in np.asarray(value[()] if hasattr(value, "shape") else value).tolist()]
    return value.decode() if isinstance(value, bytes) else value
