"""Read MetaMorph stacks: all planes behind the directory of the first one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from nwb_ophys.errors import CorruptSourceError, SourceArgumentError, SourceError
from nwb_ophys.extractors.ranges import check_index
from nwb_ophys.filetypes.files import COPY_AGAIN
from nwb_ophys.filetypes.ome.times import mean_rate, sample_times, select_rate
from nwb_ophys.filetypes.tiff.checks import TiffSource, inspect_tiff
from nwb_ophys.filetypes.tiff.extractor import TiffFramesExtractor
from nwb_ophys.filetypes.tiff.folders import TIFF_SUFFIXES
from nwb_ophys.filetypes.tiff.heading import read_tiff_heading
from nwb_ophys.filetypes.tiff.reader import TiffPageReader
from nwb_ophys.filetypes.truncation import (
    nothing_complete,
    report_truncated,
    warn_of_later_files,
)
from nwb_ophys.formats.metamorph.names import (
    STACK_SUFFIX,
    MetaMorphName,
    companion_of,
    parse_name,
    read_companion,
    read_planes,
)
from nwb_ophys.formats.metamorph.tags import UIC2, MetaMorphTags, datetime_of
from nwb_ophys.metadata import common_facts
from nwb_ophys.paths import PathProbe
from nwb_ophys.remote.paths import as_path
from nwb_ophys.timing import require_rate

_ROUNDING = 1.0001e-3


class MetaMorphExtractor(TiffFramesExtractor):
    """Frames or volumes of one or several MetaMorph files.

    The planes of one file are samples over time, unless they are at different heights. The planes
    of several files, one per time, are the planes of volumes. The time of a sample is the creation
    of its first plane, in s since the first image of the acquisition.

    Parameters
    ----------
    file_paths : sequence of pathlib.Path
        The files in the order of time.
    planes : {"time", "z"}, optional
        Meaning of the planes of a file; by default as the file states.
    plane_index : int, optional
        The plane to read, from 0; volumes of all planes by default.
    sampling_frequency : float, optional
        Samples per second in Hz; by default from the times of creation.

    Attributes
    ----------
    facts : dict of str to object
        Wavelength in nm, size of a pixel in m and distance of planes in µm, where all files agree;
        None where not stated.
    start : datetime.datetime or None
        Creation of the first image of the acquisition, without a time zone.
    file_paths : list of Path

    Raises
    ------
    SourceArgumentError
        If an argument is out of range, or if no rate of several samples is stated or given.
    CorruptSourceError
        If a file is truncated.
    SourceError
        If a file is compressed or not of MetaMorph, or if the files differ.
    """

    extractor_name = "MetaMorphExtractor"

    def __init__(
        self,
        file_paths: Sequence[Path],
        planes: str | None = None,
        plane_index: int | None = None,
        sampling_frequency: float | None = None,
        allow_truncated: bool = False,
    ) -> None:
        path = as_path(file_paths[0])
        tags, sources = _open_files(file_paths, allow_truncated)
        self.file_paths = list(file_paths)[: len(sources)]
        self.facts = _common_facts(self.file_paths, tags)
        num_planes = planes_per_sample(self.file_paths, tags, planes)
        reader = TiffPageReader(sources)
        num_samples = reader.num_pages // num_planes
        if not num_samples:
            raise nothing_complete(path, "volumes")
        pages = np.arange(num_samples * num_planes, dtype=np.int64).reshape(-1, num_planes)
        if plane_index is not None:
            check_index("plane_index", plane_index, num_planes)
            pages = pages[:, plane_index : plane_index + 1]
        self._pages = np.ascontiguousarray(pages)
        created = np.concatenate([_created(*each) for each in zip(tags, sources, strict=True)])
        earliest = first_creation(path, created)
        self.start = datetime_of(earliest)
        times = (created[self._pages] - earliest) / 1000
        rate = self._rate(path, times, sampling_frequency)
        super().__init__(
            reader,
            sampling_frequency=rate,
            num_samples=len(self._pages),
            num_planes=self._pages.shape[1],
        )

    def _rate(self, path: Path, times: Any, given: float | None) -> float | None:
        """Return the user's rate, else the mean rate of the times, which are kept if used.

        None for a single sample, which may be an image or a z-stack and needs no rate.
        """
        stated = sample_times(path, times, "times of creation")
        rate = select_rate(path, given, mean_rate(stated), None, "the times of creation")
        if rate is None and len(times) == 1:
            return None
        if rate is None:
            require_rate(
                SourceArgumentError(
                    f"'{path}' states no times of its planes that increase; give "
                    "sampling_frequency, in samples per second."
                )
            )
            return None
        numbers = [parse_name(file).time for file in self.file_paths]
        if given is None and stated is not None:
            regular = stated[0] + np.arange(len(stated)) / rate
            # The times are rounded to milliseconds; only larger deviations are jitter.
            is_regular = bool((np.abs(regular - stated) <= _ROUNDING).all())
            self._stated_times = regular if is_regular else stated
        elif None not in numbers and len(numbers) == len(times):
            indices = np.array(numbers) - numbers[0]
            is_gapless = bool((np.diff(indices) == 1).all())
            self._stated_times = None if is_gapless else indices / rate
        return rate


def _common_facts(paths: Sequence[Path], tags: Sequence[MetaMorphTags]) -> dict[str, Any]:
    """Return the facts that all files state alike; warn of those that differ."""
    stated = [
        (
            path.name,
            {
                "wavelength": float(own.wavelengths[0]) if own.wavelengths.any() else None,
                "pixel size": own.pixel_size,
                "distance of planes": own.z_step,
            },
        )
        for path, own in zip(paths, tags, strict=True)
    ]
    return common_facts(f"the recording '{paths[0]}'", stated)


def metamorph_tags(path: Path) -> MetaMorphTags:
    """Return the tags of a file.

    Raises
    ------
    SourceError
        If MetaMorph did not write it.
    CorruptSourceError
        If the values of the tags cannot be read.
    """
    tags = read_planes(path)
    heading = read_tiff_heading(path) if tags is None else None
    if heading is not None and UIC2 in heading.tags:
        raise CorruptSourceError(
            f"'{path}' is truncated or damaged: the values of its MetaMorph tags (33628 to 33631), "
            f"which state its planes, cannot be read. To repair it, {COPY_AGAIN}."
        )
    if tags is None:
        raise SourceError(
            f"'{path}' lacks the tags of MetaMorph (33628 to 33631); read it as a plain TIFF stack "
            "(format tiff)."
        )
    return tags


def planes_per_sample(
    paths: Sequence[Path], tags: Sequence[MetaMorphTags], planes: str | None
) -> int:
    """Return the number of planes of a sample: 1 if the planes of a file are samples over time.

    The planes of a single file are over time, unless it states distances in z.

    Raises
    ------
    SourceError
        If the planes have different wavelengths.
    """
    path, first = paths[0], tags[0]
    waves = sorted(set(first.wavelengths.tolist()))
    if len(waves) > 1:
        listed = ", ".join(f"{wave:g}" for wave in waves[:5])
        raise SourceError(
            f"'{path}': its planes have the wavelengths {listed} nm, so that they are not one "
            "movie. Save each wavelength as a stack of its own."
        )
    if planes is not None:
        return first.num_planes if planes == "z" else 1
    if len(paths) > 1:
        return first.num_planes
    companion = companion_of(path)
    does_z = companion is not None and read_companion(companion).get("DoZSeries", "") == "TRUE"
    return first.num_planes if first.is_over_z or does_z else 1


def first_creation(path: Path, created: Any) -> float:
    """Return the earliest creation of all files of the acquisition of a file; NaN if not stated."""
    name = parse_name(path)
    stated = [created]
    if name != MetaMorphName(base=name.base):
        for file in PathProbe(path.parent).files(STACK_SUFFIX, *TIFF_SUFFIXES):
            other = parse_name(file)
            # Later files of a series are not opened.
            if file != path and other.base == name.base and (other.time or 1) <= (name.time or 1):
                tags = read_planes(file)
                stated += [] if tags is None else [tags.created]
    known = np.concatenate(stated)
    return float(np.nanmin(known)) if not np.isnan(known).all() else float("nan")


def _created(tags: MetaMorphTags, source: TiffSource) -> Any:
    """Return the creation of each page of a file in ms; NaN where not stated."""
    num_pages = source.table.num_pages
    is_fitting = tags.num_planes == num_pages or source.table.is_truncated
    return tags.created[:num_pages] if is_fitting else np.full(num_pages, np.nan)


def _open_files(
    paths: Sequence[Path], allow_truncated: bool
) -> tuple[list[MetaMorphTags], list[TiffSource]]:
    """Return the tags and the planes of the files of a series, up to a truncated file."""
    tags: list[MetaMorphTags] = []
    sources: list[TiffSource] = []
    for number, path in enumerate(paths):
        if number and read_tiff_heading(path) is None:
            reason = "it has no header of a TIFF file" if path.stat().st_size else "it is empty"
            report_truncated(path, 0, allow=allow_truncated, unit="planes", reason=reason)
            warn_of_later_files(path, paths[number + 1 :])
            break
        own = metamorph_tags(path)
        source = _source(path, own, allow_truncated)
        tags.append(own)
        sources.append(source)
        if source.table.is_truncated:
            warn_of_later_files(path, paths[number + 1 :])
            break
    whole = [source for source in sources if not source.table.is_truncated]
    _check_alike(paths, whole)
    return tags, sources


def _source(path: Path, tags: MetaMorphTags, allow_truncated: bool) -> TiffSource:
    """Return the planes of a file, of which all but the first have no page directory."""
    source = inspect_tiff(path, reads_axes=False, allow_truncated=allow_truncated)
    table = source.table
    if table.num_pages > 1 or tags.num_planes == 1:
        return source
    size = table.rows * table.columns * source.dtype.itemsize
    if not table.is_direct or not size:
        raise SourceError(
            f"'{path}' is a compressed MetaMorph stack, or its planes are not in one piece; save "
            "it without compression in MetaMorph."
        )
    start = int(table.data_offsets[0])
    complete = (table.file_size - start) // size
    is_truncated = complete < tags.num_planes
    reason = f"it has {table.file_size} bytes"
    if is_truncated:
        if not complete:
            raise nothing_complete(path, "planes", reason)
        report_truncated(
            path, complete, tags.num_planes, allow=allow_truncated, unit="planes", reason=reason
        )
    offsets = start + size * np.arange(min(complete, tags.num_planes), dtype=np.int64)
    whole = attrs.evolve(table, data_offsets=offsets, loss=reason if is_truncated else table.loss)
    return attrs.evolve(source, table=whole)


def _check_alike(paths: Sequence[Path], sources: Sequence[TiffSource]) -> None:
    """Raise SourceError if files have different numbers of planes."""
    numbers = [source.table.num_pages for source in sources]
    for path, number in zip(paths, numbers, strict=False):
        if number != numbers[0]:
            raise SourceError(
                f"'{path}' has {number} planes, '{paths[0]}' has {numbers[0]}; the files of one "
                "acquisition must be alike. Move it into a folder of its own."
            )
