"""Choose the streams to which times belong that the user gives."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import attrs

from nwb_ophys.base_extractors import SegmentationExtractor
from nwb_ophys.errors import OptionError
from nwb_ophys.interfaces.alignment import TimeAlignment
from nwb_ophys.interfaces.comparison import listed
from nwb_ophys.interfaces.images import ImagesInterface
from nwb_ophys.interfaces.relations import Relations
from nwb_ophys.interfaces.trials import TrialsInterface
from nwb_ophys.timing import usable_rate

_MOST_LISTED = 6


@attrs.frozen(kw_only=True, eq=False)
class Target:
    """A stream that gets times.

    Attributes
    ----------
    name : str
        Empty for an interface by itself.
    interface : TimeAlignment
    num_samples : int
    num_planes : int
        Planes of a volume; 1 for frames.
    rate : float or None
        The rate in Hz that the source states.
    noun : str
        Name of a sample.
    """

    name: str
    interface: Any
    num_samples: int
    num_planes: int
    rate: float | None
    noun: str

    @property
    def label(self) -> str:
        """Return its name for messages."""
        return f"'{self.name}'" if self.name else "the recording"


def targets_of(interfaces: Mapping[str, Any], stream: str | None, is_times: bool) -> list[Target]:
    """Return the streams that get times: the one that is named, or the only movie.

    Channels of one movie, which were recorded at the same times, are one.

    Parameters
    ----------
    interfaces : mapping of str to interface
    stream : str or None
        Name of a stream; None for the only movie.
    is_times : bool
        Whether times are given, and not pulses; for messages.

    Raises
    ------
    OptionError
        If the stream has no times, or if there are several movies; lists them.
    """
    timed = [name for name, each in interfaces.items() if _has_times(each)]
    if stream is not None:
        if stream not in timed:
            raise OptionError(
                f"The stream '{stream}' has no times that can be set; those that have: "
                f"{listed(timed, _MOST_LISTED) or 'none'}."
            )
        return [_target(stream, interfaces[stream])]
    movies = [name for name in Relations.of(interfaces).movies if name in timed]
    names = movies or timed
    if not names:
        raise OptionError("Nothing that was found has times; leave times and pulses out.")
    if len(names) > 1 and not _are_channels([interfaces[name] for name in names]):
        flag = "times" if is_times else "pulses"
        raise OptionError(
            f"There are {len(names)} streams with times of their own: "
            f"{listed(names, _MOST_LISTED)}. Name the one that the {flag} belong to, as in "
            f"'{names[0]}=FILE' or with the key stream; give {flag} again for each other one."
        )
    return [_target(name, interfaces[name]) for name in names]


def untimed_movies(interfaces: Mapping[str, Any], timed: Collection[str]) -> list[str]:
    """Return the movies that are not among some streams."""
    movies = [name for name in Relations.of(interfaces).movies if _has_times(interfaces[name])]
    return [name for name in movies if name not in timed]


def is_other_channel(interfaces: Mapping[str, Any], name: str, timed: Collection[str]) -> bool:
    """Return whether a movie is a channel of a recording of which another one is among some."""
    return any(_are_channels([interfaces[name], interfaces[each]]) for each in timed)


def _has_times(interface: Any) -> bool:
    return isinstance(interface, TimeAlignment) and not isinstance(
        interface, (ImagesInterface, TrialsInterface)
    )


def _target(name: str, interface: Any) -> Target:
    extractor = interface.extractor
    is_segmentation = isinstance(extractor, SegmentationExtractor)
    shape = () if is_segmentation else _sample_shape(extractor)
    num_planes = int(shape[2]) if len(shape) > 2 else 1
    noun = "sample" if is_segmentation else "volume" if num_planes > 1 else "frame"
    return Target(
        name=name,
        interface=interface,
        num_samples=int(extractor.get_num_samples() or 0),
        num_planes=num_planes,
        rate=usable_rate(extractor.get_sampling_frequency()),
        noun=noun,
    )


def _sample_shape(extractor: Any) -> tuple[int, ...]:
    get_shape = getattr(extractor, "get_sample_shape", None)  # lines of a line scan have none
    return () if get_shape is None else tuple(get_shape())


def _are_channels(interfaces: list[Any]) -> bool:
    """Return whether interfaces differ only in the channel of one recording."""
    first = interfaces[0]
    numbers = {int(each.extractor.get_num_samples()) for each in interfaces}
    arguments = [_arguments(each) for each in interfaces]
    return (
        len({type(each) for each in interfaces}) == 1
        and len(numbers) == 1
        and all(each == arguments[0] for each in arguments)
        and getattr(first.source, "plane_index", None) is None
    )


def _arguments(interface: Any) -> dict[str, Any]:
    """Return the source arguments but those that name a channel."""
    given = attrs.asdict(interface.source, recurse=False)
    return {key: repr(value) for key, value in given.items() if "channel" not in key}
