"""NWB files with all kinds of contents, written with pynwb and with h5py."""

from __future__ import annotations

import h5py
import numpy as np
from hdmf.backends.hdf5.h5_utils import H5DataIO
from hdmf.common import DynamicTable, VectorData
from pynwb import NWBHDF5IO, TimeSeries
from pynwb.base import Images
from pynwb.image import GrayscaleImage
from pynwb.ophys import (
    Fluorescence,
    ImageSegmentation,
    OpticalChannel,
    TwoPhotonSeries,
)

from .conftest import new_file

DATA = "acquisition/a/data"
MOVIE = np.random.default_rng(0).integers(0, 4_000, (200, 16, 32)).astype("i2")
DTYPES = (
    "u1",
    "i1",
    "u2",
    "i2",
    "u4",
    "i4",
    "u8",
    "i8",
    "f2",
    "f4",
    "f8",
    "?",
    ">i2",
    ">f4",
    ">f8",
)


def values_of(dtype, shape=(700, 16, 16)):
    """Return values of every bit pattern: payloads of NaN, and zeros below zero."""
    rng = np.random.default_rng(len(dtype))
    raw = rng.integers(0, 2 if dtype == "?" else 256, (*shape, np.dtype(dtype).itemsize))
    values = raw.astype("u1").view(dtype)[..., 0]
    if values.dtype.kind == "f":
        values[0, 0, 0] = -0.0
    return values


def full_file(*, with_tables=True):
    """Return an ``NWBFile`` of many kinds of objects."""
    nwbfile = new_file(
        plain=values_of("i2"),
        wrapped=H5DataIO(
            values_of("f4"),
            chunks=(100, 16, 16),
            compression="gzip",
            shuffle=True,
            fletcher32=True,
            maxshape=(None, 16, 16),
        ),
    )
    times = TimeSeries(name="times", data=np.arange(20_000.0), unit="s", timestamps=np.arange(2e4))
    nwbfile.add_acquisition(times)
    nwbfile.add_acquisition(
        TimeSeries(name="sharing", data=np.arange(20_000.0), unit="s", timestamps=times)
    )
    nwbfile.keywords = ("ä", "b")
    nwbfile.add_scratch(np.arange(6).reshape(2, 3), name="numbers", description="some")
    _add_ophys(nwbfile)
    module = nwbfile.create_processing_module("other", "texts and pictures")
    picture = GrayscaleImage(name="p", data=np.arange(40_000.0).reshape(200, 200), resolution=1.5)
    module.add(Images(name="pictures", images=[picture], description="d"))
    texts = VectorData(name="hed", description="tags", data=["Sensory-event, (Red, Blue)", "ü"])
    module.add(DynamicTable(name="texts", description="d", columns=[texts]))
    if with_tables:
        _add_ecephys(nwbfile)
        nwbfile.add_trial(start_time=0.0, stop_time=1.0, timeseries=[times])
    return nwbfile


def _add_ophys(nwbfile):
    device = nwbfile.create_device("Scope")
    channel = OpticalChannel(name="c", description="d", emission_lambda=520.0)
    plane = nwbfile.create_imaging_plane(
        name="plane",
        optical_channel=channel,
        description="d",
        device=device,
        excitation_lambda=920.0,
        indicator="i",
        location="l",
        origin_coords=[1.0, 2.0, 3.0],
    )
    movie = TwoPhotonSeries(
        name="movie", data=values_of("u2"), imaging_plane=plane, rate=30.0, unit="n.a."
    )
    nwbfile.add_acquisition(movie)
    module = nwbfile.create_processing_module("ophys", "d")
    segmentation = ImageSegmentation()
    module.add(segmentation)
    rois = segmentation.create_plane_segmentation(
        name="rois", description="d", imaging_plane=plane, reference_images=movie
    )
    rng = np.random.default_rng(0)
    for _ in range(30):
        rois.add_roi(pixel_mask=[(int(x), int(y), 0.5) for x, y in rng.integers(0, 9, (300, 2))])
    region = rois.create_roi_table_region("all", region=list(range(30)))
    fluorescence = Fluorescence()
    module.add(fluorescence)
    fluorescence.create_roi_response_series(
        name="traces", data=rng.normal(size=(900, 30)), rois=region, unit="n.a.", rate=30.0
    )


def _add_ecephys(nwbfile):
    device = nwbfile.create_device("Probe")
    group = nwbfile.create_electrode_group("g", description="d", location="l", device=device)
    for _ in range(3):
        nwbfile.add_electrode(group=group, location="l")
    for unit in range(4):
        nwbfile.add_unit(spike_times=np.arange(unit * 5_000) / 7, electrodes=[0, 2])


def write(nwbfile, path):
    """Write a file with pynwb."""
    with NWBHDF5IO(str(path), "w") as io:
        io.write(nwbfile)
    return path


def add_by_hand(path):
    """Replace the data of series with data that pynwb does not write itself."""
    kinds = {f"type{number}": dtype for number, dtype in enumerate(DTYPES)}
    names = (*kinds, "sparse0", "sparse5", "packed", "empty", "lzf")
    write_nothing = {name: np.zeros(2) for name in names}
    with NWBHDF5IO(str(path), "a") as io:
        nwbfile = io.read()
        for name, values in write_nothing.items():
            nwbfile.add_acquisition(TimeSeries(name=name, data=values, unit="a", rate=1.0))
        io.write(nwbfile)
    with h5py.File(path, "r+") as file:
        for number, (name, dtype) in enumerate(kinds.items()):
            exchange(
                file, name, data=values_of(dtype), chunks=(99, 9, 16), compression="gzip",
                shuffle=bool(number % 2), maxshape=(None, 16, None),
            )  # fmt: skip
        for fill in (0, 5):  # of which some chunks were never written
            stored = exchange(
                file, f"sparse{fill}", shape=(900, 64), dtype="i4", chunks=(100, 30), fillvalue=fill
            )
            stored[150:250, 31:40] = 3
        exchange(file, "packed", data=np.arange(60_000, dtype="i4"), chunks=(999,), scaleoffset=0)
        exchange(
            file, "lzf", data=values_of("u2"), chunks=(64, 7, 16), compression="lzf", fillvalue=7
        )
        exchange(file, "empty", shape=(0, 4), dtype="f4", maxshape=(None, 4))
    return path


def exchange(file, name, **settings):
    """Replace the data of a series, and return the new dataset."""
    group = file[f"acquisition/{name}"]
    attributes = dict(group["data"].attrs)
    del group["data"]
    stored = group.create_dataset("data", **settings)
    stored.attrs.update(attributes)
    return stored


def add_oddities(path):
    """Add objects that HDF5 allows and hdmf does not know; copying HDF5 to HDF5 keeps them."""
    with h5py.File(path, "r+") as file:
        series = file["acquisition/times"]
        series.attrs["fixed"] = np.bytes_(b"fixed length")
        series.attrs["bytes"] = np.array([b"a", b"bc"])
        series.attrs["big"] = np.array([1, 2], ">u2")
        series.attrs["empty"] = h5py.Empty("f4")
        series.attrs["flag"] = np.bool_(True)
        series.attrs["matrix"] = np.arange(6.0).reshape(2, 3)
        series.attrs["to"] = file["acquisition/movie"].ref
        scratch = file.require_group("scratch")
        scratch["same"] = file["acquisition/times/data"]
        inner = scratch.create_group("links")
        inner["one"] = h5py.SoftLink("/acquisition/times/data")
        inner["two"] = h5py.SoftLink("/acquisition/sharing/data")
        inner["nowhere"] = h5py.SoftLink("/acquisition/absent")
        inner["relative"] = h5py.SoftLink("../numbers")
        scratch["null"] = h5py.Empty("i2")
        kind = np.dtype([("x", ">u2"), ("y", "<f4"), ("name", h5py.string_dtype())])
        scratch.create_dataset("mixed", data=np.array([(1, 2.0, "ab")], kind))
        records = np.zeros(20_000, [("x", ">u2"), ("y", "<f4")])
        records["y"] = np.arange(20_000)
        scratch.create_dataset("records", data=records, chunks=(999,), compression="gzip")
        scratch.create_dataset("fixed", data=np.array([b"abc", b"de"]))
        scratch.create_dataset("ragged", (2,), h5py.vlen_dtype("i4"))[0] = [1, 2, 3]
        scratch.create_dataset("choice", (3,), h5py.enum_dtype({"a": 0, "b": 1}, "u1"))
        scratch.create_dataset("complex", data=np.ones(9, "c8"))
        scratch.create_dataset("region", (2,), h5py.ref_dtype)[0] = file["acquisition"].ref
    return path


def series(path, values=MOVIE, **settings):
    """Write a file with one series; h5py stores its data."""
    write(new_file(a=np.zeros(2)), path)
    with h5py.File(path, "r+") as file:
        exchange(file, "a", data=values, **settings)
    return path
