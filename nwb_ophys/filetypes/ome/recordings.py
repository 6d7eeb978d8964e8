"""Find OME-TIFF recordings in folders, and the images in them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import SourceArgumentError, SourceNotFoundError
from nwb_ophys.filetypes.tiff.folders import tiff_files
from nwb_ophys.filetypes.tiff.heading import read_tiff_heading


def recordings_in(path: Path) -> list[Any]:
    """Return the OME-TIFF recordings of a path, each read from its first file."""
    return recordings_of(_with_ome_xml(tiff_files(path)) if path.is_dir() else [path])[0]


def recordings_of(
    files: Sequence[Path],
) -> tuple[list[Any], list[tuple[Path, SourceNotFoundError]]]:
    """Return the OME-TIFF recordings of some files, each read from its first file.

    Returns
    -------
    found : list of OmeRecording
    incomplete : list of (pathlib.Path, SourceNotFoundError)
        Files of recordings whose other files are missing, beside complete recordings.

    Raises
    ------
    SourceNotFoundError
        If no recording is complete.
    """
    from nwb_ophys.filetypes.ome.files import read_ome

    remaining = list(files)
    found = []
    incomplete = []
    while remaining:
        try:
            recording = read_ome(remaining[0])
        except SourceNotFoundError as error:
            incomplete.append((remaining.pop(0), error))
            continue
        used = {file.resolve() for file in recording.file_paths} | {remaining[0].resolve()}
        remaining = [file for file in remaining if file.resolve() not in used]
        found.append(recording)
    if incomplete and not found:
        raise incomplete[0][1]
    return found, incomplete


@attrs.frozen(kw_only=True)
class OmePlace:
    """An image of a recording: a position of the stage, or whatever the program calls one.

    Attributes
    ----------
    path : pathlib.Path
        The first file of the recording.
    recording, name : str
        Names of the recording, after its file, and of the image.
    index : int or None
        Index of the image; None where there is only one.
    image : OmeImage
    """

    path: Path
    recording: str
    name: str
    index: int | None
    image: Any

    def arguments(self, path_argument: str, index_argument: str) -> dict[str, Any]:
        """Return the source arguments that open the image, by the names a format gives them."""
        chosen = {} if self.index is None else {index_argument: self.index}
        return {path_argument: self.path, **chosen}


def images_in(path: Path) -> Iterator[OmePlace]:
    """Yield the images of all OME-TIFF recordings of a path."""
    for recording in recordings_in(path):
        images = recording.document.images
        names = recording.document.image_names
        for index, (name, image) in enumerate(zip(names, images, strict=True)):
            yield OmePlace(
                path=recording.path,
                recording=recording.path.name.split(".")[0],
                name=name,
                index=index if len(images) > 1 else None,
                image=image,
            )


def _with_ome_xml(files: list[Path]) -> list[Path]:
    """Return the files of a folder that have OME-XML, and say which have not."""
    headings = {file: read_tiff_heading(file) for file in files}
    own = [f for f in files if (h := headings[f]) is not None and "<OME" in h.description[:4096]]
    used = set(own)
    others = [file.name for file in files if file not in used]
    if others and own:
        warnings.warn(
            f"Of {len(files)} TIFF files in '{files[0].parent}' {len(others)} have no OME-XML and "
            f"are not read: {', '.join(others[:5])}{', …' if len(others) > 5 else ''}.",
            UserWarning,
            stacklevel=4,
        )
    return own or files


def single_file(path: Path) -> Path:
    """Return a file of the one recording in a path.

    Raises
    ------
    SourceArgumentError
        If a folder holds several recordings.
    """
    if not path.is_dir():
        return path
    found = recordings_in(path)
    if len(found) > 1:
        names = ", ".join(recording.path.name for recording in found[:5])
        raise SourceArgumentError(
            f"The folder '{path}' holds {len(found)} recordings; give a file of one: {names}."
        )
    return Path(found[0].path)


def grid_spacing(spacing: Sequence[float | None], is_volumetric: bool) -> dict[str, Any]:
    """Return the distances of pixels along x, y and, of volumes, z, where all are stated."""
    wanted = list(spacing[: 3 if is_volumetric else 2])
    if None in wanted and is_volumetric:
        wanted = wanted[:2]
    if None in wanted:
        return {}
    return {"grid_spacing": wanted, "grid_spacing_unit": "meters"}
