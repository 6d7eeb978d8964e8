"""Tests of lengths and dates that no recording has, given by users and stated by files."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from nwb_ophys import tools
from nwb_ophys.errors import MetadataError
from nwb_ophys.extractors.arrays import ArrayImagingExtractor
from nwb_ophys.metadata import get_default_ophys_metadata, models, parse_model, without_impossible
from nwb_ophys.writers.session import make_nwbfile


def written(start: str = "2024-05-17T14:30:00+02:00", series: Any = None, **plane: Any) -> Any:
    """Return the file of a movie, in memory, with some metadata."""
    metadata: Any = get_default_ophys_metadata()
    metadata["NWBFile"]["session_start_time"] = start
    metadata["Ophys"]["ImagingPlane"][0].update(plane)
    metadata["Ophys"]["TwoPhotonSeries"] = [
        {"name": "TwoPhotonSeries", "imaging_plane": "ImagingPlane", **(series or {})}
    ]
    nwbfile = make_nwbfile(metadata)
    movie = ArrayImagingExtractor(np.zeros((2, 3, 4), "u2"), sampling_frequency=1.0)
    tools.add_imaging_to_nwbfile(movie, nwbfile, metadata)
    return nwbfile


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"grid_spacing": [0.65, 0.65]}, r"in metres.*to 0.01.* give \[6.5e-07, 6.5e-07\], or its"),
        ({"grid_spacing": [6.5e-7] * 2, "grid_spacing_unit": "um"}, "in um; .* from 0.0001 to"),
        ({"grid_spacing": [6.5e-13, 1e-6]}, "each number must be from 1e-10"),
        ({"origin_coords": [1500.0, 0.0, -20.0]}, r"give \[0.0015, 0, -2e-05\], or its unit"),
        ({"series": {"field_of_view": [500.0, 400.0]}}, r"give \[0.0005, 0.0004\]\.$"),
    ],
)
def test_lengths_in_a_wrong_unit_are_refused(fields: dict[str, Any], words: str) -> None:
    """Fault: they were written without a word."""
    with pytest.raises(MetadataError, match=words):
        written(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"grid_spacing": [6.5e-7, 6.5e-7]},
        {"grid_spacing": [0.65, 0.65], "grid_spacing_unit": "micrometers"},
        {"grid_spacing": [0.65, 0.65], "grid_spacing_unit": "\u00b5m"},
        {"grid_spacing": [1.0, 1.0], "grid_spacing_unit": "pixels"},
        {"origin_coords": [-0.25, 0.05], "series": {"field_of_view": [5e-3, 5e-3, 1e-3]}},
    ],
)
def test_lengths_of_microscopes_are_written(fields: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plane = written(**fields).imaging_planes["ImagingPlane"]
    assert plane.grid_spacing is None or list(plane.grid_spacing) == fields["grid_spacing"]


@pytest.mark.parametrize("unit", [None, "meters", "mm", "nm"])
def test_lengths_that_a_file_states(unit: str | None) -> None:
    metres = {None: 1.0, "meters": 1.0, "mm": 1e-3, "nm": 1e-9}[unit]
    for value, is_kept in ((2e-6, True), (0.5, False), (1e-11, False)):
        stated = {"grid_spacing": [value / metres] * 2, "grid_spacing_unit": unit}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = without_impossible({"Ophys": {"ImagingPlane": [stated]}}, "a.nwb")
        plane = found["Ophys"]["ImagingPlane"][0]
        assert (plane["grid_spacing"] is not None) == is_kept
        assert len(caught) == (not is_kept)
        if value == 0.5 and metres == 1.0:
            assert "in micrometres it would be [5e-07] m" in str(caught[0].message)


@pytest.mark.parametrize("start", ["0001-01-01T00:00:00+02:00", "9999-12-31T23:59:59-05:00"])
def test_years_of_no_recording_are_refused(start: str) -> None:
    """Fault: they were written, and other programs cannot turn them into another time zone."""
    with pytest.raises(MetadataError, match="its year must be from 1601 to 2199"):
        written(start)
    with pytest.raises(MetadataError, match=r"date_of_birth.*its year"):
        parse_model(models.Subject, {"date_of_birth": start}, "Subject")


def test_a_start_in_the_future_is_named() -> None:
    """Fault: it was written without a word, and refused by the archive."""
    with pytest.warns(UserWarning, match=r"is 2150-01-01 .*in the future; the DANDI archive"):
        written("2150-01-01T00:00:00+00:00")
