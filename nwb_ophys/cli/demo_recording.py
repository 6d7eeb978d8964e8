"""Simulate a small recording, write it in raw formats, and convert it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from nwb_ophys.errors import OutputError, OutputExistsError
from nwb_ophys.opening import edited_metadata, open_recording, summarise_file
from nwb_ophys.shell_words import NEXT_LINE, joined, quoted
from nwb_ophys.storage import check_folder, check_target
from nwb_ophys.storage.atomic import remove
from nwb_ophys.storage.disk_errors import disk_errors
from nwb_ophys.storage.hidden_names import HiddenNames
from nwb_ophys.testing import (
    SimulatedRecording,
    simulate_recording,
    write_bruker,
    write_caiman,
    write_scanimage,
    write_suite2p,
    write_tiff,
)

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
    """Simulate cells, write them in the formats of several programs, and convert two of them.

    The tutorials use these files.

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
    raw, target = [folder / name for name in _RAW], folder / "session.nwb"
    _check_place(folder)
    is_new = not folder.exists()
    if not is_new and any(folder.iterdir()):
        if not overwrite:
            raise OutputExistsError(
                f"The folder '{folder}' is not empty; choose another folder or use overwrite=True."
            )
        _check_demo(target, raw)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _replaced(*raw):
            recording = _write_raw(folder)
            _say_raw(folder, recording, say)
            _convert(folder, target, overwrite=overwrite, say=say)
    except BaseException:
        with suppress(OSError):  # it is not empty
            if is_new:
                folder.rmdir()
        raise
    say(summarise_file(target))
    say(f"\nCheck it with: nwb-ophys inspect {quoted(str(target))}")
    return target


# Header of the recording of a rig, of which the tutorials make a format.
_RIG = {
    "shape": [48, 64],
    "rate": 500.0,
    "indicator": "Voltron2",
    "start": "2024-05-17T14:30:00+02:00",
}

# Files and folders of the demo, with the programs whose formats they have.
_RAW = {
    "scan_00001.tif": "a movie, as ScanImage writes it",
    "suite2p": "the cells of this movie with their traces, as Suite2p writes them",
    "caiman.hdf5": "the same cells, as CaImAn writes them",
    "movie.tif": "the same movie, as ImageJ writes it: without rate and start",
    "movie.npy": "the same movie, as NumPy writes it",
    "TSeries-1": "other cells, in three planes and two channels, as Bruker writes them",
    "mouse7": "a folder day1 with movie.tif and suite2p, as a lab keeps a session",
    "cell3.raw": "a voltage movie of a rig that no program knows, with cell3.json",
    "cell3.json": "the header of cell3.raw",
}


def _write_raw(folder: Path) -> SimulatedRecording:
    """Write the raw files, and return the recording of the first."""
    recording = simulate_recording(num_samples=300, num_rows=96, num_columns=128, num_cells=12)
    volumes = simulate_recording(num_samples=20, num_planes=3, dtype="uint16").movie
    day, rate = folder / "mouse7" / "day1", recording.sampling_frequency
    writers: dict[str, Callable[[Path], object]] = {
        "scan_00001.tif": lambda path: write_scanimage(
            path, recording.movie, sampling_frequency=rate
        ),
        "suite2p": lambda path: write_suite2p(path.parent, [recording]),
        "caiman.hdf5": lambda path: write_caiman(path, recording),
        "movie.tif": lambda path: write_tiff(path, recording.movie),
        "movie.npy": lambda path: np.save(path, recording.movie),
        "TSeries-1": lambda path: write_bruker(
            path, {1: volumes, 2: volumes}, sampling_frequency=10.0
        ),
        "mouse7": lambda _: _write_session(day, recording),
        "cell3.raw": lambda path: simulate_recording(dtype="uint16").movie.tofile(path),
        "cell3.json": lambda path: path.write_text(json.dumps(_RIG), encoding="utf-8"),
    }
    for name, write in writers.items():
        with disk_errors(folder / name, reads_nothing=True):
            write(folder / name)
    return recording


def _write_session(folder: Path, recording: SimulatedRecording) -> None:
    """Write the folder of a session."""
    folder.mkdir(parents=True)
    write_tiff(folder / "movie.tif", recording.movie)
    write_suite2p(folder, [recording])


def _say_raw(folder: Path, recording: SimulatedRecording, say: Callable[[str], object]) -> None:
    """Say which files the folder has."""
    say(
        f"Wrote {recording.num_cells} simulated cells to {folder}, "
        f"{recording.num_samples} frames of 96 x 128 pixels:"
    )
    for name, words in _RAW.items():
        say(f"  {name:<15} {words}")


def _convert(folder: Path, target: Path, *, overwrite: bool, say: Callable[[str], object]) -> None:
    """Convert the movie of ScanImage and the cells of Suite2p to one file."""
    sources = [folder / "scan_00001.tif", folder / "suite2p"]
    command = f"nwb-ophys convert {joined(map(str, sources))} -o {quoted(str(target))}"
    for key, value in _SUBJECT.items():
        command += f"{NEXT_LINE}--set {quoted(f'{key}={value}', always=True)}"
    say(f"\nConverting the first two, as this command does:\n\n  {command}\n")
    converter = open_recording(sources).converter
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
