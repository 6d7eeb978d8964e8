"""Tests of neuroconv's mock interfaces beside ours: as our streams, and in its converters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

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


# One test, since the table takes long, and each process of the tests would make it again.
def test_every_mock_interface_beside_ours(tmp_path: Path) -> None:
    paths = [Path(nwb_ophys.__file__).parents[1], SCRIPT.parents[1] / "programs"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    subprocess.run([sys.executable, SCRIPT, tmp_path], env=environment, cwd=tmp_path, check=True)
    table = json.loads((tmp_path / "table.json").read_text())
    assert sorted(table) == MOCKS
    assert all({"stream", "pipe"} <= results.keys() for results in table.values())
    others = {
        name: {how: found for how, found in results.items() if found != "ok"}
        for name, results in table.items()
    }
    assert {name: found for name, found in others.items() if found} == {}
