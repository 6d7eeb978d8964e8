"""Find the files of an OME-TIFF recording and the page of each plane."""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt

from nwb_ophys.errors import CorruptSourceError, SourceError, SourceNotFoundError
from nwb_ophys.filetypes.files import COPY_AGAIN, misplaced_file
from nwb_ophys.filetypes.ome.model import OmeBlock, OmeDocument, OmeImage
from nwb_ophys.filetypes.ome.xml import parse_ome_xml
from nwb_ophys.filetypes.tiff.checks import TiffSource, inspect_later_tiff, inspect_tiff
from nwb_ophys.filetypes.tiff.heading import read_tiff_heading
from nwb_ophys.filetypes.tiff.pages import Integers
from nwb_ophys.filetypes.tiff.table import read_page_table
from nwb_ophys.outside import check_file, named_file

OWN_UUID = re.compile(r"<OME [^<>]*\bUUID=\"([^\"]+)\"")
"""The UUID that a file states for itself in its OME-XML."""

# Page of a plane that a truncated file lacks; -1 is a plane without a page.
_LOST = -2


@attrs.frozen(kw_only=True, eq=False)
class OmeRecording:
    """One OME-XML document and the files that it describes.

    Attributes
    ----------
    path : Path
        The requested file.
    document : OmeDocument
    files : mapping of str to Path
        All files that the document names, by name or UUID; ``path`` if it names none.
    """

    path: Path
    document: OmeDocument
    files: Mapping[str, Path]

    @property
    def file_paths(self) -> list[Path]:
        """Files of all images, each listed once."""
        return list(dict.fromkeys(self.files.values()))


@attrs.frozen(kw_only=True, eq=False)
class OmePages:
    """The pages of one channel of one image.

    Attributes
    ----------
    sources : list of TiffSource
        The files with pages of the image.
    pages : numpy.ndarray of int64, shape (samples, planes)
        Page numbers, counted over all files.
    times : numpy.ndarray of int64, shape (samples,)
        Time index of each sample; only times with all planes are samples.
    """

    sources: list[TiffSource]
    pages: Integers
    times: Integers

    def check_gaps(self, path: Path, stated: npt.NDArray[np.float64] | None) -> None:
        """Raise CorruptSourceError if time indices are skipped and no time stamps show the gap."""
        is_missing = np.diff(self.times, prepend=-1) > 1
        if is_missing.any() and stated is None:
            first = int(self.times[is_missing][0]) - 1
            raise CorruptSourceError(
                f"'{path}': its OME-XML has no page for planes of time {first} of this channel, "
                "although later times follow, and there are no time stamps that would show the "
                "gap; files or pages are missing. Read it as a plain TIFF stack."
            )


def read_ome(path: Path) -> OmeRecording:
    """Read the OME-XML of a file, or of the file that it refers to, and find all files.

    Parameters
    ----------
    path : Path
        Any file of the recording.

    Returns
    -------
    OmeRecording

    Raises
    ------
    SourceNotFoundError
        If the file, or a file that the OME-XML names, is missing; the message names them.
    CorruptSourceError
        If the file or its OME-XML is damaged.
    SourceError
        If the file is not an OME-TIFF.
    """
    document = _document(path)
    uuid = document.uuid
    if document.metadata_file is not None:
        other = named_file(path, document.metadata_file)
        if not other.is_file():
            raise SourceNotFoundError(
                f"'{path}' refers to the metadata in '{other.name}', which is missing; copy that "
                "file into the same folder."
            )
        document = _document(other, is_tiff=other.suffix.lower() in (".tif", ".tiff"))
    if not document.images:
        raise SourceError(f"'{path}': its OME-XML describes no image; give another file.")
    return OmeRecording(path=path, document=document, files=_find_files(path, document, uuid))


def find_pages(
    recording: OmeRecording,
    image: OmeImage,
    channel: int,
    planes: slice = slice(None),
    allow_truncated: bool = False,
) -> OmePages:
    """Find the page of each plane of one channel of an image.

    Times with missing planes are left out, with a UserWarning: the last ones of an acquisition
    that was stopped early, or those at which the channel was skipped.

    Parameters
    ----------
    recording : OmeRecording
    image : OmeImage
    channel : int
    planes : slice
    allow_truncated : bool
        Whether to accept truncated files, with a UserWarning. Times from the first one on of which
        a page is lost, in any channel, are left out of all channels.

    Raises
    ------
    CorruptSourceError
        If pages that the OME-XML names are not in the files, if no time is complete, if two
        planes have the same page, or if the shape of the pages differs from the stated one.
    """
    blocks = image.blocks or (
        OmeBlock(file_name=None, uuid=None, ifd=None, first=dict.fromkeys("CZT", 0), count=None),
    )
    paths = list(dict.fromkeys(recording.files.get(_key(b), recording.path) for b in blocks))
    found = [
        inspect_later_tiff(
            path, reads_axes=False, allow_truncated=allow_truncated, is_first=path == paths[0]
        )
        for path in paths
    ]
    sources = [source for source in found if source is not None]
    index_of = {source.table.path: index for index, source in enumerate(sources)}
    firsts = np.concatenate([[0], np.cumsum([source.table.num_pages for source in sources])])
    sizes = [image.sizes[axis] for axis in reversed(image.order)]
    flat = np.full(int(np.prod(sizes)), -1, np.int64)
    for block in blocks:
        index = index_of.get(recording.files.get(_key(block), recording.path))
        if index is None:
            _enter(flat, block, image, None, 0)
        else:
            _enter(flat, block, image, sources[index], int(firsts[index]))
    _check_shape(recording, image, sources)
    used = flat[flat >= 0]
    if len(np.unique(used)) < len(used):
        raise CorruptSourceError(
            f"'{recording.path}': its OME-XML assigns one page to several planes; read it as a "
            "plain TIFF stack."
        )
    axes = image.order[::-1]
    pages = flat.reshape(sizes).transpose([axes.index(axis) for axis in "CTZ"])
    lost = np.flatnonzero((pages == _LOST).any(axis=(0, 2)))
    own = pages[channel][: lost[0] if len(lost) else None, planes]
    times = _complete(recording.path, own)
    return OmePages(sources=sources, pages=np.ascontiguousarray(own[times]), times=times)


def _document(path: Path, is_tiff: bool = True) -> OmeDocument:
    """Parse the OME-XML of a file; cached, since each channel and plane needs it."""
    if not path.is_file():
        inspect_tiff(path)  # raises
    state = path.stat()
    return _read_cached(path, is_tiff, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=2)
def _read_cached(path: Path, is_tiff: bool, size: int, changed: int) -> OmeDocument:
    check_file(path)
    text = _text(path) if is_tiff else path.read_text(encoding="utf-8", errors="replace")
    return parse_ome_xml(path, text)


def _text(path: Path) -> str:
    # A truncated file is refused, or accepted, when its pages are looked for.
    text = read_page_table(path).read_description(0)
    if "<OME" not in text[:4096]:
        raise SourceError(
            f"'{path}' has no OME-XML in the description of its first page; read it as a plain "
            "TIFF stack (format tiff)."
        )
    return text


def _key(block: OmeBlock) -> str:
    return block.file_name or block.uuid or ""


def _find_files(path: Path, document: OmeDocument, uuid: str | None) -> dict[str, Path]:
    """Return the path of each file by its key: its name, its UUID, or "" for the file itself."""
    blocks = {_key(block): block for image in document.images for block in image.blocks}
    found: dict[str, Path] = {}
    missing = []
    uuids = [each.uuid for each in blocks.values() if each.uuid is not None]
    listed = {each.uuid: each.file_name for each in blocks.values() if each.uuid is not None}
    renamed: dict[str, Path] | None = None
    for key, block in blocks.items():
        named = named_file(path, block.file_name) if block.file_name else None
        # A renamed file may lie beside another recording that has its former name.
        is_own = block.uuid is not None and block.uuid == uuid and uuids.count(uuid) == 1
        if not is_own and named is not None and named.is_file():
            _check_own_uuid(named, block, listed)
            found[key] = named
        elif not key or (block.uuid is not None and block.uuid == uuid):
            found[key] = path
        else:
            renamed = _by_uuid(path.parent) if renamed is None else renamed
            if block.uuid in renamed:
                found[key] = renamed[block.uuid]
            else:
                missing.append(key)
    if missing:
        raise SourceNotFoundError(
            f"'{path}': its OME-XML names {len(blocks)} files, but {len(missing)} of them cannot "
            f"be found in '{path.parent}': {', '.join(sorted(missing)[:5])}"
            f"{', …' if len(missing) > 5 else ''}. Copy them there."
        )
    return found or {"": path}


def _check_own_uuid(file: Path, block: OmeBlock, listed: Mapping[str, str | None]) -> None:
    """Raise if a file states the UUID of another file of the recording, listed with its name.

    UUIDs of no file of the recording pass: programs that copy files may write new ones.
    """
    own = None if block.uuid is None else _own_uuid(file)
    if own is not None and own in listed and own != block.uuid:
        raise misplaced_file(file, listed[own])


def _own_uuid(file: Path) -> str | None:
    heading = read_tiff_heading(file)
    match = OWN_UUID.search(heading.description if heading else "")
    return match[1] if match else None


def _by_uuid(folder: Path) -> dict[str, Path]:
    """Return the OME-TIFF files of a folder by UUID, to find files that were renamed."""
    files = [each for each in sorted(folder.iterdir()) if each.suffix.lower() in (".tif", ".tiff")]
    return {uuid: file for file in files if (uuid := _own_uuid(file)) is not None}


def _enter(
    flat: Integers, block: OmeBlock, image: OmeImage, source: TiffSource | None, first: int
) -> None:
    """Enter the pages of a block; its planes follow each other in the stated order.

    Pages that a truncated file lacks, or all pages if there is no source, are entered as lost.
    """
    stride, start = 1, 0
    for axis in image.order:
        start += block.first[axis] * stride
        stride *= image.sizes[axis]
    page = block.ifd or 0
    available = max(source.table.num_pages - page, 0) if source else 0
    count = block.count
    if source is None or source.table.is_truncated:
        stated = count or (1 if block.ifd is not None else len(flat) - start)
        flat[start + available : start + stated] = _LOST
        count = min(available, stated)
        if not count:
            return
    assert source is not None  # without a source there is no page
    if count is None:
        count = 1 if block.ifd is not None else min(available, len(flat) - start)
    if count > available or start + count > len(flat):
        raise CorruptSourceError(
            f"'{source.table.path}' has {source.table.num_pages} pages, but its OME-XML lists "
            f"{count} planes from page {page} on (at most {len(flat) - start} are possible); it "
            f"is truncated, or pages were removed from it. Try to {COPY_AGAIN}."
        )
    target = flat[start : start + count]
    pages = first + np.arange(page, page + count)
    if ((target >= 0) & (target != pages)).any():
        raise CorruptSourceError(
            f"'{source.table.path}': its OME-XML assigns two pages to one plane; read it as a "
            "plain TIFF stack."
        )
    target[:] = pages


def _complete(path: Path, pages: Integers) -> Integers:
    """Return the indices of the times that have all planes; ``pages`` is (times, planes)."""
    times = np.flatnonzero((pages >= 0).all(axis=1))
    num_missing = int((pages < 0).sum())
    what = f"{len(times)} of {len(pages)} times in its OME-XML are complete"
    why = f"{num_missing} of {pages.size} planes of the channel have no page"
    if not len(times):
        raise CorruptSourceError(
            f"'{path}': {what} ({why}); files or pages are missing. Copy the recording again."
        )
    if len(times) < len(pages):
        message = f"'{path}': {what} ({why}); the others are left out."
        warnings.warn(message, UserWarning, stacklevel=4)
    return times


def _check_shape(recording: OmeRecording, image: OmeImage, sources: Sequence[TiffSource]) -> None:
    table = sources[0].table
    if (table.rows, table.columns) != (image.rows, image.columns):
        raise CorruptSourceError(
            f"'{table.path}' has pages of {table.rows} x {table.columns} pixels, but the OME-XML "
            f"of '{recording.path.name}' states {image.rows} x {image.columns}; read it as a plain "
            "TIFF stack."
        )
    names = {"float": "float32", "double": "float64", "bit": "bool"}
    stated = names.get(image.pixel_type, image.pixel_type)
    if stated and stated != sources[0].dtype.name:
        warnings.warn(
            f"'{table.path}' has pixels of type {sources[0].dtype.name}, but its OME-XML states "
            f"{image.pixel_type}; they are read as {sources[0].dtype.name}.",
            UserWarning,
            stacklevel=4,
        )
