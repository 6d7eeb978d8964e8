"""Tests that absurd claims and bombs are refused by name, within 10 s and 500 MB.

``claims.py`` has the cases. It converts each in a process of its own, forked from one process, and
prints the exit code, the output, the time and the largest memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .claims import CASES
from .setting import rounds

SECONDS, MEGABYTES = 10, 500
# The short setting tries every fifth case.
NAMES = sorted(CASES)[:: rounds(5, 1)]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """Return the outcome of each case, by its name."""
    folder = tmp_path_factory.mktemp("claims")
    names = folder / "names.json"
    names.write_text(json.dumps(NAMES))
    script = Path(__file__).with_name("claims.py")
    process = subprocess.run(
        [sys.executable, script, folder, names], capture_output=True, text=True, check=False
    )
    found = [json.loads(line) for line in process.stdout.splitlines()]
    assert len(found) == len(NAMES), process.stderr[-3000:]
    return {outcome["name"]: outcome for outcome in found}


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_is_refused_by_name(outcomes, name):
    outcome = outcomes[name]
    said = outcome["err"]
    assert "Traceback" not in said
    assert "unexpected" not in said
    # The time of a quiet machine, whatever else runs on this one.
    assert outcome["cpu_seconds"] < SECONDS
    assert outcome["megabytes"] < MEGABYTES
    if outcome["code"] == 0:
        assert outcome["may_read"], outcome
        return
    assert outcome["code"] == 2, outcome
    assert outcome["is_named"], outcome
    assert not outcome["is_written"]
    assert [line[:7] for line in said.splitlines()].count("Error: ") == 1


def test_there_are_cases_of_every_format():
    from nwb_ophys.formats import builtin_rows

    assert len(CASES) >= 150
    missing = {row.name for row in builtin_rows()} - {kind for kind, *_ in CASES.values()}
    assert missing <= {"scanimage-legacy", "numpy-segmentation"}
