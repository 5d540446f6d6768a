"""The calls of the host's own code: it vouches for the user whom each names, and nobody is asked for a right.

Rules of this file
1. A call returns what the API answers to that user: the same shapes, from the same functions.
2. Refusals are the API's problems (``tidings.errors.Problem``): ``Unavailable`` passes, and the others do not.
3. A call starts the messages where no request has.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Generator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import overload

from prometheus_client.registry import Collector

from tidings.errors import ConfigurationError, NotNow, TidingsError, Unavailable
from tidings.protocol.shapes import HistoryPage, InboxPage, Message
from tidings.protocol.user_id import UserId
from tidings.server.api.endpoint import LIST_PAGE_DEFAULT, LIST_PAGE_MAX
from tidings.server.api.health import Health, look
from tidings.server.api.history import HISTORY_PAGE_DEFAULT, HISTORY_PAGE_MAX, history_page
from tidings.server.api.inbox import inbox_page
from tidings.server.api.people import tell_profile
from tidings.server.api.request import allow, read_peer, read_user_id, require
from tidings.server.api.safety import block
from tidings.server.api.send import append, enqueue
from tidings.server.node import Node
from tidings.server.store import NewMessage
from tidings.server.store.export import Line, export
from tidings.server.store.maintenance import Erased
from tidings.server.store.open import open_maintenance
from tidings.server.store.rules import check_message

log = logging.getLogger("tidings.host")
BADGE_SHOWN_MAX = 99  # beyond it a badge says "99+", so that it stays as narrow as what it stands beside
BADGE_WAIT_MAX_S = 2.0  # a page of the host's waits so long for a number that it can do without
EXPORT_LINES_AT_ONCE = 500  # read in the thread of an export between two turns of the event loop


class Calls:
    """The calls of an application's own code, with ``await``."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._badge_trouble = ""

    async def unread(self, user: str) -> int:
        """How many messages ``user`` has not read: for a badge, since it is one short query.

        Messages of people whom the user blocks do not count.

        Raises:
            BadRequest, Unprocessable: That cannot be a user id.
            Unavailable: The database did not answer.
        """
        user_id = await self._started(user)
        return await self._node.store.unread(user_id)

    async def badge(self, user: str | None) -> str:
        """The text of a badge for your templates: ``unread`` as "3" or "99+"; "" where it is 0.

        It fails no page: "" for nobody (None), and where there is no answer, which is a line in the log.
        """
        if user is None:
            return ""
        try:
            user_id = await self._started(user)
            async with asyncio.timeout(BADGE_WAIT_MAX_S):
                unread = await self._node.store.unread(user_id)
        except (TidingsError, TimeoutError) as failure:
            return self._no_badge(failure)
        self._badge_trouble = ""
        if unread > BADGE_SHOWN_MAX:
            return f"{BADGE_SHOWN_MAX}+"
        return str(unread) if unread else ""

    async def inbox(self, user: str, *, before: int | None = None, limit: int = LIST_PAGE_DEFAULT) -> InboxPage:
        """A page of the user's conversations, the latest first, with names and unread counts: ``GET /inbox/{me}``.

        Args:
            before: ``position`` of the last conversation of the page before.
            limit: 1 to 100; what is beyond is taken as that.

        Raises:
            BadRequest, Unprocessable, Unavailable: As ``unread``.
        """
        user_id = await self._started(user)
        return await inbox_page(self._node, user_id, *_page(before, limit, LIST_PAGE_MAX))

    async def history(
        self,
        user: str,
        peer: str,
        *,
        before: int | None = None,
        after: int | None = None,
        limit: int = HISTORY_PAGE_DEFAULT,
    ) -> HistoryPage:
        """A page of the user's conversation with ``peer``, oldest first, as the user sees it: ``GET /{chatUserId}``.

        The latest messages; with ``before`` those below this ``seq``, with ``after`` the first above it. Nothing is
        marked as delivered or read.

        Args:
            limit: 1 to 200; what is beyond is taken as that.

        Raises:
            BadRequest, Unprocessable, Unavailable: As ``unread``.
        """
        user_id = await self._started(user)
        peer_id = read_user_id(peer)
        allow({"after": after}, after=int)
        below, at_most = _page(before, limit, HISTORY_PAGE_MAX)
        return await history_page(self._node, user_id, peer_id, below, after, at_most)

    async def export(self, user: str) -> AsyncIterator[Line]:
        """Everything that is kept of a user, as ``tidings export`` prints it: one ``{"type", "data"}`` after the other.

        It is one state of the database, held until the last one: write them somewhere before a slow reader gets them.

        Raises:
            BadRequest, Unprocessable, Unavailable: As ``unread``.
        """
        user_id = await self._started(user)
        lines = self._export(user_id)
        loop, thread = asyncio.get_running_loop(), ThreadPoolExecutor(1, "tidings-export")
        try:
            while True:
                some: list[Line] = await loop.run_in_executor(thread, next, lines, [])
                if not some:
                    break
                for line in some:
                    yield line
        finally:
            thread.submit(lines.close)  # in the thread of its connection
            thread.shutdown(wait=False)

    async def erase(self, user: str) -> Erased:
        """Remove a user's texts, log and name for good, as ``tidings erase`` does; docs/run/operate.md says what stays.

        Takes some seconds, and longer where there is much. Where ``left`` of the answer is not None, copies are left,
        and it says where; call it again. Sessions are yours to end: ``revoke``.

        Raises:
            BadRequest, Unprocessable: As ``unread``.
            Unavailable: It is not known to be done; call it again.
        """
        user_id = await self._started(user)
        try:
            return await asyncio.to_thread(open_maintenance(self._node.config.db).erase, user_id)
        except (ConfigurationError, NotNow) as failure:
            raise _failed("an erasure", failure) from failure

    async def profile_changed(self, user: str) -> None:
        """Call it when a user's name or picture has changed: open screens of those who write with the user learn it.

        ``people`` is asked once. A screen without a stream at this moment learns it when it loads the conversation.

        Raises:
            BadRequest, Unprocessable: As ``unread``.
            Unavailable: ``people`` or the database did not answer; call it again.
        """
        user_id = await self._started(user)
        await tell_profile(self._node, user_id)

    async def health(self) -> Health:
        """Return what ``/readyz`` says, for your own route: ``is_ready``, and ``body()`` as JSON. Raises no problem."""
        try:
            await self._node.start_or_refuse()
        except Unavailable as refusal:
            return Health("unavailable", refusal.detail)
        return await look(self._node)

    @property
    def collector(self) -> Collector:
        """The metrics for the registry that you have: ``prometheus_client.REGISTRY.register(tidings.collector)``.

        Those of the process are left out, since your registry has them.
        """
        return self._node.metrics.collector

    def metrics(self, accept: str = "") -> tuple[bytes, str]:
        """The metrics as Prometheus reads them, those of the process included, and their content type.

        With 10,000 open files it takes 30 ms: call it in a ``def`` endpoint.

        Args:
            accept: The request's field, for a reader that takes OpenMetrics.
        """
        return self._node.metrics.render(accept)

    @overload
    async def send(
        self, sender: str, recipient: str, text: str, *, type: str = "text", client_id: str | None = None
    ) -> Message: ...

    @overload
    async def send(
        self,
        sender: str,
        recipient: str,
        text: str,
        *,
        type: str = "text",
        client_id: str | None = None,
        connection: object,
    ) -> str: ...

    async def send(
        self,
        sender: str,
        recipient: str,
        text: str,
        *,
        type: str = "text",
        client_id: str | None = None,
        connection: object | None = None,
    ) -> Message | str:
        """Send a message in the name of ``sender`` from your own code; returns when it is committed.

        ``may_send`` and the rate limits are for requests and not asked here; ``type="system"`` is allowed here only,
        and passes a block between both.

        With ``connection``, of asyncpg, psycopg 3 or SQLAlchemy, it is sent in your own transaction: when that commits,
        a node stores the message, and else there is none. Returns its client_id, and needs no node in this process.

        Raises:
            BadRequest: Something is missing, or no text.
            Unprocessable: It breaks a rule; the code says which.
            Forbidden: One of both blocks the other. With ``connection`` the row is kept as refused instead.
            Conflict: The client_id was used for another message. Likewise.
            Unavailable: Not committed, or not known to be; the same client_id again is safe.
            TypeError: ``connection`` is none that is taken here.
            ConfigurationError: It is to another database, or its user lacks a right.
        """
        if connection is not None:
            return await enqueue(self._node, connection, self._checked(sender, recipient, text, type, client_id))
        await self._node.started()
        return await append(self._node, self._checked(sender, recipient, text, type, client_id))

    def _checked(self, sender: str, recipient: str, text: str, type: str, client_id: str | None) -> NewMessage:
        """A message of the application's own code that may be stored."""
        sender_id, recipient_id = read_user_id(sender), read_user_id(recipient)
        require({"text": text, "type": type}, text=str, type=str)
        allow({"client_id": client_id}, client_id=str)
        content = (text, type, client_id)
        return check_message(self._node.config, sender_id, recipient_id, *content, opening_limit_per_h=None)

    async def revoke(self, user: str) -> int:
        """End what a user has open, within a second: at a sign-out everywhere, or when somebody is shut out.

        Streams end with ``goodbye``, waiting polls with 401. Tokens issued until now are refused, also after a
        restart; your ``user`` function, where there is one, is asked again. Returns how many streams there were.

        Raises:
            Unprocessable: That cannot be a user id.
            Unavailable: It is done, and not known to be kept for after a restart; call it again.
        """
        await self._node.started()
        return await self._node.revoke(read_user_id(user))

    async def block(self, user: str, peer: str) -> None:
        """Let ``user`` block ``peer``, as ``POST /block`` does; again without effect.

        Raises:
            Unprocessable: One of them cannot be a user id, or both are the same.
            Unavailable: Not committed, or not known to be.
        """
        await self._node.started()
        user_id = read_user_id(user)
        await block(self._node, user_id, read_peer(peer, user_id))

    async def unblock(self, user: str, peer: str) -> None:
        """Take a block back; nothing where there is none. Raises as ``block``."""
        await self._node.started()
        user_id = read_user_id(user)
        await self._node.store.unblock(user_id, read_peer(peer, user_id))

    async def _started(self, user: str) -> UserId:
        """The user id that a call names, when the messages run."""
        user_id = read_user_id(user)
        await self._node.started()
        return user_id

    def _no_badge(self, failure: TidingsError | TimeoutError) -> str:
        """The badge where there is no answer; a line for each reason, and not for each page."""
        trouble = str(failure) or f"no answer within {BADGE_WAIT_MAX_S:g} s"
        if trouble != self._badge_trouble:
            self._badge_trouble = trouble
            log.warning("badges are empty: %s", trouble)
        return ""

    def _export(self, user: UserId) -> Generator[list[Line], None, None]:
        """The lines of an export, some at once; it blocks."""
        try:
            with open_maintenance(self._node.config.db).snapshot() as snapshot:
                lines = export(snapshot, user)
                while some := list(islice(lines, EXPORT_LINES_AT_ONCE)):
                    yield some
        except (ConfigurationError, NotNow) as failure:
            raise _failed("an export", failure) from failure


def _page(before: int | None, limit: int, limit_max: int) -> tuple[int | None, int]:
    allow({"before": before}, before=int)
    require({"limit": limit}, limit=int)
    return before, min(max(1, limit), limit_max)


def _failed(work: str, failure: TidingsError) -> Unavailable:
    log.error("%s failed: %s", work, failure)
    return Unavailable("unavailable", "The database could not be used; the log says why.", retry_after_s=2)
