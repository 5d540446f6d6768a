"""``tidings doctor``: looks at a server from outside, as a browser would, and names what is in the way.

It opens plain HTTP/1.1 connections of its own and looks at what arrives and when: proxies break event streams in a
few ways that each have their own signature. Findings come one by one; the first that makes the next questions pointless
ends it.

A file for each subject of questions, in the order of asking: ``reach``, ``api``, ``first_frame``, ``idle``. They ask a
``server``, read a ``stream``, compare the ``clock``, keep the ``limits``, and yield each ``finding``.

Source: PROTOCOL.md 5, 7 and 8; docs/run/troubleshooting.md has the same faults by their symptoms.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from tidings.client.doctor.api import as_stranger, poll, readiness
from tidings.client.doctor.finding import Ended, Finding
from tidings.client.doctor.first_frame import open_stream
from tidings.client.doctor.idle import hold
from tidings.client.doctor.reach import transport
from tidings.client.doctor.server import Server


def examine(
    url: str, token: str | None, *, headers: Sequence[tuple[str, str]] = (), idle_s: float = 0
) -> Iterator[Finding]:
    """Yield the findings at a server, in the order of asking.

    Args:
        url: Its origin (``https://example.org``) or the address of its API (``https://example.org/chat/message``).
        token: Of any user; without it or ``headers`` only what strangers see is looked at.
        headers: Fields that show who asks, such as a cookie; sent wherever the token is.
        idle_s: For how many seconds to hold a silent stream, to see whether something cuts it.

    Raises:
        ValueError: The URL is none.
    """
    with contextlib.suppress(Ended):
        yield from _all_findings(Server(url, token, headers), idle_s)


def _all_findings(server: Server, idle_s: float) -> Iterator[Finding]:
    """Everything."""
    yield from transport(server)
    yield from as_stranger(server)
    if server.is_origin:
        yield from readiness(server)
    if not server.credentials:
        do = "set TIDINGS_TOKEN, or give what else a signed-in user sends: --cookie, --header"
        yield Finding("note", "token", "nothing showed who asks, so no stream was opened", do)
        return
    polled, cursor = yield from poll(server)
    heartbeat_s, stream = yield from open_stream(server, polled, cursor)
    with contextlib.closing(stream):
        if idle_s > 0:
            yield from hold(stream, heartbeat_s, idle_s)
