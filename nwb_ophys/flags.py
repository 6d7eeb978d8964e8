"""Messages of the package with the flags of the command line in place of Python's arguments.

Messages name an argument as Python has it, ``overwrite=True`` or ``sampling_frequency=30``, and a
value of metadata as ``metadata["NWBFile"]["lab"]="X"``. The command line prints them with its
flags: ``--overwrite``, ``--option sampling_frequency=30`` and ``--set NWBFile.lab=X``. A request
for an argument without a value, ``give sampling_frequency``, becomes one for
``--option sampling_frequency=VALUE``. A message may also state both, with the flag in parentheses
after the argument; then only the flag is printed.
"""

from __future__ import annotations

import functools
import re

from nwb_ophys.errors import MetadataError, NwbOphysError, SpecificationError

# Arguments of functions that are flags of commands, rather than --option.
SWITCHES = ("overwrite", "append", "in_place", "resume", "all_in_one", "verify", "every_file")
VALUES = ("backend", "chunk_mb", "buffer_gb", "compression", "format", "stub", "workers")

_VALUE = r""""[^"]*"|'[^']*'|\[[^\]]*\]|…|[\w*][\w.+:*-]*[\w*]|[\w*]"""
_BOTH = re.compile(rf"\b[a-z]\w*=(?:{_VALUE}) \((?:on the command line )?(--[a-z][^()]*)\)")
_SPOKEN = re.compile(r"\b(?:it as )?[a-z]\w*(?:=[^\s,]*)?, on the command line,?(?: with)? (?=--)")
_PYTHON_ONLY = re.compile(r"\b(?:set_aligned_[\w*]+|temporally_align)\(\)")
_METADATA = re.compile(rf"""metadata((?:\["[^"\]]+"\]|\[\d+\])+) ?= ?({_VALUE})""")
# Quotes before a name mean that the text is a user's own.
_ARGUMENT = re.compile(rf"""(?<![\w.'"$-])(?<!--option )(?<!--set )([a-z]\w*)=({_VALUE})""")
_REQUEST = re.compile(r"\b(?:[Gg]ive|[Ww]ith|[Uu]se|[Ss]et) [a-z]\w*_")
_STEP = re.compile(r"\[\"?([^\]\"]+)\"?\]")


def with_flags(message: str) -> str:
    """Return a message in which flags replace the arguments of Python.

    Parameters
    ----------
    message : str
    """
    message = _SPOKEN.sub("", _BOTH.sub(r"\1", message))
    message = _PYTHON_ONLY.sub(r"\g<0> in Python", message)
    message = _METADATA.sub(_setting, message)
    message = _ARGUMENT.sub(_flag, message)
    # The names of all options are known only when every format has been imported.
    return _bare_names().sub(_options, message) if _REQUEST.search(message) else message


def error_lines(error: Exception) -> list[str] | None:
    """Return an error that the user can correct as lines with flags; None for any other.

    Parameters
    ----------
    error : Exception
        Several errors of metadata or of a specification take a line each.
    """
    if isinstance(error, (MetadataError, SpecificationError)):
        return [_on_one_line(with_flags(str(fault))) for fault in error.args]
    if isinstance(error, NwbOphysError):
        return [_on_one_line(with_flags(str(error)))]
    if isinstance(error, OSError):
        reason = str(error.strerror or error)
        return [_on_one_line(f"{reason}: '{error.filename}'" if error.filename else reason)]
    return None


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def _setting(match: re.Match[str]) -> str:
    key = ".".join(_STEP.findall(match[1]))
    return _quoted(f"--set {key}=", _unquoted(match[2]))


def _flag(match: re.Match[str]) -> str:
    name, value = match.groups()
    flag = f"--{name.replace('_', '-')}"
    if name in SWITCHES and value in ("True", "False"):
        return flag if value == "True" else f"no {flag}"
    if name in VALUES:
        return f"{flag} {_unquoted(value)}"
    if name not in _option_names():
        return match[0]
    words = {"True": "true", "False": "false", "None": "null"}
    return _quoted(f"--option {name}=", words.get(value, _unquoted(value)))


def _unquoted(value: str) -> str:
    return value[1:-1] if value[0] in "\"'" else value


def _quoted(start: str, value: str) -> str:
    """Return an option with its value in quotes where a shell would not take it as it is."""
    flag, _, key = start.partition(" ")
    return f'{flag} "{key}{value}"' if re.search(r"[\s*?()\[\]]", value) else f"{start}{value}"


def _options(match: re.Match[str]) -> str:
    names = re.sub(r"[a-z]\w*_\w*", r"--option \g<0>=VALUE", match[2])
    return match[1] + names


@functools.cache
def _bare_names() -> re.Pattern[str]:
    """Return a pattern of requests such as ``give sampling_frequency`` and ``with a_b or c_d``."""
    name = "|".join(sorted((each for each in _option_names() if "_" in each), reverse=True))
    listed = rf"(?:{name})\b(?:(?:, | and | or |, or )(?:{name})\b)*(?!['\"=])"
    return re.compile(rf"(\b(?:[Gg]ive|[Ww]ith|[Uu]se|[Ss]et) )({listed})")


@functools.cache
def _option_names() -> frozenset[str]:
    """Return the names of all source arguments and conversion options of the package."""
    import attrs

    from nwb_ophys.formats import builtin_rows

    names = {"files", "as_volume", "allow_outside"}
    for row in builtin_rows():
        cls = row.load()
        names |= {field.name for part in (cls.Source, cls.Options) for field in attrs.fields(part)}
        names |= {*cls.stream_options, cls.request_option}
    return frozenset(names)
