"""XML files with bytes of another encoding than they declare."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.filetypes.xml import as_utf8, read_xml


def _root(file):
    return ElementTree.parse(file).getroot()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'<a b="25 \xb5m"/>', "25 µm"),
        (b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?><a b="\xc2\xb5 \xb5\x80"/>', "µ µ€"),
        (b'<?xml version="1.0" encoding="windows-1252"?><a b="\xb5"/>', "µ"),
        (b'<a b="\x81\xb5"/>', "\ufffdµ"),
        ('<?xml version="1.0" encoding="utf-16"?><a b="µ"/>'.encode("utf-16"), "µ"),
    ],
)
def test_bytes_that_are_not_utf_8(tmp_path, content, expected):
    path = tmp_path / "a.xml"
    path.write_bytes(content)
    assert read_xml(path, _root).get("b") == expected


@pytest.mark.parametrize("content", [b"", b"<a", b"<a><b></a>", b'<a b="\xb5"'])
def test_other_faults_are_named(tmp_path, content):
    path = tmp_path / "a.xml"
    path.write_bytes(content)
    with pytest.raises(CorruptSourceError, match=r"a\.xml' cannot be read as an XML file"):
        read_xml(path, _root)


def test_utf_8_is_left_as_it_is():
    content = '<a b="µ €"/>\n<!-- Größe -->'.encode()
    assert as_utf8(content) == content
