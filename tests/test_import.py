"""Tests that the import of the package and its help load no pynwb and no optional package."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import nwb_ophys
from nwb_ophys.formats import builtin_rows

HEAVY = {
    "pynwb",
    "hdmf",
    "hdmf_zarr",
    "h5py",
    "zarr",
    "roiextractors",
    "tifffile",
    "imagecodecs",
    "scipy",
    "pandas",
    "neuroconv",
    "nwbinspector",
    "natsort",
    "jsonschema",
    "tqdm",
    "yaml",
    "ruamel",
    "numpy",
}


def _modules_after(code: str) -> set[str]:
    script = f"{code}\nimport json, sys\nprint('MODULES', json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("MODULES ")]
    return {name.split(".")[0] for name in json.loads(line.removeprefix("MODULES "))}


def _help(arguments: str) -> str:
    return (
        "import contextlib\nfrom nwb_ophys.cli import main\n"
        f"with contextlib.suppress(SystemExit):\n    main({arguments})"
    )


@pytest.mark.parametrize(
    "code",
    [
        "import nwb_ophys; dir(nwb_ophys); nwb_ophys.__version__",
        "from nwb_ophys import NwbOphysError",
        "import nwb_ophys.registry; nwb_ophys.registry.formats()",
        "import nwb_ophys.formats; dir(nwb_ophys.formats); nwb_ophys.formats.__all__",
        _help("[]"),
        _help("['--help']"),
        _help("['--version']"),
        _help("['convert', '--help']"),
        _help("['formats']"),
        _help("['bogus']"),
    ],
)
def test_nothing_heavy_is_imported(code):
    assert not _modules_after(code) & HEAVY


def test_interfaces_import_no_package_of_a_format():
    code = "import nwb_ophys\nfor name in nwb_ophys.__all__: getattr(nwb_ophys, name)"
    of_formats = {"tifffile", "imagecodecs", "scipy", "natsort", "zarr", "hdmf_zarr", "neuroconv"}
    # roiextractors itself may bring some: only what it does not bring is ours to avoid.
    brought = _modules_after("import roiextractors, pynwb")
    assert not (_modules_after(code) & of_formats) - brought


def test_public_names():
    assert nwb_ophys.__all__ == sorted(nwb_ophys.__all__)
    assert dir(nwb_ophys) == sorted([*nwb_ophys.__all__, "open"])
    for name in dir(nwb_ophys):
        assert getattr(nwb_ophys, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'bogus'"):
        nwb_ophys.bogus  # noqa: B018
    with pytest.raises(ImportError):
        from nwb_ophys import bogus  # noqa: F401


def test_type_checkers_see_every_name_that_is_not_of_a_format():
    tree = ast.parse(Path(nwb_ophys.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    seen = {
        alias.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }
    assert len(seen) == len(block.body)
    assert seen == nwb_ophys._HOMES


def test_a_star_brings_every_public_name():
    names: dict[str, object] = {}
    exec("from nwb_ophys import *", names)
    assert set(nwb_ophys.__all__) <= set(names)
    assert "open" not in names, "the star replaces the builtin open"
    names.clear()
    exec("from nwb_ophys.formats import *", names)
    assert {row.interface_name for row in builtin_rows()} <= set(names)


def test_one_format_is_imported_without_the_others():
    code = "from nwb_ophys import NumpyImagingInterface as used"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {name for name in done.stdout.split() if name.startswith("nwb_ophys.formats.")}
    assert {name for name in loaded if name.endswith((".interface", ".reader"))} == {
        "nwb_ophys.formats.numpy.interface"
    }


def test_errors_are_a_tree_of_user_matters():
    from nwb_ophys import errors

    classes = [cls for cls in vars(errors).values() if isinstance(cls, type)]
    assert all(issubclass(cls, errors.NwbOphysError) for cls in classes)
    # Each says in the tree of the docstring where it stands.
    assert all(cls.__name__ in (errors.__doc__ or "") for cls in classes)


def test_documented_modules_need_no_import_of_their_own():
    code = "import nwb_ophys; nwb_ophys.tools.add_devices; nwb_ophys.opening.open_recording"
    subprocess.run([sys.executable, "-c", code], check=True)
