"""Messages of errors of other packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from nwb_ophys.errors import (
    CorruptSourceError,
    absence,
    as_sentence,
    first_named,
    first_of,
    not_found,
)
from nwb_ophys.storage.backends.zarr_claims import opening_array


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (KeyError("ypix"), "there is no 'ypix'."),
        (ValueError(), "ValueError."),
        (ValueError("one\n  two."), "one two."),
        (CorruptSourceError("Copy it again."), "Copy it again."),
        ("a text.", "a text."),
    ],
)
def test_an_error_is_one_sentence(error, sentence):
    assert as_sentence(error) == sentence


def test_a_message_that_repeats_damaged_text_is_short():
    for error in (ValueError("x" * 1_000_000), KeyError("y" * 1_000_000)):
        assert len(as_sentence(error)) < 500
        with pytest.raises(CorruptSourceError) as caught, opening_array(Path("a.zarr")):
            raise error
        assert len(str(caught.value)) < 600
        assert type(error).__name__ not in str(caught.value)


def test_the_first_of_many():
    assert first_of([1, 2], 2) == "1, 2"
    assert first_of(["a", "b", "c"], 1, "; ") == "a and 2 more"
    assert first_named(["a", "b", "c"], 2) == "'a', 'b' and 1 more"


def test_links_that_lead_nowhere_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("movie.tif").symlink_to("gone.tif")
    Path("a").symlink_to("b")
    Path("b").symlink_to("a")
    Path("fetch.tif").symlink_to("../.git/annex/objects/ab/cd/MD5E-s1/MD5E-s1.tif")
    assert "is a link to 'gone.tif', which does not exist" in str(not_found(Path("movie.tif")))
    assert absence("b").startswith("is a link that leads in a circle")
    assert "'datalad get'" in absence("fetch.tif")
    assert absence("a/movie.tif").startswith("does not exist: 'a' is a link that leads in a circle")
    for name in ("c/movie.tif", "x" * 300, "a\0b"):
        assert absence(name) == "does not exist; check the path"
