"""``POST /block``, ``/unblock`` and ``/report``, and ``GET /blocked/{me}``: what a user can do about another.

docs/safety.md says what a block means for both sides. The check of a send is the store's, in its transaction.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.types import Receive, Scope

from tidings.errors import BadRequest, NotFound, Unprocessable
from tidings.protocol.events import UserId, encode_json
from tidings.server.api.answer import Answer
from tidings.server.api.history import describe
from tidings.server.api.receipts import SEQ_MAX
from tidings.server.api.request import (
    allow,
    own_log,
    read_json,
    read_limit,
    read_number,
    read_peer,
    read_query,
    require,
)
from tidings.server.api.send import REFUSED_CONTROL
from tidings.server.api.stream_route import refuse_while_draining
from tidings.server.config import INBOX_PAGE_DEFAULT, INBOX_PAGE_MAX, REPORT_MESSAGES_MAX, REPORT_REASON_LENGTH_MAX
from tidings.server.host.functions import call_host
from tidings.server.store import Report

if TYPE_CHECKING:
    from tidings.server.node import Node

log = logging.getLogger("tidings.block")


async def post_block(node: Node, scope: Scope, receive: Receive) -> Answer:
    """Block somebody: when this is answered, no send between both is accepted any more."""
    user, peer = await _read_pair(node, scope, receive)
    relation = await node.store.relation(user, peer)
    if not (relation.has_written or relation.was_written_to or relation.blocks):
        # It makes rows, of a user too if there was none: as many an hour as first messages may.
        node.stranger_block_rate.take(user)
    await block(node, user, peer)
    return Answer(200, b'{"success":true}')


async def post_unblock(node: Node, scope: Scope, receive: Receive) -> Answer:
    """Take a block back."""
    user, peer = await _read_pair(node, scope, receive)
    await node.store.unblock(user, peer)
    return Answer(200, b'{"success":true}')


async def get_blocked(node: Node, scope: Scope, _receive: Receive) -> Answer:
    """A page of those whom the caller blocks, the latest first."""
    caller = await node.identity.identify(scope)
    own_log(scope, caller.user)
    query = read_query(scope)
    page = await node.store.blocked(
        caller.user,
        before=read_number(query, "before"),
        limit=read_limit(query, INBOX_PAGE_DEFAULT, INBOX_PAGE_MAX),
    )
    people = await describe(node, caller.user, {each.peer: each.relation for each in page.blocked})
    listed = [{"user": people[each.peer], "since": each.since, "position": each.position} for each in page.blocked]
    return Answer(200, encode_json({"success": True, "blocked": listed, "has_more": page.has_more}))


async def post_report(node: Node, scope: Scope, receive: Receive) -> Answer:
    """Hand a report with its evidence to the host's hook, or keep it where there is none."""
    caller = await node.identity.identify(scope)
    refuse_while_draining(node.hub)
    body = await read_json(scope, receive, node.config, caller.user)
    require(body, chatUserId=str, reason=str)
    allow(body, seq=int)
    peer, reason, seq = read_peer(body["chatUserId"], caller.user), body["reason"], body.get("seq")
    if not reason or reason.isspace() or len(reason) > REPORT_REASON_LENGTH_MAX:
        raise Unprocessable("bad_reason", f"A reason has 1..{REPORT_REASON_LENGTH_MAX} characters and is not blank.")
    if REFUSED_CONTROL.search(reason):
        raise Unprocessable("control_characters", "The reason contains control characters other than TAB, LF and CR.")
    if seq is not None and not 1 <= seq <= SEQ_MAX:
        raise BadRequest("wrong_type", "seq is a message number from 1.")
    node.report_rate.take(caller.user)
    before = None if seq is None else seq + 1
    page = await node.store.history(caller.user, peer, before=before, after=None, limit=REPORT_MESSAGES_MAX)
    if seq is not None and (not page.messages or page.messages[-1].seq != seq):
        raise NotFound("unknown_message", f"There is no message {seq} in this conversation.")
    report = Report(caller.user, peer, reason, seq, page.messages)
    if node.report is None:
        await node.store.add_report(report)
    else:
        await call_host("report()", node.report, report)
    log.info("report by=%r about=%r seq=%s messages=%d", caller.user, peer, seq, len(report.messages))
    return Answer(202, b'{"success":true}')


async def block(node: Node, user: UserId, peer: UserId) -> None:
    """Store a block; from now on neither is told anything of the other that is in no log."""
    await node.store.block(user, peer)
    if node.hub.presence is not None:
        node.hub.presence.forget(user, peer)


async def _read_pair(node: Node, scope: Scope, receive: Receive) -> tuple[UserId, UserId]:
    caller = await node.identity.identify(scope)
    refuse_while_draining(node.hub)
    body = await read_json(scope, receive, node.config, caller.user)
    require(body, chatUserId=str)
    peer = read_peer(body["chatUserId"], caller.user)
    node.block_rate.take(caller.user)
    return caller.user, peer
