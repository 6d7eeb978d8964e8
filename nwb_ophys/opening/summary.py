"""Summaries in words: the files that are joined, and the contents of an NWB file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nwb_ophys.opening.recordings import Recording
from nwb_ophys.storage import DEFAULT_BACKEND, backend_of_path, get_backend

_MOST_LISTED = 6
_ORDER = {"TwoPhotonSeries": 0, "OnePhotonSeries": 0, "ImageSegmentation": 1}


def joined_files(recording: Recording) -> Iterator[str]:
    """Yield a line for each recording of several files: the files in order, with their frames.

    Parameters
    ----------
    recording : Recording
        What :func:`nwb_ophys.opening.open_recording` opened.
    """
    extractors = [
        getattr(interface, "extractor", None)
        for interface in recording.converter.interfaces.values()
    ]
    for found in recording.found:
        for group in found.groups:
            if len(group.files) > 1:
                counts = _frames_of(group.files, extractors)
                name = f" {group.name}" if group.name else ""
                yield (
                    f"{found.row.name}{name}: joined {len(group.files)} files in this order: "
                    f"{_in_words(group.files, counts)}"
                )


def _frames_of(files: Sequence[Path], extractors: Sequence[Any]) -> list[str]:
    """Return the number of frames of each file in words; empty texts where it is not known."""
    wanted = {file.resolve() for file in files}
    for extractor in extractors:
        pages = {
            path.resolve(): count
            for path, count in getattr(extractor, "pages_of_files", {}).items()
        }
        if pages and pages.keys() <= wanted:
            per_frame = sum(pages.values()) / max(extractor.get_num_samples(), 1)
            counts = [pages.get(file.resolve(), 0) / per_frame for file in files]
            if all(count.is_integer() for count in counts):
                noun = "volume" if extractor.is_volumetric else "frame"
                return [_counted(int(count), noun) for count in counts]
            return [_counted(pages.get(file.resolve(), 0), "page") for file in files]
    return [""] * len(files)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _in_words(files: Sequence[Path], counts: Sequence[str]) -> str:
    alike = len(set(counts)) == 1
    if len(files) <= _MOST_LISTED:
        return ", ".join(
            f"'{file.name}' ({count})" if count else f"'{file.name}'"
            for file, count in zip(files, counts, strict=True)
        )
    each = f", {counts[0]} each" if alike and counts[0] else ""
    if not alike:
        each = f", {counts[0]} in the first, {counts[-1]} in the last"
    return f"'{files[0].name}', '{files[1].name}', … '{files[-1].name}'{each}"


def summarise_file(path: str | Path) -> str:
    """Return a summary of the movies, ROIs and traces in an NWB file, read from the file.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    str
        A line with the size of the file, then a line for each series and table.
    """
    path = Path(path)
    backend = backend_of_path(path) or get_backend(DEFAULT_BACKEND)
    lines = [f"Wrote {path} ({_size(path) / 1e6:.1f} MB):"]
    with backend.open(path, "r") as io:
        nwbfile = io.read()
        modules = [module.data_interfaces for module in nwbfile.processing.values()]
        objects = [each for held in (nwbfile.acquisition, *modules) for each in held.values()]
        # ROIs come before their traces.
        for each in sorted(objects, key=lambda each: _ORDER.get(type(each).__name__, 2)):
            lines += [f"  {line}" for line in _described(each)]
    return "\n".join(lines)


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())


def _described(each: Any) -> Iterator[str]:
    """Yield the lines of one object of an NWB file; its neurodata type decides."""
    kind = type(each).__name__
    if kind in ("TwoPhotonSeries", "OnePhotonSeries"):
        num_samples, *shape = each.data.shape
        axes = ", ".join("xyz"[: len(shape)])
        size = " x ".join(map(str, shape))
        pixels = "pixels" if len(shape) == 2 else "voxels"
        noun = "frame" if len(shape) == 2 else "volume"
        yield (
            f"{each.name}: {_counted(num_samples, noun)} of {size} ({axes}) {pixels}, {_rate(each)}"
        )
    elif kind == "ImageSegmentation":
        for table in each.plane_segmentations.values():
            yield f"{table.name}: {_counted(len(table.id), 'ROI')} ({', '.join(table.colnames)})"
    elif kind in ("Fluorescence", "DfOverF"):
        for series in each.roi_response_series.values():
            num_samples, num_rois = series.data.shape
            yield (
                f"{series.name}: {_counted(num_samples, 'sample')} of "
                f"{_counted(num_rois, 'ROI')}, {_rate(series)}"
            )
    elif kind == "Images":
        yield f"{each.name}: {_counted(len(each.images), 'image')} ({', '.join(each.images)})"
    elif hasattr(each, "data") and hasattr(each.data, "shape"):
        size = " x ".join(map(str, each.data.shape))
        yield f"{each.name} ({kind}): {size}, {_rate(each)}"


def _rate(series: Any) -> str:
    return "with timestamps" if series.rate is None else f"{series.rate:g} Hz"
