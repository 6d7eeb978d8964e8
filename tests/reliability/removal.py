"""Members of NWB files, HDF5 and Zarr, that are taken away one at a time, and the consequences."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import h5py

from nwb_ophys.errors import NwbOphysError

from .corruption import convert

# Facts of one file: a copy has its own.
_OWN = re.compile(r"^(identifier|file_create_date|scratch.*|specifications.*|general/source_script"
                  r"|general/was_generated_by)$")  # fmt: skip
# Attributes that no reader uses, and that each file has of its own.
_UNUSED = ("object_id", ".specloc")


@attrs.frozen
class Removal:
    """A change of one member of a file.

    Attributes
    ----------
    label : str
        Kind and place, such as ``attribute processing/ophys/Fluorescence neurodata_type``.
    apply : callable
        Change the file at a path.
    """

    label: str
    apply: Callable[[Path], None] = attrs.field(repr=False)


# --- HDF5 ---------------------------------------------------------------------------------------


def hdf5_removals(path: Path) -> Iterator[Removal]:
    """Yield the removals of each member and attribute, and the changes of each reference."""
    with h5py.File(path, "r") as file:
        yield from _of_group(file["/"])


def _of_group(group: Any) -> Iterator[Removal]:
    yield from _of_attributes(group)
    for name in group:
        place = f"{group.name}/{name}".strip("/")
        if place.startswith(("specifications", "scratch")):
            continue
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.SoftLink):
            yield Removal(f"link {place}", _editing(place, _delete))
            yield Removal(f"broken link {place}", _editing(place, _break_link))
            yield Removal(f"other link {place}", _editing(place, _other_link))
            continue
        kind = "group" if isinstance(group[name], h5py.Group) else "dataset"
        yield Removal(f"{kind} {place}", _editing(place, _delete))
        if kind == "group":
            yield from _of_group(group[name])
        else:
            yield from _of_attributes(group[name])
            if h5py.check_ref_dtype(group[name].dtype) is h5py.Reference:
                for word, change in (("null", _null_values), ("other", _other_values)):
                    yield Removal(f"{word} references {place}", _editing(place, change))


def _of_attributes(item: Any) -> Iterator[Removal]:
    place = item.name.strip("/")
    for name in item.attrs:
        if name in _UNUSED:
            continue
        yield Removal(f"attribute {place} {name}", _editing(place or "/", _delete_attribute(name)))
        if isinstance(item.attrs[name], h5py.Reference):
            for word, change in (("null", _null), ("other", _other)):
                label = f"{word} reference {place} {name}"
                yield Removal(label, _editing(place, change(name)))


def _editing(place: str, change: Callable[[Any, str], None]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            change(file, place)

    return edit


def _delete(file: Any, place: str) -> None:
    del file[place]


def _delete_attribute(name: str) -> Callable[[Any, str], None]:
    def change(file: Any, place: str) -> None:
        del file[place].attrs[name]

    return change


def _break_link(file: Any, place: str) -> None:
    del file[place]
    file[place] = h5py.SoftLink("/general/nothing")


def _other_link(file: Any, place: str) -> None:
    del file[place]
    file[place] = h5py.SoftLink("/general")


def _null(name: str) -> Callable[[Any, str], None]:
    def change(file: Any, place: str) -> None:
        file[place].attrs[name] = h5py.Reference()

    return change


def _other(name: str) -> Callable[[Any, str], None]:
    def change(file: Any, place: str) -> None:
        file[place].attrs[name] = file["session_start_time"].ref

    return change


def _null_values(file: Any, place: str) -> None:
    file[place][...] = h5py.Reference()


def _other_values(file: Any, place: str) -> None:
    file[place][...] = file["general"].ref


# --- Zarr ---------------------------------------------------------------------------------------


def zarr_removals(path: Path) -> Iterator[Removal]:
    """Yield the removals of each member and attribute, and the changes of each reference."""
    for folder in sorted([path, *(each.parent for each in path.rglob(".z[ga]r*"))]):
        place = folder.relative_to(path).as_posix()
        if place.startswith(("specifications", "scratch")):
            continue
        header = next(n for n in (".zgroup", ".zarray") if (folder / n).exists())
        if place != ".":
            kind = "group" if header == ".zgroup" else "dataset"
            yield Removal(f"{kind} {place}", _in_store(place, shutil.rmtree))
        yield Removal(f"header {place}", _in_store(f"{place}/{header}", Path.unlink))
        if not (folder / ".zattrs").exists():
            continue
        yield Removal(f"attributes {place}", _in_store(f"{place}/.zattrs", Path.unlink))
        yield from _of_zattrs(place, json.loads((folder / ".zattrs").read_text(encoding="utf-8")))


def _of_zattrs(place: str, stated: dict[str, Any]) -> Iterator[Removal]:
    for name, value in stated.items():
        if name in _UNUSED:
            continue
        if name == "zarr_link":
            for index, link in enumerate(value):
                inner = f"{place}/{link['name']}"
                yield Removal(f"link {inner}", _json(place, _drop_link(index)))
                yield Removal(f"broken link {inner}", _json(place, _set_link(index, "/nothing")))
                yield Removal(f"other link {inner}", _json(place, _set_link(index, "/general")))
            continue
        yield Removal(f"attribute {place} {name}", _json(place, _pop(name)))
        if isinstance(value, dict) and value.get("dtype") == "object":
            for word, target in (("null", ""), ("other", "/session_start_time")):
                change = _set_reference(name, target)
                yield Removal(f"{word} reference {place} {name}", _json(place, change))


def _in_store(place: str, change: Callable[[Path], Any]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        change(path / place)
        (path / ".zmetadata").unlink(missing_ok=True)

    return edit


def _json(place: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        stated = json.loads(path.read_text(encoding="utf-8"))
        change(stated)
        path.write_text(json.dumps(stated), encoding="utf-8")

    return _in_store(f"{place}/.zattrs", edit)


def _pop(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda stated: stated.pop(name)


def _drop_link(index: int) -> Callable[[dict[str, Any]], Any]:
    return lambda stated: stated["zarr_link"].pop(index)


def _set_link(index: int, target: str) -> Callable[[dict[str, Any]], Any]:
    return lambda stated: stated["zarr_link"][index].update(path=target)


def _set_reference(name: str, target: str) -> Callable[[dict[str, Any]], Any]:
    return lambda stated: stated[name]["value"].update(path=target)


# --- the consequences ---------------------------------------------------------------------------


def contents_of(path: Path) -> dict[str, Any]:
    """Return all that a written HDF5 file states: attributes, links and values by place."""
    from nwb_ophys.storage import get_backend

    storage, found = get_backend("hdf5"), {}
    with storage.open_root(path) as root:
        for each in storage.objects(root):
            if _OWN.match(each.path):
                continue
            own = {name: v for name, v in each.attributes.items() if name not in _UNUSED}
            if each.path == "":
                own = {}
            values = each.values_hash() if each.is_dataset else None
            found[each.path] = json.loads(json.dumps([own, dict(each.links), each.shape, values]))
    return found


def judged(path: Path, removal: Removal, whole: Any, output: Path) -> tuple[str, list[str]]:
    """Return the class of the consequence of a removal, and what was said or differs.

    The classes are ``refused``, ``unnamed`` for an error that names no file, ``foreign`` for one
    of a library, ``noted``, ``same``, and ``silent`` for a difference without a note.
    """
    contents, notes_before = whole
    removal.apply(path)
    try:
        notes = [note for note in convert(path, None, {}, output) if note not in notes_before]
    except NwbOphysError as error:
        return ("refused" if path.name in str(error) else "unnamed"), [str(error)]
    except Exception as error:
        return "foreign", [repr(error)]
    found = contents_of(output)
    differing = [
        f"{place}: {contents.get(place)} {found.get(place)}"
        for place in sorted({*contents, *found})
        if contents.get(place) != found.get(place)
    ]
    if notes:
        return "noted", notes + differing
    return ("silent", differing) if differing else ("same", [])
