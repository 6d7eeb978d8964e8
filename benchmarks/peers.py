"""Conversions with neuroconv and pynwb, as in their documentation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from benchmarks.session import METADATA, new_nwbfile
from benchmarks.sources import SAMPLING_FREQUENCY


def neuroconv_write_movie(
    extractor: Any, target: Path, backend: str, compressors: list[str] | None = None
) -> Callable[[], Any]:
    """Return a job that writes a movie with neuroconv's functions and default settings.

    The movie is in an ``NWBFile`` before the job starts, which is ``configure_and_write_nwbfile``.
    """
    from neuroconv.tools.nwb_helpers import (
        configure_and_write_nwbfile,
        get_default_backend_configuration,
    )
    from neuroconv.tools.roiextractors import add_imaging_to_nwbfile

    nwbfile = new_nwbfile()
    add_imaging_to_nwbfile(extractor, nwbfile)

    def run() -> None:
        if compressors is None:
            configure_and_write_nwbfile(nwbfile, str(target), backend=backend)
            return
        configuration = get_default_backend_configuration(nwbfile, backend)
        for dataset in configuration.dataset_configurations.values():
            dataset.compressors = compressors
        configure_and_write_nwbfile(nwbfile, str(target), backend_configuration=configuration)

    return run


def neuroconv_convert(interface: Any, target: Path, **options: Any) -> Callable[[], Any]:
    """Return a job that converts with an interface of neuroconv."""

    def run() -> None:
        metadata = interface.get_metadata()
        metadata["NWBFile"].update(METADATA["NWBFile"])
        interface.run_conversion(nwbfile_path=str(target), metadata=metadata, **options)

    return run


def pynwb_write_movie(movie: NDArray[Any], target: Path) -> Callable[[], Any]:
    """Return a job that writes a movie with pynwb and gzip, as (time, columns, rows)."""
    from pynwb import NWBHDF5IO, H5DataIO
    from pynwb.ophys import OpticalChannel, TwoPhotonSeries

    nwbfile = new_nwbfile()
    plane = nwbfile.create_imaging_plane(
        name="ImagingPlane",
        optical_channel=OpticalChannel("OpticalChannel", "unknown", float("nan")),
        description="unknown",
        device=nwbfile.create_device("Microscope"),
        excitation_lambda=float("nan"),
        indicator="unknown",
        location="unknown",
    )
    series = TwoPhotonSeries(
        name="TwoPhotonSeries",
        data=H5DataIO(movie.transpose(0, 2, 1), compression="gzip"),
        unit="n.a.",
        imaging_plane=plane,
        rate=SAMPLING_FREQUENCY,
    )
    nwbfile.add_acquisition(series)

    def run() -> None:
        with NWBHDF5IO(target, "w") as io:
            io.write(nwbfile)

    return run


def neuroconv_write_segmentation(extractor: Any, target: Path) -> Callable[[], Any]:
    """Return a job that adds a segmentation to an ``NWBFile`` and writes it with defaults."""
    from neuroconv.tools.nwb_helpers import configure_and_write_nwbfile
    from neuroconv.tools.roiextractors import add_segmentation_to_nwbfile

    def run() -> None:
        nwbfile = new_nwbfile()
        add_segmentation_to_nwbfile(extractor, nwbfile)
        configure_and_write_nwbfile(nwbfile, str(target), backend="hdf5")

    return run
