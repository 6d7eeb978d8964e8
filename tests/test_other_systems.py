"""Tests of what Windows does otherwise, by faking it: flags of files, flushes, names, patterns."""

from __future__ import annotations

import datetime
import errno
import os
import re
import shlex
import stat
from os.path import realpath
from pathlib import Path

import pytest

from nwb_ophys import outside
from nwb_ophys.cli import main, options
from nwb_ophys.errors import OutputError, not_found
from nwb_ophys.interfaces import provenance
from nwb_ophys.outside import check_output, fault_on_windows, ignores_case
from nwb_ophys.shell_words import quoted
from nwb_ophys.storage.files import check_target
from nwb_ophys.storage.flushing import flush
from nwb_ophys.storage.identity import file_facts
from nwb_ophys.storage.undo import UndoLog, records

fcntl = pytest.importorskip("fcntl", reason="Windows needs no fake")
PACKAGE = Path(__file__).resolve().parents[1] / "nwb_ophys"


def test_files_that_are_written_by_descriptor_are_binary():
    """Windows changes the ends of lines of others."""
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text("utf-8")
        if "os.open(" in text and re.search(r"O_(WRONLY|RDWR)", text):
            assert "O_BINARY" in text, file


@pytest.mark.parametrize("is_folder", [False, True])
def test_files_are_flushed_through_a_handle_that_may_write(is_folder, tmp_path, monkeypatch):
    """Windows flushes no others."""
    flushed = []

    def fsync(handle):
        if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flushed.append(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    file = tmp_path / "a" / "0"
    file.parent.mkdir()
    file.write_bytes(b"abc")
    flush(file.parent if is_folder else file)
    assert len(flushed) == 1
    assert file.read_bytes() == b"abc"


def test_a_file_that_may_only_be_read_is_flushed(tmp_path, monkeypatch):
    file = tmp_path / "a"
    file.write_bytes(b"abc")
    file.chmod(stat.S_IRUSR)
    real = Path.open

    def refusing(path, mode="r", *args):
        if mode == "r+b":  # root may write everything
            raise PermissionError
        return real(path, mode, *args)

    monkeypatch.setattr(Path, "open", refusing)
    flush(file)


@pytest.fixture
def open_files_keep_their_names(monkeypatch):
    """Refuse to rename or remove a file that this process has open, as Windows does."""
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("The open files are not listed.")

    def refusing(call):
        def run(path, *others, **options):
            for each in map(os.path.realpath, (path, *others)):
                if each in {os.path.realpath(handle) for handle in Path("/proc/self/fd").iterdir()}:
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), each)
            return call(path, *others, **options)

        return run

    for name in ("rename", "replace", "unlink", "remove"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))


@pytest.mark.usefixtures("open_files_keep_their_names")
def test_a_log_is_closed_while_it_is_renamed(tmp_path):
    log = UndoLog(tmp_path / "a.undo")
    log.add({"number": 0}, b"before")
    log.place()
    log.add({"number": 1}, b"after")
    log.sync()
    log.close()
    found = list(records(tmp_path / "a.undo"))
    assert found == [({"number": 0}, b"before"), ({"number": 1}, b"after")]
    assert [each.name for each in tmp_path.iterdir()] == ["a.undo"]


class _DatetimeOfWindows(datetime.datetime):
    @classmethod
    def fromtimestamp(cls, seconds, tz=None):
        if seconds < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return super().fromtimestamp(seconds, tz)


def test_files_without_a_time_which_windows_dates_to_1601(tmp_path, monkeypatch):
    monkeypatch.setattr(datetime, "datetime", _DatetimeOfWindows)
    seconds = -11_644_473_600
    assert provenance._time(seconds * 10**9) == "1601-01-01T00:00:00+00:00"
    file = tmp_path / "a.tif"
    file.write_bytes(b"abc")
    os.utime(file, (seconds, seconds))
    (fact,) = file_facts([file]).values()
    year = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=int(file.stat().st_mtime))
    assert f"3 bytes of {year:%Y}-" in str(fact)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("14:30.nwb", "no name has the character ':'"),
        ("a?.nwb", "no name has the character '?'"),
        ("a\tb.nwb", "no name has the character '\\t'"),
        ("a.nwb.", "no name ends with a space or a dot"),
        ("a.nwb ", "no name ends with a space or a dot"),
        ("aux.nwb", "'AUX' is the name of a device"),
        ("Com1.x.nwb", "'COM1' is the name of a device"),
        ("nul", "'NUL' is the name of a device"),
    ],
)
def test_names_that_windows_has_not(name, fault, tmp_path, monkeypatch):
    check_target(tmp_path / name)
    assert fault_on_windows(name) == fault
    monkeypatch.setattr(outside, "_IS_WINDOWS", True)
    for check in (check_target, check_output):
        with pytest.raises(OutputError, match=re.escape(f"on Windows {fault}. Choose another")):
            check(tmp_path / name)


@pytest.mark.parametrize("name", ["a.nwb", "sub-1_ses-2_ophys.nwb", "auxiliary.nwb", "Ä µ [1].nwb"])
def test_names_that_all_systems_have(name):
    assert fault_on_windows(name) is None


def test_folders_in_which_upper_and_lower_case_are_one(tmp_path):
    for name in ("Plain", "Mixed", "mIXED", "Linked"):
        (tmp_path / name).mkdir()
    (tmp_path / "lINKED").symlink_to("Linked")
    assert not ignores_case(tmp_path / "Plain" / "12")
    assert not ignores_case(tmp_path / "Mixed")
    assert ignores_case(tmp_path / "Linked" / "absent")


@pytest.mark.parametrize("command", ["detect", "inspect"])
def test_patterns_are_expanded_where_the_shell_does_not(command, tmp_path, monkeypatch, capsys):
    from nwb_ophys.cli import main

    for name in ("a1.tif", "a2.tif", "b.tif"):
        (tmp_path / name).write_text("no TIFF")
    monkeypatch.chdir(tmp_path)
    for shell_expands in (True, False):
        monkeypatch.setattr(options, "_SHELL_EXPANDS", shell_expands)
        with pytest.raises(SystemExit):
            main([command, "a?.tif"])
        said = "".join(capsys.readouterr())
        assert ("'a?.tif' does not exist" in said) == shell_expands
        assert ("a1.tif" in said) == (not shell_expands)
    monkeypatch.setattr(options, "_SHELL_EXPANDS", False)
    with pytest.raises(SystemExit):
        main([command, "c*.tif"])
    assert "'c*.tif' does not exist" in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("path", "step"),
    [
        ('"C:\\data\\movie.tif"', "leave out the quotes"),
        ('C:\\data\\mouse 7"', "leave out the quotes"),
        ("movie.tif ", "leave out the space"),
        ("C:\\data\\movie.tif", "a path of Windows, whose drive C: is /mnt/c in WSL"),
        ("\\\\server\\share\\movie.tif", "a path of Windows"),
        ("movie.tif", "does not exist; check the path."),
    ],
)
def test_paths_that_were_pasted(path, step):
    assert step in str(not_found(path))


@pytest.mark.parametrize(
    ("word", "on_windows"),
    [
        (r"C:\data\a.nwb", r"C:\data\a.nwb"),
        (r"C:\my data\a.nwb", r'"C:\my data\a.nwb"'),
        ("C:\\my data\\", r'"C:\my data\\"'),
        ("Subject.species=Mus musculus", '"Subject.species=Mus musculus"'),
        ('say "1"', r'"say \"1\""'),
        ("it's", '"it\'s"'),
        ("a&b", '"a&b"'),
        ("", '""'),
    ],
)
def test_words_of_commands_are_quoted_for_the_shells_of_windows(word, on_windows):
    """Fault: single quotes were printed, which cmd.exe passes on as part of the word."""
    assert quoted(word, is_windows=True) == on_windows
    assert shlex.split(quoted(word, is_windows=False)) == [word]


def test_words_in_quotes_that_need_none():
    assert quoted("a=1", always=True, is_windows=False) == "'a=1'"
    assert quoted("a=1", always=True, is_windows=True) == '"a=1"'


def test_a_name_that_windows_has_not_is_refused_before_anything_else(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(outside, "_IS_WINDOWS", True)
    monkeypatch.setattr(os.path, "realpath", _realpath)
    (tmp_path / "a.npy").touch()
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(tmp_path / "a.npy"), "-o", str(tmp_path / "con.nwb")])
    assert ended.value.code == 2
    assert "'CON' is the name of a device" in capsys.readouterr().err


def _realpath(path, **how):
    if Path(path).name == "con.nwb":
        raise OSError(6, "Invalid handle", str(path))
    return realpath(path, **how)
