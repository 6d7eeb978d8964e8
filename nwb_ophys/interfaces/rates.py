"""Check that the rate of a stream is known before it is written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from nwb_ophys.errors import MetadataError
from nwb_ophys.interfaces.made_from import paths_of
from nwb_ophys.timing import extractor_times, usable_rate

_OPTION = "sampling_frequency"


def check_rate_is_known(
    interface: Any, entries: Iterable[Mapping[str, Any]], metadata_path: str
) -> None:
    """Raise where neither the source, nor the metadata, nor the user states a rate or times.

    Parameters
    ----------
    interface : BaseOphysInterface
    entries : iterable of Mapping
        Metadata of the series that will be written; a ``rate`` in one of them holds.
    metadata_path : str
        Path of the rate in the metadata, such as ``Ophys.TwoPhotonSeries.0.rate``.

    Raises
    ------
    MetadataError
        The message names the file, the rate that it states, and the ways to give one.
    """
    extractor = interface.extractor
    if any(entry.get("rate") is not None for entry in entries):
        return
    nominal = extractor.get_sampling_frequency()
    if usable_rate(nominal) is not None or extractor_times(extractor) is not None:
        return
    stated = getattr(extractor, "stated_rate", None) if nominal is None else nominal
    what = "no sampling rate"
    if stated is not None and not math.isnan(stated):
        what = f"a sampling rate of {float(stated):g} Hz"
    paths = paths_of(interface)
    where = f"'{paths[0]}'" if paths else type(extractor).__name__
    label = getattr(extractor, "series_label", "")
    raise MetadataError(
        f"{where} states {what}{label and f' for {label}'} and no times of its samples. Give the "
        f"rate in Hz {_ways(interface, metadata_path)}, or a file with the time of each sample "
        "(on the command line --times FILE), or timestamps with set_aligned_timestamps()."
    )


def _ways(interface: Any, metadata_path: str) -> str:
    """Return the ways in which a user can give the rate."""
    in_metadata = f"in the metadata (on the command line --set {metadata_path}=30)"
    fields = {field.name for field in attrs.fields(type(interface).Source)}
    if _OPTION not in fields:
        return in_metadata
    return f"with {_OPTION} (on the command line --option {_OPTION}=30), or {in_metadata}"
