"""TIFF recordings of Bruker's Prairie View."""

from __future__ import annotations

import html
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from nwb_ophys.errors import SourceArgumentError, SourceError, counted, first_named
from nwb_ophys.filetypes.tiff.folders import TIFF_SUFFIXES
from nwb_ophys.filetypes.tiff.heading import TiffHeading, read_tiff_heading
from nwb_ophys.formats.bruker.names import plain_name
from nwb_ophys.interfaces.arguments import allow_truncated_argument, argument
from nwb_ophys.interfaces.images import ImagesInterface
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.lines import LineScanInterface
from nwb_ophys.interfaces.streams import Part, streams_of
from nwb_ophys.paths import PathProbe

if TYPE_CHECKING:
    from nwb_ophys.formats.bruker.contents import LineScan, Section

# Each cycle may have further files: recorded and output voltages, and stimulation points.
_OTHER_XML = re.compile(
    r"_Cycle\d+_(VoltageRecording|VoltageOutput|MarkPoints)[^/]*$", re.IGNORECASE
)
# Prairie View writes these beside the images.
_BESIDE_XML = (".xml", ".env", ".csv", ".txt", ".dat")
_IMAGE = re.compile(rb"<File\s[^<>]*?filename=\"([^\"]+)\"")
_LINE_SCAN = re.compile(rb"<Sequence\s[^<>]*?type=\"[^\"]*line\s?scan", re.IGNORECASE)
_MARK = re.compile(rb"<PVScan\s[^<>]*?version=\"([\d.]*)")


@attrs.frozen(kw_only=True)
class BrukerSource:
    """Source arguments of a Prairie View recording."""

    folder_path: Path = argument(
        "Folder of the recording; or its XML file, if the folder holds several recordings."
    )
    channel_name: str | None = argument(
        "Name of the channel, such as 'Ch2'; optional if there is only one.", default=None
    )
    plane_index: int | None = argument(
        "Index of a plane, from 0; whole volumes if not given.", default=None
    )
    position_index: int | None = argument(
        "Index of a position of the stage, from 0; optional if there is only one.", default=None
    )
    allow_truncated: bool = allow_truncated_argument()


@attrs.frozen(kw_only=True)
class BrukerLineScanSource:
    """Source arguments of a line scan of Prairie View."""

    folder_path: Path = argument(
        "Folder of the recording; or its XML file, if the folder holds several recordings."
    )
    channel_name: str | None = argument(
        "Name of the channel, such as 'Ch2'; optional if there is only one.", default=None
    )
    line_scan_index: int | None = argument(
        "Index of the scanned line, from 0; optional if there is only one.", default=None
    )


@attrs.frozen(kw_only=True)
class BrukerImagesSource:
    """Source arguments of a single image or z-stack of Prairie View."""

    folder_path: Path = argument(
        "Folder of the recording; or its XML file, if the folder holds several recordings."
    )
    channel_name: str | None = argument(
        "Name of the channel, such as 'Ch2'; optional if there is only one.", default=None
    )
    image_index: int | None = argument(
        "Index of the position of the stage, from 0; optional if there is only one.", default=None
    )


class BrukerImagingInterface(ImagingInterface):
    """One channel of a Prairie View recording: one plane, or volumes."""

    Source = BrukerSource
    reads_ranges = True
    stream_options: ClassVar[Mapping[str, Any]] = {
        "line_scans": {
            "type": "boolean",
            "description": "Convert the line scans of the recording, too; False leaves them out.",
        }
    }
    has_volumes = True
    owned_beside = (".xml",)

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.bruker.reader import BrukerTiffExtractor

        return BrukerTiffExtractor(
            _only_xml_file(source.folder_path),
            source.channel_name,
            source.plane_index,
            source.position_index,
            source.allow_truncated,
        )

    def describe(self) -> Mapping[str, Any]:
        """Return the metadata of the XML file: start, rate, microscope, laser, gain, pixel size."""
        from nwb_ophys.formats.bruker.metadata import describe_prairie

        return describe_prairie(self.extractor, self.source.plane_index)

    def channel_names(self) -> Sequence[str]:
        """Return the names of all channels of the recording."""
        return list(self.extractor.layout.channels.values())

    def position_name(self) -> str:
        """Return the name of the position of the stage, or empty where there is only one."""
        return str(self.extractor.section_name)

    @classmethod
    def owns(cls, heading: TiffHeading) -> bool:
        """Return whether a TIFF file was written by Prairie View."""
        return _is_of_prairie_view(heading)

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for a Prairie View recording: its XML file."""
        probe = PathProbe.of(path)
        found = _without_others(probe, _xml_files(probe))
        if not found:
            return None
        mark = _MARK.search(probe.head(found[0]) if found[0] != probe.path else probe.head())
        version = ".".join(mark[1].decode().split(".")[:2]) if mark else ""
        what = f"{found[0].name} with PVScan {version}".strip()
        if not probe.is_folder:
            return what if probe.path == found[0] else f"'{probe.path.name}' beside {what}"
        images = probe.names(*TIFF_SUFFIXES)
        count = len(images)
        kind = ".ome.tif" if all(name.lower().endswith(".ome.tif") for name in images) else "TIFF"
        if _LINE_SCAN.search(probe.head(found[0])):
            what += " of a line scan"
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        return f"{counted(count, f'{kind} file')} and {what}{more}"

    @classmethod
    def recording_of(cls, probe: PathProbe) -> Path | None:
        """Return the recording that a file is named in: its folder, or one of several XML files."""
        if not probe.is_file:
            return None
        found = _xml_files(probe)
        if not found:
            return None
        return found[0] if len(_xml_files(PathProbe(found[0].parent))) > 1 else found[0].parent

    @classmethod
    def parts(cls, path: Path, line_scans: bool | None = None, **source: Any) -> Iterator[Part]:
        """Yield every channel of every position and line scan of every recording at a path."""
        from nwb_ophys.formats.bruker.notes import warn_of_contents
        from nwb_ophys.formats.bruker.reader import no_images, open_prairie_recording

        files = _xml_files_of(path)
        _warn_of_others(path, files)
        for xml in files:
            contents = open_prairie_recording(xml, source.get("allow_truncated", False))
            if not contents.sections and not contents.line_scans:
                raise SourceError(no_images(xml, contents))
            warn_of_contents(xml, contents, line_scans is not False)
            where = {"folder_path": path if len(files) == 1 else xml}
            only_movies = source.get("position_index", source.get("plane_index")) is not None
            yield from _section_parts(contents.sections, where, xml.stem, only_movies)
            if line_scans is not False and not only_movies:
                yield from _line_parts(contents.line_scans, where, xml.stem)

    @classmethod
    def streams(
        cls, path: Path, as_volume: bool = True, **source: Any
    ) -> dict[str, dict[str, Any]]:
        """Return all that a path holds: source arguments by the name of the stream.

        See :meth:`nwb_ophys.interfaces.base.BaseOphysInterface.streams`.
        """
        given = {name: value for name, value in source.items() if name != "line_scans"}
        parts = list(cls.parts(path, **source))
        if not parts and source.get("line_scans") is False:
            raise SourceError(f"'{path}' holds only line scans, which line_scans=false leaves out.")
        if not parts:
            raise SourceArgumentError(
                f"'{path}' has no movie, of which {' and '.join(given)} would choose a part; leave "
                "the argument out."
            )
        channel = given.get("channel_name")
        if channel is not None and all(part.channel != channel for part in parts):
            # The class of the part says which channels there are.
            wrong = {**parts[0].arguments, "channel_name": channel}
            parts = [attrs.evolve(parts[0], arguments=wrong)]
        return streams_of(parts, given, as_volume)

    @classmethod
    def class_of(cls, arguments: Mapping[str, Any]) -> type:
        """Return the class that writes a stream: of a movie, a line scan, or images."""
        if "line_scan_index" in arguments:
            return BrukerLineScanInterface
        return BrukerImagesInterface if "image_index" in arguments else cls


class BrukerLineScanInterface(LineScanInterface):
    """One channel of a line scan of Prairie View: lines over time."""

    Source = BrukerLineScanSource
    reads_ranges = True

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.bruker.lines import BrukerLineScanExtractor

        return BrukerLineScanExtractor(
            _only_xml_file(source.folder_path), source.line_scan_index, source.channel_name
        )

    def describe(self) -> Mapping[str, Any]:
        """Return the metadata of the XML file: start, microscope, laser, line, pixel size."""
        from nwb_ophys.formats.bruker.metadata import describe_line_scan

        return describe_line_scan(self.extractor)

    def channel_names(self) -> Sequence[str]:
        """Return the names of all channels of the line scan."""
        return list(self.extractor.line_scan.layout.channels.values())

    def position_name(self) -> str:
        """Return the name of the line, or empty where there is only one."""
        return str(self.extractor.line_scan.name)


class BrukerImagesInterface(ImagesInterface):
    """One channel of a single image or z-stack of Prairie View."""

    Source = BrukerImagesSource
    reads_ranges = True

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.bruker.reader import BrukerTiffExtractor

        return BrukerTiffExtractor(
            _only_xml_file(source.folder_path),
            source.channel_name,
            position_index=source.image_index,
        )

    def describe(self) -> Mapping[str, Any]:
        """Return the metadata of the XML file: start, microscope, laser, pixel size, depth."""
        from nwb_ophys.formats.bruker.metadata import describe_images

        return describe_images(self.extractor)

    def channel_names(self) -> Sequence[str]:
        """Return the names of all channels of the image."""
        return list(self.extractor.layout.channels.values())

    def position_name(self) -> str:
        """Return the name of the position of the stage, or empty where there is only one."""
        return str(self.extractor.section_name)


def _section_parts(
    sections: Sequence[Section], where: Mapping[str, Any], recording: str, only_movies: bool
) -> Iterator[Part]:
    """Yield every channel of the movies, and of single images unless they are not wanted."""
    for index, section in enumerate(sections):
        if not section.is_movie and only_movies:
            continue
        place = {}
        if not section.is_movie and not only_movies:
            place = {"image_index": index}
        elif len(sections) > 1:
            place = {"position_index": index}
        for channel in section.layout.channels.values():
            yield Part(
                arguments={**where, "channel_name": channel, **place},
                recording=recording,
                position=section.name,
                channel=channel,
                num_planes=section.layout.num_planes if section.is_movie else 1,
            )


def _line_parts(
    line_scans: Sequence[LineScan], where: Mapping[str, Any], recording: str
) -> Iterator[Part]:
    """Yield every channel of the line scans."""
    for index, scan in enumerate(line_scans):
        for channel in scan.layout.channels.values():
            yield Part(
                arguments={**where, "channel_name": channel, "line_scan_index": index},
                recording=recording,
                position=f"line scan {scan.name}".strip(),
                channel=channel,
            )


def _only_xml_file(path: Path) -> Path:
    """Return the XML file of the only recording at a path, or raise if there are several."""
    found = _xml_files_of(path)
    if len(found) > 1:
        names = ", ".join(f"'{file.name}'" for file in found)
        raise SourceError(
            f"'{path}' holds {len(found)} recordings ({names}); give the path of one of these "
            "files."
        )
    return found[0]


def _is_of_prairie_view(heading: TiffHeading) -> bool:
    return heading.software.startswith("Prairie View")


def _xml_files_of(path: Path) -> list[Path]:
    """Return the XML files of recordings, or raise if there are none."""
    probe = PathProbe(path)
    found = _without_others(probe, _xml_files(probe))
    if not found:
        raise SourceError(
            f"'{path}' holds no XML file of Prairie View, which describes the images; copy it from "
            "the computer that recorded them."
        )
    return found


def _xml_files(probe: PathProbe) -> list[Path]:
    """Return the XML files of recordings: in a folder, beside an image, or the file itself."""
    if probe.is_file and probe.path.name.lower().endswith(TIFF_SUFFIXES):
        heading = probe.read_once(read_tiff_heading)
        if heading is None or not _is_of_prairie_view(heading):
            return []
        stem = re.sub(r"[_-]Cycle\d+(?!.*[_-]Cycle\d).*", "", probe.path.name)
        xmls = (probe.path.with_name(stem + suffix) for suffix in (".xml", ".XML"))
        return [xml for xml in xmls if xml.is_file() and _MARK.search(probe.head(xml))][:1]
    files = [path for path in probe.files(".xml") if not _OTHER_XML.search(path.name)]
    found = [path for path in files if _MARK.search(probe.head(path))]
    own = [path for path in found if _has_images(probe, path)]
    if probe.is_file or own or not found:
        return found if probe.is_file else own
    # Without its images an XML file is a stray in a folder of something else.
    is_alone = probe.folder_names <= {"References"} and all(
        name.lower().endswith(_BESIDE_XML) or "." not in name for name in probe.file_names
    )
    return found if is_alone else []


def _has_images(probe: PathProbe, xml: Path) -> bool:
    """Return whether an image is there that the beginning of an XML file names."""
    images = _images_in(probe, xml)
    if any(name in probe.file_names for name in images):
        return True
    present = set(map(plain_name, probe.names(*TIFF_SUFFIXES)))
    return any(plain_name(name) in present for name in images)


def _images_in(probe: PathProbe, xml: Path) -> list[str]:
    """Return the names of the images in the beginning of an XML file."""
    found = (match[1].decode("utf-8", "replace") for match in _IMAGE.finditer(probe.head(xml)))
    return [html.unescape(name) for name in found]


def _without_others(probe: PathProbe, files: list[Path]) -> list[Path]:
    """Return the XML files of a folder without further ones that name the images of another one.

    Users edit copies of them. The file with the name of the images counts.
    """
    if not probe.is_folder or len(files) < 2:
        return files
    images = {file: _images_in(probe, file) for file in files}
    own = [f for f in files if any(re.match(rf"{re.escape(f.stem)}[_-]", n) for n in images[f])]
    kept: list[Path] = []
    known: set[str] = set()
    for file in sorted(files, key=lambda each: (each not in own, -len(each.stem))):
        if not known & set(images[file]):
            kept.append(file)
            known |= set(images[file])
    return [file for file in files if file in kept]


def _warn_of_others(path: Path, files: list[Path]) -> None:
    """Warn of XML files in a folder that name the images of one that is read."""
    probe = PathProbe(path)
    others = [file for file in _xml_files(probe) if file not in files] if probe.is_folder else []
    if others:
        named = first_named([file.name for file in others], 5)
        warnings.warn(
            f"'{path}' has XML files that name the images of another one, and are left out: "
            f"{named}. To read one of them in place of the other, give its path.",
            UserWarning,
            stacklevel=3,
        )
