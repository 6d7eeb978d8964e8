"""Opening of the sources of a conversion in another process, from the arguments of its interfaces.

No extractor travels, since it may have files open. An interface is made again from its class and
its arguments, and the conversion is prepared again from the same metadata and options.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import attrs
import numpy as np

from nwb_ophys.errors import ArgumentError, SourceError
from nwb_ophys.home import with_home
from nwb_ophys.interfaces.closing import close_all, empty
from nwb_ophys.interfaces.reopenable import Reopenable
from nwb_ophys.interfaces.source_facts import source_facts
from nwb_ophys.interfaces.witness import Witness, note_elsewhere, witnessed
from nwb_ophys.storage.identity import UnknownSourceError
from nwb_ophys.storage.planning import sources_of
from nwb_ophys.storage.sources import Source
from nwb_ophys.timing import times_follow

# Another process gets the arguments; arrays in memory do not belong there.
_LARGEST_ARRAY = 1_000_000


class Remaking(Protocol):
    """Makes an interface or a converter again."""

    def make(self) -> Any:
        """Return it, with its files open."""


@attrs.frozen(kw_only=True)
class InterfaceRemaking:
    """Makes an interface of another package again.

    Attributes
    ----------
    cls : type
    arguments : Mapping
        Source arguments; interfaces among them are made again, too.
    times : numpy.ndarray or None
        Times of the samples that the user has set.
    """

    cls: type
    arguments: Mapping[str, Any]
    times: Any = None

    def make(self) -> Any:
        """Return the interface."""
        given = {
            name: value.make() if isinstance(value, (InterfaceRemaking, OwnRemaking)) else value
            for name, value in self.arguments.items()
        }
        with times_follow(self.times is not None):
            made = self.cls(**given)
        if self.times is not None:
            made.set_aligned_timestamps(self.times)
        return made


@attrs.frozen(kw_only=True)
class OwnRemaking:
    """Makes an interface of this package again, as unpickling does.

    Attributes
    ----------
    cls : type
    state : Mapping
        Everything but what is opened.
    """

    cls: type
    state: Mapping[str, Any]

    def make(self) -> Any:
        """Return the interface."""
        made: Any = object.__new__(self.cls)
        made.__setstate__(self.state)
        return made


@attrs.frozen(kw_only=True)
class ConverterRemaking:
    """Makes a converter again, with all its streams.

    Attributes
    ----------
    cls : type
    streams : Mapping of str to Remaking
    state : Mapping
        Its other attributes.
    """

    cls: type
    streams: Mapping[str, Remaking]
    state: Mapping[str, Any]

    def make(self) -> Any:
        """Return the converter."""
        made: Any = object.__new__(self.cls)
        interfaces: dict[str, Any] = {}
        try:
            for name, stream in self.streams.items():
                interfaces[name] = stream.make()
        except BaseException:
            close_all(interfaces.values())
            raise
        vars(made).update(self.state)
        vars(made)["interfaces"] = interfaces
        return made


def remaking_of(source: Any, name: str = "") -> Remaking:
    """Return what another process needs to make an interface or a converter again.

    Parameters
    ----------
    source : object
        Interface or converter of this package, or an interface of another one.
    name : str
        Name of the stream, for messages.

    Raises
    ------
    ArgumentError
        If it cannot be made from its arguments alone.
    """
    streams = getattr(source, "interfaces", None)
    if isinstance(streams, Mapping):
        state = {key: value for key, value in vars(source).items() if key != "interfaces"}
        made = {key: remaking_of(each, key) for key, each in streams.items()}
        return ConverterRemaking(cls=type(source), streams=made, state=state)
    stream = f"The stream '{name}'" if name else "The source"
    if hasattr(source, "extractor") and source.extractor is not getattr(source, "_as_opened", None):
        raise ArgumentError(
            f"{stream} has another extractor than the one that it opened; the workers of a "
            "cluster open the files themselves. Leave out cluster=, or write an interface that "
            "opens the data in this way."
        )
    arguments = {key: _sendable(value, key, stream) for key, value in _arguments(source, stream)}
    if isinstance(source, Reopenable):
        return OwnRemaking(cls=type(source), state=source.__getstate__())
    times = source.get_timestamps() if getattr(source, "times_are_set", False) else None
    return InterfaceRemaking(cls=type(source), arguments=arguments, times=times)


def _arguments(source: Any, stream: str) -> list[tuple[str, Any]]:
    own: Any = getattr(source, "source", None)
    if attrs.has(type(own)):
        given = attrs.asdict(own, recurse=False)
        allowed = list(getattr(source, "allow_outside", ()))
        given |= {"allow_outside": allowed} if allowed else {}
    elif isinstance(getattr(source, "source_data", None), Mapping):  # of another package
        given = dict(source.source_data)
    else:
        raise ArgumentError(
            f"{stream} is a {type(source).__name__}, which does not state its arguments, so that "
            "the workers of a cluster cannot open it; leave out cluster=."
        )
    return [(key, value) for key, value in given.items() if value is not None]


def _sendable(value: Any, name: str, stream: str) -> Any:
    if attrs.has(type(getattr(value, "source", None))):  # an interface within another one
        return remaking_of(value, name)
    if isinstance(value, np.ndarray) and value.nbytes > _LARGEST_ARRAY:
        raise ArgumentError(
            f"{stream} has an array of {value.nbytes / 1e6:,.0f} MB in memory as its argument "
            f"{name}, which the workers of a cluster cannot read; save it to a file."
        )
    if isinstance(value, Path):  # another process works in another folder
        return with_home(value).absolute()
    if isinstance(value, (list, tuple)):
        return type(value)(_sendable(each, name, stream) for each in value)
    return value


class OpenedConversion:
    """Sources of a conversion that another process has opened.

    Parameters
    ----------
    source : Convertible
    nwbfile : pynwb.NWBFile
        With everything in it.
    """

    def __init__(self, source: Any, nwbfile: Any) -> None:
        self._source, self._nwbfile = source, nwbfile
        self.sources: Mapping[str, Source] = sources_of(nwbfile)

    def watched(self) -> AbstractContextManager[Witness]:
        """Note files that are opened and warnings within the block."""
        return witnessed()

    def close(self) -> None:
        """Close the files of all streams."""
        self.sources = {}
        empty(self._nwbfile)
        close_all([self._source])
        self._source = self._nwbfile = None


@attrs.frozen(kw_only=True)
class ConversionOpener:
    """Opens the sources of a conversion in another process.

    Attributes
    ----------
    remaking : Remaking
    metadata : Mapping or None
        As the user gave it.
    options : Mapping
        Conversion options.
    facts : Mapping of str to str
        Facts on the sources, which must be the same there.
    target : pathlib.Path
        The file that is written.
    """

    remaking: Remaking
    metadata: Mapping[str, Any] | None
    options: Mapping[str, Any]
    facts: Mapping[str, str]
    target: Path

    def open(self) -> OpenedConversion:
        """Open the sources, and check that size and time of their files are the same.

        Raises
        ------
        SourceError
            If they are not; names the file.
        """
        source = self.remaking.make()
        try:
            _check_facts(self.facts, source_facts(source, self.options, self.target))
            return OpenedConversion(source, source.create_nwbfile(self.metadata, self.options))
        except BaseException:
            close_all([source])
            raise

    def report(self, opened: frozenset[str], notes: Sequence[str]) -> None:
        """Note the files that another process opened, and give its warnings here."""
        note_elsewhere(opened)
        for note in notes:
            warnings.warn(note, UserWarning, stacklevel=2)


def _check_facts(wanted: Mapping[str, str], found: Mapping[str, str]) -> None:
    for name in {**wanted, **found}:
        here, there = wanted.get(name, "absent"), found.get(name, "absent")
        if here != there:
            raise SourceError(
                f"{name} is {there} there, but {here} for the program that writes the file; all "
                "machines need the same source files."
            )


def opener_of(
    source: Any, metadata: Any, options: Mapping[str, Any], target: Path
) -> ConversionOpener:
    """Return the opener of a conversion, for other processes.

    Parameters
    ----------
    source : Convertible
        An interface or a converter.
    metadata : Mapping or None
        As the user gave it.
    options : Mapping
        Conversion options.
    target : pathlib.Path
        The file that is written.

    Raises
    ------
    ArgumentError
        If another process cannot open the sources.
    """
    try:
        facts = source_facts(source, options, target)
    except UnknownSourceError as error:
        raise ArgumentError(
            f"A cluster cannot be used, since {str(error).rstrip('.')}; leave out cluster=."
        ) from error
    remaking = remaking_of(source)
    return ConversionOpener(
        remaking=remaking, metadata=metadata, options=options, facts=facts, target=target
    )
