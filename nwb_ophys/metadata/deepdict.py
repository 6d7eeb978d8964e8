"""Nested dictionaries, and the rule by which metadata is merged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata.datetimes import without_unset_clocks


class DeepDict(dict[Any, Any]):
    """A dictionary of dictionaries in which an absent key is an empty :class:`DeepDict`.

    ``metadata["Subject"]["subject_id"] = "M7"`` therefore needs no preparation. Mappings that are
    added, also those within lists and tuples, become DeepDicts too; lists are copied, other values
    are kept as they are. A DeepDict equals the plain dictionary with the same content.

    Parameters
    ----------
    *args, **kwargs
        As for :class:`dict`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, _converted(value))

    def __missing__(self, key: Any) -> DeepDict:
        self[key] = DeepDict()
        return super().__getitem__(key)  # type: ignore[no-any-return]

    def __deepcopy__(self, memo: dict[int, Any]) -> DeepDict:
        # pynwb objects, which Ophys["Device"] may hold, lose their identity when deep-copied.
        return DeepDict(self)

    def __reduce__(self) -> tuple[type, tuple[dict[Any, Any]]]:
        return (DeepDict, (self.to_dict(),))

    def __or__(self, other: Any) -> Any:
        return DeepDict(super().__or__(other)) if isinstance(other, dict) else NotImplemented

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self

    def copy(self) -> DeepDict:
        """Return an independent DeepDict with the same content."""
        return DeepDict(self)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set keys as :meth:`dict.update` does, converting mappings to DeepDict."""
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """Return the value of a key, setting it first where absent, as :meth:`dict.setdefault`."""
        if key not in self:
            self[key] = default
        return self[key]

    def deep_update(self, *args: Any, **kwargs: Any) -> None:
        """Fill in another mapping recursively; its values win, and its lists replace lists."""
        for key, value in dict(*args, **kwargs).items():
            if isinstance(value, Mapping) and isinstance(self.get(key), DeepDict):
                self[key].deep_update(value)
            else:
                self[key] = value

    def to_dict(self) -> dict[Any, Any]:
        """Return the same content as plain dictionaries."""
        return {key: _plain(value) for key, value in self.items()}


class FullMetadata(DeepDict):
    """Complete metadata of one conversion, so that nothing is gathered a second time.

    A copy of it is a plain :class:`DeepDict`, because the copy may be edited.

    Attributes
    ----------
    owner : object
        The interface or converter for which the metadata is complete. Another one, such as an
        interface that its owner wraps, fills it with its own.
    composition : Composition or None
        Ownership of the entries by the streams, where the owner is a converter.
    """

    owner: Any = None
    composition: Any = None


def fill_metadata(
    defaults: Mapping[Any, Any], given: Mapping[Any, Any] | None, owner: Any
) -> FullMetadata:
    """Fill the user's metadata with what the files and the defaults state.

    Parameters
    ----------
    defaults, given : Mapping
        See :func:`merge_metadata`.
    owner : object
        See :class:`FullMetadata`.

    Raises
    ------
    MetadataError
        When the user's metadata is not a dictionary.
    """
    if given is not None and not isinstance(given, Mapping):
        raise MetadataError(f"metadata is {given!r}; it must be a dictionary.")
    full = FullMetadata(merge_metadata(defaults, given))
    full.owner = owner
    return full


def unowned(metadata: Any) -> Any:
    """Return metadata that a user gives, which may be edited, so that it is filled again."""
    return metadata.copy() if isinstance(metadata, FullMetadata) else metadata


def merge_metadata(defaults: Mapping[Any, Any], given: Mapping[Any, Any] | None) -> DeepDict:
    """Fill the caller's metadata with defaults, without changing either.

    Parameters
    ----------
    defaults : Mapping
        Values for keys that the caller does not state.
    given : Mapping or None
        The caller's metadata: its values win, recursively; a list replaces a list whole; a value of
        None counts as not given.

    Returns
    -------
    DeepDict
        A new object.
    """
    merged = DeepDict(defaults)
    if given is not None:
        merged.deep_update(_without_none(given))
    return merged


def merge_description(defaults: Mapping[Any, Any], stated: Mapping[Any, Any]) -> DeepDict:
    """Update defaults with the values that a source states, merging lists entry by entry.

    Parameters
    ----------
    defaults : Mapping
        Metadata with one entry per device, plane, series, …
    stated : Mapping
        The same shape, with only the keys that the source states; None counts as not stated, and
        so does the start of a clock that was not set.

    Returns
    -------
    DeepDict
        A new object.
    """
    return _merged(DeepDict(defaults), _without_none(without_unset_clocks(stated)))


def _merged(defaults: Mapping[Any, Any], stated: Mapping[Any, Any]) -> DeepDict:
    merged = DeepDict(defaults)
    for key, value in stated.items():
        merged[key] = _described(merged.get(key), value)
    return merged


def _described(default: Any, stated: Any) -> Any:
    if isinstance(default, Mapping) and isinstance(stated, Mapping):
        return _merged(default, stated)
    entries = isinstance(default, list) and isinstance(stated, list)
    if entries and len(default) == len(stated) and all(isinstance(e, Mapping) for e in stated):
        return [_merged(old, new) for old, new in zip(default, stated, strict=True)]
    return stated


def _converted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return DeepDict(value)
    if isinstance(value, list):
        return [_converted(item) for item in value]
    if type(value) is tuple:
        return tuple(_converted(item) for item in value)
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if type(value) is tuple:
        return tuple(_plain(item) for item in value)
    return value


def _without_none(value: Any) -> Any:
    """Drop keys whose value is None, at every depth: None counts as not stated."""
    if isinstance(value, Mapping):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_none(item) for item in value]
    if type(value) is tuple:
        return tuple(_without_none(item) for item in value)
    return value
