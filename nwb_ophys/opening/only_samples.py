"""Recordings of a single sample, which are images or z-stacks and no movies."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import attrs

from nwb_ophys.interfaces import ImagingInterface
from nwb_ophys.interfaces.images import OnlySampleInterface
from nwb_ophys.opening.grouping import is_recorded
from nwb_ophys.registry import FormatRow

# Who states a rate, or cuts a truncated movie, has a movie.
_OF_MOVIES = ("sampling_frequency", "allow_truncated")


def as_recorded(interface: Any, row: FormatRow, given: Mapping[str, Any]) -> Any:
    """Return an interface of images for a recording with one sample, else the same interface.

    Only the headers of acquisition programs say that there was one sample; one sample in files of
    other formats is an image if nobody states a rate. A movie with one sample stays a movie if the
    user gives an option of movies.

    Parameters
    ----------
    interface : BaseOphysInterface
    row : FormatRow
        The format of the interface.
    given : Mapping
        Options that the user gave.
    """
    if not isinstance(interface, ImagingInterface) or interface.states_movies:
        return interface
    has_rate = getattr(interface.extractor, "stated_rate", True) is not None
    if has_rate and not is_recorded(row):
        return interface
    of_movies = {*_OF_MOVIES, *(each.name for each in attrs.fields(interface.Options))} - {"stub"}
    if not of_movies.isdisjoint(given) or interface.extractor.get_num_samples() != 1:
        return interface
    is_stack = len(interface.extractor.get_sample_shape()) > 2
    option = (
        f"photon_series_type={interface.photon_series_type}"
        if has_rate
        else "sampling_frequency=RATE (in Hz)"
    )
    warnings.warn(
        f"{f'{row.name} {interface.part()}'.strip()}: the recording holds a single "
        f"{'z-stack' if is_stack else 'image'}, which is no movie; it is written as images. To "
        f"write a series of one sample, give --option {option}; in Python, use "
        f"{row.interface_name}.",
        UserWarning,
        stacklevel=4,
    )
    return OnlySampleInterface(movie=interface)
