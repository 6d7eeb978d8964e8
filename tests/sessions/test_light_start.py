"""The process that plans a batch imports nothing that converts; its workers do meanwhile."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

PROGRAM = """
import sys
from nwb_ophys import run_sessions

if __name__ == "__main__":
    result = run_sessions("lab.yaml", jobs=2)
    assert [each.state for each in result.states] == ["done"] * 2, result
    print(sorted({"pynwb", "h5py", "zarr"} & set(sys.modules)))
"""


def test_the_planning_process_imports_no_pynwb(tmp_path):
    """Fault: it took a second, and the workers started after it."""
    for name in ("M1", "M2"):
        (tmp_path / "raw" / name).mkdir(parents=True)
        np.save(tmp_path / "raw" / name / "movie.npy", np.ones((9, 8, 8), np.uint16))
    (tmp_path / "lab.yaml").write_text(
        "output: dandi\n"
        "options: {sampling_frequency: 30}\n"
        "metadata: {NWBFile: {session_start_time: '2024-05-17T14:30:00+02:00'}}\n"
        "sessions: [{pattern: 'raw/{subject_id}', paths: movie.npy}]\n"
    )
    (tmp_path / "run.py").write_text(PROGRAM)
    ended = subprocess.run(
        [sys.executable, "run.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.stdout == "[]\n", ended.stderr
