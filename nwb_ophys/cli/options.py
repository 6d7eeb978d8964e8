"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from nwb_ophys.errors import OptionError

paths = click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))

format_names = click.option(
    "--format",
    "format_names",
    multiple=True,
    metavar="NAME",
    help="Format of the paths (see 'nwb-ophys formats'); recognised when not given. With several "
    "paths give it once for all, or once for each.",
)

options = click.option(
    "--option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="A source argument, such as sampling_frequency=7.5, or a conversion option, such as "
    "mask_type=pixel.",
)

metadata_file = click.option(
    "--metadata",
    "metadata_file",
    type=click.Path(path_type=Path),
    help="YAML or JSON file of metadata, as 'nwb-ophys metadata' writes it.",
)

settings = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="One metadata value, such as NWBFile.session_start_time=2024-05-17T14:30:00+02:00.",
)

debug = click.option("--debug", is_flag=True, help="Show the traceback of an error.")


def pairs(texts: Sequence[str], option: str) -> dict[str, Any]:
    """Return KEY=VALUE texts as a dictionary.

    Raises
    ------
    OptionError
        For a text without an equals sign.
    """
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise OptionError(f"{option} is '{text}'; it must be KEY=VALUE.")
        found[key.strip()] = value.strip()
    return found
