"""``GET /sse/{me}``: open a stream. Raw ASGI: its task only waits for the other side to go, or ends at once where
the connection can be detached.
"""

from __future__ import annotations

import asyncio
import logging
import time

from starlette.types import Receive, Scope, Send

from tidings.errors import Unprocessable
from tidings.protocol.cursor import format_cursor
from tidings.protocol.encoding import format_time
from tidings.protocol.shapes import Connected, Limits
from tidings.server.api.answer import guard
from tidings.server.api.endpoint import refuse_while_draining
from tidings.server.api.request import BODY_SIZE_MAX_BYTES, own_log, read_cursor, read_query
from tidings.server.live import frame
from tidings.server.live.bus.told import TAB
from tidings.server.live.ending import make_room, no_room
from tidings.server.live.hub import Hub, UserLog
from tidings.server.live.stream import Stream
from tidings.server.logs import Line
from tidings.server.node import Node
from tidings.server.own_connection import own_connection
from tidings.server.store import StartPosition

TAB_LENGTH_MAX = 64  # characters
CONNECTED_RETRY_MS = (500, 1500)  # reconnection time of a browser's own EventSource; spreads a restart

log = logging.getLogger("tidings.stream")

STREAM_ROUTE = "/sse/{me}"

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
_HEADERS_HTTP_1_1 = [*_HEADERS, (b"connection", b"keep-alive")]  # illegal on HTTP/2, meaningless on 1.0


async def follow(node: Node, scope: Scope, receive: Receive, send: Send, *more_headers: tuple[bytes, bytes]) -> None:
    """Serve one stream from its first frame to its last."""
    caller = await node.identity.identify(scope)
    own_log(scope, caller.user)
    query = read_query(scope)
    tab = query.get("tab")
    if tab is not None and not 1 <= len(tab) <= TAB_LENGTH_MAX:
        raise Unprocessable("bad_tab", f"A tab's name has 1..{TAB_LENGTH_MAX} characters.")
    cursor, is_readable = read_cursor(scope, query)
    hub = node.hub
    refuse_while_draining(hub)
    refuse_when_full(hub)
    caller.take(node.rates.openings)

    connection = own_connection(scope)
    user_log = hub.hold(caller.user)
    beginnings = user_log.beginnings
    stream: Stream | None = None
    is_detached = False
    try:
        start = await node.store.start_position(caller.user, cursor)
        user_log.join_at(start.head)
        if not is_readable:
            start = start._replace(position=start.head, tag=start.head_tag, reset="unknown")
        await make_room(hub, user_log, tab)
        refuse_while_draining(hub)
        refuse_when_full(hub)
        user_log.refuse_former(beginnings)
        node.service_keys.check(caller)
        node.identity.revocations.check(caller)  # whoever was revoked meanwhile had no stream yet to be ended
        stream = Stream(
            hub,
            user_log,
            start,
            send,
            tab=tab,
            key=None if caller.key is None else caller.key.digest,
            expires_in_s=None if caller.expires_at is None else caller.expires_at - time.time(),
            transport=None if connection is None else connection.transport,
            is_ours=connection is not None and connection.sends(send),
        )
        user_log.enter(stream)
        if tab is not None:
            hub.others.tell(TAB, caller.user, tab)
        was_given = cursor is not None or not is_readable
        how = "new" if not was_given else "resumed" if start.reset is None else "reset"
        hub.metrics.streams_opened.labels(how=how).inc()
        hub.metrics.http_requests(STREAM_ROUTE, 200).inc()
        if start.reset is not None:
            hub.metrics.resets.labels(reason=start.reset).inc()
        log.info(Line("stream opened", user=caller.user, cursor=stream.cursor, how=how))
        headers = _HEADERS_HTTP_1_1 if scope["http_version"] == "1.1" else _HEADERS
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [*headers, *guard(scope), *more_headers],
            }
        )
        await stream.open(first_frames(hub, user_log, start, stream, is_resumed=how == "resumed"))
        is_detached = connection is not None and stream.detach(connection)
        while not is_detached and (await receive())["type"] != "http.disconnect":
            pass
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if stream is None or task is None or stream.reason == "client":
            raise
        task.uncancel()  # we ended it ourselves: return, and the server closes the connection
    finally:
        if stream is None:
            hub.release(user_log)
        elif not is_detached:
            stream.leave()


def refuse_when_full(hub: Hub) -> None:
    """Refuse a stream for which the node has no place."""
    if hub.stream_count >= hub.config.streams_max:
        raise no_room(hub)


def first_frames(hub: Hub, user_log: UserLog, start: StartPosition, stream: Stream, *, is_resumed: bool) -> bytes:
    """``connected``, and in the same write ``reset`` where the position cannot be served."""
    config = hub.config
    data = Connected(
        user_id=user_log.user,
        cursor=stream.cursor,
        head=format_cursor(hub.epoch, start.head, start.head_tag),
        resumed=is_resumed,
        heartbeat_ms=round(config.heartbeat_interval_s * 1000),
        server_time=format_time(time.time_ns() // 1_000_000),
        limits=Limits(config.text_bytes_max, BODY_SIZE_MAX_BYTES, config.streams_per_user_max),
    )
    retry_ms = hub.rng.randint(*CONNECTED_RETRY_MS)
    if start.reset is None:
        return frame.connected(data, cursor=stream.cursor, retry_ms=retry_ms)
    return frame.connected(data, cursor=None, retry_ms=retry_ms) + frame.reset(start.reset, stream.cursor)
