"""The request that is on a connection now, its person and its kind: told by the bytes that pass, which are not changed.

A browser uses one connection for several tabs, so a connection is nobody's; a request is. It belongs to the person whom
its token names, or whom ``?as=`` names, as in the page's own address. The token is not checked here: it decides who is
troubled, not who may do what.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import httptools

from tidings.server.demo.limits import HEAD_MAX_BYTES


@dataclass(frozen=True)
class Exchange:
    """A request, and its answer to come."""

    user: str | None = None
    is_post: bool = False
    is_stream: bool = False


class Requests:
    """Follows what a client sends. ``current`` is the latest request whose head has passed."""

    def __init__(self) -> None:
        self.current = Exchange()
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._head = b""
        self._is_in_head = False
        self._target = b""
        self._token: str | None = None

    def feed(self, data: bytes) -> bytes:
        """Take what came; what of it may pass. A head is held back until it is whole and its owner known."""
        if self._parser is not None:
            try:
                self._parser.feed_data(data)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade):
                self._parser = None  # not the HTTP of our page: it passes, and is nobody's
        self._head += data
        if self._parser is not None and self._is_in_head and len(self._head) < HEAD_MAX_BYTES:
            return b""
        passed, self._head = self._head, b""
        return passed

    def on_message_begin(self) -> None:
        self._is_in_head, self._target, self._token = True, b"", None

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"authorization" and value[:7].lower() == b"bearer ":
            self._token = value[7:].decode("latin-1")

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        assert self._parser is not None
        target = urlsplit(self._target.decode("latin-1"))
        named = parse_qs(target.query).get("as")
        self.current = Exchange(
            user=_subject(self._token) if self._token is not None else named[0] if named else None,
            is_post=self._parser.get_method() == b"POST",
            is_stream="/sse/" in target.path,
        )


def _subject(token: str) -> str | None:
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return str(claims["sub"])
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return None
