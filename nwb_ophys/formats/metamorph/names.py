"""Find the files of an acquisition of MetaMorph, which saves one file per time, wave and stage.

The files are named ``base_w1GFP_s2_t10.stk``, with the parts that the acquisition has. A file
``base.nd`` may lie beside them, with lines such as ``"NTimePoints", 20``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import attrs

from nwb_ophys.filetypes.files import read_small_file
from nwb_ophys.filetypes.tiff.folders import TIFF_SUFFIXES
from nwb_ophys.filetypes.tiff.heading import read_tiff_heading
from nwb_ophys.formats.metamorph.metaseries import is_metaseries, read_texts
from nwb_ophys.formats.metamorph.tags import UIC2, MetaMorphTags, read_tags
from nwb_ophys.outside import check_file
from nwb_ophys.paths import PathProbe, natural_order

STACK_SUFFIX, COMPANION_SUFFIX = ".stk", ".nd"
COMPANION_MARK = b"NDInfoFile"
_PARTS = re.compile(
    r"(?P<base>.+?)(?:_w(?P<wave>\d+)(?P<name>.*?))?(?:_s(?P<stage>\d+))?(?:_t(?P<time>\d+))?\Z",
    re.IGNORECASE | re.DOTALL,
)
_NUMBER = re.compile(r"\d+$")
_LONGEST = 1 << 24
_POINTS = "WavePointsCollected"
_MOST_PARTS = 1_000_000
_LINE = re.compile(r'"([^"]+)"\s*,\s*"?([^"\r\n]*)"?')


@attrs.frozen(kw_only=True)
class MetaMorphName:
    """Parts of the name of a file.

    Attributes
    ----------
    base : str
        Name of the acquisition.
    wave : str
        Number and name of the wavelength, such as ``1GFP``; empty without it.
    stage, time : int or None
        Numbers of the stage position and of the time, from 1.
    """

    base: str
    wave: str = ""
    stage: int | None = None
    time: int | None = None

    @property
    def wave_number(self) -> int | None:
        """Number of the wavelength; None without it."""
        found = re.match(r"\d+", self.wave)
        return int(found[0]) if found else None

    @property
    def channel(self) -> str:
        """Name of the wavelength, such as ``GFP``, or ``w1`` if it has only a number."""
        return self.wave.lstrip("0123456789").strip() or (f"w{self.wave}" if self.wave else "")


def parse_name(path: Path) -> MetaMorphName:
    """Return the parts of the name of a file."""
    found = _PARTS.match(path.stem)
    assert found is not None  # a stem is not empty
    return MetaMorphName(
        base=found["base"],
        wave=f"{found['wave'] or ''}{found['name'] or ''}",
        stage=None if found["stage"] is None else int(found["stage"]),
        time=None if found["time"] is None else int(found["time"]),
    )


def companion_of(path: Path) -> Path | None:
    """Return the ``.nd`` file of the acquisition to which a file belongs, or None."""
    companion = path.parent / f"{parse_name(path).base}{COMPANION_SUFFIX}"
    return companion if companion.is_file() else None


def read_companion(path: Path) -> Mapping[str, str]:
    """Return the values of an ``.nd`` file by their names.

    The times of a wavelength that was not recorded at all of them are in a line such as
    ``"WavePointsCollected", 2, 1, 6, 11``, here ``WavePointsCollected2``.
    """
    check_file(path)
    values: dict[str, str] = {}
    for name, value in _LINE.findall(
        read_small_file(path, "an .nd file", _LONGEST).decode("latin-1")
    ):
        wave, _, points = value.partition(",")
        is_of_wave = name == _POINTS
        values[f"{name}{wave.strip()}" if is_of_wave else name] = points if is_of_wave else value
    return values


def channel_of(path: Path) -> str:
    """Return the name of the wavelength of a file, from its own name or the ``.nd`` file."""
    name = parse_name(path)
    companion = companion_of(path) if name.wave.isdigit() else None
    values = {} if companion is None else read_companion(companion)
    return values.get(f"WaveName{name.wave}", "").strip() or name.channel


def distinct_channel_of(path: Path, beside: Iterable[Path] | None = None) -> str:
    """Return the name of the wavelength of a file, with its number if another one has the name.

    Parameters
    ----------
    path : pathlib.Path
    beside : iterable of pathlib.Path, optional
        Files of the same acquisition, one of each wavelength or more; by default those in the
        folder.
    """
    channel, own = channel_of(path), parse_name(path)
    if own.wave_number is None:
        return channel
    if beside is None:
        beside = PathProbe(path.parent).files(STACK_SUFFIX, *TIFF_SUFFIXES)
    others: dict[str, Path] = {}
    for file in beside:
        name = parse_name(file)
        if name.base == own.base and name.wave and name.wave != own.wave:
            others.setdefault(name.wave, file)
    is_shared = any(channel_of(file) == channel for file in others.values())
    return f"{channel} w{own.wave_number}" if is_shared else channel


def stated_times(values: Mapping[str, str], name: MetaMorphName) -> set[int]:
    """Return the times of a series by the values of an ``.nd`` file; empty if not stated."""
    points = values.get(f"{_POINTS}{name.wave_number}", "").split(",")
    chosen = {int(point) for point in points if point.strip().isdigit()}
    return chosen or set(range(1, _stated_count(values, "DoTimelapse", "NTimePoints") + 1))


def absent_parts(values: Mapping[str, str], names: Iterable[MetaMorphName]) -> list[str]:
    """Return the wavelengths and stages that an ``.nd`` file states, but no file is of."""
    names = list(names)
    num_waves = _stated_count(values, "DoWave", "NWavelengths")
    num_stages = _stated_count(values, "DoStage", "NStagePositions")
    waves = {each.wave_number for each in names} - {None}
    stages = {each.stage for each in names} - {None}
    found = [(f"w{n}", f"WaveName{n}") for n in range(1, num_waves + 1) if waves and n not in waves]
    found += [
        (f"s{n}", f"Stage{n}") for n in range(1, num_stages + 1) if stages and n not in stages
    ]
    return [f"{part} ({values[key]})" if values.get(key) else part for part, key in found]


def _stated_count(values: Mapping[str, str], does: str, number: str) -> int:
    """Return a number of parts of an acquisition; 0 if it has none, or an impossible number."""
    text = values.get(number, "").strip()
    is_stated = values.get(does, "").strip().upper() == "TRUE" and text.isdigit()
    return int(text) if is_stated and len(text) < len(str(_MOST_PARTS)) else 0


def is_metamorph(path: Path) -> bool:
    """Return whether a TIFF file has the tag of MetaMorph's stacks, or its newer texts."""
    heading = read_tiff_heading(path)
    return heading is not None and (UIC2 in heading.tags or is_metaseries(heading))


def read_planes(path: Path) -> MetaMorphTags | None:
    """Return what a file states of its planes, as tags or as texts; None for another file."""
    tags = read_tags(path)
    if tags is not None:
        return tags
    heading = read_tiff_heading(path)
    return read_texts(path) if heading is not None and is_metaseries(heading) else None


def stacks_in(path: Path) -> tuple[list[Path], list[Path]]:
    """Return the files with MetaMorph's tags at a path, and other TIFF files.

    Parameters
    ----------
    path : pathlib.Path
        A folder: all files in it. An ``.nd`` file, or one file of an acquisition: all files of
        the acquisition.
    """
    probe = PathProbe(path if path.is_dir() else path.parent)
    files = probe.files(STACK_SUFFIX, *TIFF_SUFFIXES)
    if not path.is_dir():
        is_companion = path.suffix.lower() == COMPANION_SUFFIX
        base = path.stem if is_companion else parse_name(path).base
        own_base = [file for file in files if file == path or parse_name(file).base == base]
        number = _NUMBER.search(base)
        if number is not None and own_base == [path] and not is_companion:
            # One of the single images that differ in a number.
            start = base[: number.start()]
            alike = [f for f in files if f.stem.startswith(start) and _NUMBER.search(f.stem)]
            groups = acquisitions_of([file for file in alike if is_metamorph(file)])
            return next((own for own in groups if path in own), own_base), []
        files = own_base
    sound = {file for file in files if is_metamorph(file)}
    series = {attrs.evolve(parse_name(file), time=None) for file in sound}
    # A damaged file of a series is not left out silently: its reader names it.
    own = {f for f in files if f in sound or (_series_name(f) in series and _is_damaged(f))}
    return [file for file in files if file in own], [file for file in files if file not in own]


def _series_name(path: Path) -> MetaMorphName | None:
    """Return the name of the series of a file with a number of the time; else None."""
    name = parse_name(path)
    return None if name.time is None else attrs.evolve(name, time=None)


def _is_damaged(path: Path) -> bool:
    """Return whether a file is empty, or lacks the header of a TIFF file."""
    return read_tiff_heading(path) is None


def acquisitions_of(files: Sequence[Path]) -> list[list[Path]]:
    """Divide files into acquisitions.

    Files of one acquisition have names with the same base. Single images whose names differ only
    in a number at the end are one acquisition, too.
    """
    found: dict[str, list[Path]] = {}
    for file in files:
        name = parse_name(file)
        has_parts = name != MetaMorphName(base=file.stem)
        number = _NUMBER.search(file.stem)
        is_image = not has_parts and number is not None and _num_planes(file) == 1
        key = f"{file.stem[: number.start()]}*" if is_image and number else name.base
        found.setdefault(key, []).append(file)
    return [sorted(own, key=lambda file: natural_order(file.name)) for own in found.values()]


def _num_planes(path: Path) -> int:
    tags = read_planes(path)
    return 0 if tags is None else tags.num_planes


def series_of(files: Sequence[Path]) -> dict[MetaMorphName, list[Path]]:
    """Return the files of each wavelength at each stage position, in the order of time.

    Files without a number of the time are series of their own.
    """
    found: dict[MetaMorphName, list[tuple[int, Path]]] = {}
    for file in files:
        name = parse_name(file)
        found.setdefault(attrs.evolve(name, time=None), []).append((name.time or 0, file))
    order = sorted(found, key=lambda name: (natural_order(name.base), name.stage or 0, name.wave))
    return {name: [file for _, file in sorted(found[name])] for name in order}
