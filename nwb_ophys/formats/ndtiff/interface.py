"""NDTiff data sets of Micro-Manager 2 and Pycro-Manager."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from nwb_ophys.filetypes.frames.grid import num_planes
from nwb_ophys.filetypes.frames.settings import describe_recording
from nwb_ophys.filetypes.frames.values import first_value
from nwb_ophys.filetypes.tiff.folders import TIFF_SUFFIXES, first_heading
from nwb_ophys.filetypes.tiff.heading import TiffHeading, read_tiff_heading
from nwb_ophys.formats.ndtiff.index import (
    INDEX_NAME,
    NDTIFF_MARK,
    NDTiffDataset,
    ndtiff_folder,
    read_ndtiff,
)
from nwb_ophys.formats.owners import owner_of
from nwb_ophys.interfaces.arguments import allow_truncated_argument, argument
from nwb_ophys.interfaces.grouping import FileGroup, Grouping, LeftOut
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.streams import Part
from nwb_ophys.paths import PathProbe


@attrs.frozen(kw_only=True)
class NDTiffSource:
    """Source arguments of an NDTiff data set."""

    folder_path: Path = argument(
        f"Folder with {INDEX_NAME} and the TIFF files that it names; or one of these files."
    )
    channel_name: str | None = argument(
        "Name of the channel; optional if there is only one.", default=None
    )
    position_index: int | None = argument(
        "Index of the stage position, from 0; optional if there is only one.", default=None
    )
    plane_index: int | None = argument(
        "Index of a plane, from 0; whole volumes if not given.", default=None
    )
    sampling_frequency: float | None = argument(
        "Sampling rate in Hz; required only if the files do not state it.", default=None
    )
    allow_truncated: bool = allow_truncated_argument()


class NDTiffImagingInterface(ImagingInterface):
    """One channel at one position of an NDTiff data set: one plane, or volumes."""

    Source = NDTiffSource
    reads_ranges = True
    has_volumes = True
    # Micro-Manager records from cameras; users of laser scanners set photon_series_type.
    photon_series_type = "OnePhotonSeries"

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.ndtiff.reader import NDTiffExtractor

        return NDTiffExtractor(**attrs.asdict(source))

    def describe(self) -> Mapping[str, Any]:
        """Return the metadata of the files: start, rate, camera, exposure, pixel size."""
        extractor = self.extractor
        return describe_recording(
            extractor,
            device=_device(extractor.summary, extractor.frame),
            spacing=(None, None, _step(extractor.plane_positions)),
        )

    def channel_names(self) -> Sequence[str]:
        """Return the names of all channels at the position."""
        return self.extractor.channel_names  # type: ignore[no-any-return]

    def position_name(self) -> str:
        """Return the name of the position; empty if there is only one."""
        return self.extractor.position_name if self.extractor.num_positions > 1 else ""

    @classmethod
    def owns(cls, heading: TiffHeading) -> bool:
        """Return whether a TIFF file has the mark of NDTiff after its header."""
        return heading.extra_number == NDTIFF_MARK

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for an NDTiff data set: its index, or the mark of its files."""
        probe = PathProbe.of(path)
        folder = probe.read_once(ndtiff_folder)
        if folder is not None and (probe.is_folder or probe.path.name == INDEX_NAME):
            return f"it has {INDEX_NAME}, the index of an NDTiff data set"
        found = first_heading(probe, cls.owns)
        if found is None:
            return None
        return f"'{found[0].name}' has the header of NDTiff"

    @classmethod
    def recording_of(cls, probe: PathProbe) -> Path | None:
        """Return the folder of the index to which a path belongs, or None."""
        folder = probe.read_once(ndtiff_folder)
        return folder if folder is not None and cls.matches(probe) else None

    @classmethod
    def group(cls, probe: PathProbe, movie_names: Collection[str] = ()) -> Grouping:
        """Return the data set with the files that its index names, and other files beside them."""
        # The reader reports a truncated file.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = read_ndtiff(probe.path, allow_truncated=True)
        files = tuple(data.folder / name for name in data.file_names)
        folder = PathProbe(data.folder)
        headings = {path: read_tiff_heading(path) for path in folder.files(*TIFF_SUFFIXES)}
        left_out = tuple(
            LeftOut(path, f"{INDEX_NAME} does not name it")
            for path, heading in headings.items()
            if path not in files and (heading is None or owner_of(heading, folder) in (None, cls))
        )
        return Grouping(groups=(FileGroup(path=data.folder, files=files),), left_out=left_out)

    @classmethod
    def parts(cls, path: Path, **source: Any) -> Iterator[Part]:
        """Yield every channel at every position of a data set."""
        from nwb_ophys.formats.ndtiff.reader import (
            ndtiff_frames,
            ndtiff_positions,
            position_text,
        )

        data = read_ndtiff(path, source.get("allow_truncated", False))
        _warn_of_repetitions(data)
        positions = ndtiff_positions(data)
        for index, position in enumerate(positions):
            chosen = {"position_index": index} if len(positions) > 1 else {}
            for channel, frames in ndtiff_frames(data, position).items():
                yield Part(
                    arguments={"folder_path": data.folder, **chosen, "channel_name": channel},
                    position=position_text(position),
                    channel=channel,
                    num_planes=num_planes(frames),
                )


def _device(summary: Mapping[str, Any], frame: Mapping[str, Any]) -> str:
    """Describe the microscope; other programs than Micro-Manager can write NDTiff."""
    version = first_value(summary, "MicroManagerVersion")
    is_known = version is not None or first_value(frame, "Core-Camera") is not None
    words = f"Microscope run by Micro-Manager {version or ''}".strip()
    return words if is_known else "Microscope"


def _step(positions: Sequence[float | None]) -> float | None:
    """Return the distance of planes in metres; None unless all are stated and alike."""
    if len(positions) < 2 or None in positions:
        return None
    steps = np.abs(np.diff(np.array(positions, float)))
    return float(steps[0]) * 1e-6 if steps[0] > 0 and np.allclose(steps, steps[0]) else None


def _warn_of_repetitions(data: NDTiffDataset) -> None:
    """Warn of images that were saved twice."""
    if data.num_repeated:
        warnings.warn(
            f"'{data.index_path}' lists {data.num_repeated} images twice; of each, the one that "
            "was saved last is read.",
            UserWarning,
            stacklevel=3,
        )
