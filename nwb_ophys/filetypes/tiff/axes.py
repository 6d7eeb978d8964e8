"""Read the axes that a TIFF file states: in the descriptions of ImageJ, OME and tifffile."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path

import attrs

from nwb_ophys.documents import parse_source_json
from nwb_ophys.filetypes.tiff.imagej import IMAGEJ_MARK, imagej_values
from nwb_ophys.filetypes.tiff.page_table import PageTable
from nwb_ophys.filetypes.xml import Element, XmlError, parse_xml

AXIS_NAMES = {"C": "channels", "Z": "planes"}
# Planes or channels of a single sample, above which they may be frames.
_FEWEST_FRAMES = 4
OME_MARK, SHAPED_MARK = "<OME", '"shape":'


@attrs.frozen(kw_only=True)
class StatedAxes:
    """Axes of a file as its first page states them.

    Attributes
    ----------
    kind : str
        ``"ImageJ"``, ``"OME"``, ``"tifffile"``, or empty if nothing is stated.
    axes : str
        Letters of the axes before rows and columns, slowest first: T, Z and C. Empty if the file
        does not name its axes.
    sizes : tuple of int
        Length of each of ``axes``.
    num_images : int
        Stated number of images; 0 if unknown.
    unclear : str
        Reason why the axes are not reliable; empty if they are.
    """

    kind: str = ""
    axes: str = ""
    sizes: tuple[int, ...] = ()
    num_images: int = 0
    unclear: str = ""

    def size(self, axis: str) -> int:
        """Return the length of one axis, 1 if the file has no such axis."""
        return self.sizes[self.axes.index(axis)] if axis in self.axes else 1


def read_stated_axes(table: PageTable) -> StatedAxes:
    """Read the axes that the first page of a file states.

    Parameters
    ----------
    table : PageTable
        The pages of the file.

    Returns
    -------
    StatedAxes
        ``kind`` is empty if the description has no known form.
    """
    description = table.read_description(0)
    if description.startswith(IMAGEJ_MARK):
        return _imagej_axes(description, table.num_pages)
    if description.startswith("{") and SHAPED_MARK in description:
        return _shaped_axes(description, table)
    if OME_MARK in description[:4096] and description.rstrip().endswith(">"):
        return _ome_axes(description, table.num_pages)
    return StatedAxes()


def note_one_sample(path: Path, sizes: Mapping[str, int], remedy: str) -> None:
    """Warn of a movie of one sample whose planes or channels may be its frames.

    Parameters
    ----------
    path : pathlib.Path
    sizes : mapping of str to int
        Numbers of planes (``Z``) and channels (``C``) that the file states.
    remedy : str
        Advice with the name of the axis in place of ``{}``.
    """
    axis = next((axis for axis in "ZC" if sizes[axis] > _FEWEST_FRAMES), None)
    if axis is not None:
        name = AXIS_NAMES[axis]
        warnings.warn(
            f"'{path}' states {sizes[axis]} {name} and one sample, and so it is read. If they are "
            f"the frames of a movie, {remedy.format(name)}.",
            UserWarning,
            stacklevel=3,
        )


_MOST_DIGITS = 19
# Channels of one image, above which they are likely the frames of a movie.
_MOST_CHANNELS = 8


def _stated(kind: str, sizes: Mapping[str, int], order: Sequence[str]) -> StatedAxes:
    """Return the axes in the given order, without axes of length 1."""
    axes = "".join(axis for axis in order if sizes[axis] > 1)
    lengths = tuple(sizes[axis] for axis in axes)
    return StatedAxes(kind=kind, axes=axes or "T", sizes=lengths or (1,), num_images=prod(lengths))


def _imagej_axes(description: str, num_pages: int) -> StatedAxes:
    """Return the axes that an ImageJ description states."""
    values = imagej_values(description)

    def number(key: str) -> int:
        text = values.get(key, "1")
        return max(int(text), 1) if text.isdigit() and len(text) < _MOST_DIGITS else 1

    sizes = {"C": number("channels"), "Z": number("slices"), "T": number("frames")}
    # A plain stack has "slices" too, which may mean time or depth; only a hyperstack is clear.
    is_hyperstack = values.get("hyperstack") == "true" and prod(sizes.values()) > 1
    if not (is_hyperstack or sizes["C"] > 1 or sizes["T"] > 1):
        return StatedAxes(kind="ImageJ", num_images=max(sizes["Z"], number("images")))
    order = values.get("order", "czt").upper()
    stated = _stated("ImageJ", sizes, order[::-1] if sorted(order) == list("CTZ") else "TZC")
    if num_pages > stated.num_images:
        return attrs.evolve(stated, unclear=f"it states {stated.num_images} images, but has more")
    if sizes["C"] > _MOST_CHANNELS and sizes["T"] == 1:
        # So tifffile writes an array of three axes that it was not given the names of.
        unclear = f"it states {sizes['C']} channels and one frame, which may be frames"
        return attrs.evolve(stated, unclear=unclear)
    if number("images") > stated.num_images:  # a size was lost
        unclear = f"it states {number('images')} images, but sizes of {stated.num_images}"
        return attrs.evolve(stated, num_images=number("images"), unclear=unclear)
    return stated


def _shaped_axes(description: str, table: PageTable) -> StatedAxes:
    """Parse the JSON that tifffile writes: the shape of the array and possibly its axes."""
    try:
        values = parse_source_json(description)
        shape = [int(size) for size in values["shape"]]
    except (ValueError, TypeError):
        return StatedAxes()
    axes = str(values.get("axes", "")).upper()
    num_images, rest = divmod(prod(shape), table.rows * table.columns)
    if rest or not num_images:
        return StatedAxes()
    leading = [(axis, size) for axis, size in zip(axes, shape, strict=False) if axis not in "YXS"]
    if len(axes) != len(shape) or not any(axis in "TZC" for axis, _ in leading):
        # Of a single axis before rows and columns, the pages are samples.
        is_clear = axes or sum(size > 1 for size in shape[:-2]) < 2
        unclear = "" if is_clear else f"it states the shape {shape} without names of its axes"
        return StatedAxes(kind="tifffile", num_images=num_images, unclear=unclear)
    # I and Q are tifffile's letters for an unknown axis, which can only be time here.
    if not any(axis == "T" for axis, _ in leading):
        leading = [("T" if axis in "IQ" else axis, size) for axis, size in leading]
    leading = [(axis, size) for axis, size in leading if size > 1 or axis in "TZC"]
    letters = [axis for axis, _ in leading]
    unclear = ""
    if len(set(letters)) < len(letters) or not set(letters) <= set("TZC"):
        unclear = f"it states the axes {axes!r}; only T, Z, C, Y and X are known"
    elif prod(size for _, size in leading) != num_images:
        unclear = f"it states the shape {shape}, which does not fit the size of its pages"
    elif table.num_pages > num_images:
        unclear = f"it states {num_images} images, but has several series"
    return StatedAxes(
        kind="tifffile",
        axes="".join(letters),
        sizes=tuple(size for _, size in leading),
        num_images=num_images,
        unclear=unclear,
    )


def _ome_axes(description: str, num_pages: int) -> StatedAxes:
    """Parse OME-XML; its axes are reliable only if the pages lie in the stated order."""
    try:
        root = parse_xml(description.strip())
    except XmlError as error:
        reason = str(error).rstrip(".")
        return StatedAxes(kind="OME", unclear=f"its OME-XML cannot be parsed ({reason})")
    all_pixels = [element for element in root.iter() if _local_name(element) == "Pixels"]
    if len(all_pixels) != 1:
        return StatedAxes(
            kind="OME", unclear=f"its OME-XML describes {len(all_pixels)} images, not one"
        )
    (pixels,) = all_pixels
    try:
        sizes = {axis: int(pixels.attrib[f"Size{axis}"]) for axis in "CZT"}
        order = pixels.attrib["DimensionOrder"][:1:-1]
    except (KeyError, ValueError) as error:
        return StatedAxes(kind="OME", unclear=f"its OME-XML lacks sizes or order ({error})")
    if sorted(order) != list("CTZ"):
        return StatedAxes(kind="OME", unclear=f"its OME-XML has the dimension order {order!r}")
    stated = _stated("OME", sizes, order)
    if stated.num_images != num_pages:
        unclear = (
            f"its OME-XML describes {stated.num_images} planes and the file has {num_pages}: "
            "it is one file of a set"
        )
    else:
        try:
            unclear = _check_plane_order(pixels, sizes, order)
        except ValueError as error:
            unclear = f"its OME-XML states page numbers that are not integers ({error})"
    return StatedAxes(
        kind="OME",
        axes=stated.axes,
        sizes=stated.sizes,
        num_images=num_pages if unclear else stated.num_images,
        unclear=unclear,
    )


def _check_plane_order(pixels: Element, sizes: Mapping[str, int], order: str) -> str:
    """Return how the pages deviate from the stated order; empty if they follow it."""
    strides = {axis: prod(sizes[a] for a in order[i + 1 :]) for i, axis in enumerate(order)}
    for element in pixels:
        if _local_name(element) != "TiffData":
            continue
        first = {axis: int(element.attrib.get(f"First{axis}", "0")) for axis in "CZT"}
        expected = sum(first[axis] * strides[axis] for axis in "CZT")
        page = int(element.attrib.get("IFD", str(expected) if any(first.values()) else "0"))
        if page != expected:
            return f"its OME-XML has plane {first} on page {page}, out of the stated order"
    return ""


def _local_name(element: Element) -> str:
    """Return the name of an XML element without its namespace."""
    return element.tag.rpartition("}")[2]
