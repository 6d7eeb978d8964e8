"""The choice of one of several names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nwb_ophys.errors import SourceArgumentError
from nwb_ophys.extractors.choices import index_of_name

PATH = Path("recordings") / "one.tif"


@pytest.mark.parametrize(
    ("given", "names", "index"),
    [
        (None, ["Ch1"], 0),
        ("Ch1", ["Ch1"], 0),
        ("Ch2", ["Ch1", "Ch2"], 1),
        ("Ch2", ("Ch1", "Ch2", "Ch2"), 1),
    ],
)
def test_index(given, names, index):
    assert index_of_name("channel_name", given, names, PATH) == index


@pytest.mark.parametrize(
    ("given", "names", "message"),
    [
        (
            None,
            ["Ch1", "Ch2"],
            f"channel_name is needed; '{PATH}' has the channels Ch1, Ch2; give one of them.",
        ),
        (
            "Ch3",
            ["Ch1", "Ch2"],
            f"channel_name is 'Ch3'; '{PATH}' has the channels Ch1, Ch2; give one of them.",
        ),
        # A wrong name is refused although it is clear which channel is meant.
        ("Ch2", ["Ch1"], f"channel_name is 'Ch2'; '{PATH}' has the channels Ch1; give one"),
        (None, [], f"channel_name is needed; '{PATH}' has no channels."),
        # An empty text is a name, not the absence of one.
        ("", ["Ch1"], f"channel_name is ''; '{PATH}' has the channels Ch1; give one of them."),
    ],
)
def test_a_missing_or_wrong_name_is_an_error(given, names, message):
    with pytest.raises(SourceArgumentError, match=re.escape(message)):
        index_of_name("channel_name", given, names, PATH)


def test_the_noun_is_in_the_message():
    with pytest.raises(SourceArgumentError, match=r"region_name is needed; .* the regions A, B"):
        index_of_name("region_name", None, ["A", "B"], PATH, "regions")
