"""Syntax trees of the package, for tests that look at its source; each is made once."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "nwb_ophys"
FILES = sorted(PACKAGE.rglob("*.py"))


@cache
def tree_of(path: Path) -> ast.Module:
    """Return the tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes_of(tree: ast.AST) -> tuple[ast.AST, ...]:
    """Return all nodes of a tree, as ``ast.walk`` yields them."""
    return tuple(ast.walk(tree))


def last_name(node: ast.AST) -> str:
    """Return the last identifier of a name with dots, such as ``warn`` of ``warnings.warn``."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
