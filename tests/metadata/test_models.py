"""Tests of the models against the arguments of pynwb's constructors."""

from __future__ import annotations

import attrs
import numpy as np
import pynwb
import pytest
from hdmf.utils import get_docval
from pynwb import device, file, image, ophys

from nwb_ophys.metadata import archive_findings, models

CLASSES = {
    models.DeviceModel: device.DeviceModel,
    models.Device: device.Device,
    models.OpticalChannel: ophys.OpticalChannel,
    models.ImagingPlane: ophys.ImagingPlane,
    models.TwoPhotonSeries: ophys.TwoPhotonSeries,
    models.OnePhotonSeries: ophys.OnePhotonSeries,
    models.LineScan: pynwb.TimeSeries,
    models.Images: pynwb.base.Images,
    models.PlaneSegmentation: ophys.PlaneSegmentation,
    models.ImageSegmentation: ophys.ImageSegmentation,
    models.RoiResponseSeries: ophys.RoiResponseSeries,
    models.SummaryImage: image.GrayscaleImage,
    models.Subject: file.Subject,
    models.Session: pynwb.NWBFile,
}

# Scalar arguments that the metadata do not state, with the reason.
_OF_SERIES = {"num_samples": "of an external file", "bits_per_pixel": "NWB has dropped it"}
LEFT_OUT = {
    models.ImagingPlane: {
        "conversion": "of the deprecated manifold",
        "unit": "of the deprecated manifold",
    },
    models.TwoPhotonSeries: _OF_SERIES,
    models.OnePhotonSeries: _OF_SERIES,
    models.LineScan: {"continuity": "of the lines in time, which their times state"},
    models.Session: {"icephys_filtering": "of intracellular recordings"},
}
# NWB has no such link of these types; the writers state the name of the plane in words.
IN_WORDS = {models.LineScan: {"imaging_plane"}, models.Images: {"imaging_plane"}}
SCALARS = {str, int, float, bool}


def _fields(model):
    return {field.name for field in attrs.fields(model)}


@pytest.mark.parametrize("model", CLASSES, ids=lambda model: model.__name__)
def test_every_field_is_an_argument_of_the_class_it_describes(model):
    arguments = {argument["name"] for argument in get_docval(CLASSES[model].__init__)}
    assert _fields(model) - IN_WORDS.get(model, set()) <= arguments


@pytest.mark.parametrize("model", CLASSES, ids=lambda model: model.__name__)
def test_every_scalar_argument_is_a_field_or_left_out_for_a_reason(model):
    scalar = set()
    for argument in get_docval(CLASSES[model].__init__):
        kinds = argument["type"] if isinstance(argument["type"], tuple) else (argument["type"],)
        if kinds and set(kinds) & (SCALARS | {"float", "int", "uint"}):
            scalar.add(argument["name"])
    left_out = LEFT_OUT.get(model, {})
    assert scalar - _fields(model) == set(left_out)


@pytest.mark.parametrize("model", CLASSES, ids=lambda model: model.__name__)
def test_what_pynwb_requires_is_required_or_has_a_default(model):
    required = {a["name"] for a in get_docval(CLASSES[model].__init__) if "default" not in a}
    by_the_writer = {"data", "rois", "id", "columns", "session_start_time", "identifier"}
    optional = {
        field.name
        for field in attrs.fields(model)
        if field.default is None and field.name not in by_the_writer
    }
    assert not required & optional


def test_every_model_is_compared():
    described = {
        value
        for value in vars(models).values()
        if isinstance(value, type) and attrs.has(value) and value.__module__ == models.__name__
    }
    assert described - set(CLASSES) == {models.TimeSeries, models.PhotonSeries}


def test_numbers_become_floats_and_vectors_arrays():
    series = models.OnePhotonSeries(
        name="a", imaging_plane="b", rate=30, dimension=(4, 3), binning=np.uint8(2)
    )
    assert type(series.binning) is int
    assert series.rate == 30.0
    assert isinstance(series.rate, float)
    assert series.dimension.dtype == float
    assert series.dimension.tolist() == [4, 3]
    assert series.offset is None


def test_texts_of_several_names_and_keywords_are_lists():
    session = models.Session(
        session_start_time="2024-05-17T14:30:00+02:00",
        experimenter="Curie, Marie; Doe, John",
        keywords="imaging, V1",
    )
    assert session.experimenter == ["Curie, Marie", "Doe, John"]
    assert session.keywords == ["imaging", "V1"]
    stated = {"NWBFile": {"experimenter": "Curie, Marie; Doe, John"}}
    assert "NWBFile.experimenter" not in {each.key for each in archive_findings(stated)}
