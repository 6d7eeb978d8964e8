"""Where dandi-cli is, which some tests compare with.

It is not a requirement. To run these tests, install it in an environment of its own and name its
program; they take minutes:

    python -m venv /tmp/dandi && /tmp/dandi/bin/pip install dandi
    NWB_OPHYS_DANDI=/tmp/dandi/bin/dandi pytest tests/metadata -k dandi
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def dandi(tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs dandi's program, or Python beside it, and returns its output."""
    program = os.environ.get("NWB_OPHYS_DANDI") or shutil.which("dandi")
    if program is None:
        pytest.skip("needs dandi-cli; set NWB_OPHYS_DANDI to its program, see conftest.py")
    # It looks for newer versions on the network, and caches by the names of files.
    environment = os.environ | {"DANDI_NO_ET": "1", "DANDI_CACHE": "ignore", "HOME": str(tmp_path)}

    def run(*arguments: object, python: bool = False) -> str:
        command = str(Path(program).parent / "python") if python else program
        done = subprocess.run(
            [command, *map(str, arguments)],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert done.returncode in (0, 1), done.stderr
        return done.stdout

    return run
