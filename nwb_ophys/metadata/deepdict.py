"""Nested dictionaries of metadata."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from nwb_ophys.dtypes import PLAIN_CLASSES


class DeepDict(dict[Any, Any]):
    """A dictionary of dictionaries in which an absent key is an empty :class:`DeepDict`.

    ``metadata["Subject"]["subject_id"] = "M7"`` therefore needs no preparation. Mappings that are
    added, also those within lists and tuples, become DeepDicts too; lists are copied, other values
    are kept as they are. A DeepDict equals the plain dictionary with the same content.

    Parameters
    ----------
    *args, **kwargs
        As for :class:`dict`.

    Attributes
    ----------
    links : frozenset of (str, int)
        Category and index of the entries whose ``imaging_plane`` the user set alone, so that it
        means a plane of the file where the file has one of that name. A copy does not know them.
    implied_links : frozenset of (str, int)
        The same of entries that the user gave whole, but without any imaging plane.
    """

    links: frozenset[tuple[str, int]] = frozenset()
    implied_links: frozenset[tuple[str, int]] = frozenset()

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
    stated : Mapping
        The metadata without the user's: that of the files and the defaults.
    joins : object
        The ``NWBFile`` that the names fit; None before they were compared with those of a file.
    """

    owner: Any = None
    composition: Any = None
    stated: Mapping[Any, Any] = MappingProxyType({})
    joins: Any = None

    def keep_origin(self, stated: Mapping[Any, Any], given: Mapping[Any, Any] | None) -> None:
        """Keep the metadata without the user's, and the links that the user's name alone."""
        self.stated = stated
        self.links = getattr(given, "links", self.links)
        known = getattr(given, "implied_links", self.implied_links)
        self.implied_links = known | implied_links(given or {})

    def twin(self) -> FullMetadata:
        """Return an independent copy for the same owner."""
        other = FullMetadata(self)
        vars(other).update(vars(self))
        return other


def implied_links(given: Mapping[Any, Any]) -> frozenset[tuple[str, int]]:
    """Return the entries that a user links to a plane without describing any plane.

    Parameters
    ----------
    given : Mapping
        Metadata of a user.

    Returns
    -------
    frozenset of (str, int)
        Category and index of each entry.
    """
    ophys = given.get("Ophys")
    if not isinstance(ophys, Mapping) or ophys.get("ImagingPlane"):
        return frozenset()
    inner = ophys.get("ImageSegmentation")
    lists = {**ophys, **(inner if isinstance(inner, Mapping) else {})}
    return frozenset(
        (key, index)
        for key, entries in lists.items()
        for index, entry in enumerate(entries if isinstance(entries, (list, tuple)) else ())
        if isinstance(entry, Mapping) and entry.get("imaging_plane")
    )


def unowned(metadata: Any) -> Any:
    """Return metadata that a user gives, which may be edited, so that it is filled again."""
    return metadata.copy() if isinstance(metadata, FullMetadata) else metadata


def _converted(value: Any) -> Any:
    if type(value) in PLAIN_CLASSES:
        return value
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
