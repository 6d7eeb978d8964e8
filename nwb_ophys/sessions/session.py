"""One session of a batch: what its conversion needs, and where each value is stated."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from nwb_ophys.storage.backends.registry import DEFAULT_BACKEND, NWB_SUFFIXES, suffix_of

OUTPUTS = (".nwb", ".zarr")
"""Suffixes of the names of NWB files."""
# No format is searched for in NWB files of a folder, and none is in the pages of reports.
RESULTS = (*(each for each in NWB_SUFFIXES if "nwb" in each), ".html")
"""Suffixes of what runs write, which is no source in the folder of a recording."""


def leaves(given: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values in nested dictionaries with their dotted keys.

    Parameters
    ----------
    given : Mapping
    prefix : str
        Beginning of each key, with a dot at its end.
    """
    for key, value in given.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


@attrs.frozen(kw_only=True)
class Session:
    """A session of a batch; plain values only, so that other processes and machines can take it.

    Attributes
    ----------
    key : str
        Name in tables and of the state, such as ``M7/day1``; unlike all others of the batch.
    paths : tuple of str
        Files and folders of the recording, whole paths or URLs.
    formats : tuple of str
        Names of the formats; empty to detect them.
    streams : Mapping of str to (str, Mapping)
        Class and source arguments of each stream, where the specification names them; then no
        format is detected.
    options : Mapping
        Source arguments and conversion options by name; with ``streams``, options by stream.
    clocks : Mapping
        Arguments of :func:`nwb_ophys.opening.apply_times`.
    beside : tuple of str
        Files of these.
    metadata : Mapping
        Metadata that the specification gives, without that of the files.
    edits : Mapping of str to str
        Single values of metadata as texts by their dotted keys.
    output : str
        Path of the file, or the folder in which it gets the name of the DANDI archive.
    is_named_for_dandi : bool
        Whether ``output`` is a folder.
    settings : Mapping
        Settings of the write, such as ``backend``.
    fields : Mapping of str to str
        Texts of the fields of the pattern or the columns of the table.
    origins : Mapping of str to str
        Where each value is stated, in words, by its dotted key.
    faults : tuple of str
        Reasons, found beforehand, for which it cannot be converted.
    """

    key: str
    paths: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    streams: Mapping[str, tuple[str, Mapping[str, Any]]] = attrs.field(factory=dict)
    options: Mapping[str, Any] = attrs.field(factory=dict)
    clocks: Mapping[str, Any] = attrs.field(factory=dict)
    beside: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    edits: Mapping[str, str] = attrs.field(factory=dict)
    output: str
    is_named_for_dandi: bool = False
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    fields: Mapping[str, str] = attrs.field(factory=dict)
    origins: Mapping[str, str] = attrs.field(factory=dict)
    faults: tuple[str, ...] = ()

    def stated(self, section: str, key: str) -> str | None:
        """Return a value of metadata that the specification gives, as a text; None without it."""
        dotted = self.edits.get(f"{section}.{key}")
        if dotted is not None:
            return dotted
        value = (self.metadata.get(section) or {}).get(key)
        return None if value is None else str(value)

    @property
    def suffix(self) -> str:
        """Suffix of the file where DANDI's rules name it."""
        return suffix_of(self.settings.get("backend") or DEFAULT_BACKEND)

    @property
    def shown_output(self) -> str:
        """Path of the file, or its beginning where its whole name follows from its contents."""
        if not self.is_named_for_dandi:
            return self.output
        from nwb_ophys.errors import MetadataError
        from nwb_ophys.metadata.dandi_names import dandi_path

        subject, session = (
            self.stated("Subject", "subject_id"),
            self.stated("NWBFile", "session_id"),
        )
        try:
            name = dandi_path(subject, session, modalities=(), suffix="")
        except MetadataError:
            return f"{self.output}/…"
        part = "" if session else "_ses-…"
        return f"{self.output.rstrip(os.sep)}{os.sep}{name}{part}_ophys{self.suffix}"


@attrs.frozen(kw_only=True)
class Share:
    """Part of a machine that one session may use.

    Attributes
    ----------
    workers : int or None
        Threads that read and compress; None for one per core.
    buffer_gb : float or None
        Memory for data being read and compressed, in GB; None for the usual one.
    overwrite : bool
        Whether files may be replaced that no run of this batch wrote.
    """

    workers: int | None = None
    buffer_gb: float | None = None
    overwrite: bool = False
