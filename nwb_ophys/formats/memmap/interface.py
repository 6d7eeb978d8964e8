"""Movies in files of raw pixels, and CaImAn's memory maps."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs
from pynwb import NWBFile

from nwb_ophys.errors import OptionError, SourceError
from nwb_ophys.formats.memmap.shifts import Registration
from nwb_ophys.interfaces.arguments import allow_truncated_argument, argument
from nwb_ophys.interfaces.imaging import ImagingInterface, ImagingOptions, block_size
from nwb_ophys.interfaces.mixins import MotionWriter
from nwb_ophys.interfaces.streams import Part, axes_parts, indexed_name, indexed_names
from nwb_ophys.metadata import DeepDict
from nwb_ophys.paths import PathProbe
from nwb_ophys.writers.motion import OriginalFiles


@attrs.frozen(kw_only=True)
class MemmapSource:
    """Source arguments of a movie in a file of raw pixels."""

    file_path: Path = argument(
        "File of raw pixels. The name of a CaImAn memory map (.mmap) states its shape and order; "
        "other files need shape and dtype."
    )
    sampling_frequency: float = argument(
        "Rate of frames, or of volumes, in Hz. The rate in CaImAn's results beside its memory map "
        "is used if it is not given on opening.",
        schema={"exclusiveMinimum": 0},
    )
    shape: list[int] | None = argument(
        "Length of each axis, slowest first; -1 for one axis that follows from the file size.",
        default=None,
    )
    dtype: str | None = argument(
        "NumPy name of the pixel type, such as uint16, or '>u2' for big-endian.",
        default=None,
    )
    dimension_order: str | None = argument(
        "Order of the axes, one letter each, slowest first: T (time), C (channels), Z (planes), "
        "Y (rows), X (columns); TYX if not given.",
        default=None,
    )
    offset: int = argument(
        "Number of bytes before the first pixel.", default=0, schema={"minimum": 0}
    )
    channel_index: int | None = argument(
        "Index of the channel, from 0; optional if there is only one.", default=None
    )
    plane_index: int | None = argument(
        "Index of the plane, from 0; all planes if not given.", default=None
    )
    shifts_path: Path | None = argument(
        "File with the shifts by which CaImAn registered the movie of its memory map: its results "
        "(.hdf5), a .npz file with shifts_rig, or with x_shifts_els and y_shifts_els, or a .npy "
        "file; looked for beside the memory map if not given.",
        default=None,
    )
    allow_truncated: bool = allow_truncated_argument()


@attrs.frozen(kw_only=True)
class MemmapImagingOptions(ImagingOptions):
    """Conversion options of a movie in a file of raw pixels."""

    parent_container: Literal["acquisition", "processing/ophys"] | None = argument(  # type: ignore[assignment]
        "Container of the series; acquisition by default.", default=None
    )
    motion_correction: bool | None = argument(
        "Write a CorrectedImageStack with the shifts of the frames to MotionCorrection, instead "
        "of a series; by default where the shifts of CaImAn's memory map are found.",
        default=None,
    )
    original: str | None = argument(
        "With motion_correction: name of the registered series in the file's acquisition. If not "
        "given, a new series refers to the files that CaImAn registered.",
        default=None,
    )


class MemmapImagingInterface(ImagingInterface, MotionWriter):
    """One channel of a movie in a file of raw pixels, such as a NumPy memory map."""

    Source = MemmapSource
    Options = MemmapImagingOptions
    is_generic = True
    has_volumes = True

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.memmap.reader import RawBinaryExtractor, find_raw_binary

        binary = find_raw_binary(
            source.file_path,
            source.shape,
            source.dtype,
            source.dimension_order,
            source.offset,
            source.allow_truncated,
        )
        return RawBinaryExtractor(
            binary, source.sampling_frequency, source.channel_index, source.plane_index
        )

    @functools.cached_property
    def registration(self) -> Registration | None:
        """Shifts of the frames of a CaImAn memory map; None without any."""
        from nwb_ophys.formats.memmap.names import caiman_map
        from nwb_ophys.formats.memmap.shifts import find_registration

        layout, given = caiman_map(self.source.file_path), self.source.shifts_path
        if layout is not None and self.source.shape is None:
            return find_registration(layout, given)
        if given is not None:
            raise SourceError(
                f"shifts_path is '{given}', but '{self.source.file_path}' does not have the name "
                "of a CaImAn memory map; leave shifts_path out."
            )
        return None

    def describe(self) -> Mapping[str, Any]:
        """Return a description of a registered movie; raw pixels come without metadata."""
        if self.registration is None:
            return {}
        description = "Movie after motion correction by CaImAn."
        return {"Ophys": {self.photon_series_type: [{"description": description}]}}

    def add_movie(self, nwbfile: NWBFile, metadata: DeepDict, kind: str, chosen: Any) -> None:
        """Add the movie as a series, or with its shifts where there are any."""
        found = self._chosen_registration(chosen)
        if found is None:
            place = chosen.parent_container or "acquisition"
            super().add_movie(nwbfile, metadata, kind, attrs.evolve(chosen, parent_container=place))
            return
        num_samples = int(self.extractor.get_num_samples())
        # CaImAn's x is the axis of the rows; in NWB, x is that of the columns.
        axes = [1, 0, *range(2, found.shifts.shape[1])]
        patches = None if found.patches is None else found.patches[:num_samples, :, axes]
        self.add_corrected_image_stack(
            nwbfile,
            metadata,
            xy_translation=found.shifts[:num_samples, axes],
            original=chosen.original or _original_of(found),
            photon_series_type=kind,
            photon_series_index=chosen.photon_series_index,
            iterator_options=block_size(chosen.iterator_options),
            translation_description=_description(found),
            patch_translation=patches,
        )

    def _chosen_registration(self, chosen: Any) -> Registration | None:
        """Return the shifts to write, or None to write a series, after checking the options."""
        if chosen.motion_correction is False or chosen.parent_container == "acquisition":
            if chosen.motion_correction:
                raise OptionError(
                    "parent_container is 'acquisition', but a movie with its shifts goes to "
                    "MotionCorrection; write it as a series, with motion_correction=False."
                )
            if chosen.original is not None:
                raise OptionError("original is given, but it needs motion_correction=True.")
            return None
        found, path = self.registration, self.source.file_path
        if found is None and (chosen.motion_correction or chosen.original is not None):
            raise SourceError(
                f"'{path}' has no shifts of its frames beside it; give the file with shifts_rig, "
                "or with x_shifts_els and y_shifts_els, as shifts_path, or write the movie as a "
                "series, with motion_correction=False."
            )
        if found is None or chosen.original is not None or found.starts:
            return found
        names = f"the numbers of frames of the {len(found.files)} files" if found.files else "names"
        message = (
            f"'{found.path}' has shifts of '{path}', but not {names} that were registered; give "
            "the name of the series that was registered as the option 'original'"
        )
        if chosen.motion_correction:
            raise SourceError(f"{message}, or write the movie as a series.")
        warnings.warn(
            f"{message}. The movie is written as a series, and the shifts are left out.",
            UserWarning,
            stacklevel=4,
        )
        return None

    def channel_names(self) -> Sequence[str]:
        """Return the names of all channels, by their indices."""
        return indexed_names(self.extractor.axes.size("C"))

    def channel_name(self) -> str:
        """Return the name of the channel that is read."""
        return indexed_name(self.source.channel_index)

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for a CaImAn memory map: its name and size, or its first frame."""
        from nwb_ophys.formats.memmap.names import caiman_layout, caiman_size

        probe = PathProbe.of(path)
        layout = caiman_layout(probe.path) if probe.is_file else None
        if layout is None:
            return None
        sizes = dict(zip(*layout, strict=True))
        shape = " x ".join(str(sizes[letter]) for letter in "TYXZ")
        size, stated = probe.path.stat().st_size, caiman_size(layout)
        if 0 < size < stated:
            return (
                f"'{probe.path.name}' has a CaImAn name, and {size:,} of the {stated:,} bytes of "
                f"the {shape} pixels that it states"
            )
        if size != stated or not size:
            return None
        return f"'{probe.path.name}' has a CaImAn name, and the {shape} pixels that it states"

    @classmethod
    def is_damaged(cls, probe: PathProbe) -> bool:
        """Return whether a file has the name of a CaImAn memory map, but another size."""
        from nwb_ophys.formats.memmap.names import caiman_layout

        return caiman_layout(probe.path) is not None and cls.matches(probe) is None

    @classmethod
    def parts(cls, path: Path, **source: Any) -> list[Part]:
        """Return a part for each channel of the movie."""
        from nwb_ophys.formats.memmap.reader import find_raw_binary

        names = ("shape", "dtype", "dimension_order", "offset", "allow_truncated")
        given = {name: source[name] for name in names if name in source}
        return axes_parts(find_raw_binary(path, **given).axes, file_path=path)

    @classmethod
    def stated_beside(cls, path: Path, others: Sequence[Path] = ()) -> Mapping[str, Any]:
        """Return the rate, and the file with shifts, of CaImAn's results of a memory map."""
        from nwb_ophys.formats.memmap.names import caiman_map
        from nwb_ophys.formats.memmap.shifts import results_beside

        layout = caiman_map(path)
        results = [] if layout is None else list(results_beside(layout, others))
        rates = {each.rate for each in results if each.rate is not None and each.rate > 0}
        elsewhere = [e.path for e in results if e.arrays and e.path.parent != path.parent]
        found: dict[str, Any] = {}
        if len(rates) == 1:
            found["sampling_frequency"] = rates.pop()
        if len(elsewhere) == 1:
            found["shifts_path"] = elsewhere[0]
        return found


def _original_of(found: Registration) -> OriginalFiles:
    what = "Frames before motion correction, in the files that CaImAn registered."
    return OriginalFiles(files=found.files, starting_frames=found.starts, description=what)


def _description(found: Registration) -> str:
    volume = ", z towards later planes" * (found.shifts.shape[1] == 3)
    where = f"x towards larger columns, y towards larger rows{volume}"
    if found.patches is None:
        return f"Number of pixels by which CaImAn moved each frame: {where}."
    return (
        f"Mean of the numbers of pixels by which CaImAn moved {found.patches.shape[1]} patches of "
        f"each frame: {where}."
    )
