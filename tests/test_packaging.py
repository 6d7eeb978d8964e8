"""Files for package managers and services agree with setup.cfg."""

from __future__ import annotations

import configparser
import json
import re
from pathlib import Path

import nwb_ophys
from nwb_ophys.documents import parse_yaml

ROOT = Path(__file__).resolve().parents[1]
# Names on conda-forge that differ from those on PyPI.
_ON_CONDA = {"isal": "python-isal", "xxhash": "python-xxhash"}


def _setup() -> configparser.ConfigParser:
    found = configparser.ConfigParser()
    found.read(ROOT / "setup.cfg", encoding="utf-8")
    return found


def _yaml(name: str):
    return parse_yaml((ROOT / name).read_text("utf-8"))


def test_all_state_the_same_version_and_licence():
    version = nwb_ophys.__version__
    setup = _setup()["metadata"]
    citation, recipe = _yaml("CITATION.cff"), _yaml("conda/recipe.yaml")
    code = json.loads((ROOT / "codemeta.json").read_text("utf-8"))
    assert setup["version"] == version
    assert (citation["version"], code["version"]) == (version, version)
    assert recipe["context"]["version"] == version
    assert citation["license"] == recipe["about"]["license"] == setup["license"]
    assert code["license"].rpartition("/")[2] == setup["license"]


def test_the_conda_recipe_requires_what_setup_requires():
    options = _setup()["options"]
    lines = options["install_requires"].splitlines()
    wanted = {"python": options["python_requires"].replace(" ", "")}
    for line in lines:
        found = re.fullmatch(r"([\w.]+) (>= [\d.]+)", line.strip())
        if found:
            wanted[_ON_CONDA.get(found[1], found[1])] = found[2].replace(" ", "")
    stated = dict(line.split(" ") for line in _yaml("conda/recipe.yaml")["requirements"]["run"])
    assert stated == wanted


def test_the_workflows_test_all_versions_that_setup_names():
    named = re.findall(r"Python :: (3\.\d+)", _setup()["metadata"]["classifiers"])
    matrix = _yaml(".github/workflows/tests.yml")["jobs"]["tests"]["strategy"]["matrix"]
    assert matrix["python"] == named
    assert {name.partition("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}


def test_the_hook_and_the_action_run_inspect():
    (hook,) = _yaml(".pre-commit-hooks.yaml")
    assert hook["entry"] == "nwb-ophys inspect"
    assert re.search(hook["files"], "a/b.nwb")
    assert not re.search(hook["files"], "a/b.nwb.txt")
    steps = _yaml("action.yml")["runs"]["steps"]
    assert any("nwb-ophys inspect" in step.get("run", "") for step in steps)
