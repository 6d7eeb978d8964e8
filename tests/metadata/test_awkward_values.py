"""Sweep every field of the metadata over awkward values: each is written, or refused by its name.

Values that pass the check are written together, one file per value, and read back with pynwb and
with h5py.
"""

from __future__ import annotations

import datetime as dt
import functools
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

from ..reliability.setting import rounds

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
    raw, image = np.ones((6, 2)), np.ones((4, 5), "float32")
    interface = NumpySegmentationInterface(masks, 10.0, raw=raw, dff=raw * 0, mean_image=image)
    return interface, {}


SOURCES = {
    "TwoPhotonSeries": lambda: _movie("TwoPhotonSeries"),
    "OnePhotonSeries": lambda: _movie("OnePhotonSeries"),
    "ROIs": _rois,
}
# The source, the model, and the place of the entry in the metadata.
PLANE = "PlaneSegmentation"
PLACES = {
    "Session": ("TwoPhotonSeries", models.Session, ("NWBFile",)),
    "Subject": ("TwoPhotonSeries", models.Subject, ("Subject",)),
    "Device": ("TwoPhotonSeries", models.Device, ("Ophys", "Device", 0)),
    "DeviceModel": ("TwoPhotonSeries", models.DeviceModel, ("Ophys", "Device", 0, "model")),
    "ImagingPlane": ("TwoPhotonSeries", models.ImagingPlane, ("Ophys", "ImagingPlane", 0)),
    "OpticalChannel": (
        "TwoPhotonSeries",
        models.OpticalChannel,
        ("Ophys", "ImagingPlane", 0, "optical_channel", 0),
    ),
    **{
        kind: (kind, getattr(models, kind), ("Ophys", kind, 0))
        for kind in ("TwoPhotonSeries", "OnePhotonSeries")
    },
    "ImageSegmentation": ("ROIs", models.ImageSegmentation, ("Ophys", "ImageSegmentation")),
    "PlaneSegmentation": (
        "ROIs",
        models.PlaneSegmentation,
        ("Ophys", "ImageSegmentation", "plane_segmentations", 0),
    ),
    "Fluorescence": ("ROIs", models.RoiResponseSeries, ("Ophys", "Fluorescence", PLANE, "raw")),
    "DfOverF": ("ROIs", models.RoiResponseSeries, ("Ophys", "DfOverF", PLANE, "dff")),
    "SummaryImage": (
        "ROIs",
        models.SummaryImage,
        ("Ophys", "SegmentationImages", PLANE, "mean"),
    ),
}


def _metadata(source, options):
    metadata = source.get_metadata(**options)
    metadata["NWBFile"]["session_start_time"] = START
    metadata["NWBFile"].update(source_script="pass", source_script_file_name="a.py")
    metadata["Ophys"]["ImagingPlane"][0].update(origin_coords=[0.0, 1.0], grid_spacing=[1e-6, 2e-6])
    metadata["Ophys"]["Device"][0]["model"] = {"name": "M", "manufacturer": "X"}
    return metadata


def _at(metadata, steps):
    for step in steps:
        metadata = metadata[step]
    return metadata


def _set(metadata, place, field, value):
    _, _, steps = PLACES[place]
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


@pytest.fixture(scope="module")
def accepted(sources):
    """Function that returns the fields of a source that accept a value.

    A value must be refused by its field. The fields of each value are found when they are needed,
    since tests of this file may run in several processes.
    """

    @functools.cache
    def of(kind, name):
        source, options = sources[kind]
        base = _metadata(source, options)
        found = []
        for place, field in _fields_of(kind):
            metadata = base.copy()
            _set(metadata, place, field, VALUES[name])
            message = _refusal(source, options, metadata)
            if not message:
                found.append((place, field))
            elif f'"{field}"' not in message or len(message) > 1500:
                pytest.fail(f"{place} {field} {name}: {message[:1500]}")
        return found

    return of


def _fields_of(kind):
    """Return the place and the name of each field of a source."""
    return [
        (place, field.name)
        for place, (of, model, _) in PLACES.items()
        if of == kind
        for field in attrs.fields(model)
    ]


def _refusal(source, options, metadata):
    """Return the message of the refusal; empty where the metadata can be written."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            source.create_nwbfile(metadata, **options)
        except MetadataError as error:
            return str(error)
        return ""


def test_ordinary_values_are_accepted_and_others_are_not(accepted):
    movie = functools.partial(accepted, "TwoPhotonSeries")
    assert ("Subject", "weight") in movie("25")
    assert ("Session", "keywords") in movie("a list in a text")
    assert ("Device", "description") in movie("70000 letters")
    assert ("ImagingPlane", "excitation_lambda") in movie("NaN")
    for name in ("NUL", "half of a character", "bytes", "an object", "a complex number"):
        assert not any(accepted(kind, name) for kind in SOURCES), name
    for name in ("a dot", "two dots", "a slash", "a colon", "a backslash"):
        assert all(field != "name" for kind in SOURCES for _, field in accepted(kind, name))


# Each value in one source, and in the long setting in all of them.
_PAIRS = [
    (kind, name)
    for place, name in enumerate(VALUES)
    for other, kind in enumerate(SOURCES)
    if rounds(place % len(SOURCES) == other, True)
]


@pytest.mark.parametrize(("kind", "name"), _PAIRS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_accepted_is_written_and_read_back(sources, accepted, tmp_path, kind, name):
    fields = accepted(kind, name)
    if not fields:
        return  # refused by every field
    source, options = sources[kind]
    metadata = _metadata(source, options)
    for place, field in fields:
        _set(metadata, place, field, VALUES[name])
    # Two fields may accept a value but not together, as the names of two containers.
    if _refusal(source, options, metadata):
        metadata = _one_after_the_other(source, options, fields, VALUES[name])
    path = tmp_path / "a.nwb"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        expected = source.create_nwbfile(metadata, **options)
        source.run_conversion(path, metadata=metadata, progress=False, workers=0, **options)
    with NWBHDF5IO(path, "r") as io, h5py.File(path) as stored:
        assert pynwb.validate(io=io) == []
        groups = _by_id(stored)
        for one, other in zip(_ordered(expected), _ordered(io.read()), strict=True):
            _compare(one, other, groups[other.object_id])


def _one_after_the_other(source, options, fields, value):
    """Return the metadata with a value in each field that accepts it beside those before."""
    metadata = _metadata(source, options)
    for place, field in fields:
        trial = metadata.copy()
        _set(trial, place, field, value)
        if not _refusal(source, options, trial):
            metadata = trial
    return metadata


def _by_id(stored):
    found = {stored.attrs["object_id"]: stored}
    stored.visititems(lambda _, each: found.update({each.attrs.get("object_id"): each}))
    return found


def _ordered(nwbfile):
    """Return the objects in one order, without the record that writing adds."""
    found = [each for each in nwbfile.objects.values() if each.name != "nwb_ophys_record"]
    return sorted(found, key=lambda each: (type(each).__name__, _location(each)))


def _location(container):
    steps = []
    while container is not None:
        steps.append(container.name)
        container = container.parent
    return "/".join(steps[::-1])


# Fields with pixels, times and links, and those that differ between two files.
SKIPPED = {"data", "timestamps", "rois", "file_create_date", "identifier", "colnames", "columns"}


def _compare(one, other, group):
    """Assert that an object and its copy in a file have equal fields, in the file itself too."""
    for key, value in one.fields.items():
        if key in SKIPPED or value is None or not _is_plain(value):
            continue
        read = other.fields.get(key)
        np.testing.assert_equal(_plain(read), _plain(value), err_msg=f"{one.name}.{key}")
        raw = group.attrs.get(key)
        if raw is None and isinstance(group, h5py.Group) and key in group:
            raw = group[key][()] if isinstance(group[key], h5py.Dataset) else None
        if raw is not None and isinstance(value, (str, float, int)):
            np.testing.assert_equal(_plain(raw), value, err_msg=f"{one.name}.{key}")


def _is_plain(value):
    if isinstance(value, (list, tuple, np.ndarray)):
        return all(_is_plain(each) for each in value)
    return isinstance(value, (str, int, float, np.generic, dt.datetime))


def _plain(value):
    if isinstance(value, (list, tuple, np.ndarray, h5py.Dataset)):
        return [_plain(each) for each in value]
    value = value.item() if isinstance(value, np.generic) else value
    return value.decode() if isinstance(value, bytes) else value
