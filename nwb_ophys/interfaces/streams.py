"""The parts of a recording, their names, and the streams that they become."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class Part:
    """One part of what a path holds: all that one interface opens.

    A format states the names that its files give, also where there is only one of a kind;
    :func:`streams_of` decides which of them a stream needs.

    Attributes
    ----------
    arguments : mapping of str to object
        Source arguments that open the part, the path first. An argument that the user gives chooses
        the parts with the same value.
    defaults : mapping of str to object
        Further source arguments, which the user's replace.
    recording, position, channel : str
        Names within the path. Each is in the name of the stream where there are several: of
        recordings in the path, positions in the recording, or channels at the position.
    labels : sequence of str
        Further names. Each is in the name of the stream only where the parts that the user chose
        differ in it.
    num_planes : int
        Number of planes of its volumes; 1 for a movie of one plane.
    """

    arguments: Mapping[str, Any]
    defaults: Mapping[str, Any] = attrs.field(factory=dict)
    recording: str = ""
    position: str = ""
    channel: str = ""
    labels: Sequence[str] = ()
    num_planes: int = 1


def streams_of(
    parts: Iterable[Part], given: Mapping[str, Any], as_volume: bool = True
) -> dict[str, dict[str, Any]]:
    """Return the source arguments of each stream by its name.

    Parameters
    ----------
    parts : iterable of Part
        All parts of a path, at least one.
    given : mapping of str to object
        Source arguments of the user, which choose among the parts; None chooses nothing.
    as_volume : bool
        Make one stream of the planes of a volume (True), or one of each plane (False).
    """
    known = list(parts)
    chosen = [part for part in known if _fits(part, given)] or [_misfit(known[0], given)]
    found: dict[str, dict[str, Any]] = {}
    for part in chosen:
        stem = " ".join(" ".join(_names(part, known, chosen)).split())
        arguments = {**part.defaults, **given, **part.arguments}
        for name, own in _planes(stem, part.num_planes, arguments, as_volume):
            found[_free(name, found)] = own
    return found


def part_name(*names: str, plane_index: int | None = None) -> str:
    """Return the name of a part for metadata, such as ``Channel 1 Plane2``.

    Parameters
    ----------
    *names : str
        Names of the position, the channel and the like; empty where there is only one.
    plane_index : int, optional
        Index of the plane that was chosen.
    """
    plane = "" if plane_index is None else f"Plane{plane_index}"
    return " ".join(name for name in (*names, plane) if name)


def distinct_labels(labels: Sequence[str], others: Sequence[Sequence[str]]) -> list[str]:
    """Return those of some labels in which others, compared place by place, differ."""
    return [
        label
        for index, label in enumerate(labels)
        if any(other[index] != label for other in others)
    ]


def indexed_name(index: int | None) -> str:
    """Return the name of a channel that has only an index."""
    return f"Channel{index}"


def indexed_names(num_channels: int) -> list[str]:
    """Return the names of channels that have only an index."""
    return [indexed_name(index) for index in range(num_channels)]


def axes_parts(axes: Any, **arguments: Any) -> list[Part]:
    """Return a part for each channel of an array.

    Parameters
    ----------
    axes : MovieAxes
    **arguments
        Source arguments, to which ``channel_index`` is added where there are several channels.
    """
    return indexed_parts(axes.size("C"), axes.size("Z"), **arguments)


def indexed_parts(num_channels: int, num_planes: int, **arguments: Any) -> list[Part]:
    """Return a part for each channel of a movie whose channels have an index and no name.

    Parameters
    ----------
    num_channels, num_planes : int
    **arguments
        Source arguments, to which ``channel_index`` is added where there are several channels.
    """
    if num_channels == 1:
        return [Part(arguments=arguments, num_planes=num_planes)]
    return [
        Part(
            arguments={**arguments, "channel_index": index},
            labels=(f"channel{index}",),
            num_planes=num_planes,
        )
        for index in range(num_channels)
    ]


def named_parts(names: Sequence[str], argument: str, **arguments: Any) -> list[Part]:
    """Return a part for each of some names, or one that needs no name where there is only one.

    Parameters
    ----------
    names : sequence of str
    argument : str
        The source argument that chooses one of the names.
    **arguments
        Further source arguments of each part.
    """
    if len(names) < 2:
        return [Part(arguments=arguments)]
    return [Part(arguments={**arguments, argument: name}, labels=(name,)) for name in names]


def _fits(part: Part, given: Mapping[str, Any]) -> bool:
    return all(
        value is None or name not in part.arguments or part.arguments[name] == value
        for name, value in given.items()
    )


def _misfit(part: Part, given: Mapping[str, Any]) -> Part:
    """Return a part with the user's arguments alone, of which the reader says what is wrong."""
    path = next(iter(part.arguments))
    wrong = {name: value for name, value in given.items() if value is not None}
    return attrs.evolve(part, arguments={path: part.arguments[path], **wrong}, defaults={})


def _names(part: Part, known: Sequence[Part], chosen: Sequence[Part]) -> Iterator[str]:
    """Yield the names of a part that others have not."""
    near = known
    for kind in ("recording", "position", "channel"):
        name = getattr(part, kind)
        if any(getattr(other, kind) != name for other in near):
            yield name
        near = [other for other in near if getattr(other, kind) == name]
    yield from distinct_labels(part.labels, [other.labels for other in chosen])


def _planes(
    stem: str, num_planes: int, arguments: dict[str, Any], as_volume: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the stream of volumes, or the streams of their planes."""
    if as_volume or num_planes == 1 or "plane_index" in arguments:
        yield stem, arguments
        return
    for index in range(num_planes):
        yield f"{stem} plane{index}".strip(), {**arguments, "plane_index": index}


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """Return a name that no other stream has, such as ``Ch1 #2``."""
    found, number = name, 2
    while found in taken:
        found, number = f"{name} #{number}".strip(), number + 1
    return found
