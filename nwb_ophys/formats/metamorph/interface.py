"""Recordings of MetaMorph: stacks, and acquisitions with a file per time."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs

from nwb_ophys.errors import SourceError, counted, first_of
from nwb_ophys.filetypes.ome.recordings import grid_spacing
from nwb_ophys.filetypes.tiff.folders import first_heading, warn_of_subfolders
from nwb_ophys.filetypes.tiff.heading import TiffHeading, read_tiff_heading
from nwb_ophys.formats.metamorph.metaseries import is_metaseries
from nwb_ophys.formats.metamorph.names import (
    COMPANION_MARK,
    COMPANION_SUFFIX,
    STACK_SUFFIX,
    MetaMorphName,
    absent_parts,
    acquisitions_of,
    channel_of,
    companion_of,
    distinct_channel_of,
    parse_name,
    read_companion,
    series_of,
    stacks_in,
    stated_times,
)
from nwb_ophys.formats.metamorph.tags import UIC2
from nwb_ophys.interfaces.arguments import allow_truncated_argument, argument
from nwb_ophys.interfaces.grouping import FileGroup, Grouping
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.streams import Part
from nwb_ophys.metadata import camel_case, possible_wavelength
from nwb_ophys.paths import PathProbe


@attrs.frozen(kw_only=True)
class MetaMorphSource:
    """Source arguments of a MetaMorph recording."""

    file_path: Path | list[Path] = argument(
        "MetaMorph file (.stk or .tif); or list of the files of one wavelength and stage position, "
        "in order of time."
    )
    planes: Literal["time", "z"] | None = argument(
        "Meaning of the planes of a file: samples over time, or planes of a volume; by default as "
        "the file states.",
        default=None,
    )
    plane_index: int | None = argument(
        "Index of a plane of a volume, from 0; whole volumes if not given.", default=None
    )
    sampling_frequency: float | None = argument(
        "Sampling rate in Hz; required only if the files do not state times.", default=None
    )
    allow_truncated: bool = allow_truncated_argument()


class MetaMorphImagingInterface(ImagingInterface):
    """One wavelength at one stage position of a MetaMorph recording: one plane, or volumes."""

    Source = MetaMorphSource
    reads_ranges = True
    has_volumes = True
    # MetaMorph records from cameras; users of laser scanners set photon_series_type.
    photon_series_type = "OnePhotonSeries"

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.metamorph.reader import MetaMorphExtractor

        arguments = attrs.asdict(source)
        given = arguments.pop("file_path")
        paths = given if isinstance(given, list) else _single_series(given)
        return MetaMorphExtractor(paths, **arguments)

    def describe(self) -> Mapping[str, Any]:
        """Return the metadata of the files: start, rate, pixel size, wavelength."""
        extractor, facts = self.extractor, self.extractor.facts
        wavelength = possible_wavelength(facts.get("wavelength"))
        channel = channel_of(extractor.file_paths[0])
        x, y = facts.get("pixel size") or (None, None)
        step = facts.get("distance of planes")
        z = None if step is None else step * 1e-6
        plane = {
            "imaging_rate": extractor.stated_rate,
            "description": None
            if wavelength is None
            else f"MetaMorph states the wavelength {wavelength:g} nm.",
            "optical_channel": [{"name": camel_case(channel)} if channel else {}],
            **grid_spacing((x, y, z), extractor.is_volumetric),
        }
        return {
            "NWBFile": {"session_start_time": extractor.start},
            "Ophys": {
                "Device": [{"description": "Microscope run by MetaMorph."}],
                "ImagingPlane": [plane],
            },
        }

    def part(self) -> str:
        """Return the wavelength and the stage position that the name of the file states."""
        name = parse_name(self.extractor.file_paths[0])
        plane = self.source.plane_index
        channel = distinct_channel_of(self.extractor.file_paths[0])
        words = (_stage_name(name), channel, "" if plane is None else f"Plane{plane}")
        return " ".join(word for word in words if word)

    @classmethod
    def owns(cls, heading: TiffHeading) -> bool:
        """Return whether a TIFF file has the tag of MetaMorph's stacks and names no other program.

        Other programs copy the tags; MetaMorph calls itself MetaMorph or MetaSeries, if anything.
        """
        is_tagged = UIC2 in heading.tags and (not heading.software or "Meta" in heading.software)
        return is_tagged or is_metaseries(heading)

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for a MetaMorph recording: its tags, or its .nd file."""
        probe = PathProbe.of(path)
        if probe.is_file and probe.path.suffix.lower() == COMPANION_SUFFIX:
            is_ours = COMPANION_MARK in probe.head()[:64]
            return f"'{probe.path.name}' is an acquisition of MetaMorph" if is_ours else None
        found = first_heading(probe, cls.owns) or _first_stack(probe)
        if found is None:
            return None
        what = "tags of a MetaMorph stack" if UIC2 in found[1].tags else "texts of MetaMorph"
        return f"'{found[0].name}' has the {what}"

    @classmethod
    def group(cls, probe: PathProbe, movie_names: Collection[str] = ()) -> Grouping:
        """Return the acquisitions at a path: files that differ in wavelength, stage and time."""
        files, _ = stacks_in(probe.path)
        warn_of_subfolders(probe.path, STACK_SUFFIX)
        groups = tuple(FileGroup.of_files(own) for own in acquisitions_of(files or [probe.path]))
        return Grouping(groups=groups)

    @classmethod
    def parts(cls, path: Path | list[Path], **source: Any) -> Iterator[Part]:
        """Yield every wavelength at every stage position of every acquisition at a path."""
        from nwb_ophys.formats.metamorph.reader import metamorph_tags, planes_per_sample

        series = _series_at(path)
        _warn_of_absent_parts(series)
        waves: dict[str, dict[str, Path]] = {}
        for name, files in series.items():
            waves.setdefault(name.base, {}).setdefault(name.wave, files[0])
        for name, files in series.items():
            companion = companion_of(files[0])
            values = read_companion(companion) if companion is not None else {}
            _check_numbers(files, stated_times(values, name))
            tags = [metamorph_tags(files[0])]
            yield Part(
                arguments={"file_path": files if len(files) > 1 else files[0]},
                recording=name.base,
                position=values.get(f"Stage{name.stage}") or _stage_name(name),
                channel=distinct_channel_of(files[0], waves[name.base].values()),
                num_planes=planes_per_sample(files, tags, source.get("planes")),
            )


def _first_stack(probe: PathProbe) -> tuple[Path, TiffHeading] | None:
    """Return the first ``.stk`` file of a path with MetaMorph's tags, and its header, or None."""
    first = probe.first_file(STACK_SUFFIX)
    heading = None if first is None else probe.read_once(read_tiff_heading, first)
    is_ours = heading is not None and MetaMorphImagingInterface.owns(heading)
    return (first, heading) if is_ours else None  # type: ignore[return-value]


def _series_at(path: Path | list[Path]) -> dict[MetaMorphName, list[Path]]:
    """Return the files of each series at a path, sorted by name."""
    if isinstance(path, list):
        has_parts = any(parse_name(file) != MetaMorphName(base=file.stem) for file in path)
        return series_of(path) if has_parts else {MetaMorphName(base=path[0].stem): path}
    files, _ = stacks_in(path)
    if not files:
        raise SourceError(
            f"'{path}' holds no file with the tags of MetaMorph (33628 to 33631); give the folder "
            "with its .stk or .tif files."
        )
    return series_of(files)


def _single_series(path: Path) -> Sequence[Path]:
    """Return the files of the one series at a path; a file alone is one."""
    if not path.is_dir() and path.suffix.lower() != COMPANION_SUFFIX:
        return [path]
    series = _series_at(path)
    if len(series) > 1:
        names = ", ".join(f"'{files[0].name}'" for files in list(series.values())[:5])
        raise SourceError(
            f"'{path}' holds {len(series)} recordings of MetaMorph; give the files of one as a "
            f"list. The first files are {names}."
        )
    return next(iter(series.values()))


def _stage_name(name: MetaMorphName) -> str:
    return "" if name.stage is None else f"Stage{name.stage}"


def _warn_of_absent_parts(series: Mapping[MetaMorphName, Sequence[Path]]) -> None:
    """Warn of wavelengths and stages of an ``.nd`` file without any file."""
    by_companion: dict[Path | None, list[MetaMorphName]] = {}
    for name, files in series.items():
        by_companion.setdefault(companion_of(files[0]), []).append(name)
    for companion, names in by_companion.items():
        absent = [] if companion is None else absent_parts(read_companion(companion), names)
        if absent:
            warnings.warn(
                f"'{companion}' states files of {', '.join(absent)}, which are not there. The "
                "others are read.",
                UserWarning,
                stacklevel=3,
            )


def _warn_of_more_times(files: Sequence[Path], times: Sequence[int]) -> None:
    """Warn of files of times that the ``.nd`` file does not state, such as an earlier series."""
    if times:
        shown = first_of([f"t{time}" for time in times], 5)
        warnings.warn(
            f"'{files[0].parent}' has {counted(len(times), 'file')} of times that the .nd file "
            f"beside '{files[0].name}' does not state ({shown}), which are read. They may be of an "
            "earlier acquisition with the same name; move those away.",
            UserWarning,
            stacklevel=4,
        )


def _check_numbers(files: Sequence[Path], stated: Collection[int]) -> None:
    """Warn of times of a series without a file: stated ones, or between the first and the last."""
    numbers = {parse_name(file).time for file in files} - {None}
    known = {number for number in numbers if number is not None}
    expected = set(stated) or (set(range(min(known), max(known))) if known else set())
    missing = sorted(expected - known) if known else []
    _warn_of_more_times(files, sorted(known - set(stated)) if stated else [])
    if not missing:
        return
    shown = ", ".join(f"t{number}" for number in missing[:5])
    where = (
        f"of those that the .nd file states beside '{files[0].name}'"
        if stated
        else f"between '{files[0].name}' and '{files[-1].name}'"
    )
    warnings.warn(
        f"'{files[0].parent}' lacks {len(missing)} files {where} "
        f"({shown}{', …' if len(missing) > 5 else ''}). The others are read, with their times.",
        UserWarning,
        stacklevel=3,
    )
