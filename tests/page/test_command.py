"""The command ``nwb-ophys gui``: its address, its start, its end, and its errors."""

from __future__ import annotations

import http.cookiejar
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import tifffile

from nwb_ophys.cli import main
from nwb_ophys.errors import SourceNotFoundError
from nwb_ophys.page.roots import Roots


def _started(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "nwb_ophys", "gui", "--no-browser", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _opened(url: str) -> tuple[str, str]:
    """Open the first address as a browser does, and return where it leads and the page."""
    jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    with urllib.request.build_opener(jar).open(url, timeout=10) as answer:
        return answer.url, answer.read().decode()


@pytest.mark.parametrize("delay", [0.0, 0.2, 1.5])
def test_ctrl_c_ends_it_in_one_line(tmp_path, delay):
    """Fault: a second interrupt ended the command before its server, which printed a traceback."""
    for given in ([str(tmp_path)], []):
        process = _started(*given)
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{43}", url)
        place, page = _opened(url)
        assert "token" not in place
        assert "Choose a folder" in page or "What is in it" in page
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 128 + signal.SIGINT
        assert err == "Interrupted. No incomplete file was left.\n"
        assert "Traceback" not in out


def test_the_first_page_imports_no_pynwb(tmp_path):
    code = (
        "import sys; from pathlib import Path; import urllib.request as r, http.cookiejar as c\n"
        "from nwb_ophys.page.roots import Roots; from nwb_ophys.page.server import served\n"
        "if __name__ == '__main__':\n"
        "    with served(Roots.of([Path('.')])) as address:\n"
        "        jar = r.HTTPCookieProcessor(c.CookieJar())\n"
        "        assert b'Choose a folder' in r.build_opener(jar).open(address.url).read()\n"
        "        print(sorted({'pynwb', 'h5py', 'numpy'} & set(sys.modules)))\n"
    )
    (tmp_path / "start.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "start.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def _failed(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as end:
        main(["gui", "--no-browser", *arguments])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_port_that_is_taken_is_a_plain_line(capsys, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = _failed(capsys, str(tmp_path), "--port", str(port))
    assert line.startswith(f"Error: Port {port} cannot be used")
    assert "--port" in line


def test_a_folder_that_is_absent_is_a_plain_line(capsys, tmp_path):
    assert "is not a folder" in _failed(capsys, str(tmp_path / "absent"))


def test_the_missing_package_is_named(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert 'pip install "nwb-ophys[gui]"' in _failed(capsys, str(tmp_path))


def test_a_recording_is_looked_at_first(make_browser, root):
    folder = root / "M7"
    folder.mkdir()
    browser = make_browser(root, folder)
    work = browser.wait()
    assert work.folder == str(folder)
    assert "No format recognises" in work.errors[""][0]


def test_roots_are_folders_that_exist_each_once(tmp_path):
    assert Roots.of([tmp_path, tmp_path / "." / ""]).folders == (tmp_path.resolve(),)
    with pytest.raises(SourceNotFoundError):
        Roots.of([tmp_path / "absent"])


def test_a_relative_folder_begins_in_the_current_one(tmp_path, monkeypatch, make_browser):
    """Fault: it began in the first root, which is that folder itself."""
    folder = tmp_path / "raw" / "M7"
    folder.mkdir(parents=True)
    tifffile.imwrite(folder / "movie.tif", np.zeros((2, 8, 6), "u2"), photometric="minisblack")
    monkeypatch.chdir(tmp_path)
    work = make_browser(Path("raw/M7"), Path("raw/M7")).wait()
    assert work.folder == str(folder)
    assert [part.format for part in work.parts] == ["tiff"]
