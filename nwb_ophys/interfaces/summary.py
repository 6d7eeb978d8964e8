"""Facts of an interface in words, for notebooks; no pixel is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import as_sentence, shown
from nwb_ophys.rois.model import Rois


def contents_of(interface: Any) -> str:
    """Return what an interface reads in one line.

    Parameters
    ----------
    interface : object
        Interface of this package, or of another one.
    """
    extractor = getattr(interface, "extractor", None)
    try:
        if hasattr(extractor, "get_roi_ids"):
            return _of_rois(extractor)
        if hasattr(extractor, "get_series"):
            return _of_movie(extractor)
    except Exception as error:  # of a closed interface, or of an extractor of another package
        return as_sentence(error)
    return str(getattr(interface, "summary", ""))


def _of_movie(extractor: Any) -> str:
    shape = [extractor.get_num_samples(), *extractor.get_image_shape()]
    noun = "frames"
    if getattr(extractor, "is_volumetric", False):
        shape.append(extractor.get_num_planes())
        noun = "volumes"
    frames, *size = map(int, shape)
    axes = ", ".join(("rows", "columns", "planes")[: len(size)])
    pixels = " x ".join(map(str, size))
    return f"{frames} {noun} of {pixels} ({axes}) {extractor.get_dtype()}{_rate_of(extractor)}"


def _of_rois(extractor: Any) -> str:
    rois = Rois.of(extractor)
    accepted = "" if rois.accepted is None else f", {int(rois.accepted.sum())} accepted"
    size = " x ".join(map(str, rois.frame_shape))
    kinds = ", ".join(rois.traces) or "none"
    return (
        f"{len(rois)} ROIs{accepted}, field {size}; traces: {kinds}, "
        f"{extractor.get_num_samples()} samples{_rate_of(extractor)}"
    )


def _rate_of(extractor: Any) -> str:
    rate = extractor.get_sampling_frequency()
    return f", {rate:g} Hz" if rate else ""


def facts_of(interface: Any) -> Iterator[tuple[str, str]]:
    """Yield the source arguments and the contents of an interface, as label and text.

    Parameters
    ----------
    interface : BaseOphysInterface
    """
    source: Any = getattr(interface, "source", None)
    if attrs.has(type(source)):
        for name, value in attrs.asdict(source, recurse=False).items():
            if value is not None:
                yield name, _in_words(value)
    yield "contents", contents_of(interface)


def _in_words(value: Any) -> str:
    if isinstance(value, (list, tuple)) and all(isinstance(each, Path) for each in value):
        return ", ".join(map(str, value))
    return str(value) if isinstance(value, (Path, str)) else shown(value)
