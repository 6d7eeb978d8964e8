"""Folders of Suite2p: planes, channels, and the settings of each plane."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError, SourceError, shown
from nwb_ophys.extractors.ranges import check_stated_rate
from nwb_ophys.filetypes.npy import load_npy, npy_shape
from nwb_ophys.formats.suite2p.fall import NAME as MATLAB_FILE
from nwb_ophys.formats.suite2p.fall import FallFile, holds_results, variable_shapes
from nwb_ophys.formats.suite2p.statistics import single_number
from nwb_ophys.paths import PathProbe

ROI_FILES = ("ops.npy", "stat.npy")
"""Files that a plane with ROIs has."""

MOVIE_FILES = ("ops.npy", "data.bin")
"""Files that a plane with a registered movie has."""

# Settings that no other file of a plane states: the rate in Hz, and the size of the movie.
_NUMBERS = ("fs", "Ly", "Lx")
_MOST_PIXELS = 1 << 26

_MOST_LISTED = 4
_MOST_PLANES = 1000
# Levels of folders in which other runs are looked for, as detection does.
_DEPTH = 3

_SECOND_CHANNEL: dict[tuple[str, ...], str] = {
    ROI_FILES: "F_chan2.npy",
    MOVIE_FILES: "data_chan2.bin",
}


_OWN_FILES = (
    "F.npy",
    "Fneu.npy",
    "spks.npy",
    "stat.npy",
    "ops.npy",
    "iscell.npy",
    "redcell.npy",
    "F_chan2.npy",
    "Fneu_chan2.npy",
    "data.bin",
    "data_chan2.bin",
    "data_raw.bin",
    "data_chan2_raw.bin",
    MATLAB_FILE,
)
_RAW_MOVIES = ("data_raw.bin", "data_chan2_raw.bin")
# Folders of registered frames as TIFF files, and the files with the same movie.
_FRAMES = {"reg_tif": "data.bin", "reg_tif_chan2": "data_chan2.bin"}
_COMBINED = "combined"
# Parts of ops.npy, of which a plane always has the first two.
_PARTS_OF_OPS = ("db.npy", "settings.npy", "reg_outputs.npy", "detect_outputs.npy")
_TRACES = ("F", "Fneu", "spks")
_ALWAYS = ("F.npy", "Fneu.npy", "iscell.npy")
_SPIKES = "spks.npy"
_SOMETIMES = (_SPIKES, "redcell.npy", "Fneu_chan2.npy")
_PLANE = re.compile(r"plane\d+|combined")


def suite2p_folder_of(probe: PathProbe, files: tuple[str, ...] = ROI_FILES) -> Path | None:
    """Return the ``suite2p`` folder that a file of a plane belongs to, or None.

    Parameters
    ----------
    probe : PathProbe
        A file such as ``plane0/F.npy``.
    files : tuple of str
        Files that a plane must have.
    """
    plane = probe.path.absolute().parent
    if not probe.is_file or probe.path.name not in _OWN_FILES:
        return None
    if _PLANE.fullmatch(plane.name) and plane_names(plane.parent, files):
        return probe.path.parent.parent
    return probe.path.parent if is_plane(PathProbe(plane), files) else None


def is_plane(plane: PathProbe, files: tuple[str, ...] = ROI_FILES) -> bool:
    """Return whether a folder of any name has the files of a plane.

    ``combined`` counts where the planes that it combines are not beside it.
    """
    if not plane.is_folder or not _has_files(plane, files):
        return False
    path = plane.path.resolve()
    return path.name != _COMBINED or not plane_names(path.parent, files)


def suite2p_refusal(probe: PathProbe) -> str | None:
    """Return why a file or folder of Suite2p cannot be read, or None.

    Parameters
    ----------
    probe : PathProbe
    """
    if probe.is_file:
        if probe.path.name not in _OWN_FILES or probe.path.suffix == ".bin":
            return None
        folder = suite2p_folder_of(probe)
        if folder is not None:
            return f"'{probe.path}' is one file of Suite2p's output; give the folder '{folder}'."
        beside = _incomplete(PathProbe(probe.path.parent))
        return beside or (
            f"'{probe.path}' is named like a file of Suite2p's output. Give the folder 'suite2p', "
            f"whose folder plane0 contains {' and '.join(ROI_FILES)}."
        )
    folders = [probe, *probe.folders(), *probe.within("suite2p").folders()]
    planes = [each for each in folders if _PLANE.fullmatch(each.path.name)]
    return next((reason for each in planes if (reason := _incomplete(each)) is not None), None)


def _incomplete(plane: PathProbe) -> str | None:
    """Return which files a folder with some of the files of a plane lacks; None without any."""
    found = [name for name in _OWN_FILES if name in plane.file_names]
    lacking = [name for name in ROI_FILES if not _has_files(plane, (name,))]
    if not found:
        return None
    if plane.path.name == _COMBINED and plane_names(plane.path.parent):
        return (
            f"'{plane.path}' is Suite2p's view of all planes in one image; give the folder that "
            "contains plane0, plane1, …."
        )
    if not lacking:
        return f"'{plane.path}' contains Suite2p's {' and '.join(ROI_FILES)}; give that folder."
    if found == [MATLAB_FILE]:
        from nwb_ophys.filetypes.matlab.structs import matlab_refusal  # here, with h5py

        damage = matlab_refusal(plane.within(MATLAB_FILE))
        if damage is not None:
            return damage
    return (
        f"'{plane.path}' contains Suite2p's {', '.join(found[:_MOST_LISTED])}, but not "
        f"{' and '.join(lacking)}. Copy the .npy files from where Suite2p ran, or run it again."
    )


def find_suite2p_folder(
    path: Path | PathProbe, files: tuple[str, ...] = ROI_FILES
) -> tuple[Path, str | None]:
    """Return the folder that holds the planes, and the plane that the path names, if any.

    Parameters
    ----------
    path : pathlib.Path or PathProbe
        The ``suite2p`` folder, the folder that holds it, or the folder of a plane, of any name.
    files : tuple of str
        Files that a plane must have.

    Raises
    ------
    SourceError
        When the path is not one of these.
    """
    probe = PathProbe.of(path)
    resolved = probe.path.resolve()
    if _has_files(probe, files) and re.fullmatch(r"plane\d+", resolved.name):
        return resolved.parent, resolved.name
    for folder in (probe, probe.within("suite2p")):
        if plane_names(folder, files):
            return folder.path, None
    if is_plane(probe, files):
        return resolved.parent, resolved.name
    raise SourceError(
        f"'{probe.path}' is not a Suite2p folder: it has no folder plane0 with "
        f"{' and '.join(files)}. Give the folder 'suite2p' that Suite2p wrote."
    )


def plane_names(folder: Path | PathProbe, files: tuple[str, ...] = ROI_FILES) -> list[str]:
    """Return the names of the planes in a ``suite2p`` folder that have the files, in order.

    ``combined`` is a by-product of Suite2p, not a plane.
    """
    return [
        each.path.name
        for each in PathProbe.of(folder).folders()
        if re.fullmatch(r"plane\d+", each.path.name) and _has_files(each, files)
    ]


def channel_names(
    folder: Path | PathProbe, files: tuple[str, ...] = ROI_FILES, others: Sequence[str] = ()
) -> list[str]:
    """Return ``chan1``, and ``chan2`` where any plane has traces, or a movie, of a second channel.

    ``chan1`` is the functional channel, whichever was recorded first.

    Parameters
    ----------
    folder : pathlib.Path or PathProbe
        The ``suite2p`` folder.
    files : tuple of str
        Files that a plane must have.
    others : sequence of str
        Names of further folders of planes.
    """
    probe = PathProbe.of(folder)
    planes = sorted({*plane_names(probe, files), *others})
    lacking = planes_without_second_channel(probe, files, planes)
    return ["chan1", "chan2"] if len(lacking) < len(planes) else ["chan1"]


def _has_files(plane: PathProbe, files: tuple[str, ...]) -> bool:
    """Return whether a plane has some files.

    The parts of ``ops.npy`` count as the whole, and ``Fall.mat`` as ``ops.npy`` and ``stat.npy``.
    """
    lacking = set(files) - plane.file_names
    if plane.file_names.issuperset(_PARTS_OF_OPS[:2]):
        lacking -= {"ops.npy"}
    return not lacking or (lacking <= set(ROI_FILES) and holds_results(plane))


def reads_matlab_file(plane: PathProbe) -> bool:
    """Return whether the results of a plane are read from ``Fall.mat``.

    The other files come first: Suite2p's window changes these when a user curates ROIs.
    """
    lacks_ops = "ops.npy" not in plane.file_names
    lacks_ops &= not plane.file_names.issuperset(_PARTS_OF_OPS[:2])
    return (lacks_ops or "stat.npy" not in plane.file_names) and holds_results(plane)


def planes_without_second_channel(
    folder: Path | PathProbe, files: tuple[str, ...], planes: Sequence[str]
) -> list[str]:
    """Return the planes without the file, or the variable in ``Fall.mat``, of a second channel."""
    probe, second = PathProbe.of(folder), _SECOND_CHANNEL[files]
    return [name for name in planes if second not in _result_files(probe.within(name))]


def _result_files(plane: PathProbe) -> set[str]:
    """Return the names of the files of a plane, with those that ``Fall.mat`` stands in for."""
    if not reads_matlab_file(plane):
        return set(plane.file_names)
    shapes = variable_shapes(plane)
    return set(plane.file_names) | {f"{name}.npy" for name in shapes if shapes[name] != (0, 0)}


def planes_left_out(folder: Path | PathProbe, files: tuple[str, ...] = ROI_FILES) -> list[str]:
    """Return the folders of planes that lack one of the files."""
    probe = PathProbe.of(folder)
    folders = [each.path.name for each in probe.folders()]
    read = plane_names(probe, files)
    return [name for name in folders if re.fullmatch(r"plane\d+", name) and name not in read]


def planes_of_other_names(folder: Path | PathProbe) -> list[str]:
    """Return the folders with the ROIs of a plane whose names are not those of planes."""
    return [
        each.path.name
        for each in PathProbe.of(folder).folders()
        if not _PLANE.fullmatch(each.path.name) and _has_files(each, ROI_FILES)
    ]


def other_folders(probe: PathProbe, files: tuple[str, ...] = ROI_FILES) -> list[Path]:
    """Return the folders below a path that hold planes of other runs, which are not read with it.

    Parameters
    ----------
    probe : PathProbe
        A path that :func:`find_suite2p_folder` accepts.
    files : tuple of str
        Files that a plane must have.
    """
    read, plane = find_suite2p_folder(probe, files)
    return [] if plane else list(_others_below(probe, read.resolve(), files, _DEPTH))


def _others_below(
    probe: PathProbe, read: Path, files: tuple[str, ...], depth: int
) -> Iterator[Path]:
    is_read = probe.path.resolve() == read
    for each in probe.folders():
        # Planes in the folder that is read are its own.
        if each.path.resolve() == read or (is_read and is_plane(each, files)):
            continue
        if plane_names(each, files) or is_plane(each, files):
            yield each.path
        elif depth > 1:
            yield from _others_below(each, read, files, depth - 1)


def short_second_channels(folder: Path, planes: Sequence[str]) -> dict[str, str]:
    """Return the planes whose second channel does not fit the first, with the reason in words.

    After ROIs were merged in Suite2p's window, the traces of the second channel are still those of
    the former ROIs.
    """
    found = {}
    for plane in planes:
        first = trace_shape(folder / plane, "F")
        for name in ("Fneu_chan2", "F_chan2"):
            second = trace_shape(folder / plane, name)
            if len(first) != 2 or len(second) != 2 or first == second:
                continue
            axis, what = (0, "ROIs") if first[0] != second[0] else (1, "frames")
            file, of = f"'{folder / plane / name}.npy'", "F.npy"
            if reads_matlab_file(PathProbe(folder / plane)):
                file, of = f"'{folder / plane / MATLAB_FILE}': {name}", "F"
            found[plane] = f"{file} is of {second[axis]} {what}, {of} of {first[axis]}"
    return found


def trace_shape(folder: Path, name: str) -> tuple[int, ...]:
    """Return the shape of a trace of a plane, (ROIs, frames); empty where it is absent."""
    plane = PathProbe(folder)
    if reads_matlab_file(plane):
        return variable_shapes(plane).get(name, ())
    return npy_shape(folder / f"{name}.npy") if f"{name}.npy" in plane.file_names else ()


def missing_planes(folder: Path | PathProbe) -> list[str]:
    """Return the planes before the last one, and those that the settings count, without a folder.

    The folders of a mesoscope's recording count its planes and regions together.
    """
    probe = PathProbe.of(folder)
    names = [each.path.name for each in probe.folders()]
    numbers = {int(name[5:]) for name in names if re.fullmatch(r"plane\d+", name)}
    stated = [_stated(probe.path / name).get("nplanes") for name in plane_names(probe)[:1]]
    counts = [int(each) for each in stated if isinstance(each, (int, np.integer))]
    last = max([*numbers, *(min(count, _MOST_PLANES) - 1 for count in counts)], default=0)
    return [f"plane{number}" for number in range(last + 1) if number not in numbers]


def _stated(plane: Path) -> Mapping[str, Any]:
    """Return the settings of a plane; empty where they are damaged, as its reader raises."""
    try:
        return read_ops(plane)
    except SourceError:
        return {}


def lacking_files(folder: Path | PathProbe, planes: Sequence[str]) -> dict[str, list[str]]:
    """Return the result files that each of some planes lacks, by the plane.

    Suite2p always writes the fluorescence, of cells and around them, and the flags of cells, and
    the spikes if its settings say so; other files are missing where another plane has them.

    Parameters
    ----------
    folder : pathlib.Path or PathProbe
        The ``suite2p`` folder.
    planes : sequence of str
    """
    probe = PathProbe.of(folder)
    everywhere = [_result_files(probe.within(name)) for name in plane_names(probe)]
    expected = [*_ALWAYS, *(name for name in _SOMETIMES if any(name in own for own in everywhere))]
    missing = {
        plane: [name for name in expected if name not in _result_files(probe.within(plane))]
        for plane in planes
    }
    for plane, names in missing.items():
        if _SPIKES not in {*names, *_result_files(probe.within(plane))}:
            names += [_SPIKES] * _has_spikes(probe.path / plane)
        names += _lacking_parts(probe.within(plane))
    return {plane: names for plane, names in missing.items() if names}


def _lacking_parts(plane: PathProbe) -> list[str]:
    """Return the parts with the images that a plane lacks, which has neither the whole of them."""
    if "ops.npy" in plane.file_names or reads_matlab_file(plane):
        return []
    run = _stated(plane.path).get("run")
    is_registered = isinstance(run, dict) and bool(run.get("do_registration"))
    registration, detection = _PARTS_OF_OPS[2:]
    expected = [registration] * is_registered + [detection]
    return [name for name in expected if name not in plane.file_names]


def _has_spikes(plane: Path) -> bool:
    """Return whether the settings of a plane state that its spikes were computed."""
    return bool(stated_deconvolution(_stated(plane)))


def stated_deconvolution(ops: Mapping[str, Any]) -> bool | None:
    """Return whether the settings state that spikes were computed; None where they do not say."""
    run = ops.get("run")
    stated = ops.get("spikedetect", run.get("do_deconvolution") if isinstance(run, dict) else None)
    return bool(stated) if isinstance(stated, (bool, int, np.bool_, np.integer)) else None


def movies_not_read(folder: Path | PathProbe, planes: Sequence[str]) -> list[str]:
    """Return the files of movies before registration, and of registered frames without the movie.

    Parameters
    ----------
    folder : pathlib.Path or PathProbe
        The ``suite2p`` folder.
    planes : sequence of str
    """
    found = []
    for name in planes:
        plane = PathProbe.of(folder).within(name)
        found += [f"{name}/{each}" for each in _RAW_MOVIES if each in plane.file_names]
        folders = {each.path.name for each in plane.folders()}
        lacking = [each for each, movie in _FRAMES.items() if movie not in plane.file_names]
        found += [f"{name}/{each}" for each in lacking if each in folders]
    return found


def arrays_of_others(folder: Path, planes: Sequence[str]) -> list[str]:
    """Return ``.npy`` files of planes that Suite2p does not write, such as ``plane0/dff.npy``."""
    known = {*_OWN_FILES, *_PARTS_OF_OPS}
    probe = PathProbe.of(folder)
    return [
        f"{name}/{each}"
        for name in planes
        for each in probe.within(name).names(".npy")
        if each not in known
    ]


def bad_frames(ops: Mapping[str, Any]) -> list[int]:
    """Return the frames that Suite2p or its user marked as bad (``badframes``)."""
    try:
        marks = np.asarray(ops.get("badframes", ()))
    except ValueError:  # lists of different lengths
        return []
    are_marks = marks.ndim == 1 and marks.dtype.kind in "biuf"
    return [int(each) for each in np.flatnonzero(marks)] if are_marks else []


def channel_in_words(channel: str, ops: dict[str, Any]) -> str:
    """Return the name of a channel and, where there are two, its number in the recording."""
    number = recorded_channel(channel, ops)
    return channel if number is None else f"{channel} (channel {number} of the recording)"


def recorded_channel(channel: str, ops: Mapping[str, Any]) -> int | None:
    """Return the number of a channel in a recording of two, from 1; None with another number.

    Suite2p calls the functional channel the first, whichever was recorded first.
    """
    functional = ops.get("functional_chan", 1)
    if ops.get("nchannels", 1) != 2 or functional not in (1, 2):
        return None
    return int(functional if channel == "chan1" else 3 - functional)


def place_of(ops: Mapping[str, Any], plane: str) -> str:
    """Return a sentence on where the field of a plane lies, such as a region of a mesoscope.

    Empty where the settings do not state it, and for the view of all planes itself.
    """
    row, column = (single_number(ops.get(name)) for name in ("dy", "dx"))
    if plane == _COMBINED or not np.isfinite([row, column]).all():
        return ""
    return f" Its field begins at row {row:g} and column {column:g} of the view of all planes."


def plane_number(plane: str) -> int | None:
    """Return the number in the name of a plane such as ``plane0``; None for other names."""
    found = re.fullmatch(r"plane(\d+)", plane)
    return int(found[1]) if found else None


def part_of(folder: Path, channel: str, plane: str) -> str:
    """Return the channel and the plane, each where the folder has several.

    ROIs and movies count alike, so that those of a plane have the same name.
    """
    probe, kinds = PathProbe(folder), (ROI_FILES, MOVIE_FILES)
    planes = {name for files in kinds for name in plane_names(probe, files)}
    channels = {name for files in kinds for name in channel_names(probe, files, [plane])}
    return f"{channel if len(channels) > 1 else ''} {plane if len(planes) > 1 else ''}".strip()


def read_ops(folder: Path, *, is_trusted: bool = False) -> dict[str, Any]:
    """Return the settings of a plane, from its ``ops.npy``, the parts of it, or ``Fall.mat``.

    Suite2p 1.0 and later writes ``ops.npy`` only if its setting ``save_ops_orig`` is True; the
    parts are always written.

    Parameters
    ----------
    folder : pathlib.Path
    is_trusted : bool
        Whether to load pickles of more than plain data.

    Raises
    ------
    UnsafePickleError
        When a file holds more than plain data and is not trusted.
    CorruptSourceError
        When a file is damaged, or lacks the size or the rate of the movie.
    """
    path, plane = folder / "ops.npy", PathProbe(folder)
    if reads_matlab_file(plane):
        return _ops_of_matlab_file(folder / MATLAB_FILE)
    names = plane.file_names
    parts = [path] if "ops.npy" in names else [folder / n for n in _PARTS_OF_OPS if n in names]
    ops: dict[str, Any] = {}
    for part in parts or [path]:
        data = load_npy(part, allow_pickle=True, is_trusted=is_trusted)
        found = data.item() if data.dtype == object and data.ndim == 0 else None
        if not isinstance(found, dict):
            raise CorruptSourceError(
                f"'{part}' does not hold settings of Suite2p; it may be damaged."
            )
        ops |= found
    check_ops(parts[0] if parts else path, ops)
    return ops


def _ops_of_matlab_file(path: Path) -> dict[str, Any]:
    file = FallFile(path, ("ops",))
    try:
        ops = file.ops()
    finally:
        file.close()
    check_ops(path, ops)
    return {**ops, **{key: int(ops[key]) for key in ("Ly", "Lx", "nframes") if key in ops}}


def raw_file_names(ops: Mapping[str, Any]) -> list[str]:
    """Return the names of the files that Suite2p read, without their folders; empty if unknown."""
    stated = ops.get("filelist", ops.get("file_list"))
    return [] if stated is None else [re.split(r"[\\/]", str(file))[-1] for file in stated]


def num_frames_of_traces(folder: Path) -> int | None:
    """Return the number of frames on which all traces of a plane agree; None if they differ."""
    shapes = [trace_shape(folder, name) for name in _TRACES]
    lengths = {shape[1] for shape in shapes if len(shape) == 2}
    return int(lengths.pop()) if len(lengths) == 1 else None


def check_ops(path: Path, ops: Mapping[str, Any]) -> None:
    """Raise CorruptSourceError unless the content of ``ops.npy`` is complete."""
    missing = [key for key in _NUMBERS if key not in ops]
    if missing:
        raise CorruptSourceError(f"'{path}' lacks {', '.join(missing)}; it is not complete.")
    for key in (*_NUMBERS, *({"nframes"} & ops.keys())):
        value = np.asarray(ops[key])
        is_number = value.ndim == 0 and value.dtype.kind in "iuf"
        if not is_number or not 0 <= value < np.inf or (key != "nframes" and not value):
            raise CorruptSourceError(
                f"'{path}' states {key} = {shown(ops[key])}; it must be a number above 0. Correct "
                "it, or run Suite2p again."
            )
    if float(ops["Ly"]) * float(ops["Lx"]) > _MOST_PIXELS:
        raise CorruptSourceError(
            f"'{path}' states fields of {ops['Ly']} x {ops['Lx']} pixels; no image of Suite2p is "
            "so large. Correct Ly and Lx, or run Suite2p again."
        )
    check_stated_rate(path, float(ops["fs"]), "fs")


def placed(name: str, image: NDArray[Any], ops: dict[str, Any]) -> NDArray[Any]:
    """Return an image at its position in the whole field; Suite2p crops some images.

    Registration moves frames beyond the edge; ``yrange`` and ``xrange`` state the rows and columns
    that remain. The rest of the field is 0.

    Raises
    ------
    ValueError
        When the image has neither the size of the field nor of the remaining part.
    """
    field = (int(ops["Ly"]), int(ops["Lx"]))
    if image.shape == field:
        return image
    if "yrange" not in ops or "xrange" not in ops:
        raise ValueError(
            f"the {name} image has the shape {image.shape} in a field of {field}, and ops.npy "
            "has no yrange and xrange, which say where it lies."
        )
    (top, bottom), (left, right) = ops["yrange"], ops["xrange"]
    if image.shape != (bottom - top, right - left):
        raise ValueError(
            f"the {name} image has the shape {image.shape}; it must be that of the field, {field}, "
            f"or of the part that remains after registration, {(bottom - top, right - left)}"
        )
    whole = np.zeros(field, image.dtype)
    whole[top:bottom, left:right] = image
    return whole
