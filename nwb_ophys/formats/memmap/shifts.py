"""Shifts by which CaImAn registered the movie of a memory map.

CaImAn's ``MotionCorrect`` keeps the shifts in ``shifts_rig``, (samples, 2 or 3), or for patches of
each frame in ``x_shifts_els``, ``y_shifts_els`` and ``z_shifts_els``, (samples, patches). It saves
no file of its own. ``CNMF.fit_file`` copies them to ``estimates/shifts`` of the results; scripts
save them with ``numpy.savez`` under their names, or in a group ``motion_correction`` of the
results.

The first axis, CaImAn's x, is that of the rows, the second that of the columns. The numbers are
those by which the content was moved: ``apply_shift_iteration`` of ``motion_correction.py`` gives
OpenCV's ``warpAffine`` the matrix ``[[1, 0, shift[1]], [0, 1, shift[0]]]``.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError, SourceError, as_sentence
from nwb_ophys.filetypes.hdf5 import read_hdf5_outline
from nwb_ophys.filetypes.hdf5_values import Hdf5Values
from nwb_ophys.filetypes.npy import check_npz, load_npy
from nwb_ophys.formats.memmap.names import MapLayout, caiman_map
from nwb_ophys.interfaces.registered import Registration, describe_shifts
from nwb_ophys.outside import check_file
from nwb_ophys.paths import PathProbe
from nwb_ophys.writers.original_files import OriginalFiles

_HDF5 = (".hdf5", ".h5")
_RIGID, _PATCHES = "shifts_rig", ("x_shifts_els", "y_shifts_els", "z_shifts_els")
_NAMES = (_RIGID, *_PATCHES)
# Groups of an HDF5 file in which shifts are kept under their names.
_GROUPS = ("", "motion_correction/", "estimates/")
# Names of memory maps that MotionCorrect has saved, among its attributes.
_MAP_NAMES = ("mmap_file", "fname_tot_rig", "fname_tot_els")
_DIMS = ("params/data/dims", "dims", "estimates/dims")
# In the name of a map that MotionCorrect saved.
_RIGID_MAP, _PATCH_MAP = "_rig_", "_els_"


@attrs.frozen(kw_only=True)
class _Stored:
    """What a file states of a registration.

    Attributes
    ----------
    arrays : mapping of str to numpy.ndarray
        By their names in ``MotionCorrect``; ``shifts`` where it may be of either kind.
    maps : sequence of str
        Names of memory maps with the result.
    files : sequence of str
        Names of the files that were registered.
    field : tuple of int or None
    rate : float or None
    """

    path: Path
    arrays: Mapping[str, NDArray[Any]]
    maps: Sequence[str] = ()
    files: Sequence[str] = ()
    field: tuple[int, ...] | None = None
    rate: float | None = None

    def is_of(self, layout: MapLayout) -> bool:
        """Return whether these are results of a memory map, by names and sizes."""
        name = layout.path.name
        # Shifts that were found in the map itself were not applied to it.
        if name in self.files or (self.field or layout.field) != layout.field:
            return False
        return not self.maps or name in self.maps or _kind_of_map(name) != ""


def find_registration(layout: MapLayout, given: Path | None = None) -> Registration | None:
    """Return the shifts of a memory map, from a given file or one beside it; None without any.

    Parameters
    ----------
    layout : MapLayout
    given : pathlib.Path, optional
        File with shifts: CaImAn's results (HDF5), a ``.npz`` or a ``.npy`` file.

    Raises
    ------
    SourceError
        When the given file has no shifts of the frames, or several files beside the map have
        different ones.
    """
    if given is not None:
        stored = _read(given)
        found = None if stored is None else _registration(stored, layout)
        if found is None:
            raise SourceError(_no_shifts(given, stored, layout))
        return found
    beside = [_registration(stored, layout) for stored in results_beside(layout)]
    candidates = [each for each in beside if each is not None]
    # Results that name the files that were registered say more than bare shifts.
    candidates.sort(key=lambda each: each.original is None)
    for other in candidates[1:]:
        if not np.array_equal(other.shifts, candidates[0].shifts, equal_nan=True):
            raise SourceError(
                f"{candidates[0].source} and {other.source} have different shifts of the "
                f"{layout.num_samples} frames of '{layout.path}'; give one of them as shifts_path, "
                "or write the movie as a series, with motion_correction=False."
            )
    return candidates[0] if candidates else None


def results_beside(layout: MapLayout, others: Sequence[Path] = ()) -> Iterator[_Stored]:
    """Yield what files beside a memory map, or given with it, state of it."""
    folder = PathProbe(layout.path.parent)
    named = [p for p in folder.files(".npy") if "shift" in p.name.lower()]
    for path in dict.fromkeys([*folder.files(*_HDF5, ".npz"), *named, *others]):
        try:
            stored = _read(path)
        except SourceError:  # damaged; whoever converts it gets an error with words
            continue
        if stored is not None and stored.is_of(layout):
            yield stored


def _kind_of_map(name: str) -> str:
    return next((kind for kind in (_PATCH_MAP, _RIGID_MAP) if kind in name), "")


def _no_shifts(path: Path, stored: _Stored | None, layout: MapLayout) -> str:
    shapes = {} if stored is None else {n: a.shape for n, a in stored.arrays.items()}
    there = "; ".join(f"{name} has the shape {shape}" for name, shape in shapes.items())
    return (
        f"'{path}' has no shifts of the {layout.num_samples} frames of '{layout.path}': "
        f"{there or 'neither estimates/shifts, shifts_rig nor x_shifts_els is there'}. Give "
        "CaImAn's results, or a .npz file with shifts_rig, or with x_shifts_els and y_shifts_els."
    )


# --- files ----------------------------------------------------------------------------------------


def _read(path: Path) -> _Stored | None:
    """Return what a file states; None where it is neither results nor has shifts."""
    suffix = path.suffix.lower()
    if suffix in _HDF5:
        return _read_hdf5(path)
    if suffix == ".npz":
        return _read_npz(path)
    if suffix == ".npy":
        values = np.array(load_npy(path))
        return _Stored(path=path, arrays={"shifts": values}) if _are_numbers(values) else None
    return None


def _read_hdf5(path: Path) -> _Stored | None:
    outline = read_hdf5_outline(path)
    if outline is None:
        return None
    places = [(g + n, n) for g in _GROUPS for n in _NAMES if g + n in outline]
    is_results = "estimates" in outline and "params/data" in outline
    if not is_results and not places:
        return None
    with Hdf5Values(path) as file:
        stored = [(name, file.array(place)) for place, name in places]
        # Of the same name in several groups, the first counts.
        arrays = {name: found[()] for name, found in reversed(stored) if found is not None}
        shifts = file.array("estimates/shifts")
        if shifts is not None and not arrays:
            arrays["shifts"] = shifts[()]
        dims = next((d for place in _DIMS if (d := file.array(place)) is not None), None)
        return _Stored(
            path=path,
            arrays=arrays,
            maps=_base_names(file.texts("mmap_file")),
            files=_base_names(file.texts("params/data/fnames")),
            field=None if dims is None else tuple(int(size) for size in dims[()]),
            rate=file.number("params/data/fr") if is_results else None,
        )


def _read_npz(path: Path) -> _Stored | None:
    try:
        check_file(path)
        check_npz(path)
        with np.load(path, allow_pickle=False) as content:
            names = [name for name in (*_NAMES, "shifts") if name in content.files]
            if not names:
                return None
            arrays = {name: content[name] for name in names}
            texts = {name: _texts_of(content, name) for name in (*_MAP_NAMES, "fname")}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise CorruptSourceError(
            f"'{path}' cannot be read as a .npz file of arrays: {as_sentence(error)} It may be "
            "damaged, or hold Python objects; save shifts_rig, or x_shifts_els and y_shifts_els, "
            "as arrays."
        ) from error
    maps = [text for name in _MAP_NAMES for text in texts[name]]
    return _Stored(
        path=path, arrays=arrays, maps=_base_names(maps), files=_base_names(texts["fname"])
    )


def _texts_of(content: Any, name: str) -> list[Any]:
    """Return the texts of an array of a ``.npz`` file; none where it holds Python objects."""
    try:
        values = content[name] if name in content.files else np.zeros(0, "U1")
    except ValueError:  # a pickled None, or a list of several lengths
        return []
    return values.reshape(-1).tolist() if values.dtype.kind in "SU" else []


def _base_names(paths: Sequence[Any]) -> list[str]:
    texts = [p.decode("utf-8", "replace") if isinstance(p, bytes) else str(p) for p in paths]
    # PureWindowsPath parts the paths of all systems.
    return [PureWindowsPath(text).name for text in texts]


def _are_numbers(values: NDArray[Any]) -> bool:
    return values.dtype.kind in "iuf"


# --- shifts ---------------------------------------------------------------------------------------


def _registration(stored: _Stored, layout: MapLayout) -> Registration | None:
    """Return the shifts that a file has of a memory map; None where none are of its frames."""
    count = layout.num_samples
    both = {
        _RIGID_MAP: _as_shifts(stored.arrays.get(_RIGID), count),
        _PATCH_MAP: _of_axes([stored.arrays.get(name) for name in _PATCHES], count),
    }
    # A map after rigid registration; else that of patches is the last step.
    order = [_kind_of_map(layout.path.name), _PATCH_MAP, _RIGID_MAP]
    found = next((both[kind] for kind in order if both.get(kind) is not None), None)
    if found is None:
        found = _as_shifts(stored.arrays.get("shifts"), count)
    if found is None:
        return None
    # CaImAn's first axis is that of the rows; in NWB, x is that of the columns.
    found = found[..., [1, 0, *range(2, found.shape[-1])]]
    patches = found if found.ndim == 3 else None
    return Registration(
        source=f"'{stored.path}'",
        shifts=found if patches is None else patches.mean(axis=1),
        description=describe_shifts(
            "CaImAn", found.shape[-1], 0 if patches is None else patches.shape[1]
        ),
        patches=patches,
        **_original(stored, count),
    )


def _original(stored: _Stored, count: int) -> dict[str, Any]:
    """Return the files that were registered, or what is not known of them."""
    files = [name for name in stored.files if not name.endswith(".mmap")]
    starts = _starts(files, stored.maps, count)
    if starts:
        what = "Frames before motion correction, in the files that CaImAn registered."
        original = OriginalFiles(files=files, starting_frames=starts, description=what)
        return {"original": original}
    if files:
        return {"lacking": f"the numbers of frames of the {len(files)} files that were registered"}
    return {}


def _starts(files: Sequence[str], maps: Sequence[str], count: int) -> list[int]:
    """Return the first frame of each registered file; empty where the files do not say.

    CaImAn saves a memory map for each file, whose name states its number of frames.
    """
    if len(files) == 1:
        return [0]
    layouts = [caiman_map(Path(name)) for name in dict.fromkeys(maps)]
    counts = [layout.num_samples for layout in layouts if layout is not None]
    for first in range(0, len(counts) - len(files) + 1):
        own = counts[first : first + len(files)]
        if files and sum(own) == count:
            return [sum(own[:index]) for index in range(len(own))]
    return []


def _as_shifts(values: NDArray[Any] | None, count: int) -> NDArray[Any] | None:
    """Return shifts, (samples[, patches], 2 or 3), of an array in one of CaImAn's forms."""
    if values is None or not _are_numbers(values):
        return None
    if values.ndim in (2, 3) and values.shape[0] == count and values.shape[-1] in (2, 3):
        return values
    if values.ndim == 3 and values.shape[0] in (2, 3) and values.shape[1] == count:
        return np.moveaxis(values, 0, -1)
    return None


def _of_axes(axes: Sequence[NDArray[Any] | None], count: int) -> NDArray[Any] | None:
    """Return shifts of patches, (samples, patches, 2 or 3), of an array for each axis."""
    found = [axis for axis in axes if axis is not None]
    shapes = {axis.shape for axis in found}
    if len(found) < 2 or len(shapes) > 1 or axes[0] is None or axes[1] is None:
        return None
    stacked = np.stack(found, axis=-1)
    return stacked if stacked.ndim == 3 and len(stacked) == count else None
