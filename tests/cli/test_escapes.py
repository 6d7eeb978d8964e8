"""Tests that the control characters of names and texts from files are escaped on the terminal."""

from __future__ import annotations

import ast
import io
import logging
import os
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import tifffile

import nwb_ophys.cli
from nwb_ophys.cli.terminal import escape_foreign_output, say
from nwb_ophys.documents import parse_yaml
from nwb_ophys.errors import printable

RATE = ("--option", "sampling_frequency=30")
START = ("--set", "NWBFile.session_start_time=2024-05-17T14:30:00+02:00")
NAMES = {
    "colour": "\x1b[31mred\x1b[2J",
    "8-bit": "a\x9b31m",
    "bell": "a\x07\x08",
    "lines": "a\nError: forged\rb",
    "direction": "a\u202egnp.\u2066b",
    "no width": "a\u200bb\ufeff",
    "bytes": os.fsdecode(b"a\xff\xfe"),
    "separator": "a\u2028b",
}


def _is_safe(text: str) -> bool:
    return all(
        character == "\n" or character.isprintable() or unicodedata.category(character) == "Zs"
        for character in text
    )


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names_of_files_are_escaped_in_every_command(run, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    folder = Path(name)
    folder.mkdir()
    movie, rois = folder / f"{name}.tif", folder / f"{name}.npy"
    tifffile.imwrite(movie, np.arange(5 * 64, dtype="u2").reshape(5, 8, 8))
    np.save(rois, np.arange(5 * 64, dtype="u2").reshape(5, 8, 8))
    target = folder / f"{name}.nwb"
    outcomes = [
        run("detect", folder),
        run("metadata", movie, *RATE),
        run("metadata", rois, "-o", folder / f"{name}.yaml", *RATE),
        run("convert", movie, "-o", target, *RATE, *START, "--plan"),
        run("convert", movie, "-o", target, *RATE, *START),
        run("inspect", target),
        run("repack", target, "-o", folder / "b.nwb"),
    ]
    assert [outcome.code for outcome in outcomes] == [0] * len(outcomes), outcomes
    assert parse_yaml(outcomes[1].out)["NWBFile"]
    outcomes += [
        run("convert", movie, "-o", target, *RATE, *START),
        run("convert", folder / f"{name}.abc", "-o", "c.nwb"),
        run("convert", movie, "-o", "c.nwb", "--option", f"{name}=1"),
        run("convert", movie, "-o", "c.nwb", *RATE, "--set", f"{name}=1"),
        run("convert", movie, "-o", "c.nwb", "--format", name),
        run("detect", folder / f"{name}.nwb" / name),
        run("inspect", movie),
        run(name),
    ]
    assert all(outcome.code == 2 for outcome in outcomes[7:])
    for outcome in outcomes:
        assert _is_safe(outcome.out + outcome.err), outcome
        assert not any(line.startswith("Error: forged") for line in outcome.err.splitlines())


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_texts_in_files_are_escaped(run, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    text = name.encode("utf-8", "replace").decode()
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="I:0" '
        f'Name="{text}"><Pixels DimensionOrder="XYCZT" Type="uint16" SizeX="8" SizeY="8" SizeC="1" '
        f'SizeZ="1" SizeT="5" ID="P:0"><Channel ID="C:0" Name="{text}"/><TiffData/></Pixels>'
        "</Image></OME>"
    )
    tifffile.imwrite(
        "a.ome.tif", np.zeros((5, 8, 8), "u2"), description=xml.encode(), metadata=None
    )
    for arguments in (
        ("detect", "a.ome.tif"),
        ("metadata", "a.ome.tif", *RATE),
        ("convert", "a.ome.tif", "-o", "a.nwb", *RATE, *START),
        ("convert", "a.ome.tif", "-o", "a.nwb", "--option", "channel_name=x"),
        ("inspect", "a.nwb"),
    ):
        outcome = run(*arguments)
        assert _is_safe(outcome.out + outcome.err), outcome
        assert outcome.code < 3


def test_only_one_module_of_the_command_line_prints():
    folder = Path(nwb_ophys.cli.__file__).parent
    for path in folder.glob("*.py"):
        # A handler of signals writes without buffers.
        if path.name in ("terminal.py", "signals.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("print", "click.echo", "click.secho"), path
                assert not called.endswith(("stdout.write", "stderr.write")), path


def test_a_terminal_of_another_encoding_shows_codes(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    say("µm of 日本")
    stream.flush()
    assert stream.buffer.getvalue() == rb"\xb5m of \u65e5\u672c" + b"\n"


def test_records_of_libraries_and_tracebacks_are_escaped(capsys, monkeypatch):
    monkeypatch.setattr(logging, "lastResort", logging.lastResort)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    escape_foreign_output()
    logging.lastResort.handle(logging.makeLogRecord({"msg": "a\x1b[31m\nb", "levelno": 30}))
    try:
        raise ValueError("c\x1b[31m")
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    printed = capsys.readouterr().err
    assert _is_safe(printed)
    assert "Traceback" in printed
    assert r"a\x1b[31m b" in printed
    assert r"ValueError: c\x1b[31m" in printed


def test_texts_that_people_write_are_left_as_they_are():
    text = "Größe 25 µm, 日本語, naïve, 5\u202fmm"
    assert printable(text) == text
