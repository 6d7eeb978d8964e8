"""Multi-page TIFF stacks."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from nwb_ophys.errors import SourceError
from nwb_ophys.interfaces.arguments import argument
from nwb_ophys.interfaces.imaging import ImagingInterface

_SUFFIXES = (".tif", ".tiff")


@attrs.frozen(kw_only=True)
class TiffSource:
    """Source arguments of a TIFF stack."""

    file_path: Path | list[Path] = argument(
        "The TIFF file; several in the order of time; or a folder of them, taken by number."
    )
    sampling_frequency: float = argument(
        "Samples per second in Hz, which a TIFF does not state: of volumes, where there are planes."
    )
    dimension_order: Literal["ZCT", "ZTC", "CZT", "CTZ", "TCZ", "TZC"] | None = argument(
        "How pages go through planes (Z), channels (C) and time (T), fastest first.", default=None
    )
    num_channels: int | None = argument("Number of channels in the pages.", default=None)
    channel_index: int = argument("Which channel to read, from 0.", default=0)
    num_planes: int | None = argument("Number of planes in the pages.", default=None)
    plane_index: int | None = argument("Which plane to read, from 0; all if not.", default=None)


class TiffImagingInterface(ImagingInterface):
    """One channel of a movie in plain multi-page TIFF files."""

    Source = TiffSource

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.extractors.tiff import TiffStackExtractor

        arguments = attrs.asdict(source)
        paths = tiff_files(arguments.pop("file_path"))
        return TiffStackExtractor(paths, arguments.pop("sampling_frequency"), **arguments)

    def describe(self) -> Mapping[str, Any]:
        """Return nothing: a plain TIFF states nothing of the microscope."""
        return {}

    @classmethod
    def matches(cls, path: Path) -> str | None:
        """Return evidence, in words, that a path is a TIFF file or a folder of them."""
        if path.is_dir():
            count = len(_in_folder(path))
            return f"{count} TIFF files" if count else None
        if path.suffix.lower() in _SUFFIXES and path.is_file():
            with path.open("rb") as file:
                if file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
                    return f"'{path.name}' begins as a TIFF does"
        return None

    @classmethod
    def streams(cls, path: Path, **source: Any) -> dict[str, dict[str, Any]]:
        """Return each channel of a TIFF stack."""
        warn_of_subfolders(path)
        base = {"file_path": path, **source}
        if "channel_index" in source:
            return {"": base}
        from nwb_ophys.extractors.tiff import tiff_layout

        given = {key: source[key] for key in ("num_channels", "num_planes") if key in source}
        num_channels = tiff_layout(tiff_files(path), **given).num_channels
        if num_channels == 1:
            return {"": base}
        return {f"channel{i}": {**base, "channel_index": i} for i in range(num_channels)}


def tiff_files(path: Path | list[Path]) -> list[Path]:
    """Return the TIFF files that a path or paths mean, those of a folder by their numbers."""
    if isinstance(path, list):
        return path
    if not path.is_dir():
        return [path]
    files = _in_folder(path)
    if not files:
        raise SourceError(f"The folder '{path}' holds no TIFF file (.tif, .tiff).")
    return files


def warn_of_subfolders(path: Path) -> None:
    """Say which folders within a folder hold TIFF files, which are not read with it."""
    if not path.is_dir():
        return
    others = [entry.name for entry in path.iterdir() if entry.is_dir() and _in_folder(entry)]
    if others:
        warnings.warn(
            f"The TIFF files in {', '.join(sorted(others))} within '{path}' are not read with it; "
            "give those folders as paths of their own.",
            UserWarning,
            stacklevel=3,
        )


def _in_folder(folder: Path) -> list[Path]:
    files = (entry for entry in folder.iterdir() if entry.suffix.lower() in _SUFFIXES)
    return sorted((file for file in files if not file.name.startswith(".")), key=natural_order)


def natural_order(path: Path) -> list[tuple[int, int | str]]:
    """Return a key that sorts ``frame_2`` before ``frame_10``."""
    parts = re.split(r"(\d+)", path.name)
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts if part]
