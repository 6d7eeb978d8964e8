"""Places in headers of several kinds: XML, JSON, HDF5, MATLAB, NumPy and the tags of TIFF files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import attrs
import h5py
import numpy as np
import scipy.io
import tifffile


def only(folder: Path, pattern: str) -> Path:
    """Return the first file of a pattern."""
    return sorted(folder.glob(pattern))[0]


@attrs.frozen
class XmlAttribute:
    """Attribute of the first element, or of all elements, of an XML file."""

    pattern: str
    xpath: str
    name: str
    everywhere: bool = False

    def _found(self, root: Any) -> list[Any]:
        found = [root] if self.xpath == "." else root.findall(self.xpath)
        return found if self.everywhere else found[:1]

    def get(self, folder: Path) -> Any:
        """Return the value of the first element."""
        root = ElementTree.parse(only(folder, self.pattern)).getroot()
        return self._found(root)[0].get(self.name)

    def put(self, folder: Path, value: Any) -> None:
        """Replace the value."""
        path = only(folder, self.pattern)
        tree = ElementTree.parse(path)
        for element in self._found(tree.getroot()):
            if value is None:
                element.attrib.pop(self.name, None)
            else:
                element.set(self.name, value)
        tree.write(path, encoding="utf-8", xml_declaration=True)


@attrs.frozen
class JsonKey:
    """Value in a JSON file, by the keys that lead to it."""

    pattern: str
    keys: tuple[str, ...]

    def get(self, folder: Path) -> Any:
        """Return the value; None if it is absent."""
        return dig(json.loads(only(folder, self.pattern).read_text()), self.keys)

    def put(self, folder: Path, value: Any) -> None:
        """Replace the value."""
        path = only(folder, self.pattern)
        path.write_text(json.dumps(changed(json.loads(path.read_text()), self.keys, value)))


def dig(content: Any, keys: Sequence[str]) -> Any:
    """Return the value that keys lead to; None if it is absent."""
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content


def changed(content: Any, keys: Sequence[str], value: Any) -> dict[str, Any]:
    """Return JSON with another value; None removes it."""
    first, *rest = keys
    result = dict(content) if isinstance(content, dict) else {}
    if rest:
        result[first] = changed(result.get(first), rest, value)
    elif value is None:
        result.pop(first, None)
    else:
        result[first] = value
    return result


@attrs.frozen
class Hdf5Attribute:
    """Attribute of a group or a dataset of an HDF5 file."""

    pattern: str
    item: str
    name: str
    encode: Callable[[Any], Any] = lambda value: value
    decode: Callable[[Any], Any] = lambda value: value

    def get(self, folder: Path) -> Any:
        """Return the value; None if it is absent."""
        with h5py.File(only(folder, self.pattern), "r") as file:
            value = file[self.item].attrs.get(self.name)
            return None if value is None else self.decode(value)

    def put(self, folder: Path, value: Any) -> None:
        """Replace the value."""
        with h5py.File(only(folder, self.pattern), "r+") as file:
            attributes = file[self.item].attrs
            if self.name in attributes:
                del attributes[self.name]
            if value is not None:
                attributes[self.name] = self.encode(value)


@attrs.frozen
class Hdf5Dataset:
    """Scalar dataset of an HDF5 file, or one element of a dataset."""

    pattern: str
    item: str
    index: tuple[int, ...] = ()

    def get(self, folder: Path) -> Any:
        """Return the value; None if it is absent."""
        with h5py.File(only(folder, self.pattern), "r") as file:
            if self.item not in file:
                return None
            value = np.asarray(file[self.item][()])[self.index]
            return value.decode() if isinstance(value, bytes) else np.asarray(value).item()

    def put(self, folder: Path, value: Any) -> None:
        """Replace the value, also by one of another type."""
        with h5py.File(only(folder, self.pattern), "r+") as file:
            if self.index and value is not None:
                file[self.item][self.index] = value
                return
            attributes = dict(file[self.item].attrs)
            del file[self.item]
            if value is not None:
                file[self.item] = value
                file[self.item].attrs.update(attributes)


@attrs.frozen
class MatlabField:
    """Field of the structs of a MATLAB file of version 5, by the names that lead to it."""

    pattern: str
    keys: tuple[str | int, ...]

    def get(self, folder: Path) -> Any:
        """Return the value; None if it is absent."""
        value: Any = self._load(only(folder, self.pattern))
        for key in self.keys:
            if isinstance(key, int):
                value = np.atleast_1d(value)[key]
            elif isinstance(value, dict):
                value = value.get(key)
            else:
                value = value[key]
        return value.item() if isinstance(value, np.generic) else value

    def put(self, folder: Path, value: Any) -> None:
        """Replace the value."""
        path = only(folder, self.pattern)
        scipy.io.savemat(path, _with(self._load(path), self.keys, value), oned_as="row")

    @staticmethod
    def _load(path: Path) -> dict[str, Any]:
        found = scipy.io.loadmat(path, simplify_cells=True)
        return {key: value for key, value in found.items() if not key.startswith("__")}


def _with(content: Any, keys: Sequence[str | int], value: Any) -> Any:
    first, *rest = keys
    if isinstance(first, int):
        parts = list(np.atleast_1d(content))
        parts[first] = _with(parts[first], rest, value) if rest else value
        if isinstance(parts[0], dict):
            table = np.empty(len(parts), dtype=[(name, object) for name in parts[0]])
            for index, part in enumerate(parts):
                table[index] = tuple(part.get(name, np.zeros((0, 0))) for name in parts[0])
            return table
        return np.asarray(parts)
    result = dict(content)
    if rest:
        result[first] = _with(result[first], rest, value)
    elif value is None:
        result.pop(first)
    else:
        result[first] = value
    return result


@attrs.frozen
class NumpyKey:
    """Key of the dictionary in a ``.npy`` file."""

    pattern: str
    key: str

    def get(self, folder: Path) -> Any:
        """Return the value; None if it is absent."""
        return np.load(only(folder, self.pattern), allow_pickle=True).item().get(self.key)

    def put(self, folder: Path, value: Any) -> None:
        """Replace the value."""
        path = only(folder, self.pattern)
        content = np.load(path, allow_pickle=True).item()
        content[self.key] = value
        if value is None:
            del content[self.key]
        np.save(path, content, allow_pickle=True)


@attrs.frozen
class TextLine:
    """Value after a name in the text of a file, on a line of its own."""

    pattern: str
    expression: str
    """Regular expression with the groups ``before`` and ``value``; `before` stays."""
    read: Callable[[Path], str]
    write: Callable[[Path, Callable[[str], str]], None]

    def get(self, folder: Path) -> Any:
        """Return the value; None if the line is absent."""
        match = re.search(self.expression, self.read(only(folder, self.pattern)), re.MULTILINE)
        return match["value"] if match else None

    def put(self, folder: Path, value: Any) -> None:
        """Replace the value; None removes the line."""

        def replace(match: re.Match[str]) -> str:
            return "" if value is None else match["before"] + value

        def change(text: str) -> str:
            return re.sub(self.expression, replace, text, flags=re.MULTILINE)

        self.write(only(folder, self.pattern), change)


def read_text(path: Path) -> str:
    """Return the text of a file."""
    return path.read_text(encoding="utf-8")


def write_text(path: Path, change: Callable[[str], str]) -> None:
    """Change the text of a file."""
    path.write_text(change(read_text(path)), encoding="utf-8")


def read_description(path: Path) -> str:
    """Return the image description of the first page of a TIFF file."""
    with tifffile.TiffFile(path) as tiff:
        return str(tiff.pages[0].description)


def write_descriptions(path: Path, change: Callable[[str], str]) -> None:
    """Write a TIFF file again, with other image descriptions on all pages."""
    with tifffile.TiffFile(path, is_scanimage=False) as tiff:
        pages = [(page.asarray(), str(page.aspage().description)) for page in tiff.pages]
    with tifffile.TiffWriter(path) as writer:
        for pixels, text in pages:
            writer.write(
                pixels,
                description=change(text).encode(),
                metadata=None,
                contiguous=False,
                software=None,
                photometric="minisblack",
            )


@attrs.frozen
class ScanImageProperty:
    """Property in the block of text before the first page, whose length must not change.

    The commit of the program, 40 digits of no meaning here, grows or shrinks to make room.
    """

    pattern: str
    name: str

    def _line(self) -> re.Pattern[bytes]:
        return re.compile(rb"^SI\." + re.escape(self.name).encode() + rb" = (.*)\n", re.MULTILINE)

    def get(self, folder: Path) -> Any:
        """Return the text of the value; None if the property is absent."""
        match = self._line().search(only(folder, self.pattern).read_bytes())
        return match[1].decode() if match else None

    def put(self, folder: Path, value: Any) -> None:
        """Replace the text of the value."""
        path = only(folder, self.pattern)
        content = path.read_bytes()
        line = b"" if value is None else f"SI.{self.name} = {value}\n".encode()
        changed_content = self._line().sub(lambda _: line, content, count=1)
        spare = len(content) - len(changed_content)
        match = re.search(rb"VERSION_COMMIT = '?(0+)", changed_content)
        assert match is not None
        assert len(match[1]) + spare > 0
        filled = b"0" * (len(match[1]) + spare)
        path.write_bytes(
            changed_content[: match.start(1)] + filled + changed_content[match.end(1) :]
        )


@attrs.frozen
class PageText:
    """Value in the image description of one page of a TIFF file."""

    pattern: str
    page: int
    name: str

    def get(self, folder: Path) -> Any:
        """Return the text of the value; None if it is absent."""
        with tifffile.TiffFile(only(folder, self.pattern)) as tiff:
            text = str(tiff.pages[self.page].aspage().description)
        match = re.search(rf"^{re.escape(self.name)} = (.*)$", text, re.MULTILINE)
        return match[1].strip() if match else None

    def put(self, folder: Path, value: Any) -> None:
        """Replace the text of the value."""
        with tifffile.TiffFile(only(folder, self.pattern), mode="r+") as tiff:
            tag = tiff.pages[self.page].aspage().tags[270]
            line = "" if value is None else f"{self.name} = {value}\n"
            expression = rf"^{re.escape(self.name)} = .*\n"
            text = re.sub(expression, lambda _: line, str(tag.value), flags=re.MULTILINE)
            tag.overwrite(text.encode(), dtype=2)
