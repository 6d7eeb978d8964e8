"""AVI files: the number of frames, from the index, and the frames, decoded on request.

The layout follows Microsoft's RIFF AVI and its extension to large files, OpenDML.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError, not_found
from nwb_ophys.filetypes.truncation import nothing_complete, report_truncated
from nwb_ophys.optional import require_package
from nwb_ophys.outside import check_file
from nwb_ophys.remote.local_copies import LocalCopies

_MOST_PIXELS = 1 << 26
_REMEDY = "copy it again from the acquisition computer"


@attrs.frozen
class AviOutline:
    """Shape, length and codec of an AVI file.

    Attributes
    ----------
    path : pathlib.Path
    rows, columns : int
    num_frames : int
        Number of stored frames, without the empty entries that dropped frames leave in the index.
    codec : str
        Four-letter code, such as ``FFV1``.
    is_truncated : bool
        Whether the file ends before its stated end; it has no index then.
    has_gaps : bool
        Whether frames were dropped, so that numbers of frames are not places in the index.
    """

    path: Path
    rows: int
    columns: int
    num_frames: int
    codec: str
    is_truncated: bool = False
    has_gaps: bool = False


def is_avi(head: bytes) -> bool:
    """Return whether the first bytes of a file are those of an AVI file."""
    return head[:4] == b"RIFF" and head[8:12] == b"AVI "


def read_avi_outline(path: Path, allow_truncated: bool = False) -> AviOutline:
    """Read the shape, codec and number of frames of an AVI file, without decoding a frame.

    Parameters
    ----------
    path : pathlib.Path
    allow_truncated : bool
        Whether to accept a truncated file, with a UserWarning; only its complete frames count.

    Raises
    ------
    SourceNotFoundError
        When the file does not exist.
    NothingCompleteError
        When the file is truncated, and has no complete frame.
    CorruptSourceError
        When the file is not an AVI file, is truncated, or has no video.
    """
    if not path.is_file():
        raise not_found(path)
    check_file(path)
    size = path.stat().st_size
    header: dict[str, Any] = {}
    sizes: list[int] = []
    lost = ""
    with path.open("rb") as file:
        head = file.read(12)
        if len(head) < 12:
            raise nothing_complete(path, reason=f"it has {size} bytes")
        if not is_avi(head):
            raise CorruptSourceError(f"'{path}' does not begin as an AVI file does; {_REMEDY}.")
        for riff_end, start in _riffs(file, size):
            lost = _loss(start, riff_end, size)
            _read_riff(file, start, min(riff_end, size) if not lost else size, header, sizes, lost)
    num_frames = sum(size > 0 for size in sizes)
    if lost and not num_frames:
        raise nothing_complete(path, reason=lost)
    if not {"codec", "rows", "columns"} <= header.keys():
        raise CorruptSourceError(f"'{path}' has no header of a video stream; {_REMEDY}.")
    if header["rows"] < 1 or not 1 <= header["columns"] <= _MOST_PIXELS // header["rows"]:
        raise CorruptSourceError(
            f"'{path}' claims frames of {header['rows']} x {header['columns']} pixels, which no "
            f"camera records; {_REMEDY}."
        )
    header.pop("stream")
    stated = header.pop("length", 0)
    if lost:
        report_truncated(path, num_frames, stated, allow=allow_truncated, reason=lost)
    return AviOutline(
        path,
        num_frames=num_frames,
        is_truncated=bool(lost),
        has_gaps=num_frames < len(sizes),
        **header,
    )


def _loss(start: int, end: int, size: int) -> str:
    """Return the evidence that a RIFF chunk is truncated; empty if it is complete."""
    if start <= end <= size:
        return ""
    stated = "no length" if end < start else f"{end} bytes"
    return f"it has {size} bytes, but its header states {stated}, or the recording was not ended"


def _riffs(file: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
    """Yield the stated end and the start of the contents of each RIFF chunk.

    Large files have several. The last one of a truncated file ends beyond the file, or states no
    length.
    """
    start = 0
    while start + 12 <= size:
        file.seek(start)
        name, length = struct.unpack("<4sI", file.read(8))
        if name != b"RIFF":
            return  # Some programs append data of their own.
        end = start + 8 + length
        yield end, start + 12
        if length < 4 or end > size:
            return
        start = end + length % 2


def _chunks(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name, start and length of the contents of each chunk."""
    while start + 8 <= end:
        file.seek(start)
        head = file.read(8)
        if len(head) < 8:
            return
        name, length = struct.unpack("<4sI", head)
        yield name, start + 8, length
        start += 8 + length + length % 2


def _read_riff(
    file: BinaryIO, start: int, end: int, header: dict[str, Any], sizes: list[int], lost: str
) -> None:
    """Add the header that a RIFF chunk holds, and the sizes of its frames.

    A truncated chunk has no index, and its movie no reliable length: its frames are those that end
    within the file.
    """
    movie: tuple[int, int] | None = None
    index: bytes | None = None
    for name, where, length in _chunks(file, start, end):
        file.seek(where)
        if name == b"LIST":
            kind = file.read(4)
            if kind == b"hdrl":
                _read_header(file, where + 4, where + length, header)
            elif kind == b"movi":
                movie = (where + 4, end if lost else where + length)
                if lost:
                    break
        elif name == b"idx1":
            index = file.read(min(length, end - where))
    stream = header.get("stream", b"00")
    if index is not None:
        entries = np.frombuffer(index[: len(index) // 16 * 16], dtype="<u4").reshape(-1, 4)
        names = entries[:, 0].astype("<u4").tobytes()
        video = [_is_frame(names[i : i + 4], stream) for i in range(0, len(names), 4)]
        sizes += entries[np.asarray(video, dtype=bool), 3].tolist()
    elif movie is not None:
        sizes += [
            length
            for name, where, length in _frames(file, *movie)
            if _is_frame(name, stream) and where + length <= movie[1]
        ]


def _frames(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the chunks of the movie, including those within lists of records."""
    for name, where, length in _chunks(file, start, end):
        if name == b"LIST":
            yield from _chunks(file, where + 4, where + length)
        else:
            yield name, where, length


def _is_frame(name: bytes, stream: bytes) -> bool:
    return name[:2] == stream and name[2:] in (b"dc", b"db")


def _read_header(file: BinaryIO, start: int, end: int, header: dict[str, Any]) -> None:
    """Read the codec and the shape of the first video stream."""
    number = 0
    for name, where, length in _chunks(file, start, end):
        file.seek(where)
        if name != b"LIST" or file.read(4) != b"strl":
            continue
        is_video = False
        for inner, place, size in _chunks(file, where + 4, where + length):
            file.seek(place)
            data = file.read(min(size, 64))
            if inner == b"strh":
                is_video = data[:4] == b"vids" and "codec" not in header
                if is_video and len(data) >= 36:
                    (header["length"],) = struct.unpack_from("<I", data, 32)
            elif inner == b"strf" and is_video and len(data) >= 20:
                columns, rows = struct.unpack_from("<ii", data, 4)
                codec = data[16:20].decode("latin-1").strip("\0 ") or "uncompressed"
                header.update(rows=abs(rows), columns=columns, codec=codec)
                header["stream"] = b"%02d" % number
        number += 1


class AviFrames:
    """Frames of several consecutive AVI files in shades of grey.

    An instance must not be shared by threads: it keeps one file open at the last frame read.

    Parameters
    ----------
    outlines : sequence of AviOutline
        The files in order of time, with frames of one shape.
    extra : str
        Extra of nwb-ophys that installs OpenCV, for the message when it is missing.
    copies : LocalCopies, optional
        Copies of files in an object store, which readers share; OpenCV opens files of a disk.
    """

    def __init__(
        self, outlines: Sequence[AviOutline], extra: str, copies: LocalCopies | None = None
    ) -> None:
        self._cv2 = require_package("cv2", extra)
        self.outlines = tuple(outlines)
        self._firsts = np.cumsum([0, *(outline.num_frames for outline in outlines)])
        self._extra = extra
        self._copies = copies or LocalCopies()
        self._opened: Path | None = None
        self._capture: Any = None
        self._place: tuple[int, int] = (-1, -1)

    def again(self) -> AviFrames:
        """Return another reader of the same files, for another thread."""
        return AviFrames(self.outlines, self._extra, self._copies)

    def read(self, start: int, end: int) -> NDArray[np.uint8]:
        """Decode frames.

        Parameters
        ----------
        start, end : int
            First frame, and the one after the last, counted through all files.

        Returns
        -------
        numpy.ndarray of uint8, shape (frames, rows, columns)

        Raises
        ------
        CorruptSourceError
            When a frame cannot be decoded.
        """
        first = self.outlines[0]
        frames = np.empty((end - start, first.rows, first.columns), dtype=np.uint8)
        for number, frame in enumerate(range(start, end)):
            file = int(np.searchsorted(self._firsts, frame, side="right")) - 1
            self._decode(file, frame - int(self._firsts[file]), frames[number])
        return frames

    def _decode(self, file: int, frame: int, out: NDArray[np.uint8]) -> None:
        self._go_to(file, frame)
        outline = self.outlines[file]
        is_read, image = self._capture.read()
        self._place = (file, frame + 1) if is_read else (-1, -1)
        if not is_read or image.shape[:2] != out.shape:
            what = f"is {image.shape[:2]}, not {out.shape}" if is_read else "cannot be decoded"
            raise CorruptSourceError(
                f"Frame {frame} of {outline.num_frames} of '{outline.path}' ({outline.codec}) "
                f"{what}; {_REMEDY}."
            )
        if image.ndim == 3:
            image = self._cv2.cvtColor(image, self._cv2.COLOR_BGR2GRAY)
        out[...] = image

    def _go_to(self, file: int, frame: int) -> None:
        """Seek to a frame, so that it is read next."""
        if self._place == (file, frame):
            return
        if self._place[0] != file:
            self._open(file)
        if self._place == (file, frame):
            return
        outline = self.outlines[file]
        # Seeking counts the places of dropped frames, and may report another frame as this one.
        if outline.is_truncated or outline.has_gaps:
            self._skip_to(file, frame)
            return
        self._capture.set(self._cv2.CAP_PROP_POS_FRAMES, frame)
        if round(self._capture.get(self._cv2.CAP_PROP_POS_FRAMES)) == frame:
            return
        # Without an index OpenCV may seek to another frame, and reports which one it reached.
        self._skip_to(file, frame)

    def _skip_to(self, file: int, frame: int) -> None:
        """Read a file from its start up to a frame."""
        self._open(file)
        for _ in range(frame):
            self._capture.grab()

    def _open(self, file: int) -> None:
        path = self.outlines[file].path
        if self._opened != path:
            self.close()
            self._place_on_disk, self._opened = self._copies.open(path), path
        self._release()
        name = os.fspath(self._place_on_disk)
        self._capture = self._cv2.VideoCapture(name, self._cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            self.close()
            raise CorruptSourceError(
                f"OpenCV cannot open '{path}' ({self.outlines[file].codec}); {_REMEDY}."
            )
        self._place = (file, 0)

    def close(self) -> None:
        """Close the open file."""
        self._release()
        if self._opened is not None:
            self._copies.close(self._opened)
        self._opened = None

    def _release(self) -> None:
        if self._capture is not None:
            self._capture.release()
        self._capture, self._place = None, (-1, -1)
