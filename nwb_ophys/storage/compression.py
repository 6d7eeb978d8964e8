"""Compression presets, which mean the same on every backend; each backend has its own encoders."""

from __future__ import annotations

import importlib
from typing import Any

import attrs

from nwb_ophys.errors import ArgumentError, MissingPackageError

PRESETS = ("gzip", *(f"gzip:{level}" for level in range(1, 10)), "zstd", "blosc", "lz4", "none")

KEEP_FILTERS = "as given"
"""Compression of data whose wrapper states other filters than a preset; those are kept."""

# ISA-L has levels of its own (0 to 3). Level 1 of shuffled movies is 15 times as fast as zlib's
# level 4 and no larger; its levels 2 and 3 gain nothing on photon noise.
ISAL_LEVEL = 1
_HIGHEST_ISAL_LEVEL = 3

ZSTD_LEVEL = 1
BLOSC_LEVEL = 1
# Blosc's own block for Zstandard, 32 kB, takes twice as long for movies, also to read, and most
# get larger; 512 kB take 4 to 9 % longer than 1 MB.
BLOSC_BLOCK = 1 << 20


@attrs.frozen
class Compression:
    """Name and level of a preset.

    Attributes
    ----------
    name : {"gzip", "zstd", "blosc", "lz4", "none"}
    level : int or None
        Level of gzip, 1 to 9, if the preset has one.
    """

    name: str
    level: int | None = None

    @property
    def shuffles_itself(self) -> bool:
        """True where the codec shuffles bytes, so that no filter shuffles them before."""
        return self.name == "blosc"


def parse_compression(preset: str) -> Compression:
    """Return the name and level of a preset.

    Raises
    ------
    ArgumentError
        If there is no such preset; the message lists the presets.
    """
    if preset not in PRESETS:
        raise ArgumentError(
            f"compression is {preset!r}; it must be one of gzip, gzip:1 to gzip:9, zstd, blosc, "
            "lz4, none."
        )
    name, _, level = preset.partition(":")
    return Compression(name, int(level) if level else None)


def isal_level(level: int | None) -> int | None:
    """Return the level with which ISA-L encodes a level of gzip, or None if only zlib has it."""
    if level is None:
        return ISAL_LEVEL
    return level if level <= _HIGHEST_ISAL_LEVEL else None


def required_package(package: str, preset: str) -> Any:
    """Return the package that a preset needs.

    Raises
    ------
    MissingPackageError
        If it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingPackageError(
            f'compression "{preset}" needs the package {package}: '
            'pip install "nwb-ophys[compression]". Only "gzip" and "none" do without.'
        ) from error
