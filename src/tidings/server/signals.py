"""``POST /receipts``, ``/typing`` and ``/presence``: how far somebody has read, that they type, that they are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.types import Receive, Scope

from tidings.errors import BadRequest
from tidings.protocol.events import encode_json
from tidings.server import frame
from tidings.server.answer import Answer
from tidings.server.config import PRESENCE_WATCH_S, TYPING_FRAME_GAP_S
from tidings.server.follow import refuse_while_draining
from tidings.server.frame import Frame
from tidings.server.request import allow, read_json, read_peer, require
from tidings.server.store import Relation

if TYPE_CHECKING:
    from tidings.server.node import Node

SEQ_MAX = 2**53 - 1  # what every client's numbers hold exactly


async def post_receipts(node: Node, scope: Scope, receive: Receive) -> Answer:
    """Raise the caller's watermarks; what does not rise changes nothing."""
    caller = await node.identity.identify(scope)
    refuse_while_draining(node.hub)
    body = await read_json(scope, receive, node.config)
    require(body, chatUserId=str)
    allow(body, delivered_upto=int, read_upto=int)
    peer = read_peer(body["chatUserId"], caller.user)
    upto = [body.get(name) for name in ("delivered_upto", "read_upto")]
    if upto == [None, None]:
        raise BadRequest("missing_fields", "Missing required fields: delivered_upto or read_upto")
    delivered_upto, read_upto = (value or 0 for value in upto)
    if min(delivered_upto, read_upto) < 0 or max(delivered_upto, read_upto) > SEQ_MAX:
        raise BadRequest("wrong_type", "delivered_upto and read_upto are message numbers from 0.")
    node.receipt_rate.take(caller.user)
    watermarks = await node.store.advance(caller.user, peer, delivered_upto, read_upto)
    return Answer(200, b'{"success":true,"watermarks":%s}' % encode_json(watermarks))


async def post_typing(node: Node, scope: Scope, receive: Receive) -> Answer:
    """Tell the other side that the caller types, if it is there and has written back; the answer is the same."""
    caller = await node.identity.identify(scope)
    refuse_while_draining(node.hub)
    body = await read_json(scope, receive, node.config)
    require(body, chatUserId=str)
    peer = read_peer(body["chatUserId"], caller.user)
    node.typing_rate.take(caller.user)
    peer_log = node.hub.find(peer)
    now = node.hub.loop.time()
    if peer_log is not None and node.typing_told.get((caller.user, peer), 0.0) + TYPING_FRAME_GAP_S <= now:
        node.remember_typing(caller.user, peer, now)
        relation = await node.store.relation(caller.user, peer)
        if relation.was_written_to and not relation.blocks and not relation.is_blocked:
            peer_log.ephemeral(Frame(frame.typing(caller.user)))
    return Answer(202, b'{"success":true}')


async def post_presence(node: Node, scope: Scope, receive: Receive) -> Answer:
    """Whether the other one is online, and frames for PRESENCE_WATCH_S when that changes."""
    caller = await node.identity.identify(scope)
    refuse_while_draining(node.hub)
    body = await read_json(scope, receive, node.config)
    require(body, chatUserId=str)
    peer = read_peer(body["chatUserId"], caller.user)
    node.presence_rate.take(caller.user)
    presence = node.hub.presence
    if presence is None:
        return Answer(200, b'{"success":true,"online":null,"watch_s":0}')
    forgotten, relation = -1, Relation()
    while forgotten != presence.forgotten:  # a block that came between the answer and the watch asks again
        forgotten = presence.forgotten
        relation = await node.store.relation(caller.user, peer)
    online = presence.watch(caller.user, peer) if relation.is_mutual else None
    return Answer(200, encode_json({"success": True, "online": online, "watch_s": PRESENCE_WATCH_S}))
