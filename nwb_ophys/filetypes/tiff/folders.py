"""Find TIFF files in folders, and read the header of the first one."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

from nwb_ophys.errors import SourceError
from nwb_ophys.filetypes.tiff.heading import TiffHeading, read_tiff_heading
from nwb_ophys.paths import PathProbe, sample_of_names, without_digits
from nwb_ophys.remote.paths import READ_AHEAD, read_ahead

TIFF_SUFFIXES = (".tif", ".tiff", ".btf", ".tf2", ".tf8")
# Headers of a folder that detection reads; files with other names are read first.
_FEW_HEADINGS = 12
# Files of one series and size, of which no more headers are read.
_MANY_ALIKE = 1000


def tiff_files(path: Path | list[Path]) -> list[Path]:
    """Return the TIFF files of a path or of several paths; a folder's are sorted by number."""
    if isinstance(path, list):
        return path
    if not path.is_dir():
        return [path]
    files = PathProbe(path).files(*TIFF_SUFFIXES)
    if not files:
        raise SourceError(
            f"The folder '{path}' holds no TIFF file ({', '.join(TIFF_SUFFIXES)}); check the path."
        )
    return files


def first_heading(
    probe: PathProbe, accepts: Callable[[TiffHeading], bool] | None = None
) -> tuple[Path, TiffHeading] | None:
    """Return the first TIFF file of a path and its header, or None where there is none.

    Parameters
    ----------
    probe : PathProbe
    accepts : callable, optional
        Takes a header and returns whether the file counts; by default every TIFF file counts.
    """
    for path, heading in some_headings(probe):
        if accepts is None or accepts(heading):
            return path, heading
    return None


def some_headings(probe: PathProbe) -> list[tuple[Path, TiffHeading]]:
    """Return TIFF files of a path with their headers; of many files a sample of different names.

    The sample is made, and each header read, once per probe.
    """
    return probe.look_once(_read_some)


def _read_some(probe: PathProbe) -> list[tuple[Path, TiffHeading]]:
    names = probe.names(*TIFF_SUFFIXES)
    sample = (
        _of_each_size(probe, names)
        if probe.reads_every_file
        else sample_of_names(names, _FEW_HEADINGS)
    )
    paths = [probe.path if probe.is_file else probe.path / name for name in sample]
    found = []
    for index, path in enumerate(paths):
        if index % READ_AHEAD == 0:
            read_ahead(read_tiff_heading, paths[index : index + READ_AHEAD])
        heading = probe.read_once(read_tiff_heading, path)
        if heading is not None:
            found.append((path, heading))
    return found


def _of_each_size(probe: PathProbe, names: list[str]) -> list[str]:
    """Return the names, without some of very many of the same series and size.

    A program that writes a file per image writes headers of one size; a thousand of them are read,
    evenly spread.
    """
    if len(names) <= _MANY_ALIKE:
        return names
    sizes = probe.sizes
    alike: dict[tuple[str, int], list[str]] = {}
    for name, series in zip(names, without_digits("\0".join(names)).split("\0"), strict=True):
        alike.setdefault((series, sizes.get(name, -1)), []).append(name)
    kept: set[str] = set()
    for group in alike.values():
        number = min(len(group), _MANY_ALIKE)
        step = (len(group) - 1) / max(number - 1, 1)
        kept.update(group[round(turn * step)] for turn in range(number))
    return [name for name in names if name in kept]


def in_words(probe: PathProbe) -> str:
    """Name the TIFF file whose header was read, for evidence."""
    names = probe.names(*TIFF_SUFFIXES)
    return f"'{names[0]}'" if len(names) == 1 else f"the first of {len(names)} TIFF files"


def has_beside(probe: PathProbe, suffixes: tuple[str, ...]) -> bool:
    """Return whether a folder, or the folder of a file, has files with some endings.

    Parameters
    ----------
    probe : PathProbe
    suffixes : tuple of str
        Endings in lower case; if empty, the result is True.
    """
    folder = probe if probe.is_folder else probe.read_once(_folder_of)
    return not suffixes or bool(folder.names(*suffixes))


def _folder_of(path: Path) -> PathProbe:
    return PathProbe(path.parent)


def warn_of_subfolders(path: Path, *suffixes: str) -> None:
    """Warn of folders within a folder that hold TIFF files, which are not read with it.

    Parameters
    ----------
    path : pathlib.Path
    *suffixes : str
        Further endings of TIFF files, in lower case.
    """
    if not path.is_dir():
        return
    endings = (*suffixes, *TIFF_SUFFIXES)
    others = [each.path.name for each in PathProbe(path).folders() if each.names(*endings)]
    if others:
        warnings.warn(
            f"The TIFF files in {', '.join(sorted(others))} within '{path}' are not read with it; "
            "give those folders as paths of their own.",
            UserWarning,
            stacklevel=3,
        )
