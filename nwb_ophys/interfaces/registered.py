"""Interface of a movie that an analysis registered, with the shifts of its frames where known."""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, Any, Literal

import attrs
from numpy.typing import NDArray

from nwb_ophys.errors import OptionError, SourceError
from nwb_ophys.interfaces.arguments import argument
from nwb_ophys.interfaces.imaging import ImagingOptions, block_size
from nwb_ophys.interfaces.mixins import MotionWriter, SeriesWriter

if TYPE_CHECKING:
    from pynwb import NWBFile

    from nwb_ophys.metadata import DeepDict
    from nwb_ophys.writers.original_files import OriginalFiles

_NEXT_STEP = "write the movie as a series, with motion_correction=False"


@attrs.frozen(kw_only=True)
class Registration:
    """The shifts that aligned the frames of a movie, in pixels, and the movie before.

    Attributes
    ----------
    source : str
        File or store that holds the shifts, in quotes, for messages.
    shifts : numpy.ndarray, shape (samples, 2) or (samples, 3)
        Number of pixels by which the content of each frame was moved: x towards larger columns, y
        towards larger rows[, z towards later planes].
    description : str
    patches : numpy.ndarray, shape (samples, patches, 2 or 3), optional
        Shifts of patches of each frame, likewise.
    original : OriginalFiles, optional
        The files that were registered, if they are known.
    lacking : str
        What is not known of the files, for messages.
    """

    source: str
    shifts: NDArray[Any]
    description: str
    patches: NDArray[Any] | None = None
    original: OriginalFiles | None = None
    lacking: str = "the name of the movie that was registered"


@attrs.frozen(kw_only=True)
class RegisteredImagingOptions(ImagingOptions):
    """Conversion options of a movie that may come with the shifts of its frames."""

    parent_container: Literal["acquisition", "processing/ophys"] | None = argument(  # type: ignore[assignment]
        "Container of the movie as a series; acquisition by default.", default=None
    )
    motion_correction: bool | None = argument(
        "Write a CorrectedImageStack with the shifts of the frames to MotionCorrection, instead "
        "of a series; by default where the shifts and the original are known.",
        default=None,
    )
    original: str | None = argument(
        "With motion_correction: name of the registered series in the file's acquisition. If not "
        "given, a new series refers to the files that were registered.",
        default=None,
    )


class RegisteredMovieWriter(MotionWriter, SeriesWriter):
    """Mixin that writes a movie with the shifts of its frames, or as a series without them.

    List it before the interface class. A format sets ``Options`` to `RegisteredImagingOptions`, and
    implements :meth:`find_registration`.
    """

    def find_registration(self) -> Registration | None:
        """Return the shifts of all frames; None where the files have none."""
        return None

    def no_registration(self) -> str:
        """Return why there are no shifts, and where they are looked for, as a sentence."""
        return "The files state no shifts of the frames."

    @functools.cached_property
    def registration(self) -> Registration | None:
        """Shifts of all frames; None where the files have none."""
        return self.find_registration()

    def add_movie(self, nwbfile: NWBFile, metadata: DeepDict, kind: str, chosen: Any) -> None:
        """Add the movie with the shifts of its frames, or as a series, as the options say."""
        found = self._chosen_registration(chosen)
        if found is None:
            self.add_photon_series(
                nwbfile,
                metadata,
                photon_series_type=kind,
                photon_series_index=chosen.photon_series_index,
                parent_container=chosen.parent_container or "acquisition",
                iterator_options=block_size(chosen.iterator_options),
            )
            return
        num_samples = int(self.extractor.get_num_samples())  # fewer in a stub
        self.add_corrected_image_stack(
            nwbfile,
            metadata,
            xy_translation=found.shifts[:num_samples],
            original=chosen.original or found.original,
            photon_series_type=kind,
            photon_series_index=chosen.photon_series_index,
            iterator_options=block_size(chosen.iterator_options),
            translation_description=found.description,
            patch_translation=None if found.patches is None else found.patches[:num_samples],
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
        found = self.registration
        if found is None and (chosen.motion_correction or chosen.original is not None):
            raise SourceError(f"{self.no_registration()} Or {_NEXT_STEP}.")
        if found is None or chosen.original is not None or found.original is not None:
            return found
        message = (
            f"{found.source} has the shifts of the frames, but not {found.lacking}; give the name "
            "of the series that was registered as the option 'original'"
        )
        if chosen.motion_correction:
            raise SourceError(f"{message}, or {_NEXT_STEP}.")
        warnings.warn(
            f"{message}. The movie is written as a series, and the shifts are left out.",
            UserWarning,
            stacklevel=4,
        )
        return None


def describe_shifts(program: str, num_axes: int, num_patches: int = 0) -> str:
    """Return the description of shifts, which states their unit and their sign.

    Parameters
    ----------
    program : str
        Program that moved the frames.
    num_axes : int
    num_patches : int
        Number of patches of which the shifts are the mean; 0 for whole frames.
    """
    where = "x towards larger columns, y towards larger rows"
    if num_axes == 3:
        where += ", z towards later planes"
    if not num_patches:
        return f"Number of pixels by which {program} moved each frame: {where}."
    return (
        f"Mean of the numbers of pixels by which {program} moved {num_patches} patches of each "
        f"frame: {where}."
    )
