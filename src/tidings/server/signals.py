"""``POST /receipts`` and ``POST /typing``: how far somebody has read, and that somebody types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.types import Receive, Scope

from tidings.errors import BadRequest, Unprocessable
from tidings.protocol.events import UserId, encode_json
from tidings.server import frame
from tidings.server.answer import Answer
from tidings.server.config import TYPING_FRAME_GAP_S
from tidings.server.follow import refuse_while_draining
from tidings.server.hub import body_message
from tidings.server.request import allow, read_json, read_user_id, require

if TYPE_CHECKING:
    from tidings.server.node import Node

_SEQ_MAX = 2**53 - 1  # what every client's numbers hold exactly


async def post_receipts(node: Node, scope: Scope, receive: Receive) -> Answer:
    """Raise the caller's watermarks; what does not rise changes nothing."""
    caller = await node.identity.identify(scope)
    refuse_while_draining(node.hub)
    body = await read_json(scope, receive, node.config.body_bytes_max)
    require(body, chatUserId=str)
    allow(body, delivered_upto=int, read_upto=int)
    peer = _other(caller.user, body["chatUserId"])
    upto = [body.get(name) for name in ("delivered_upto", "read_upto")]
    if upto == [None, None]:
        raise BadRequest("missing_fields", "Missing required fields: delivered_upto or read_upto")
    delivered_upto, read_upto = (value or 0 for value in upto)
    if min(delivered_upto, read_upto) < 0 or max(delivered_upto, read_upto) > _SEQ_MAX:
        raise BadRequest("wrong_type", "delivered_upto and read_upto are message numbers from 0.")
    node.receipt_rate.take(caller.user)
    watermarks = await node.store.advance(caller.user, peer, delivered_upto, read_upto)
    return Answer(200, b'{"success":true,"watermarks":%s}' % encode_json(watermarks))


async def post_typing(node: Node, scope: Scope, receive: Receive) -> Answer:
    """Tell the other side that the caller types, if it is there and has written back; the answer is the same."""
    caller = await node.identity.identify(scope)
    refuse_while_draining(node.hub)
    body = await read_json(scope, receive, node.config.body_bytes_max)
    require(body, chatUserId=str)
    peer = _other(caller.user, body["chatUserId"])
    node.typing_rate.take(caller.user)
    peer_log = node.hub.find(peer)
    now = node.hub.loop.time()
    if peer_log is not None and node.typing_told.get((caller.user, peer), 0.0) + TYPING_FRAME_GAP_S <= now:
        node.remember_typing(caller.user, peer, now)
        if await node.store.has_written(peer, caller.user):
            peer_log.ephemeral(body_message(frame.typing(caller.user)))
    return Answer(202, b'{"success":true}')


def _other(caller: UserId, chat_user_id: str) -> UserId:
    peer = read_user_id(chat_user_id)
    if peer == caller:
        raise Unprocessable("to_oneself", "A conversation is with somebody else.")
    return peer
