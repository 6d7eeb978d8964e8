"""NeuroConv's own tests of interfaces, run on every interface of this package, in both backends.

An interface reads a real recording where there is one, and else a sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from neuroconv.tools.testing.data_interface_mixins import (
    ImagingExtractorInterfaceTestMixin,
    SegmentationExtractorInterfaceTestMixin,
)

from nwb_ophys.interfaces import MotionWriter
from nwb_ophys.registry import formats
from nwb_ophys.testing import simulate_recording
from nwb_ophys.testing.samples import write_sample

# NeuroConv 0.10 warns of the list form of metadata, and its own dependencies of other things.
pytestmark = pytest.mark.filterwarnings("default")

# Real recordings: the format, the path, and the source arguments beside it.
REAL: dict[str, tuple[str, str, dict[str, Any]]] = {
    "zebrafish": (
        "tiff",
        "tiff/zebrafish_two_planes",
        {"sampling_frequency": 2.0, "num_planes": 2},
    ),
    "scanimage": ("scanimage", "scanimage/volumetric_two_channels_multi_file", {}),
    "scanimage_legacy": (
        "scanimage-legacy",
        "scanimage_legacy/sample_scanimage_version_3_8.tiff",
        {},
    ),
    "miniscope": ("miniscope", "miniscope/C6-J588_Disc5", {}),
    "femtonics": ("femtonics", "femtonics/p29.mesc", {}),
    "bruker": ("bruker", "bruker/NCCR32_2022_11_03_IntoTheVoid_t_series-005", {}),
    "thor": ("thor", "thor/20231018-002", {}),
    "suite2p": ("suite2p", "suite2p/two_planes_two_channels", {}),
    "caiman": ("caiman", "caiman/v1.12.1_neurofinder_crop.hdf5", {}),
    "extract": ("extract", "extract/extract_public_output.mat", {"sampling_frequency": 20.0}),
    "minian": ("minian", "minian/segmented_data_3units_100frames", {}),
    "inscopix": ("inscopix", "inscopix/movie_longer_than_3_min.isxd", {}),
    "inscopix_cells": ("inscopix-cells", "inscopix/cellset_series_part1.isxd", {}),
}


class _OfEveryInterface:
    """Attributes and steps that the mixins need, for one format."""

    format_name: str
    real: str | None = None

    # A test of neuroconv's interfaces whose metadata has two forms; it skips all others.
    test_metadata_old_list_format = None

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def source(cls, request: pytest.FixtureRequest, tmp_path_factory: Any) -> None:
        row = formats()[cls.format_name]
        cls.data_interface_cls = row.load()
        cls.save_directory = tmp_path_factory.mktemp("saved")
        if cls.real is None:
            recording = simulate_recording(num_samples=8, num_rows=24, num_columns=34, num_cells=3)
            cls.interface_kwargs = write_sample(row, tmp_path_factory.mktemp("s"), recording)
        else:
            _, path, options = REAL[cls.real]
            path = request.getfixturevalue("data_folder") / path
            streams = cls.data_interface_cls.streams(path, **options)
            cls.interface_kwargs = options | next(iter(streams.values()))
        if issubclass(cls.data_interface_cls, MotionWriter):
            # A registered movie is in the processing module by default.
            changes = {"default_options": {"parent_container": "acquisition"}}
            cls.data_interface_cls = type("_AsAcquisition", (cls.data_interface_cls,), changes)
        if row.kind == "imaging":
            interface = cls.data_interface_cls(**cls.interface_kwargs)
            ophys = interface.get_metadata()["Ophys"]
            cls.optical_series_name = ophys[interface.photon_series_type][0]["name"]
            _close(interface)

    @pytest.fixture(autouse=True)
    def closed_afterwards(self) -> Iterator[None]:
        yield
        _close(self.__dict__.pop("interface", None))

    def check_extracted_metadata(self, metadata: Any) -> None:
        assert metadata["Ophys"]["Device"]


def _close(interface: Any) -> None:
    close = getattr(getattr(interface, "extractor", None), "close", None)
    if callable(close):
        close()


def _class_for(name: str, real: str | None = None) -> Any:
    mixin = (
        ImagingExtractorInterfaceTestMixin
        if formats()[name].kind == "imaging"
        else SegmentationExtractorInterfaceTestMixin
    )
    return type("Test", (_OfEveryInterface, mixin), {"format_name": name, "real": real})


for _real, (_name, _, _) in REAL.items():
    globals()[f"TestReal_{_real}"] = _class_for(_name, _real)
for _name in sorted(formats().keys() - {_name for _name, _, _ in REAL.values()}):
    globals()[f"TestSample_{_name}"] = _class_for(_name)
