"""Tests of files of pixels: detection and complete conversions."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from nwb_ophys import MemmapImagingInterface
from nwb_ophys.cli import main
from nwb_ophys.registry import detect
from nwb_ophys.testing import write_memmap

WHOLE = np.random.default_rng(1).integers(0, 4096, (12, 7, 9, 3, 2), dtype=np.uint16)


def convert(path: Path, target: Path, *options: str) -> None:
    start = "NWBFile.session_start_time=2024-05-17T14:30:00+02:00"
    given = [part for option in options for part in ("--option", option)]
    arguments = ["convert", str(path), "-o", str(target), "--set", start, *given]
    if path.suffix == ".raw":
        arguments += ["--format", "memmap"]
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 0


def test_a_memory_map_of_caiman_is_recognised(tmp_path):
    path = write_memmap(tmp_path, WHOLE[..., 0])
    for given in (path, tmp_path):
        (candidate,) = detect(given)
        assert candidate.format == "memmap"
        assert candidate.evidence == (
            f"'{path.name}' has a CaImAn name, and the 12 x 7 x 9 x 3 pixels that it states"
        )


def test_what_is_no_memory_map_of_caiman(tmp_path):
    path = write_memmap(tmp_path, WHOLE[..., 0])
    content = path.read_bytes()
    for name in ("movie.mmap", "movie.raw", path.name.replace(".mmap", ".raw")):
        (tmp_path / name).write_bytes(content)
        assert MemmapImagingInterface.matches(tmp_path / name) is None
    path.write_bytes(content + b" ")
    assert MemmapImagingInterface.matches(path) is None
    path.write_bytes(b"")
    assert MemmapImagingInterface.matches(path) is None
    assert MemmapImagingInterface.matches(tmp_path) is None


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_real_movie_by_the_command_line(data_folder, tmp_path, order):
    """The frames of a real recording, stored as CaImAn stores them."""
    movie = tifffile.imread(data_folder / "tiff/neurofinder_crop_101x256x256.tif")
    path = write_memmap(tmp_path / "movies", movie, order=order)
    convert(path.parent, tmp_path / "a.nwb", "sampling_frequency=7.5")
    with h5py.File(tmp_path / "a.nwb") as file:
        (series,) = file["acquisition"].values()
        np.testing.assert_array_equal(series["data"][:].transpose(0, 2, 1), movie)
        assert series["starting_time"].attrs["rate"] == 7.5


@pytest.mark.parametrize("as_volume", [True, False])
def test_every_channel_and_plane_by_the_command_line(tmp_path, as_volume):
    path = tmp_path / "movie.raw"
    path.write_bytes(b"heading" + WHOLE.transpose(0, 4, 3, 1, 2).astype(">u2").tobytes())
    convert(
        path,
        tmp_path / "a.nwb",
        "sampling_frequency=5.25",
        "shape=[-1, 2, 3, 7, 9]",
        "dtype=>u2",
        "dimension_order=TCZYX",
        "offset=7",
        f"as_volume={str(as_volume).lower()}",
    )
    with h5py.File(tmp_path / "a.nwb") as file:
        assert len(file["acquisition"]) == (2 if as_volume else 6)
        for channel in range(2):
            name = f"TwoPhotonSeriesChannel{channel}"
            if as_volume:
                data = file[f"acquisition/{name}/data"][:]
                np.testing.assert_array_equal(data.swapaxes(1, 2), WHOLE[..., channel])
                continue
            for plane in range(3):
                data = file[f"acquisition/{name}Plane{plane}/data"][:]
                np.testing.assert_array_equal(data.swapaxes(1, 2), WHOLE[..., plane, channel])
