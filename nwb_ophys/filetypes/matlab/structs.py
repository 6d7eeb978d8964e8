"""Structs of a MATLAB file that hold a segmentation."""

from __future__ import annotations

import itertools
import struct
import warnings
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import (
    CorruptSourceError,
    SourceArgumentError,
    SourceError,
    as_sentence,
    first_of,
)
from nwb_ophys.filetypes.files import COPY_AGAIN, is_of_rois
from nwb_ophys.filetypes.hdf5 import open_hdf5
from nwb_ophys.filetypes.matlab.level4 import is_level4, level4_variables
from nwb_ophys.filetypes.matlab.level5 import (
    HEADER_BYTES,
    MOST_VARIABLES,
    OPAQUE_CLASS,
    ORDERS,
    STRUCT_CLASS,
    elements,
    level5_objects,
    part,
)
from nwb_ophys.filetypes.matlab.variables import (
    ForeignObject,
    MatlabFile,
    MatlabStruct,
    SparseColumns,
)
from nwb_ophys.paths import PathProbe
from nwb_ophys.storage.backends.hdf5_claims import check_stored
from nwb_ophys.storage.backends.hdf5_opening import is_hdf5
from nwb_ophys.trial import is_tried_damaged

# Fields by name, with the shape where it is known without reading the values.
Fields = dict[str, tuple[int, ...] | None]

_MOST_OBJECTS = 8
# Classes of MATLAB itself, whose objects are settings and labels.
_OWN_CLASSES = {"string", "datetime", "duration", "categorical", "function_handle"}
# The name under which the variables themselves are listed: they may hold the segmentation, too.
ROOT = ""


def read_matlab_outline(path: Path) -> dict[str, Fields] | None:
    """Return the structs of a MATLAB file with their fields; None for other files.

    Parameters
    ----------
    path : pathlib.Path
        A file named ``.mat``, of version 7.3 (HDF5) or 4 to 7. No values are read.

    Returns
    -------
    dict of str to dict of str to (tuple of int or None)
        The fields of each struct, in MATLAB's order of axes; under the empty name the variables.
    """
    if path.suffix.lower() != ".mat" or not path.is_file():
        return None
    try:
        if is_hdf5(path):
            return None if is_tried_damaged(path) else _hdf5_outline(path)
        if is_level4(path):
            return {ROOT: {each.name: each.shape for each in level4_variables(path)}}
        return _level5_outline(path)
    except (OSError, RuntimeError, KeyError, ValueError, struct.error, zlib.error):
        return None


def _hdf5_outline(path: Path) -> dict[str, Fields]:
    with open_hdf5(path) as file:
        names = _variables_of(file)
        outline = {ROOT: _fields(file, names)}
        for name in names:
            item = file.get(name)
            if isinstance(item, h5py.Group) and "MATLAB_sparse" not in item.attrs:
                outline[name] = _fields(item, list(item)[:MOST_VARIABLES])
    return outline


def _variables_of(file: h5py.File) -> list[str]:
    # Groups named # hold variables that others refer to, possibly very many. No variable of MATLAB
    # has a name in bytes, as h5py gives those that are not UTF-8.
    names = (name for name in file if isinstance(name, str) and not name.startswith("#"))
    return list(itertools.islice(names, MOST_VARIABLES))


def _fields(group: h5py.Group, names: list[str]) -> Fields:
    fields: Fields = {}
    for name in names:
        item = group.get(name)
        if not isinstance(item, (h5py.Group, h5py.Dataset)):  # damage made it something else
            continue
        is_dataset = isinstance(item, h5py.Dataset) and item.shape is not None
        if is_dataset and "MATLAB_empty" in item.attrs:  # the stored values are the shape
            fields[name] = tuple(int(size) for size in np.ravel(check_stored(item)[()]))
        else:
            fields[name] = tuple(int(size) for size in item.shape[::-1]) if is_dataset else None
    return fields


def _level5_outline(path: Path) -> dict[str, Fields] | None:
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
        order = ORDERS.get(header[126:128])
        if order is None or not header.startswith(b"MATLAB"):
            return None
        outline: dict[str, Fields] = {ROOT: {}}
        for element in elements(file, order):
            name, shape, fields = _matrix(element, order)
            if not name:  # the data of all objects in the file
                continue
            outline[ROOT][name] = shape
            if fields is not None:
                outline[name] = dict.fromkeys(fields)
    return outline


def read_matlab_objects(path: Path, *, of_matlab: bool = False) -> dict[str, str]:
    """Return the class of each object in a MATLAB file that only MATLAB can read, by its name.

    Parameters
    ----------
    path : pathlib.Path
        As for :func:`read_matlab_outline`.
    of_matlab : bool
        Whether objects of MATLAB's own classes, such as dates and times, are among them.
    """
    if path.suffix.lower() != ".mat" or not path.is_file():
        return {}
    try:
        if is_hdf5(path):
            found = {} if is_tried_damaged(path) else _hdf5_objects(path)
        else:
            found = level5_objects(path)
    except (OSError, RuntimeError, KeyError, ValueError, struct.error, zlib.error):
        return {}
    if of_matlab:
        return found
    return {name: kind for name, kind in found.items() if kind not in _OWN_CLASSES}


def _hdf5_objects(path: Path) -> dict[str, str]:
    found = {}
    with open_hdf5(path) as file:
        for name in _variables_of(file):
            attributes = file[name].attrs
            if int(attributes.get("MATLAB_object_decode", 0)) == 3:
                kind = attributes.get("MATLAB_class", b"")
                found[name] = kind.decode() if isinstance(kind, bytes) else str(kind)
    return found


def matlab_refusal(probe: PathProbe) -> str | None:
    """Return why a MATLAB file with an object, or a damaged one, cannot be read, or None."""
    if not probe.is_file or probe.path.suffix.lower() != ".mat":
        return None
    for name, class_name in probe.read_once(read_matlab_objects).items():
        return _unreadable_object(probe.path, name, class_name)
    head = probe.head()
    is_level5 = head.startswith(b"MATLAB") and head[126:128] in ORDERS
    is_whole = probe.read_once(read_matlab_outline) is not None
    is_matlab = is_level5 or head.startswith(b"\x89HDF") or probe.read_once(is_level4)
    if is_whole or not is_matlab:
        return None
    return f"'{probe.path}' is not a whole MATLAB file; {COPY_AGAIN}."


def _matrix(head: bytes, order: str) -> tuple[str, tuple[int, ...], list[str] | None]:
    """Return the name and shape of a matrix and, of a struct, the names of its fields."""
    flags, place = part(head, 0, order)
    if struct.unpack(f"{order}I", flags[:4])[0] & 0xFF == OPAQUE_CLASS:
        return part(head, place, order)[0].decode("ascii", "replace"), (), None
    sizes, place = part(head, place, order)
    name, place = part(head, place, order)
    shape = struct.unpack(f"{order}{len(sizes) // 4}i", sizes)
    fields = None
    if struct.unpack(f"{order}I", flags[:4])[0] & 0xFF == STRUCT_CLASS:
        length, place = part(head, place, order)
        texts, place = part(head, place, order)
        (step,) = struct.unpack(f"{order}i", length)
        parts = [texts[start : start + step] for start in range(0, len(texts), step)]
        fields = [part.split(b"\0")[0].decode("ascii", "replace") for part in parts]
    return name.decode("ascii", "replace"), shape, fields


# Sets of fields that identify a struct; one complete set is enough.
Kinds = Sequence[frozenset[str]]


def structs_of(outline: Mapping[str, Iterable[str]] | None, kinds: Kinds) -> list[str]:
    """Return the names of the structs in an outline that match one of the kinds.

    Parameters
    ----------
    outline : mapping of str to iterable of str
        The fields of each struct; the variables themselves are under the empty name.
    kinds : sequence of frozenset of str
    """
    found = {name: set(fields) for name, fields in (outline or {}).items()}
    return [name for name, fields in found.items() if any(kind <= fields for kind in kinds)]


def find_struct(file: MatlabFile, kinds: Kinds, asked: str | None, what: str) -> MatlabStruct:
    """Return the requested struct, or the only one that matches one of the kinds.

    Parameters
    ----------
    file : MatlabFile
    kinds : sequence of frozenset of str
    asked : str or None
        Name of the struct; empty for the variables themselves.
    what : str
        Name of the program that wrote the file, for messages.

    Raises
    ------
    SourceArgumentError
        When the file has no struct of the name, or several that match.
    CorruptSourceError
        When no struct matches.
    """
    variables = file.variables
    values = {name: variables.get(name) for name in variables.names}
    structs = {name: each for name, each in values.items() if isinstance(each, MatlabStruct)}
    structs[ROOT] = variables
    if asked is not None and asked not in structs:
        if isinstance(values.get(asked), ForeignObject):
            raise _unreadable(file.path, asked, values[asked])
        raise SourceArgumentError(
            f"'{file.path}' has no struct '{asked}'; output_struct_name may be: "
            f"{', '.join(repr(name) for name in structs if name)}."
        )
    names = structs_of({name: each.names for name, each in structs.items()}, kinds)
    if asked is not None and asked not in names:
        raise CorruptSourceError(f"'{file.path}': '{asked}' {_lack(kinds)}.")
    if asked is None and len(names) > 1:
        raise SourceArgumentError(
            f"'{file.path}' has several outputs of {what}; choose one with output_struct_name: "
            f"{', '.join(repr(name) for name in names)}."
        )
    if not names:
        objects = {n: each for n, each in values.items() if isinstance(each, ForeignObject)}
        for name, each in objects.items():
            raise _unreadable(file.path, name, each)
        raise CorruptSourceError(
            f"'{file.path}' is not {what}'s output: no struct in it {_has(kinds)}."
        )
    return structs[names[0] if asked is None else asked]


def _has(kinds: Kinds) -> str:
    return "has " + ", or ".join(" and ".join(sorted(kind)) for kind in kinds)


def _lack(kinds: Kinds) -> str:
    return f"must have {_has(kinds).removeprefix('has ')}; it has not"


def _unreadable(path: Path, name: str, found: ForeignObject) -> CorruptSourceError:
    return CorruptSourceError(_unreadable_object(path, name, found.class_name))


def _unreadable_object(path: Path, name: str, class_name: str) -> str:
    return (
        f"'{path}': '{name}' is an object of the class {class_name}, which only MATLAB can read. "
        "In MATLAB, turn it into a struct of numbers, such as with results = struct(NAME), or by "
        "full() into an array, and save that."
    )


@contextmanager
def reading(file: MatlabFile, what: str) -> Iterator[None]:
    """Close the file and name it in the error when its output cannot be read.

    Raises
    ------
    CorruptSourceError
    """
    try:
        yield
    except Exception as error:  # a damaged file can raise anything
        file.close()
        if isinstance(error, (CorruptSourceError, SourceArgumentError)):
            raise
        raise CorruptSourceError(
            f"'{file.path}' cannot be read as {what}'s output: {as_sentence(error)} It may be "
            "damaged."
        ) from error


def matrix_of(file: MatlabFile, struct: MatlabStruct, names: Iterable[str]) -> Any:
    """Return the first array or sparse matrix among names, or None.

    Raises
    ------
    CorruptSourceError
        When a value is neither an array nor a matrix.
    """
    for name in names:
        value = struct.get(name)
        if isinstance(value, ForeignObject):
            raise _unreadable(file.path, name, value)
        if isinstance(value, SparseColumns) or hasattr(value, "shape"):
            return value
        if value is not None:
            raise CorruptSourceError(
                f"'{file.path}': {name} is not an array; the file may be damaged."
            )
    return None


def weights_and_traces(
    file: MatlabFile, struct: MatlabStruct, weights: str, traces: str
) -> tuple[Any, Any]:
    """Return the arrays or sparse matrices of weights and of traces, not read yet.

    Parameters
    ----------
    file : MatlabFile
    struct : MatlabStruct
    weights, traces : str
        Names of the fields.

    Raises
    ------
    SourceError
        When either is absent, or the traces do not have two axes.
    """
    found = tuple(matrix_of(file, struct, [name]) for name in (weights, traces))
    if found[0] is None or found[1] is None or len(found[1].shape) != 2:
        raise SourceError("the weights or the traces are not an array of numbers.")
    return found


def image_of(
    file: MatlabFile, struct: MatlabStruct, name: str, field: tuple[int, int]
) -> NDArray[Any] | None:
    """Return an image of the field, or None where it is absent.

    An image of another shape is left out with a warning.
    """
    value = struct.array(name, file.path)
    if value is None:
        return None
    shape = tuple(value.shape)
    if shape != field and sorted(shape) == sorted((1, field[0] * field[1])):
        return np.asarray(value).reshape(field, order="F")
    if shape != field:
        warnings.warn(
            f"'{file.path}': the image {name} has {shape} pixels, the field of the ROIs {field}; "
            "the image is left out.",
            UserWarning,
            stacklevel=2,
        )
        return None
    return np.asarray(value)


def note_objects(path: Path, struct: MatlabStruct, names: Iterable[str]) -> None:
    """Warn of optional settings that are objects which only MATLAB can read.

    Parameters
    ----------
    path : pathlib.Path
        The file, for the warning.
    struct : MatlabStruct
    names : iterable of str
    """
    values = {name: struct.get(name) for name in names}
    found = [
        f"{name} ({value.class_name})"
        for name, value in values.items()
        if isinstance(value, ForeignObject)
    ]
    if found:
        warnings.warn(
            f"'{path}': objects that only MATLAB can read are left out: "
            f"{first_of(found, _MOST_OBJECTS)}.",
            UserWarning,
            stacklevel=3,
        )


def others_of_rois(
    file: MatlabFile,
    struct: MatlabStruct,
    known: Collection[str],
    num_rois: int,
    field: Sequence[int],
) -> list[str]:
    """Return the names of further arrays and cells with values of ROIs or pixels.

    Parameters
    ----------
    file : MatlabFile
    struct : MatlabStruct
        The output, or the variables themselves. Other variables beside it are named as well.
    known : collection of str
        Fields of the program's own output.
    num_rois : int
    field : sequence of int
        (rows, columns).
    """
    found = [name for name in struct.names if name not in known]
    places = [(struct, name) for name in found]
    if struct is not file.variables:
        places += [(file.variables, name) for name in file.variables.names]
    shapes = {name: _shape_of(values, name) for values, name in places}
    return [name for name, shape in shapes.items() if is_of_rois(shape, num_rois, field)]


def _shape_of(struct: MatlabStruct, name: str) -> tuple[int, ...]:
    """Return the shape of an array, or the number of cells; empty for other values."""
    value = struct.get(name)
    if isinstance(value, (MatlabStruct, str)):
        return ()
    cells = () if hasattr(value, "shape") else struct.elements(name) or ()
    return tuple(getattr(value, "shape", (len(cells),)))


def evidence_of(probe: PathProbe, kinds: Kinds, what: str) -> str | None:
    """Return evidence, in words, that a file holds a struct of one of the kinds."""
    outline = probe.read_once(read_matlab_outline) if probe.is_file else None
    names = structs_of(outline, kinds)
    if outline is None or not names:
        return None
    parts = []
    for name in names:
        kind = next(kind for kind in kinds if kind <= set(outline[name]))
        sizes = {field: outline[name][field] for field in sorted(kind)}
        fields = [f"{f} ({' x '.join(map(str, size))})" if size else f for f, size in sizes.items()]
        parts.append(f"{', '.join(fields)} in {repr(name) if name else 'it'}")
    return f"'{probe.path.name}' has {what}'s {'; '.join(parts)}"


def struct_names(path: Path, kinds: Kinds) -> list[str]:
    """Return the names of the structs of a file that are of some kind."""
    return structs_of(read_matlab_outline(path), kinds)


def part_of(source: Any, kinds: Kinds) -> str:
    """Return the name of the struct that was chosen, where there are several."""
    names = struct_names(source.file_path, kinds)
    return source.output_struct_name or "" if len(names) > 1 else ""
