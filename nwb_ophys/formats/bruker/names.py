"""Names of files, whose letters may change when they are copied to another system."""

from __future__ import annotations

import unicodedata


def plain_name(name: str) -> str:
    """Return a name in small letters, with accents composed in one way."""
    return unicodedata.normalize("NFC", name).lower()
