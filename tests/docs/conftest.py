"""Fixtures that read the code blocks of README.md and docs/ and run them as a reader would."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from warm import warm_programs

from nwb_ophys.cli import main

REPOSITORY = Path(__file__).resolve().parents[2]

_MARKDOWN = re.compile(
    r"(?:^<!-- (?P<label>.*?) -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```", re.M | re.S
)
_REST = re.compile(
    r"(?:^\.\. file: (?P<file>\S+)\n\n)?"
    r"^\.\. code-block:: (?P<language>\w+)\n\n(?P<code>(?:(?: {3}.*)?\n)+)"
    r"|^\.\. readme-block:: (?P<label>.+)\n",
    re.M,
)
# Commands that install, which a reader runs once; whether they work is not for these tests.
_INSTALLS = re.compile(r"python3? -m venv |pip install ")


@dataclass(frozen=True)
class Block:
    """Block of code with its language, its text, and its name or file given by a comment."""

    language: str
    code: str
    label: str = ""
    file: str = ""


def read_blocks(page: str) -> list[Block]:
    """Return the blocks of a page in order, including those that docs/ takes from README.md."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    if page.endswith(".md"):
        found = _MARKDOWN.finditer(text)
        return [Block(m["language"], m["code"], m["label"] or "") for m in found]
    readme = {block.label: block for block in read_blocks("README.md")}
    return [
        readme[m["label"]]
        if m["label"]
        else Block(m["language"], textwrap.dedent(m["code"]), file=m["file"] or "")
        for m in _REST.finditer(text)
    ]


def run_command(command: str) -> str:
    """Run an ``nwb-ophys`` command in this process and return what it prints."""
    words = shlex.split(command)
    assert words[0] == "nwb-ophys", f"not a command of ours: {command}"
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        main(words[1:])
    assert end.value.code == 0, f"{command}\nends with {end.value.code}: {err.getvalue()}"
    return out.getvalue()


class Page:
    """Page with blocks that run one after the other in one folder and one namespace.

    Parameters
    ----------
    folder : pathlib.Path
    programs : pathlib.Path
        Folder with the programs of the shell.
    """

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self.namespace: dict[str, object] = {"__name__": "page"}
        self._programs, self._modules = programs, folder
        self._printed = ""

    def run_all(self, name: str) -> list[Block]:
        """Run all blocks of a page and return them."""
        blocks = read_blocks(name)
        for number, block in enumerate(blocks, 1):
            self.run(block, f"{name}, block {number}")
        return blocks

    def run(self, block: Block, where: str) -> None:
        """Run a block of Python or shell code; other languages are not run."""
        if block.label in _FILES:
            (self.folder / _FILES[block.label]).write_text(block.code, encoding="utf-8")
        if block.file:
            (self.folder / block.file).write_text(block.code, encoding="utf-8")
        if block.label == "pyproject.toml":
            install(block.code, self.folder)
        if block.language == "text":
            self._check_shown(block.code, where)
        elif block.language == "python":
            exec(compile(block.code, where, "exec"), self.namespace)
        elif block.language == "bash" and not _INSTALLS.search(block.code):
            self._run_in_shell(block.code, where)

    @property
    def _bash(self) -> str:
        found = shutil.which("bash")
        assert found is not None
        return found

    @property
    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{self._programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self._modules),
        }

    def _run_in_shell(self, code: str, where: str) -> None:
        """Run a block in a shell of its own, which begins where the former one ended."""
        place = self._modules / ".place"
        done = subprocess.run(
            [self._bash, "-euo", "pipefail", "-c", f"{code}\npwd > {shlex.quote(str(place))}"],
            cwd=self.folder,
            env=self._environment,
            **_CAPTURED,
        )
        assert done.returncode == 0, f"{where} ends with {done.returncode}: {done.stderr}"
        self._printed = done.stdout + done.stderr
        self.folder = Path(place.read_text(encoding="utf-8").strip())
        place.unlink()
        os.chdir(self.folder)

    def _check_shown(self, shown: str, where: str) -> None:
        """Compare output that a page shows, up to dots for what is left out, with what is printed.

        It is that of the command above it, or of the one behind a dollar sign in its first line.
        """
        if shown.startswith("$ "):
            command, lines = re.fullmatch(r"\$ ((?:.*\\\n)*.*\n)(.*)", shown, re.S).groups()
            done = subprocess.run(
                [self._bash, "-c", command], cwd=self.folder, env=self._environment, **_CAPTURED
            )
            self._printed, shown = done.stdout + done.stderr, lines
        elif _COMMAND.match(shown):
            return
        printed = self._printed.splitlines()
        for line in shown.rstrip().splitlines():
            start, dots, _ = line.partition("…")
            found = any(each.startswith(start) if dots else each == line for each in printed)
            assert found, f"{where}: {line!r} is not among what is printed:\n{self._printed}"


_CAPTURED = {
    "stdin": subprocess.DEVNULL,
    "capture_output": True,
    "text": True,
    "encoding": "utf-8",
}
# Commands and code that are shown, but not run.
_COMMAND = re.compile(
    "nwb-ophys |pip |dandi |dask |docker |export |#!|from |import |[A-Z]+ = |participant_id"
)
# Labelled blocks of README.md that are files.
_FILES = {"labrig.py": "labrig.py", "pyproject.toml": "pyproject.toml", "traces": "traces.py"}


@pytest.fixture
def blocks_of() -> Callable[[str], list[Block]]:
    """Function that reads the blocks of a page."""
    return read_blocks


@pytest.fixture
def install_module() -> Callable[[str, Path], None]:
    """Function that installs the module in a folder as its pyproject.toml says."""
    return install


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder in which ``nwb-ophys demo`` was run, with its output in ``printed``; never changed."""
    folder = tmp_path_factory.mktemp("demo")
    before = Path.cwd()
    os.chdir(folder)
    try:
        (folder / "printed").write_text(run_command("nwb-ophys demo"), encoding="utf-8")
    finally:
        os.chdir(before)
    return folder


@pytest.fixture(scope="session")
def programs() -> Iterator[Path]:
    """Folder with ``nwb-ophys`` and ``python``, which start without importing anything again."""
    # The path of a socket must be short.
    with tempfile.TemporaryDirectory() as folder, warm_programs(Path(folder)) as found:
        yield found


@pytest.fixture
def page(
    tmp_path: Path, demo: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Page]:
    """Copy of the folder with the files to practise on, in which a page runs."""
    folder = Path(shutil.copytree(demo / "nwb-ophys-demo", tmp_path / "nwb-ophys-demo"))
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    page = Page(folder, programs)
    yield page
    page.namespace.clear()
    for name in ("labrig", "labscope", "traces"):
        sys.modules.pop(name, None)


@pytest.fixture
def labrig(tmp_path: Path, demo: Path) -> dict[str, str]:
    """Environment of a process in which the example format of the README is installed."""
    files = {block.label: block.code for block in read_blocks("README.md")}
    site = tmp_path / "site"
    site.mkdir()
    (site / "labrig.py").write_text(files["labrig.py"], encoding="utf-8")
    (site / "pyproject.toml").write_text(files["pyproject.toml"], encoding="utf-8")
    install(files["pyproject.toml"], site)
    for name in ("cell3.raw", "cell3.json"):
        shutil.copy(demo / "nwb-ophys-demo" / name, tmp_path)
    return {**os.environ, "PYTHONPATH": str(site)}


def install(pyproject: str, folder: Path) -> None:
    """Make the module in a folder on the path an installed distribution, as an installer would."""
    name, group, points = read_project(pyproject)
    info = folder / f"{name.replace('-', '_')}-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
    lines = [f"[{group}]", *(f"{key} = {value}" for key, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    importlib.invalidate_caches()


def read_project(text: str) -> tuple[str, str, dict[str, str]]:
    """Return the name, the entry-point group and the entries in a small pyproject.toml."""
    # tomllib is in Python 3.11 and later only.
    name = re.search(r'^name = "(.*)"$', text, re.M)
    section = re.search(r'^\[project\.entry-points\."(.*)"\]\n((?:\w.*\n)+)', text, re.M)
    assert name is not None
    assert section is not None
    points = dict(re.findall(r'^(\S+) = "(.*)"$', section[2], re.M))
    return name[1], section[1], points
