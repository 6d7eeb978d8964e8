"""The contents of the real recordings: a hash of each dataset, as of the version before grouping."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nwb_ophys.opening import open_recording

_PATHS = {
    "bruker": "bruker/NCCR32_2022_11_03_IntoTheVoid_t_series-005",
    "scanimage volumes two channels": "scanimage/volumetric_two_channels_multi_file",
    "scanimage volumes": "scanimage/volumetric_single_channel_single_file_no_flyback",
    "scanimage 2023": "scanimage/scanimage_20220923_noroi.tif",
    "scanimage 3.8": "scanimage_legacy/sample_scanimage_version_3_8.tiff",
    "thor": "thor/20231018-002",
    "miniscope": "miniscope/C6-J588_Disc5",
    "inscopix": "inscopix/movie_longer_than_3_min.isxd",
    "inscopix cells": "inscopix/cellset_series_part1.isxd",
    "femtonics": "femtonics/p29.mesc",
    "caiman": "caiman/caiman_analysis.hdf5",
    "caiman neurofinder": "caiman/v1.12.1_neurofinder_crop.hdf5",
    "extract": "extract/extract_public_output.mat",
    "minian": "minian/segmented_data_3units_100frames",
    "suite2p two planes": "suite2p/two_planes_two_channels",
    "suite2p v1": "suite2p/v1.1.0/suite2p",
    "suite2p nwb": "suite2p/v1.1.0/written_by_suite2p.nwb",
    "neurofinder": "tiff/neurofinder_crop_101x256x256.tif",
    "gcamp": "tiff/video-gcamp.tif",
    "zebrafish": "tiff/zebrafish_two_planes",
}
_NEED_RATE = ("extract", "neurofinder", "gcamp", "zebrafish")
_EXPECTED: dict[str, dict[str, str]] = json.loads(
    (Path(__file__).parent / "real_hashes.json").read_text()
)


def _hashes(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}

    def visit(name: str, item: Any) -> None:
        is_data = isinstance(item, h5py.Dataset) and item.dtype.kind in "iufb" and item.size > 1
        if is_data and not name.startswith("specifications"):
            values = np.ascontiguousarray(item[()])
            content = f"{values.shape} {values.dtype.str}".encode() + values.tobytes()
            found[name] = hashlib.sha256(content).hexdigest()[:16]

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


@pytest.mark.parametrize("name", _PATHS)
def test_every_dataset_of_a_real_recording_is_what_it_was(
    name: str, data_folder: Path, tmp_path: Path
) -> None:
    options = {"sampling_frequency": 10.0} if name in _NEED_RATE else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opened = open_recording([data_folder / _PATHS[name]], options=options)
        metadata = opened.converter.get_metadata()
        metadata["NWBFile"].setdefault("session_start_time", "2024-05-17T14:00:00+02:00")
        opened.converter.run_conversion(
            tmp_path / "a.nwb",
            metadata=metadata,
            conversion_options=opened.conversion_options,
            progress=False,
        )
        for interface in opened.converter.interfaces.values():
            getattr(interface.extractor, "close", bool)()
    assert _hashes(tmp_path / "a.nwb") == _EXPECTED[name]
