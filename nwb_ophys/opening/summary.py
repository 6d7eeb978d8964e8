"""Summaries in words: the files that are joined, and the contents of an NWB file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nwb_ophys.errors import as_sentence, counted, first_of, printable
from nwb_ophys.opening.recordings import Recording
from nwb_ophys.paths import common_folder, in_natural_order
from nwb_ophys.storage import DEFAULT_BACKEND, backend_of_path, get_backend, size_of

_MOST_LISTED = 6
_MOST_IMAGES = 20
_ORDER = {"TwoPhotonSeries": 0, "OnePhotonSeries": 0, "ImageSegmentation": 1}


def joined_files(recording: Recording) -> Iterator[str]:
    """Yield a line for each movie of several files: the files in order, with their frames.

    Parameters
    ----------
    recording : Recording
        What :func:`nwb_ophys.opening.open_recording` opened.
    """
    streams: dict[tuple[Path, ...], list[str]] = {}
    counts = {}
    for name, interface in recording.converter.interfaces.items():
        extractor = getattr(interface, "extractor", None)
        pages = getattr(extractor, "pages_of_files", {})
        if len(pages) > 1:
            streams.setdefault(tuple(pages), []).append(name)
            counts[tuple(pages)] = _frames_of(list(pages.values()), extractor)
    for files, names in streams.items():
        yield (
            f"{', '.join(names)}: joined {len(files)} files in this order: "
            f"{_in_words(files, counts[files])}"
        )


def _frames_of(pages: Sequence[int], extractor: Any) -> list[str]:
    """Return the number of frames, or else of pages, of each file in words."""
    per_frame = sum(pages) / max(extractor.get_num_samples(), 1)
    counts = [count / per_frame for count in pages]
    if all(count.is_integer() for count in counts):
        noun = "volume" if extractor.is_volumetric else "frame"
        return [counted(int(count), noun) for count in counts]
    return [counted(count, "page") for count in pages]


def _in_words(files: Sequence[Path], counts: Sequence[str]) -> str:
    names = [f"'{name}'" for name in _names(files)]
    if len(files) <= _MOST_LISTED:
        return ", ".join(f"{name} ({count})" for name, count in zip(names, counts, strict=True))
    each = f"{counts[0]} in the first, {counts[-1]} in the last"
    if len(set(counts)) == 1:
        each = f"{counts[0]} each"
    return f"{names[0]}, {names[1]}, … {names[-1]}, {each}"


def _names(files: Sequence[Path]) -> list[str]:
    """Return the names of files, after the folders that tell files of one name apart."""
    if len({file.name for file in files}) == len(files):
        return [file.name for file in files]
    root = common_folder(files)
    return [str(file.relative_to(root)) for file in files]


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
    first = f"Wrote {printable(str(path))} ({size_of(path) / 1e6:.1f} MB)"
    try:
        return "\n".join([f"{first}:", *map(printable, _contents(path))])
    except Exception as error:  # of extensions in a file of another author; the file is written
        return f"{first}; its contents cannot be listed: {printable(as_sentence(error))}"


def _contents(path: Path) -> list[str]:
    """Return a line for each series and table of an NWB file."""
    backend = backend_of_path(path) or get_backend(DEFAULT_BACKEND)
    lines = []
    with backend.open(path, "r") as io:
        nwbfile = io.read()
        modules = [module.data_interfaces for module in nwbfile.processing.values()]
        objects = [each for held in (nwbfile.acquisition, *modules) for each in held.values()]
        # ROIs come before their traces.
        for each in sorted(objects, key=lambda each: _ORDER.get(type(each).__name__, 2)):
            lines += [f"  {line}" for line in _described(each)]
    return lines


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
            f"{each.name}: {counted(num_samples, noun)} of {size} ({axes}) {pixels}, {_rate(each)}"
        )
    elif kind == "MotionCorrection":
        for stack in each.corrected_image_stacks.values():
            (movie,) = _described(stack.corrected)
            yield f"{stack.name}: {movie.partition(': ')[2]}"
    elif getattr(each, "external_file", None) is not None:
        yield f"{each.name} ({kind}): refers to {counted(len(each.external_file), 'file')}"
    elif kind == "ImageSegmentation":
        for table in each.plane_segmentations.values():
            yield f"{table.name}: {counted(len(table.id), 'ROI')} ({', '.join(table.colnames)})"
    elif kind in ("Fluorescence", "DfOverF"):
        for series in each.roi_response_series.values():
            num_samples, num_rois = series.data.shape
            yield (
                f"{series.name}: {counted(num_samples, 'sample')} of "
                f"{counted(num_rois, 'ROI')}, {_rate(series)}"
            )
    elif kind == "Images":
        names = first_of(in_natural_order(each.images), _MOST_IMAGES)
        yield f"{each.name}: {counted(len(each.images), 'image')} ({names})"
    elif hasattr(each, "data") and hasattr(each.data, "shape"):
        size = " x ".join(map(str, each.data.shape))
        yield f"{each.name} ({kind}): {size}, {_rate(each)}"


def _rate(series: Any) -> str:
    return "with timestamps" if series.rate is None else f"{series.rate:g} Hz"
