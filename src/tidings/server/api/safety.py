"""``POST /block``, ``/unblock`` and ``/report``, and ``GET /blocked/{me}``: what a user can do about another.

docs/embed/safety.md says what a block means for both sides. The check of a send is the store's, in its transaction.
"""

from __future__ import annotations

import logging

from starlette.types import Receive, Scope

from tidings.errors import BadRequest, NotFound, Unprocessable
from tidings.protocol.encoding import encode_json
from tidings.protocol.shapes import Blocked, BlockedPage, ReportBody
from tidings.protocol.user_id import UserId
from tidings.server.api.answer import ACCEPTED, Answer
from tidings.server.api.endpoint import asked_page, posted, posted_about
from tidings.server.api.people import describe
from tidings.server.api.request import ASKED_SEQ_MAX, read_peer, read_shape
from tidings.server.host.functions import call_host
from tidings.server.live.bus.told import BLOCK
from tidings.server.node import Node
from tidings.server.store import Report
from tidings.server.store.rules import REFUSED_CONTROL

REPORT_REASON_LENGTH_MAX = 1000  # characters
REPORTS_PER_H = 10  # of one user; a person reads each of them
REPORT_MESSAGES_MAX = 20  # messages copied as evidence: what was said before is part of it

log = logging.getLogger("tidings.block")


async def post_block(node: Node, scope: Scope, receive: Receive) -> Answer:
    """Block somebody: when this is answered, no send between both is accepted any more."""
    caller, peer = await posted_about(node, scope, receive)
    caller.take(node.rates.blocks)
    user = caller.user
    relation = await node.store.relation(user, peer)
    if caller.key is None and not (relation.has_written or relation.was_written_to or relation.blocks):
        # It makes rows, of a user too if there was none: as many an hour as first messages may.
        await node.store.take_hourly("block of a stranger", user, node.config.new_conversations_per_h)
    await block(node, user, peer)
    return Answer(200, ACCEPTED)


async def post_unblock(node: Node, scope: Scope, receive: Receive) -> Answer:
    """Take a block back."""
    caller, peer = await posted_about(node, scope, receive)
    caller.take(node.rates.blocks)
    user = caller.user
    await node.store.unblock(user, peer)
    return Answer(200, ACCEPTED)


async def get_blocked(node: Node, scope: Scope, _receive: Receive) -> Answer:
    """A page of those whom the caller blocks, the latest first."""
    user, before, limit = await asked_page(node, scope)
    page = await node.store.blocked(user, before=before, limit=limit)
    people = await describe(node, user, {each.peer: each.relation for each in page.blocked})
    listed = [Blocked(people[each.peer], each.since, each.position) for each in page.blocked]
    return Answer(200, encode_json(BlockedPage(blocked=listed, has_more=page.has_more)))


async def post_report(node: Node, scope: Scope, receive: Receive) -> Answer:
    """Hand a report with its evidence to the host's hook, or keep it where there is none."""
    caller, body = await posted(node, scope, receive)
    user = caller.user
    told = read_shape(body, ReportBody)
    peer, reason, seq = read_peer(told.chatUserId, user), told.reason, told.seq
    if not reason or reason.isspace() or len(reason) > REPORT_REASON_LENGTH_MAX:
        raise Unprocessable("bad_reason", f"A reason has 1..{REPORT_REASON_LENGTH_MAX} characters and is not blank.")
    if REFUSED_CONTROL.search(reason):
        raise Unprocessable("control_characters", "The reason contains control characters other than TAB, LF and CR.")
    if seq is not None and not 1 <= seq <= ASKED_SEQ_MAX:
        raise BadRequest("wrong_type", "seq is a message number from 1.")
    if caller.key is None:
        await node.store.take_hourly("report", user, REPORTS_PER_H)
    before = None if seq is None else seq + 1
    page = await node.store.history(user, peer, before=before, after=None, limit=REPORT_MESSAGES_MAX)
    if seq is not None and (not page.messages or page.messages[-1].seq != seq):
        raise NotFound("unknown_message", f"There is no message {seq} in this conversation.")
    report = Report(user, peer, reason, seq, page.messages)
    if node.report is None:
        await node.store.add_report(report)
    else:
        await call_host("report()", node.report, report)
    log.info("report by=%r about=%r seq=%s messages=%d", user, peer, seq, len(report.messages))
    return Answer(202, ACCEPTED)


async def block(node: Node, user: UserId, peer: UserId) -> None:
    """Store a block; from now on neither is told anything of the other that is in no log."""
    await node.store.block(user, peer)
    if node.hub.presence is not None:
        node.hub.presence.forget(user, peer)
    node.hub.others.tell(BLOCK, user, peer)
