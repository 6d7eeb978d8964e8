"""Settings that all frames of a stream state alike, from the JSON objects of the frames."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nwb_ophys.documents import parse_source_json
from nwb_ophys.filetypes.frames.values import first_value
from nwb_ophys.metadata import CommonFacts

_NAMES = r"Exposure-ms|Exposure|(?:[^\"]*-)?Binning|Camera|Core-Camera|PixelSizeUm"
_NAME = re.compile(_NAMES)
_FACT = re.compile(rf'"({_NAMES})"\s*:\s*(\{{[^{{}}]*\}}|"[^"]*"|[^,}}\s]+)'.encode())


class FrameFacts:
    """The settings that all frames of a stream state alike; others are left out with a warning.

    Parameters
    ----------
    where : str
        The stream, for messages.
    """

    def __init__(self, where: str) -> None:
        self._common = CommonFacts(where, "frames")
        self._known: set[Any] = set()

    def add_text(self, number: int, text: bytes) -> None:
        """Compare the JSON text of one more frame; an empty text states nothing."""
        stated = tuple(_FACT.findall(text))
        # Most frames state the same; only others are parsed.
        if text.startswith(b"{") and stated not in self._known:
            self._known.add(stated)
            self.add(number, {name.decode(): _parsed(value) for name, value in stated})

    def add(self, number: int, metadata: Mapping[str, Any]) -> None:
        """Compare the metadata of one more frame."""
        names = [name for name in metadata if _NAME.fullmatch(name)]
        self._common.add(f"frame {number}", {name: first_value(metadata, name) for name in names})

    def common_frame(self, first: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the metadata of the first frame without the settings that differ in others."""
        self._common.agreed()
        differing = self._common.differing
        return {name: value for name, value in first.items() if name not in differing}


def _parsed(value: bytes) -> Any:
    text = value.decode("utf-8", "replace")
    try:
        return parse_source_json(text)
    except ValueError:
        return text
