"""TIFF recordings of Bruker's Prairie View."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import SourceError
from nwb_ophys.filetypes.tiff.folders import TIFF_SUFFIXES
from nwb_ophys.filetypes.tiff.heading import TiffHeading, read_tiff_heading
from nwb_ophys.interfaces.arguments import allow_truncated_argument, argument
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.streams import Part
from nwb_ophys.paths import PathProbe

# Each cycle may have further files: recorded and output voltages, and stimulation points.
_OTHER_XML = re.compile(
    r"_Cycle\d+_(VoltageRecording|VoltageOutput|MarkPoints)[^/]*$", re.IGNORECASE
)
_MARK = re.compile(rb"<PVScan\s[^>]*?version=\"([\d.]*)")


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
    allow_truncated: bool = allow_truncated_argument()


class BrukerImagingInterface(ImagingInterface):
    """One channel of a Prairie View recording: one plane, or volumes."""

    Source = BrukerSource
    has_volumes = True
    owned_beside = (".xml",)

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.bruker.reader import BrukerTiffExtractor

        found = _xml_files_of(source.folder_path)
        if len(found) > 1:
            names = ", ".join(f"'{path.name}'" for path in found)
            raise SourceError(
                f"'{source.folder_path}' holds {len(found)} recordings ({names}); give the path of "
                "one of these files."
            )
        return BrukerTiffExtractor(
            found[0], source.channel_name, source.plane_index, source.allow_truncated
        )

    def describe(self) -> Mapping[str, Any]:
        """Return the metadata of the XML file: start, rate, microscope, laser, gain, pixel size."""
        from nwb_ophys.formats.bruker.metadata import describe_prairie

        return describe_prairie(self.extractor, self.source.plane_index)

    def channel_names(self) -> Sequence[str]:
        """Return the names of all channels of the recording."""
        return list(self.extractor.layout.channels.values())

    @classmethod
    def owns(cls, heading: TiffHeading) -> bool:
        """Return whether a TIFF file was written by Prairie View."""
        return _is_of_prairie_view(heading)

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for a Prairie View recording: its XML file."""
        probe = PathProbe.of(path)
        found = _xml_files(probe)
        if not found:
            return None
        mark = _MARK.search(probe.head(found[0]) if found[0] != probe.path else probe.head())
        version = ".".join(mark[1].decode().split(".")[:2]) if mark else ""
        what = f"{found[0].name} with PVScan {version}".strip()
        if not probe.is_folder:
            return what if probe.path == found[0] else f"'{probe.path.name}' beside {what}"
        count = len(probe.names(*TIFF_SUFFIXES))
        kind = "TIFF" if len(probe.names(".ome.tif")) < count else ".ome.tif"
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        return f"{count} {kind} file{'' if count == 1 else 's'} and {what}{more}"

    @classmethod
    def parts(cls, path: Path, **source: Any) -> Iterator[Part]:
        """Yield every channel of every recording at a path."""
        from nwb_ophys.formats.bruker.reader import open_prairie_recording

        files = _xml_files_of(path)
        for xml in files:
            _, layout = open_prairie_recording(xml, source.get("allow_truncated", False))
            for channel in layout.channels.values():
                yield Part(
                    arguments={
                        "folder_path": path if len(files) == 1 else xml,
                        "channel_name": channel,
                    },
                    recording=xml.stem,
                    channel=channel,
                    num_planes=layout.num_planes,
                )


def _is_of_prairie_view(heading: TiffHeading) -> bool:
    return heading.software.startswith("Prairie View")


def _xml_files_of(path: Path) -> list[Path]:
    """Return the XML files of recordings, or raise if there are none."""
    found = _xml_files(PathProbe(path))
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
        stem = re.sub(r"_Cycle\d+(?!.*_Cycle\d).*", "", probe.path.name)
        xmls = (probe.path.with_name(stem + suffix) for suffix in (".xml", ".XML"))
        return [xml for xml in xmls if xml.is_file() and _MARK.search(probe.head(xml))][:1]
    files = [path for path in probe.files(".xml") if not _OTHER_XML.search(path.name)]
    return [path for path in files if _MARK.search(probe.head(path))]
