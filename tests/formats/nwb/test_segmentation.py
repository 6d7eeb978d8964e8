"""Tests of ROIs in NWB files of any author against h5py and the written data."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO, NWBFile
from pynwb.base import Images
from pynwb.image import GrayscaleImage
from pynwb.ophys import (
    DfOverF,
    Fluorescence,
    ImageSegmentation,
    OpticalChannel,
    PlaneSegmentation,
    RoiResponseSeries,
)

import nwb_ophys
from nwb_ophys import CaimanSegmentationInterface, NwbSegmentationInterface
from nwb_ophys.errors import CorruptSourceError, SourceArgumentError
from nwb_ophys.formats.nwb.traces import _kind
from nwb_ophys.registry import detect
from nwb_ophys.reports.report import gather_report
from nwb_ophys.testing import simulate_recording, write_caiman, write_nwb

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
TABLES = "processing/ophys/ImageSegmentation"
SUITE2P = "suite2p/v1.1.0/written_by_suite2p.nwb"


@pytest.fixture(scope="module")
def cells() -> Any:
    """Cells shaped like an L, in a field that is wider than high."""
    return simulate_recording(num_samples=20, num_rows=32, num_columns=58, num_cells=5)


def add_traces(path: Path, name: str, data: Any, region: list[int], **fields: Any) -> None:
    """Add traces of some ROIs in a container of their own."""
    with NWBHDF5IO(path, "a") as io:
        nwbfile = io.read()
        module = nwbfile.processing["ophys"]
        table = module["ImageSegmentation"]["PlaneSegmentation"]
        rois = table.create_roi_table_region("Some.", region=region)
        given = {"rate": 30.0} if "timestamps" not in fields else {}
        kind = DfOverF if name == "DfOverF" else Fluorescence
        series = RoiResponseSeries(
            name="plane0", data=data, rois=rois, unit="a.u.", **given | fields
        )
        module.add(kind(name=name, roi_response_series=series))
        io.write(nwbfile)


def test_texts_of_a_fixed_length_are_read(tmp_path, cells):
    """Versions of pynwb before 1.1 and other programs write attributes of bytes."""
    path = write_nwb(tmp_path / "r.nwb", recording=cells, mask_type="image")

    def with_bytes(_: str, found: Any) -> None:
        for name, value in found.attrs.items():
            if isinstance(value, str) or name == "colnames":
                found.attrs[name] = np.asarray(value).astype("S")

    with h5py.File(path, "a") as file:
        with_bytes("", file)
        file.visititems(with_bytes)
    assert nwb_ophys.open(path).extractor.get_num_rois() == 5


@pytest.mark.parametrize("mask_type", ["pixel", "image"])
def test_masks_and_traces(tmp_path, cells, mask_type):
    path = write_nwb(tmp_path / "r.nwb", recording=cells, mask_type=mask_type)
    found = NwbSegmentationInterface(path).extractor
    assert found.get_frame_shape() == (32, 58)
    masks = np.moveaxis(found.get_roi_image_masks(), -1, 0)
    np.testing.assert_allclose(masks, cells.image_masks(), rtol=1e-6)
    for pixels, image in zip(found.get_roi_pixel_masks(), cells.image_masks(), strict=True):
        drawn = np.zeros_like(image)
        drawn[pixels[:, 0].astype(int), pixels[:, 1].astype(int)] = pixels[:, 2]
        np.testing.assert_allclose(drawn, image, rtol=1e-6)
    np.testing.assert_array_equal(found.get_traces_dict()["raw"][:], cells.fluorescence)
    assert found.get_sampling_frequency() == 30.0
    np.testing.assert_array_equal(found.get_images_dict()["mean"], cells.mean_image())


@pytest.mark.parametrize("mask_type", ["pixel", "image"])
def test_fault_pixel_masks_lie_across_the_movie(tmp_path, cells, mask_type):
    """x is the column, y the row: the masks lie on the pixels that the movie's cells are in."""
    path = write_nwb(tmp_path / "r.nwb", cells.movie, cells, mask_type=mask_type)
    target = nwb_ophys.open(path).run_conversion(tmp_path / "a.nwb")
    with NWBHDF5IO(target, "r") as io:
        nwbfile = io.read()
        (series,) = nwbfile.acquisition.values()
        mean = series.data[:].mean(axis=0)
        table = nwbfile.processing["ophys"]["ImageSegmentation"]["PlaneSegmentation"]
        for index, image in enumerate(cells.image_masks()):
            mask = table["image_mask"][index]
            assert mask.shape == mean.shape
            np.testing.assert_allclose(mask, image.T, rtol=1e-6)


def test_a_file_of_ours_on_both_backends(tmp_path, cells, backend):
    """Background components are a table of their own; acceptance and images are kept."""
    source = write_caiman(tmp_path / "c.hdf5", cells, accepted=[0, 2, 3])
    path = tmp_path / ("r.nwb" if backend == "hdf5" else "r.nwb.zarr")
    CaimanSegmentationInterface(source).run_conversion(path, metadata=START, backend=backend)
    assert [each.format for each in detect(path)] == ["nwb-segmentation"]
    streams = NwbSegmentationInterface.streams(path)
    assert sorted(streams) == ["BackgroundPlaneSegmentation", "PlaneSegmentation"]
    found = NwbSegmentationInterface(**streams["PlaneSegmentation"]).extractor
    known = CaimanSegmentationInterface(source).extractor
    np.testing.assert_array_equal(found.get_roi_image_masks(), known.get_roi_image_masks())
    for kind in ("raw", "dff", "denoised", "deconvolved"):
        expected = np.asarray(known.get_traces_dict()[kind])
        np.testing.assert_array_equal(np.asarray(found.get_traces_dict()[kind]), expected)
    ids = found.get_roi_ids()
    assert list(found.get_property("is_accepted", ids)) == [True, False, True, True, False]
    background = NwbSegmentationInterface(**streams["BackgroundPlaneSegmentation"]).extractor
    assert list(background.get_traces_dict()) == ["background"]


def test_suite2p_s_own_export(data_folder, tmp_path):
    path = data_folder / SUITE2P
    with (
        pytest.warns(UserWarning, match=r"written by Suite2p, which calls the row x"),
        pytest.warns(UserWarning, match=r"names the reference images 'TwoPhotonSeries'"),
    ):
        interface = NwbSegmentationInterface(path)
    found = interface.extractor
    with h5py.File(path) as file:
        module = file["processing/ophys"]
        table = module["ImageSegmentation/PlaneSegmentation"]
        pixels, ends = table["pixel_mask"][:], table["pixel_mask_index"][:]
        iscell = table["iscell"][:]
        traces = {
            kind: module[f"{name}/plane0/data"][:]
            for kind, name in (
                ("raw", "Fluorescence"),
                ("neuropil", "Neuropil"),
                ("deconvolved", "Deconvolved"),
            )
        }
        mean = module["Backgrounds_0/meanImg"][:]
    assert found.get_frame_shape() == (512, 512)
    masks = np.zeros((83, 512, 512), "float32")
    for mask, own in zip(masks, np.split(pixels, ends[:-1]), strict=True):
        mask[own["y"], own["x"]] = own["weight"]
    np.testing.assert_array_equal(np.moveaxis(found.get_roi_image_masks(), -1, 0), masks)
    assert set(found.get_traces_dict()) == set(traces)
    for kind, expected in traces.items():
        np.testing.assert_array_equal(found.get_traces_dict()[kind][:], expected)
    ids = found.get_roi_ids()
    np.testing.assert_array_equal(found.get_property("is_accepted", ids), iscell[:, 0] == 1)
    np.testing.assert_array_equal(found.get_property("iscell_probability", ids), iscell[:, 1])
    np.testing.assert_array_equal(found.get_images_dict()["meanImg"], mean.T)
    # Suite2p writes rows as x, in masks and images alike: they lie on one another, but across the
    # movie that it read.
    stat = np.load(path.parent / "suite2p/plane0/stat.npy", allow_pickle=True)
    own = np.zeros((83, 512, 512), "float32")
    for mask, roi in zip(own, stat, strict=True):
        mask[roi["ypix"], roi["xpix"]] = roi["lam"]
    np.testing.assert_array_equal(masks.swapaxes(1, 2), own)
    target = interface.run_conversion(tmp_path / "a.nwb", mask_type="pixel")
    with h5py.File(target) as file:
        table = file["processing/ophys/ImageSegmentation/PlaneSegmentation"]
        for axis in ("x", "y", "weight"):
            np.testing.assert_array_equal(table["pixel_mask"][axis], pixels[axis])
        np.testing.assert_array_equal(table["pixel_mask_index"][:], ends)


def test_traces_of_some_rois_and_in_another_order(tmp_path, cells):
    path = write_nwb(tmp_path / "r.nwb", recording=cells)
    add_traces(path, "Neuropil", cells.neuropil[:, [4, 2, 0, 1, 3]], [4, 2, 0, 1, 3])
    add_traces(path, "DfOverF", cells.spikes[:, [3, 1]], [3, 1])
    with pytest.warns(UserWarning, match="'DfOverF/plane0' .*are of 2 of its 5 ROIs.*NaN"):
        interface = NwbSegmentationInterface(path)
    found = interface.extractor.get_traces_dict()
    np.testing.assert_array_equal(found["neuropil"][:], cells.neuropil)
    expected = np.full_like(cells.spikes, np.nan)
    expected[:, [3, 1]] = cells.spikes[:, [3, 1]]
    np.testing.assert_array_equal(found["dff"][:], expected)
    np.testing.assert_array_equal(found["dff"][3:7, 1], expected[3:7, 1])


def test_a_table_without_masks_does_not_cost_the_movie(tmp_path, cells):
    """Fault: pynwb does not read such a table, and its file was said to be damaged."""
    movie = np.zeros((20, 32, 58), np.uint16)
    path = write_nwb(tmp_path / "r.nwb", movie, recording=cells)
    with h5py.File(path, "a") as file:
        table = file[f"{TABLES}/PlaneSegmentation"]
        for name in [each for each in table if "mask" in each]:
            del table[name]
        table.attrs["colnames"] = [name for name in table.attrs["colnames"] if name in table]
    assert nwb_ophys.NwbImagingInterface(path).extractor.get_num_samples() == 20


def test_traces_of_other_times_are_told_of(tmp_path, cells):
    path = write_nwb(tmp_path / "r.nwb", recording=cells)
    add_traces(path, "Neuropil", cells.neuropil[:10], [0, 1, 2, 3, 4], rate=15.0)
    with pytest.warns(UserWarning, match="Neuropil/plane0.*10 samples, 20"):
        found = NwbSegmentationInterface(path).extractor
    assert list(found.get_traces_dict()) == ["raw"]


@pytest.mark.parametrize("table", ["PlaneSegmentation", "Cells"])
def test_units_and_names_are_kept(tmp_path, cells, table):
    path = write_nwb(tmp_path / "r.nwb", recording=cells)
    fields = {"description": "Around.", "conversion": 0.01}
    add_traces(path, "Neuropil", cells.neuropil, [0, 1, 2, 3, 4], **fields)
    with h5py.File(path, "a") as file:
        file.move(f"{TABLES}/PlaneSegmentation", f"{TABLES}/{table}")
    ophys = NwbSegmentationInterface(path).get_metadata()["Ophys"]
    entry = ophys["Fluorescence"][table]["neuropil"]
    found = (entry["name"], entry["unit"], entry["description"], entry["conversion"])
    assert found == ("Neuropil", "a.u.", "Around.", 0.01)
    assert ophys["ImagingPlane"][0]["indicator"] == "GCaMP6s"


@pytest.mark.parametrize(
    ("series", "container", "kind"),
    [
        ("corrected_neuropil", "Fluorescence", "corrected"),
        ("plane0", "BackgroundSubtracted", "corrected"),
        ("NeuropilCorrectedDff", "Fluorescence", "dff"),
        ("plane0", "Neuropil", "neuropil"),
        ("DfOverF", "Fluorescence", "dff"),
        ("df_over_f0", "Fluorescence", "dff"),
        ("deltaF", "Fluorescence", "dff"),
        ("\u0394F/F", "Fluorescence", "dff"),
        ("dF_F", "Fluorescence", "dff"),
        ("delta_frames", "Fluorescence", "raw"),
        ("from_pdf_file", "Fluorescence", "raw"),
        ("plane0", "MotionCorrected", "raw"),
        ("Neuropil", "MotionCorrectedFluorescence", "neuropil"),
        ("neuropil_motion_corrected", "Fluorescence", "neuropil"),
        ("neuropil", "CorrectedFluorescence", "neuropil"),
    ],
)
def test_names_tell_the_kinds_of_traces(series, container, kind):
    """Faults: neuropil after motion correction was "corrected", and NeuroConv's DfOverF raw."""
    one = SimpleNamespace(name=series, parent=SimpleNamespace(name=container))
    assert _kind(one, set()) == kind


def test_what_the_file_states_of_its_images_is_kept(tmp_path, cells):
    """Fault: their descriptions were replaced, and resolutions left out, without a word."""
    path, out = write_nwb(tmp_path / "r.nwb", recording=cells), tmp_path / "out.nwb"
    with h5py.File(path, "a") as file:
        (container,) = (each for each in file["processing/ophys"].values() if "mean" in each)
        container.attrs["description"] = "Images of week 3."
        container["mean"].attrs["description"] = "Mean of the first minute."
        container["mean"].attrs["resolution"] = 2.5
    nwb_ophys.open(path).run_conversion(out)
    with h5py.File(out) as file:
        images = file["processing/ophys/SegmentationImages"]
        assert images.attrs["description"] == "Images of week 3."
        assert images["mean"].attrs["description"] == "Mean of the first minute."
        assert images["mean"].attrs["resolution"] == 2.5


def test_centres_of_another_author_are_kept(tmp_path, cells):
    """Fault: they were replaced by centres that are computed otherwise."""
    path, out = write_nwb(tmp_path / "r.nwb", recording=cells), tmp_path / "out.nwb"
    centres = np.arange(10.0).reshape(5, 2) / 3
    with NWBHDF5IO(path, "a") as io:
        nwbfile = io.read()
        table = nwbfile.processing["ophys"]["ImageSegmentation"]["PlaneSegmentation"]
        table.add_column("ROICentroids", "Centre of mass, (x, y).", data=centres)
        io.write(nwbfile)
    nwb_ophys.open(path).run_conversion(out)
    with h5py.File(out) as file:
        table = file[f"{TABLES}/PlaneSegmentation"]
        np.testing.assert_array_equal(table["roi_ROICentroids"], centres)
        assert table["roi_ROICentroids"].attrs["description"] == "Centre of mass, (x, y)."
        assert table["ROICentroids"].dtype == int


def test_centres_of_a_file_without_masks_are_kept(tmp_path, cells):
    """Fault: NaN was written in their place."""
    write_caiman(tmp_path / "a.hdf5", cells)
    bare, out = tmp_path / "bare.nwb", tmp_path / "out.nwb"
    source = CaimanSegmentationInterface(tmp_path / "a.hdf5")
    source.run_conversion(bare, metadata=START, mask_type=None, include_background=False)
    opened = NwbSegmentationInterface(bare)
    opened.run_conversion(out)
    with h5py.File(bare) as before, h5py.File(out) as after:
        tables = [file[f"{TABLES}/PlaneSegmentation"] for file in (before, after)]
        np.testing.assert_array_equal(*(table["ROICentroids"] for table in tables))
        assert "roi_ROICentroids" not in tables[1]


def test_images_of_another_size_are_named_and_none_hides_another(tmp_path, cells):
    path = write_nwb(tmp_path / "r.nwb", recording=cells, mask_type="image")
    with NWBHDF5IO(path, "a") as io:
        nwbfile = io.read()
        images = {"mean": cells.mean_image().T + 1, "small": np.zeros((4, 4))}
        images = [GrayscaleImage(name=name, data=data) for name, data in images.items()]
        nwbfile.processing["ophys"].add(Images(name="Other", images=images))
        io.write(nwbfile)
    with pytest.warns(UserWarning, match="images 'Other/small', which are not of the size"):
        found = NwbSegmentationInterface(path).extractor.get_images_dict()
    assert set(found) == {"mean", "SegmentationImages_mean"}
    means = sorted(found.values(), key=np.mean)
    np.testing.assert_array_equal(means[0] + 1, means[1])


def test_renamed_traces_state_their_former_names(tmp_path, cells):
    """Two traces of fluorescence are told apart in the copy, which names traces by their kind."""
    path = write_nwb(tmp_path / "r.nwb", recording=cells)
    for name in ("corrected_traces", "demixed_traces"):
        add_traces(path, name, cells.fluorescence, [0, 1, 2, 3, 4], description="no description")
    traces = NwbSegmentationInterface(path).get_metadata()["Ophys"]["Fluorescence"]
    described = {each["description"] for each in traces["PlaneSegmentation"].values()}
    for name in ("corrected_traces", "demixed_traces"):
        assert f"The traces '{name}/plane0' of the source file." in described


def test_masks_of_no_and_of_some_rois(tmp_path, cells):
    """Fault: an array of ids failed, and no ids were taken for all."""
    path = write_nwb(tmp_path / "r.nwb", recording=cells, mask_type="image")
    found = NwbSegmentationInterface(path).extractor
    assert found.get_roi_pixel_masks([]) == []
    (mask,) = found.get_roi_pixel_masks(np.array([2]))
    np.testing.assert_array_equal(mask[:, :2], np.argwhere(cells.image_masks()[2]))


def _swap(path: Path) -> None:
    with h5py.File(path, "a") as file:
        data = file["processing/ophys/ImageSegmentation/PlaneSegmentation/pixel_mask"]
        pixels = data[:]
        pixels["x"], pixels["y"] = pixels["y"].copy(), pixels["x"].copy()
        data[:] = pixels


def test_masks_that_fit_only_across_are_read_so(tmp_path, cells):
    path = write_nwb(tmp_path / "r.nwb", recording=cells)
    _swap(path)
    with pytest.warns(UserWarning, match="in each other's place"):
        found = NwbSegmentationInterface(path).extractor
    masks = np.moveaxis(found.get_roi_image_masks(), -1, 0)
    np.testing.assert_allclose(masks, cells.image_masks(), rtol=1e-6)


def test_masks_beyond_the_field(tmp_path, cells):
    path = write_nwb(tmp_path / "r.nwb", recording=cells)
    with h5py.File(path, "a") as file:
        data = file["processing/ophys/ImageSegmentation/PlaneSegmentation/pixel_mask"]
        pixels = data[:]
        pixels["x"][0] = 700
        data[:] = pixels
    with pytest.raises(CorruptSourceError, match="beyond the field"):
        NwbSegmentationInterface(path)


def test_a_field_that_is_not_stated(tmp_path, cells):
    path = write_nwb(tmp_path / "r.nwb", recording=cells)
    with h5py.File(path, "a") as file:
        del file["processing/ophys/SegmentationImages"]
    with pytest.warns(UserWarning, match="does not state how large the field"):
        NwbSegmentationInterface(path)


def test_a_table_that_is_not_there(tmp_path, cells):
    path = write_nwb(tmp_path / "r.nwb", recording=cells)
    with pytest.raises(SourceArgumentError, match=r"has no 'Other'.*: PlaneSegmentation"):
        NwbSegmentationInterface(path, plane_segmentation_name="Other")
    movie = write_nwb(tmp_path / "m.nwb", cells.movie)
    assert NwbSegmentationInterface.matches(movie) is None
    with pytest.raises(SourceArgumentError, match="there is none"):
        NwbSegmentationInterface(movie)


def test_lists_of_pixels_that_do_not_fit(tmp_path, cells):
    path = write_nwb(tmp_path / "r.nwb", recording=cells)
    with h5py.File(path, "a") as file:
        index = file["processing/ophys/ImageSegmentation/PlaneSegmentation/pixel_mask_index"]
        index[-1] = index[-1] - 1
    with pytest.raises(CorruptSourceError, match="lists of"):
        NwbSegmentationInterface(path)


@pytest.mark.filterwarnings("ignore:EnumData is experimental")
def test_columns_of_choices_have_their_names(tmp_path, cells):
    """Fault: the positions of the choices were written, and the choices left out without a word."""
    path, out = write_nwb(tmp_path / "r.nwb", recording=cells), tmp_path / "out.nwb"
    with NWBHDF5IO(path, "a") as io:
        nwbfile = io.read()
        table = nwbfile.processing["ophys"]["ImageSegmentation"]["PlaneSegmentation"]
        table.add_column(
            "layer", "Layer of the cell.", data=[2, 0, 1, 0, 2], enum=["L1", "L2", "L5"]
        )
        io.write(nwbfile)
    nwb_ophys.open(path).run_conversion(out)
    with h5py.File(out) as file:
        column = file[f"{TABLES}/PlaneSegmentation/layer"]
        assert column.asstr()[:].tolist() == ["L5", "L1", "L2", "L1", "L5"]


def write_as_neuroconv(path: Path, cells: Any, **columns: str) -> None:
    """Write masks of pixels as (row, column, weight), which NeuroConv takes from roiextractors."""
    nwbfile = NWBFile("d", "i", datetime(2024, 5, 17, tzinfo=timezone.utc))
    channel = OpticalChannel(name="c", description="d", emission_lambda=500.0)
    plane = nwbfile.create_imaging_plane(
        name="plane",
        optical_channel=channel,
        description="d",
        device=nwbfile.create_device("Scope"),
        excitation_lambda=900.0,
        indicator="GCaMP",
        location="V1",
    )
    table = PlaneSegmentation(name="cells", description="Cells.", imaging_plane=plane)
    for name, text in columns.items():
        table.add_column(name, text)
    for mask in cells.pixel_masks:
        table.add_roi(pixel_mask=[tuple(row) for row in mask], **dict.fromkeys(columns, "0"))
    module = nwbfile.create_processing_module("ophys", "d")
    module.add(ImageSegmentation(plane_segmentations=[table]))
    image = GrayscaleImage(name="mean", data=np.zeros((58, 58)))  # the field is square
    module.add(Images(name="Images", images=[image]))
    with NWBHDF5IO(path, "w") as io:
        io.write(nwbfile)


def test_lists_of_pixels_of_neuroconv_lie_on_the_movie(tmp_path, cells):
    """Fault: in square fields, masks were read with rows for columns, without a word."""
    path, out = tmp_path / "r.nwb", tmp_path / "out.nwb"
    write_as_neuroconv(path, cells, roi_name="The unique identifier for each ROI.")
    with pytest.warns(UserWarning, match="'cells' was written by NeuroConv, which calls the row x"):
        interface = NwbSegmentationInterface(path)
    masks = np.moveaxis(interface.extractor.get_roi_image_masks(), -1, 0)
    np.testing.assert_allclose(masks[:, :32], cells.image_masks(), rtol=1e-6)
    pixels = gather_report(path).tables[0].pixels
    assert "NeuroConv wrote the pixels in" in pixels.note
    np.testing.assert_array_equal(
        pixels.lists.coordinates[0], interface.extractor.get_ragged_pixels(range(5)).coordinates[0]
    )
    # What this package wrote of it is not turned again.
    interface.run_conversion(out, mask_type="pixel")
    again = np.moveaxis(NwbSegmentationInterface(out).extractor.get_roi_image_masks(), -1, 0)
    np.testing.assert_array_equal(again, masks)


def test_lists_of_pixels_of_other_authors_are_read_as_they_are(tmp_path, cells):
    write_as_neuroconv(tmp_path / "r.nwb", cells, roi_name="Name.")
    masks = NwbSegmentationInterface(tmp_path / "r.nwb").extractor.get_roi_image_masks()
    turned = np.moveaxis(masks, -1, 0).swapaxes(1, 2)[:, :32]
    np.testing.assert_allclose(turned, cells.image_masks(), rtol=1e-6)


def test_pixels_between_pixels_are_refused(tmp_path, cells):
    """Fault: their coordinates were cut off without a word."""
    path = write_nwb(tmp_path / "r.nwb", recording=cells)
    with h5py.File(path, "a") as file:
        table = file[f"{TABLES}/PlaneSegmentation"]
        pixels, stated = table["pixel_mask"][:], dict(table["pixel_mask"].attrs)
        fields = [("x", "f4"), ("y", "f4"), ("weight", "f4")]
        del table["pixel_mask"]
        table["pixel_mask"] = pixels.astype(fields)
        table["pixel_mask"].attrs.update(stated)
        table["pixel_mask_index"].attrs["target"] = table["pixel_mask"].ref
    NwbSegmentationInterface(path)
    with h5py.File(path, "a") as file:
        pixels["x"][3] = 0
        changed = pixels.astype(fields)
        changed["x"][3] = 2.5
        file[f"{TABLES}/PlaneSegmentation/pixel_mask"][:] = changed
    with pytest.raises(CorruptSourceError, match=r"a pixel at x = 2\.5; coordinates of pixels"):
        NwbSegmentationInterface(path)


def test_voxel_masks(tmp_path):
    volume = simulate_recording(
        num_samples=10, num_rows=24, num_columns=34, num_planes=3, num_cells=4
    )
    path = write_nwb(tmp_path / "v.nwb", volume.movie, volume, mask_type="voxel")
    found = NwbSegmentationInterface(path).extractor
    masks = np.moveaxis(found.get_roi_image_masks(), -1, 0)
    np.testing.assert_allclose(masks, volume.image_masks(), rtol=1e-6)
