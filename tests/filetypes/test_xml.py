"""XML files with bytes of another encoding than they declare."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

import pytest

import nwb_ophys
from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.filetypes.xml import (
    MAX_ATTRIBUTES,
    MAX_DEPTH,
    MAX_TREE_BYTES,
    XmlError,
    as_utf8,
    iterate_xml,
    parse_xml,
    read_xml,
)


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
    assert read_xml(path, parse_xml).get("b") == expected


@pytest.mark.parametrize("content", [b"", b"<a", b"<a><b></a>", b'<a b="\xb5"'])
def test_other_faults_are_named(tmp_path, content):
    path = tmp_path / "a.xml"
    path.write_bytes(content)
    with pytest.raises(CorruptSourceError, match=r"a\.xml' cannot be read as an XML file"):
        read_xml(path, parse_xml)


def test_utf_8_is_left_as_it_is():
    content = '<a b="µ €"/>\n<!-- Größe -->'.encode()
    assert as_utf8(content) == content


def _entities(form):
    lines = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10 if i else "ha"}">' for i in range(10))
    forms = {
        "nested": f"<!DOCTYPE a [{lines}]><a>&e9;</a>",
        "quadratic": f'<!DOCTYPE a [<!ENTITY e "{"ha" * 1000}">]><a>{"&e;" * 1000}</a>',
        "external": '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>',
        "parameter": '<!DOCTYPE a [<!ENTITY % e SYSTEM "file:///etc/passwd">%e;]><a/>',
        "attribute": f'<!DOCTYPE a [<!ATTLIST b c CDATA "{"ha" * 1000}">]><a>{"<b/>" * 1000}</a>',
    }
    return forms[form]


@pytest.mark.parametrize("form", ["nested", "quadratic", "external", "parameter", "attribute"])
def test_declarations_are_refused(form):
    with pytest.raises(XmlError, match="declares entities"):
        parse_xml(_entities(form))


def test_an_external_document_type_is_not_opened():
    root = parse_xml('<!DOCTYPE a SYSTEM "file:///etc/passwd"><a b="1"/>')
    assert root.get("b") == "1"
    with pytest.raises(XmlError, match="Undefined entity"):
        parse_xml('<!DOCTYPE a SYSTEM "file:///etc/passwd"><a>&e;</a>')


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("<a>" * 10_000, f"nested deeper than {MAX_DEPTH} levels"),
        (
            "<a " + " ".join(f"b{i}=''" for i in range(MAX_ATTRIBUTES + 1)) + "/>",
            f"more than {MAX_ATTRIBUTES} attributes",
        ),
        ("<a>" + "<b/>" * 3_000_001, "more than 3,000,000 elements and attributes"),
        (f"<a b='{'x' * (1 << 24)}'/>", "a tag or comment of more than 4,194,304 bytes"),
        (" " * (MAX_TREE_BYTES + 1), "more than 64 MB"),
    ],
    ids=["depth", "attributes", "elements", "token", "size"],
)
def test_limits(text, what):
    start = time.process_time()
    with pytest.raises(XmlError, match=what):
        parse_xml(text)
    assert time.process_time() - start < 10


def test_elements_that_are_cleared_do_not_count(monkeypatch):
    monkeypatch.setattr("nwb_ophys.filetypes.xml.MAX_NODES", 60_000)
    text = "<a>" + "<b c='1'><d e='2' f='3'/></b>" * 50_000 + "</a>"
    num_elements = 0
    for event, element in iterate_xml(io.BytesIO(text.encode())):
        if event == "end" and element.tag == "b":
            assert element[0].get("f") == "3"
            element.clear()
            num_elements += 1
    assert num_elements == 50_000
    with pytest.raises(XmlError, match="elements and attributes"):
        parse_xml(text)


def test_namespaces_and_text_are_kept():
    root = parse_xml("<x:a xmlns:x='n' x:b='1' c='2'>text<x:d/>tail</x:a>")
    assert (root.tag, root.attrib, root.text) == ("{n}a", {"{n}b": "1", "c": "2"}, "text")
    assert (root[0].tag, root[0].tail) == ("{n}d", "tail")


def test_only_one_module_parses_xml_and_one_the_json_of_recordings():
    package = Path(nwb_ophys.__file__).parent
    xml = re.compile(r"ElementTree\.(parse|iterparse|fromstring|XML|XMLParser)\b|minidom|lxml")
    for path in package.rglob("*.py"):
        name, text = path.relative_to(package).as_posix(), path.read_text(encoding="utf-8")
        if not path.name.startswith("sample"):
            assert not xml.search(text), name
            # Other rooms parse only files of the package's own.
            reads = name.startswith(("formats/", "filetypes/", "interfaces/", "opening/"))
            assert not reads or not re.search(r"\bjson\.(loads?|JSONDecoder)\(", text), name
