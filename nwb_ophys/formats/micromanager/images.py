"""Find the frames of Micro-Manager's separate image files, one file per image.

The folder of a position holds ``metadata.txt`` and the images. ``metadata.txt`` is a JSON object
with the key ``Summary`` and, for each image, ``FrameKey-TIME-CHANNEL-SLICE`` (version 1.4), or
``Coords-PATH`` and ``Metadata-PATH`` (version 2). The names of the images are
``img_TIME_CHANNEL_SLICE.tif`` or ``img_channelC_positionP_timeT_zZ.tif``.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.documents import parse_source_json
from nwb_ophys.errors import CorruptSourceError, shown
from nwb_ophys.filetypes.files import COPY_AGAIN
from nwb_ophys.filetypes.frames.values import first_positive, first_value
from nwb_ophys.filetypes.tiff.folders import TIFF_SUFFIXES
from nwb_ophys.outside import check_file
from nwb_ophys.paths import PathProbe, natural_order

METADATA_NAME = "metadata.txt"
IMAGE_NAMES = (
    re.compile(
        r"img_channel(?P<channel>\d+)_position(?P<position>\d+)_time(?P<time>\d+)"
        r"_z(?P<plane>\d+)\.tiff?$",
        re.IGNORECASE,
    ),
    re.compile(r"img_(?P<time>\d{6,})_(?P<channel>.*)_(?P<plane>\d+)\.tiff?$", re.IGNORECASE),
)
_OWN_KEYS = (b'"MicroManagerVersion"', b'"Micro-Manager"', b'"ChNames"')
_FRAME_KEY = re.compile(r"FrameKey-(\d+)-(\d+)-(\d+)$")
_MOST_BYTES = 1 << 31
_MOST_SHOWN = 5


@attrs.frozen(kw_only=True)
class ImageFile:
    """One image file, as ``metadata.txt`` or its name describes it.

    Attributes
    ----------
    name : str
        Name of the file.
    time, plane, position : int
    channel : int or str
        Index of the channel, or its name.
    metadata : mapping of str to object
        Metadata of the image; empty if there are none.
    """

    name: str
    time: int
    plane: int
    position: int
    channel: int | str
    metadata: Mapping[str, Any] = attrs.field(factory=dict, eq=False, repr=False)


@attrs.frozen(kw_only=True, eq=False)
class ImageFolder:
    """Images of a folder with ``metadata.txt``.

    Attributes
    ----------
    folder : pathlib.Path
    summary : mapping of str to object
        Metadata of the acquisition.
    images : tuple of ImageFile
    missing, others : list of str
        Names of listed images that do not exist, and of TIFF files that are not listed.
    """

    folder: Path
    summary: Mapping[str, Any]
    images: tuple[ImageFile, ...]
    missing: list[str]
    others: list[str]

    @property
    def metadata_path(self) -> Path:
        """Path of ``metadata.txt``."""
        return self.folder / METADATA_NAME

    @property
    def positions(self) -> list[int]:
        """Indices of the positions, sorted."""
        return sorted({image.position for image in self.images})

    def position_name(self, position: int) -> str:
        """Return the name of a position: as an image states it, else from its index."""
        own = next(image for image in self.images if image.position == position)
        return str(first_value(own.metadata, "PositionName") or f"Pos{position}")

    def frames(self, position: int) -> dict[str, dict[tuple[int, int], ImageFile]]:
        """Return the images of each channel at a position by their indices of time and plane.

        Raises
        ------
        CorruptSourceError
            If two images have the same indices.
        """
        found: dict[str, dict[tuple[int, int], ImageFile]] = {}
        for image in self.images:
            if image.position == position:
                own = found.setdefault(self._channel_name(image.channel), {})
                if (image.time, image.plane) in own:
                    raise CorruptSourceError(
                        f"'{self.metadata_path}': '{own[image.time, image.plane].name}' and "
                        f"'{image.name}' are the same time, channel, plane and position; remove "
                        "the one that does not belong to the recording."
                    )
                own[image.time, image.plane] = image
        return {name: found[name] for name in sorted(found, key=self._channel_order)}

    @property
    def first_time(self) -> int:
        """Smallest index of time of all images."""
        return min(image.time for image in self.images)

    def _channel_name(self, channel: int | str) -> str:
        names = [str(name) for name in self.summary.get("ChNames") or ()]
        if isinstance(channel, str):
            return channel
        is_known = channel < len(names) == len(set(names))
        return names[channel] if is_known else f"Channel{channel}"

    def _channel_order(self, name: str) -> tuple[int, Any]:
        names = [str(each) for each in self.summary.get("ChNames") or ()]
        return (names.index(name) if name in names else len(names), natural_order(name))


def image_folder(probe: PathProbe) -> Path | None:
    """Return the folder of separate image files that a path is or lies in, or None.

    Parameters
    ----------
    probe : PathProbe
        A folder, ``metadata.txt`` in it, or one of its images.
    """
    if probe.is_folder:
        names = probe.file_names
        if METADATA_NAME not in names or not any(map(_is_image, names)):
            return None
    elif not probe.is_file or not (probe.path.name == METADATA_NAME or _is_image(probe.path.name)):
        return None
    folder = probe.path if probe.is_folder else probe.path.parent
    if probe.is_file and not (folder / METADATA_NAME).is_file():
        return None
    head = probe.head(folder / METADATA_NAME)
    is_ours = b'"Summary"' in head and any(key in head for key in _OWN_KEYS)
    return folder if is_ours else None


def _is_image(name: str) -> bool:
    return any(pattern.match(name) for pattern in IMAGE_NAMES)


def read_image_folder(folder: Path) -> ImageFolder:
    """Read ``metadata.txt`` of a folder, and find the images.

    Images are described by ``metadata.txt``; only if it describes no image, by their names.

    Parameters
    ----------
    folder : pathlib.Path

    Raises
    ------
    CorruptSourceError
        If ``metadata.txt`` is damaged, or if not one of its images exists.
    """
    path = folder / METADATA_NAME
    content = _read_content(path)
    names = set(PathProbe(folder).names(*TIFF_SUFFIXES))
    listed = tuple(_listed_images(path, content))
    images = listed or tuple(_named_images(names))
    found = tuple(image for image in images if image.name in names)
    if not found:
        raise CorruptSourceError(
            f"'{path}' lists {len(images)} images, but the folder holds not one of them; copy the "
            "images into it."
        )
    own = {image.name for image in images}
    summary = content.get("Summary")
    return ImageFolder(
        folder=folder,
        summary=summary if isinstance(summary, dict) else {},
        images=found,
        missing=sorted(own - names, key=natural_order),
        others=sorted(names - own, key=natural_order),
    )


def warn_of_differences(found: ImageFolder) -> None:
    """Warn of images that are missing, and of fewer times than were planned."""
    path = found.metadata_path
    if found.missing:
        warnings.warn(
            f"'{path}' lists {len(found.missing)} images that are missing: "
            f"{_some(found.missing)}. Their times are left out; copy the images if they exist.",
            UserWarning,
            stacklevel=3,
        )
    planned = first_positive(found.summary, "Frames")
    times = {image.time for image in found.images}
    if planned is not None and len(times) < planned and not found.missing:
        warnings.warn(
            f"'{path}' states {planned:g} times, but there are images of {len(times)}. The "
            "acquisition was stopped, or files are missing; the others are read.",
            UserWarning,
            stacklevel=3,
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:_MOST_SHOWN]) + ", …" * (len(names) > _MOST_SHOWN)


def _read_content(path: Path) -> Mapping[str, Any]:
    """Return the JSON object of ``metadata.txt``, closed if the acquisition did not close it."""
    check_file(path)
    with path.open("rb") as file:
        text = file.read(_MOST_BYTES).decode("utf-8", "replace").strip()
    try:
        found = parse_source_json(text, max_bytes=_MOST_BYTES)
    except ValueError as error:
        # Micro-Manager writes the last bracket when the acquisition ends.
        try:
            found = parse_source_json(text.rstrip().rstrip(",") + "}", max_bytes=_MOST_BYTES)
        except ValueError:
            raise CorruptSourceError(
                f"'{path}' is truncated or damaged ({error}); {COPY_AGAIN}, or move it away to "
                "read the images as plain TIFF files."
            ) from error
    if not isinstance(found, dict):
        raise CorruptSourceError(f"'{path}' holds no JSON object; {COPY_AGAIN}.")
    return found


def _listed_images(path: Path, content: Mapping[str, Any]) -> Iterable[ImageFile]:
    """Yield the images that ``metadata.txt`` describes."""
    for key, value in content.items():
        if not isinstance(value, dict):
            continue
        try:
            if match := _FRAME_KEY.match(key):
                yield _of_frame_key(match, value)
            elif key.startswith("Metadata-"):
                yield _of_coordinates(key, value, content)
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptSourceError(
                f"'{path}': the entry {key!r} does not describe an image ({shown(error)}); "
                f"{COPY_AGAIN}."
            ) from error


def _of_frame_key(match: re.Match[str], value: Mapping[str, Any]) -> ImageFile:
    time, channel, plane = (int(number) for number in match.groups())
    return ImageFile(
        name=_base(str(value["FileName"])),
        time=int(value.get("FrameIndex", time)),
        plane=int(value.get("SliceIndex", plane)),
        position=int(value.get("PositionIndex", 0) or 0),
        channel=int(value.get("ChannelIndex", channel)),
        metadata=value,
    )


def _of_coordinates(key: str, value: Mapping[str, Any], content: Mapping[str, Any]) -> ImageFile:
    path = key.removeprefix("Metadata-")
    coordinates = content.get(f"Coords-{path}")
    if not isinstance(coordinates, dict):
        coordinates = {
            axis: value[name]
            for axis, name in (
                ("time", "FrameIndex"),
                ("z", "SliceIndex"),
                ("channel", "ChannelIndex"),
            )
        }
    return ImageFile(
        name=_base(path),
        time=int(coordinates.get("time", 0)),
        plane=int(coordinates.get("z", 0)),
        position=int(coordinates.get("position", 0)),
        channel=int(coordinates.get("channel", 0)),
        metadata=value,
    )


def _base(path: str) -> str:
    """Return the name of a file from a path of any system."""
    return re.split(r"[/\\]", path)[-1]


def _named_images(names: Iterable[str]) -> Iterable[ImageFile]:
    """Yield the images whose names state their indices."""
    for name in sorted(names, key=natural_order):
        for pattern in IMAGE_NAMES:
            if match := pattern.match(name):
                found = match.groupdict()
                channel = found["channel"]
                yield ImageFile(
                    name=name,
                    time=int(found["time"]),
                    plane=int(found["plane"]),
                    position=int(found.get("position") or 0),
                    channel=int(channel) if "position" in found else channel,
                )
                break
