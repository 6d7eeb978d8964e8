"""Looks at a page in a browser, for the tests of several folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# Elements that reach beyond the window, and texts of charts that reach beyond their chart.
_CUT_OFF = """() => {
  const found = [];
  const width = document.documentElement.clientWidth;
  for (const each of document.body.querySelectorAll("*")) {
    const box = each.getBoundingClientRect();
    if (!box.width || each.closest("svg") && each.tagName !== "text") continue;
    const frame = each.tagName === "text" ? each.ownerSVGElement.getBoundingClientRect()
      : {left: 0, right: width, top: -Infinity, bottom: Infinity};
    const isOut = box.left < frame.left - 1 || box.right > frame.right + 1
      || box.top < frame.top - 1.5 || box.bottom > frame.bottom + 1.5;
    const style = getComputedStyle(each);
    const isClipped = style.overflow !== "visible" && each.tagName !== "svg"
      && each.scrollWidth > each.clientWidth + 1;
    const text = each.textContent.slice(0, 60);
    if (isOut || isClipped) found.push([each.tagName, text, box.left, box.right]);
  }
  return found;
}"""
LOOKS = ((1280, "light"), (1280, "dark"), (400, "light"))
"""Widths of windows in pixels, and schemes of colours."""


def check_nothing_is_cut_off(
    visit: Callable[..., Any], path: Path, name: str, looks: Sequence[tuple[int, str]]
) -> None:
    """Open a page in windows of some widths and colours, and check that all of it can be read."""
    (width, colours), *_ = looks
    page = visit(path, width=width, colours=colours)
    for index, (width, colours) in enumerate(looks):
        if index:
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=colours)
            page.reload()
        assert page.evaluate(_CUT_OFF) == [], name
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        keep(page, f"{name}_{width}_{colours}")


def keep(page: Any, name: str) -> None:
    """Write a screenshot to the folder that ``NWB_OPHYS_SCREENSHOTS`` names, if any."""
    folder = os.environ.get("NWB_OPHYS_SCREENSHOTS")
    if folder:
        place = Path(folder) / "reports"
        place.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=place / f"{name}.png", full_page=True)
