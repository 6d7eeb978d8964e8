"""ROIs of a file: tables, acceptance, mask sizes, outlines, and the image that lies below them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.formats.nwb.tables import with_acceptance
from nwb_ophys.reports.failures import Unreadable, attempt
from nwb_ophys.reports.masks import FORMS, RoiPixels, form_of, read_pixels
from nwb_ophys.reports.outlines import Loop, trace_outlines
from nwb_ophys.reports.pixel_sizes import PixelSize, pixel_size_of
from nwb_ophys.reports.series import MovieFacts
from nwb_ophys.reports.stored_file import StoredFile

_BACKGROUND = ("background", "neuropil")
_MOST_PLANES = 6
_MOST_IMAGES = 12
_CHANNELS = {"GrayscaleImage": 0, "RGBImage": 3, "RGBAImage": 4}
# Images of other types, such as the plain type from which these derive, lie in such containers.
_IMAGE, _CONTAINER = "Image", "Images"
_EXTERNAL = "ExternalImage"
_MOST_IMAGE_VALUES = 1 << 24
_ACCEPTED, _REJECTED = "is_accepted", "is_rejected"


@attrs.frozen(kw_only=True, eq=False)
class Outlines:
    """Outlines of the ROIs on one plane.

    Attributes
    ----------
    plane : int or None
        Number of the plane of a volume; None for an image.
    loops : list of list of Loop
        Closed lines of each ROI, in the order of the table.
    """

    plane: int | None
    loops: list[list[Loop]]


@attrs.frozen(kw_only=True, eq=False)
class Backdrop:
    """The image below the outlines.

    Attributes
    ----------
    image : numpy.ndarray, shape (columns, rows[, planes])
    origin : str
        What the image is, in words.
    pixel_size : PixelSize or None
    is_inverted : bool
        Whether the highest values are the darkest.
    """

    image: NDArray[Any]
    origin: str
    pixel_size: PixelSize | None = None
    is_inverted: bool = False


@attrs.frozen(kw_only=True, eq=False)
class SummaryPicture:
    """An image in a processing module, or among what was acquired.

    Attributes
    ----------
    path : str
    image : numpy.ndarray, shape (columns, rows[, 3])
        Gray, or red, green and blue.
    has_alpha : bool
        Whether it has an alpha channel, which is not shown.
    """

    path: str
    image: NDArray[Any]
    has_alpha: bool = False


@attrs.frozen(kw_only=True, eq=False)
class Segmentation:
    """A table of ROIs.

    Attributes
    ----------
    path, description : str
    plane : str or None
        Path of its imaging plane.
    is_background : bool
        Whether its name says that its components are background or neuropil.
    columns : tuple of str
    ids : numpy.ndarray of int, shape (ROIs,)
    is_accepted : numpy.ndarray of bool or None, shape (ROIs,)
        None where no column states it.
    acceptance_origin : str
        Column that states acceptance.
    pixels : RoiPixels or Unreadable or None
        None for a table without masks.
    sizes : numpy.ndarray of int, shape (ROIs,)
        Number of distinct pixels of each ROI whose weight is not 0.
    outlines : tuple of Outlines
    num_planes : int
        Planes of the field; 1 for an image.
    backdrop : Backdrop or None
    is_undecided : numpy.ndarray of bool or None, shape (ROIs,)
        Whether each ROI is neither accepted nor rejected, or both, by two columns; None if none is.
    """

    path: str
    description: str
    plane: str | None
    is_background: bool
    columns: tuple[str, ...]
    ids: NDArray[np.int64]
    is_accepted: NDArray[np.bool_] | None
    acceptance_origin: str
    pixels: RoiPixels | Unreadable | None
    sizes: NDArray[np.int64]
    outlines: tuple[Outlines, ...]
    num_planes: int
    backdrop: Backdrop | None
    is_undecided: NDArray[np.bool_] | None = None

    @property
    def name(self) -> str:
        """Name of the table, the last part of its path."""
        return self.path.rpartition("/")[2]

    def state(self, row: int) -> str:
        """Return ``accepted`` or ``rejected``; an empty text for an ROI that is neither."""
        flags, undecided = self.is_accepted, self.is_undecided
        if flags is None or (undecided is not None and undecided[row]):
            return ""
        return "accepted" if flags[row] else "rejected"


def table_paths(file: StoredFile) -> Iterator[str]:
    """Yield the paths of the tables of ROIs, cells first, background last."""
    found = [
        path
        for path in file.members
        if file.kind(path) == "PlaneSegmentation" or (file.kind(path) and form_of(file, path))
    ]
    yield from sorted(found, key=lambda path: _is_background(path))


def _is_background(path: str) -> bool:
    name = path.rpartition("/")[2].lower()
    return any(word in name for word in _BACKGROUND)


def num_rois_of(file: StoredFile, tables: Sequence[str]) -> int:
    """Return the number of ROIs of all tables that are not background.

    Parameters
    ----------
    file : StoredFile
    tables : sequence of str
        Paths of the tables.
    """
    shapes = [file.shape(file.member(each, "id")) for each in tables if not _is_background(each)]
    return sum(shape[0] if shape else 1 for shape in shapes if shape is not None)


def gather_segmentation(file: StoredFile, path: str, movies: Sequence[MovieFacts]) -> Segmentation:
    """Return the ROIs of a table.

    Parameters
    ----------
    file : StoredFile
    path : str
        Path of the table.
    movies : sequence of MovieFacts
        Movies of the file, of which one on the same plane lies below the outlines.
    """
    plane = file.member(path, "imaging_plane")
    ids = np.atleast_1d(np.asarray(file.value(file.required(path, "id")), dtype=np.int64))
    accepted, undecided, origin = _acceptance(file, path, len(ids))
    field = field_of_plane(file, plane, movies, 3 if form_of(file, path) == "voxel_mask" else 2)
    pixels = attempt(path, _pixels_of, file, path, field, len(ids))
    sizes, num_planes = np.zeros(len(ids), np.int64), 1
    outlines: tuple[Outlines, ...] = ()
    backdrop = None
    if isinstance(pixels, RoiPixels):
        lists = pixels.lists
        num_planes = lists.field_shape[2] if len(lists.field_shape) == 3 else 1
        sizes, outlines = sizes_of(pixels), tuple(outlines_of(pixels))
        backdrop = backdrop_of(file, path, movies, lists.field_shape)
    names = file.attribute(path, "colnames")
    return Segmentation(
        path=path,
        description=str(file.attribute(path, "description") or ""),
        plane=plane,
        is_background=_is_background(path),
        columns=tuple(map(str, names)) if isinstance(names, list) else (),
        ids=ids,
        is_accepted=accepted,
        is_undecided=undecided,
        acceptance_origin=origin,
        pixels=pixels,
        sizes=sizes,
        outlines=outlines,
        num_planes=num_planes,
        backdrop=backdrop,
    )


def _pixels_of(
    file: StoredFile, path: str, field: Sequence[int] | None, num_rois: int
) -> RoiPixels | None:
    """Return the pixels of all ROIs of a table, if there is one mask for each."""
    pixels = read_pixels(file, path, field)
    if pixels is not None and len(pixels.lists.ends) != num_rois:
        raise CorruptSourceError(
            f"The table has {num_rois} ROIs, but {len(pixels.lists.ends)} masks."
        )
    return pixels


def _acceptance(
    file: StoredFile, path: str, num_rois: int
) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None, str]:
    """Return which ROIs are accepted, which undecided, and the columns that state it."""
    columns: dict[str, tuple[NDArray[Any], str]] = {}
    for name, place in file.members.get(path, {}).items():
        shape = file.shape(place)
        if (
            name in FORMS
            or shape is None
            or len(shape) not in (1, 2)
            or f"{name}_index" in (file.members[path])
        ):
            continue
        if name.lower() in ("accepted", "rejected", _ACCEPTED, _REJECTED, "iscell", "is_cell"):
            values = np.asarray(file.value(place))
            columns[name] = (values[:, 0] if values.ndim == 2 else values, "")
    found = with_acceptance(columns)
    stated = {
        name: found[name][0].astype(bool)
        for name in (_ACCEPTED, _REJECTED)
        if name in found and len(found[name][0]) == num_rois
    }
    if not stated:
        return None, None, ""
    origin = ", ".join(_stating(columns, found, name) for name in stated)
    accepted = stated[_ACCEPTED] if _ACCEPTED in stated else ~stated[_REJECTED]
    undecided = accepted == stated.get(_REJECTED, ~accepted)
    return accepted, undecided if undecided.any() else None, origin


def _stating(columns: Mapping[str, Any], found: Mapping[str, Any], name: str) -> str:
    """Return the column that became another: both mappings have the same order."""
    return next(column for column, new in zip(columns, found, strict=True) if new == name)


def sizes_of(pixels: RoiPixels) -> NDArray[np.int64]:
    """Return the number of distinct pixels of each ROI.

    Parameters
    ----------
    pixels : RoiPixels
    """
    lists = pixels.lists
    roi = np.repeat(np.arange(len(lists.ends), dtype=np.int64), lists.counts)
    keys = roi
    for axis, size in zip(lists.coordinates, lists.field_shape, strict=True):
        keys = keys * size + axis
    order = np.argsort(keys, kind="stable")
    is_first = np.diff(keys[order], prepend=-1) > 0
    return np.bincount(roi[order][is_first], minlength=len(lists.ends))


def outlines_of(pixels: RoiPixels) -> Iterator[Outlines]:
    """Yield the outlines of all ROIs; of a volume, on the planes with the most of their pixels.

    Parameters
    ----------
    pixels : RoiPixels
    """
    lists = pixels.lists
    if len(lists.coordinates) == 2:
        x, y = lists.coordinates
        yield Outlines(plane=None, loops=trace_outlines(x, y, lists.ends))
        return
    x, y, z = lists.coordinates
    roi = np.repeat(np.arange(len(lists.ends)), lists.counts)
    for plane in shown_planes(z, lists.field_shape[2]):
        own = z == plane
        ends = np.cumsum(np.bincount(roi[own], minlength=len(lists.ends)))
        yield Outlines(plane=plane, loops=trace_outlines(x[own], y[own], ends))


def shown_planes(z: NDArray[np.integer], num_planes: int) -> list[int]:
    """Return the planes that are shown: those with the most pixels of ROIs, in their order."""
    counts = np.bincount(z, minlength=num_planes)
    most = np.argsort(-counts, kind="stable")[:_MOST_PLANES]
    return sorted(int(plane) for plane in most if counts[plane])


def field_of_plane(
    file: StoredFile, plane: str | None, movies: Sequence[MovieFacts], num_axes: int = 2
) -> tuple[int, ...] | None:
    """Return (columns, rows[, planes]) of a movie on a plane, or of all images if they are alike.

    Of several movies, the first whose frames have as many axes as the masks is taken.

    Parameters
    ----------
    file : StoredFile
    plane : str or None
        Path of the imaging plane.
    movies : sequence of MovieFacts
    num_axes : int
        Number of coordinates of a pixel of the masks.
    """
    own = [each for each in movies if plane is not None and each.plane == plane]
    whole = [each.shape[1:] for each in own if each.shape and 0 not in each.shape]
    found = next(iter(sorted(whole, key=lambda shape: len(shape) != num_axes)), None)
    shapes = {file.shape(path) for path in _picture_paths(file)}
    return found or (shapes.pop() if len(shapes) == 1 else None)


def backdrop_of(
    file: StoredFile, table: str, movies: Sequence[MovieFacts], field: Sequence[int]
) -> Backdrop | None:
    """Return the mean of a movie on the plane of a table, or else a summary image of its ROIs.

    Parameters
    ----------
    file : StoredFile
    table : str
        Path of the table.
    movies : sequence of MovieFacts
    field : sequence of int
        (columns, rows[, planes]) of the masks.
    """
    plane = file.member(table, "imaging_plane")
    for each in movies:
        statistics = each.statistics
        if each.plane is None or each.plane != plane or isinstance(statistics, Unreadable):
            continue
        if statistics is not None and tuple(statistics.frame_shape) == tuple(field):
            origin = f"the mean of '{each.name}'"
            return Backdrop(
                image=statistics.mean,
                origin=origin,
                pixel_size=each.pixel_size,
                is_inverted=each.scaling.is_inverted,
            )
    own = [path for path in _picture_paths(file) if _belongs(file, path, table)]
    for path in sorted(own, key=_preference):
        if file.shape(path) == tuple(field):
            found = attempt(path, _picture, file, path)
            if isinstance(found, SummaryPicture):
                size = pixel_size_of(file, None, plane, ())
                name = "/".join(path.split("/")[-2:])
                return Backdrop(image=found.image, origin=f"the image '{name}'", pixel_size=size)
    return None


def _preference(path: str) -> int:
    """Return the rank of an image below outlines: means come first, then maxima."""
    name = path.rpartition("/")[2].lower()
    words = (("mean", "average"), ("max",))
    return next((rank for rank, any_of in enumerate(words) if any(w in name for w in any_of)), 2)


def _belongs(file: StoredFile, path: str, table: str) -> bool:
    """Return whether an image is of the ROIs of a table: of several, names tell which."""
    names = [each.rpartition("/")[2] for each in table_paths(file) if not _is_background(each)]
    own = table.rpartition("/")[2]
    if len(names) < 2 or own not in names:
        return len(names) < 2
    if f"/{own}/" in path:
        return True
    shared = zip(*names, strict=False)
    length = next((at for at, each in enumerate(shared) if len({*each}) > 1), min(map(len, names)))
    while length and names[0][length - 1].isdigit():  # 1 and 10 are two numbers
        length -= 1
    ending = own[length:]
    before = path[: -len(ending)] if ending and path.endswith(ending) else ""
    return bool(before) and not (ending[0].isdigit() and before[-1].isdigit())


def _picture_paths(file: StoredFile) -> list[str]:
    """Return the paths of gray images in processing modules."""
    own = (path for path in _image_paths(file) if path.startswith("processing/"))
    return [path for path in own if not _channels_of(file, path)]


def _image_paths(file: StoredFile) -> list[str]:
    """Return the paths of images, gray or coloured: those of processing modules first."""
    places = ("processing", "acquisition")  # images of stimuli follow

    def rank(path: str) -> int:
        group = path.partition("/")[0]
        return places.index(group) if group in places else len(places)

    return sorted((path for path in file.objects if _is_image(file, path)), key=rank)


def _is_image(file: StoredFile, path: str) -> bool:
    """Return whether a dataset is an image of any type, also of an extension."""
    if not file.is_dataset(path):
        return False
    kind = file.kind(path)
    is_contained = file.kind(path.rpartition("/")[0]) == _CONTAINER
    return kind in _CHANNELS or (is_contained and kind.endswith(_IMAGE))


def _channels_of(file: StoredFile, path: str) -> int:
    """Return the number of channels of an image, 0 for a gray one: by its type, else its shape."""
    shape = file.shape(path) or ()
    by_shape = shape[2] if len(shape) == 3 and shape[2] in _CHANNELS.values() else 0
    return _CHANNELS.get(file.kind(path), by_shape)


def summary_pictures(file: StoredFile) -> list[SummaryPicture | Unreadable]:
    """Return the first images of a file."""
    return [attempt(path, _picture, file, path) for path in _image_paths(file)[:_MOST_IMAGES]]


def pictures_left_out(file: StoredFile) -> list[str]:
    """Return whether images are not shown, in sentences."""
    number = len(_image_paths(file))
    return [f"The first {_MOST_IMAGES} of {number} images are shown."] * (number > _MOST_IMAGES)


def _picture(file: StoredFile, path: str) -> SummaryPicture:
    shape = file.shape(path) or ()
    channels = _channels_of(file, path)
    if file.kind(path) == _EXTERNAL:
        raise ValueError(f"Its pixels are in the file '{file.value(path)}', which is not read.")
    if 0 in shape:
        raise ValueError(f"It has no pixels: its shape is {shape}.")
    if shape[2:] != ((channels,) if channels else ()) or math.prod(shape) > _MOST_IMAGE_VALUES:
        axes = f"two axes and {channels} channels" if channels else "two axes"
        raise ValueError(f"Its shape is {shape}; an image that is shown has {axes}.")
    if lacking := file.lacking(path):
        raise ValueError(lacking)
    image = np.asarray(file.value(path))
    if image.dtype.kind not in "biuf":
        raise ValueError(f"Its values are {image.dtype}; an image has integers or floats.")
    shown = image[..., :3] if channels else image.astype(np.float64)
    return SummaryPicture(path=path, image=shown, has_alpha=channels == 4)


def counts_of(segmentation: Segmentation) -> Mapping[str, int]:
    """Return the numbers of accepted, rejected and other ROIs; empty where nothing is stated."""
    flags = segmentation.is_accepted
    if flags is None:
        return {}
    states = [segmentation.state(row) or "undecided" for row in range(len(flags))]
    found = {name: states.count(name) for name in ("accepted", "rejected", "undecided")}
    return {name: number for name, number in found.items() if number or name != "undecided"}
