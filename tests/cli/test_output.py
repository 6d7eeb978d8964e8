"""Options of all commands for their output, and the completion of shells."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from nwb_ophys.cli import main
from nwb_ophys.cli.app import _COMMANDS, app
from nwb_ophys.cli.failures import _notes


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return int(end.value.code or 0)


@pytest.fixture
def movie(tmp_path):
    from nwb_ophys.testing import simulate_recording, write_tiff

    return str(write_tiff(tmp_path / "movie.tif", simulate_recording(num_samples=4).movie))


def test_quiet_prints_errors_alone(movie, capsys, tmp_path):
    assert run("detect", movie, "--quiet") == 0
    assert capsys.readouterr() == ("", "")
    output = str(tmp_path / "a.nwb")
    start = "NWBFile.session_start_time=2024-05-17T14:30:00"  # without a zone, which is noted
    given = ["convert", movie, "-o", output, "--option", "sampling_frequency=30", "--set", start]
    assert run(*given, "--quiet") == 0
    assert capsys.readouterr() == ("", "")
    assert run(*given, "--quiet") == 2  # the file exists
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Error: ")
    assert run(*given, "--overwrite") == 0
    assert "Note: " in capsys.readouterr().err


def test_a_log_file_gets_each_line_with_its_time_after_earlier_ones(movie, capsys, tmp_path):
    log = tmp_path / "a.log"
    log.write_text("before\n")
    assert run("detect", movie, "--log-file", str(log)) == 0
    assert run("detect", str(tmp_path / "absent"), f"--log-file={log}", "--quiet") == 2
    out, err = capsys.readouterr()
    first, *lines = log.read_text().splitlines()
    assert first == "before"
    moment = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d ")
    assert all(moment.match(line) for line in lines)
    assert [moment.sub("", line) for line in lines] == [*out.splitlines(), *err.splitlines()]


@pytest.mark.parametrize("name", ["absent/a.log", "."])
def test_a_log_file_that_cannot_be_written_is_a_mistake(movie, capsys, tmp_path, name):
    assert run("detect", movie, "--log-file", str(tmp_path / name)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert "log file" in err


def test_a_disk_that_is_full_ends_the_log_and_not_the_command(movie, capsys, tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))  # no file may have a byte
    try:
        assert run("detect", movie, "--json", "--log-file", str(tmp_path / "a.log")) == 0
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    out, err = capsys.readouterr()
    assert json.loads(out)[0]["format"] == "tiff"
    (line,) = err.splitlines()
    assert line.startswith("Note: The log file '")
    assert "cannot be written any more" in line


@pytest.mark.parametrize("command", sorted(_COMMANDS))
def test_all_commands_have_them_once(command, capsys):
    for _ in range(2):  # options are added when a command is loaded
        names = [each.name for each in app.get_command(None, command).params]
        assert names.count("quiet") == names.count("log_file") == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_are_installed_where_shells_look(shell, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert run("completion", shell) == 0
    assert "Wrote " in capsys.readouterr().out
    (written,) = (path for path in tmp_path.rglob("*nwb-ophys*") if path.is_file())
    assert run("completion", shell) == 0  # again
    capsys.readouterr()
    assert run("completion", shell, "--print", "--quiet") == 0
    assert capsys.readouterr().out.strip() == written.read_text().strip()
    written.write_text("of the user")
    assert run("completion", shell) == 2
    assert written.read_text() == "of the user"


def test_the_completion_of_bash_knows_commands_and_options(tmp_path):
    script = (
        "import os, sys; os.environ.update(_NWB_OPHYS_COMPLETE='bash_complete', "
        "COMP_WORDS=sys.argv[1], COMP_CWORD=sys.argv[2]); "
        "from nwb_ophys.cli import main; main([])"
    )
    for words, position, expected in (
        ("nwb-ophys ba", "1", "batch"),
        ("nwb-ophys convert --log", "2", "--log-file"),
    ):
        command = [sys.executable, "-c", script, words, position]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        assert f"plain,{expected}" in said


def test_what_programs_read_is_json(movie, capsys, tmp_path):
    output = str(tmp_path / "a.nwb")
    start = "NWBFile.session_start_time=2024-05-17T14:30:00+02:00"
    given = ["convert", movie, "-o", output, "--option", "sampling_frequency=30", "--set", start]
    assert run(*given, "--quiet") == 0
    assert run("detect", movie, "--json") == 0
    (detected,) = json.loads(capsys.readouterr().out)
    assert (detected["path"], detected["format"]) == (movie, "tiff")
    assert run("formats", "--json") == 0
    names = [each["name"] for each in json.loads(capsys.readouterr().out)]
    assert "bruker" in names
    assert run("verify", output, "--json") == 0
    assert json.loads(capsys.readouterr().out)["equal"]
    assert run("inspect", output, "--json", "--quiet") == 0
    assert json.loads(capsys.readouterr().out)["valid"]
    assert run("inspect", output, output, "--json") == 0
    assert [each["valid"] for each in json.loads(capsys.readouterr().out)] == [True, True]
    (tmp_path / "bad.nwb").write_text("no file of NWB")
    assert run("inspect", str(tmp_path / "bad.nwb"), output, "--json") == 1
    assert [each["valid"] for each in json.loads(capsys.readouterr().out)] == [False, True]
    assert run("inspect", output, output) == 0
    assert capsys.readouterr().out.count(" errors, ") == 2


def test_stdout_is_json_alone_whatever_libraries_print(movie, tmp_path):
    loud = "import sys, os\nclass Loud:\n def find_spec(self, name, path, target=None):\n"
    loud += "  if name in ('pynwb', 'roiextractors'): print('hello'); os.write(1, b'from C')\n"
    (tmp_path / "sitecustomize.py").write_text(f"{loud}sys.meta_path.insert(0, Loud())\n")
    places = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    ended = subprocess.run(
        [sys.executable, "-m", "nwb_ophys", "detect", movie, "--json"],
        env={**os.environ, "PYTHONPATH": places},
        capture_output=True,
        check=True,
        text=True,
    )
    assert json.loads(ended.stdout)[0]["format"] == "tiff"
    assert "hello" in ended.stderr
    assert "from C" in ended.stderr


def test_json_has_no_numbers_that_json_lacks(capsys):
    from nwb_ophys.cli.options import say_json

    say_json({"a": [float("nan"), (float("-inf"), 1.5)], 1: np.float32("nan"), None: np.arange(2)})
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert found == {"a": [None, ["-inf", 1.5]], "1": None, "None": [0, 1]}


@pytest.mark.parametrize("number", [1, 2])
def test_numbers_agree_with_their_nouns(tmp_path, capsys, number):
    from nwb_ophys.testing import simulate_recording, write_tiff

    movie = simulate_recording(num_samples=4).movie
    for index in range(number):
        write_tiff(tmp_path / f"m{index}.tif", movie)
    (tmp_path / "lab.yaml").write_text(
        "output: out\noptions: {sampling_frequency: 30}\n"
        "metadata: {NWBFile: {session_start_time: 2024-05-17T14:30:00Z}}\n"
        "sessions:\n- pattern: '{subject_id}.tif'\n"
    )
    lab, noun = str(tmp_path / "lab.yaml"), f"{number} session{'s' * (number > 1)}"
    assert run("batch", lab, "--dry-run") == 0
    assert f"\n{noun}: {number} convert." in capsys.readouterr().out
    assert run("batch", lab, "--reports") == 0
    assert f"\n{noun}: {number} done." in capsys.readouterr().out
    assert run("batch", lab, "--status") == 0
    assert capsys.readouterr().out.endswith(f"\n{noun}: {number} done.\n")
    assert run("report", str(tmp_path / "out")) == 0
    assert capsys.readouterr().out.endswith(f": {noun}\n")
    (title,) = re.findall("<title>(.*)</title>", (tmp_path / "out" / "index.html").read_text())
    assert title == f"out: {noun}"


def test_lines_above_the_bars_of_a_batch_are_in_the_log_file(tmp_path, monkeypatch, capsys):
    from nwb_ophys.cli.batch_display import BatchDisplay
    from nwb_ophys.cli.terminal import output_to
    from nwb_ophys.sessions import SessionState

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    log = tmp_path / "a.log"
    with (
        output_to(is_quiet=False, log_path=str(log)),
        BatchDisplay([], is_shown=True, is_quiet=False) as display,
    ):
        display.show(SessionState(key="M1/a", state="failed", reason="It is damaged."))
    assert "failed M1/a: It is damaged." in capsys.readouterr().out
    assert "failed M1/a: It is damaged." in log.read_text()


def test_a_note_that_names_a_file_in_two_ways_is_printed_once(capsys, monkeypatch, tmp_path):
    """Fault: notes of a folder given by a relative path were printed twice."""
    monkeypatch.chdir(tmp_path)
    show = _notes()
    for place in ("a.tif", str(tmp_path / "a.tif"), "a.tif"):
        show(f"'{place}' was stopped.")
    assert capsys.readouterr().err.splitlines() == ["Note: 'a.tif' was stopped."]
