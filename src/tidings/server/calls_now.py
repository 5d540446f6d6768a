"""The calls of the host's own code for code that waits: ``def`` endpoints, sync views, jobs, commands.

Rules of this file
1. Each is the call of ``calls.py`` without ``_now`` in its name, and raises what that raises; run in the event loop of
   the messages, from another thread (``host/threads.py``).
2. With SQLite the process that serves the messages makes them, since the file is its own. With PostgreSQL any may.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from tidings.errors import Unavailable
from tidings.protocol.shapes import Message
from tidings.server.api.send import enqueue_now
from tidings.server.calls import Calls
from tidings.server.host.threads import ANSWER_WAIT_MAX_S, Threads
from tidings.server.node import Node
from tidings.server.store.export import Line

ERASE_WAIT_MAX_S = 600.0  # the file is written anew, gigabytes perhaps

P = ParamSpec("P")
T = TypeVar("T")


def _now(
    call: Callable[Concatenate[Calls, P], Coroutine[Any, Any, T]], wait_max_s: float = ANSWER_WAIT_MAX_S
) -> Callable[Concatenate[CallsNow, P], T]:
    """The call for code that waits: the same arguments, and the result itself."""

    def wait(calls: CallsNow, /, *arguments: P.args, **named: P.kwargs) -> T:
        result: T = calls._threads.run(getattr(calls, call.__name__)(*arguments, **named), wait_max_s)
        return result

    wait.__name__ = f"{call.__name__}_now"
    wait.__qualname__ = f"CallsNow.{wait.__name__}"
    wait.__doc__ = f"``{call.__name__}``."
    wait.__signature__ = inspect.signature(call)  # type: ignore[attr-defined]  # for whoever reads the documents
    return wait


class CallsNow(Calls):
    """Likewise, for code that waits. Each call takes ANSWER_WAIT_MAX_S at most, an erasure ERASE_WAIT_MAX_S, and is
    ``Unavailable`` then.
    """

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self._threads = Threads(lambda: node.loop, node.stop)

    # Not by _now: with a connection it is another function, and mypy would know the first overload alone.
    @overload
    def send_now(
        self, sender: str, recipient: str, text: str, *, type: str = "text", client_id: str | None = None
    ) -> Message: ...

    @overload
    def send_now(
        self,
        sender: str,
        recipient: str,
        text: str,
        *,
        type: str = "text",
        client_id: str | None = None,
        connection: object,
    ) -> str: ...

    def send_now(
        self,
        sender: str,
        recipient: str,
        text: str,
        *,
        type: str = "text",
        client_id: str | None = None,
        connection: object | None = None,
    ) -> Message | str:
        """``send``, and with ``connection`` in your own transaction: of psycopg 3, SQLAlchemy or Django (or its alias).

        With a connection call it in the thread that uses that. It needs no event loop then, and no node in this
        process: a message is checked by the settings alone, and whether one of both blocks the other when a node stores
        it.
        """
        if connection is not None:
            return enqueue_now(self._node, connection, self._checked(sender, recipient, text, type, client_id))
        return self._threads.run(self.send(sender, recipient, text, type=type, client_id=client_id))

    unread_now = _now(Calls.unread)
    inbox_now = _now(Calls.inbox)
    history_now = _now(Calls.history)
    erase_now = _now(Calls.erase, ERASE_WAIT_MAX_S)
    revoke_now = _now(Calls.revoke)
    block_now = _now(Calls.block)
    unblock_now = _now(Calls.unblock)
    profile_changed_now = _now(Calls.profile_changed)
    health_now = _now(Calls.health)

    def badge_now(self, user: str | None) -> str:
        """``badge``."""
        try:
            return self._threads.run(self.badge(user))
        except Unavailable as failure:  # their event loop stands still
            return self._no_badge(failure)

    def export_now(self, user: str) -> Iterator[Line]:
        """``export``; the lines are read in the caller's thread."""
        user_id = self._threads.run(self._started(user))
        for some in self._export(user_id):
            yield from some
