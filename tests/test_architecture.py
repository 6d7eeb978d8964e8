"""The house stays in order: imports go down, files and functions stay short."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "nwb_ophys"

# Rooms of one storey do not import each other; a room imports only from storeys below.
STOREYS = (
    {"errors"},
    {"timing", "memory", "probe"},
    {"metadata", "extractors", "storage"},
    {"iterators"},
    {"writers"},
    {"interfaces"},
    {"formats", "registry"},
    {"converter", "tools", "inspection"},
    {"opening"},
    {"recordings", "testing"},
    {"demonstration"},
    {"cli"},
    {"__main__"},
)
LEVEL = {room: level for level, rooms in enumerate(STOREYS) for room in rooms}

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 40
MAX_CLASS_DEPTH = 3

FILES = sorted(PACKAGE.rglob("*.py"))


def _room(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def _imports(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def _identifier(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.fixture(params=FILES, ids=_identifier)
def source(request: pytest.FixtureRequest) -> tuple[Path, ast.Module, str]:
    text = request.param.read_text(encoding="utf-8")
    return request.param, ast.parse(text), text


def test_every_room_has_a_storey():
    rooms = {_room(path) for path in FILES} - {"__init__"}
    assert rooms == set(LEVEL)


def test_imports_go_down(source):
    path, tree, _ = source
    room = _room(path)
    if room == "__init__":
        return
    for name in _imports(tree):
        parts = name.split(".")
        if parts[0] != "nwb_ophys" or len(parts) < 2 or parts[1] not in LEVEL:
            continue
        other = parts[1]
        assert other == room or LEVEL[other] < LEVEL[room], f"{path} imports {name}"


def test_no_relative_imports(source):
    path, tree, _ = source
    relative = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level]
    assert not relative, f"{path} imports relatively"


def test_files_are_short(source):
    path, _, text = source
    assert len(text.splitlines()) <= MAX_FILE_LINES, path


def test_functions_are_short(source):
    path, tree, _ = source
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            docstring = ast.get_docstring(node, clean=False)
            first = node.body[1] if docstring is not None and len(node.body) > 1 else node.body[0]
            lines = (node.end_lineno or 0) - first.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{path}: {node.name} has {lines} lines"


def test_backends_are_known_to_storage_only(source):
    """A backend's packages are imported in storage; readers of HDF5 files are extractors."""
    path, tree, _ = source
    allowed = {"storage", "extractors", "testing"}
    names = _imports(tree)
    if _room(path) in allowed:
        return
    if path.name == "wrapping.py":  # the one exception that the design names
        names = {name for name in names if not name.startswith("hdmf.backends.hdf5.h5_utils")}
    for name in names:
        assert not name.startswith(("h5py", "zarr", "hdmf_zarr", "hdmf.backends")), (
            f"{path}: {name}"
        )
        assert name not in ("pynwb.NWBHDF5IO", "pynwb.NWBZarrIO"), f"{path}: {name}"


def test_optional_packages_are_imported_on_use(source):
    """Only functions import what only some formats need."""
    path, tree, _ = source
    optional = (
        "tifffile",
        "imagecodecs",
        "natsort",
        "cv2",
        "scipy",
        "hdmf_zarr",
        "nwbinspector",
        "tqdm",
    )
    top = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    for node in top:
        for name in _imports(ast.Module(body=[node], type_ignores=[])):
            assert name.split(".")[0] not in optional, f"{path} imports {name} when it is imported"


def test_low_rooms_know_no_pynwb(source):
    path, tree, _ = source
    if _room(path) in {"errors", "timing", "probe", "metadata", "extractors", "registry"}:
        assert not [n for n in _imports(tree) if n.split(".")[0] in ("pynwb", "hdmf")], path


def test_public_functions_have_docstrings(source):
    path, tree, _ = source
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path}: {node.name} has no docstring"


def test_classes_are_three_deep_at_most():
    from nwb_ophys import formats

    for name in formats.__all__:
        ours = [c for c in getattr(formats, name).__mro__ if c.__module__.startswith("nwb_ophys.")]
        bases = [
            c for c in ours if not c.__name__.endswith(("Writer", "TimeAlignment", "Detectable"))
        ]
        assert len(bases) <= MAX_CLASS_DEPTH, name


def test_all_is_sorted():
    import nwb_ophys

    assert nwb_ophys.__all__ == sorted(nwb_ophys.__all__)
    for name in nwb_ophys.__all__:
        assert getattr(nwb_ophys, name) is not None
