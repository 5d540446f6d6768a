"""How a server is spoken to: the bytes of its two requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from tidings.protocol.encoding import encode_json


class Dialect(NamedTuple):
    """Requests as bytes of HTTP/1.1; every server is asked over the same connections.

    ``stream(user)`` opens an event stream. ``send(sender, recipient, text, key)`` sends a message; no other has its
    key. ``echoes``: a message comes to the sender's streams too. ``greets``: a stream begins with a frame, which shows
    that it stands.
    """

    stream: Callable[[str], bytes]
    send: Callable[[str, str, str, str], bytes]
    echoes: bool = True
    greets: bool = True


def tidings(url: str, token: Callable[[str], str]) -> Dialect:
    """A Tidings server at ``url``, the API's prefix included; tokens are made once for each user."""
    host, path = urlsplit(url).netloc.encode(), urlsplit(url).path.rstrip("/").encode()
    tokens: dict[str, bytes] = {}

    def head(method: bytes, route: str, user: str) -> bytes:
        if user not in tokens:
            tokens[user] = token(user).encode()
        return b"%b %b%b HTTP/1.1\r\nHost: %b\r\nAuthorization: Bearer %b\r\n" % (
            method, path, route.encode(), host, tokens[user],
        )  # fmt: skip

    def stream(user: str) -> bytes:
        return head(b"GET", f"/sse/{quote(user, safe='')}", user) + b"Accept: text/event-stream\r\n\r\n"

    def send(sender: str, recipient: str, text: str, key: str) -> bytes:
        body = encode_json({"recipientId": recipient, "text": text, "client_id": key})
        return head(b"POST", "/send", sender) + post_body(body)

    return Dialect(stream, send)


def post_body(body: bytes) -> bytes:
    """The rest of a request that posts JSON."""
    return b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
