"""Tables of HTML for notebooks, from plain texts, which are escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_LEFT = 'style="text-align:left;vertical-align:top"'


def html_table(caption: str, rows: Iterable[Sequence[str]], heads: Sequence[str] = ()) -> str:
    """Return a table as HTML.

    Parameters
    ----------
    caption : str
    rows : iterable of sequence of str
        Texts of the cells; without heads, the first cell of each row is its head.
    heads : sequence of str
        Heads of the columns.
    """
    parts = [f"<table><caption {_LEFT}><b>{escape(caption)}</b></caption>"]
    if heads:
        cells = "".join(f"<th {_LEFT}>{escape(each)}</th>" for each in heads)
        parts.append(f"<thead><tr>{cells}</tr></thead>")
    parts.append("<tbody>")
    for row in rows:
        first, *others = row
        tag = "td" if heads else "th"
        cells = "".join(f"<td {_LEFT}>{escape(each)}</td>" for each in others)
        parts.append(f"<tr><{tag} {_LEFT}>{escape(first)}</{tag}>{cells}</tr>")
    return "".join([*parts, "</tbody></table>"])
