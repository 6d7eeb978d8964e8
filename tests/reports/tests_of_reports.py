"""An NWB file of another author, written by pynwb alone, and its report."""

from __future__ import annotations

import datetime
import inspect
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pynwb
from hdmf.backends.hdf5 import H5DataIO
from numpy.typing import NDArray
from pynwb.ophys import DfOverF, Fluorescence, ImageSegmentation, OpticalChannel

NUM_FRAMES, COLUMNS, ROWS = 61, 24, 18
RATE = 10.0
DROPPED = 30
"""Number of the frame after which two are missing."""


@attrs.frozen(kw_only=True)
class Made:
    """The raw arrays of a file.

    Attributes
    ----------
    path : pathlib.Path
    movie : numpy.ndarray, shape (frames, columns, rows)
    timestamps : numpy.ndarray
    masks : list of list of (int, int, float)
        x, y and weight of the pixels of each ROI.
    accepted : list of bool
    traces : numpy.ndarray, shape (samples, ROIs)
    """

    path: Path
    movie: NDArray[np.uint16]
    timestamps: NDArray[np.float64]
    masks: list[list[tuple[int, int, float]]]
    accepted: list[bool]
    traces: NDArray[np.float32]


def make_movie() -> NDArray[np.uint16]:
    """Return a movie with zeros, saturated pixels, a blank frame and a repeated one."""
    movie = np.random.default_rng(0).integers(10, 3000, (NUM_FRAMES, COLUMNS, ROWS))
    movie[3, :2, :5] = 0
    movie[4, 5:8, 7] = 65535
    movie[20] = 77
    movie[11] = movie[10]
    return movie.astype(np.uint16)


def make_masks() -> list[list[tuple[int, int, float]]]:
    """Return masks: a square, a ring, one pixel, two parts, and pixels of weight 0."""
    square = [(x, y, 1.0) for x in range(2, 6) for y in range(3, 8)]
    ring = [(x, y, 0.5) for x in range(10, 15) for y in range(4, 9) if (x, y) != (12, 6)]
    single = [(23, 17, 0.1)]
    parts = [(0, 0, 1.0), (1, 1, 2.0), (5, 15, 1.0), (6, 15, 1.0)]
    faint = [(18, 10, 1.0), (19, 10, 0.0), (18, 11, 3.0)]
    return [square, ring, single, parts, faint]


def write_session(path: Path, name: str = "Series", io: Any = pynwb.NWBHDF5IO) -> Made:
    """Write a file as a careful author would.

    Parameters
    ----------
    path : pathlib.Path
    name : str
        Text that stands in every field that holds a text.
    io : type
        ``NWBHDF5IO`` or ``NWBZarrIO``.
    """
    movie, masks = make_movie(), make_masks()
    times = np.arange(NUM_FRAMES) / RATE + 5.0
    times[DROPPED:] += 2 / RATE
    rng = np.random.default_rng(1)
    traces = rng.normal(size=(NUM_FRAMES, len(masks))).astype(np.float32)
    traces[10:14, 2] += 40.0
    accepted = [True, False, True, True, False]
    nwbfile = pynwb.NWBFile(
        session_description=name,
        identifier="0123",
        session_start_time=datetime.datetime(2024, 5, 17, 14, tzinfo=datetime.timezone.utc),
        experimenter=["Last, First"],
        institution=name,
        lab=name,
        keywords=["calcium"],
        experiment_description=name,
        session_id="day1",
    )
    nwbfile.subject = pynwb.file.Subject(
        subject_id="M7", species="Mus musculus", sex="F", age="P90D", description=name
    )
    device = nwbfile.create_device(name="Scope", description=name)
    channel = OpticalChannel(name="Green", description=name, emission_lambda=520.0)
    plane = nwbfile.create_imaging_plane(
        name="Plane",
        optical_channel=channel,
        description=name,
        device=device,
        excitation_lambda=920.0,
        indicator="GCaMP6s",
        location="VISp",
        imaging_rate=RATE,
        grid_spacing=[2.0, 2.0],
        grid_spacing_unit="micrometers",
    )
    data: Any = movie
    if io is pynwb.NWBHDF5IO:
        data = H5DataIO(movie, chunks=(7, COLUMNS, ROWS), compression="gzip", shuffle=True)
    nwbfile.add_acquisition(
        pynwb.ophys.TwoPhotonSeries(
            name="Movie",
            description=name,
            data=data,
            imaging_plane=plane,
            unit="n.a.",
            timestamps=times,
        )
    )
    _add_rois(nwbfile, plane, masks, accepted, traces, name)
    with io(str(path), "w") as opened:
        opened.write(nwbfile)
    return Made(
        path=path, movie=movie, timestamps=times, masks=masks, accepted=accepted, traces=traces
    )


def _add_rois(nwbfile: Any, plane: Any, masks: Any, accepted: Any, traces: Any, name: str) -> None:
    module = nwbfile.create_processing_module("ophys", name)
    segmentation = ImageSegmentation()
    module.add(segmentation)
    table = segmentation.create_plane_segmentation(name, plane, "Cells")
    for mask in masks:
        table.add_roi(pixel_mask=mask)
    table.add_column("accepted", name, data=accepted)
    background = segmentation.create_plane_segmentation(name, plane, "BackgroundCells")
    background.add_roi(pixel_mask=[(8, 8, 1.0), (9, 8, 1.0)])
    region = table.create_roi_table_region(region=list(range(len(masks))), description=name)
    fluorescence = Fluorescence()
    module.add(fluorescence)
    fluorescence.create_roi_response_series(
        name="raw",
        data=traces,
        rois=region,
        unit=name,
        rate=RATE,
        starting_time=5.0,
        description=name,
    )
    relative = DfOverF()
    module.add(relative)
    relative.create_roi_response_series(
        name="dff", data=traces[:40], rois=region, unit="n.a.", rate=RATE, starting_time=5.0
    )


def write_mocks(path: Path) -> Path:
    """Write a file with one object of each kind that ``pynwb.testing.mock`` makes."""
    from pynwb.testing.mock import behavior, device, ecephys, file, icephys, ogen, ophys

    nwbfile = file.mock_NWBFile(identifier="mocks", subject=file.mock_Subject())
    for module in (device, ophys, behavior, icephys, ogen):
        for name, make in vars(module).items():
            if name.startswith("mock_") and "nwbfile" in inspect.signature(make).parameters:
                make(nwbfile=nwbfile)
    ecephys.mock_ElectricalSeries(nwbfile=nwbfile)  # others make the same table of electrodes
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(nwbfile)
    return path
