"""Guard before every page: who may request, how much, how often, how slowly; and what a browser may do with it.

The app listens on loopback, but every page that the browser of this computer shows may send requests there. So a
request needs the token (as a cookie that other sites' requests do not carry), the host's own name (else a foreign name
could be made to point here) and, where it changes something, the app's own origin.
"""

from __future__ import annotations

import asyncio
import hmac
import html
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_FORM_BYTES = 2**18
MOST_UPLOADS = 4
"""Files that are taken at the same time; others are asked to come again."""
REQUESTS_PER_SECOND, BURST = 40.0, 200.0
WRONG_TOKENS_PER_MINUTE = 20
HEADER_SECONDS = 10.0
"""Longest time for the head of a request to arrive."""
BODY_SECONDS, SLOWEST_BYTES_PER_SECOND = 10.0, 20_000.0
"""A body may take so long, and longer by what it has brought at this rate."""
SAFE = ("GET", "HEAD")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "no-store",
}


class TooSlow(Exception):
    """A request body that arrives too slowly."""


class TooLarge(Exception):
    """A request body that is larger than the request may have."""


class Bucket:
    """A rate limit: so many per second, and no more than a burst at once."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst, self._left, self._at = rate, burst, burst, time.monotonic()

    def take(self) -> bool:
        """Whether there is one more."""
        now = time.monotonic()
        self._left, self._at = min(self._burst, self._left + self._rate * (now - self._at)), now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Guard:
    """ASGI application around the app's own; `port` and `token` are those that it was started with."""

    def __init__(self, app: App, *, token: str, port: int, most_upload: int) -> None:
        self._app, self._token, self._most_upload = app, token, most_upload
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        self._cookie = f"xrdcomp-{port}"
        self._rate = Bucket(REQUESTS_PER_SECOND, BURST)
        self._wrong = Bucket(WRONG_TOKENS_PER_MINUTE / 60.0, WRONG_TOKENS_PER_MINUTE)
        self._uploads = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        sent = _with_headers(send)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        upload = scope["method"] == "PUT"
        refusal = self._refusal(scope, headers, upload=upload)
        if refusal is not None:
            status, words, extra = refusal
            await _answer(sent, status, words, extra)
            return
        self._uploads += upload
        begun = False

        async def answered(message: Message) -> None:
            nonlocal begun
            begun = True
            await sent(message)

        try:
            limited = _limited(receive, self._most_upload if upload else MOST_FORM_BYTES)
            await self._app(scope, limited, answered)
        except TooLarge:
            await _answer(sent, 413, self._too_large(upload=upload), _CLOSE)
        except TooSlow:
            await _answer(sent, 408, "The request came too slowly and was broken off. Send it again.", _CLOSE)
        except Exception as error:
            if not begun:
                words = f"This is a defect of the program ({type(error).__name__}). Please report it."
                await _answer(sent, 500, words, _CLOSE)
            raise
        finally:
            self._uploads -= upload

    def _refusal(
        self, scope: Scope, headers: dict[str, str], *, upload: bool
    ) -> tuple[int, str, dict[str, str]] | None:
        """Why a request is not answered: status, words, headers; None where it is."""
        if headers.get("host", "") not in self._hosts:
            return 403, "The app answers to 127.0.0.1 and localhost only. Open the address that it printed.", {}
        origin = headers.get("origin")
        own = {f"http://{host}" for host in self._hosts}
        if (origin is not None and origin not in own) or (origin is None and scope["method"] not in SAFE):
            return 403, "This request came from another page and was refused.", {}
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return (
                403,
                "This request came from another page and was refused. Open the address that the app printed.",
                {},
            )
        if not self._rate.take():
            return 429, "Too many requests at once. Wait a moment.", {"retry-after": "1"}
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if given and scope["path"] == "/" and self._is_token(given):
            cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict"
            return 303, "", {"location": "/", "set-cookie": cookie}
        if not self._is_token(_cookie(headers.get("cookie", ""), self._cookie)):
            if not self._wrong.take():
                return 429, "Too many wrong tokens. Wait a minute.", {"retry-after": "60"}
            words = "This needs the token. Open the address that the app printed when it was started."
            return 403, words, {}
        size = headers.get("content-length", "0")
        if size.isdecimal() and int(size) > (self._most_upload if upload else MOST_FORM_BYTES):
            return 413, self._too_large(upload=upload), _CLOSE
        if upload and self._uploads >= MOST_UPLOADS:
            return 429, "Other files are being taken. Send this one again in a moment.", {"retry-after": "1"} | _CLOSE
        return None

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self._token.encode())

    def _too_large(self, *, upload: bool) -> str:
        most = f"{self._most_upload // 2**20} MB" if upload else f"{MOST_FORM_BYTES // 2**10} kB"
        return f"This is larger than {most}, the most that is taken. A measurement has some MB: is it another file?"


_CLOSE = {"connection": "close"}


def _cookie(text: str, name: str) -> str:
    try:
        found = SimpleCookie(text).get(name)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _limited(receive: Receive, most: int) -> Receive:
    """Receive no more than `most` bytes, and no slower than a reasonable client sends."""
    begin, size, whole = time.monotonic(), 0, False

    async def received() -> Message:
        nonlocal size, whole
        if whole:
            return await receive()
        left = begin + BODY_SECONDS + size / SLOWEST_BYTES_PER_SECOND - time.monotonic()
        try:
            message = await asyncio.wait_for(receive(), max(left, 0.01))
        except TimeoutError:
            raise TooSlow from None
        size += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if size > most:
            raise TooLarge
        return message

    return received


def _with_headers(send: Send) -> Send:
    """Add the headers of every answer; one that states its own policy keeps it."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", []))
            known = {name.lower() for name, _ in given}
            more = {"content-security-policy": POLICY, **HEADERS}
            given += [(k.encode(), v.encode()) for k, v in more.items() if k.encode() not in known]
            message = {**message, "headers": given}
        await send(message)

    return sent


async def _answer(send: Send, status: int, words: str, extra: dict[str, str]) -> None:
    text = (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{status} – xrdcomp</title></head>'
        f"<body><main><h1>Not done</h1><p>{html.escape(words)}</p></main></body></html>"
    )
    body = text.encode() if words else b""
    headers = {"content-type": "text/html; charset=utf-8", "content-length": str(len(body)), **extra}
    rows: Iterable[tuple[bytes, bytes]] = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": list(rows)})
    await send({"type": "http.response.body", "body": body})


class PatientProtocol(H11Protocol):
    """HTTP of a connection that is closed where the head of a request takes longer than `HEADER_SECONDS`."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait()

    def on_response_complete(self) -> None:
        """Wait for the next one."""
        super().on_response_complete()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(HEADER_SECONDS, self._give_up)

    def _give_up(self) -> None:
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.close()
