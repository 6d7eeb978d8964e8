"""A conversion as the page knows it: the same values as the arguments of ``nwb-ophys convert``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from nwb_ophys.documents import dump_yaml, parse_yaml
from nwb_ophys.shell_words import NEXT_LINE, quoted


@attrs.frozen(kw_only=True)
class Request:
    """A conversion.

    Attributes
    ----------
    paths : tuple of str
        Files and folders of the recording.
    formats : tuple of str
        Names of their formats; empty to detect them.
    options : Mapping of str to str
        Source arguments and conversion options, as ``--option`` takes them.
    settings : Mapping of str to str
        Metadata by dotted keys, as ``--set`` takes them.
    output : str
        File to write.
    times, pulses, trials : str
        Files of other devices as ``--times``, ``--pulses`` and ``--trials`` take them, a line each.
    roots : tuple of str
        Folders below which these files lie.
    leave_out : tuple of str
        Names of streams that are not converted.
    all_in_one, overwrite, verify, report : bool
    compression : str
        Empty for the usual one.
    """

    paths: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    options: Mapping[str, str] = attrs.field(factory=dict)
    settings: Mapping[str, str] = attrs.field(factory=dict)
    output: str = ""
    times: str = ""
    pulses: str = ""
    trials: str = ""
    roots: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    all_in_one: bool = False
    overwrite: bool = False
    verify: bool = False
    report: bool = False
    compression: str = ""

    @property
    def source(self) -> tuple[Any, ...]:
        """Everything that decides which streams are opened."""
        options = tuple(self.options.items())
        clocks = tuple(self.clocks.items())
        return self.paths, self.formats, options, clocks, self.leave_out, self.all_in_one

    @property
    def clocks(self) -> dict[str, tuple[str, ...]]:
        """Files of other devices by the names of the arguments, without the empty ones."""
        found = {name: _lines(getattr(self, name)) for name in ("times", "pulses", "trials")}
        return {name: lines for name, lines in found.items() if lines}


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def detect_command(path: str) -> list[str]:
    """Return the command that detects the formats in a folder.

    Parameters
    ----------
    path : str
    """
    return ["nwb-ophys", "detect", path, "--every-file"]


def check_command(request: Request) -> list[str]:
    """Return the command that lists what the DANDI archive lacks."""
    settings = [*_pairs("--set", request.settings), *_clocks(request)]
    return ["nwb-ophys", "check", *_shared(request), *settings]


def plan_command(request: Request) -> list[str]:
    """Return the command that prints the plan of a conversion."""
    return [*convert_command(attrs.evolve(request, report=False)), "--plan"]


def convert_command(request: Request) -> list[str]:
    """Return the command of a conversion."""
    flags = [
        *(["--compression", request.compression] if request.compression else []),
        *(["--verify"] if request.verify else []),
        *(["--overwrite"] if request.overwrite else []),
        *(["--report"] if request.report else []),
    ]
    settings = [*_pairs("--set", request.settings), *_clocks(request)]
    start = ["nwb-ophys", "convert", *_shared(request, ["-o", request.output])]
    return [*start, *settings, *flags]


def inspect_command(path: str) -> list[str]:
    """Return the command that checks a file for the DANDI archive.

    Parameters
    ----------
    path : str
    """
    return ["nwb-ophys", "inspect", path, "--for", "dandi"]


def report_command(path: str) -> list[str]:
    """Return the command that writes the report of a file.

    Parameters
    ----------
    path : str
    """
    return ["nwb-ophys", "report", path]


def look_commands(request: Request, num_samples: int) -> list[list[str]]:
    """Return the commands that write the first samples to a file, and a report of it.

    Parameters
    ----------
    request : Request
    num_samples : int
    """
    first = attrs.evolve(request, output="look.nwb", overwrite=False, report=False)
    stub = ["--stub", str(num_samples)]
    return [[*convert_command(first), *stub], report_command("look.nwb")]


def batch_command(batch: Mapping[str, Any], *flags: str) -> list[str]:
    """Return the command that converts a batch.

    Parameters
    ----------
    batch : Mapping
        State of the batch, see :mod:`nwb_ophys.page.desk`.
    *flags : str
    """
    stated = batch["stated"]
    path = stated if isinstance(stated, str) else batch.get("saved", "lab.yaml")
    jobs = ["--jobs", str(batch["jobs"])] if batch["jobs"] > 1 and not flags else []
    return ["nwb-ophys", "batch", path, *jobs, *flags]


def _shared(request: Request, output: Sequence[str] = ()) -> list[str]:
    formats = [each for name in request.formats for each in ("--format", name)]
    one = ["--all-in-one"] if request.all_in_one else []
    left = [each for name in request.leave_out for each in ("--leave-out", name)]
    options = _pairs("--option", request.options)
    return [*request.paths, *output, *formats, *options, *left, *one]


def _clocks(request: Request) -> list[str]:
    return [e for name, lines in request.clocks.items() for x in lines for e in (f"--{name}", x)]


def _pairs(flag: str, given: Mapping[str, str]) -> list[str]:
    return [each for key, value in given.items() for each in (flag, f"{key}={value}")]


def in_a_shell(command: Sequence[str]) -> str:
    """Return a command as a shell reads it, with an option per line.

    Parameters
    ----------
    command : sequence of str
    """
    lines: list[list[str]] = [[]]
    for each in command:
        if each.startswith("-") and len(lines[-1]) > 1:
            lines.append([])
        lines[-1].append(each)
    return NEXT_LINE.join(" ".join(map(_quoted, line)) for line in lines)


def _quoted(word: str) -> str:
    """Return a word in quotes, with codes for bytes that neither a page nor a terminal shows."""
    if word.replace("\n", "").isprintable():
        return quoted(word)
    return f"$'{''.join(map(_in_ansi_quotes, word))}'"


def _in_ansi_quotes(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))


def specification_of(request: Request, metadata: Mapping[str, Any]) -> str:
    """Return the specification of ``nwb-ophys batch`` that makes the same file, as YAML.

    Parameters
    ----------
    request : Request
    metadata : Mapping
        The complete metadata, from which the values of the settings are taken.
    """
    options = {name: _value_of(text) for name, text in request.options.items()}
    clocks = request.clocks.items()
    entry: dict[str, Any] = {"paths": list(request.paths)}
    given = {
        "format": list(request.formats),
        "options": options,
        "all_in_one": request.all_in_one,
        "leave_out": list(request.leave_out),
        **{name: lines[0] if name == "trials" else list(lines) for name, lines in clocks},
        "compression": request.compression,
        "verify": request.verify,
        "metadata": minimal_metadata(request.settings, metadata),
    }
    entry |= {key: value for key, value in given.items() if value not in (None, "", False, [], {})}
    return dump_yaml({"output": request.output, "sessions": [entry]})


def _value_of(text: str) -> Any:
    """Return the value of an option, which YAML writes without quotes where it is a number."""
    try:
        value = parse_yaml(text)
    except ValueError:
        return text
    return value if isinstance(value, (bool, int, float)) else text


def minimal_metadata(settings: Mapping[str, str], metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document of metadata with the values that were set, in lists with those beside.

    Parameters
    ----------
    settings : Mapping of str to str
        Texts by dotted keys; entries of lists are given by index.
    metadata : Mapping
        Complete metadata that have the values.
    """
    document: dict[str, Any] = {}
    for key in settings:
        _copy(document, metadata, key.split("."))
    return document


def _copy(target: Any, source: Any, steps: Sequence[str]) -> None:
    """Copy one value, or the whole list that holds it, since a list replaces that of the files."""
    step, *rest = steps
    value = source.get(step)
    if rest and isinstance(value, Mapping):
        _copy(target.setdefault(step, {}), value, rest)
    else:
        target[step] = _plain(value)


def _plain(value: Any) -> Any:
    """Return nested metadata as plain dictionaries and lists, which YAML writes."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value
