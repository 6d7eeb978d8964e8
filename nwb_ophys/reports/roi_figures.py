"""Figures of ROIs: outlines over an image, sizes of masks, heat maps and examples of traces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from nwb_ophys.errors import counted
from nwb_ophys.reports.charts import TraceRow, histogram, image_chart, trace_stack
from nwb_ophys.reports.figures import Figure
from nwb_ophys.reports.outlines import svg_path
from nwb_ophys.reports.pictures import gray, limits_of, picture, png_uri, reduced, scale_bar
from nwb_ophys.reports.segmentation import Outlines, Segmentation
from nwb_ophys.reports.series import as_image
from nwb_ophys.reports.timing import StreamTimes
from nwb_ophys.reports.traces import TraceSet

MOST_OUTLINE_BYTES = 1_400_000
"""Size of the outlines of a page."""
MOST_HEAT_PIXELS = 600_000
"""Pixels of all heat maps of a page."""

_LOWEST, _HIGHEST = -1.0, 4.0
_NUM_BINS = 40
_MOST_RATIO = 1000


def outline_figures(
    table: Segmentation, most_pixels: int, most_bytes: int = MOST_OUTLINE_BYTES
) -> Iterator[Figure]:
    """Yield the outlines of all ROIs over an image; of a volume, by plane.

    Parameters
    ----------
    table : Segmentation
    most_pixels : int
        Size of each picture below the outlines.
    most_bytes : int
        Size of all shapes; of more, every n-th ROI is shown.
    """
    backdrop = table.backdrop
    share = most_pixels // max(len(table.outlines), 1)
    for outlines in table.outlines:
        image = _image_below(table, outlines)
        size = None if backdrop is None else backdrop.pixel_size
        where = (
            "" if outlines.plane is None else f", plane {outlines.plane + 1} of {table.num_planes}"
        )
        over = "an empty field" if backdrop is None else backdrop.origin
        num_rois = sum(map(bool, outlines.loops))
        shapes, every = outline_shapes(table, outlines, most_bytes // len(table.outlines))
        title = f"Outlines of {counted(num_rois, 'ROI')} of {table.name} over {over}{where}"
        is_inverted = backdrop is not None and backdrop.is_inverted
        content = picture(
            image,
            title,
            limits=limits_of(image, is_inverted=is_inverted),
            bar=scale_bar(image.shape[1], size),
            overlay=shapes,
            most_pixels=max(share, 1 << 14),
        )
        yield Figure(
            content=content,
            caption=f"{title}. Each line follows the edges of the pixels whose weight is not 0; "
            f"the id of an ROI shows on hover.{_part_in_words(every)}",
            size="large" if outlines.plane is None else "",
        )


def _image_below(table: Segmentation, outlines: Outlines) -> NDArray[np.floating]:
    if table.backdrop is not None:
        image = table.backdrop.image  # one image may be of all planes
        return as_image(image, outlines.plane if image.ndim == 3 else None)
    field = getattr(getattr(table.pixels, "lists", None), "field_shape", (1, 1))
    return np.zeros((field[1], field[0]), np.float32)


def _part_in_words(every: int) -> str:
    return "" if every == 1 else f" To keep the page small, one ROI in {every} is shown."


def outline_shapes(
    table: Segmentation, outlines: Outlines, most_bytes: int = MOST_OUTLINE_BYTES
) -> tuple[Markup, int]:
    """Return the outlines as shapes of SVG, in pixels of the image, with ids as titles.

    Parameters
    ----------
    table : Segmentation
    outlines : Outlines
    most_bytes : int
        Size of all shapes.

    Returns
    -------
    markupsafe.Markup, int
        The shapes, and n if every n-th ROI is shown, 1 for all.
    """
    groups: dict[str, list[str]] = {"rejected": [], "roi": [], "accepted": []}
    for number, loops in enumerate(outlines.loops):
        if not loops:
            continue
        css = table.state(number) or "roi"
        title = escape(f"{table.ids[number]}: {counted(table.sizes[number], 'pixel')}")
        groups[css].append(f'<path d="{svg_path(loops)}"><title>{title}</title></path>')
    size = sum(len(path) for paths in groups.values() for path in paths)
    every = max(-(-size // max(most_bytes, 1)), 1)
    groups = {css: paths[::every] for css, paths in groups.items()}
    parts = [
        f'<g class="outlines {css}">{"".join(paths)}</g>' for css, paths in groups.items() if paths
    ]
    return Markup("".join(parts)), every  # noqa: S704 - numbers, and titles that are escaped


def size_figure(table: Segmentation) -> Figure | None:
    """Return the histogram of the sizes of masks; None without masks.

    Parameters
    ----------
    table : Segmentation
    """
    sizes = table.sizes[table.sizes > 0]
    if not len(sizes):
        return None
    counts, edges = size_bins(sizes)
    noun = "voxels" if table.num_planes > 1 else "pixels"
    label = f"size of the mask ({noun})"
    content = histogram(counts, edges, "Sizes of masks", label, "ROIs", are_whole=True)
    caption = (
        f"Sizes of {counted(len(sizes), 'mask')}: median {np.median(sizes):g}, from "
        f"{sizes.min()} to {sizes.max()} {noun}."
    )
    return Figure(content=content, caption=caption, size="wide")


def size_bins(sizes: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return counts and edges of at most 40 bins, each around the same number of whole sizes.

    Parameters
    ----------
    sizes : numpy.ndarray of int
    """
    span = int(sizes.max() - sizes.min()) + 1
    width = -(-span // _NUM_BINS)
    counts = np.bincount((sizes - sizes.min()) // width)
    return counts, sizes.min() - 0.5 + width * np.arange(len(counts) + 1)


def trace_figures(
    traces: TraceSet, tables: Mapping[str, Segmentation], most_pixels: int = MOST_HEAT_PIXELS
) -> list[Figure]:
    """Return the heat map of a set of traces, and its examples.

    Parameters
    ----------
    traces : TraceSet
    tables : Mapping of str to Segmentation
        Tables by path, for the ids and the acceptance of ROIs.
    most_pixels : int
        Size of the heat map; a larger one is averaged.
    """
    if not traces.heat_map.size:
        return []
    times, label = _times(traces)
    is_even = _are_even(times, traces)
    across, unit = (times, label) if is_even else (traces.samples.astype(np.float64), "sample")
    heat_map = _heat_map(traces, across, unit, most_pixels)
    return [heat_map, _examples(traces, tables, times, label)]


def _are_even(times: NDArray[np.float64], traces: TraceSet) -> bool:
    """Return whether even steps come within a column, or two samples, of the times."""
    number = len(times)
    if number < 3 or not np.isfinite(times).all():
        return bool(np.isfinite(times).all())
    span = float(times[-1] - times[0])
    allowed = max(span / traces.heat_map.shape[1], 2 * span / (number - 1))
    return bool(np.abs(times - np.linspace(times[0], times[-1], number)).max() <= allowed)


def _times(traces: TraceSet) -> tuple[NDArray[np.float64], str]:
    if isinstance(traces.times, StreamTimes) and traces.times.are_known:
        return traces.times.times(traces.samples), "time (s)"
    return traces.samples.astype(np.float64), "sample"


def _heat_map(traces: TraceSet, times: NDArray[np.float64], label: str, most_pixels: int) -> Figure:
    num_rois = traces.shape[1] if len(traces.shape) == 2 else 1
    levels, step = reduced(traces.heat_map, most_pixels)
    uri = png_uri(gray(levels, _LOWEST, _HIGHEST), is_coloured=True)
    content = image_chart(
        uri,
        f"Heat map of {traces.name}",
        (float(times[0]), float(times[-1])),
        (float(num_rois), 0.0),
        (label, "trace"),
    )
    shown = len(traces.heat_map_columns)
    rows = "all traces" if shown == num_rois else f"{shown} of {num_rois} traces, evenly chosen"
    per_bin = traces.samples_per_bin * step
    bins = "" if per_bin == 1 else f", means of {per_bin} samples"
    bins += "" if step == 1 else f" of {step} traces"
    part = ""
    if len(traces.samples) < traces.shape[0]:
        part = f" {len(traces.samples)} of {traces.shape[0]} samples were read, in even blocks."
    caption = (
        f"{rows[0].upper()}{rows[1:]}{bins}. Each row is in standard deviations from its median, "
        f"from {_LOWEST:g} (dark) to {_HIGHEST:g} (bright).{part}"
    )
    return Figure(content=content, caption=caption, size="wide")


def _examples(
    traces: TraceSet,
    tables: Mapping[str, Segmentation],
    times: NDArray[np.float64],
    label: str,
) -> Figure:
    table = tables.get(traces.table or "")
    rows = []
    is_broken = np.diff(traces.samples, prepend=traces.samples[:1]) > 1
    are_times = isinstance(traces.times, StreamTimes) and traces.times.are_known
    gaps = traces.times.gaps if are_times else ()  # type: ignore[union-attr]
    for column, values in traces.examples:
        shown = values.astype(np.float64)
        shown[is_broken] = np.nan
        name, css = _named(traces, table, column)
        rows.append(TraceRow(label=name, css=css, times=times, values=shown, gaps=gaps))
    content = trace_stack(rows, f"Examples of {traces.name}", label)
    best = traces.signal_to_noise[[column for column, _ in traces.examples]]
    caption = (
        "The traces with the highest ratio of signal to noise"
        f"{_range_of(best)}: the 99th percentile less the median, over the standard deviation that "
        "follows from the median step between samples. Each trace fills the height of its row."
    )
    return Figure(content=content, caption=caption, size="wide")


def _range_of(ratios: NDArray[np.float64]) -> str:
    finite = ratios[np.isfinite(ratios)]
    # Of denoised traces the noise is that of rounding.
    is_meaningful = len(finite) > 0 and finite.max() < _MOST_RATIO
    return f", {finite.min():.1f} to {finite.max():.1f}" if is_meaningful else ""


def _named(traces: TraceSet, table: Segmentation | None, column: int) -> tuple[str, str]:
    """Return the name of the ROI of a column, and the class of its line."""
    row = int(traces.rows[column]) if column < len(traces.rows) else None
    if table is None or row is None or not 0 <= row < len(table.ids):
        return f"column {column}", "line"
    return f"ROI {table.ids[row]}", f"line {table.state(row)}".strip()
