"""A silent stream: do heartbeats come through, and does something cut it?

An end that the server itself announces is no fault.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from tidings.client.doctor import limits
from tidings.client.doctor.finding import Finding
from tidings.client.doctor.stream import Cut, Stream
from tidings.protocol.events import GOODBYE, HEARTBEAT
from tidings.protocol.sse import Event


def hold(stream: Stream, heartbeat_s: float, idle_s: float) -> Iterator[Finding]:
    """Keep the stream open and silent, but for heartbeats."""
    begun = quiet_since = time.monotonic()
    beats = 0
    while (now := time.monotonic()) < begun + idle_s:
        beat_due = quiet_since + heartbeat_s * 1.1 + limits.HEARTBEAT_GRACE_S
        try:
            events = stream.read(min(begun + idle_s, beat_due))
        except TimeoutError:
            if time.monotonic() < beat_due:
                break  # that was all the time there was
            text = f"no heartbeat came within {beat_due - quiet_since:.0f} s, though they are {heartbeat_s:g} s apart"
            yield Finding("fault", "heartbeat", text, "switch buffering off in the proxy")
            return
        except Cut as cut:
            after_s, silent_s = time.monotonic() - begun, time.monotonic() - quiet_since
            yield Finding(
                "fault",
                "idle",
                f"the stream was cut after {after_s:.1f} s, {silent_s:.1f} s after the last frame ({cut})",
                f"raise the proxy's idle limit above {heartbeat_s:g} s, or set TIDINGS_HEARTBEAT_INTERVAL_S"
                f" below {max(silent_s / 2, 0.1):.1f}",
            )
            return
        quiet_since = time.monotonic()
        types = [_type(event) for event in events]
        beats += types.count(HEARTBEAT)
        if GOODBYE in types:
            reason = json.loads(next(event.data for event in events if _type(event) == GOODBYE))["data"]["reason"]
            text = f"the server ended the stream after {now - begun:.0f} s: {reason}"
            yield Finding("ok" if reason == "max_age" else "note", "idle", text, "nothing; clients resume")
            return
    yield Finding("ok", "idle", f"the stream stayed open for {idle_s:g} s, with {beats} heartbeats")


def _type(event: Event) -> str:
    try:
        return str(json.loads(event.data)["type"])
    except (ValueError, KeyError, TypeError):
        return ""
