"""The house stays in order: imports go down, no file is in a circle, one format is one place."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from trees import FILES, PACKAGE, last_name, nodes_of, tree_of

# Rooms of one storey do not import each other; a room imports only from storeys below.
STOREYS = (
    {"errors"},
    {"base_extractors", "home", "html_tables", "listings", "optional", "shell_words"},
    {"remote"},
    {"copies"},
    {"dtypes", "outside"},
    {"documents", "memory", "timing", "paths", "trial"},
    {"rois", "metadata", "storage"},
    {"extractors"},
    {"filetypes"},
    {"iterators"},
    {"writers"},
    {"interfaces"},
    {"simulation"},
    {"formats"},
    {"registry", "flags"},
    {"converter", "tools", "inspection"},
    {"opening"},
    {"sessions"},
    {"certification", "editing"},
    {"reports"},
    {"page"},
    {"testing"},
    {"cli"},
    {"__main__"},
)
LEVEL = {room: level for level, rooms in enumerate(STOREYS) for room in rooms}

MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 40
MAX_CLASS_DEPTH = 3


def _module(path: Path) -> str:
    name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    return name.removesuffix(".__init__")


MODULES = {_module(path): path for path in FILES}


def _room(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def _format(module: str) -> str | None:
    """Return the folder of a format that a module lies in, if any."""
    parts = module.split(".")
    is_within = parts[1:2] == ["formats"] and len(parts) > 2
    return parts[2] if is_within and (PACKAGE / "formats" / parts[2]).is_dir() else None


@cache
def _for_types_only(tree: ast.AST) -> set[int]:
    """Return the nodes within ``if TYPE_CHECKING``, which nothing imports when it runs."""
    found: set[int] = set()
    for node in nodes_of(tree):
        if isinstance(node, ast.If) and last_name(node.test) == "TYPE_CHECKING":
            found |= {id(inner) for statement in node.body for inner in ast.walk(statement)}
    return found


@cache
def _imports(tree: ast.AST) -> frozenset[str]:
    """Return the names that a tree imports, those of modules and what is taken from them."""
    names, left_out = set(), _for_types_only(tree)
    for node in nodes_of(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return frozenset(names)


def _imported_modules(path: Path) -> set[str]:
    """Return the modules of this package that a file imports, functions included."""
    found, left_out = set(), _for_types_only(tree_of(path))
    for node in nodes_of(tree_of(path)):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module in MODULES:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in MODULES else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in MODULES}
    return found - {_module(path)}


def _circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of nodes each of which can be reached from every other (Tarjan)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = lowest[node] = len(order)
        stack.append(node)
        for other in graph.get(node, ()):
            if other not in order:
                visit(other)
                lowest[node] = min(lowest[node], lowest[other])
            elif other in stack:
                lowest[node] = min(lowest[node], order[other])
        if lowest[node] == order[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in graph:
        if node not in order:
            visit(node)
    return found


def of_every_file(check: Callable[[tuple[Path, ast.Module, str]], None]) -> Callable[[], None]:
    """Return a test that checks every file of the package, and names all files that fail.

    One test per rule is far faster than one test per rule and file.
    """

    def test() -> None:
        faults = []
        for path in FILES:
            try:
                check((path, tree_of(path), path.read_text(encoding="utf-8")))
            except AssertionError as error:
                faults.append(f"{path.relative_to(PACKAGE)}: {error}")
        assert not faults, "\n".join(faults)

    return test


# --- the direction of imports -------------------------------------------------------------------


def test_every_room_has_a_storey():
    rooms = {_room(path) for path in FILES} - {"__init__"}
    assert rooms == set(LEVEL)


@of_every_file
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


def test_no_file_is_in_a_circle():
    graph = {module: _imported_modules(path) for module, path in MODULES.items()}
    assert sum(map(len, graph.values())) > len(graph)  # that imports are seen at all
    assert _circles(graph) == []


def test_a_circle_is_found():
    assert _circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]


@of_every_file
def test_a_format_imports_no_other_format(source):
    path, tree, _ = source
    own = _format(_module(path))
    if own is None:
        return
    others = {_format(name) for name in _imports(tree) if name.startswith("nwb_ophys.formats.")}
    others -= {own, None}
    assert not others, f"{path} imports {others}"


@of_every_file
def test_no_relative_imports(source):
    path, tree, _ = source
    relative = [n for n in nodes_of(tree) if isinstance(n, ast.ImportFrom) and n.level]
    assert not relative, f"{path} imports relatively"


# --- who knows whom -----------------------------------------------------------------------------

_MAKERS = re.compile(
    r"bruker|prairie|thorlabs|thorimage|\bthor\b|scanimage|micro-?manager|femtonics|inscopix"
    r"|suite2p|caiman|scanbox|minian|\bsima\b|miniscope|cnmf",
    re.IGNORECASE,
)
# Rooms below the formats, and those between them and the command line that serve all of them.
_KNOW_NO_MAKER = {
    "errors",
    "memory",
    "timing",
    "optional",
    "paths",
    "rois",
    "metadata",
    "storage",
    "extractors",
    "filetypes",
    "iterators",
    "writers",
    "interfaces",
    "registry",
}


def _code_names(tree: ast.Module) -> Iterator[str]:
    """Yield the identifiers and the texts of a file, but not its docstrings."""
    documentation = {
        id(node.body[0].value)
        for node in nodes_of(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in nodes_of(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in documentation:
                yield node.value
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


@of_every_file
def test_no_maker_is_known_below_the_formats(source):
    path, tree, _ = source
    if _room(path) not in _KNOW_NO_MAKER:
        return
    found = sorted({name for name in _code_names(tree) if _MAKERS.search(name)})
    assert not found, f"{path} knows a maker: {found}"


@of_every_file
def test_backends_are_known_to_storage_only(source):
    """A backend's packages are imported in storage; readers of HDF5 and Zarr files are formats."""
    path, tree, _ = source
    allowed = {"storage", "filetypes", "formats", "simulation", "testing", "trial"}
    names = _imports(tree)
    if _room(path) in allowed:
        return
    if path.name == "compression.py":  # data for plain pynwb are wrapped, as the API pins
        names = {name for name in names if not name.startswith("hdmf.backends.hdf5.h5_utils")}
    for name in names:
        assert not name.startswith(("h5py", "zarr", "hdmf_zarr", "hdmf.backends")), (
            f"{path}: {name}"
        )
        assert name not in ("pynwb.NWBHDF5IO", "pynwb.NWBZarrIO"), f"{path}: {name}"


@of_every_file
def test_the_name_of_a_backend_stands_in_its_own_file_and_its_row(source):
    """Elsewhere it may be a default value that a user sees, and nothing is decided by it."""
    path, tree, _ = source
    inside = path.relative_to(PACKAGE).parts
    if inside[:2] == ("storage", "backends") or inside[0] in ("formats", "filetypes", "simulation"):
        return
    defaults = {
        id(default)
        for node in nodes_of(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for default in (*node.args.defaults, *node.args.kw_defaults)
        if default is not None
    }
    known = [
        node.lineno
        for node in nodes_of(tree)
        if isinstance(node, ast.Constant)
        and node.value in ("hdf5", "zarr")
        and id(node) not in defaults
    ]
    assert not known, f"{path} knows a backend by name in lines {known}"


@of_every_file
def test_optional_packages_are_imported_on_use(source):
    """Only functions import what only some formats need."""
    path, tree, _ = source
    optional = (
        "tifffile",
        "imagecodecs",
        "natsort",
        "cv2",
        "av",
        "scipy",
        "hdmf_zarr",
        "nwbinspector",
        "tqdm",
    )
    top = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    for node in top:
        for name in _imports(ast.Module(body=[node], type_ignores=[])):
            assert name.split(".")[0] not in optional, f"{path} imports {name} when it is imported"


@of_every_file
def test_low_rooms_know_no_pynwb(source):
    path, tree, _ = source
    low = {
        "errors",
        "documents",
        "memory",
        "timing",
        "optional",
        "paths",
        "rois",
        "metadata",
        "extractors",
    }
    if _room(path) in low | {"filetypes", "registry"}:
        assert not [n for n in _imports(tree) if n.split(".")[0] in ("pynwb", "hdmf")], path


@of_every_file
def test_the_row_of_a_format_costs_nothing_to_import(source):
    path, tree, _ = source
    if _format(_module(path)) is None or path.name != "__init__.py":
        return
    allowed = {"__future__", "__future__.annotations", "nwb_ophys.formats"}
    imported = _imports(tree) - allowed - {"nwb_ophys.formats.Format"}
    assert not imported, f"{path} imports {imported}"


# --- sizes and documentation --------------------------------------------------------------------


@of_every_file
def test_files_are_short(source):
    path, _, text = source
    assert len(text.splitlines()) <= MAX_FILE_LINES, path


@of_every_file
def test_functions_are_short(source):
    path, tree, _ = source
    for node in nodes_of(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            docstring = ast.get_docstring(node, clean=False)
            first = node.body[1] if docstring is not None and len(node.body) > 1 else node.body[0]
            lines = (node.end_lineno or 0) - first.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{path}: {node.name} has {lines} lines"


@of_every_file
def test_public_functions_have_docstrings(source):
    path, tree, _ = source
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path}: {node.name} has no docstring"


@of_every_file
def test_every_file_says_what_it_is(source):
    path, tree, _ = source
    assert ast.get_docstring(tree) not in (None, "TODO."), path


def test_classes_are_three_deep_at_most():
    from nwb_ophys import formats

    for name in formats.__all__:
        ours = [c for c in getattr(formats, name).__mro__ if c.__module__.startswith("nwb_ophys.")]
        mixed_in = (
            "Writer",
            "TimeAlignment",
            "Reopenable",
            "Detectable",
            "Closeable",
            "Convertible",
        )
        bases = [c for c in ours if not c.__name__.endswith(mixed_in)]
        assert len(bases) <= MAX_CLASS_DEPTH, name


def test_all_is_sorted():
    import nwb_ophys

    assert nwb_ophys.__all__ == sorted(nwb_ophys.__all__)
    for name in nwb_ophys.__all__:
        assert getattr(nwb_ophys, name) is not None


# --- tests mirror the package -------------------------------------------------------------------


def test_the_tests_of_a_format_lie_in_one_folder():
    tests = PACKAGE.parent / "tests"
    folders = {path.name for path in (PACKAGE / "formats").iterdir() if path.is_dir()}
    for path in tests.rglob("test_*.py"):
        name = path.stem.removeprefix("test_")
        if name in folders:
            assert path.parent.name == name, f"{path} belongs to tests/formats/{name}"
