"""``GET /events/{me}``: the same log as JSON, for polls short and long. Same reader and encoder as the stream."""

from __future__ import annotations

from starlette.types import Receive, Scope

from tidings.protocol.cursor import format_cursor
from tidings.protocol.encoding import encode_json
from tidings.protocol.shapes import Reset
from tidings.protocol.user_id import UserId
from tidings.server.api.answer import Answer
from tidings.server.api.request import own_log, read_cursor, read_limit, read_number, read_query
from tidings.server.config import EVENTS_PAGE_DEFAULT, EVENTS_PAGE_MAX, PAGE_SIZE_MAX_BYTES
from tidings.server.live.frame import Rendered
from tidings.server.live.hub import UserLog
from tidings.server.node import Node

EVENT_ENVELOPE_BYTES = 256  # at most what an event has beside its data, and its share of the answer's own fields


async def get_events(node: Node, scope: Scope, _receive: Receive) -> Answer:
    """Events after the cursor; without a cursor the head and no events."""
    caller = await node.identity.identify(scope)
    own_log(scope, caller.user)
    query = read_query(scope)
    cursor, is_readable = read_cursor(scope, query)
    limit = read_limit(query, EVENTS_PAGE_DEFAULT, EVENTS_PAGE_MAX)
    wait_s = min(max(0, read_number(query, "wait") or 0), node.config.poll_wait_max_s)

    user_log = node.hub.hold(caller.user)
    beginnings = user_log.beginnings
    try:
        start = await node.store.start_position(caller.user, cursor)
        user_log.join_at(start.head)
        head_cursor = format_cursor(node.hub.epoch, start.head, start.head_tag)
        reason = start.reset if is_readable else "unknown"
        if reason is not None:
            node.metrics.resets.labels(reason=reason).inc()
            return _answer(caller.user, [], head_cursor, has_more=False, reset=reason)
        if cursor is None:
            return _answer(caller.user, [], head_cursor, has_more=False)
        events = await _read(node, user_log, cursor.position, limit)
        if not events and wait_s > 0 and len(user_log.waiters) < node.config.streams_per_user_max:
            await user_log.wait_beyond(cursor.position, wait_s)
            node.service_keys.check(caller)
            node.identity.revocations.check(caller)
            events = await _read(node, user_log, cursor.position, limit)
    finally:
        node.hub.release(user_log)
    user_log.refuse_former(beginnings)
    if events and events[0].position != cursor.position + 1:  # trimmed while we waited
        return _answer(caller.user, [], head_cursor, has_more=False, reset="expired")
    events = _within_size(events)
    last = events[-1].cursor if events else str(cursor)
    reached = events[-1].position if events else cursor.position
    return _answer(caller.user, events, last, has_more=bool(events) and reached < max(start.head, user_log.tail or 0))


async def _read(node: Node, user_log: UserLog, position: int, limit: int) -> list[Rendered]:
    recent = user_log.recent_after(position, limit)
    if recent:
        return recent
    node.metrics.catch_up_reads.inc()
    return [Rendered(node.hub.epoch, event) for event in await node.store.read_after(user_log.user, position, limit)]


def _within_size(events: list[Rendered]) -> list[Rendered]:
    """As many of them as fit an answer, at least one."""
    size = 0
    for count, event in enumerate(events):
        size += len(event.data) + EVENT_ENVELOPE_BYTES
        if size > PAGE_SIZE_MAX_BYTES and count > 0:
            return events[:count]
    return events


def _answer(user: UserId, events: list[Rendered], cursor: str, *, has_more: bool, reset: str | None = None) -> Answer:
    """An ``EventsPage``, joined of what is encoded once for all readers."""
    listed = b",".join([event.event() for event in events])
    told = b'{"success":true,"user_id":%s,"events":[%s],"cursor":%s,"has_more":%s' % (
        encode_json(user),
        listed,
        encode_json(cursor),
        b"true" if has_more else b"false",
    )
    if reset is not None:
        told += b',"reset":%s' % encode_json(Reset(reason=reset, cursor=cursor))
    return Answer(200, told + b"}")
