"""The file of each format equals its source, by its hashes and value by value."""

from __future__ import annotations

import shutil
import warnings

from nwb_ophys import verify

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}


def test_a_file_equals_its_moved_source(sample, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        interface = sample.cls(**sample.source)
        path = interface.run_conversion(tmp_path / "a.nwb", metadata=START, progress=False)
    moved = tmp_path / "moved"
    shutil.copytree(sample.folder, moved)
    report = verify(path, moved)
    assert report.differences == ()
    assert report.answer is not None
    if sample.row.name == "numpy-segmentation":  # of arrays in memory, too
        assert "an object in memory" in str(report.answer)
        return
    assert report.compared_with_source
    assert report.not_compared == ()
    assert report.answer.is_yes, str(report.answer)
