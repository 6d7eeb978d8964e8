"""Hostile requests are refused: other hosts and origins, no token, paths outside, large bodies."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
import urllib.error
import urllib.request

import numpy as np
import psutil
import pytest

from nwb_ophys.page.app import STEPS
from nwb_ophys.page.roots import Roots, as_identifier
from nwb_ophys.page.safety import MOST_BYTES
from nwb_ophys.page.server import served

from .conftest import ORIGIN, PORT, TOKEN, movie

PATHS = ["/", *(f"/{step}" for step in STEPS), "/batch", "/events", "/terms", "/static/page.js"]
OTHER_HOSTS = [
    "evil.example",
    f"evil.example:{PORT}",
    "127.0.0.1",
    "127.0.0.1:80",
    "",
    "[::1]:4711",
]


def _stranger(browser):
    """Return a client without the cookie."""
    return type(browser.client)(browser.client.app, base_url=ORIGIN, follow_redirects=False)


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_shown_without_the_cookie(browser, path):
    answer = _stranger(browser).get(path)
    assert answer.status_code == 403
    assert "<html" not in answer.text
    assert TOKEN not in answer.text


def test_a_wrong_token_gives_no_cookie(browser):
    answer = _stranger(browser).get("/?token=guess")
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_the_token_becomes_a_strict_cookie_and_leaves_the_address(browser):
    answer = _stranger(browser).get(f"/?token={TOKEN}")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "domain" not in cookie


@pytest.mark.parametrize("host", OTHER_HOSTS)
def test_other_hosts_are_refused(browser, host):
    for path in ("/folder", f"/?token={TOKEN}"):
        answer = browser.get(path, headers={"Host": host})
        assert answer.status_code == 421
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", "https://127.0.0.1:4711", "http://127.0.0.1:1"]
)
def test_acts_of_other_origins_are_refused(browser, origin):
    headers = {} if origin is None else {"Origin": origin}
    answer = browser.client.post("/act/forget", json={}, headers=headers)
    assert answer.status_code == 403
    assert browser.desk.store.version == 0


def test_acts_of_other_sites_are_refused(browser):
    headers = {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"}
    assert browser.client.post("/act/forget", json={}, headers=headers).status_code == 403


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_acts_are_json(browser, kind):
    headers = {"Origin": ORIGIN, "Content-Type": kind}
    answer = browser.client.post("/act/forget", content=b"{}", headers=headers)
    assert answer.status_code == 415


@pytest.mark.parametrize("body", [b"", b"[", b"[1]", b'"a"', b"\xff", b"[" * 100_000])
def test_bodies_that_are_no_json_objects_are_refused(browser, body):
    headers = {"Origin": ORIGIN, "Content-Type": "application/json"}
    answer = browser.client.post("/act/forget", content=body, headers=headers)
    assert answer.status_code == 400


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"])
def test_other_methods_are_refused(browser, method):
    assert browser.client.request(method, "/act/forget").status_code == 405


def test_acts_are_not_done_by_get(browser):
    assert browser.get("/act/forget").status_code == 405


def test_unknown_acts_and_files_do_not_exist(browser):
    assert browser.act("_start").status_code == 404
    for name in ("desk.py", "..%2Fdesk.py", "%2e%2e/desk.py", "page.html"):
        assert browser.get(f"/static/{name}").status_code == 404


def test_every_answer_has_the_headers(browser):
    for answer in (browser.get("/folder"), browser.get("/nothing"), browser.get("/static/page.js")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"


def _hostile_paths(root):
    (root / "link").symlink_to("/etc")
    (root / "file.tif").symlink_to("/etc/passwd")
    sibling = root.parent / "root-of-another"
    sibling.mkdir()
    return [
        "/etc/passwd",
        "/",
        "../",
        "../root-of-another",
        str(sibling),
        f"{root}/../../",
        f"{root}/link",
        f"{root}/link/passwd",
        f"{root}/file.tif",
        f"{root}/%2e%2e/%2e%2e",
        f"{root}/%2E%2E%2F%2E%2E%2F",
        "~root/..",
        f"{root}\0/etc",
        f"{root}%00",
        "",
        "a" * 5000,
    ]


def test_paths_outside_of_the_roots_are_refused(browser, root):
    for path in _hostile_paths(root):
        answer = browser.act("choose", path=path)
        assert answer.status_code == 422, path
        assert browser.desk.work.folder == ""
        shown = browser.get("/folder", params={"path": path})
        assert shown.status_code == 200
        assert "passwd</" not in shown.text
        assert f"In <code>{root}</code>" in shown.text
    assert browser.act("choose", path=17).status_code == 422


def test_links_that_lead_out_are_not_listed(browser, root):
    _hostile_paths(root)
    (root / "inside").mkdir()
    (root / "good-link").symlink_to(root / "inside")
    text = browser.get("/folder").text
    assert "good-link" in text
    assert "inside" in text
    assert "file.tif" not in text
    assert ">link<" not in text


@pytest.mark.parametrize("name", ["../out.nwb", "/tmp/out.nwb", "link/out.nwb", "a/../../b.nwb"])
def test_outputs_outside_of_the_roots_are_refused(browser, root, name):
    (root / "link").symlink_to("/tmp")
    answer = browser.act("target", output=name, field="output")
    assert answer.status_code == 422
    assert "lies outside" in answer.json()["errors"]["output"][0]
    assert browser.desk.work.request.output == ""


@pytest.mark.parametrize("name", ["out.txt", ".bashrc", "missing/out.nwb", ""])
def test_outputs_are_nwb_files_in_folders_that_exist(browser, name):
    assert browser.act("target", output=name, field="output").status_code == 422


def test_names_with_script_are_shown_as_text(browser, root):
    name = "<script>alert(1)<"
    folder = root / name
    folder.mkdir()
    (root / "\"><img src=x onerror='alert(1)'>.tif").write_bytes(b"nothing")
    (root / os.fsdecode(b"bytes\xff\x1b[31m.tif")).write_bytes(b"nothing")
    text = browser.get("/folder").text
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "&lt;script&gt;alert(1)&lt;" in text
    assert "\x1b" not in text
    answer = browser.act("choose", path=str(folder))
    assert answer.status_code == 200
    work = browser.wait()
    assert "No format recognises" in work.errors[""][0]
    shown = browser.get("/contents").text
    assert "<script>alert" not in shown
    assert "&lt;script&gt;alert(1)&lt;" in shown


def test_a_name_of_other_bytes_can_be_chosen(browser, root):
    folder = root / os.fsdecode(b"day\xff%41")
    folder.mkdir()
    listed = browser.desk.roots.listing(root).entries[0]
    assert browser.act("choose", path=listed.identifier).status_code == 200
    assert browser.desk.work.folder == str(folder)
    browser.wait()
    assert browser.get("/contents").status_code == 200


@pytest.mark.parametrize(
    ("act", "values"),
    [
        ("target", {"output": "a\udcff/out.nwb"}),
        ("target", {"output": "%FF\x1b[2J/out.nwb"}),
        ("choose", {"path": "a\udcff\ud800"}),
        ("option", {"key": "\ud800", "value": "\udcff"}),
        ("tick", {"index": 1e300}),
        ("tick", {"index": [1]}),
        ("stream", {"name": {"a": 1}}),
        ("setting", {"key": "", "value": "x"}),
        ("setting", {"key": ["a"], "value": None}),
        ("subject", {"path": "\ud800", "subject_id": "x"}),
        ("plan_batch", {"pattern": "\ud800{subject_id}", "output": "nwb"}),
        ("save_batch", {"path": "x.yaml"}),
        ("run_batch", {}),
        ("plan", {}),
        ("convert", {}),
        ("look", {}),
    ],
)
def test_odd_values_are_answered_in_words(browser, root, act, values):
    text = json.dumps({"field": "x", **values})
    headers = {"Origin": ORIGIN, "Content-Type": "application/json"}
    answer = browser.client.post(f"/act/{act}", content=text, headers=headers)
    assert answer.status_code == 422
    (line,) = answer.json()["errors"]["x"]
    assert line.isprintable()
    for step in (*STEPS, "batch"):
        assert browser.get(f"/{step}").status_code == 200


@pytest.mark.parametrize("path", ["a" * 300, f"{'a' * 300}/b.nwb", "~nobody-of-this-name/x.nwb"])
def test_paths_that_cannot_be_are_answered(browser, path):
    assert browser.act("choose", path=path).status_code == 422
    assert browser.act("target", output=path).status_code in (200, 422)
    assert browser.act("subject", path=path, subject_id="M7").status_code == 422
    assert browser.get("/folder", params={"path": path}).status_code == 200


def test_a_link_to_itself_is_not_listed(browser, root):
    (root / "loop").symlink_to("loop")
    (root / "M7").mkdir()
    answer = browser.get("/folder")
    assert answer.status_code == 200
    assert "M7" in answer.text
    assert ">loop<" not in answer.text


def test_a_root_that_is_gone_shows_nothing_of_the_folder_above(browser, root):
    (root.parent / "secret.tif").write_bytes(b"")
    root.rmdir()
    for step in ("folder", "batch"):
        answer = browser.get(f"/{step}")
        assert answer.status_code == 200
        assert "secret" not in answer.text


@pytest.mark.parametrize("name", ["50%20", "day%41", "100%", "a%2525", "%00"])
def test_a_typed_path_may_have_percent_signs(browser, root, name):
    folder = movie(root / name / "M7")
    browser.choose(as_identifier(folder) if name in ("a%2525", "%00") else folder)
    assert browser.desk.work.folder == str(folder)
    browser.act("option", key="sampling_frequency", value="30")
    browser.act("setting", key="NWBFile.session_start_time", value="2024-05-17T14:30:00Z")
    browser.wait()
    assert browser.act("convert").status_code == 200
    assert browser.wait().result["path"] == f"{folder}.nwb"


@pytest.mark.parametrize("other", ['prefs={"a": "b"}', "a b=1,2", 'x="', "=", "\xff=1"])
def test_odd_cookies_of_other_servers_on_this_computer_do_no_harm(browser, other):
    for cookies in (f"{other}; nwb_ophys_{PORT}={TOKEN}", f"nwb_ophys_{PORT}={TOKEN}; {other}"):
        answer = _stranger(browser).get("/folder", headers={"Cookie": cookies.encode("latin-1")})
        assert answer.status_code == 200
    wrong = f"{other}; nwb_ophys_{PORT}=guess; my_nwb_ophys_{PORT}={TOKEN}"
    answer = _stranger(browser).get("/folder", headers={"Cookie": wrong.encode("latin-1")})
    assert answer.status_code == 403


def _tick_as(browser, folder, name: str) -> None:
    browser.choose(folder)
    browser.act("tick", index=0, format=name)
    browser.wait()


def test_arrays_of_options_lie_in_the_roots(browser, root):
    (root / "M7").mkdir()
    np.save(root / "M7" / "masks.npy", np.ones((8, 8, 3)))
    for place in (root.parent, root):
        np.save(place / "raw.npy", np.ones((5, 3)))
    _tick_as(browser, root / "M7", "numpy-segmentation")
    for outside in (root.parent / "raw.npy", f'"{root.parent}/raw.npy"', "../raw.npy"):
        answer = browser.act("option", key="raw", value=str(outside), field="raw")
        assert answer.status_code == 422, outside
    # A relative path begins in the root, not where the server was started.
    assert browser.act("option", key="raw", value="raw.npy", field="raw").status_code == 200
    assert browser.wait().request.options["raw"] == str(root / "raw.npy")


# --- a real server ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with served(Roots.of([tmp_path_factory.mktemp("served")])) as address:
        yield address


def _cookie(address) -> str:
    token = address.url.partition("token=")[2]
    return f"nwb_ophys_{address.port}={token}"


def test_only_the_loopback_listens(address):
    found = psutil.Process().net_connections("inet")
    places = {each.laddr.ip for each in found if each.laddr.port == address.port}
    assert places == {"127.0.0.1"}


def _sent(address, head: str, body_bytes: int) -> tuple[bytes, int]:
    """Send a request with a large body, and return the answer and how much was sent."""
    block, sent = b"x" * 65536, 0
    with socket.create_connection(("127.0.0.1", address.port), timeout=5) as client:
        client.sendall(head.encode())
        try:
            while sent < body_bytes:
                sent += client.send(block)
        except OSError:
            pass
        answer = b""
        with contextlib.suppress(OSError):
            answer = client.recv(65536)
    return answer, sent


@pytest.mark.parametrize("is_stated", [True, False])
def test_a_body_of_100_mb_is_refused_and_not_read(address, is_stated):
    size = 100_000_000
    length = f"Content-Length: {size}\r\n" if is_stated else "Transfer-Encoding: chunked\r\n"
    start = "" if is_stated else f"{size:x}\r\n"
    head = (
        f"POST /act/forget HTTP/1.1\r\nHost: 127.0.0.1:{address.port}\r\n"
        f"Origin: http://127.0.0.1:{address.port}\r\nCookie: {_cookie(address)}\r\n"
        f"Content-Type: application/json\r\n{length}\r\n{start}"
    )
    began = time.monotonic()
    answer, sent = _sent(address, head, size)
    assert time.monotonic() - began < 5
    assert sent < size / 4 > MOST_BYTES
    assert not answer or answer.startswith(b"HTTP/1.1 413")


def test_a_request_with_two_hosts_is_refused(address):
    head = (
        f"GET /folder HTTP/1.1\r\nHost: 127.0.0.1:{address.port}\r\nHost: evil.example\r\n"
        f"Cookie: {_cookie(address)}\r\n\r\n"
    )
    answer, _ = _sent(address, head, 0)
    assert answer.split()[1] in (b"400", b"421")


def test_events_begin_with_the_state(address):
    request = urllib.request.Request(
        f"http://127.0.0.1:{address.port}/events", headers={"Cookie": _cookie(address)}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [answer.readline() for _ in range(2)]
    assert json.loads(lines[1].removeprefix(b"data: "))["job"] is None


def test_the_server_refuses_without_a_cookie(address):
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"http://127.0.0.1:{address.port}/folder", timeout=5)
