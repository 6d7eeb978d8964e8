"""Tests of real recordings: each is converted to a valid file that equals its source."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numcodecs
import numpy as np
import pynwb
import pytest
import tifffile
from in_browser import check_nothing_is_cut_off
from pynwb import NWBHDF5IO
from roiextractors import NwbImagingExtractor
from scipy.sparse import csc_matrix

from nwb_ophys.cli import main
from nwb_ophys.documents import dump_yaml
from nwb_ophys.inspection import inspect_file
from nwb_ophys.reports.failures import Unreadable
from nwb_ophys.reports.rendering import render_report
from nwb_ophys.reports.report import gather_report

# Suite2p's own NWB file states who made the device, and not which model it is: there is no other
# place for that than the field of which pynwb warns when it reads a file.
pytestmark = pytest.mark.filterwarnings("ignore:The 'manufacturer' field is deprecated")

# The Inspector takes a movie with fewer frames than columns for one that lies on its side. These
# recordings are short; the shape is right. No metadata could avoid it.
SHORTER_THAN_WIDE = "check_data_orientation"

RECORDINGS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    # name: (path, options, exceptions of the Inspector)
    "neurofinder": (
        "tiff/neurofinder_crop_101x256x256.tif",
        ("sampling_frequency=7.5",),
        (SHORTER_THAN_WIDE,),
    ),
    "gcamp": ("tiff/video-gcamp.tif", ("sampling_frequency=10",), (SHORTER_THAN_WIDE,)),
    "zebrafish": (
        "tiff/zebrafish_two_planes",
        ("sampling_frequency=2", "num_planes=2"),
        (SHORTER_THAN_WIDE,),
    ),
    "two channels": ("scanimage/volumetric_two_channels_multi_file", (), ()),
    "no flyback": (
        "scanimage/volumetric_single_channel_single_file_no_flyback",
        (),
        (SHORTER_THAN_WIDE,),
    ),
    "slow stack": ("scanimage/scanimage_20220923_noroi.tif", (), (SHORTER_THAN_WIDE,)),
    "scanimage 2016": (
        "scanimage_nansen/TS_UnitTestImage_BigTIFF.tif",
        (),
        (SHORTER_THAN_WIDE,),
    ),
    "scanimage 3.8": (
        "scanimage_legacy/sample_scanimage_version_3_8.tiff",
        (),
        (SHORTER_THAN_WIDE,),
    ),
    "miniscope": ("miniscope/C6-J588_Disc5", (), (SHORTER_THAN_WIDE,)),
    "femtonics": ("femtonics/p29.mesc", (), (SHORTER_THAN_WIDE,)),
    "bruker": (
        "bruker/NCCR32_2022_11_03_IntoTheVoid_t_series-005",
        (),
        (SHORTER_THAN_WIDE,),
    ),
    "thor": ("thor/20231018-002", (), (SHORTER_THAN_WIDE,)),
    "suite2p": ("suite2p/two_planes_two_channels", (), ()),
    "suite2p 1.1": ("suite2p/v1.1.0/suite2p", (), ()),
    "caiman 1.8": ("caiman/caiman_analysis.hdf5", (), ()),
    "caiman 1.12": ("caiman/v1.12.1_neurofinder_crop.hdf5", (), ()),
    "extract": ("extract/extract_public_output.mat", ("sampling_frequency=20",), ()),
    "minian": ("minian/segmented_data_3units_100frames", (), ()),
    "inscopix movie": ("inscopix/movie_longer_than_3_min.isxd", (), ()),
    "inscopix cells": ("inscopix/cellset_series_part1.isxd", (), ()),
    "nwb by suite2p": ("suite2p/v1.1.0/written_by_suite2p.nwb", (), ()),
}

# Recordings that do not state when they began.
WITHOUT_START = {
    "neurofinder",
    "gcamp",
    "zebrafish",
    "suite2p",
    "suite2p 1.1",
    "caiman 1.8",
    "caiman 1.12",
    "extract",
    "minian",
    "inscopix cells",
}

# Imaging planes, one for each channel and plane; elsewhere one.
NUM_PLANES = {"two channels": 2, "slow stack": 2, "suite2p": 4, "femtonics": 4}


@pytest.fixture(scope="module")
def converted(
    data_folder: Path,
    careful_metadata: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    """Return a function that converts a recording once, with the metadata of a careful user."""
    folder = tmp_path_factory.mktemp("converted")
    metadata = folder / "meta.yaml"
    metadata.write_text(dump_yaml(careful_metadata))

    def convert(name: str, backend: str = "hdf5") -> Path:
        suffix = ".nwb" if backend == "hdf5" else ".nwb.zarr"
        target = folder / f"{name}{suffix}"
        if not target.exists():
            path, options, _ = RECORDINGS[name]
            arguments = ["convert", str(data_folder / path), "-o", str(target)]
            arguments += ["--metadata", str(metadata), "--backend", backend]
            arguments += [part for option in options for part in ("--option", option)]
            arguments += ["--set", "Ophys.Device.0.description=A two-photon microscope."]
            for plane in range(NUM_PLANES.get(name, 1)):
                place = f"Ophys.ImagingPlane.{plane}.location=Primary visual area"
                arguments += ["--set", place]
            with pytest.raises(SystemExit) as exit_:
                main(arguments)
            assert exit_.value.code == 0
        return target

    return convert


@pytest.fixture(scope="module")
def report_of(converted: Any) -> Any:
    """Return a function that gathers the report of a recording once."""
    return functools.cache(lambda name: gather_report(converted(name)))


@contextmanager
def reading(path: Path) -> Iterator[Any]:
    with NWBHDF5IO(path, "r") as io:
        yield io.read()


@pytest.mark.parametrize("name", RECORDINGS)
def test_is_valid_and_the_inspector_finds_nothing_avoidable(converted, name):
    path = converted(name)
    with NWBHDF5IO(path, "r") as io:
        assert pynwb.validate(io=io) == []
    allowed = RECORDINGS[name][2]
    grave = [
        finding
        for finding in inspect_file(path)
        if finding.importance not in ("BEST_PRACTICE_SUGGESTION",)
    ]
    left = [f for f in grave if not (SHORTER_THAN_WIDE in allowed and "orientation" in f.message)]
    assert left == []
    # An exception that is no longer needed is to be taken out of the list.
    assert bool(grave) == bool(allowed)


@pytest.mark.parametrize("name", RECORDINGS)
def test_its_report_can_be_read_in_a_browser(report_of, visit, name, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(render_report(report_of(name)), encoding="utf-8")
    # The dark colours have the same layout; tests/reports/test_in_browser.py looks at them.
    check_nothing_is_cut_off(visit, path, name, [(1280, "light"), (400, "light")])


@pytest.mark.parametrize("name", RECORDINGS)
def test_converts_with_what_it_does_not_state_and_nothing_more(name, data_folder, tmp_path, capsys):
    path, options, _ = RECORDINGS[name]
    command = ["convert", str(data_folder / path), "-o", str(tmp_path / "x.nwb"), "--stub", "2"]

    def run(*more: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as exit_:
            main([*command, *more])
        return exit_.value.code, capsys.readouterr().err

    stated = [part for option in options for part in ("--option", option)]
    start = ["--set", "NWBFile.session_start_time=2024-05-17T14:30:00+02:00"]
    needs_start = name in WITHOUT_START
    if needs_start:
        code, message = run(*stated)
        assert code == 2
        assert "--set NWBFile.session_start_time=" in message
    if any("sampling_frequency" in option for option in options):
        code, message = run(*start)
        assert code == 2
        assert "--option sampling_frequency=" in message
    code, message = run(*stated, *(start if needs_start else []))
    assert code == 0, message
    with NWBHDF5IO(tmp_path / "x.nwb", "r") as io:
        assert pynwb.validate(io=io) == []


@pytest.mark.parametrize("name", ["zebrafish", "two channels", "suite2p", "caiman 1.12"])
def test_zarr_is_valid_and_says_the_same(converted, name):
    from hdmf_zarr import NWBZarrIO

    with NWBZarrIO(str(converted(name, "zarr")), "r") as io, reading(converted(name)) as other:
        nwbfile = io.read()
        assert pynwb.validate(io=io) == []
        assert set(nwbfile.acquisition) == set(other.acquisition)
        for series in nwbfile.acquisition.values():
            np.testing.assert_array_equal(series.data[:], other.acquisition[series.name].data[:])
        if "ophys" not in other.processing:
            return
        tables = other.processing["ophys"]["ImageSegmentation"].plane_segmentations
        for table in tables.values():
            same = nwbfile.processing["ophys"]["ImageSegmentation"][table.name]
            np.testing.assert_array_equal(same["image_mask"][:], table["image_mask"][:])
            assert same.colnames == table.colnames
        for series in other.processing["ophys"]["Fluorescence"].roi_response_series.values():
            same = nwbfile.processing["ophys"]["Fluorescence"][series.name]
            np.testing.assert_array_equal(same.data[:], series.data[:])


def test_what_the_user_states_is_in_the_file(converted):
    for name in RECORDINGS:
        with reading(converted(name)) as nwbfile:
            assert nwbfile.lab == "A laboratory"
            assert nwbfile.subject.subject_id == "M7"
            assert nwbfile.session_start_time.isoformat() == "2024-05-17T14:30:00+02:00"
            (device,) = nwbfile.devices.values()
            assert device.description == "A two-photon microscope."
            places = {plane.location for plane in nwbfile.imaging_planes.values()}
            assert places == {"Primary visual area"}
            assert len(nwbfile.imaging_planes) == NUM_PLANES.get(name, 1)


# --- TIFF -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "rate"), [("neurofinder", 7.5), ("gcamp", 10.0)], ids=["neurofinder", "gcamp"]
)
def test_tiff(converted, data_folder, name, rate):
    movie = tifffile.imread(data_folder / RECORDINGS[name][0])
    path = converted(name)
    with reading(path) as nwbfile:
        (series,) = nwbfile.acquisition.values()
        assert series.data.dtype == movie.dtype
        np.testing.assert_array_equal(series.data[:].transpose(0, 2, 1), movie)
        assert (series.rate, series.starting_time) == (rate, 0.0)
    extractor = NwbImagingExtractor(path)
    np.testing.assert_array_equal(np.asarray(extractor.get_series()), movie)
    assert extractor.get_sampling_frequency() == rate
    del extractor


def test_zebrafish(converted, data_folder):
    files = sorted((data_folder / "tiff/zebrafish_two_planes").iterdir())
    pages = np.concatenate([tifffile.imread(file) for file in files])
    assert pages.shape == (40, 76, 87)
    with reading(converted("zebrafish")) as nwbfile:
        (series,) = nwbfile.acquisition.values()
        assert series.data.shape == (20, 87, 76, 2)
        for plane in range(2):
            found = series.data[..., plane].transpose(0, 2, 1)
            np.testing.assert_array_equal(found, pages[plane::2])


# --- Bruker -----------------------------------------------------------------------------------


def test_bruker(converted, data_folder):
    files = sorted((data_folder / RECORDINGS["bruker"][0]).glob("*.ome.tif"))
    pages = []
    for file in files:
        with tifffile.TiffFile(file) as tiff:
            pages.append(tiff.pages[0].asarray())
    with reading(converted("bruker")) as nwbfile:
        (series,) = nwbfile.acquisition.values()
        assert series.data.shape == (5, 512, 512, 2)
        assert series.rate == pytest.approx(10.3147575)
        assert (series.pmt_gain, series.starting_time) == (700.0, 0.0)
        for number, page in enumerate(pages):
            found = series.data[number // 2, ..., number % 2]
            np.testing.assert_array_equal(found.T, page)


# --- Thor -------------------------------------------------------------------------------------


def test_thor(converted, data_folder):
    files = sorted((data_folder / RECORDINGS["thor"][0]).glob("*.tif"))
    movie = np.stack([tifffile.imread(file, is_ome=False) for file in files])
    with reading(converted("thor")) as nwbfile:
        (series,) = nwbfile.acquisition.values()
        np.testing.assert_array_equal(series.data[:].transpose(0, 2, 1), movie)
        assert (series.rate, series.starting_time) == (13.967, 0.0)


# --- ScanImage --------------------------------------------------------------------------------


def _scanimage_pages(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the pages of all files and their times, read only with tifffile."""
    files = sorted(folder.glob("*.tif")) if folder.is_dir() else [folder]
    images, times = [], []
    for file in files:
        with tifffile.TiffFile(file) as tiff:
            for page in tiff.pages:
                images.append(page.asarray())
                match = re.search(r"frameTimestamps_sec = ([\d.eE+-]+)", page.description)
                times.append(float(match[1]))
    return np.array(images), np.array(times)


def _times(series: Any) -> np.ndarray:
    if series.timestamps is not None:
        return series.timestamps[:]
    return series.starting_time + np.arange(series.data.shape[0]) / series.rate


def test_both_channels_of_all_files(converted, data_folder):
    pages, times = _scanimage_pages(data_folder / RECORDINGS["two channels"][0])
    # Channel fastest, then 9 slices and 7 flyback frames.
    volumes = pages.reshape(100, 16, 2, 20, 20)[:, :9]
    starts = times.reshape(100, 16, 2)
    with reading(converted("two channels")) as nwbfile:
        assert set(nwbfile.acquisition) == {"TwoPhotonSeriesChannel1", "TwoPhotonSeriesChannel2"}
        planes = set()
        for channel in range(2):
            series = nwbfile.acquisition[f"TwoPhotonSeriesChannel{channel + 1}"]
            found = series.data[:].transpose(0, 3, 2, 1)
            np.testing.assert_array_equal(found, volumes[:, :, channel])
            # Within the time of a volume, of which the format may take any frame.
            written = _times(series)
            assert (written >= starts[:, 0, channel] - 1e-6).all()
            assert (written <= starts[:, 8, channel] + 1e-6).all()
            assert series.rate == pytest.approx(32.7454, rel=1e-3)
            planes.add(series.imaging_plane.name)
            assert series.imaging_plane.device.name == "Microscope"
        assert len(planes) == 2
        assert nwbfile.imaging_planes["ImagingPlaneChannel1"].imaging_rate == 32.7454


def test_single_channel_volumes(converted, data_folder):
    pages, times = _scanimage_pages(data_folder / RECORDINGS["no flyback"][0])
    with reading(converted("no flyback")) as nwbfile:
        (series,) = nwbfile.acquisition.values()
        found = series.data[:].transpose(0, 3, 2, 1)
        np.testing.assert_array_equal(found, pages.reshape(10, 9, 20, 20))
        np.testing.assert_allclose(np.diff(_times(series)), np.diff(times[::9]), atol=1e-5)


def test_a_movie_of_scanimage_2016(converted, data_folder):
    pages, times = _scanimage_pages(data_folder / RECORDINGS["scanimage 2016"][0])
    with reading(converted("scanimage 2016")) as nwbfile:
        (series,) = nwbfile.acquisition.values()
        assert series.data.dtype == pages.dtype
        np.testing.assert_array_equal(series.data[:].transpose(0, 2, 1), pages)
        np.testing.assert_allclose(_times(series), times, atol=1e-5)
        plane = series.imaging_plane
        assert plane.imaging_rate == 30.012
        # The corners of the field are 61.3125 micrometres apart, in 512 pixels.
        np.testing.assert_allclose(plane.grid_spacing[:], [61.3125e-6 / 512] * 2, rtol=1e-5)


def test_frames_of_a_slice_are_samples_in_time(converted, data_folder):
    pages, times = _scanimage_pages(data_folder / RECORDINGS["slow stack"][0])
    # Channel fastest, then the frames of a slice, slices, volumes.
    expected = pages.reshape(3, 2, 2, 2, 256, 256)
    with reading(converted("slow stack")) as nwbfile:
        names = ["TwoPhotonSeriesChannel1", "TwoPhotonSeriesChannel4"]
        assert sorted(nwbfile.acquisition) == names
        for channel, name in enumerate(names):
            series = nwbfile.acquisition[name]
            assert series.data.shape == (6, 256, 256, 2)
            found = series.data[:].transpose(0, 3, 2, 1).reshape(3, 2, 2, 256, 256)
            # (volume, frame of the slice, slice)
            np.testing.assert_array_equal(found, expected[:, :, :, channel].swapaxes(1, 2))
            assert set(np.round(_times(series), 6)) <= set(np.round(times, 6))


# --- Suite2p ----------------------------------------------------------------------------------


def _suite2p_masks(stat: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    masks = np.zeros((len(stat), *shape), dtype="float32")
    for mask, roi in zip(masks, stat, strict=True):
        mask[roi["ypix"], roi["xpix"]] = roi["lam"]
    return masks


def _check_suite2p(ophys: Any, folder: Path, suffix: str, files: dict[str, str]) -> None:
    table = ophys["ImageSegmentation"][f"PlaneSegmentation{suffix}"]
    stat = np.load(folder / "stat.npy", allow_pickle=True)
    ops = np.load(folder / "ops.npy", allow_pickle=True).item()
    masks = _suite2p_masks(stat, (ops["Ly"], ops["Lx"]))
    np.testing.assert_array_equal(table["image_mask"][:].swapaxes(1, 2), masks)
    for name, file in files.items():
        series = ophys["Fluorescence"][f"{name}{suffix}"]
        np.testing.assert_array_equal(series.data[:], np.load(folder / file).T)
        assert series.rate == ops["fs"]
        assert series.rois.table.name == table.name
    iscell = np.load(folder / "iscell.npy")
    np.testing.assert_array_equal(table["Accepted"][:], iscell[:, 0])
    np.testing.assert_array_equal(table["Rejected"][:], 1 - iscell[:, 0])
    np.testing.assert_allclose(table["iscell_probability"][:], iscell[:, 1])
    image = ophys["SegmentationImages"][f"mean{suffix}"]
    key = "meanImg_chan2" if "Chan2" in suffix else "meanImg"
    np.testing.assert_allclose(image.data[:].T, ops[key])


def test_suite2p_planes_and_channels(converted, data_folder):
    folder = data_folder / RECORDINGS["suite2p"][0]
    first = {"RoiResponseSeries": "F.npy", "Neuropil": "Fneu.npy", "Deconvolved": "spks.npy"}
    second = {"RoiResponseSeries": "F_chan2.npy", "Neuropil": "Fneu_chan2.npy"}
    with reading(converted("suite2p")) as nwbfile:
        ophys = nwbfile.processing["ophys"]
        tables = ophys["ImageSegmentation"].plane_segmentations
        assert len(tables) == 4
        assert len({table.imaging_plane.name for table in tables.values()}) == 4
        for plane in range(2):
            _check_suite2p(ophys, folder / f"plane{plane}", f"Chan1Plane{plane}", first)
            _check_suite2p(ophys, folder / f"plane{plane}", f"Chan2Plane{plane}", second)
        # Nothing is there twice, and nothing more.
        assert len(ophys["Fluorescence"].roi_response_series) == 2 * (3 + 2)


def test_suite2p_of_the_current_release(converted, data_folder):
    folder = data_folder / RECORDINGS["suite2p 1.1"][0] / "plane0"
    files = {"RoiResponseSeries": "F.npy", "Neuropil": "Fneu.npy", "Deconvolved": "spks.npy"}
    with reading(converted("suite2p 1.1")) as nwbfile:
        _check_suite2p(nwbfile.processing["ophys"], folder, "", files)


# --- CaImAn -----------------------------------------------------------------------------------


def _sparse(group: h5py.Group) -> csc_matrix:
    parts = (group["data"][:], group["indices"][:], group["indptr"][:])
    return csc_matrix(parts, shape=tuple(group["shape"][:]))


@pytest.mark.parametrize("name", ["caiman 1.8", "caiman 1.12"])
def test_caiman(converted, data_folder, name):
    with h5py.File(data_folder / RECORDINGS[name][0], "r") as file:
        estimates = file["estimates"]
        shape = tuple(file["params/data/dims"][:])
        spatial = _sparse(estimates["A"]).toarray().T
        masks = np.array([a.reshape(shape, order="F") for a in spatial])
        background = np.array([b.reshape(shape, order="F") for b in estimates["b"][:].T])
        traces = {
            "Denoised": estimates["C"][:].T,
            "Deconvolved": estimates["S"][:].T,
            "RoiResponseSeries": (estimates["C"][:] + estimates["YrA"][:]).T,
        }
        activity, dff = estimates["f"][:].T, estimates["F_dff"][:].T
        rate = float(file["params/data/fr"][()])
        accepted = estimates["idx_components"]
        accepted = accepted[:] if accepted.ndim else None
    with reading(converted(name)) as nwbfile:
        ophys = nwbfile.processing["ophys"]
        table = ophys["ImageSegmentation"]["PlaneSegmentation"]
        np.testing.assert_allclose(table["image_mask"][:].swapaxes(1, 2), masks, rtol=1e-6)
        apart = ophys["ImageSegmentation"]["BackgroundPlaneSegmentation"]
        np.testing.assert_allclose(apart["image_mask"][:].swapaxes(1, 2), background, rtol=1e-6)
        for series, expected in traces.items():
            found = ophys["Fluorescence"][series]
            np.testing.assert_allclose(found.data[:], expected, rtol=1e-6)
            assert (found.rate, found.rois.table.name) == (rate, "PlaneSegmentation")
        np.testing.assert_allclose(ophys["DfOverF"]["RoiResponseSeries"].data[:], dff)
        np.testing.assert_allclose(ophys["Fluorescence"]["Background"].data[:], activity)
        assert ophys["Fluorescence"]["Background"].rois.table is apart
        if accepted is None:
            assert "Accepted" not in table.colnames
        else:
            np.testing.assert_array_equal(np.flatnonzero(table["Accepted"][:]), accepted)


def test_extract(converted, data_folder):
    with h5py.File(data_folder / RECORDINGS["extract"][0], "r") as file:
        output = file["output"]
        # HDF5 keeps MATLAB's (rows, columns, cells) in reverse, as NWB has them.
        masks, traces = output["spatial_weights"][:], output["temporal_weights"][:].T
        images = {
            "summary_image": output["info/summary_image"][:],
            "f_per_pixel": output["info/F_per_pixel"][:],
            "max_image": output["info/max_image"][:],
        }
    with reading(converted("extract")) as nwbfile:
        ophys = nwbfile.processing["ophys"]
        table = ophys["ImageSegmentation"]["PlaneSegmentation"]
        np.testing.assert_array_equal(table["image_mask"][:], masks)
        assert table["Accepted"][:].all()
        series = ophys["DfOverF"]["RoiResponseSeries"]
        np.testing.assert_array_equal(series.data[:], traces)
        assert series.rate == 20.0
        found = ophys["SegmentationImages"].images
        assert set(found) == set(images)
        for name, image in images.items():
            np.testing.assert_array_equal(found[name].data[:], image)


# --- Inscopix ---------------------------------------------------------------------------------


def test_inscopix_movie(converted, data_folder):
    path = data_folder / RECORDINGS["inscopix movie"][0]
    movie = np.fromfile(path, "<u2", 1248 * 33 * 29).reshape(1248, 33, 29)
    with reading(converted("inscopix movie")) as nwbfile:
        (series,) = nwbfile.acquisition.values()
        assert type(series).__name__ == "OnePhotonSeries"
        np.testing.assert_array_equal(series.data[:].transpose(0, 2, 1), movie)
        # The header's period of 179,973 microseconds.
        assert (series.rate, series.starting_time) == (pytest.approx(1e6 / 179973), 0.0)


def test_inscopix_cells(converted, data_folder):
    # A mask of 21 x 21 pixels, then a trace of 100 samples, for each cell.
    cells = np.fromfile(data_folder / RECORDINGS["inscopix cells"][0], "<f4", 6 * 541)
    cells = cells.reshape(6, 541)
    with reading(converted("inscopix cells")) as nwbfile:
        ophys = nwbfile.processing["ophys"]
        table = ophys["ImageSegmentation"]["PlaneSegmentation"]
        masks = cells[:, :441].reshape(6, 21, 21)
        np.testing.assert_array_equal(table["image_mask"][:].swapaxes(1, 2), masks)
        assert list(table["cell_name"][:]) == ["C0", "C1", "C2", "C3", "C4", "C5"]
        (series,) = ophys["Fluorescence"].roi_response_series.values()
        np.testing.assert_array_equal(series.data[:], cells[:, 441:].T)
        assert series.rate == 10.0


# --- Minian -----------------------------------------------------------------------------------


def _zarr_array(folder: Path) -> np.ndarray:
    """Return an array of Zarr 2, with chunks read only with numcodecs."""
    header = json.loads((folder / ".zarray").read_text())
    codec = numcodecs.get_codec(header["compressor"]) if header["compressor"] else None
    shape, chunks = header["shape"], header["chunks"]
    found = np.full(shape, header["fill_value"] or 0, header["dtype"])
    separator = header.get("dimension_separator", ".")
    for index in np.ndindex(*(-(-n // c) for n, c in zip(shape, chunks, strict=True))):
        file = folder / separator.join(map(str, index))
        if not file.exists():
            continue
        data = file.read_bytes() if codec is None else codec.decode(file.read_bytes())
        chunk = np.frombuffer(data, header["dtype"]).reshape(chunks)
        place = tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, chunks, strict=True))
        target = found[place]
        target[...] = chunk[tuple(slice(n) for n in target.shape)]
    return found


def test_minian(converted, data_folder):
    folder = data_folder / RECORDINGS["minian"][0]
    masks = _zarr_array(folder / "A.zarr" / "A")
    with reading(converted("minian")) as nwbfile:
        ophys = nwbfile.processing["ophys"]
        table = ophys["ImageSegmentation"]["PlaneSegmentation"]
        labels = _zarr_array(folder / "A.zarr" / "unit_id")
        kept = [index for index, mask in enumerate(masks) if labels[index] >= 0]
        np.testing.assert_allclose(
            table["image_mask"][:].swapaxes(1, 2), masks[kept].astype("float32")
        )
        for name, file in {"Denoised": "C", "Deconvolved": "S"}.items():
            series = ophys["Fluorescence"][name]
            traces = _zarr_array(folder / f"{file}.zarr" / file)
            np.testing.assert_array_equal(series.data[:], traces.T)


# --- NWB of another author --------------------------------------------------------------------


def test_nwb_that_suite2p_wrote(converted, data_folder):
    source = data_folder / RECORDINGS["nwb by suite2p"][0]
    with h5py.File(source, "r") as file:
        ophys = file["processing/ophys"]
        table = ophys["ImageSegmentation/PlaneSegmentation"]
        ends = table["pixel_mask_index"][:]
        pixels = np.split(table["pixel_mask"][:], ends[:-1])
        traces = {
            "RoiResponseSeries": ophys["Fluorescence/plane0/data"][:],
            "Neuropil": ophys["Neuropil/plane0/data"][:],
            "Deconvolved": ophys["Deconvolved/plane0/data"][:],
        }
        iscell = table["iscell"][:]
        images = {name: ophys["Backgrounds_0"][name][:] for name in ("meanImg", "Vcorr")}
    with reading(converted("nwb by suite2p")) as nwbfile:
        ophys = nwbfile.processing["ophys"]
        masks = ophys["ImageSegmentation"]["PlaneSegmentation"]["image_mask"][:]
        assert len(masks) == len(pixels) == 83
        for mask, listed in zip(masks, pixels, strict=True):
            expected = np.zeros((512, 512), "float32")
            expected[listed["x"], listed["y"]] = listed["weight"]
            np.testing.assert_array_equal(mask, expected)
        for name, data in traces.items():
            np.testing.assert_array_equal(ophys["Fluorescence"][name].data[:], data)
        accepted = ophys["ImageSegmentation"]["PlaneSegmentation"]["Accepted"][:]
        np.testing.assert_array_equal(accepted, iscell[:, 0])
        for name, image in images.items():
            np.testing.assert_array_equal(ophys["SegmentationImages"][name].data[:], image)


def test_caimans_rois_lie_on_the_cells_of_the_movie(converted, data_folder):
    """The pixels of each accepted ROI follow its trace; mirrored or transposed they do not."""
    movie = tifffile.imread(data_folder / RECORDINGS["neurofinder"][0]).astype(float)
    movie -= movie.mean(axis=0)
    # Without the neuropil, which all pixels share.
    movie -= movie.mean(axis=(1, 2), keepdims=True)
    with reading(converted("caiman 1.12")) as nwbfile:
        ophys = nwbfile.processing["ophys"]
        table = ophys["ImageSegmentation"]["PlaneSegmentation"]
        masks = table["image_mask"][:].swapaxes(1, 2)[table["Accepted"][:] == 1]
        traces = ophys["Fluorescence"]["Denoised"].data[:][:, table["Accepted"][:] == 1]

    def agreement(seen: np.ndarray) -> float:
        values = []
        for mask, trace in zip(seen, traces.T, strict=True):
            means = movie[:, mask > 0.2 * mask.max()].mean(axis=1)
            values.append(np.corrcoef(means, trace)[0, 1])
        return float(np.mean(values))

    right = agreement(masks)
    wrong = [masks.swapaxes(1, 2), masks[:, ::-1], masks[:, :, ::-1], masks[:, ::-1, ::-1]]
    assert len(masks) == 22
    assert right > 0.7
    assert max(map(agreement, wrong)) < right - 0.4


@pytest.mark.parametrize("name", RECORDINGS)
def test_its_report_shows_everything(converted, report_of, name):
    path, report = converted(name), report_of(name)
    parts = [report.session, report.timing, report.storage, report.origin, report.verdict]
    parts += [*report.movies, *report.tables, *report.traces, *report.pictures]
    parts += [each.statistics for each in report.movies]
    parts += [each.pixels for each in report.tables]
    assert not [part for part in (*parts, *report.unreadable) if isinstance(part, Unreadable)]
    assert report.verdict.is_valid
    assert len(render_report(report).encode()) <= 5_000_000
    with h5py.File(path) as file:
        for movie in report.movies:
            frames = file[f"{movie.path}/data"][:]
            np.testing.assert_allclose(movie.statistics.mean, frames.mean(axis=0), rtol=1e-5)
            assert movie.statistics.num_zero == (frames == 0).sum()
        for table in report.tables:
            masks = file[table.path]
            if "image_mask" in masks:
                expected = [(mask != 0).sum() for mask in masks["image_mask"]]
                assert table.sizes.tolist() == expected
            assert len(table.ids) == len(masks["id"])
            shown = [bool(loops) for loops in table.outlines[0].loops]
            assert sum(shown) >= (table.sizes > 0).sum() * (table.num_planes == 1)
