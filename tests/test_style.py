"""Style of the package's language: docstrings, messages, names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from trees import FILES, PACKAGE, last_name, nodes_of, tree_of

OPENINGS = ("What", "Whether", "Which", "How", "Of", "By", "Where")
PHRASES = re.compile(r"\b(?:told|taken\s+for|none\s+of|so\s+many|anew)\b", re.IGNORECASE)
PATH_NAMES = re.compile(r"(?:^|_)(?:path|file|folder|target)$")

# Names of version 0.1 that no other name of the package resembles. `stated`, `place`, `told` and
# the like are left out, because they are also ordinary names.
OLD_NAMES = {
    "AS_GIVEN": "KEEP_FILTERS",
    "Declared": "Placeholder",
    "Glance": "PathProbe",
    "MendedCaimanExtractor": "CaimanExtractor",
    "OnePass": "OneShotIterator",
    "QuickProperties": "FastPropertiesMixin",
    "RaggedPixels": "PixelLists",
    "Recognition": "Detectable",
    "StatedSettings": "WrapperSettings",
    "_step_aside": "_swap_folders",
    "asked_for": "requested_rows",
    "configuration_of": "plan_nwbfile",
    "configuration_of_file": "plan_repack",
    "few_of_many": "sample_of_many",
    "follow_session": "shift_to_session_start",
    "growing_file": "single_file",
    "identity_of": "fingerprint",
    "is_found_in_folders": "searched_in_folders",
    "is_mine": "recognises",
    "kind_of": "neurodata_type",
    "left_as_it_was": "restored_after_write",
    "on_request": "request_option",
    "options_on_request": "request_defaults",
    "pass_over": "fresh_iterator",
    "plan_of": "plan_nwbfile",
    "put_back": "reattach",
    "records_set_aside": "detached_records",
    "told_apart": "distinct_name",
}


def faults_of_docstrings(tree: ast.Module) -> list[str]:
    """Return the docstrings that begin with a word of a question, and where they are."""
    found = []
    for node, public in _documented(tree):
        text = ast.get_docstring(node) or ""
        if public and text.split(maxsplit=1)[:1] and text.split()[0].rstrip(",:") in OPENINGS:
            found.append(f"line {_line(node)}: the docstring begins with {text.split()[0]!r}")
    return found


def _documented(
    tree: ast.Module,
) -> Iterator[tuple[ast.Module | ast.ClassDef | ast.FunctionDef, bool]]:
    for node in nodes_of(tree):
        if isinstance(node, ast.Module):
            yield node, True
        elif isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node, not node.name.startswith("_")


def _line(node: ast.AST) -> int:
    return getattr(node, "lineno", 1)


def faults_of_phrases(tree: ast.Module) -> list[str]:
    """Return the foreign phrases of docstrings and messages, and where they are."""
    texts = [(_line(node), ast.get_docstring(node) or "") for node, _ in _documented(tree)]
    texts += [(_line(text), _words(text)) for call in _messages(tree) for text in _texts(call)]
    return [
        f"line {line}: {match.group()!r}"
        for line, text in texts
        for match in PHRASES.finditer(text)
    ]


def faults_of_paths(tree: ast.Module) -> list[str]:
    """Return the placeholders of messages that hold a path outside single quotes."""
    found = []
    for call in _messages(tree):
        for text in _texts(call):
            if isinstance(text, ast.JoinedStr):
                found += [
                    f"line {value.lineno}: {{{ast.unparse(value.value)}}} is not between quotes"
                    for value in _bare_paths(text)
                ]
    return found


def _bare_paths(text: ast.JoinedStr) -> Iterator[ast.FormattedValue]:
    for index, value in enumerate(text.values):
        if not isinstance(value, ast.FormattedValue) or value.conversion == ord("r"):
            continue
        name = value.value
        words = name.attr if isinstance(name, ast.Attribute) else getattr(name, "id", "")
        if not PATH_NAMES.search(words):
            continue
        before = text.values[index - 1] if index else None
        after = text.values[index + 1] if index + 1 < len(text.values) else None
        if not (_constant(before).endswith("'") and _constant(after).startswith("'")):
            yield value


def _constant(node: ast.AST | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def faults_of_ends(tree: ast.Module) -> list[str]:
    """Return the messages of raised errors that lack a mark at their end."""
    found = []
    for call in _raised(tree):
        for text in call.args[:1]:
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                last: ast.AST = text
            elif isinstance(text, ast.JoinedStr) and text.values:
                last = text.values[-1]
            else:
                continue
            if isinstance(last, ast.Constant) and not str(last.value).rstrip().endswith(
                (".", "?", ":")
            ):
                found.append(f"line {text.lineno}: the message ends with {str(last.value)[-20:]!r}")
    return found


def _raised(tree: ast.AST) -> Iterator[ast.Call]:
    for node in nodes_of(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            name = last_name(node.exc.func)
            # Errors of Python's own protocols, whose argument is a key or a code, and reasons
            # that become a part of the message of another error.
            others = ("Exit", "AttributeError", "KeyError", "StopIteration", "DocumentError")
            if not name.endswith(others):
                yield node.exc


def _messages(tree: ast.AST) -> Iterator[ast.Call]:
    yield from _raised(tree)
    for node in nodes_of(tree):
        if isinstance(node, ast.Call) and last_name(node.func) == "warn":
            yield node


def _texts(call: ast.Call) -> Iterator[ast.Constant | ast.JoinedStr]:
    for node in call.args[:1]:
        if isinstance(node, ast.JoinedStr) or _constant(node):
            yield node  # type: ignore[misc]


def _words(text: ast.AST) -> str:
    parts = text.values if isinstance(text, ast.JoinedStr) else [text]
    return "".join(_constant(part) or "{}" for part in parts)


def faults_of_attrs(tree: ast.Module) -> list[str]:
    """Return the imports of attrs other than ``import attrs``."""
    found = []
    for node in nodes_of(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in (
            "attr",
            "attrs",
        ):
            found.append(f"line {node.lineno}: from {node.module} import …")
        elif isinstance(node, ast.Import):
            for alias in node.names:
                renamed = alias.name == "attrs" and alias.asname
                if renamed or alias.name.split(".")[0] == "attr":
                    found.append(f"line {node.lineno}: import {alias.name} as {alias.asname}")
    return found


def faults_of_names(tree: ast.Module) -> list[str]:
    """Return the names of version 0.1 that are still in use."""
    found = []
    for node in nodes_of(tree):
        if isinstance(node, ast.alias) and OLD_NAMES.get(node.asname or "") == node.name:
            continue  # an alias that keeps a public name of version 0.1
        for name in _names(node):
            if name in OLD_NAMES:
                found.append(f"line {_line(node)}: {name} is now {OLD_NAMES[name]}")
    return found


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        return [node.name]
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        return [node.attr]
    if isinstance(node, ast.arg):
        return [node.arg]
    if isinstance(node, ast.alias):
        return node.name.split(".") + ([node.asname] if node.asname else [])
    return []


RULES = {
    "docstrings": faults_of_docstrings,
    "phrases": faults_of_phrases,
    "paths": faults_of_paths,
    "ends": faults_of_ends,
    "attrs": faults_of_attrs,
    "names": faults_of_names,
}


def _holds_paths_of_keys(path: Path) -> bool:
    """Return whether ``path`` in a file is that of a metadata key, which has no quotes."""
    room, *_ = path.relative_to(PACKAGE).parts
    return room == "writers" or (room == "metadata" and path.name != "documents.py")


@pytest.fixture(scope="module")
def trees():
    return {path: tree_of(path) for path in FILES}


@pytest.mark.parametrize("rule", RULES)
def test_style(rule, trees):
    found = []
    for path, tree in trees.items():
        faults = RULES[rule](tree)
        if rule == "paths" and _holds_paths_of_keys(path):
            faults = [fault for fault in faults if "{path} is" not in fault]
        found += [f"{path.relative_to(PACKAGE)}: {fault}" for fault in faults]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("docstrings", '"""What a path is."""'),
        ("docstrings", 'def read():\n    """Whether it is read."""'),
        ("docstrings", 'class Reader:\n    """How, then, it is read."""'),
        ("phrases", '"""Write the file anew."""'),
        ("phrases", 'def _read():\n    """Read so\n    many frames."""'),
        ("phrases", 'raise ValueError(f"{a} is none of {b}.")'),
        ("phrases", 'warnings.warn("The user is told.", stacklevel=2)'),
        ("paths", 'raise ValueError(f"{path} is missing.")'),
        ("paths", 'raise ValueError(f"\'{source.file_path} is missing.")'),
        ("paths", 'warnings.warn(f"In {self.folder}: nothing.")'),
        ("paths", "raise ValueError(f'{first}{target}.')"),
        ("ends", 'raise ValueError("It is missing")'),
        ("ends", 'raise ValueError(f"{name} is missing!")'),
        ("attrs", "from attrs import frozen"),
        ("attrs", "import attr"),
        ("attrs", "import attrs as a"),
        ("names", "from nwb_ophys.paths import Glance"),
        ("names", "storage.plan_of(x)"),
        ("names", "def put_back(): ..."),
    ],
)
def test_a_fault_is_found(rule, code):
    assert len(RULES[rule](ast.parse(code))) == 1


@pytest.mark.parametrize(
    "code",
    [
        '"""Detect the formats of a path.\n\nWhat follows is free."""',
        'def _read():\n    """Which is private."""',
        "raise ValueError(f\"'{path}' is not '{other.file_path}'.\")",
        'raise ValueError(f"{path!r} is missing.")',
        'raise ValueError(f"{count} frames: {error}")',
        "raise click.exceptions.Exit(1)",
        "import attrs",
        "from nwb_ophys.paths import PathProbe",
    ],
)
def test_good_style_passes(code):
    tree = ast.parse(code)
    assert [fault for rule in RULES.values() for fault in rule(tree)] == []
