"""Find the files of an acquisition of MetaMorph, which saves one file per time, wave and stage.

The files are named ``base_w1GFP_s2_t10.stk``, with the parts that the acquisition has. A file
``base.nd`` may lie beside them, with lines such as ``"NTimePoints", 20``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from nwb_ophys.filetypes.tiff.folders import TIFF_SUFFIXES
from nwb_ophys.filetypes.tiff.heading import read_tiff_heading
from nwb_ophys.formats.metamorph.tags import UIC2
from nwb_ophys.paths import PathProbe, natural_order

STACK_SUFFIX, COMPANION_SUFFIX = ".stk", ".nd"
COMPANION_MARK = b"NDInfoFile"
_PARTS = re.compile(
    r"(?P<base>.+?)(?:_w(?P<wave>\d+)(?P<name>.*?))?(?:_s(?P<stage>\d+))?(?:_t(?P<time>\d+))?$",
    re.IGNORECASE,
)
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


def one_file_of(path: Path) -> Path:
    """Return one and the same file for all files of an acquisition.

    It is called for each of thousands of files, so that it lists names and sorts nothing.
    """
    base, suffixes = parse_name(path).base, (STACK_SUFFIX, *TIFF_SUFFIXES)
    with os.scandir(path.parent) as entries:
        names = [
            entry.name
            for entry in entries
            if entry.name.startswith(f"{base}_") and entry.name.lower().endswith(suffixes)
        ]
    first = min(names, key=lambda name: (len(name), name))
    if parse_name(Path(first)).base != base:
        own = [name for name in names if parse_name(Path(name)).base == base]
        first = min(own, key=lambda name: (len(name), name))
    return path.parent / first


def read_companion(path: Path) -> Mapping[str, str]:
    """Return the values of an ``.nd`` file by their names."""
    return dict(_LINE.findall(path.read_bytes().decode("latin-1")))


def is_metamorph(path: Path) -> bool:
    """Return whether a TIFF file has the tag of MetaMorph's stacks."""
    heading = read_tiff_heading(path)
    return heading is not None and UIC2 in heading.tags


def stacks_in(path: Path) -> tuple[list[Path], list[str]]:
    """Return the files with MetaMorph's tags at a path, and the names of other TIFF files.

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
        files = [file for file in files if file == path or parse_name(file).base == base]
    own = [file for file in files if is_metamorph(file)]
    return own, [file.name for file in files if file not in own]


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
