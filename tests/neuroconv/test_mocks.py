"""Tests of neuroconv's mock interfaces beside ours: as our streams, and in its converters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import nwb_ophys

SCRIPT = Path(__file__).with_name("mock_table.py")
MOCKS = [
    "MockBehaviorEventInterface",
    "MockEventsInterface",
    "MockExternalVideoInterface",
    "MockFiberPhotometryInterface",
    "MockIcephysInterface",
    "MockImagingInterface",
    "MockPoseEstimationInterface",
    "MockRecordingInterface",
    "MockSegmentationInterface",
    "MockSignalEncodedEventsInterface",
    "MockSortingInterface",
    "MockSpikeGLXNIDQInterface",
    "MockTimeSeriesInterface",
]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    folder = tmp_path_factory.mktemp("mocks")
    package = Path(nwb_ophys.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(package)}
    subprocess.run([sys.executable, SCRIPT, folder], env=environment, cwd=folder, check=True)
    return json.loads((folder / "table.json").read_text())


def test_every_mock_interface_is_tested(table: dict[str, dict[str, str]]) -> None:
    assert sorted(table) == MOCKS


@pytest.mark.parametrize("name", MOCKS)
def test_beside_ours(name: str, table: dict[str, dict[str, str]]) -> None:
    assert {"stream", "pipe"} <= table[name].keys()
    assert table[name] == dict.fromkeys(table[name], "ok")
