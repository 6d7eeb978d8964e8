"""Check that the rate of a stream is known, and stated once, before it is written."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from nwb_ophys.errors import MetadataError
from nwb_ophys.interfaces.made_from import paths_of
from nwb_ophys.timing import TOLERANCE, describe_times, extractor_times, usable_rate

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
        The message names the file, the rate that it states, and the ways to give one. Also where
        an entry contradicts the times that the user has set: one of the two would have no effect.
    """
    extractor, entries = interface.extractor, list(entries)
    _check_stated_once(interface, entries, metadata_path)
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


def _check_stated_once(
    interface: Any, entries: Iterable[Mapping[str, Any]], metadata_path: str
) -> None:
    if not getattr(interface, "times_are_set", False):
        return
    times = extractor_times(interface.extractor)
    if times is None or not times.size:
        return
    place = metadata_path.removesuffix(".rate")
    for entry in entries:
        start, rate = entry.get("starting_time"), entry.get("rate")
        if isinstance(start, (int, float)) and abs(start - times[0]) > TOLERANCE:
            raise MetadataError(
                f"{place}.starting_time is {start:g}, but the times that were set for the stream "
                f"begin at {times[0]:.9g} s; leave one of the two out."
            )
        if not isinstance(rate, (int, float)) or not interface.timestamps_are_set:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the writer of the series warns
            found = describe_times(times, rate).rate
        if found != rate:
            own = "no constant rate" if found is None else f"{found:.9g} Hz"
            raise MetadataError(
                f"{place}.rate is {rate:g}, but the times that were set for the stream have {own}; "
                "leave one of the two out."
            )


def _ways(interface: Any, metadata_path: str) -> str:
    """Return the ways in which a user can give the rate."""
    in_metadata = f"in the metadata (on the command line --set {metadata_path}=30)"
    fields = {field.name for field in attrs.fields(type(interface).Source)}
    if _OPTION not in fields:
        return in_metadata
    return f"with {_OPTION} (on the command line --option {_OPTION}=30), or {in_metadata}"
