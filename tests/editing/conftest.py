"""Files of several authors that have metadata of every kind."""

from __future__ import annotations

import datetime
import importlib
import warnings

import numpy as np
import pytest
from pynwb import NWBHDF5IO, NWBFile
from pynwb.base import Images
from pynwb.device import Device, DeviceModel
from pynwb.file import Subject
from pynwb.image import GrayscaleImage
from pynwb.ophys import (
    DfOverF,
    Fluorescence,
    ImageSegmentation,
    OnePhotonSeries,
    OpticalChannel,
    TwoPhotonSeries,
)

from nwb_ophys.storage import create_nwbfile

START = datetime.datetime(2024, 5, 17, 14, 30, tzinfo=datetime.timezone.utc)
MOVIE = np.arange(60 * 5 * 4, dtype="u2").reshape(60, 5, 4)
NAMES = {"hdf5": "session.nwb", "zarr": "session.nwb.zarr"}


def new_file(*, with_subject: bool = True) -> NWBFile:
    """Return an ``NWBFile`` with objects of every kind whose metadata can be edited."""
    nwbfile = NWBFile(
        session_description="d",
        identifier="i",
        session_start_time=START,
        keywords=["a", "b"],
        lab="Old lab",
    )
    if with_subject:
        nwbfile.subject = Subject(subject_id="M1", sex="U", age="P90D", species="Mus musculus")
    model = DeviceModel(name="B2", manufacturer="Old maker")
    nwbfile.add_device_model(model)
    nwbfile.add_device(Device(name="Microscope", description="d", model=model))
    nwbfile.add_device(Device(name="Camera"))
    for name in ("Plane1", "Plane2"):
        _add_plane(nwbfile, name)
    plane = nwbfile.imaging_planes["Plane1"]
    for cls in (TwoPhotonSeries, OnePhotonSeries):
        series = cls(name=cls.__name__, data=MOVIE, unit="a", rate=30.0, imaging_plane=plane)
        nwbfile.add_acquisition(series)
    _add_segmentation(nwbfile, plane)
    return nwbfile


def _add_plane(nwbfile, name):
    nwbfile.create_imaging_plane(
        name=name,
        optical_channel=OpticalChannel(name="Green", description="d", emission_lambda=510.0),
        description="d",
        device=nwbfile.devices["Microscope"],
        excitation_lambda=900.0,
        indicator="GCaMP6s",
        location="unknown",
        grid_spacing=[1e-6, 1e-6],
    )


def _add_segmentation(nwbfile, plane):
    module = nwbfile.create_processing_module("ophys", "d")
    segmentation = ImageSegmentation()
    module.add(segmentation)
    table = segmentation.create_plane_segmentation("d", plane, name="PlaneSegmentation")
    for number in range(3):
        table.add_roi(pixel_mask=[(number, number, 1.0)])
    rois = {"data": np.ones((60, 3)), "unit": "a", "rate": 30.0}
    for container, names in ((Fluorescence(), ("RoiResponseSeries", "Neuropil")), (DfOverF(), "x")):
        module.add(container)
        for name in names:
            region = table.create_roi_table_region("d", region=[0, 1, 2])
            container.create_roi_response_series(name=name, rois=region, **rois)
    images = [GrayscaleImage(name=name, data=np.ones((5, 4)), description="d") for name in "ab"]
    module.add(Images(name="SegmentationImages", description="d", images=images))


def write_file(path, backend, writer="nwb_ophys", **options):
    """Write a file, with this package or with the package of the backend."""
    nwbfile = new_file(**options)
    if writer == "nwb_ophys":
        return create_nwbfile(nwbfile, path, backend=backend)
    io_class = NWBHDF5IO
    if backend == "zarr":
        io_class = importlib.import_module("hdmf_zarr").NWBZarrIO
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with io_class(str(path), mode="w") as io:
            io.write(nwbfile)
    return path


@pytest.fixture(params=["nwb_ophys", "the package of the backend"])
def writer(request):
    """Each author of a file in turn."""
    return request.param


@pytest.fixture
def session(tmp_path, backend):
    """A file that this package wrote, alone in a folder."""
    return write_file(tmp_path / NAMES[backend], backend)
