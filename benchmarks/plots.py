"""Plots of the results, one image for each case."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.lengths import LENGTHS
from benchmarks.results import Results, median, throughput
from benchmarks.segmentation import NUMBERS

_OURS, _PEER, _OTHER = "#2a6fbb", "#d9822b", "#9aa0a6"
_LINE = "#444444"


def write_plots(folder: Path, results: Results) -> dict[str, str]:
    """Write the plots of the cases in the results.

    Returns
    -------
    dict
        Name of the image by the letter of the case, for cases with results.
    """
    makers: dict[str, Callable[[Results], Any]] = {
        "a": lambda these: _movie(these, "a-movie-hdf5"),
        "b": lambda these: _movie(these, "b-movie-zarr"),
        "c": _raw_files,
        "d": _rois,
        "e": _length,
        "f": _start,
        "g": lambda _: None,  # a single number each
        "h": lambda _: None,
        "i": lambda _: None,
        "j": lambda _: None,
    }
    written = {}
    for letter in sorted({key[0] for key in results["comparisons"]}):
        figure = makers[letter](results)
        if figure is None:
            continue
        written[letter] = f"{letter}.png"
        figure.savefig(folder / written[letter], dpi=110)
    return written


def _figure(width: float, height: float, columns: int = 1) -> tuple[Any, Any]:
    """Return a figure and its axes, in inches, without a frame above and at the right."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes if columns > 1 else axes[0]


def _colour(name: str) -> str:
    if name.startswith("nwb_ophys"):
        return _OURS
    return _PEER if name.startswith("neuroconv") else _OTHER


def _bars(axes: Any, values: dict[str, float], digits: Callable[[float], str]) -> None:
    """Draw horizontal bars, the first on top, with their numbers beside them."""
    names = list(values)
    bars = axes.barh(names, list(values.values()), 0.65, color=[_colour(name) for name in names])
    axes.bar_label(bars, [digits(value) for value in values.values()], padding=4)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, 1.12 * max(values.values()))


def _measured(results: Results, key: str) -> list[str]:
    """Return the contenders of a comparison that ran."""
    contenders = results["comparisons"].get(key, {}).get("contenders", {})
    return [name for name, values in contenders.items() if not values.get("not_run")]


# --- cases ------------------------------------------------------------------------------------


def _movie(results: Results, key: str) -> Any:
    """Draw the throughput of each contender, and the rooflines as lines."""
    speeds = {name: throughput(results, key, name) or 0.0 for name in _measured(results, key)}
    roofs = {name: speeds.pop(name) for name in list(speeds) if name.startswith("roofline")}
    figure, axes = _figure(8, 0.9 + 0.42 * (len(speeds) + bool(roofs)))
    _bars(axes, speeds, lambda speed: f"{speed:,.0f}")
    for name, speed in roofs.items():
        axes.axvline(speed, color=_LINE, linestyle="--", linewidth=1)
        axes.annotate(
            f"{name}\n{speed:,.0f} ",
            (speed, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=9,
            color=_LINE,
        )
    axes.set_xlim(0, 1.12 * max([*speeds.values(), *roofs.values()]))
    axes.set_xlabel("uncompressed MB/s")
    return figure


def _raw_files(results: Results) -> Any:
    """Draw the throughput of both packages for each kind of file."""
    titles = {"c-plain": "TIFF", "c-lzw": "TIFF, LZW", "c-scanimage": "ScanImage"}
    titles = {key: title for key, title in titles.items() if _measured(results, key)}
    figure, axes = _figure(8, 3.2)
    _groups(
        axes,
        list(titles.values()),
        {
            name: [throughput(results, key, name) for key in titles]
            for name in ("neuroconv", "nwb_ophys")
        },
        lambda speed: f"{speed:,.0f}",
    )
    axes.set_ylabel("uncompressed MB/s")
    return figure


def _rois(results: Results) -> Any:
    """Draw time and memory of image masks and traces against the number of ROIs."""
    sources = ("neuroconv, from images", "nwb_ophys, from images", "nwb_ophys, from Suite2p")
    numbers = [number for number in NUMBERS if _measured(results, f"d-{number}-image")]
    if not numbers:
        return None
    figure, both = _figure(9.5, 3.6, columns=2)
    labels = (("seconds", 1.0, "seconds"), ("own_above", 1e6, "MB above the source's memory"))
    for axes, (quantity, unit, label) in zip(both, labels, strict=True):
        for name, marker in zip(sources, "oos", strict=True):
            medians = [median(results, f"d-{n}-image", name, quantity) for n in numbers]
            points = [(n, value / unit) for n, value in zip(numbers, medians, strict=True) if value]
            style = "--" if "Suite2p" in name else "-"
            across, up = [point[0] for point in points], [point[1] for point in points]
            axes.plot(across, up, style, marker=marker, color=_colour(name), label=name)
        axes.set(xscale="log", yscale="log", xlabel="ROIs", ylabel=label)
        axes.set_xticks(numbers, [f"{number:,}" for number in numbers])
        axes.xaxis.minorticks_off()
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        axes.yaxis.set_minor_formatter(lambda value, _: "")
        axes.set_ylim(*_decades(axes.get_ylim()))
        axes.grid(axis="y", color="#e0e0e0")
    handles = both[0].get_legend_handles_labels()
    figure.legend(*handles, frameon=False, loc="outside upper center", ncols=3)
    return figure


def _decades(limits: tuple[float, float]) -> tuple[float, float]:
    """Return limits of a logarithmic axis widened to whole powers of ten."""
    return 10 ** math.floor(math.log10(limits[0])), 10 ** math.ceil(math.log10(limits[1]))


def _length(results: Results) -> Any:
    """Draw time and peak memory against the length of the movie."""
    names = [f"{length} GB" for length in LENGTHS]
    lengths = [(median(results, "e-length", name, "num_bytes") or 0) / 1e9 for name in names]
    figure, both = _figure(8, 3.2, columns=2)
    labels = (("seconds", 1.0, "seconds"), ("peak", 1e6, "peak resident memory, MB"))
    for axes, (quantity, unit, label) in zip(both, labels, strict=True):
        values = [(median(results, "e-length", name, quantity) or 0) / unit for name in names]
        axes.plot(lengths, values, "o", color=_OURS, zorder=3)
        level = values[0] if quantity == "peak" else None
        ends = [level, level] if level else [0, values[0] / lengths[0] * lengths[-1]]
        text = "as at the shortest" if level else "in proportion to the shortest"
        axes.plot([0, lengths[-1]], ends, "--", color=_LINE, linewidth=1, label=text)
        axes.set(xlabel="length, uncompressed GB", ylabel=label)
        axes.set_xlim(0, 1.05 * lengths[-1])
        axes.set_ylim(0, 1.25 * max(values))
        axes.legend(frameon=False, loc="upper left" if quantity == "seconds" else "lower left")
    return figure


def _start(results: Results) -> Any:
    """Draw the time of the import and of the help of both packages."""
    titles = {"f-import": "import", "f-help": "--help"}
    titles = {key: title for key, title in titles.items() if _measured(results, key)}
    figure, axes = _figure(6, 3)
    _groups(
        axes,
        list(titles.values()),
        {
            name: [median(results, key, name, "seconds") for key in titles]
            for name in ("neuroconv", "nwb_ophys")
        },
        lambda seconds: f"{seconds:.2f}",
    )
    axes.set_ylabel("seconds")
    return figure


def _groups(
    axes: Any,
    titles: list[str],
    values: dict[str, list[float | None]],
    digits: Callable[[float], str],
) -> None:
    """Draw bars side by side, one group for each title."""
    width = 0.36
    for index, (name, numbers) in enumerate(values.items()):
        heights = [number or 0.0 for number in numbers]
        places = [place + (index - 0.5) * width for place in range(len(titles))]
        bars = axes.bar(places, heights, width * 0.95, color=_colour(name), label=name)
        axes.bar_label(bars, [digits(height) for height in heights], padding=2)
    axes.set_xticks(range(len(titles)), titles)
    axes.tick_params(axis="x", length=0)
    axes.margins(y=0.15)
    axes.figure.legend(frameon=False, loc="outside upper center", ncols=len(values))
