"""The streams of a recording: each channel of it, of volumes or of each plane."""

from __future__ import annotations

from typing import Any


def part_name(*names: str, plane_index: int | None = None) -> str:
    """Return the name of a part of a recording: its channel and the like, and its plane.

    Parameters
    ----------
    *names : str
        Empty where there is one only.
    plane_index : int, optional
        Of the plane that was chosen.
    """
    plane = "" if plane_index is None else f"Plane{plane_index}"
    return " ".join(name for name in (*names, plane) if name)


def plane_streams(
    name: str, arguments: dict[str, Any], num_planes: int, as_volume: bool
) -> dict[str, dict[str, Any]]:
    """Return the stream of volumes, or those of their planes where they are to be apart.

    Parameters
    ----------
    name : str
        Of the stream; the number of a plane is put behind it.
    arguments : dict
        Source arguments, to which ``plane_index`` is added.
    num_planes : int
    as_volume : bool
    """
    if as_volume or num_planes == 1 or "plane_index" in arguments:
        return {name: arguments}
    return {
        f"{name} plane{index}".strip(): {**arguments, "plane_index": index}
        for index in range(num_planes)
    }


def axes_streams(axes: Any, source: dict[str, Any], as_volume: bool) -> dict[str, dict[str, Any]]:
    """Return the streams of each channel of an array, of volumes or of each plane.

    Parameters
    ----------
    axes : MovieAxes
    source : dict
        Source arguments, to which ``channel_index`` and ``plane_index`` are added.
    as_volume : bool
    """
    if axes.size("C") == 1 or source.get("channel_index") is not None:
        return plane_streams("", source, axes.size("Z"), as_volume)
    found: dict[str, dict[str, Any]] = {}
    for channel in range(axes.size("C")):
        own = {**source, "channel_index": channel}
        found |= plane_streams(f"channel{channel}", own, axes.size("Z"), as_volume)
    return found
