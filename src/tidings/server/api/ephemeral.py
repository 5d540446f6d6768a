"""``POST /typing`` and ``/presence``: that somebody types, or is there. Told to those who are here, and in no log."""

from __future__ import annotations

import contextlib

from starlette.types import Receive, Scope

from tidings.errors import TooManyRequests
from tidings.protocol.encoding import encode_json
from tidings.protocol.shapes import Presence
from tidings.server.api.answer import ACCEPTED, Answer
from tidings.server.api.endpoint import posted_about
from tidings.server.live import frame
from tidings.server.live.bus.told import TYPING, WATCH
from tidings.server.live.frame import Frame
from tidings.server.live.presence import PRESENCE_WATCH_S
from tidings.server.node import Node
from tidings.server.store import Relation


async def post_typing(node: Node, scope: Scope, receive: Receive) -> Answer:
    """Tell the other side that the caller types, if it is there and has written back; the answer is the same."""
    caller, peer = await posted_about(node, scope, receive)
    caller.take(node.rates.typing)
    user = caller.user
    with contextlib.suppress(TooManyRequests):  # the other side was told a moment ago
        node.rates.typing_frames.take((user, peer))
        # Whether the other one is here or not: else the time of the answer would tell a stranger.
        relation = await node.store.relation(user, peer)
        if relation.was_written_to and not relation.blocks and not relation.is_blocked:
            peer_log = node.hub.find(peer)
            if peer_log is not None:
                peer_log.ephemeral(Frame(frame.typing(user)))
            node.hub.others.tell(TYPING, peer, user)
    return Answer(202, ACCEPTED)


async def post_presence(node: Node, scope: Scope, receive: Receive) -> Answer:
    """Whether the other one is online, and frames for PRESENCE_WATCH_S when that changes."""
    caller, peer = await posted_about(node, scope, receive)
    caller.take(node.rates.presence)
    user = caller.user
    presence = node.hub.presence
    if presence is None:
        return Answer(200, encode_json(Presence(online=None, watch_s=0)))
    forgotten, relation = -1, Relation()
    while forgotten != presence.forgotten:  # a block that came between the answer and the watch asks again
        forgotten = presence.forgotten
        relation = await node.store.relation(user, peer)
    online = presence.watch(user, peer) if relation.is_mutual else None
    node.hub.others.tell(WATCH, user, peer)  # it is here now
    return Answer(200, encode_json(Presence(online=online, watch_s=PRESENCE_WATCH_S)))
