"""A connection of ``tidings serve``, as the rest of the server knows it: what it offers beyond ASGI.

Where the socket is ours, ``http/connection.py`` puts itself into the scope of each request. Under somebody else's
server, or behind a middleware that hides it, there is none, and everything works by ASGI alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from starlette.types import Scope, Send

from tidings.protocol.user_id import UserId

CONNECTION_EXTENSION = "tidings.connection"  # in scope["extensions"]: an OwnConnection


class Piece(Protocol):
    """A piece of a response's body, as HTTP/1.1 writes it; the last one ends the response."""

    chunk: bytes
    is_last: bool


class Reader(Protocol):
    """The part of a stream that a detached socket needs."""

    def leave(self) -> None:
        """The connection is lost."""

    def abort(self, reason: str) -> None:
        """Cut the connection: it takes too little."""


class OwnSocket(Protocol):
    """The socket of a response that has left its request."""

    async def put(self, piece: Piece) -> None:
        """Send it; waits only while the socket takes nothing."""

    async def writable(self) -> None:
        """Return when the socket takes something, or is lost; at once if it does now."""

    def write(self, piece: Piece) -> bool:
        """Send it at once; False: the socket takes nothing now. True and nothing sent: the connection is lost."""

    def abort(self) -> None:
        """Cut the connection."""


class OwnConnection(Protocol):
    """The connection on which a request came."""

    transport: asyncio.Transport
    user: str  # what is not taken counts as this user's; empty: nobody is known

    def sends(self, send: Send) -> bool:
        """Whether this is the ``send`` of what is being answered here, and nothing of others' around it."""

    def has_arrived(self, scope: Scope) -> bool:
        """Whether the body of this request is here in full."""

    def answer(self, scope: Scope, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """Write a whole answer at once; False: uvicorn has to, and nothing has changed."""

    def detach(self, reader: Reader) -> OwnSocket | None:
        """Give the socket of the response that is being sent away; ``reader.leave`` is called once, when it is lost.

        None: this response cannot be detached, and nothing has changed.
        """


def own_connection(scope: Scope) -> OwnConnection | None:
    """The connection that the request came on, where the socket is ours and nothing stands between."""
    return (scope.get("extensions") or {}).get(CONNECTION_EXTENSION)


def charge(scope: Scope, user: UserId) -> None:
    """Count what this request is answered with, where it is not taken, as this user's."""
    connection = own_connection(scope)
    if connection is not None:
        connection.user = user
