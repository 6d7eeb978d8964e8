"""Simulate a small recording, write it in raw formats, and convert it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nwb_ophys.errors import OutputError, OutputExistsError
from nwb_ophys.opening import edited_metadata, open_recording, summarise_file
from nwb_ophys.storage import check_folder, check_target
from nwb_ophys.storage.atomic import remove
from nwb_ophys.storage.disk_errors import disk_errors
from nwb_ophys.storage.hidden_names import HiddenNames
from nwb_ophys.testing import simulate_recording, write_scanimage, write_suite2p

_DESCRIPTION = "Simulated cells, written by nwb-ophys demo."
_SUBJECT = {
    "NWBFile.session_start_time": "2024-05-17T14:03:21.250000+02:00",
    "Subject.subject_id": "demo-mouse",
    "Subject.species": "Mus musculus",
    "Subject.sex": "U",
    "Subject.age": "P90D",
    "NWBFile.session_description": _DESCRIPTION,
    # An abbreviation of the Allen Mouse Brain Atlas, as archives want it.
    "Ophys.ImagingPlane.0.location": "VISp",
}


def run_demo(folder: Path, *, overwrite: bool, say: Callable[[str], object]) -> Path:
    """Simulate cells, write them as ScanImage and Suite2p files, and convert both to one file.

    Parameters
    ----------
    folder : pathlib.Path
        Folder for the raw files and ``session.nwb``; created where it is missing.
    overwrite : bool
        Whether an existing demo is replaced.
    say : callable
        Called with each line of the progress report.

    Returns
    -------
    pathlib.Path
        The NWB file.

    Raises
    ------
    OutputExistsError
        When the folder is not empty and ``overwrite`` is False.
    OutputError
        When the folder cannot be made or is a file, or holds such files that are not a demo's.
    """
    raw, rois, target = folder / "movie_00001.tif", folder / "suite2p", folder / "session.nwb"
    _check_place(folder)
    is_new = not folder.exists()
    if not is_new and any(folder.iterdir()):
        if not overwrite:
            raise OutputExistsError(
                f"The folder '{folder}' is not empty; choose another folder or use overwrite=True."
            )
        _check_demo(target, [raw, rois])
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _replaced(raw, rois):
            _convert_simulation(raw, rois, target, overwrite=overwrite, say=say)
    except BaseException:
        with suppress(OSError):  # it is not empty
            if is_new:
                folder.rmdir()
        raise
    say(summarise_file(target))
    say(f"\nCheck it with: nwb-ophys inspect {target}")
    return target


def _convert_simulation(
    raw: Path, rois: Path, target: Path, *, overwrite: bool, say: Callable[[str], object]
) -> None:
    recording = simulate_recording(num_samples=300, num_rows=96, num_columns=128, num_cells=12)
    with disk_errors(raw, reads_nothing=True):
        write_scanimage(raw, recording.movie, sampling_frequency=recording.sampling_frequency)
    with disk_errors(rois, reads_nothing=True):
        write_suite2p(rois.parent, [recording])
    say(f"Wrote {raw}: {recording.num_samples} frames of 96 x 128 pixels, in ScanImage's format")
    say(f"Wrote {rois}: {recording.num_cells} ROIs with traces, in Suite2p's format")
    command = f"nwb-ophys convert {raw} {rois} -o {target}"
    for key, value in _SUBJECT.items():
        command += f" \\\n    --set '{key}={value}'"
    say(f"Converting both, as this command does:\n\n  {command}\n")
    converter = open_recording([raw, rois]).converter
    converter.run_conversion(
        target, metadata=edited_metadata(converter, None, _SUBJECT), overwrite=overwrite
    )


@contextmanager
def _replaced(*paths: Path) -> Iterator[None]:
    """Allow new files within the block; after an error the former ones are in their place again."""
    aside = {path: HiddenNames.beside(path).replaced() for path in paths if path.exists()}
    try:
        for path, place in aside.items():
            path.rename(place)
        yield
    except BaseException:
        for path in paths:
            if path not in aside or aside[path].exists():
                remove(path)
            if path in aside and not path.exists():
                aside[path].rename(path)
        raise
    for place in aside.values():
        remove(place)


def _check_demo(target: Path, raw: list[Path]) -> None:
    """Check that the raw files in a folder are those of a demo, before they are replaced.

    Raises
    ------
    OutputError
        When there are raw files, and no NWB file beside them states that it is a demo's.
    """
    there = [path for path in raw if path.exists()]
    is_demo = target.is_file() and _DESCRIPTION.encode() in target.read_bytes()
    if there and not is_demo:
        raise OutputError(
            f"'{there[0]}' is not known to be of a demo, since '{target}' is not a demo's. It is "
            "left as it is; choose another folder, or remove it yourself."
        )
    if target.exists():
        check_target(target, overwrite=True)


def _check_place(folder: Path) -> None:
    """Check that the folder can be made, or that files can be written to it.

    Raises
    ------
    OutputError
        When it or a folder above it is a file, or does not allow new files.
    """
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    check_folder(place)
