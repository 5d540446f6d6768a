"""How the servers that are compared are spoken to: the load says the same things to all of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.request import Request, urlopen

from lab.systems.tidings import token
from tidings.bench.dialect import Dialect, post_body
from tidings.bench.dialect import tidings as tidings_dialect
from tidings.protocol.encoding import encode_json

FRAME_REST = 290  # what a frame of Tidings has beside the text; others get so much more text


def tidings(url: str) -> Dialect:
    """A server of ours."""
    return tidings_dialect(url, token)


def beginning(url: str) -> str:
    """The cursor at the head of a log in which nothing is yet; position 0 of every log is written alike."""
    question = Request(f"{url}/events/me", headers={"Authorization": f"Bearer {token('nobody-yet')}"})
    with urlopen(question) as answer:
        return str(json.load(answer)["cursor"])


def tidings_past(url: str) -> Dialect:
    """Streams that begin at the beginning of the log: a reader's who has seen nothing of it."""
    plain, cursor = tidings(url), beginning(url).encode()

    def stream(user: str) -> bytes:
        return plain.stream(user).removesuffix(b"\r\n") + b"Last-Event-ID: %b\r\n\r\n" % cursor

    return plain._replace(stream=stream)


def tidings_receipts(url: str) -> Dialect:
    """The nth send says that the nth message of the recipient was read."""
    plain = tidings(url)

    def send(sender: str, recipient: str, text: str, key: str) -> bytes:
        head = (
            plain.send(sender, recipient, text, key).partition(b"Content-Type")[0].replace(b"/send ", b"/receipts ", 1)
        )
        upto = int(key.rpartition("-")[2])
        return head + post_body(encode_json({"chatUserId": recipient, "read_upto": upto}))

    return plain._replace(send=send)


def plain(url: str) -> Dialect:
    """Two routes without anything: who sends to whom stands in the address."""
    return Dialect(_plain_stream(b"sse"), _plain_send(b"send"))


def nchan_past(url: str) -> Dialect:
    """nginx's other routes: 500 messages are kept, and streams begin with the first that the channel still has."""
    return Dialect(_plain_stream(b"past"), _plain_send(b"keep"))


def queues(url: str) -> Dialect:
    """Applications with a queue for each stream of the recipient; the sender sees nothing."""

    def stream(user: str) -> bytes:
        return b"GET /events/%b HTTP/1.1\r\nHost: x\r\n\r\n" % user.encode()

    def send(sender: str, recipient: str, text: str, key: str) -> bytes:
        body = encode_json({"text": text.ljust(len(text) + FRAME_REST, "x")})
        return b"POST /send/%b HTTP/1.1\r\nHost: x\r\n" % recipient.encode() + post_body(body)

    return Dialect(stream, send, echoes=False, greets=False)


def guide(url: str) -> Dialect:
    """The guide's two routes; who asks stands in a header."""

    def stream(user: str) -> bytes:
        return b"GET /api/message/sse/%b HTTP/1.1\r\nHost: x\r\nX-User-Id: %b\r\n\r\n" % (user.encode(), user.encode())

    def send(sender: str, recipient: str, text: str, key: str) -> bytes:
        body = encode_json({"recipientId": recipient, "text": text})
        head = b"POST /api/message/send HTTP/1.1\r\nHost: x\r\nX-User-Id: %b\r\n" % sender.encode()
        return head + post_body(body)

    return Dialect(stream, send, echoes=False)


def _plain_stream(route: bytes) -> Callable[[str], bytes]:
    def stream(user: str) -> bytes:
        return b"GET /%b/%b HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n" % (route, user.encode())

    return stream


def _plain_send(route: bytes) -> Callable[[str, str, str, str], bytes]:
    def send(sender: str, recipient: str, text: str, key: str) -> bytes:
        # The size of Tidings' frame of the same message: the kernel's part of the work is the same.
        body = encode_json({"text": text, "filler": "x" * FRAME_REST})
        return b"POST /%b/%b/%b HTTP/1.1\r\nHost: x\r\n" % (route, sender.encode(), recipient.encode()) + post_body(
            body
        )

    return send
