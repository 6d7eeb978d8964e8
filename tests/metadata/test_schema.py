"""Tests of the validation of metadata and of its messages."""

from __future__ import annotations

import datetime

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from pynwb.device import Device

from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata import (
    get_default_ophys_metadata,
    get_default_segmentation_metadata,
    imaging_schema,
    model_schema,
    models,
    parse_model,
    segmentation_schema,
    validate,
)

SERIES = {"name": "OnePhotonSeries", "imaging_plane": "ImagingPlane"}


def _metadata(**series):
    metadata = get_default_ophys_metadata()
    metadata["Ophys"]["OnePhotonSeries"] = [{**SERIES, **series}]
    return metadata


def _error(metadata, schema=None):
    with pytest.raises(MetadataError) as caught:
        validate(metadata, schema or imaging_schema())
    return str(caught.value)


@pytest.mark.parametrize("schema", [imaging_schema(), segmentation_schema()])
def test_the_schemas_are_valid_ones(schema):
    Draft202012Validator.check_schema(schema)


def test_the_defaults_pass():
    validate(get_default_ophys_metadata(), imaging_schema())
    validate(get_default_segmentation_metadata(), segmentation_schema())
    validate(_metadata(), imaging_schema("OnePhotonSeries"))


@pytest.mark.parametrize(
    "series",
    [
        {"rate": 30},
        {"rate": np.float32(30)},
        {"rate": np.int16(30)},
        {"pmt_gain": float("nan")},
        {"binning": np.uint8(12)},
        {"dimension": (64, 48)},
        {"dimension": np.array([64, 48])},
        {"exposure_time": np.float64("nan")},
        {"unit": np.str_("counts")},
    ],
    ids=str,
)
def test_numbers_of_numpy_and_tuples_and_nan_pass(series):
    validate(_metadata(**series), imaging_schema())


@pytest.mark.parametrize(
    "start",
    [
        "2024-05-17T14:30:00+02:00",
        datetime.datetime(2024, 5, 17),
        datetime.datetime(2024, 5, 17, tzinfo=datetime.timezone.utc),
        datetime.date(2024, 5, 17),
    ],
    ids=str,
)
def test_datetimes_pass_where_a_time_belongs(start):
    metadata = _metadata()
    metadata["NWBFile"]["session_start_time"] = start
    metadata["Subject"]["date_of_birth"] = start
    validate(metadata, imaging_schema())


def test_a_date_where_a_text_belongs_is_refused():
    """YAML reads an unquoted ``session_id: 2024-05-17`` as a date, which pynwb does not accept."""
    metadata = _metadata()
    metadata["NWBFile"]["session_id"] = datetime.date(2024, 5, 17)
    assert _error(metadata) == (
        'metadata["NWBFile"]["session_id"] is datetime.date(2024, 5, 17) (date); it must be a '
        "text. Put it in quotes; without them YAML reads a date."
    )


_AS_NUMBER = " Put it in quotes; without them YAML reads a number, such as 7 from 007."


@pytest.mark.parametrize(
    ("series", "message"),
    [
        ({"rate": "30"}, "[\"rate\"] is '30' (str); it must be a number."),
        ({"rate": True}, '["rate"] is True (bool); it must be a number.'),
        ({"rate": np.True_}, '["rate"] is np.True_ (bool); it must be a number.'),
        ({"rate": 1j}, '["rate"] is 1j (complex); it must be a number.'),
        ({"binning": 12.5}, '["binning"] is 12.5 (float); it must be an integer.'),
        ({"unit": 5}, f'["unit"] is 5 (int); it must be a text.{_AS_NUMBER}'),
        ({"unit": 1e5}, f'["unit"] is 100000.0 (float); it must be a text.{_AS_NUMBER}'),
        (
            {"unit": False},
            '["unit"] is False (bool); it must be a text. Put it in quotes; without them YAML '
            "reads yes, no, on and off as true or false.",
        ),
        ({"unit": ["a"]}, "[\"unit\"] is ['a'] (list); it must be a text."),
        ({"dimension": 5}, '["dimension"] is 5 (int); it must be a list.'),
        ({"dimension": np.array(5)}, '["dimension"] is array(5) (ndarray); it must be a list.'),
        ({"dimension": [4, "x"]}, "[\"dimension\"][1] is 'x' (str); it must be a number."),
        ({"dimension": [4]}, '["dimension"]: [4] is too short.'),
        ({"binning": -1}, '["binning"] is -1; it must be at least 1 pixels.'),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_wrong_value_is_named_with_its_path_and_what_it_must_be(series, message):
    path = 'metadata["Ophys"]["OnePhotonSeries"][0]'
    assert _error(_metadata(**series)) == (path + message).replace(
        "np.True_ (bool)", f"{np.True_!r} ({type(np.True_).__name__})"
    )


def test_complex_numbers_of_numpy_are_no_numbers():
    assert "it must be a number" in _error(_metadata(rate=np.complex64(1)))


def test_a_misspelt_key_comes_with_the_one_that_was_meant():
    assert _error(_metadata(imaging_plan="x")).startswith(
        'metadata["Ophys"]["OnePhotonSeries"][0] has the unknown key \'imaging_plan\'. '
        "Did you mean 'imaging_plane'? Allowed: binning, comments,"
    )
    metadata = _metadata()
    metadata["NWBfile"] = {}
    assert _error(metadata) == (
        "metadata has the unknown key 'NWBfile'. Did you mean 'NWBFile'? Allowed: NWBFile, Ophys, "
        "Subject."
    )


def test_an_unknown_key_unlike_any_has_no_suggestion():
    metadata = _metadata()
    metadata["Ophys"]["Zzz"] = []
    message = _error(metadata)
    assert message.startswith("metadata[\"Ophys\"] has the unknown key 'Zzz'. Allowed: Device,")
    metadata["Ophys"].pop("Zzz")
    metadata[5] = 1
    assert "has the unknown key '5'." in _error(metadata)


def test_missing_keys_are_all_named():
    metadata = _metadata()
    plane = metadata["Ophys"]["ImagingPlane"][0]
    del plane["indicator"], plane["location"]
    assert _error(metadata) == (
        "metadata[\"Ophys\"][\"ImagingPlane\"][0] lacks 'indicator', 'location'; add them."
    )
    metadata = _metadata()
    del metadata["Ophys"]["ImagingPlane"][0]["optical_channel"][0]["emission_lambda"]
    assert _error(metadata) == (
        'metadata["Ophys"]["ImagingPlane"][0]["optical_channel"][0] lacks '
        "'emission_lambda'; add it."
    )


def test_the_outermost_offence_is_named_first():
    metadata = _metadata(rate="30", unit=5)
    metadata["Ophys"] = 5
    metadata["Subject"]["age"] = 5
    assert _error(metadata) == 'metadata["Ophys"] is 5 (int); it must be a dictionary.'


def test_nested_dictionaries_by_plane_have_exact_paths():
    metadata = get_default_segmentation_metadata()
    metadata["Ophys"]["Fluorescence"]["PlaneSegmentation"]["raw"]["unit"] = 3
    assert _error(metadata, segmentation_schema()) == (
        'metadata["Ophys"]["Fluorescence"]["PlaneSegmentation"]["raw"]["unit"] is 3 (int); '
        f"it must be a text.{_AS_NUMBER}"
    )
    metadata = get_default_segmentation_metadata()
    metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"] = ()
    assert _error(metadata, segmentation_schema()).startswith(
        'metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"]: '
    )


def test_devices_of_pynwb_pass_and_none_at_all_too():
    metadata = _metadata()
    metadata["Ophys"]["Device"] = [Device(name="Scope"), {"name": "Other"}]
    validate(metadata, imaging_schema())
    metadata["Ophys"]["Device"] = []
    validate(metadata, imaging_schema())
    metadata["Ophys"]["ImagingPlane"] = []
    assert _error(metadata).startswith('metadata["Ophys"]["ImagingPlane"]: ')


def test_one_kind_of_series_only_where_it_is_asked_for():
    metadata = _metadata()
    assert "has the unknown key 'OnePhotonSeries'" in _error(
        metadata, imaging_schema("TwoPhotonSeries")
    )


def test_a_model_is_made_of_what_is_given_and_none_is_not_given():
    device = parse_model(
        models.Device,
        {
            "name": "Scope",
            "description": None,
            "model": {"name": "X", "manufacturer": "Y", "description": None},
        },
        "path",
    )
    assert device.name == "Scope"
    assert device.description is None
    assert device.model == {"name": "X", "manufacturer": "Y"}


def test_a_model_is_checked_with_the_path_it_is_given():
    with pytest.raises(MetadataError, match=r"^here\[3\] lacks 'name'; add it\.$"):
        parse_model(models.Device, {}, "here[3]")
    with pytest.raises(MetadataError, match=r"^here is 'Scope' \(str\); it must be a dictionary"):
        parse_model(models.Device, "Scope", "here")
    with pytest.raises(MetadataError, match=r"lacks 'name'"):
        parse_model(models.Device, {"name": None}, "here")
    with pytest.raises(ValueError, match="Did you mean 'serial_number'"):
        parse_model(models.Device, {"name": "a", "serialnumber": "b"}, "here")


def test_each_field_has_a_description_in_the_schema():
    for model in (models.OnePhotonSeries, models.Session, models.Subject, models.ImagingPlane):
        for name, field in model_schema(model)["properties"].items():
            assert field["description"].strip(), name
            assert "\n" not in field["description"]
