"""Read plain multi-page TIFF stacks, including those that state their axes."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike

import attrs
import numpy as np

from nwb_ophys.errors import SourceArgumentError, SourceError, first_of
from nwb_ophys.extractors.ranges import check_count, check_index, check_rate
from nwb_ophys.filetypes.ome.times import select_rate
from nwb_ophys.filetypes.tiff.axes import AXIS_NAMES, StatedAxes, note_one_sample
from nwb_ophys.filetypes.tiff.checks import TiffSource, inspect_tiffs
from nwb_ophys.filetypes.tiff.extractor import TiffFramesExtractor
from nwb_ophys.filetypes.tiff.imagej import imagej_rate, imagej_values
from nwb_ophys.filetypes.tiff.pages import Integers
from nwb_ophys.filetypes.tiff.reader import TiffPageReader
from nwb_ophys.timing import require_rate

AnyPath = str | PathLike[str]
DEFAULT_ORDER = "CZT"


@attrs.frozen(kw_only=True)
class TiffLayout:
    """Arrangement of the pages of a TIFF stack.

    Attributes
    ----------
    num_pages : int
        Number of two-dimensional images in all files.
    rows, columns : int
        Shape of an image in pixels.
    dtype : numpy.dtype
        Type of a pixel, in native byte order.
    num_channels, num_planes, num_samples : int
        Lengths of the axes; their product is ``num_pages``.
    axes : str
        Axes that the files state, slowest first, such as ``"TZCYX"``; ``"IYX"`` if they do not
        name the axis of the images.
    """

    num_pages: int
    rows: int
    columns: int
    dtype: np.dtype
    num_channels: int
    num_planes: int
    num_samples: int
    axes: str


def tiff_layout(
    file_paths: AnyPath | Iterable[AnyPath],
    *,
    num_channels: int | None = None,
    num_planes: int | None = None,
    dimension_order: str | None = None,
    allow_truncated: bool = False,
) -> TiffLayout:
    """Read the arrangement of the pages of one or several TIFF files, from their headers only.

    Parameters
    ----------
    file_paths : path or iterable of paths
        The files in the order of time.
    num_channels, num_planes, dimension_order, allow_truncated
        As for `TiffStackExtractor`.

    Returns
    -------
    TiffLayout
        Sizes, dtype and axes.

    Raises
    ------
    SourceError
        As for `TiffStackExtractor`.
    """
    sources = _inspect_all(file_paths, allow_truncated)
    reader = TiffPageReader(sources)
    return _arrange(reader, num_channels, num_planes, dimension_order)[0]


# Bytes of a directory with its values, and of what else programs write beside the pages.
_DIRECTORY_BYTES = 1024
_MOST_UNUSED = 16_384


class TiffStackExtractor(TiffFramesExtractor):
    """Frames or volumes of one channel of a stack of TIFF pages, in one or several files.

    Reads headers when created, and pixels on demand; see `TiffFramesExtractor` for threads and
    closing.

    Parameters
    ----------
    file_paths : path or iterable of paths
        The files in the order of time; pages are counted over all files.
    sampling_frequency : float or None
        Samples (volumes if there are several planes) per second, in Hz. A UserWarning names the
        rate that follows from ImageJ's interval of frames, if it is another one. Only a single
        sample, which may be an image or a z-stack, needs none.
    dimension_order : str, optional
        The letters C (channel), Z (plane) and T (time), fastest first; ``"CZT"`` by default. Only
        T is required.
    num_channels, num_planes : int, optional
        Number of channels and planes that the pages alternate between; by default the numbers
        that the files state (ImageJ, OME and tifffile descriptions), or 1 if not stated.
    channel_index : int
        The channel to read, from 0.
    plane_index : int, optional
        The plane to read, from 0; all planes by default.
    allow_truncated : bool
        Whether to read the complete pages of a truncated file, with a UserWarning. The files after
        it are left out.

    Raises
    ------
    SourceArgumentError
        If an argument is of a wrong type or out of range, or if there are several samples and no
        sampling_frequency.
    SourceNotFoundError, CorruptSourceError, MissingPackageError
        If a file does not exist, is truncated or cannot be decoded.
    SourceError
        If the arguments contradict a file, if the number of pages is not a multiple of the pages
        per sample, or if pages or files differ in shape or dtype.
    """

    extractor_name = "TiffStackExtractor"

    def __init__(
        self,
        file_paths: AnyPath | Iterable[AnyPath],
        sampling_frequency: float | None = None,
        *,
        dimension_order: str | None = None,
        num_channels: int | None = None,
        channel_index: int = 0,
        num_planes: int | None = None,
        plane_index: int | None = None,
        allow_truncated: bool = False,
    ) -> None:
        if sampling_frequency is not None:
            check_rate(sampling_frequency)  # before any file is read
        reader = TiffPageReader(_inspect_all(file_paths, allow_truncated))
        layout, pages = _arrange(reader, num_channels, num_planes, dimension_order)
        check_index("channel_index", channel_index, layout.num_channels)
        if plane_index is not None:
            check_index("plane_index", plane_index, layout.num_planes)
            pages = pages[:, :, plane_index : plane_index + 1]
        first = reader.sources[0]
        stated = _stated_rate(first, layout)
        if sampling_frequency is not None:
            select_rate(first.table.path, sampling_frequency, stated, None, "finterval")
            if layout.num_samples == 1 and len(reader.sources) == 1:
                _note_one_sample(first, {"Z": num_planes, "C": num_channels})
        elif layout.num_samples > 1:
            known = (
                f"; its ImageJ description states {stated:g} Hz (finterval), which may be wrong"
                if stated
                else ", which a plain TIFF file does not state"
            )
            error = SourceArgumentError(
                f"'{first.table.path}' (format tiff) needs sampling_frequency, the rate of its "
                f"{layout.num_samples} samples (frames, or volumes) in Hz{known}. Give it as "
                "sampling_frequency=..., on the command line with --option "
                "sampling_frequency=VALUE."
            )
            require_rate(error)
        self.layout = layout
        self.file_paths = [source.table.path for source in reader.sources]
        self._pages = np.ascontiguousarray(pages[channel_index])
        super().__init__(
            reader,
            sampling_frequency=sampling_frequency,
            num_samples=layout.num_samples,
            num_planes=self._pages.shape[1],
        )


def _inspect_all(
    file_paths: AnyPath | Iterable[AnyPath], allow_truncated: bool
) -> list[TiffSource]:
    """Check all files and find their images."""
    paths = [file_paths] if isinstance(file_paths, str | PathLike) else list(file_paths)
    if not paths:
        raise SourceArgumentError("file_paths is empty; give at least one TIFF file.")
    sources = inspect_tiffs(paths, allow_truncated=allow_truncated)
    for source in sources:
        _warn_of_unused_bytes(source)
    _warn_of_shorter_files(sources)
    return sources


def _warn_of_shorter_files(sources: Sequence[TiffSource]) -> None:
    """Warn of files before the last that have fewer pages than most: frames may be missing."""
    counts = [source.table.num_pages for source in sources]
    usual, times = Counter(counts).most_common(1)[0]
    shorter = [source.table for source in sources[:-1] if source.table.num_pages < usual]
    if 2 * times > len(counts) > 2 and shorter:
        named = first_of([f"'{table.path.name}' ({table.num_pages})" for table in shorter], 5)
        warnings.warn(
            f"Most of the files of the movie '{sources[0].table.path}' have {usual} pages, but "
            f"others before the last have fewer: {named}. If frames are missing in them, later "
            "frames have times that are too early; the files are joined as if there was no gap.",
            UserWarning,
            stacklevel=4,
        )


def _warn_of_unused_bytes(source: TiffSource) -> None:
    """Warn if a file has room for pages that its chain of directories does not reach.

    Only of files without compression whose description states no axes: the others state the number
    of their pages, or it is unknown how many bytes a page takes.
    """
    table = source.table
    if not table.is_direct or table.dtype is None or source.stated.axes or table.is_truncated:
        return
    page_bytes = table.rows * table.columns * table.samples_per_pixel * table.dtype.itemsize
    used = table.num_pages * page_bytes + int(table.description_sizes.sum())
    unused = table.file_size - used - _DIRECTORY_BYTES * table.num_pages
    if unused >= max(page_bytes, _MOST_UNUSED):
        warnings.warn(
            f"'{table.path}' has {unused} bytes beside its {table.num_pages} pages of {page_bytes} "
            "bytes: its list of pages may end too early, and further pages be lost. Compare the "
            "number of frames with that of the recording.",
            UserWarning,
            stacklevel=4,
        )


def _arrange(
    reader: TiffPageReader,
    num_channels: int | None,
    num_planes: int | None,
    dimension_order: str | None,
) -> tuple[TiffLayout, Integers]:
    """Return the layout, and page numbers as int64 of shape (channels, samples, planes)."""
    given = {"C": num_channels, "Z": num_planes}
    for axis, number in given.items():
        if number is not None:
            check_count(f"num_{AXIS_NAMES[axis]}", number)
    order = _check_order(dimension_order)
    stated = _common_axes(reader.sources, given)
    every = [source.stated for source in reader.sources]
    if all(each.size("T") == 1 for each in every):
        stated, *every = (_with_frames(each, given) for each in (stated, *every))
    if stated.axes:
        _check_agreement(reader.sources[0], stated, given, dimension_order and order)
        parts = [
            first + _stated_pages(source, each)
            for first, source, each in zip(reader.first_pages, reader.sources, every, strict=False)
        ]
        pages = np.concatenate(parts, axis=1)
    else:
        pages = _counted_pages(reader, given["C"] or 1, given["Z"] or 1, order)
    layout = TiffLayout(
        num_pages=reader.num_pages,
        rows=reader.rows,
        columns=reader.columns,
        dtype=reader.dtype,
        num_channels=pages.shape[0],
        num_samples=pages.shape[1],
        num_planes=pages.shape[2],
        axes=(stated.axes or "I") + "YX",
    )
    return layout, pages


def _note_one_sample(source: TiffSource, given: Mapping[str, int | None]) -> None:
    """Warn of one sample whose planes or channels may be frames, unless they are given."""
    sizes = {
        axis: source.stated.size(axis) if number is None else 1 for axis, number in given.items()
    }
    note_one_sample(source.table.path, sizes, "give num_{}=1")


def _stated_rate(source: TiffSource, layout: TiffLayout) -> float | None:
    """Return the rate of samples in Hz that follows from ImageJ's interval of frames."""
    if source.stated.kind != "ImageJ":
        return None
    # Without stated axes, ImageJ counts each page as a frame.
    is_of_pages = not source.stated.axes and layout.num_samples < layout.num_pages
    values = imagej_values(source.table.read_description(0))
    return None if is_of_pages else imagej_rate(values)


def _check_order(dimension_order: str | None) -> str:
    """Return the dimension order with all three letters, fastest first."""
    order = DEFAULT_ORDER if dimension_order is None else dimension_order
    letters = order.upper() if isinstance(order, str) else ""
    if "T" not in letters or len(set(letters)) < len(letters) or not set(letters) <= set("CZT"):
        raise SourceArgumentError(
            f"dimension_order is {dimension_order!r}; it must consist of the letters C, Z and T, "
            "fastest first: CZT, ZCT, CTZ, ZTC, TCZ, TZC, or CT, ZT, T and so on."
        )
    return letters + "".join(axis for axis in "CZ" if axis not in letters)


def _common_axes(sources: Sequence[TiffSource], given: Mapping[str, int | None]) -> StatedAxes:
    """Return the axes that all files state; none if the arguments must define them."""
    first = sources[0].stated
    unclear = next((source for source in sources if source.stated.unclear), None)
    if unclear is not None:
        if None in given.values():
            message = (
                f"{unclear.table.path}: {unclear.stated.unclear}. Give num_channels and "
                "num_planes to read its pages in the order in which they are stored"
            )
            raise SourceError(message)
        return StatedAxes()
    for source in sources:
        sizes = [(axis, first.size(axis), source.stated.size(axis)) for axis in "CZ"]
        # A file of a single sample may lack the axis of time.
        orders = [stated.axes.replace("T", "") for stated in (first, source.stated)]
        differs = orders[0] != orders[1] or bool(first.axes) != bool(source.stated.axes)
        if differs or any(mine != theirs for _, mine, theirs in sizes):
            message = (
                f"{source.table.path} states the axes {source.stated.axes or '(none)'} of sizes "
                f"{source.stated.sizes}, {sources[0].table.path} {first.axes or '(none)'} of "
                f"sizes {first.sizes}; the files of one stack must agree. Leave it out"
            )
            raise SourceError(message)
    return first


def _with_frames(stated: StatedAxes, given: Mapping[str, int | None]) -> StatedAxes:
    """Return axes of one sample with planes or channels as frames, where the user states one.

    Programs write movies so that do not know the meaning of an axis. There are no axes where all
    pages are frames.
    """
    long = [axis for axis in "CZ" if stated.size(axis) > 1]
    as_frames = [axis for axis in long if given[axis] == 1]
    if not as_frames:
        return stated
    if as_frames == long:
        return StatedAxes()
    letters = stated.axes.replace("T", as_frames[0].lower())
    axes = letters.replace(as_frames[0], "T").replace(as_frames[0].lower(), as_frames[0])
    return attrs.evolve(stated, axes=axes)


def _check_agreement(
    source: TiffSource, stated: StatedAxes, given: Mapping[str, int | None], order: str | None
) -> None:
    """Raise SourceError if arguments contradict the axes that a file states."""
    where = f"'{source.table.path}' states in its {stated.kind} description"
    for axis, name in AXIS_NAMES.items():
        number = given[axis]
        if number is not None and number != stated.size(axis):
            raise SourceError(
                f"{where} {stated.size(axis)} {name} (axes {stated.axes}, sizes {stated.sizes}), "
                f"but num_{name} is {number}; leave num_{name} out."
            )
    if order is not None:
        fastest_first = "".join(axis for axis in reversed(stated.axes) if stated.size(axis) > 1)
        requested = "".join(axis for axis in order if stated.size(axis) > 1)
        if requested != fastest_first:
            raise SourceError(
                f"{where} the axes {stated.axes}, slowest first, but dimension_order is {order}, "
                "fastest first; leave dimension_order out."
            )


def _to_channels_samples_planes(pages: Integers, axes: str) -> Integers:
    """Transpose page numbers from ``axes`` (some of T, Z and C) to (channel, sample, plane)."""
    present = [axis for axis in "CTZ" if axis in axes]
    pages = pages.transpose([axes.index(axis) for axis in present])
    shape = iter(pages.shape)
    return pages.reshape([next(shape) if axis in present else 1 for axis in "CTZ"])


def _stated_pages(source: TiffSource, stated: StatedAxes) -> Integers:
    """Return the pages of one file in its stated order, of shape (channels, samples, planes)."""
    pages = np.arange(source.table.num_pages, dtype=np.int64).reshape(stated.sizes)
    return _to_channels_samples_planes(pages, stated.axes)


def _counted_pages(
    reader: TiffPageReader, num_channels: int, num_planes: int, order: str
) -> Integers:
    """Return the pages of all files in the order of the arguments, of the same shape."""
    num_samples, rest = divmod(reader.num_pages, num_channels * num_planes)
    # The pages of an incomplete sample at the end of a truncated file are left out with it.
    ends_early = reader.sources[-1].table.is_truncated and order[-1] == "T" and num_samples > 0
    if rest and not ends_early:
        raise SourceError(
            f"'{reader.sources[0].table.path}' and the {len(reader.sources) - 1} files after it "
            f"have {reader.num_pages} pages, which is not a multiple of {num_channels} channels x "
            f"{num_planes} planes = {num_channels * num_planes} pages per sample: {rest} pages "
            "are left over. Correct num_channels or num_planes, or remove the incomplete sample."
        )
    sizes = {"C": num_channels, "Z": num_planes, "T": num_samples}
    axes = order[::-1]
    num_pages = num_samples * num_channels * num_planes
    pages = np.arange(num_pages, dtype=np.int64).reshape([sizes[axis] for axis in axes])
    return _to_channels_samples_planes(pages, axes)
