"""Messages of errors of other packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from nwb_ophys.errors import CorruptSourceError, as_sentence, first_named, first_of
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
