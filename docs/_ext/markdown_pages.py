"""Directives for parts of the repository's Markdown files, so that no text is written twice.

``changelog`` includes CHANGELOG.md; it reads headings, lists and code without a Markdown package.
``readme-block`` includes the block of code in README.md that follows the comment with its argument.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective


class _FromRepository(SphinxDirective):
    """Base class of directives that read a file of the repository."""

    def read(self, name: str) -> str:
        """Return the text of a file; the page is rebuilt when the file changes."""
        path = Path(self.env.srcdir).parent / name
        self.env.note_dependency(str(path))
        return path.read_text(encoding="utf-8")


class Changelog(_FromRepository):
    """Directive for CHANGELOG.md without its title."""

    def run(self) -> list[Any]:
        """Return the versions with their lists."""
        lines: list[str] = []
        for line in self.read("CHANGELOG.md").splitlines():
            text = re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", line)
            if text.startswith("## "):
                lines += [text[3:], "-" * len(text)]
            elif not text.startswith("# "):
                lines.append(text)
        parsed = StringList(lines, source="CHANGELOG.md")
        return self.parse_text_to_nodes(parsed, allow_section_headings=True)


class ReadmeBlock(_FromRepository):
    """Directive for a block of code in README.md."""

    required_arguments = 1

    def run(self) -> list[Any]:
        """Return the block."""
        pattern = rf"<!-- {re.escape(self.arguments[0])} -->\n```(\w+)\n(.*?)```"
        found = re.search(pattern, self.read("README.md"), re.DOTALL)
        if found is None:
            raise self.error(f"README.md has no block '{self.arguments[0]}'.")
        code = found.group(2).rstrip("\n")
        return [nodes.literal_block(code, code, language=found.group(1))]


def setup(app: Any) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("changelog", Changelog)
    app.add_directive("readme-block", ReadmeBlock)
    return {"parallel_read_safe": True}
