"""Find the files of an OME-TIFF recording, and which page is which plane."""

import functools
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from attrs import frozen

from nwb_ophys.errors import CorruptSourceError, SourceError, SourceNotFoundError
from nwb_ophys.filetypes.ome.model import OmeBlock, OmeDocument, OmeImage
from nwb_ophys.filetypes.ome.xml import parse_ome_xml
from nwb_ophys.filetypes.tiff.checks import TiffSource, inspect_tiff
from nwb_ophys.filetypes.tiff.heading import read_tiff_heading
from nwb_ophys.filetypes.tiff.pages import Integers


@frozen(kw_only=True, eq=False)
class OmeRecording:
    """One OME-XML text and the files that it describes.

    Attributes
    ----------
    path : Path
        The file that was asked for.
    document : OmeDocument
    files : mapping of str to Path
        All files that it names, by name or UUID; that of ``path`` where it names none.
    """

    path: Path
    document: OmeDocument
    files: Mapping[str, Path]

    @property
    def file_paths(self) -> list[Path]:
        """The files of all images, each once."""
        return list(dict.fromkeys(self.files.values()))


def read_ome(path: Path) -> OmeRecording:
    """Read the OME-XML of a file, or of the one that it refers to, and find all its files.

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
        If the file, or one that the text names, is not there; the message names those.
    CorruptSourceError
        If the file or the text is damaged.
    SourceError
        If it is no OME-TIFF.
    """
    document = _document(path)
    uuid = document.uuid
    if document.metadata_file is not None:
        other = path.parent / document.metadata_file
        if not other.is_file():
            message = (
                f"{path} refers to the metadata in {other.name!r}, which is not beside it; copy "
                "that file there"
            )
            raise SourceNotFoundError(message)
        document = _document(other, is_tiff=other.suffix.lower() in (".tif", ".tiff"))
    if not document.images:
        raise SourceError(f"{path}: its OME-XML describes no image")
    return OmeRecording(path=path, document=document, files=_find_files(path, document, uuid))


def _document(path: Path, is_tiff: bool = True) -> OmeDocument:
    """Parse the text of a file, or take the last one again: each channel and plane asks for it."""
    if not path.is_file():
        inspect_tiff(path)  # raises
    state = path.stat()
    return _read_state(path, is_tiff, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=2)
def _read_state(path: Path, is_tiff: bool, size: int, changed: int) -> OmeDocument:
    text = _text(path) if is_tiff else path.read_text(encoding="utf-8", errors="replace")
    return parse_ome_xml(path, text)


def _text(path: Path) -> str:
    # What it states of the order of its pages is parsed here, and better.
    text = inspect_tiff(path, reads_axes=False).table.read_description(0)
    if "<OME" not in text[:4096]:
        raise SourceError(
            f"'{path}' has no OME-XML in the description of its first page; read it as a plain "
            "TIFF stack (format tiff)."
        )
    return text


def _key(block: OmeBlock) -> str:
    return block.file_name or block.uuid or ""


def _find_files(path: Path, document: OmeDocument, uuid: str | None) -> dict[str, Path]:
    """Return the path of each file by its key: name, UUID, or empty for the file itself."""
    blocks = {_key(block): block for image in document.images for block in image.blocks}
    found: dict[str, Path] = {}
    missing = []
    renamed: dict[str, Path] | None = None
    for key, block in blocks.items():
        named = path.parent / block.file_name if block.file_name else None
        if named is not None and named.is_file():
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
        message = (
            f"{path}: its OME-XML names {len(blocks)} files, of which {len(missing)} are not "
            f"in '{path.parent}': {', '.join(sorted(missing)[:5])}"
            f"{', …' if len(missing) > 5 else ''}. Copy them there"
        )
        raise SourceNotFoundError(message)
    return found or {"": path}


def _by_uuid(folder: Path) -> dict[str, Path]:
    """Return the OME-TIFF files of a folder by their own UUIDs, for files that were renamed."""
    found = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() not in (".tif", ".tiff"):
            continue
        heading = read_tiff_heading(file)
        match = re.search(r"<OME [^>]*\bUUID=\"([^\"]+)\"", heading.description if heading else "")
        if match:
            found[match[1]] = file
    return found


@frozen(kw_only=True, eq=False)
class OmePages:
    """The pages of one channel of one image.

    Attributes
    ----------
    sources : list of TiffSource
        The files with pages of the image.
    pages : numpy.ndarray of int64, shape (samples, planes)
        Their numbers, counted over all files.
    times : numpy.ndarray of int64, shape (samples,)
        Which of the stated times the samples are: those of which every plane is there.
    """

    sources: list[TiffSource]
    pages: Integers
    times: Integers

    def check_gaps(self, path: Path, stated: npt.NDArray[np.float64] | None) -> None:
        """Raise CorruptSourceError where times in between are missing, and none are stated."""
        is_missing = np.diff(self.times, prepend=-1) > 1
        if is_missing.any() and stated is None:
            first = int(self.times[is_missing][0]) - 1
            message = (
                f"{path}: its OME-XML has no page for planes of time {first} of this channel, "
                "others follow, and no times are used from which the gap could be seen; files or "
                "pages are missing. Read it as a plain TIFF stack"
            )
            raise CorruptSourceError(message)


def find_pages(
    recording: OmeRecording, image: OmeImage, channel: int, planes: slice = slice(None)
) -> OmePages:
    """Return which page is which plane of a channel of an image.

    Times of which planes have no page are left out, with a UserWarning: the last ones of an
    acquisition that was ended early, or those at which the channel was skipped.

    Raises
    ------
    CorruptSourceError
        If pages that the text names are not in the files, if no time is whole, if two planes have
        the same page, or if the pages are of another shape than stated.
    """
    blocks = image.blocks or (
        OmeBlock(file_name=None, uuid=None, ifd=None, first=dict.fromkeys("CZT", 0), count=None),
    )
    paths = list(dict.fromkeys(recording.files.get(_key(b), recording.path) for b in blocks))
    sources = [inspect_tiff(path, reads_axes=False) for path in paths]
    firsts = np.concatenate([[0], np.cumsum([source.table.num_pages for source in sources])])
    sizes = [image.sizes[axis] for axis in reversed(image.order)]
    flat = np.full(int(np.prod(sizes)), -1, np.int64)
    for block in blocks:
        index = paths.index(recording.files.get(_key(block), recording.path))
        _enter(flat, block, image, sources[index], int(firsts[index]))
    _check_shape(recording, image, sources)
    used = flat[flat >= 0]
    if len(np.unique(used)) < len(used):
        raise CorruptSourceError(f"{recording.path}: its OME-XML has one page for several planes")
    axes = image.order[::-1]
    pages = flat.reshape(sizes).transpose([axes.index(axis) for axis in "CTZ"])
    own = pages[channel][:, planes]
    times = _complete(recording.path, own)
    return OmePages(sources=sources, pages=np.ascontiguousarray(own[times]), times=times)


def _enter(
    flat: Integers, block: OmeBlock, image: OmeImage, source: TiffSource, first: int
) -> None:
    """Enter the pages of a block, whose planes follow each other in the stated order."""
    stride, start = 1, 0
    for axis in image.order:
        start += block.first[axis] * stride
        stride *= image.sizes[axis]
    page = block.ifd or 0
    available = source.table.num_pages - page
    count = block.count
    if count is None:
        count = 1 if block.ifd is not None else min(available, len(flat) - start)
    if count > available or start + count > len(flat):
        message = (
            f"{source.table.path} has {source.table.num_pages} pages, but its OME-XML has "
            f"{count} planes from page {page} on, of {len(flat) - start} that can be there; it "
            "is truncated, or pages were removed from it"
        )
        raise CorruptSourceError(message)
    target = flat[start : start + count]
    pages = first + np.arange(page, page + count)
    if ((target >= 0) & (target != pages)).any():
        raise CorruptSourceError(f"{source.table.path}: its OME-XML has two pages for one plane")
    target[:] = pages


def _complete(path: Path, pages: Integers) -> Integers:
    """Return which times of pages, of the shape (times, planes), have all planes."""
    times = np.flatnonzero((pages >= 0).all(axis=1))
    num_missing = int((pages < 0).sum())
    what = f"of {len(pages)} times that its OME-XML states {len(times)} are complete"
    why = f"{num_missing} of {pages.size} planes of the channel have no page"
    if not len(times):
        raise CorruptSourceError(f"{path}: {what} ({why}); files or pages are missing")
    if len(times) < len(pages):
        message = f"{path}: {what} ({why}); the others are left out."
        warnings.warn(message, UserWarning, stacklevel=4)
    return times


def _check_shape(recording: OmeRecording, image: OmeImage, sources: Sequence[TiffSource]) -> None:
    table = sources[0].table
    if (table.rows, table.columns) != (image.rows, image.columns):
        message = (
            f"{table.path} has pages of {table.rows} x {table.columns} pixels, but the OME-XML of "
            f"{recording.path.name} states {image.rows} x {image.columns}"
        )
        raise CorruptSourceError(message)
    names = {"float": "float32", "double": "float64"}
    stated = names.get(image.pixel_type, image.pixel_type)
    if stated and stated != sources[0].dtype.name:
        warnings.warn(
            f"{table.path} has pixels of {sources[0].dtype.name}, but its OME-XML states "
            f"{image.pixel_type}; they are read as they are.",
            UserWarning,
            stacklevel=4,
        )
