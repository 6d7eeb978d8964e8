"""The index of a dataset: a row for each file and for each session that failed."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil

import numpy as np
import pytest
import zarr
from hdmf_zarr.nwb import NWBZarrIO
from tests_of_reports import Made, write_session

from nwb_ophys.cli import main
from nwb_ophys.errors import OutputExistsError
from nwb_ophys.reports import index as index_module
from nwb_ophys.reports import write_index
from nwb_ophys.reports.index import render_index
from nwb_ophys.reports.rows import Row


@pytest.fixture
def dataset(made: Made, tmp_path):
    """Two files in folders, one of which is damaged, and files that are none."""
    folder = tmp_path / "data set"
    (folder / "sub-1").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    shutil.copy(made.path, folder / "sub-1" / "a #1.nwb")
    shutil.copy(made.path, folder / ".hidden" / "c.nwb")
    (folder / "b.nwb").write_text("nothing")
    (folder / "notes.txt").write_text("nothing")
    return folder


def rows_of(page):
    """Return the texts of the cells of an index, row by row."""
    text = page.read_text("utf-8")
    rows = re.findall(r"<tr>(.*?)</tr>", text.partition("<tbody>")[2], re.DOTALL)
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in rows]
    return [[re.sub(r"<[^>]+>", "", cell).strip() for cell in row] for row in cells]


def test_a_row_for_each_file(dataset):
    page, rows = write_index(dataset)
    assert page == dataset / "index.html"
    assert [row.name for row in rows] == ["b.nwb", "sub-1/a #1.nwb"]
    broken, good = rows
    assert (broken.state, broken.page) == ("unreadable", "")
    assert "not an NWB file" in broken.reason
    assert good.page == "sub-1/a%20%231.nwb.html"
    assert (dataset / "sub-1" / "a #1.nwb.html").is_file()
    assert (good.num_rois, good.subject, good.num_severe) == (5, "M7", 0)
    assert good.seconds == pytest.approx(6.2)  # 61 frames at 10 Hz, and a gap of two
    assert good.rate == pytest.approx(10)
    shown = rows_of(page)[1]
    assert shown[1:3] == ["sub-1/a #1.nwb", "M7"]
    assert shown[4:7] == ["6.2 s", "5", "10 Hz"]


def test_other_stores_are_no_sessions(dataset):
    (dataset / "b.nwb").unlink()
    other = dataset / "movie.zarr"
    (other / "inner.nwb").mkdir(parents=True)
    (other / ".zgroup").write_text('{"zarr_format": 2}')
    assert [row.name for row in write_index(dataset)[1]] == ["sub-1/a #1.nwb"]


def test_pages_of_files_that_have_not_changed_are_kept(dataset, monkeypatch):
    (dataset / "b.nwb").unlink()
    _, rows = write_index(dataset)
    monkeypatch.setattr(index_module, "gather_report", None)  # nothing is read
    assert write_index(dataset)[1] == rows
    path = dataset / "sub-1" / "a #1.nwb"
    os.utime(path, (1, 1))
    with pytest.raises(TypeError):
        write_index(dataset)


def test_pages_of_stores_with_a_changed_chunk_are_written_again(tmp_path):
    """Fault: a change within a store leaves its folder as it was, and the old page was kept."""
    folder = tmp_path / "set"
    folder.mkdir()
    path = folder / "a.nwb.zarr"
    write_session(path, io=NWBZarrIO)
    (before,) = write_index(folder)[1]
    assert write_index(folder)[1] == (before,)
    movie = zarr.open(str(path), "r+")["acquisition/Movie/data"]
    movie[:] = np.broadcast_to(np.arange(18, dtype=np.uint16), movie.shape)
    (after,) = write_index(folder)[1]
    assert after.thumbnail != before.thumbnail


def test_files_of_others_are_kept(dataset):
    (dataset / "index.html").write_text("<p>mine</p>")
    with pytest.raises(OutputExistsError):
        write_index(dataset)
    assert (dataset / "index.html").read_text() == "<p>mine</p>"
    write_index(dataset, overwrite=True)
    assert "sessions" in (dataset / "index.html").read_text("utf-8")


def test_pages_may_lie_in_another_folder(dataset, tmp_path):
    page, rows = write_index(dataset, tmp_path / "pages")
    assert page == tmp_path / "pages" / "index.html"
    assert (tmp_path / "pages" / "sub-1" / "a #1.nwb.html").is_file()
    assert not list(dataset.rglob("*.html"))
    assert rows[1].page == "sub-1/a%20%231.nwb.html"


def test_its_script_is_the_one_that_the_policy_allows(dataset):
    text = write_index(dataset)[0].read_text("utf-8")
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text


def test_hostile_names_are_escaped():
    name = "<script>alert(1)</script>\"onload='x'"
    text = render_index([Row(name=name, state="failed", reason=name, page=name)], name)
    assert text.count("<script>") == 1
    assert "&lt;script&gt;alert(1)" in text


def test_the_command_for_a_folder(dataset, capsys):
    with pytest.raises(SystemExit) as end:
        main(["report", str(dataset)])
    assert end.value.code == 3  # a file cannot be shown
    assert capsys.readouterr().out.splitlines()[-1] == f"Wrote {dataset}/index.html: 2 sessions"
    (dataset / "b.nwb").unlink()
    with pytest.raises(SystemExit) as end:
        main(["report", str(dataset)])
    assert end.value.code == 0


@pytest.fixture
def batch(tmp_path):
    """A batch of two sessions, one of which fails."""
    movie = np.random.default_rng(0).integers(0, 900, (30, 12, 14)).astype(np.uint16)
    for name in ("M1", "M2"):
        (tmp_path / "raw" / name).mkdir(parents=True)
        np.save(tmp_path / "raw" / name / "movie.npy", movie)
    (tmp_path / "raw" / "M2" / "movie.npy").write_bytes(b"nothing")
    (tmp_path / "lab.yaml").write_text(
        "output: out\n"
        "sessions:\n"
        "  - pattern: raw/{subject_id}\n"
        '    paths: ["*.npy"]\n'
        "    options: {sampling_frequency: 10}\n"
        "    metadata:\n"
        "      NWBFile: {session_start_time: 2024-05-17T14:30:00+02:00}\n"
    )
    return tmp_path


@pytest.mark.parametrize("again", ["batch", "report"])
def test_a_batch_with_reports(batch, again, capsys):
    with pytest.raises(SystemExit) as end:
        main(["batch", str(batch / "lab.yaml"), "--reports", "--no-progress"])
    assert end.value.code == 3
    index = batch / "out" / "index.html"
    assert f"Wrote {index}" in capsys.readouterr().out
    if again == "report":  # the folder alone gives the same sessions, from their states
        index.unlink()
        with pytest.raises(SystemExit):
            main(["report", str(batch / "out")])
    done, failed = rows_of(index)
    assert done[1].endswith("M1") or "sub-M1" in done[1]
    assert (done[2], done[9]) == ("M1", "done")
    assert failed[1] == "M2"
    assert failed[9].startswith("failed")
    assert "movie.npy" in failed[9]


def test_reports_of_a_batch_need_a_run(batch, capsys):
    with pytest.raises(SystemExit) as end:
        main(["batch", str(batch / "lab.yaml"), "--reports", "--dry-run"])
    assert end.value.code == 2
    assert "--reports needs a run" in capsys.readouterr().err
