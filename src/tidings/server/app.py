"""The one route table, and Tidings as a part of somebody's application."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from tidings.errors import MethodNotAllowed, NotFound, Problem
from tidings.protocol.shapes import Message
from tidings.server.api.answer import Answer, failure_answer, problem_answer
from tidings.server.api.cors import Cors
from tidings.server.api.ephemeral import post_presence, post_typing
from tidings.server.api.history import get_history
from tidings.server.api.inbox import get_inbox
from tidings.server.api.poll import get_events
from tidings.server.api.receipts import post_receipts
from tidings.server.api.request import allow, read_peer, read_user_id, require
from tidings.server.api.safety import block, get_blocked, post_block, post_report, post_unblock
from tidings.server.api.send import append, check_message, send_message
from tidings.server.api.stream_route import STREAM_ROUTE, follow
from tidings.server.config import Config
from tidings.server.host.functions import MaySend, People, TakeReport
from tidings.server.identity.auth import IdentifyUser
from tidings.server.logs import Elapsed, Line, begin_request
from tidings.server.node import Node

log = logging.getLogger("tidings.app")

API_PREFIX = "/api/message"

Handler = Callable[[Node, Scope, Receive], Awaitable[Answer]]


class Tidings:
    """Direct messages for an application: mount its ``routes``, and ``send`` from your own code.

    ``user`` tells who makes a request (without it tokens do), ``may_send`` who may write to whom, ``people`` names
    and pictures; ``report`` takes reports. Works under any prefix and without lifespan events; where you have a
    lifespan, enter ``lifespan()`` in it, and the database is opened before the first request.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        user: IdentifyUser | None = None,
        may_send: MaySend | None = None,
        people: People | None = None,
        report: TakeReport | None = None,
    ) -> None:
        self._node = Node(config or Config(), user=user, may_send=may_send, people=people, report=report)

    def routes(self, prefix: str = "") -> list[BaseRoute]:
        """Starlette routes for your route list, or for ``Mount``."""
        return routes(self._node, prefix)

    async def send(
        self, sender: str, recipient: str, text: str, *, type: str = "text", client_id: str | None = None
    ) -> Message:
        """Send a message in the name of ``sender`` from your own code; returns when it is committed.

        ``may_send`` and the rate limits are for requests and not asked here; ``type="system"`` is allowed here only,
        and passes a block between both.

        Raises:
            BadRequest: Something is missing, or no text.
            Unprocessable: It breaks a rule; the code says which.
            Forbidden: One of both blocks the other.
            Conflict: The client_id was used for another message.
            Unavailable: Not committed, or not known to be; the same client_id again is safe.
        """
        await self._node.start()
        sender_id, recipient_id = read_user_id(sender), read_user_id(recipient)
        require({"text": text, "type": type}, text=str, type=str)
        allow({"client_id": client_id}, client_id=str)
        new = check_message(self._node, sender_id, recipient_id, text, type, client_id, opening_limit_per_h=None)
        return await append(self._node, new)

    async def revoke(self, user: str) -> int:
        """End what a user has open, within a second: at a sign-out everywhere, or when somebody is shut out.

        Streams end with ``goodbye``, waiting polls with 401. Tokens issued until now are refused, also after a
        restart; your ``user`` function, where there is one, is asked again. Returns how many streams there were.

        Raises:
            Unprocessable: That cannot be a user id.
            Unavailable: It is done, and not known to be kept for after a restart; call it again.
        """
        await self._node.start()
        return await self._node.revoke(read_user_id(user))

    async def block(self, user: str, peer: str) -> None:
        """Let ``user`` block ``peer``, as ``POST /block`` does; again without effect.

        Raises:
            Unprocessable: One of them cannot be a user id, or both are the same.
            Unavailable: Not committed, or not known to be.
        """
        await self._node.start()
        user_id = read_user_id(user)
        await block(self._node, user_id, read_peer(peer, user_id))

    async def unblock(self, user: str, peer: str) -> None:
        """Take a block back; nothing where there is none. Raises as ``block``."""
        await self._node.start()
        user_id = read_user_id(user)
        await self._node.store.unblock(user_id, read_peer(peer, user_id))

    @contextlib.asynccontextmanager
    async def lifespan(self, _app: object = None) -> AsyncIterator[None]:
        """Open the database on entry and close it on exit; takes an application so that it can be one's lifespan."""
        await self._node.start()
        try:
            yield
        finally:
            await self._node.stop()


def create_app(
    config: Config,
    *,
    prefix: str = API_PREFIX,
    user: IdentifyUser | None = None,
    may_send: MaySend | None = None,
    people: People | None = None,
    report: TakeReport | None = None,
) -> Starlette:
    """An ASGI application of nothing but the API."""
    tidings = Tidings(config, user=user, may_send=may_send, people=people, report=report)
    app = Starlette(routes=tidings.routes(prefix), lifespan=tidings.lifespan)
    app.router.redirect_slashes = False  # a user id may be anything; no path means another
    app.router.default = not_found
    return app


def routes(node: Node, prefix: str = "") -> list[BaseRoute]:
    """The route table, what is asked most often first: routes are tried in turn.

    Users called send, receipts, typing, sse, events or inbox have their history all the same.
    """
    table: list[tuple[str, dict[str, Handler]]] = [
        ("/send", {"POST": send_message, "GET": get_history}),
        ("/receipts", {"POST": post_receipts, "GET": get_history}),
        ("/typing", {"POST": post_typing, "GET": get_history}),
        ("/presence", {"POST": post_presence, "GET": get_history}),
        ("/block", {"POST": post_block, "GET": get_history}),
        ("/unblock", {"POST": post_unblock, "GET": get_history}),
        ("/report", {"POST": post_report, "GET": get_history}),
        ("/events/{me}", {"GET": get_events}),
        ("/inbox/{me}", {"GET": get_inbox}),
        ("/blocked/{me}", {"GET": get_blocked}),
        ("/{chat_user_id}", {"GET": get_history}),
    ]
    cors = Cors(node.trusted_origins, with_credentials=node.takes_cookies)
    send, *others = (Route(prefix + path, Endpoint(node, cors, path, handlers)) for path, handlers in table)
    return [send, Route(prefix + STREAM_ROUTE, StreamEndpoint(node, cors)), *others]


class Endpoint:
    """An ASGI application for one path: finds the method's handler and turns problems into answers."""

    def __init__(self, node: Node, cors: Cors, route: str, handlers: Mapping[str, Handler]) -> None:
        self._node = node
        self._cors = cors
        self._route = route
        self._handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        id_header, elapsed = begin_request(scope), Elapsed()
        cors, is_talkative = self._cors, log.isEnabledFor(logging.DEBUG)
        refusal: dict[str, object] = {}
        try:
            if cors.is_preflight(scope):
                return await cors.answer_preflight(scope, send)
            handler = self._handlers.get(scope["method"])
            if handler is None:
                raise MethodNotAllowed(", ".join(self._handlers))
            await self._node.ready(scope)
            answer = await handler(self._node, scope, receive)
        except Problem as problem:
            refusal = self._node.refusals.note(problem, scope, self._route, has_line=is_talkative)
            answer = problem_answer(problem)
        except Exception:
            log.exception("a request failed")
            answer = failure_answer()
        self._node.metrics.http_requests(self._route, answer.status).inc()
        if is_talkative:
            told = {"method": scope["method"], "route": self._route, "status": answer.status, **refusal}
            log.debug(Line("request", **told, ms=elapsed.ms))
        await answer.write(scope, send, (id_header, *cors.headers(scope)))


class StreamEndpoint:
    """The ASGI application of the stream; what goes wrong before its first byte is an answer."""

    def __init__(self, node: Node, cors: Cors) -> None:
        self._node = node
        self._cors = cors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        id_header = begin_request(scope)
        cors = self._cors
        try:
            if cors.is_preflight(scope):
                return await cors.answer_preflight(scope, send)
            if scope["method"] != "GET":
                raise MethodNotAllowed("GET")
            await self._node.ready(scope)
            await follow(self._node, scope, receive, send, id_header, *cors.headers(scope))
        except Problem as problem:
            self._node.refusals.note(problem, scope, STREAM_ROUTE)
            self._node.metrics.http_requests(STREAM_ROUTE, problem.status).inc()
            await problem_answer(problem).write(scope, send, (id_header, *cors.headers(scope)))


async def not_found(scope: Scope, _receive: Receive, send: Send) -> None:
    """The ASGI application of every path that is not ours."""
    if scope["type"] == "http":
        await problem_answer(NotFound("not_found", "There is nothing at this address.")).write(scope, send)
