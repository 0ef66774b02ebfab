"""The bench app as a process of its own, and requests to it by hand, so that each header is the test's."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode


class Answer(NamedTuple):
    """Status, headers (last of each name, in lower case) and text of an answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        return json.loads(self.body)


class App:
    """A running app; `address` is what it printed."""

    def __init__(self, project: Path, *more: str, log: Path | None = None) -> None:
        self.project, self.log = project, (log or project.parent / "app.log").open("ab")
        command = [
            sys.executable,
            "-c",
            "from xrdcomp.cli.start import start; start()",
            "app",
            "--project",
            str(project),
        ]
        self.process = subprocess.Popen(
            [*command, *more], stdout=subprocess.PIPE, stderr=self.log, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().decode().strip()
        found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\?token=([\w-]+)", self.address)
        assert found, f"{self.address!r}: the app did not start"
        self.port, self.token = int(found[1]), found[2]
        self.origin = f"http://127.0.0.1:{self.port}"

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | dict[str, Any] | None = None,
        *,
        token: str | None = "",
        patient: bool = True,
        **headers: str,
    ) -> Answer:
        """Send one request; `token` "" is the app's, None none; an empty header is left out.

        One that is `patient` is sent again where requests before it, of other tests, used up what is allowed.
        """
        while True:
            answer = self._ask(method, path, body, token, headers)
            if not (patient and answer.status == 429 and "Too many requests" in answer.text):
                return answer
            time.sleep(0.5)

    def _ask(
        self, method: str, path: str, body: bytes | dict[str, Any] | None, token: str | None, headers: dict[str, str]
    ) -> Answer:
        given = {"Host": f"127.0.0.1:{self.port}", "Origin": self.origin if method != "GET" else ""}
        token = self.token if token == "" else token
        if token is not None:
            given["Cookie"] = f"xrdcomp-{self.port}={token}"
        if isinstance(body, dict):
            body = urlencode(body, doseq=True).encode()
            given["Content-Type"] = "application/x-www-form-urlencoded"
        given |= {name.replace("_", "-").title(): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in given.items():
                if value:
                    connection.putheader(name, value)
            if body is not None and "Content-Length" not in given:
                connection.putheader("Content-Length", str(len(body)))
            with contextlib.suppress(ConnectionError):  # refused by its head, which is answered before the body is read
                connection.endheaders(body)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def put(self, name: str, data: bytes) -> Answer:
        """Drop a file."""
        return self.ask("PUT", f"/files?name={quote(name, safe='')}", data, accept="application/json")

    def raw(self) -> socket.socket:
        """Open a connection to write on by hand."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=300)

    def jobs(self) -> list[dict[str, Any]]:
        """Jobs as they stand on the disk."""
        found = []
        for file in sorted((self.project / ".app").glob("job-*.json")):
            try:
                found.append(json.loads(file.read_bytes())["job"])
            except FileNotFoundError:
                continue
        return found

    def settle(self, seconds: float = 900.0) -> list[dict[str, Any]]:
        """Wait until nothing waits or runs."""
        end = time.monotonic() + seconds
        while any(job["state"] in ("waiting", "running") for job in self.jobs()):
            assert time.monotonic() < end, "the queue did not come to its end"
            time.sleep(0.2)
        return self.jobs()

    def stop(self, kind: int = signal.SIGTERM) -> int:
        """End the app and wait for that."""
        if self.process.poll() is None:
            self.process.send_signal(kind)
        code = self.process.wait(timeout=120)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.log.close()
        return code
