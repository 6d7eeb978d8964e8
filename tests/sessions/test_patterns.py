"""Patterns of paths with fields."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwb_ophys.errors import SpecificationError
from nwb_ophys.sessions.patterns import fields_of, filled, matches


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    for subject in ("M1", "M2", "M10"):
        for session in ("day1", "day2"):
            place = tmp_path / "raw" / subject / f"{subject}_{session}_20240517"
            place.mkdir(parents=True)
            (place / "movie.tif").touch()
    (tmp_path / "raw" / ".hidden" / "day1").mkdir(parents=True)
    (tmp_path / "raw" / "notes.txt").touch()
    return tmp_path


def found(pattern: str, folder: Path) -> list[tuple[str, dict[str, str]]]:
    return [
        (each.path.relative_to(folder).as_posix(), each.fields) for each in matches(pattern, folder)
    ]


def test_fields_that_are_given_twice_agree_and_numbers_are_in_order(raw):
    (raw / "raw" / "M2" / "M1_day9_20240517").mkdir()  # of another subject than its folder
    pattern = "raw/{subject_id}/{subject_id}_{session_id}_{session_start_time:%Y%m%d}"
    names = [path for path, _ in found(pattern, raw)]
    assert names == [
        f"raw/{subject}/{subject}_{session}_20240517"
        for subject in ("M1", "M2", "M10")
        for session in ("day1", "day2")
    ]
    assert found(pattern, raw)[0][1] == {
        "subject_id": "M1",
        "session_id": "day1",
        "session_start_time": "2024-05-17",
    }


def test_stars_and_any_depth(raw):
    assert len(found("raw/*/M?_*/*.tif", raw)) == 4
    assert len(found("**/{subject_id:M[0-9]+}_{session_id:day[0-9]}_*/movie.tif", raw)) == 6
    assert found("raw/notes.txt", raw) == [("raw/notes.txt", {})]


def test_a_slash_at_the_end_leaves_files_out(raw):
    assert len(found("raw/{subject_id}", raw)) == 4
    assert [path for path, _ in found("raw/{subject_id}/", raw)] == ["raw/M1", "raw/M2", "raw/M10"]


def test_hidden_folders_and_files_in_place_of_folders_match_nothing(raw):
    assert found("raw/{subject_id}/day1", raw) == []
    assert found("raw/{subject_id:notes.*}/{session_id}", raw) == []


def test_links_in_a_circle_end(raw):
    (raw / "raw" / "M1" / "back").symlink_to(raw / "raw", target_is_directory=True)
    assert len(found("raw/**/movie.tif", raw)) == 6
    # A link that is named is followed.
    assert found("raw/M1/back/notes.txt", raw) == [("raw/M1/back/notes.txt", {})]


def test_marks_in_the_values_of_fields_are_none_of_the_pattern(tmp_path):
    for name in ("M1 [a]", "M1 *", "M{3}", "M1 x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}-clock.csv").touch()
    for name in ("M1 [a]", "M1 *", "M{3}", f"{tmp_path}/M1 [a]"):
        values = {"id": name, "file": name.rpartition("/")[2]}
        matched = [each.place for each in matches("{id}/{file}-*.csv", tmp_path, values)]
        assert matched == [str(tmp_path / name / f"{values['file']}-clock.csv")]
    with pytest.raises(KeyError, match="other"):
        list(matches("{other}", tmp_path, {}))


def test_dates_are_filled_in_the_form_of_their_field():
    values = {"start": "2024-05-17T14:30:00", "id": "M1"}
    assert (
        filled("{id:M[0-9]}_{start:%y%m%d-%H}_{start}", values) == f"M1_240517-14_{values['start']}"
    )
    with pytest.raises(KeyError, match="id:%Y"):
        filled("{id:%Y}", values)


def test_expressions_may_have_numbers_of_repeats(tmp_path):
    for name in ("20240517", "2024", "M12345"):
        (tmp_path / name).mkdir()
    assert [each for each, _ in found("{day:[0-9]{8}}", tmp_path)] == ["20240517"]
    assert [each for each, _ in found("{id:[A-Z]\\d{2,}}", tmp_path)] == ["M12345"]


def test_a_date_that_does_not_exist_matches_nothing(tmp_path):
    (tmp_path / "20241399").mkdir()
    (tmp_path / "20240517T143000").mkdir()
    assert found("{session_start_time:%Y%m%d}", tmp_path) == []
    assert found("{session_start_time:%Y%m%dT%H%M%S}", tmp_path)[0][1] == {
        "session_start_time": "2024-05-17T14:30:00"
    }


def test_a_name_that_can_be_read_in_two_ways_is_refused(raw):
    with pytest.raises(SpecificationError, match=r"in two ways: subject_id = 'M1', session_id = "):
        found("raw/*/{subject_id}_{session_id}", raw)


@pytest.mark.parametrize("pattern", ["raw/{subject id}", "raw/{a}}", "raw/[ab]", "raw/{a:(}"])
def test_a_pattern_that_is_not_valid_is_refused(raw, pattern):
    with pytest.raises(SpecificationError, match="pattern"):
        found(pattern, raw)


_NAMES = st.text("abcXYZ0189 .-+()$^", min_size=1, max_size=12).filter(
    lambda name: not name.startswith(".")
)


@given(st.lists(st.tuples(_NAMES, _NAMES), min_size=1, max_size=5, unique=True))
def test_filling_the_fields_of_a_match_gives_its_path(tmp_path_factory, pairs):
    folder = tmp_path_factory.mktemp("names")
    pattern = "{subject_id}/s_{session_id}"
    for subject, session in pairs:
        (folder / subject / f"s_{session}").mkdir(parents=True, exist_ok=True)
    assert fields_of(pattern) == ("subject_id", "session_id")
    names = found(pattern, folder)
    assert {(fields["subject_id"], fields["session_id"]) for _, fields in names} == set(pairs)
    assert all(filled(pattern, fields) == path for path, fields in names)
