"""Facts in NWB files, which are read with h5py."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import h5py

from header_facts.places import Hdf5Attribute, Hdf5Dataset
from header_facts.table import Fact, Table
from nwb_ophys.formats import builtin_rows
from nwb_ophys.testing.samples import write_sample

FILE = "*.nwb"
PLANE = "general/optophysiology/ImagingPlane"
NUMBERS = (0.0, -3.0, float("nan"), float("inf"), 1e300)
SERIES = "acquisition/TwoPhotonSeries"


def _at(item: str, *index: int) -> Hdf5Dataset:
    return Hdf5Dataset(FILE, item, index)


def _shared() -> tuple[Fact, ...]:
    return (
        Fact(header="session_start_time", at=_at("session_start_time"),
             file="NWBFile.session_start_time", possible=("2023-04-05T06:07:08.250000-05:00",),
             meant=datetime.fromisoformat, impossible=()),
        Fact(header="session_description", at=_at("session_description"),
             file="NWBFile.session_description", possible=("A maze.",), meant=str, impossible=()),
        Fact(header="excitation_lambda", at=_at(f"{PLANE}/excitation_lambda"),
             file="ImagingPlane.excitation_lambda", possible=(1040.0, 780.5), impossible=NUMBERS),
        Fact(header="imaging_rate", at=_at(f"{PLANE}/imaging_rate"),
             file="ImagingPlane.imaging_rate", possible=(12.5,), impossible=NUMBERS),
        Fact(header="emission_lambda", at=_at(f"{PLANE}/Green/emission_lambda"),
             file="OpticalChannel.emission_lambda", possible=(610.0,), impossible=NUMBERS),
        *(
            Fact(header="grid_spacing", at=_at(f"{PLANE}/grid_spacing", axis),
                 file=f"ImagingPlane.grid_spacing.{axis}", possible=(7.5e-7,), impossible=NUMBERS)
            for axis in (0, 1)
        ),
        *(
            Fact(header=name, at=_at(f"{PLANE}/{name}"), file=f"ImagingPlane.{name}",
                 possible=("another",), meant=str, impossible=())
            for name in ("indicator", "location", "description")
        ),
    )  # fmt: skip


def _movie(folder: Path, recording: Any) -> dict[str, Any]:
    row = next(row for row in builtin_rows() if row.name == "nwb")
    source = write_sample(row, folder, recording)
    with h5py.File(source["file_path"], "r+") as file:
        file[f"{SERIES}/starting_time"][()] = 2.5
        file[SERIES].attrs["pmt_gain"] = 0.5
        file[SERIES].attrs["scan_line_rate"] = 8000.0
    return source


MOVIE = (
    *_shared(),
    Fact(header="rate", at=Hdf5Attribute(FILE, f"{SERIES}/starting_time", "rate"),
         file="Series.rate", possible=(12.5, 20.0), impossible=NUMBERS),
    Fact(header="starting_time", at=_at(f"{SERIES}/starting_time"), file="Series.starting_time",
         possible=(7.25,), impossible=()),
    Fact(header="pmt_gain", at=Hdf5Attribute(FILE, SERIES, "pmt_gain"), file="Series.pmt_gain",
         possible=(0.75,), impossible=NUMBERS),
    Fact(header="scan_line_rate", at=Hdf5Attribute(FILE, SERIES, "scan_line_rate"),
         file="Series.scan_line_rate", possible=(15800.0,), impossible=NUMBERS),
    *(
        Fact(header=name, at=Hdf5Attribute(FILE, f"{SERIES}/data", name), file=f"Series.{name}",
             possible=(value,), meant=meant, impossible=())
        for name, value, meant in (
            ("conversion", 0.5, float),
            ("offset", 3.5, float),
            ("resolution", 0.25, float),
            ("unit", "V", str),
        )
    ),
    *(
        Fact(header=name, at=Hdf5Attribute(FILE, SERIES, name), file=f"Series.{name}",
             possible=("another",), meant=str, impossible=())
        for name in ("comments", "description")
    ),
)  # fmt: skip

TRACES = "processing/ophys/Fluorescence/RoiResponseSeries"
ROIS = (
    *_shared(),
    Fact(header="rate", at=Hdf5Attribute(FILE, f"{TRACES}/starting_time", "rate"),
         file="Series.rate", possible=(12.5, 20.0), impossible=NUMBERS),
)  # fmt: skip

TABLES = (
    Table(
        format="nwb",
        facts=MOVIE,
        sample=_movie,
        constant=("ImagingPlane.device", "OpticalChannel.description"),
    ),
    Table(
        format="nwb-segmentation",
        facts=ROIS,
        constant=(
            "ImagingPlane.device",
            "OpticalChannel.description",
            "ImageSegmentation.plane_segmentations.description",
            *(
                f"Fluorescence.PlaneSegmentation.raw.{name}"
                for name in (
                    *("comments", "conversion", "description", "offset", "resolution", "unit"),
                )
            ),
        ),
    ),
)
