"""Importing the package, and its help, costs nothing: no pynwb, no package of a format."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import nwb_ophys

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
    assert dir(nwb_ophys) == nwb_ophys.__all__
    for name in nwb_ophys.__all__:
        assert getattr(nwb_ophys, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'bogus'"):
        nwb_ophys.bogus  # noqa: B018
    with pytest.raises(ImportError):
        from nwb_ophys import bogus  # noqa: F401


def test_errors_are_a_tree_of_user_matters():
    from nwb_ophys import errors

    classes = [cls for cls in vars(errors).values() if isinstance(cls, type)]
    assert all(issubclass(cls, errors.NwbOphysError) for cls in classes)
    # Each says in the tree of the docstring where it stands.
    assert all(cls.__name__ in (errors.__doc__ or "") for cls in classes)
