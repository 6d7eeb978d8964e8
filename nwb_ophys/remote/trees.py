"""Listings of folders in stores, each made once while a recording in them is read.

A folder that the user gives is listed when it is first looked at, and so is each folder in it. A
folder with the header of a store of arrays is listed with all that lies below it, and its small
objects are fetched together. Without that each look at an object would be a request.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from nwb_ophys.errors import SourceError
from nwb_ophys.remote.answers import number_of, seconds_of, version_in
from nwb_ophys.remote.stores import Store, open_store, retried, store_errors

if TYPE_CHECKING:
    from nwb_ophys.remote.paths import RemotePath

HEADERS = (".zgroup", ".zarray", "zarr.json")
"""Names of objects that make a folder one that is listed as a whole."""

# Names of folders that are such stores, most likely.
_ENDING = ".zarr"

SMALL_BYTES = 1 << 14
"""Size of the largest objects that are fetched with the listing, at most ``MOST_SMALL`` of them."""

MOST_SMALL = 5_000

Facts = tuple[int, int, str]
"""Size, time in ns and version of an object."""

CHECKED = (*HEADERS, ".zattrs", ".zmetadata")
"""Names of objects at the root of a store that change when it is written."""

MOST_TREES, MOST_OBJECTS = 64, 2_000_000
"""Listings that are kept, the last ones, and objects in all of them."""

# A listing is made again after this time, or after this many times what it took.
_SECONDS, _TIMES = 5.0, 20
# By the URL of the folder; the last ones.
_TREES: dict[str, Tree] = {}
_LOCK = threading.RLock()


@attrs.define(eq=False)
class Tree:
    """Objects below a folder, whose paths are relative to it.

    Attributes
    ----------
    files : dict of str to dict of str to tuple
        Size, time in ns and version of the objects in each folder by their names.
    folders : dict of str to set of str
        Names of the folders in each folder.
    listed : set of str
        Folders that were listed.
    whole : set of str
        Folders that were listed with all that lies below them.
    small : dict of str to bytes
        Contents of small objects.
    headers : dict of str to object
        Facts about the headers of the folder itself, which change when it is written.
    looked : float
        Time at which these were compared last, or at which something was listed.
    seconds : float
        Time that the listings took.
    is_outdated : bool
        Whether an object was found to be another one. Who reads it meanwhile keeps the listing.
    """

    files: dict[str, dict[str, Facts]] = attrs.field(factory=dict)
    folders: dict[str, set[str]] = attrs.field(factory=dict)
    listed: set[str] = attrs.field(factory=set)
    whole: set[str] = attrs.field(factory=set)
    small: dict[str, bytes] = attrs.field(factory=dict)
    headers: dict[str, Any] = attrs.field(factory=dict)
    looked: float = attrs.field(factory=time.monotonic)
    seconds: float = 0.0
    is_outdated: bool = False
    lock: Any = attrs.field(factory=threading.RLock, repr=False)

    def add(self, place: str, facts: Facts) -> None:
        """Add an object by its path."""
        folder, _, name = place.rpartition("/")
        self.files.setdefault(folder, {})[name] = facts
        self.add_folder(folder)

    def add_folder(self, folder: str) -> None:
        """Add a folder, and those around it."""
        while folder:
            above, _, name = folder.rpartition("/")
            inner = self.folders.setdefault(above, set())
            if name in inner:
                return
            inner.add(name)
            folder = above

    def file(self, place: str) -> Facts | None:
        """Return size, time and version of an object, or None."""
        folder, _, name = place.rpartition("/")
        return self.files.get(folder, {}).get(name)

    def has_folder(self, place: str) -> bool:
        """Return whether there is a folder."""
        above, _, name = place.rpartition("/")
        return not place or name in self.folders.get(above, ())

    def names(self, place: str) -> tuple[frozenset[str], frozenset[str]]:
        """Return the names of the objects and of the folders in a folder."""
        files, folders = self.files.get(place, {}), self.folders.get(place, ())
        return frozenset(files), frozenset(folders)

    def sizes(self, place: str) -> dict[str, int]:
        """Return the sizes of the objects in a folder by their names."""
        return {name: size for name, (size, *_) in self.files.get(place, {}).items()}

    def whole_around(self, place: str) -> str | None:
        """Return the folder around a place that was listed with all that lies below it."""
        while place not in self.whole:
            if not place:
                return None
            place = place.rpartition("/")[0]
        return place

    def below(self, place: str) -> Iterator[str]:
        """Yield a folder and all folders below it that are known."""
        yield place
        for name in sorted(self.folders.get(place, ())):
            yield from self.below(f"{place}/{name}".lstrip("/"))


def tree_of(path: RemotePath) -> tuple[Tree, str] | None:
    """Return the listing that has a path, and the path in it; None where nothing was listed."""
    text = str(path)
    found = None
    for root, tree in list(_TREES.items()):
        is_in = text == root or text.startswith(f"{root}/")
        if is_in and (found is None or len(root) > len(found[0])):
            found = root, tree
    return None if found is None else (found[1], text[len(found[0]) + 1 :])


def root_of(path: RemotePath, place: str) -> RemotePath:
    """Return the folder of a listing, from a path and the path in the listing."""
    return path.parents[place.count("/")] if place else path


def begin_tree(path: RemotePath, own: Tree | None = None) -> Tree:
    """List a folder; those in it are listed when they are looked at.

    Parameters
    ----------
    path : RemotePath
    own : Tree, optional
        A listing of the folder alone, which was made a moment ago.

    Raises
    ------
    SourceError
        If the store fails.
    """
    tree = Tree()
    with _LOCK:
        for root in [each for each in _TREES if f"{each}/".startswith(f"{path}/")]:
            _TREES.pop(root, None)
        _TREES[str(path)] = tree
    try:
        with tree.lock:
            _list(path, tree, "", own)
    except BaseException:
        _drop(path, tree)
        raise
    _keep_few()
    return tree


def _drop(path: RemotePath, tree: Tree) -> None:
    with _LOCK:
        if _TREES.get(str(path)) is tree:
            _TREES.pop(str(path))


def _keep_few() -> None:
    """Forget the oldest listings where there are many, or where they have many objects."""
    with _LOCK:
        sizes = {root: sum(map(len, each.files.values())) for root, each in _TREES.items()}
        total = sum(sizes.values())
        for root in list(_TREES)[:-1]:
            if len(_TREES) <= MOST_TREES and total <= MOST_OBJECTS:
                return
            total -= sizes[root]
            _TREES.pop(root)


def is_listed(path: RemotePath, tree: Tree, place: str) -> bool:
    """Return whether a listing has a folder, which is listed if it was not yet.

    Parameters
    ----------
    path : RemotePath
        The folder.
    tree : Tree
    place : str
        Path of the folder in the listing.

    Raises
    ------
    SourceError
        If the store fails.
    """
    if place in tree.listed:
        return True
    with tree.lock:
        if place and not is_listed(path.parent, tree, place.rpartition("/")[0]):
            return False
        if place not in tree.listed and tree.has_folder(place):
            _list(path, tree, place)
    return place in tree.listed


def _list(path: RemotePath, tree: Tree, place: str, own: Tree | None = None) -> None:
    """List a folder, and all that lies below it if it has the header of a store of arrays."""
    started = time.monotonic()
    is_whole = own is None and path.name.endswith(_ENDING)
    if own is None and not is_whole:
        own = listing_of(path)
    if own is not None and own.files.get("", {}).keys().isdisjoint(HEADERS):
        _merge(tree, place, own)
        tree.listed.add(place)
    else:
        whole = listing(path)
        with store_errors(path, SourceError, doing="cannot be listed"):
            _fetch_small(open_store(path), whole)
        _merge(tree, place, whole)
        tree.listed.update(f"{place}/{each}".strip("/") for each in whole.below(""))
        tree.whole.add(place)
        if not place:
            tree.headers = whole.headers
    tree.looked = time.monotonic()
    tree.seconds += tree.looked - started


def _merge(tree: Tree, place: str, own: Tree) -> None:
    """Add a listing of a folder to that of a folder around it."""
    start = f"{place}/" if place else ""
    for folder, files in own.files.items():
        tree.files[f"{start}{folder}".rstrip("/")] = files
    for folder, names in own.folders.items():
        tree.folders[f"{start}{folder}".rstrip("/")] = names
    tree.small.update({f"{start}{each}": data for each, data in own.small.items()})


def listing_of(path: RemotePath) -> Tree:
    """Return a new listing of a folder alone, without what lies below the folders in it.

    Raises
    ------
    SourceError
        If the store fails.
    """
    store = open_store(path)
    with store_errors(path, SourceError, doing="cannot be listed"):
        return _tree(store.path, retried(lambda: store.fs.ls(store.path, detail=True)))


def listing(path: RemotePath) -> Tree:
    """Return a new listing of a folder with all that lies below it.

    Raises
    ------
    SourceError
        If the store fails.
    """
    store = open_store(path)
    with store_errors(path, SourceError, doing="cannot be listed"):
        return _tree(store.path, store.find())


def is_current(path: RemotePath, tree: Tree) -> bool:
    """Return whether a listed folder is as it was, which is looked at from time to time.

    Of a store of arrays, its headers are compared with the listing. Other folders are listed again
    after some time.

    Raises
    ------
    SourceError
        If the store fails.
    """
    if tree.is_outdated:
        return False
    if time.monotonic() < tree.looked + max(_SECONDS, _TIMES * tree.seconds * (not tree.headers)):
        return True
    if not tree.headers:
        return False
    store = open_store(path)
    with store_errors(path, SourceError):
        now = {name: store.info(f"{store.path}/{name}") for name in tree.headers}
    tree.looked = time.monotonic()
    return all(info is not None and _facts(info) == tree.headers[n] for n, info in now.items())


def forget(path: RemotePath) -> None:
    """Forget the listings that have a path, or lie below it, after something was written there."""
    with _LOCK:
        for root in list(_TREES):
            if f"{root}/".startswith(f"{path}/") or f"{path}/".startswith(f"{root}/"):
                _TREES.pop(root, None)


def _tree(folder: str, found: Iterable[Mapping[str, Any]]) -> Tree:
    inner = folder.strip("/")
    tree, start = Tree(), len(inner) + 1 if inner else 0
    for info in found:
        place = str(info["name"]).lstrip("/")[start:]
        is_folder = info["type"] == "directory"
        if is_folder and place.strip("/"):
            tree.add_folder(place.rstrip("/"))
        # An object whose name ends in a slash marks a folder.
        if is_folder or not place or place.endswith("/"):
            continue
        tree.add(place, (int(info["size"] or 0), int(seconds_of(info)) * 10**9, version_in(info)))
        if place in CHECKED:
            tree.headers[place] = _facts(info)
    return tree


def _facts(info: Mapping[str, Any]) -> Any:
    return info["size"], version_in(info)


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
    facts = {path: tree.file(place) or (0, 0, "") for path, place in chosen.items()}
    sizes = {path: size for path, (size, *_) in facts.items()}
    for path, answer in retried(lambda: store.read_all(sizes)).items():
        size, _, version = facts[path]
        if len(answer.data) == size and answer.is_of(size, number_of(version)):
            tree.small[chosen[path]] = answer.data
