"""NWB files of other authors, written with pynwb only."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
from pynwb import NWBHDF5IO, NWBFile
from pynwb.base import Images
from pynwb.image import GrayscaleImage
from pynwb.ophys import (
    Fluorescence,
    ImageSegmentation,
    ImagingPlane,
    OnePhotonSeries,
    OpticalChannel,
    TwoPhotonSeries,
)

from nwb_ophys.simulation.recording import Array, SimulatedRecording

__all__ = ["write_nwb"]

_START = datetime.datetime(2024, 5, 17, 14, 30, tzinfo=datetime.timezone.utc)


def write_nwb(
    path: str | Path,
    movie: Array | None = None,
    recording: SimulatedRecording | None = None,
    *,
    sampling_frequency: float = 30.0,
    photon_series_type: str = "TwoPhotonSeries",
    mask_type: str = "pixel",
) -> Path:
    """Write an NWB file with a movie, or the ROIs of a recording, or both.

    Parameters
    ----------
    path : str or pathlib.Path
        The HDF5 file; an existing one is overwritten.
    movie : numpy.ndarray, optional
        (samples, rows, columns[, planes]).
    recording : SimulatedRecording, optional
        Recording whose ROIs and fluorescence are written.
    sampling_frequency : float
        Samples per second in Hz.
    photon_series_type : {"TwoPhotonSeries", "OnePhotonSeries"}
    mask_type : {"pixel", "image", "voxel"}

    Returns
    -------
    pathlib.Path
        The file written.
    """
    nwbfile = NWBFile("A mouse looks at gratings.", "nwb-ophys-testing", _START)
    plane = _add_plane(nwbfile, sampling_frequency)
    if movie is not None:
        kind = {"TwoPhotonSeries": TwoPhotonSeries, "OnePhotonSeries": OnePhotonSeries}
        nwbfile.add_acquisition(
            kind[photon_series_type](
                name=photon_series_type,
                data=np.swapaxes(movie, 1, 2),
                imaging_plane=plane,
                rate=sampling_frequency,
                unit="n.a.",
            )
        )
    if recording is not None:
        _add_rois(nwbfile, plane, recording, mask_type)
    with NWBHDF5IO(path, "w") as io:
        io.write(nwbfile)
    return Path(path)


def _add_plane(nwbfile: NWBFile, rate: float) -> ImagingPlane:
    channel = OpticalChannel(name="Green", description="Emitted light.", emission_lambda=525.0)
    return nwbfile.create_imaging_plane(
        name="ImagingPlane",
        optical_channel=channel,
        description="Layer 2/3.",
        device=nwbfile.create_device(name="Microscope"),
        excitation_lambda=920.0,
        indicator="GCaMP6s",
        location="V1",
        imaging_rate=rate,
        grid_spacing=[1e-6, 1.5e-6],
        grid_spacing_unit="meters",
    )


def _add_rois(
    nwbfile: NWBFile, plane: ImagingPlane, recording: SimulatedRecording, mask_type: str
) -> None:
    module = nwbfile.create_processing_module("ophys", "Results of the analysis.")
    segmentation = ImageSegmentation()
    module.add(segmentation)
    table = segmentation.create_plane_segmentation(
        name="PlaneSegmentation", description="ROIs.", imaging_plane=plane
    )
    for pixels, image in zip(recording.pixel_masks, recording.image_masks(), strict=True):
        table.add_roi(**_mask(pixels, image, mask_type))
    rois = table.create_roi_table_region("All.", region=list(range(recording.num_cells)))
    if len(recording.field_shape) == 2:
        mean = GrayscaleImage(name="mean", data=recording.mean_image().T)
        module.add(Images(name="SegmentationImages", images=[mean]))
    traces = Fluorescence()
    module.add(traces)
    traces.create_roi_response_series(
        name="RoiResponseSeries",
        data=recording.fluorescence,
        rois=rois,
        unit="n.a.",
        rate=recording.sampling_frequency,
    )


def _mask(pixels: Array, image: Array, mask_type: str) -> dict[str, Any]:
    """Return the argument of ``add_roi``: in NWB, x is the column and y the row."""
    if mask_type == "image":
        return {"image_mask": np.swapaxes(image, 0, 1)}
    rows, columns, *rest = pixels.T
    entries = zip(columns.astype(int), rows.astype(int), *_depth(rest), strict=True)
    return {f"{mask_type}_mask": [tuple(entry) for entry in entries]}


def _depth(rest: list[Array]) -> list[Array]:
    """Return the planes, if any, as integers, and the weights."""
    return [*(axis.astype(int) for axis in rest[:-1]), rest[-1]]


def write_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write an NWB file with a movie; return the source arguments."""
    return {"file_path": write_nwb(folder / "movie.nwb", recording.movie)}


def write_segmentation_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write an NWB file with ROIs as lists of pixels; return the source arguments."""
    return {"file_path": write_nwb(folder / "rois.nwb", recording=recording)}
