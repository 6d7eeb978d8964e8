"""Samples of all formats, gathered from the ``sample`` modules in the folders of the formats."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nwb_ophys.errors import UnknownFormatError
from nwb_ophys.formats import Format, builtin_rows, resolve
from nwb_ophys.simulation.recording import SimulatedRecording


@functools.cache
def sample_writers() -> Mapping[str, Any]:
    """Return the functions that ``sample`` modules list in ``__all__``, by name."""
    references = [row.sample for row in builtin_rows() if row.sample is not None]
    modules = [importlib.import_module(each.partition(":")[0]) for each in references]
    found = {name: getattr(module, name) for module in modules for name in module.__all__}
    return MappingProxyType(found)


def write_sample(row: Format, folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write a small recording in a format.

    Parameters
    ----------
    row : Format
    folder : pathlib.Path
        Existing folder to write to.
    recording : SimulatedRecording
        Recording of one plane with int16 values.

    Returns
    -------
    dict of str to object
        Source arguments that open the recording.

    Raises
    ------
    UnknownFormatError
        If the format has no sample.
    """
    if row.sample is None:
        raise UnknownFormatError(
            f"The format '{row.name}' of '{row.origin}' has no sample; state one in its row."
        )
    return dict(resolve(row.sample)(folder, recording))
