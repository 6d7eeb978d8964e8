"""The struct of a MATLAB file that holds a segmentation."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError, SourceArgumentError
from nwb_ophys.extractors.matlab import ForeignObject, MatlabFile, MatlabStruct, SparseColumns
from nwb_ophys.extractors.matlab_outline import ROOT, read_matlab_outline
from nwb_ophys.glance import Glance

# Fields that together tell a struct; any of the sets will do.
Kinds = Sequence[frozenset[str]]


def structs_of(outline: Mapping[str, Iterable[str]] | None, kinds: Kinds) -> list[str]:
    """Return the names of the structs of an outline that are of some kind.

    Parameters
    ----------
    outline : mapping of str to iterable of str
        The fields of each struct; the variables themselves are under the empty name.
    kinds : sequence of frozenset of str
    """
    found = {name: set(fields) for name, fields in (outline or {}).items()}
    return [name for name, fields in found.items() if any(kind <= fields for kind in kinds)]


def find_struct(file: MatlabFile, kinds: Kinds, asked: str | None, what: str) -> MatlabStruct:
    """Return the struct that is asked for, or the only one that is of some kind.

    Parameters
    ----------
    file : MatlabFile
    kinds : sequence of frozenset of str
    asked : str or None
        Its name; empty for the variables themselves.
    what : str
        Whose output it is, for messages.

    Raises
    ------
    SourceArgumentError
        When there is none of the name, or there are several.
    CorruptSourceError
        When there is none of any kind.
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
    return CorruptSourceError(
        f"'{path}': '{name}' is an object of the class {found.class_name}, which only MATLAB can "
        "read. In MATLAB, turn it into a struct of numbers, or by full() into an array, and save "
        "that."
    )


@contextmanager
def reading(file: MatlabFile, what: str) -> Iterator[None]:
    """Close the file, and name it, when its output cannot be read.

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
            f"'{file.path}' cannot be read as {what}'s output: {error}. It may be damaged."
        ) from error


def matrix_of(file: MatlabFile, struct: MatlabStruct, names: Iterable[str]) -> Any:
    """Return the first array or sparse matrix of some names, or None.

    Raises
    ------
    CorruptSourceError
        When what is there is neither.
    """
    for name in names:
        value = struct.get(name)
        if isinstance(value, ForeignObject):
            raise _unreadable(file.path, name, value)
        if isinstance(value, SparseColumns) or hasattr(value, "shape"):
            return value
        if value is not None:
            raise CorruptSourceError(f"'{file.path}': {name} is no array; the file may be damaged.")
    return None


def image_of(
    file: MatlabFile, struct: MatlabStruct, name: str, field: tuple[int, int]
) -> NDArray[Any] | None:
    """Return an image of the field, or None where there is none.

    One of another shape is left out, with a warning that says so.
    """
    value = struct.get(name)
    if not hasattr(value, "shape") or isinstance(value, SparseColumns) or 0 in value.shape:
        return None
    shape = tuple(value.shape)
    if shape != field and sorted(shape) == sorted((1, field[0] * field[1])):
        return np.asarray(value).reshape(field, order="F")
    if shape != field:
        warnings.warn(
            f"'{file.path}': the image {name} has {shape} pixels, the ROIs are of a field of "
            f"{field}; the image is left out.",
            UserWarning,
            stacklevel=2,
        )
        return None
    return np.asarray(value)


def evidence_of(glance: Glance, kinds: Kinds, what: str) -> str | None:
    """Return evidence, in words, that a file holds a struct of some kind."""
    outline = glance.read_once(read_matlab_outline) if glance.is_file else None
    names = structs_of(outline, kinds)
    if outline is None or not names:
        return None
    parts = []
    for name in names:
        kind = next(kind for kind in kinds if kind <= set(outline[name]))
        sizes = {field: outline[name][field] for field in sorted(kind)}
        fields = [f"{f} ({' x '.join(map(str, size))})" if size else f for f, size in sizes.items()]
        parts.append(f"{', '.join(fields)} in {repr(name) if name else 'it'}")
    return f"'{glance.path.name}' has {what}'s {'; '.join(parts)}"


def struct_streams(path: Path, kinds: Kinds, source: Mapping[str, Any]) -> dict[str, Any]:
    """Return the source arguments of each struct of some kind, by its name."""
    names = structs_of(read_matlab_outline(path), kinds)
    arguments = {"file_path": path, **source}
    if len(names) < 2 or "output_struct_name" in source:
        return {"": arguments}
    return {name: {**arguments, "output_struct_name": name} for name in names}


def part_of(source: Any, kinds: Kinds) -> str:
    """Return the name of the struct that was chosen, where there are several."""
    names = structs_of(read_matlab_outline(source.file_path), kinds)
    return source.output_struct_name or "" if len(names) > 1 else ""
