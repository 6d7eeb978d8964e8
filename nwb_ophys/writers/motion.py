"""Motion correction: a registered movie, the shifts of its frames, and the original movie."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pynwb import NWBFile, TimeSeries
from pynwb.image import ImageSeries
from pynwb.ophys import CorrectedImageStack, MotionCorrection

from nwb_ophys.dtypes import as_stored
from nwb_ophys.errors import MetadataError
from nwb_ophys.extractors.labels import extractor_label
from nwb_ophys.iterators import ImagingExtractorDataChunkIterator
from nwb_ophys.timing import clock_of
from nwb_ophys.writers.compression import compressed
from nwb_ophys.writers.original_files import OriginalFiles
from nwb_ophys.writers.series import make_photon_series, series_model, time_fields, with_defaults
from nwb_ophys.writers.session import check_name_is_free, ophys_container, ophys_module

_CONTAINER = "MotionCorrection"
_STACK = "CorrectedImageStack"


def add_corrected_image_stack(
    imaging: Any,
    nwbfile: NWBFile,
    metadata: Mapping[str, Any] | None,
    xy_translation: NDArray[Any],
    original: str | OriginalFiles,
    photon_series_type: str = "TwoPhotonSeries",
    photon_series_index: int = 0,
    iterator_options: dict[str, Any] | None = None,
    translation_description: str = "Shift of each frame that aligned it: x, y in pixels.",
    patch_translation: NDArray[Any] | None = None,
) -> NWBFile:
    """Add a registered movie and the shifts of its frames to ``MotionCorrection``.

    Parameters
    ----------
    imaging : roiextractors.ImagingExtractor
        The movie after registration.
    nwbfile : pynwb.NWBFile
    metadata : Mapping or None
        ``metadata["Ophys"][photon_series_type][photon_series_index]`` describes the series. Its
        name, with ``CorrectedImageStack`` in place of the type, becomes the name of the stack.
    xy_translation : numpy.ndarray, shape (samples, 2) or (samples, 3)
        Shift of each frame in pixels: x towards larger columns, y towards larger rows[, z towards
        later planes].
    original : str or OriginalFiles
        Name of the original series in the file's acquisition, or the files of the original.
    photon_series_type : {"TwoPhotonSeries", "OnePhotonSeries"}
    photon_series_index : int
    iterator_options : dict, optional
        Arguments of the iterator over the movie.
    translation_description : str
    patch_translation : numpy.ndarray, shape (samples, patches, 2 or 3), optional
        Shifts of patches of each frame, written beside the stack.

    Returns
    -------
    pynwb.NWBFile
        The same file.

    Raises
    ------
    ValueError
        When the stack exists already, the file has no series of the name, or the number of shifts
        differs from the number of frames.
    """
    _check_shifts(xy_translation, int(imaging.get_num_samples()))
    merged = with_defaults(imaging, metadata, photon_series_type)
    model = series_model(merged, photon_series_type, photon_series_index)
    name = model.name.replace(photon_series_type, _STACK)
    container = ophys_container(nwbfile, MotionCorrection, _CONTAINER)
    if name in container.corrected_image_stacks:
        raise MetadataError(
            f"'{name}' is in '{_CONTAINER}' already; give the series another name in the metadata."
        )
    data = ImagingExtractorDataChunkIterator(imaging_extractor=imaging, **(iterator_options or {}))
    corrected = make_photon_series(
        imaging, nwbfile, merged, photon_series_type, photon_series_index, data, name="corrected"
    )
    clock = clock_of(imaging, model.rate, model.starting_time, label=extractor_label(imaging))
    times = time_fields(clock)
    shifts = TimeSeries(
        name="xy_translation",
        description=translation_description,
        unit="pixels",
        data=compressed(as_stored(xy_translation, "xy_translation")),
        **times,
    )
    if isinstance(original, OriginalFiles):
        suffix = name.removeprefix(_STACK)
        check_name_is_free(nwbfile, f"Original{suffix}", "acquisition")
        series = _external(f"Original{suffix}", original, corrected, times, len(xy_translation))
        nwbfile.add_acquisition(series)
    else:
        series = _series_of(nwbfile, original, len(xy_translation))
    stack = CorrectedImageStack(
        name=name, corrected=corrected, original=series, xy_translation=shifts
    )
    container.add_corrected_image_stack(stack)
    if patch_translation is not None:
        ophys_module(nwbfile).add(_patches(name, patch_translation, times))
    return nwbfile


def _patches(stack: str, shifts: NDArray[Any], times: Mapping[str, Any]) -> TimeSeries:
    axes = "x, y, z" if np.shape(shifts)[2] == 3 else "x, y"
    return TimeSeries(
        name=f"{stack}PatchTranslation",
        description=f"Shift of each patch of a frame in '{stack}' that aligned it: (frames, "
        f"patches, {axes}) in pixels.",
        unit="pixels",
        data=compressed(np.asarray(shifts)),
        **times,
    )


def _check_shifts(xy_translation: NDArray[Any], num_samples: int) -> None:
    """Raise MetadataError unless there is an x and a y, or also a z, for each frame."""
    if np.shape(xy_translation) not in ((num_samples, 2), (num_samples, 3)):
        raise MetadataError(
            f"The shifts have the shape {np.shape(xy_translation)}; {num_samples} frames need "
            f"{(num_samples, 2)}: x and y of each."
        )


def _external(
    name: str,
    original: OriginalFiles,
    corrected: Any,
    times: Mapping[str, Any],
    num_samples: int,
) -> ImageSeries:
    return ImageSeries(
        name=name,
        description=original.description,
        unit="n.a.",
        format="external",
        external_file=list(original.files),
        starting_frame=list(original.starting_frames),
        dimension=corrected.dimension,
        device=corrected.imaging_plane.device,
        num_samples=num_samples if times["rate"] is not None else None,
        **times,
    )


def _series_of(nwbfile: NWBFile, name: str, num_samples: int) -> ImageSeries:
    found = nwbfile.acquisition.get(name) if name in nwbfile.acquisition else None
    if not isinstance(found, ImageSeries):
        known = [n for n, each in nwbfile.acquisition.items() if isinstance(each, ImageSeries)]
        raise MetadataError(
            f"The original of the registered movie is to be '{name}', but the file's acquisition "
            f"has no movie of that name; its movies: {', '.join(map(repr, known)) or 'none'}."
        )
    if found.num_samples is not None and found.num_samples != num_samples:
        warnings.warn(
            f"'{name}' has {found.num_samples} frames, the movie that was registered "
            f"{num_samples}. Both are written as they are; check that one is the original of the "
            "other.",
            UserWarning,
            stacklevel=4,
        )
    return found
