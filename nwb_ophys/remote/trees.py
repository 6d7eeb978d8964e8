"""Listings of folders in stores that are read as a whole, such as the stores of arrays.

A folder with the header of such a store is listed once, with all that lies below it, and its small
objects are fetched together. Without that each look at an object would be a request.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from nwb_ophys.errors import SourceError
from nwb_ophys.remote.answers import seconds_of, tag_of
from nwb_ophys.remote.stores import Store, open_store, retried, store_errors

if TYPE_CHECKING:
    from nwb_ophys.remote.paths import RemotePath

HEADERS = (".zgroup", ".zarray", "zarr.json")
"""Names of objects that make a folder one that is listed as a whole."""

SMALL_BYTES = 1 << 14
"""Size of the largest objects that are fetched with the listing, at most ``MOST_SMALL`` of them."""

MOST_SMALL = 5_000

Facts = tuple[int, int, int]

CHECKED = (*HEADERS, ".zattrs", ".zmetadata")
"""Names of objects at the root of a store that change when it is written."""

_MOST_TREES = 8
# The headers of a listed folder are compared with the listing after this time.
_SECONDS = 5.0
# By the URL of the folder; the last ones.
_TREES: dict[str, Tree] = {}


@attrs.define
class Tree:
    """Objects below a folder, whose paths are relative to it.

    Attributes
    ----------
    files : dict of str to dict of str to tuple of int
        Size, time in ns and tag of the objects in each folder by their names.
    folders : dict of str to set of str
        Names of the folders in each folder.
    small : dict of str to bytes
        Contents of small objects.
    headers : dict of str to object
        Facts about the headers of the folder itself, which change when it is written.
    looked : float
        Time at which these were compared last.
    is_outdated : bool
        Whether an object was found to be another one. Who reads it meanwhile keeps the listing.
    """

    files: dict[str, dict[str, Facts]] = attrs.field(factory=dict)
    folders: dict[str, set[str]] = attrs.field(factory=dict)
    small: dict[str, bytes] = attrs.field(factory=dict)
    headers: dict[str, Any] = attrs.field(factory=dict)
    looked: float = attrs.field(factory=time.monotonic)
    is_outdated: bool = False

    def add(self, place: str, facts: Facts) -> None:
        """Add an object by its path."""
        folder, _, name = place.rpartition("/")
        self.files.setdefault(folder, {})[name] = facts
        while folder:
            above, _, name = folder.rpartition("/")
            inner = self.folders.setdefault(above, set())
            if name in inner:
                return
            inner.add(name)
            folder = above

    def file(self, place: str) -> Facts | None:
        """Return size, time and tag of an object, or None."""
        folder, _, name = place.rpartition("/")
        return self.files.get(folder, {}).get(name)

    def has_folder(self, place: str) -> bool:
        """Return whether there is a folder."""
        return place in self.files or place in self.folders

    def names(self, place: str) -> tuple[frozenset[str], frozenset[str]]:
        """Return the names of the objects and of the folders in a folder."""
        files, folders = self.files.get(place, {}), self.folders.get(place, ())
        return frozenset(files), frozenset(folders)


def tree_of(path: RemotePath) -> tuple[Tree, str] | None:
    """Return the listing that has a path, and the path in it; None where nothing was listed."""
    text = str(path)
    for root, tree in list(_TREES.items()):
        if text == root:
            return tree, ""
        if text.startswith(f"{root}/"):
            return tree, text[len(root) + 1 :]
    return None


def list_tree(path: RemotePath) -> None:
    """List a folder with all that lies below it.

    Raises
    ------
    SourceError
        If the store fails.
    """
    tree, store = listing(path), open_store(path)
    with store_errors(path, SourceError, doing="cannot be listed"):
        _fetch_small(store, tree)
    for old in list(_TREES)[: -_MOST_TREES + 1]:
        _TREES.pop(old, None)
    _TREES[str(path)] = tree


def listing(path: RemotePath) -> Tree:
    """Return a new listing of a folder, without contents of objects.

    Raises
    ------
    SourceError
        If the store fails.
    """
    store = open_store(path)
    with store_errors(path, SourceError, doing="cannot be listed"):
        return _tree(store.path, retried(lambda: store.fs.find(store.path, detail=True)))


def is_current(path: RemotePath, tree: Tree) -> bool:
    """Return whether the headers of a listed folder are as they were, looked at from time to time.

    Raises
    ------
    SourceError
        If the store fails.
    """
    if tree.is_outdated:
        return False
    if time.monotonic() < tree.looked + _SECONDS:
        return True
    store = open_store(path)
    with store_errors(path, SourceError):
        now = {name: store.info(f"{store.path}/{name}") for name in tree.headers}
    tree.looked = time.monotonic()
    return all(info is not None and _facts(info) == tree.headers[n] for n, info in now.items())


def forget(path: RemotePath) -> None:
    """Forget the listings that have a path, or lie below it, after something was written there."""
    for root in list(_TREES):
        if f"{root}/".startswith(f"{path}/") or f"{path}/".startswith(f"{root}/"):
            _TREES.pop(root, None)


def _tree(folder: str, found: Mapping[str, Mapping[str, Any]]) -> Tree:
    tree, start = Tree(), len(folder.lstrip("/")) + 1
    for path, info in found.items():
        place = path.lstrip("/")[start:]
        if not place or place.endswith("/"):  # an object that marks a folder
            continue
        tree.add(place, (int(info["size"]), int(seconds_of(info)) * 10**9, tag_of(info)))
        if place in CHECKED:
            tree.headers[place] = _facts(info)
    return tree


def _facts(info: Mapping[str, Any]) -> Any:
    return info["size"], tag_of(info)


def _fetch_small(store: Store, tree: Tree) -> None:
    """Fetch the small objects of folders with few of them, such as headers and texts."""
    places = [
        f"{folder}/{name}".lstrip("/")
        for folder, files in tree.files.items()
        for name, (size, *_) in files.items()
        if size <= SMALL_BYTES
    ]
    places.sort(key=lambda each: not each.endswith((*HEADERS, ".zattrs")))
    chosen = {f"{store.path}/{place}": place for place in places[:MOST_SMALL]}
    facts = {path: tree.file(place) or (0, 0, 0) for path, place in chosen.items()}
    sizes = {path: size for path, (size, *_) in facts.items()}
    for path, answer in retried(lambda: store.read_all(sizes)).items():
        size, _, tag = facts[path]
        if len(answer.data) == size and answer.is_of(size, tag):
            tree.small[chosen[path]] = answer.data
