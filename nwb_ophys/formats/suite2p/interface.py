"""Suite2p output folders: the ROIs, and the movie that Suite2p registered."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs

from nwb_ophys.errors import OptionError, SourceArgumentError, SourceError
from nwb_ophys.filetypes.files import warn_of_others
from nwb_ophys.formats.suite2p.folder import (
    MOVIE_FILES,
    ROI_FILES,
    arrays_of_others,
    channel_in_words,
    channel_names,
    find_suite2p_folder,
    is_plane,
    lacking_files,
    missing_planes,
    movies_not_read,
    other_folders,
    part_of,
    place_of,
    plane_names,
    plane_number,
    planes_left_out,
    planes_of_other_names,
    planes_without_second_channel,
    raw_file_names,
    read_ops,
    reads_matlab_file,
    recorded_channel,
    short_second_channels,
    suite2p_folder_of,
    suite2p_refusal,
)
from nwb_ophys.interfaces.arguments import (
    allow_truncated_argument,
    argument,
    trust_pickles_argument,
)
from nwb_ophys.interfaces.grouping import FileGroup, Grouping, LeftOut
from nwb_ophys.interfaces.imaging import ImagingInterface, ImagingOptions, block_size
from nwb_ophys.interfaces.made_from import MadeFrom
from nwb_ophys.interfaces.mixins import MotionWriter
from nwb_ophys.interfaces.segmentation import SegmentationInterface
from nwb_ophys.interfaces.streams import Part
from nwb_ophys.metadata import DeepDict
from nwb_ophys.paths import PathProbe
from nwb_ophys.writers.original_files import OriginalFiles

if TYPE_CHECKING:
    from pynwb import NWBFile


@attrs.frozen(kw_only=True)
class Suite2pSource:
    """Source arguments of a Suite2p folder."""

    folder_path: Path = argument("Folder 'suite2p', or the folder of one of its planes.")
    channel_name: Literal["chan1", "chan2"] = argument("Name of the channel.", default="chan1")
    plane_name: str | None = argument(
        "Name of the plane, such as 'plane0'; optional if there is only one.", default=None
    )
    trust_pickles: bool = trust_pickles_argument()


@attrs.frozen(kw_only=True)
class Suite2pMovieSource(Suite2pSource):
    """Source arguments of a movie that Suite2p registered."""

    allow_truncated: bool = allow_truncated_argument()


_CORRECTED = (
    "Mean over time of each pixel of the second channel, corrected by Suite2p for "
    "bleed-through from the first channel."
)
_IMAGES = {
    "enhanced": "Mean over time of each pixel, with contrast enhanced by Suite2p.",
    "maximum": "Maximum over time of each pixel of the binned and filtered movie in which Suite2p "
    "looked for ROIs.",
    "correlation": "Suite2p's correlation map: correlation of each pixel with its neighbours.",
    "corrected": _CORRECTED,
    "mean_second_channel": "Mean over time of each pixel of the second channel.",
    "corrected_second_channel": _CORRECTED,
}


class Suite2pSegmentationInterface(SegmentationInterface):
    """The ROIs that Suite2p found in one plane, with the traces of one channel."""

    Source = Suite2pSource
    reads_ranges = True
    joins_subfolders = True

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.suite2p.rois import MendedSuite2pExtractor

        folder, plane = _chosen(source, ROI_FILES)
        return MendedSuite2pExtractor(
            folder, source.channel_name, plane, is_trusted=source.trust_pickles
        )

    def describe(self) -> Mapping[str, Any]:
        """Return what the output states of itself: nothing of the microscope."""
        where = place_of(self.extractor.options, self.extractor.plane_name)
        description = f"ROIs that Suite2p found in {_what(self.extractor)}.{where}"
        segmentation = {"plane_segmentations": [{"description": description}]}
        there = self.extractor.get_images_dict()
        images = {name: {"description": _IMAGES[name]} for name in there if name in _IMAGES}
        return {
            "Ophys": {
                "ImageSegmentation": segmentation,
                "SegmentationImages": {"PlaneSegmentation": images},
            }
        }

    def part(self) -> str:
        """Return the channel and the plane, where there are several."""
        extractor = self.extractor
        return part_of(extractor.folder_path, extractor.channel_name, extractor.plane_name)

    def made_from(self) -> MadeFrom:
        """Return the files, the channel and the plane that Suite2p read, by its settings."""
        return _made_from(self.extractor)

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for a Suite2p folder with ROIs: the files of its planes."""
        return _evidence(path, ROI_FILES)

    @classmethod
    def movie_files(cls, path: Path) -> Sequence[str]:
        """Return the names of the movie files that Suite2p read, by its settings."""
        try:
            folder, plane = find_suite2p_folder(path)
            return raw_file_names(read_ops(folder / (plane or plane_names(folder)[0])))
        except SourceError:  # damaged; opening the folder raises with words
            return ()

    @classmethod
    def recording_of(cls, probe: PathProbe) -> Path | None:
        """Return the ``suite2p`` folder that a file such as F.npy belongs to, or None."""
        return suite2p_folder_of(probe)

    @classmethod
    def refusal(cls, probe: PathProbe) -> str | None:
        """Return which files a plane lacks, or the folder to give instead of a file, or None."""
        return suite2p_refusal(probe)

    @classmethod
    def group(cls, probe: PathProbe, movie_names: Collection[str] = ()) -> Grouping:
        """Return the Suite2p folder at a path; folders of other runs below it are left out."""
        return _grouping(probe, ROI_FILES, "it holds the ROIs of another run of Suite2p")

    @classmethod
    def parts(cls, path: Path, **source: Any) -> list[Part]:
        """Return a part for each plane and channel of a Suite2p folder."""
        return _parts(path, ROI_FILES, source)


@attrs.frozen(kw_only=True)
class Suite2pImagingOptions(ImagingOptions):
    """Conversion options of a movie that Suite2p registered."""

    parent_container: Literal["acquisition", "processing/ophys"] = argument(
        "Place of the series in the file; a processed movie is not an acquisition.",
        default="processing/ophys",
    )
    motion_correction: bool = argument(
        "Write a CorrectedImageStack with the shifts of the frames to MotionCorrection, instead "
        "of a series.",
        default=False,
    )
    original: str | None = argument(
        "With motion_correction: name of the registered series in the file's acquisition. If not "
        "given, a new series refers to the files that Suite2p read.",
        default=None,
    )


class Suite2pImagingInterface(ImagingInterface, MotionWriter):
    """The movie of one plane and channel that Suite2p registered, ``data.bin``."""

    Source = Suite2pMovieSource
    reads_ranges = True
    joins_subfolders = True
    Options = Suite2pImagingOptions
    # The movie is as large as the recording, and Suite2p can make it again.
    request_option = "registered_movie"
    request_defaults: ClassVar[Mapping[str, Any]] = {"motion_correction": True}

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.suite2p.movie import Suite2pMovieExtractor

        folder, plane = _chosen(source, MOVIE_FILES)
        return Suite2pMovieExtractor(
            folder,
            source.channel_name,
            plane,
            allow_truncated=source.allow_truncated,
            is_trusted=source.trust_pickles,
        )

    def describe(self) -> Mapping[str, Any]:
        """Return what the output states of itself: nothing of the microscope."""
        state = "after" if self.extractor.is_registered else "without"
        where = place_of(self.extractor.options, self.extractor.plane_name)
        description = f"Movie of {_what(self.extractor)}, {state} registration by Suite2p.{where}"
        return {"Ophys": {self.photon_series_type: [{"description": description}]}}

    def part(self) -> str:
        """Return the channel and the plane, where there are several."""
        extractor = self.extractor
        return part_of(extractor.folder_path, extractor.channel_name, extractor.plane_name)

    def made_from(self) -> MadeFrom:
        """Return the files, the channel and the plane that Suite2p read, by its settings."""
        return _made_from(self.extractor)

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for a Suite2p folder with a registered movie."""
        return _evidence(path, MOVIE_FILES)

    @classmethod
    def recording_of(cls, probe: PathProbe) -> Path | None:
        """Return the ``suite2p`` folder with a movie that a file such as ops.npy belongs to."""
        return suite2p_folder_of(probe, MOVIE_FILES)

    @classmethod
    def group(cls, probe: PathProbe, movie_names: Collection[str] = ()) -> Grouping:
        """Return the Suite2p folder at a path; folders of other runs below it are left out."""
        return _grouping(probe, MOVIE_FILES, "it holds a movie of another run of Suite2p")

    @classmethod
    def parts(cls, path: Path, **source: Any) -> list[Part]:
        """Return a part for each plane and channel of a Suite2p folder that has a movie."""
        return _parts(path, MOVIE_FILES, source)

    def add_movie(self, nwbfile: NWBFile, metadata: DeepDict, kind: str, chosen: Any) -> None:
        """Add the movie as a series, or with its shifts if ``motion_correction`` is True."""
        if not chosen.motion_correction:
            if chosen.original is not None:
                raise OptionError("original is given, but it needs motion_correction=True.")
            super().add_movie(nwbfile, metadata, kind, chosen)
            return
        if chosen.parent_container == "acquisition":
            raise OptionError(
                "parent_container is 'acquisition', but a movie with its shifts goes to "
                "MotionCorrection; write it as a series, with motion_correction=False."
            )
        # The extractor of a stub knows no shifts, so they come from the extractor of all frames.
        whole, num_samples = self.open(self.source), int(self.extractor.get_num_samples())
        also = " Blocks of each frame were also shifted separately." * whole.has_block_shifts
        self.add_corrected_image_stack(
            nwbfile,
            metadata,
            xy_translation=whole.get_shifts()[:num_samples],
            original=chosen.original or _original_of(whole),
            photon_series_type=kind,
            photon_series_index=chosen.photon_series_index,
            iterator_options=block_size(chosen.iterator_options),
            translation_description="Number of pixels by which Suite2p moved each frame: x "
            f"towards larger columns, y towards larger rows.{also}",
        )


def _original_of(movie: Any) -> OriginalFiles:
    files, starts = movie.get_original_files()
    what = f"Frames of {_what(movie)}, in the files that Suite2p registered."
    return OriginalFiles(files=files, starting_frames=starts, description=what)


def _made_from(extractor: Any) -> MadeFrom:
    """Return the files, the channel and the plane of the recording that an extractor is of."""
    ops = extractor.options
    # The folders of a mesoscope's recording count its planes and regions together.
    has_regions = bool(ops.get("mesoscan")) or (ops.get("nrois") or 1) > 1
    return MadeFrom(
        files=tuple(raw_file_names(ops)),
        channel=recorded_channel(extractor.channel_name, ops),
        num_channels=ops.get("nchannels", 1),
        plane=None if has_regions else plane_number(extractor.plane_name),
        num_planes=ops.get("nplanes", 1),
    )


def _what(extractor: Any) -> str:
    """Return the plane and the channel, in words."""
    channel = channel_in_words(extractor.channel_name, extractor.options)
    return f"{extractor.plane_name}, channel {channel}"


def _chosen(source: Any, files: tuple[str, ...]) -> tuple[Path, str]:
    """Return the folder and the plane of source arguments, and check the channel."""
    folder, plane = find_suite2p_folder(source.folder_path, files)
    planes = plane_names(folder, files)
    plane = source.plane_name or plane or (planes[0] if len(planes) == 1 else None)
    channels = channel_names(folder, files, [plane] if plane else [])
    if plane not in planes and not (plane and is_plane(PathProbe(folder / plane), files)):
        known = ", ".join(planes)
        if plane is None:
            raise SourceArgumentError(
                f"'{folder}' has several planes; choose one with plane_name: {known}."
            )
        raise SourceArgumentError(f"'{folder}' has no plane '{plane}'; it has {known}.")
    if source.channel_name not in channels:
        raise SourceArgumentError(
            f"'{folder}' has no channel '{source.channel_name}'; it has {', '.join(channels)}."
        )
    return folder, plane


def _grouping(probe: PathProbe, files: tuple[str, ...], reason: str) -> Grouping:
    try:
        folder, plane = find_suite2p_folder(probe, files)
    except SourceError:  # opening the path raises with words
        return Grouping(groups=(FileGroup.of_files([probe.path]),))
    where = folder / plane if plane else folder
    return Grouping(
        groups=(FileGroup(path=probe.path, files=(where,)),),
        left_out=tuple(LeftOut(other, reason) for other in other_folders(probe, files)),
    )


def _evidence(path: Path | PathProbe, files: tuple[str, ...]) -> str | None:
    probe = PathProbe.of(path)
    if not probe.is_folder:
        return None
    try:
        folder, plane = find_suite2p_folder(probe, files)
    except SourceError:
        return None
    names = [plane] if plane else plane_names(folder, files)
    from_matlab = all(reads_matlab_file(PathProbe(folder / name)) for name in names)
    held = files
    if from_matlab:
        held = ("Fall.mat", *(name for name in files if name not in ROI_FILES))
    return f"{', '.join(names)} with {' and '.join(held)}"


def _warn_of_left_out(folder: Path, files: tuple[str, ...]) -> None:
    """Warn of planes that are left out, and of planes that have no folder."""
    left_out = planes_left_out(folder, files)
    if left_out:
        warnings.warn(
            f"'{folder}' also has {', '.join(left_out)}, but without {' and '.join(files)}; planes "
            "without these files are left out.",
            UserWarning,
            stacklevel=6,
        )
    others = planes_of_other_names(folder) if files == ROI_FILES else []
    if others:
        warnings.warn(
            f"'{folder}' also has ROIs in {', '.join(others)}, whose names are not plane0, plane1, "
            "…; they are left out. Give the path of such a folder to convert it.",
            UserWarning,
            stacklevel=6,
        )
    missing = missing_planes(folder)
    if missing and files == ROI_FILES:
        warnings.warn(
            f"'{folder}' has no folder {', '.join(missing)}, although it has folders of planes "
            "with other numbers; if Suite2p wrote it, copy it to the others.",
            UserWarning,
            stacklevel=6,
        )


def _warn_of_combined(folder: Path, plane: str | None) -> None:
    """Warn of a path that is the view of all planes in one image."""
    if plane == "combined":
        warnings.warn(
            f"'{folder / plane}' is Suite2p's view of all planes in one image, without the planes: "
            "its ROIs lie in that image, and shorter traces end with zeros. Convert the folders "
            "plane0, plane1, … instead if you have them.",
            UserWarning,
            stacklevel=6,
        )


def _warn_of_lacking(folder: Path, planes: Sequence[str]) -> None:
    lacking = lacking_files(folder, planes)
    if lacking:
        shown = "; ".join(f"{plane} lacks {', '.join(names)}" for plane, names in lacking.items())
        warnings.warn(
            f"'{folder}': {shown}. The conversion goes on without them; if Suite2p wrote these "
            "files, copy them to the others.",
            UserWarning,
            stacklevel=6,
        )


def _warn_of_movies(folder: Path, planes: Sequence[str]) -> None:
    names = movies_not_read(folder, planes)
    if names:
        warnings.warn(
            f"'{folder}' also has {', '.join(names)}: movies before registration, or registered "
            "frames without data.bin. They are left out; convert the files of the recording, or "
            "the folder of TIFF files.",
            UserWarning,
            stacklevel=6,
        )


def _warn_of_short(short: Mapping[str, str]) -> None:
    """Warn of planes whose second channel is left out, as it does not fit the first."""
    for reason in short.values():
        warnings.warn(
            f"{reason}; only the first channel of the plane is read. Extract the second channel "
            "again in Suite2p.",
            UserWarning,
            stacklevel=6,
        )


def _parts(path: Path, files: tuple[str, ...], source: Mapping[str, Any]) -> list[Part]:
    folder, plane = find_suite2p_folder(path, files)
    planes = [plane] if plane else plane_names(folder, files)
    chosen = plane or source.get("plane_name")
    if chosen and chosen not in planes and is_plane(PathProbe(folder / chosen), files):
        planes = [chosen]
    channels = channel_names(folder, files, planes)
    if chosen is None:
        _warn_of_left_out(folder, files)
    _warn_of_combined(folder, plane)
    if files == ROI_FILES:
        _warn_of_lacking(folder, [chosen] if chosen in planes else planes)
        _warn_of_movies(folder, [chosen] if chosen in planes else planes)
        others = arrays_of_others(folder, [chosen] if chosen in planes else planes)
        warn_of_others(folder, others, "Suite2p", stacklevel=5)
    lacking: set[str] = set()
    short: dict[str, str] = {}
    if len(channels) > 1 and "channel_name" not in source:
        asked = {source["plane_name"]} if source.get("plane_name") else set(planes)
        lacking = set(planes_without_second_channel(folder, files, planes)) & asked
        if files == ROI_FILES:
            short = short_second_channels(folder, sorted(asked & set(planes)))
    _warn_of_short(short)
    if lacking:
        warnings.warn(
            f"'{folder}' has a second channel, but not for {', '.join(sorted(lacking))}; only the "
            "first channel is read there.",
            UserWarning,
            stacklevel=5,
        )
    return [
        Part(
            arguments={"folder_path": path, "channel_name": channel, "plane_name": name},
            labels=(channel, name),
        )
        for name in planes
        for channel in channels
        if channel == "chan1" or name not in lacking | short.keys()
    ]
