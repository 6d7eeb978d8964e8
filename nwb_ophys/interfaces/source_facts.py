"""Facts on the sources of a conversion, by which a later run recognises the same conversion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import ArgumentError
from nwb_ophys.interfaces.made_from import paths_of
from nwb_ophys.remote.paths import RemotePath
from nwb_ophys.storage.identity import (
    UnknownSourceError,
    file_facts,
    is_within,
    origins_of,
    text_of,
)

# A file beside a source that has its name may belong to it, unless it is a converted file.
_CONVERTED = (".nwb", ".zarr")


def source_facts(source: Any, options: Mapping[str, Any], target: Path) -> dict[str, str]:
    """Return facts on the arguments, the options and the files of all streams.

    Parameters
    ----------
    source : Convertible
        An interface or a converter.
    options : Mapping of str to object
        Conversion options: by name for an interface, by stream for a converter.
    target : pathlib.Path
        The file that is written, which may lie beside the sources.

    Raises
    ------
    UnknownSourceError
        If it is not known which files a stream is read from.
    """
    found: dict[str, str] = {}
    for name, interface in _streams(source):
        found[f"the class of the stream '{name}'"] = type(interface).__qualname__
        for argument, value in _arguments(interface):
            found[f"{argument} of the stream '{name}'"] = text_of(value)
        found |= file_facts(_files(name, interface), without=target)
    for name, value in options.items():
        found[f"the option '{name}'"] = text_of(value)
    return found


def check_other_sources(source: Any, target: Path, *, in_place: bool) -> None:
    """Check that no stream is read from the file that is replaced, or changed in its place.

    Parameters
    ----------
    source : Convertible
        An interface or a converter.
    target : pathlib.Path
        Links followed, or that of a URL.
    in_place : bool
        Whether it is changed in its place; otherwise it is replaced.

    Raises
    ------
    ArgumentError
        If one is; names it.
    """
    if not (isinstance(target, RemotePath) or target.exists()):
        return
    for name, interface in _streams(source):
        if any(is_within(path, target) for path in _known_files(interface)):
            reason = (
                "cannot be changed in its place meanwhile; leave out in_place=True, so that a copy "
                "is appended to"
                if in_place
                else "would be lost with all that a conversion does not copy; choose another name "
                "for the output"
            )
            raise ArgumentError(f"The stream '{name}' is read from '{target}', which {reason}.")


def _known_files(interface: Any) -> set[Path]:
    """Return the files and folders of a stream as far as they are known, links followed."""
    files, _ = origins_of(getattr(interface, "extractor", None))
    stated, _ = origins_of(dict(_arguments(interface)))
    return {path.resolve() for path in [*files, *stated, *paths_of(interface)]}


def _streams(source: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    interfaces = getattr(source, "interfaces", None)
    if interfaces is None:
        yield path or type(source).__name__, source
        return
    for name, interface in interfaces.items():
        yield from _streams(interface, f"{path}/{name}" if path else name)


def _arguments(interface: Any) -> Iterator[tuple[str, Any]]:
    source: Any = getattr(interface, "source", None)
    cls: Any = type(source)
    if attrs.has(cls):
        for field in attrs.fields(cls):
            yield field.name, getattr(source, field.name)
    else:  # an interface of another package
        yield from dict(getattr(interface, "source_data", None) or {}).items()


def _files(name: str, interface: Any) -> list[Path]:
    """Return the files and folders of a stream, with files of the same name beside them."""
    files, arrays = origins_of(getattr(interface, "extractor", None))
    stated, in_arguments = origins_of(dict(_arguments(interface)))
    found = {path.resolve() for path in [*files, *stated, *paths_of(interface)]}
    if not (found or arrays or in_arguments):
        raise UnknownSourceError(f"the files of the stream '{name}' are not known.")
    beside = {near for path in found if path.is_file() for near in _beside(path)}
    folders = {path if path.is_dir() else path.parent for path in found}
    opened = {path for path in _opened(interface) if not folders.isdisjoint(path.parents)}
    return sorted(found | beside | opened)


def _opened(interface: Any) -> Iterator[Path]:
    """Yield the files that were opened with the interface."""
    witness = getattr(interface, "witness", None)
    for name in getattr(witness, "opened", ()):
        path = Path(name).absolute()
        if path.is_file():
            yield path.resolve()


def _beside(path: Path) -> Iterator[Path]:
    stem = path.name.partition(".")[0]
    for near in path.parent.glob(f"{_literal(stem)}.*"):
        if near.is_file() and not near.name.endswith(_CONVERTED):
            yield near


def _literal(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
