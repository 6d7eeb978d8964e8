"""Messages of the page: they name its controls in place of the flags of commands."""

from __future__ import annotations

import re

from nwb_ophys.flags import error_lines, with_flags

CONTROLS = {
    "--overwrite": '"Replace the file if it exists"',
    "--verify": '"Read the file back and compare it with the source"',
    "--compression": '"Compression"',
    "--all-in-one": '"Allow recordings of different subjects or days in one file"',
    "--format": '"Format"',
    "--times": '"Times of the frames"',
    "--pulses": '"Pulses of the frames"',
    "--trials": '"Trials"',
}
"""Labels of the page by flag; the templates have the same."""

_OF_SPECIFICATION = {
    "--format": "format:",
    "--times": "times:",
    "--pulses": "pulses:",
    "--trials": "trials:",
    "--all-in-one": "all_in_one: true",
}
# A text in quotes after a flag; a value in single quotes may begin after the equals sign.
_PAIR = re.compile(r'(?<![^\s(])--(?:option|set) (?:"([^"]+=[^"]*)"|([^\s=]+=(?:\'[^\']*\'|\S*)))')
_FLAG = re.compile(r"(?<![^\s(])(--[a-z][a-z-]+)( FILE| \S+=FILE)?")
_IN_WORDS = re.compile(r"\bon the command line,?(?: with)? (?=--)")
_COMMAND = re.compile(r"\bnwb-ophys\b[^.]*$")


def page_lines(error: Exception, *, has_controls: bool = True) -> list[str] | None:
    """Return an error that the user can correct as lines for the page; None for any other.

    Parameters
    ----------
    error : Exception
    has_controls : bool
        Whether the step of the page has the controls of one conversion, not those of many sessions.
    """
    lines = error_lines(error)
    return None if lines is None else [_worded(line, has_controls) for line in lines]


def page_note(message: str, *, has_controls: bool = True) -> str:
    """Return a warning as a line for the page; see :func:`page_lines`."""
    return _worded(" ".join(with_flags(message).split()), has_controls)


def _worded(line: str, has_controls: bool) -> str:
    """Return a line with names of fields and controls; other flags are said to be of commands."""
    known = CONTROLS if has_controls else _OF_SPECIFICATION

    def named(match: re.Match[str]) -> str:
        before = line[: match.start()]
        if _COMMAND.search(before):
            return match[0]
        if match[1] in known:
            return known[match[1]]
        is_in_brackets = before.endswith("(")
        place = "on the command line"
        return f"{place} {match[0]}" if is_in_brackets else f"{match[0]} ({place})"

    line = _IN_WORDS.sub("", line)
    line = _PAIR.sub(lambda match: _field(match[1] or match[2]), line)
    return _FLAG.sub(named, line)


def _field(pair: str) -> str:
    """Return a field with its value; VALUE is a placeholder, without which the name is enough."""
    name, _, value = pair.partition("=")
    rest = value.removeprefix("VALUE")
    return f"{name}{rest}" if rest != value else pair
