"""A process in which everything is imported, and which a fork of itself runs each command in.

A command then costs its work alone. It has its own process, arguments, environment, folder, input
and outputs, as any program that a shell starts.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

# A client without any import of the tests, so that it starts in some milliseconds.
_CLIENT = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as link:
    link.connect({address!r})
    order = json.dumps([{kind!r}, sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(link, [len(order).to_bytes(4, "big")], [0, 1, 2])
    link.sendall(order)
    ended = link.recv(1)
sys.exit(ended[0] if ended else 70)
"""
_LENGTH = 4
# What the package imports within functions, except for hdf5plugin: a test is about its import.
_OTHERS = (
    *("PIL.Image", "fsspec", "hdmf_zarr", "imagecodecs", "nwbinspector", "psutil"),
    *("resource", "scipy.io", "tifffile", "threadpoolctl"),
)
_KINDS = {"nwb-ophys": "command", "python": "interpreter"}


@contextmanager
def warm_programs(folder: Path) -> Iterator[Path]:
    """Give a folder for the ``PATH`` with ``nwb-ophys`` and ``python``, while their server runs.

    Parameters
    ----------
    folder : pathlib.Path
        An empty folder.
    """
    address = str(folder / "s")
    programs = folder / "bin"
    programs.mkdir()
    for name, kind in _KINDS.items():
        text = _CLIENT.format(python=sys.executable, address=address, kind=kind)
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)
    command = [sys.executable, "-m", "warm", address]
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    ) as server:
        assert server.stdout is not None
        assert server.stdout.read(1) == b"."
        try:
            yield programs
        finally:
            server.kill()


def _serve(address: str) -> None:
    """Run each command that comes in a fork of this process."""
    _import_everything()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that ended forks are forgotten
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(address)
        door.listen()
        os.write(1, b".")
        while True:
            link, _ = door.accept()
            if os.fork() == 0:
                door.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _answer(link)
                os._exit(0)
            link.close()


def _import_everything() -> None:
    """Import what commands import when they need it, and keep it from the collector."""
    import nwb_ophys

    found = pkgutil.walk_packages(nwb_ophys.__path__, "nwb_ophys.", onerror=lambda name: None)
    own = [each.name for each in found if not each.name.endswith("__main__")]
    for name in (*own, *_OTHERS):
        with suppress(ImportError):  # of an optional package, which a command would miss, too
            importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _answer(link: socket.socket) -> None:
    """Run a command in a process of its own, and send how it ended."""
    head, files, _, _ = socket.recv_fds(link, _LENGTH, 3)
    order = link.makefile("rb").read(int.from_bytes(head, "big"))
    runner = os.fork()
    if runner == 0:
        link.close()
        _become(files, *json.loads(order))
    ended = os.waitstatus_to_exitcode(os.waitpid(runner, 0)[1])
    link.sendall(bytes([ended if ended >= 0 else 128 - ended]))


def _become(files: list[int], kind: str, words: list[str], folder: str, variables: Any) -> None:
    """Run a command in this process, and end it."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    paths = filter(None, variables.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:] = list(dict.fromkeys([*paths, *sys.path]))
    importlib.invalidate_caches()
    try:
        if kind == "command":
            sys.argv = ["nwb-ophys", *words]
            from nwb_ophys.cli import main

            main()
        else:
            _interpret(words)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:
        traceback.print_exc()
        code = 1
        if isinstance(error, KeyboardInterrupt):  # as Python itself ends
            sys.stderr.flush()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
    else:
        code = 0
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _interpret(words: list[str]) -> None:
    """Run a file of Python, or what comes on the input for ``-``."""
    name, *sys.argv[1:] = words
    sys.argv[0] = name
    text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    sys.path.insert(0, "" if name == "-" else str(Path(name).parent))
    exec(compile(text, name, "exec"), {"__name__": "__main__", "__file__": name})


if __name__ == "__main__":
    _serve(sys.argv[1])
