"""Headers of ScanImage in JSON (``useJsonHeaderFormat``) state what the usual ones state."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import tifffile

from nwb_ophys import ScanImageImagingInterface
from nwb_ophys.formats.scanimage.header import scanimage_metadata
from nwb_ophys.formats.scanimage.json_texts import as_lines
from nwb_ophys.registry import detect
from nwb_ophys.testing import write_scanimage

_HEAD = 32


def _nested(lines: str) -> dict[str, Any]:
    """Return lines of a header as nested dictionaries, as MATLAB's JSON has them."""
    found: dict[str, Any] = {}
    for line in lines.splitlines():
        name, _, value = line.partition(" = ")
        *groups, last = name.split(".")
        own = found
        for group in groups:
            own = own.setdefault(group, {})
        parsed = tifffile.matlabstr2py(value) if value not in ("[]", "{}") else None
        own[last] = "_Inf_" if parsed == float("inf") else parsed
    return found


def _with_json(path: Path) -> Path:
    content = path.read_bytes()
    (length,) = struct.unpack("<I", content[24:28])
    lines = content[_HEAD : _HEAD + length].rstrip(b"\0").decode()
    header = json.dumps(_nested(lines), separators=(",", ":")).encode()
    content = content[:_HEAD] + header.ljust(length, b"\0") + content[_HEAD + length :]

    def in_json(match: re.Match[bytes]) -> bytes:
        text = json.dumps(_nested(match[1].decode()), indent=1).encode()
        return text.ljust(len(match[0]))

    path.write_bytes(
        re.sub(rb"(frameNumbers = .*?I2CData = \{\}\n?) *", in_json, content, flags=re.S)
    )
    return path


@pytest.mark.parametrize("per_file", [None, 4])
def test_a_header_in_json(tmp_path, per_file):
    movie = np.arange(4 * 6 * 8 * 3, dtype="i2").reshape(4, 6, 8, 3)
    channels = {1: movie, 3: movie + 1}
    given = {"num_flyback_frames": 1, "frames_per_file": per_file, "sampling_frequency": 5.0}
    for name in ("lines", "json"):
        write_scanimage(tmp_path / name, channels, **given)
    files = [_with_json(path) for path in sorted((tmp_path / "json").iterdir())]
    lines = sorted((tmp_path / "lines").iterdir())
    assert b"SI.hChannels" not in files[0].read_bytes()
    expected = attrs.evolve(scanimage_metadata(lines[0]), path=files[0])
    assert scanimage_metadata(files[0]) == expected
    assert {each.format for each in detect(tmp_path / "json")} == {"scanimage"}
    for number, channel in channels.items():
        name = {"channel_name": f"Channel {number}"}
        with (
            ScanImageImagingInterface(files[-1], **name) as interface,
            ScanImageImagingInterface(lines[-1], **name) as usual,
        ):
            np.testing.assert_array_equal(interface.extractor.get_series(), channel)
            np.testing.assert_array_equal(interface.get_timestamps(), usual.get_timestamps())


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("SI.a = 1", "SI.a = 1"),
        ("{not JSON", "{not JSON"),
        ("[1, 2]", "[1, 2]"),
        ('{"SI": {"a": [[1, 2], [3]]}, "b": true}\0 ', "SI.a = [1 2 3]\nb = true\n"),
        ('{"SI.a": ["x", "it\'s"], "SI.b": "_Inf_"}', "SI.a = {'x' 'it''s'}\nSI.b = Inf\n"),
        ('{"a": {"_ArrayType_": "double", "_ArraySize_": [0, 0]}, "b": null}', "a = []\nb = []\n"),
    ],
)  # fmt: skip
def test_json_as_lines(text, lines):
    assert as_lines(text) == lines
