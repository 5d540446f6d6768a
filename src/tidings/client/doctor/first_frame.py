"""A stream up to its first frame: do its headers, its bytes and their time come through?

A server sends the first frame with the headers, and it has the cursor of the poll just before. A frame that is late,
compressed or of another stream shows that something stands in between.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Generator, Iterator
from datetime import datetime
from typing import Any

from tidings.client.core import CONTENT_TYPE
from tidings.client.doctor import limits
from tidings.client.doctor.clock import skew
from tidings.client.doctor.finding import Ended, Finding, ms
from tidings.client.doctor.server import Answer, Server
from tidings.client.doctor.stream import Cut, Stream
from tidings.protocol.events import CONNECTED
from tidings.protocol.sse import Event


def open_stream(server: Server, poll: Answer, cursor: str) -> Generator[Finding, None, tuple[float, Stream]]:
    """Open a stream, twice if the first is compressed. Returns the heartbeat interval and the stream."""
    stream = server.stream("gzip, deflate, br", cursor)
    begun = time.monotonic()
    try:
        yield from _check_head(stream, poll, begun)
        encoding = stream.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            yield Finding(
                "fault",
                "compression",
                f"the stream is compressed ({encoding}): frames wait in the compressor",
                "except text/event-stream from compression in the proxy",
            )
            stream.close()
            stream = server.stream("identity", cursor)
            begun = time.monotonic()
            yield from _check_head(stream, poll, begun, is_told=True)
        first = _first_frame(stream, begun)
    except Cut as cut:
        yield Finding("fault", "cut", f"the stream broke before its first frame: {cut}", "see the proxy's log")
        stream.close()
        raise Ended from None
    except BaseException:
        stream.close()
        raise
    took_s = time.monotonic() - begun
    if first is None:
        stream.close()
        yield _buffered(f"no frame came within {limits.FIRST_FRAME_WITHIN_S:.0f} s", poll)
        raise Ended
    data = _connected(first)
    if data is None:
        stream.close()
        yield Finding("fault", "stream", "the first frame is not that of Tidings", "check what the proxy passes to")
        raise Ended
    if data.get("cursor") != cursor:
        stream.close()
        text = "the stream does not begin where the poll ended: something answers with another's stream, or an old one"
        yield Finding("fault", "stream", text, "switch caching of the API off in the proxy")
        raise Ended
    if took_s > poll.took_s + limits.FIRST_FRAME_LATE_S:
        yield _buffered(f"the first frame came after {took_s:.1f} s", poll)
    else:
        yield Finding("ok", "stream", f"the first frame came after {ms(took_s)}")
    with contextlib.suppress(ValueError, TypeError):
        server_time = datetime.fromisoformat(str(data.get("server_time"))).timestamp()
        yield from (
            each for each in skew(server_time, time.time() - poll.took_s / 2, coarse_s=took_s) if each.kind != "ok"
        )
    heartbeat_ms = data.get("heartbeat_ms")
    return (heartbeat_ms / 1000 if isinstance(heartbeat_ms, int) else 15.0), stream


def _check_head(stream: Stream, poll: Answer, begun: float, *, is_told: bool = False) -> Iterator[Finding]:
    try:
        stream.begin(limits.FIRST_FRAME_WITHIN_S)
    except TimeoutError:
        yield _buffered(f"not even headers came within {limits.FIRST_FRAME_WITHIN_S:.0f} s", poll)
        raise Ended from None
    if stream.status != 200:
        problem = stream.problem()
        if "WSGI" in str(problem.get("detail")):
            text = "there are no streams here, since the application runs under WSGI: clients poll"
            yield Finding("note", "stream", text, "run it under ASGI for messages without delay")
            raise Ended
        refusal = f"{stream.status} {problem.get('code', '')}: {problem.get('detail', '')}".rstrip(": ")
        yield Finding("fault", "stream", f"the stream was refused: {refusal}", "see docs/run/problems.md for its code")
        raise Ended
    media_type = stream.headers.get("Content-Type", "none")
    if media_type.partition(";")[0].strip().lower() != CONTENT_TYPE:
        text = f"the stream has the Content-Type {media_type}; browsers refuse that"
        yield Finding("fault", "headers", text, f"let the server's headers pass: {CONTENT_TYPE}")
    if "no-transform" not in stream.headers.get("Cache-Control", "") and not is_told:
        text = "the server's Cache-Control: no-cache, no-transform did not arrive"
        yield Finding("fault", "headers", text, "let the server's headers pass: others may cache or compress it")


def _first_frame(stream: Stream, begun: float) -> Event | None:
    until = begun + limits.FIRST_FRAME_WITHIN_S
    try:
        while (events := stream.read(until)) == []:
            pass
    except TimeoutError:
        return None
    return events[0]


def _buffered(what: str, poll: Answer) -> Finding:
    return Finding(
        "fault",
        "buffering",
        f"{what}, though a poll takes {ms(poll.took_s)}: something holds the stream back",
        "switch buffering of responses off in the proxy (docs/run/deploy.md)",
    )


def _connected(event: Event) -> dict[str, Any] | None:
    try:
        frame = json.loads(event.data)
        return dict(frame["data"]) if frame["type"] == CONNECTED else None
    except (ValueError, KeyError, TypeError):
        return None
