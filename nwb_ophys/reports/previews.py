"""A look at a recording before it is converted, for notebooks: bounded parts of it are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np

from nwb_ophys.errors import ArgumentError
from nwb_ophys.reports.charts import TraceRow, trace_stack
from nwb_ophys.reports.figures import Figure
from nwb_ophys.reports.masks import RoiPixels
from nwb_ophys.reports.pictures import picture
from nwb_ophys.reports.rendering import framed, rendered, style
from nwb_ophys.reports.roi_figures import outline_figures
from nwb_ophys.reports.segmentation import Backdrop, Segmentation, outlines_of, sizes_of
from nwb_ophys.reports.series import planes_of
from nwb_ophys.reports.traces import signal_to_noise
from nwb_ophys.rois.model import Rois

_MOST_FRAMES = 32
_MOST_BYTES = 64_000_000
_MOST_PLANES = 4
_MOST_PIXELS = 1 << 18
_NUM_EXAMPLES = 6
_IMAGES = ("mean", "max", "correlation")


@attrs.frozen(kw_only=True, repr=False)
class Preview:
    """Pictures of a recording; a notebook shows them.

    Attributes
    ----------
    title : str
    figures : tuple of Figure
    """

    title: str
    figures: tuple[Figure, ...]

    def __repr__(self) -> str:
        captions = ", ".join(repr(figure.caption) for figure in self.figures)
        return f"<Preview of {self.title}: {captions or 'nothing to show'}>"

    def _repr_html_(self) -> str:
        values = {"title": self.title, "figures": self.figures, "style": style()}
        return framed(rendered("preview.html", values))


def preview_of(source: Any) -> Preview:
    """Return a look at what an interface, or all streams of a converter, read.

    Parameters
    ----------
    source : BaseOphysInterface or OphysConverter
        Streams of a converter that are neither a movie nor a segmentation are passed over.

    Raises
    ------
    ArgumentError
        For an interface of another kind, or a converter of nothing else.
    """
    title = type(source).__name__
    figures = _figures_of(source)
    if figures is None:
        raise ArgumentError(f"{title} reads neither a movie nor ROIs, so that it has no preview.")
    return Preview(title=title, figures=tuple(figures))


def _figures_of(source: Any) -> list[Figure] | None:
    """Return the figures of a source; None if it has neither a movie nor ROIs."""
    streams = getattr(source, "interfaces", None)
    if isinstance(streams, Mapping):
        found = {name: _figures_of(each) for name, each in streams.items()}
        shown = {name: figures for name, figures in found.items() if figures is not None}
        if not shown:
            return None
        return [
            attrs.evolve(figure, caption=f"{name}: {figure.caption}")
            for name, figures in shown.items()
            for figure in figures
        ]
    extractor = getattr(source, "extractor", None)
    if hasattr(extractor, "get_roi_ids"):
        return _of_rois(extractor, type(source).__name__)
    return _of_movie(extractor) if hasattr(extractor, "get_series") else None


def _of_movie(extractor: Any) -> list[Figure]:
    """Return the mean of a few frames, spread evenly; of a volume, by plane."""
    num_samples = int(extractor.get_num_samples())
    if not num_samples:
        return []
    first = np.asarray(extractor.get_series(start_sample=0, end_sample=1))
    most = max(min(_MOST_FRAMES, _MOST_BYTES // max(first.nbytes, 1)), 1)
    frames = planes_of(num_samples, most)
    total = np.zeros(first.shape[1:], np.float64)
    for frame in frames:
        total += np.asarray(extractor.get_series(start_sample=frame, end_sample=frame + 1))[0]
    mean = total / len(frames)
    title = f"Mean of {len(frames)} of {num_samples} frames"
    if mean.ndim == 2:
        return [Figure(content=picture(mean, title, most_pixels=_MOST_PIXELS), caption=title)]
    planes = planes_of(mean.shape[2], _MOST_PLANES)
    share = _MOST_PIXELS // len(planes)
    titles = [f"{title}, plane {plane + 1} of {mean.shape[2]}" for plane in planes]
    return [
        Figure(content=picture(mean[:, :, plane], caption, most_pixels=share), caption=caption)
        for plane, caption in zip(planes, titles, strict=True)
    ]


def _of_rois(extractor: Any, title: str) -> list[Figure]:
    """Return the outlines over a summary image, and a few traces."""
    rois = Rois.of(extractor)
    table = _table(rois, extractor, title)
    found = list(outline_figures(table, _MOST_PIXELS))
    example = _examples(rois, table, extractor)
    return found if example is None else [*found, example]


def _table(rois: Rois, extractor: Any, title: str) -> Segmentation:
    pixels = RoiPixels.of_lists(rois.pixels, "pixel_mask")
    return Segmentation(
        path=title,
        description="",
        plane=None,
        is_background=False,
        columns=(),
        ids=np.asarray(rois.ids),
        is_accepted=rois.accepted,
        acceptance_origin="",
        pixels=pixels,
        sizes=sizes_of(pixels),
        outlines=tuple(outlines_of(pixels)),
        num_planes=rois.field_shape[2] if len(rois.field_shape) == 3 else 1,
        backdrop=_backdrop(extractor, rois.field_shape),
    )


def _backdrop(extractor: Any, field: tuple[int, ...]) -> Backdrop | None:
    images = extractor.get_images_dict()
    for name in sorted(images, key=lambda each: _IMAGES.index(each) if each in _IMAGES else 9):
        image = None if images[name] is None else np.asarray(images[name])
        if image is not None and image.ndim == 2 and image.T.shape == tuple(field[:2]):
            return Backdrop(image=image.T, origin=f"the image '{name}'")
    return None


def _examples(rois: Rois, table: Segmentation, extractor: Any) -> Figure | None:
    """Return the traces with the highest ratio of signal to noise, of the first samples."""
    for kind, data in rois.traces.items():
        length = max(_MOST_BYTES // max(len(rois) * 8, 1), 3)
        values = np.asarray(data[:length], dtype=np.float64)
        if values.ndim != 2 or not values.size:
            continue
        ratios, _ = signal_to_noise(values)
        best = np.argsort(-np.nan_to_num(ratios, nan=-np.inf), kind="stable")[:_NUM_EXAMPLES]
        rate = extractor.get_sampling_frequency()
        times = np.arange(len(values)) / (rate or 1.0)
        rows = [
            TraceRow(
                label=f"ROI {table.ids[each]}",
                css="line rejected" if table.state(int(each)) == "rejected" else "line",
                times=times,
                values=values[:, each],
            )
            for each in best
        ]
        title = f"{kind}: the traces with the highest ratio of signal to noise"
        content = trace_stack(rows, title, "time (s)" if rate else "sample")
        return Figure(content=content, caption=title, size="wide")
    return None
