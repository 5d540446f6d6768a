"""How every route begins: who asks, whether the node still takes requests, and what was asked for."""

from __future__ import annotations

from typing import Any, NamedTuple

from starlette.types import Receive, Scope

from tidings.errors import Unavailable
from tidings.protocol.shapes import PeerBody
from tidings.protocol.user_id import UserId
from tidings.server.api.request import own_log, read_json, read_limit, read_number, read_peer, read_query, read_shape
from tidings.server.identity.caller import Caller
from tidings.server.live.hub import Hub
from tidings.server.node import Node

LIST_PAGE_DEFAULT, LIST_PAGE_MAX = 30, 100  # conversations, or people; one tall screen


class Page(NamedTuple):
    """A page of a list of the caller's own."""

    user: UserId
    before: int | None
    limit: int


async def posted(node: Node, scope: Scope, receive: Receive) -> tuple[Caller, dict[str, Any]]:
    """The caller of a POST, and its body.

    Raises:
        Problem: The caller is not known, the node drains, or the body is none of ours.
    """
    caller = await node.identity.identify(scope)
    refuse_while_draining(node.hub)
    return caller, await read_json(scope, receive, node.config, caller.user)


async def posted_about(node: Node, scope: Scope, receive: Receive) -> tuple[Caller, UserId]:
    """The caller of a POST that says no more than whom it is about, and that person."""
    caller, body = await posted(node, scope, receive)
    return caller, read_peer(read_shape(body, PeerBody).chatUserId, caller.user)


async def asked_page(node: Node, scope: Scope) -> Page:
    """The page of the caller's own list that a GET asks for."""
    caller = await node.identity.identify(scope)
    own_log(scope, caller.user)
    query = read_query(scope)
    return Page(caller.user, read_number(query, "before"), read_limit(query, LIST_PAGE_DEFAULT, LIST_PAGE_MAX))


def refuse_while_draining(hub: Hub) -> None:
    """Refuse what would outlive the server."""
    if hub.is_draining:
        raise Unavailable("draining", "The server is restarting.", retry_after_s=hub.drain_retry_after_s())
