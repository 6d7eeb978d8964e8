"""Elements of equal texts are parsed once, and only where the result is the same."""

from __future__ import annotations

import io
from typing import Any

import pytest

from nwb_ophys.filetypes import xml
from nwb_ophys.filetypes.xml import Repeated, XmlError, XmlLimitError, iterate_repeated, iterate_xml

SHARD = '<Shard><Value key="a" value="1" /></Shard>'


def frame(number: int, rest: str = SHARD, more: str = "") -> str:
    file = f'<File channel="1" filename="image_{number}.tif" />'
    return f'<Frame index="{number}"{more}>\n {file}\n {rest}</Frame>'


def frames_by(events: Any) -> list[tuple[dict[str, str], list[dict[str, str]], list[str]]]:
    """Return attributes, files and values of all frames, and clear them."""
    found = []
    known: dict[bytes, list[str]] = {}
    values: list[str] = []
    stack = []
    for event, element in events:
        if event == "rest":
            known[element] = values
        elif event == "repeated":
            found += [(*tags_of(each), known[each.rest]) for each in element]
        elif event == "start":
            stack.append(element.tag)
        else:
            stack.pop()
            if element.tag == "Frame" and stack[-1:] == ["Sequence"]:
                values = [each.get("value", "") for each in element.iter("Value")]
                files = [dict(each.attrib) for each in element.iterfind("File")]
                found.append((dict(element.attrib), files, values))
                element.clear()
    return found


def tags_of(element: Repeated) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Return the attributes of a repeated element, and of the elements at its beginning."""
    own, *inner = (
        {name: element.values[place] for name, place in places.items()}
        for places in (element.shape.attributes, *element.shape.children)
    )
    return own, inner


def repeated(text: str | bytes) -> Any:
    data = text.encode() if isinstance(text, str) else text
    return iterate_repeated(io.BytesIO(data), "Frame", within="Sequence", first="File")


def both(text: str) -> tuple[list[Any], list[Any]]:
    return frames_by(repeated(text)), frames_by(iterate_xml(io.BytesIO(text.encode())))


def scan(*inner: str) -> str:
    return f"<?xml version='1.0'?><Scan><Sequence>{''.join(inner)}</Sequence></Scan>"


OTHER = '<Shard><Value key="a" value="2" /></Shard>'
TEXTS = {
    "alike": scan(*map(frame, range(5))),
    "alternating": scan(*(frame(n, (SHARD, OTHER)[n % 2]) for n in range(8))),
    "other values": scan(*(frame(n, SHARD.replace("1", str(n))) for n in range(4))),
    "in a comment": scan(frame(0), frame(1), "<!-- > ", frame(2), " -->", frame(3)),
    "in a section": scan(frame(0), frame(1), "<![CDATA[ > ", frame(2), " ]]>", frame(3)),
    "in an instruction": scan(frame(0), frame(1), "<?a > ", frame(2), " ?>", frame(3)),
    "end in a comment": scan(*(frame(n, "<!-- </Frame> -->" + SHARD) for n in range(3))),
    "a frame in a frame": scan(*(frame(n, frame(9)) for n in range(3))),
    "files at the end": scan(*(frame(n, f'<File filename="b{n}"/>') for n in range(3))),
    "entities": scan(*(frame(n, SHARD, f' name="a &amp; {n}"') for n in range(3))),
    "accents": scan(*(frame(n, SHARD, f' name="é{n}"') for n in range(3))),
    "single quotes": scan(*(frame(n, SHARD, f" name='a{n}'") for n in range(3))),
    "line ends": scan(*(frame(n, SHARD, f' name="a\n{n}"') for n in range(3))),
    "several sequences": scan(frame(0), "</Sequence><Sequence>", frame(1), frame(2)),
    "other spaces": scan(*(frame(n).replace("\n ", "\n" * (n % 3)) for n in range(9))),
    "other names": scan(*(frame(n, SHARD, f' a{n % 3}="{n}"') for n in range(9))),
    "two files": scan(*(frame(n).replace("\n", f'\n<File a="{n}"/>', 1) for n in range(4))),
    "elsewhere": scan(frame(0), frame(1), "<Other>", frame(2), "</Other>", frame(3)),
    "namespaces": scan(frame(0), frame(1), frame(2, SHARD, ' xmlns="urn:a"'), frame(3)),
    "no files": scan(*(f'<Frame index="{n}">{SHARD}</Frame>' for n in range(3))),
    "empty": scan(),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("block", [1 << 20, 100])
def test_the_result_is_the_one_of_the_parser(
    text: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xml, "_LARGE_BLOCK", block)
    mine, theirs = both(text)
    assert mine == theirs


def test_equal_texts_are_parsed_once() -> None:
    events = list(repeated(scan(*map(frame, range(100)))))
    assert sum(len(element) for event, element in events if event == "repeated") == 99
    assert [event for event, _ in events].count("rest") == 1


@pytest.mark.parametrize(
    "text",
    [
        scan(*map(frame, range(3)), frame(3, SHARD, ' index="4"')),
        scan(*map(frame, range(3)), frame(3).replace("</Frame>", "</Fram>")),
        scan(*map(frame, range(3)), frame(3, SHARD, ' name="a\x01"')),
        scan(*map(frame, range(3)))[:-9],
        scan(*map(frame, range(3)), "<Frame a=>", frame(3)),
        scan(*map(frame, range(3)), "</Sequence>", frame(3)),
    ],
)
def test_wrong_xml_is_refused(text: str) -> None:
    with pytest.raises(XmlError):
        frames_by(iterate_xml(io.BytesIO(text.encode())))
    with pytest.raises(XmlError):
        frames_by(repeated(text))


def test_bytes_of_another_encoding_are_refused() -> None:
    text = scan(*map(frame, range(3)), frame(3, SHARD, ' name="µ"')).encode("cp1252")
    with pytest.raises(XmlError):
        frames_by(repeated(text))


def test_limits_hold_for_repeated_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml, "MAX_NODES", 200)
    frames_by(repeated(scan(*map(frame, range(150)))))
    with pytest.raises(XmlLimitError, match="more than 200 elements"):
        frames_by(repeated(scan(*map(frame, range(250)))))
    entity = "<!DOCTYPE Scan [<!ENTITY a 'b'>]>"
    with pytest.raises(XmlLimitError, match="declares entities"):
        frames_by(repeated(scan(*map(frame, range(3))).replace("<Scan>", entity + "<Scan>")))


def test_few_bytes_of_different_texts_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml, "_MOST_REPEATED", 10 * len(SHARD))
    text = scan(*(frame(n, SHARD.replace("1", str(n % 50))) for n in range(100)))
    events = [event for event, _ in repeated(text)]
    assert events.count("rest") < 10
    mine, theirs = both(text)
    assert mine == theirs
