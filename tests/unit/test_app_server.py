"""What the bench app refuses, and what its pages do without a script: by requests to a real server."""

from __future__ import annotations

import contextlib
import io
import json
import re
import socket
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.app_client import App
from tests.unit.test_app_project import pattern
from xrdcomp.app import guard


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    running = App(tmp_path_factory.mktemp("app") / "project")
    yield running
    assert running.stop() == 143


def tree(app: App) -> list[str]:
    """Everything beside and in the project but its queue and what it remembers of files."""
    root = app.project.parent
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if ".app" not in path.parts)


# Who may ask


def test_the_printed_address_lets_in_and_sets_a_cookie_that_others_cannot_use(app: App) -> None:
    answer = app.ask("GET", f"/?token={app.token}", token=None)
    assert (answer.status, answer.headers["location"]) == (303, "/")
    assert answer.headers["set-cookie"] == f"xrdcomp-{app.port}={app.token}; Path=/; HttpOnly; SameSite=Strict"
    assert app.ask("GET", "/").status == 200


@pytest.mark.parametrize("token", [None, "wrong", "é", "x" * 5000])
@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("PUT", "/files?name=a.xy"), ("GET", "/static/app.js")])
def test_without_the_token_nothing_is_shown_or_taken(app: App, token: str | None, method: str, path: str) -> None:
    before = tree(app)
    answer = app.ask(method, path, pattern() if method == "PUT" else None, token=token)
    assert answer.status in (403, 429)
    assert "token" in answer.text
    assert app.token not in answer.text
    assert tree(app) == before


def test_a_wrong_token_in_the_address_is_refused(app: App) -> None:
    assert app.ask("GET", "/?token=wrong", token=None).status in (403, 429)
    assert app.ask("GET", f"/cohort?token={app.token}", token=None).status in (403, 429)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "[::1]:{port}", "0.0.0.0:{port}"]
)
def test_a_foreign_host_is_refused(app: App, host: str) -> None:
    assert app.ask("GET", "/", host=host.format(port=app.port)).status == 403


def test_a_missing_host_is_refused(app: App) -> None:
    with app.raw() as line:
        line.sendall(f"GET / HTTP/1.1\r\nCookie: xrdcomp-{app.port}={app.token}\r\n\r\n".encode())
        assert line.recv(100).split()[1] in (b"400", b"403")


@pytest.mark.parametrize(
    "origin", ["", "null", "http://evil.example", "https://127.0.0.1:{port}", "http://127.0.0.1:1"]
)
def test_a_foreign_or_missing_origin_changes_nothing(app: App, origin: str) -> None:
    before = tree(app)
    for method, path in (("POST", "/demo"), ("PUT", "/files?name=a.xy"), ("POST", "/specimens/A"), ("DELETE", "/")):
        assert app.ask(method, path, b"x=1", origin=origin.format(port=app.port)).status == 403
    assert tree(app) == before


def test_requests_of_other_pages_are_refused(app: App) -> None:
    assert app.ask("GET", "/", sec_fetch_site="cross-site").status == 403
    assert app.ask("GET", "/", sec_fetch_site="same-site").status == 403
    assert app.ask("GET", "/", origin="http://evil.example").status == 403


def test_it_listens_on_loopback_only(app: App) -> None:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not Path(table).exists():
            pytest.skip("no /proc to look at")
        rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
        found |= {row[1].split(":")[0] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == app.port}
    assert found == {"0100007F"}


def test_every_answer_carries_a_strict_policy(app: App) -> None:
    for path in ("/", "/cohort", "/instruments", "/nosuch", "/static/app.js", "/specimens/nobody"):
        headers = app.ask("GET", path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers
    page = app.ask("GET", "/").text
    assert re.findall(r"<script(?![^>]*src=)", page) == []
    assert re.findall(r"\son\w+=|\sstyle=", page) == []


# How much, how often, how slowly


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(app: App) -> None:
    before = tree(app)
    answer = app.ask("PUT", "/files?name=large.xy", b"", content_length=str(10**9))
    assert answer.status == 413
    assert "64 MB" in answer.text
    with app.raw() as line:  # one that does not say how large it is
        head = f"PUT /files?name=large.xy HTTP/1.1\r\nHost: 127.0.0.1:{app.port}\r\nOrigin: {app.origin}\r\n"
        line.sendall(f"{head}Cookie: xrdcomp-{app.port}={app.token}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        piece = b"100000\r\n" + b"0" * 2**20 + b"\r\n"
        answered = b""
        for _ in range(70):
            try:
                line.sendall(piece)
            except OSError:
                break
        line.settimeout(20)
        try:
            answered = line.recv(1000)
        except ConnectionError:
            answered = b"HTTP/1.1 413"
        assert answered.split()[1] == b"413"
    assert app.ask("POST", "/specimens", b"a=" + b"b" * 2**19).status == 413
    assert tree(app) == before


def test_a_zip_bomb_and_damaged_files_are_said_to_be_so(app: App) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("RawData0.xml", b"0" * 300_000_000)
    began = time.monotonic()
    told = app.put("bomb.brml", held.getvalue()).json()
    assert told["problem"]
    assert "bomb.brml" in told["problem"]
    assert time.monotonic() - began < 100, "it is not unpacked to its end"
    import gzip

    told = app.put("bomb.xy.gz", gzip.compress(b"0" * 100_000_000)).json()
    assert "grows beyond" in told["problem"]
    assert "xrdml" in app.put("broken.xrdml", b"<?xml version='1.0'?><xrdMeasurements>").json()["problem"]
    assert app.put("empty.xy", b"").status == 400
    page = app.ask("GET", "/").text
    assert "grows beyond" in page
    for name in ("bomb.brml", "bomb.xy.gz", "broken.xrdml"):
        assert app.ask("POST", "/files/remove", {"name": name}).status == 303


@pytest.mark.parametrize(
    "name",
    ["../evil.xy", "..\\evil.xy", "/etc/evil.xy", "a/../../evil.xy", ".ssh", "", "a\x00.xy", "..%2fevil.xy/../x"],
)
def test_names_that_lead_out_of_the_project_are_refused(app: App, name: str) -> None:
    before = tree(app)
    assert app.put(name, pattern()).status == 400
    assert app.ask("POST", "/files/remove", {"name": name}).status == 400
    assert tree(app) == before


@pytest.mark.parametrize(
    "path",
    [
        "/static/../project.py",
        "/static/%2e%2e/server.py",
        "/specimens/..%2f..%2fetc/runs/001/report",
        "/specimens/A/runs/..%2f..%2f001/report",
        "/specimens/A/runs/001/files/..%2f..%2f..%2fspecimens/A.toml",
        "/specimens/A/runs/001/files//etc/passwd",
        "/specimens/%2e%2e",
        "/specimens/A/compare?a=../001&b=../002",
        "/instruments/chart.svg?instrument=../x&standard=y&quantity=z",
    ],
)
def test_addresses_that_lead_out_of_the_project_show_nothing(app: App, path: str) -> None:
    answer = app.ask("GET", path)
    assert answer.status in (400, 404)
    assert "root:" not in answer.text
    assert "[project]" not in answer.text


def test_links_in_the_project_are_neither_shown_nor_written_through(app: App, tmp_path: Path) -> None:
    secret = tmp_path / "secret.xy"
    secret.write_bytes(pattern(5))
    link = app.project / "files" / "link.xy"
    link.symlink_to(secret)
    try:
        assert "this is a link" in app.ask("GET", "/").text
        assert app.put("link.xy", pattern(6)).status == 400
        assert secret.read_bytes() == pattern(5)
    finally:
        link.unlink()


def test_a_hundred_uploads_at_once_are_taken_one_after_the_other_or_asked_to_come_again(app: App) -> None:
    files = {f"many{n}.xy": pattern(n, 400) for n in range(100)}

    def send(name: str) -> list[int]:
        states: list[int] = []
        while not states or states[-1] in (429, 503):
            time.sleep(0.3 * bool(states))
            try:
                states.append(app.put(name, files[name]).status)
            except ConnectionError:
                states.append(503)
            assert len(states) < 200
        return states

    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(send, files))
    assert {states[-1] for states in answers} == {200}
    for name, data in files.items():
        assert (app.project / "files" / name).read_bytes() == data
    for name in files:
        until(lambda name=name: app.ask("POST", "/files/remove", {"name": name}).status == 303)


def test_a_fifth_upload_at_the_same_time_is_asked_to_wait(app: App) -> None:
    head = f"PUT /files?name=F%d.xy HTTP/1.1\r\nHost: 127.0.0.1:{app.port}\r\nOrigin: {app.origin}\r\n"
    head += f"Cookie: xrdcomp-{app.port}={app.token}\r\nContent-Length: 100000\r\n\r\n"
    for _ in range(20):  # where the machine is busy, heads are read late, or bodies are given up before the fifth comes
        with contextlib.ExitStack() as held:
            for number in range(guard.MOST_UPLOADS):
                held.enter_context(app.raw()).sendall((head % number).encode() + b"1 2\n")
            answer = app.put("F9.xy", pattern())
        if answer.status == 429:
            break
    assert answer.status == 429
    assert answer.headers["retry-after"] == "1"
    until(lambda: app.put("F9.xy", pattern()).status == 200)
    until(lambda: app.ask("POST", "/files/remove", {"name": "F9.xy"}).status == 303)


def until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)


def test_requests_that_only_hold_a_place_are_broken_off(app: App, request: pytest.FixtureRequest) -> None:
    time.sleep(30.0 / guard.REQUESTS_PER_SECOND)  # what was asked before used up the rate; this asks for twelve more
    lines = [app.raw() for _ in range(12)]
    for line in lines:
        request.addfinalizer(line.close)
    for line in lines[:6]:
        line.sendall(b"GET / HTTP/1.1\r\nHost: ")  # a head that never ends
    head = f"POST /specimens HTTP/1.1\r\nHost: 127.0.0.1:{app.port}\r\nOrigin: {app.origin}\r\nContent-Length: 1000\r\n"
    for line in lines[6:10]:
        line.sendall(f"{head}Cookie: xrdcomp-{app.port}={app.token}\r\n\r\nname=".encode())  # a body that never ends
    until(lambda: app.ask("GET", "/").status == 200)  # others are served meanwhile
    for number, line in enumerate(lines):
        line.settimeout(guard.HEADER_SECONDS + 110)  # a busy machine closes them later
        try:
            said = line.recv(200)
        except ConnectionError:
            said = b""
        assert said == b"" or (6 <= number < 10 and said.split()[1] == b"408")
        line.close()


def test_too_many_requests_are_asked_to_wait(app: App) -> None:
    few = guard.Bucket(0.0, 5.0)
    assert [few.take() for _ in range(7)] == [True] * 5 + [False] * 2

    def ask(_: int) -> int:
        return app.ask("GET", "/static/app.css", patient=False).status

    began = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        states = Counter(pool.map(ask, range(600)))
    assert set(states) <= {200, 429, 503}
    # a machine that cannot send them quicker than they are allowed is never asked to wait
    if time.monotonic() - began < 0.8 * (600 - guard.BURST) / guard.REQUESTS_PER_SECOND:
        assert states[429] > 0
    until(lambda: app.ask("GET", "/").status == 200)


def test_requests_that_are_no_http_end_their_connection(app: App) -> None:
    for text in (
        b"\x16\x03\x01\x02\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 200_000 + b"\r\n\r\n",
    ):
        with app.raw() as line:
            line.settimeout(20)
            try:
                line.sendall(text)
                with contextlib.suppress(OSError):  # it may have been ended already
                    line.shutdown(socket.SHUT_WR)
                assert line.recv(100).split()[1:2] in ([b"400"], [b"431"], [])
            except ConnectionError:
                pass


# What the pages do


@pytest.fixture
def specimen(app: App) -> Iterator[str]:
    app.put("A.xy", pattern())
    if not (app.project / "specimens" / "A.toml").exists():
        made = app.ask(
            "POST", "/specimens", {"row": "1", "take-1": "on", "name-1": "A", "xrd-1": "files/A.xy", "tga-1": ""}
        )
        assert (made.status, made.headers["location"]) == (303, "/specimens/A")
    return "A"


def revision(app: App) -> str:
    found = re.search(r'name="revision" value="(\d+)"', app.ask("GET", "/specimens/A").text)
    assert found
    return found[1]


def test_settings_are_saved_refused_in_words_and_undone(app: App, specimen: str) -> None:
    number = revision(app)
    form = {"xrd": "files/A.xy", "range_min": "20", "range_max": "60"}
    assert app.ask("POST", "/specimens/A", form | {"revision": number}).status == 303
    assert "two_theta_range = [20.0, 60.0]" in (app.project / "specimens" / "A.toml").read_text()
    wrong = app.ask("POST", "/specimens/A", form | {"revision": revision(app), "range_max": "10"})
    assert wrong.status == 422
    assert "not below" in wrong.text
    assert 'value="10"' in wrong.text
    said = app.ask("POST", "/specimens/A", form | {"revision": "999999", "range_max": "50"}, accept="application/json")
    assert said.status == 409
    assert "another tab" in said.json()["conflict"]
    page = app.ask("POST", "/specimens/A", form | {"revision": number, "range_max": "50"})
    assert page.status == 409
    assert "Nothing was overwritten" in page.text
    assert 'value="50"' in page.text
    assert app.ask("POST", "/specimens/A", {"revision": revision(app), "action": "undo"}).status == 303
    assert "two_theta_range" not in (app.project / "specimens" / "A.toml").read_text()


def test_what_is_asked_of_nothing_is_answered_in_words(app: App, specimen: str) -> None:
    for method, path, form in (
        ("GET", "/specimens/nobody", None),
        ("GET", "/specimens/A/runs/001", None),
        ("GET", "/specimens/A/compare", None),
        ("GET", "/cohort/page", None),
        ("POST", "/run", {}),
        ("POST", "/specimens", {}),
        ("POST", "/jobs/77/cancel", {}),
        ("POST", "/instruments", {"kind": "check", "name": "D8"}),
        ("POST", "/instruments", {"kind": "calibration"}),
        ("POST", "/specimens/A", {"revision": "-1"}),
        ("POST", "/specimens/A", {"revision": "1", "action": "back"}),
    ):
        answer = app.ask(method, path, form)
        assert answer.status in (400, 409), path
        assert "Not done" in answer.text
        assert "defect" not in answer.text
    assert app.ask("GET", "/nosuch").status == 404
    assert app.ask("DELETE", "/").status == 405


def test_names_of_files_and_specimens_are_shown_as_text(app: App) -> None:
    name = "<img src=x onerror=alert(1)>.xy"
    assert app.put(name, pattern(3)).status == 200
    page = app.ask("GET", "/").text
    assert "<img" not in page
    assert "&lt;img" in page
    app.ask("POST", "/files/remove", {"name": name})


def test_a_run_can_be_cancelled_and_what_cannot_be_analysed_says_why(app: App, specimen: str) -> None:
    app.put("flat.xy", b"".join(b"%d 5\n" % n for n in range(10, 90)))
    form = {"row": "1", "take-1": "on", "name-1": "flat", "xrd-1": "files/flat.xy", "tga-1": "", "run": "1"}
    assert app.ask("POST", "/specimens", form).status == 303
    run = {"xrd": "files/A.xy", "revision": revision(app), "action": "run"}
    for _ in range(8):  # the last of them waits, however quick the machine is
        assert app.ask("POST", "/specimens/A", run).status == 303
    jobs = [job["id"] for job in app.jobs()[-8:]]
    for number in reversed(jobs):
        assert app.ask("POST", f"/jobs/{number}/cancel", {"back": "/specimens/A"}).headers["location"] == "/specimens/A"
    assert app.ask("POST", f"/jobs/{jobs[-1]}/cancel", {"back": "//evil.example"}).headers["location"] == "/"
    flat, *cancelled = app.settle()[-9:]
    assert cancelled[-1]["state"] == "cancelled"
    assert flat["state"] in ("done", "error")
    assert flat["said"]
    assert json.dumps(str(app.project)) not in json.dumps(flat["said"])
    assert "cancelled" in app.ask("GET", "/specimens/A").text
