"""The one route table, and Tidings as a part of somebody's application."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from tidings.errors import MethodNotAllowed, Problem
from tidings.server.api.answer import Answer, failure_answer, not_found, problem_answer
from tidings.server.api.cors import Cors
from tidings.server.api.ephemeral import post_presence, post_typing
from tidings.server.api.history import get_history
from tidings.server.api.inbox import get_inbox
from tidings.server.api.poll import get_events
from tidings.server.api.receipts import post_receipts
from tidings.server.api.safety import get_blocked, post_block, post_report, post_unblock
from tidings.server.api.search import get_people
from tidings.server.api.send import send_message
from tidings.server.api.stream_route import STREAM_ROUTE, follow
from tidings.server.calls_now import CallsNow
from tidings.server.config import Config
from tidings.server.host.functions import MaySend, People, SearchPeople, TakeReport
from tidings.server.identity.auth import IdentifyUser
from tidings.server.logs import Elapsed, Line, begin_request
from tidings.server.node import Node
from tidings.server.page import page_routes

log = logging.getLogger("tidings.app")

API_PREFIX = "/api/message"

Handler = Callable[[Node, Scope, Receive], Awaitable[Answer]]


class Tidings(CallsNow):
    """Direct messages for an application: mount its ``routes``, and ``send`` from your own code, or make any other call
    of ``calls.py``; in code that waits, the one whose name ends in ``_now``.

    ``user`` tells who makes a request (without it tokens do), ``may_send`` who may write to whom, ``people`` names
    and pictures; ``search_people`` finds people to write to, ``report`` takes reports. Works under any prefix and
    without lifespan events; where you have a lifespan, enter ``lifespan()`` in it, and the database is opened before
    the first request.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        user: IdentifyUser | None = None,
        may_send: MaySend | None = None,
        people: People | None = None,
        search_people: SearchPeople | None = None,
        report: TakeReport | None = None,
    ) -> None:
        super().__init__(
            Node(
                config or Config(),
                user=user,
                may_send=may_send,
                people=people,
                search_people=search_people,
                report=report,
            )
        )

    def routes(self, prefix: str = "") -> list[BaseRoute]:
        """Starlette routes for your route list, or for ``Mount``."""
        return routes(self._node, prefix)

    def page(
        self,
        path: str = "/messages",
        *,
        api: str = API_PREFIX,
        sign_in: str = "",
        sign_out: str = "",
        raw_ids: bool = False,
    ) -> list[BaseRoute]:
        """Starlette routes of the web chat below ``path``, for your route list or for ``Mount``.

        It is used by whoever your application has signed in, by their cookie.

        Args:
            path: Where it stands.
            api: Where ``routes`` stand, below the same mount. Without a slash at its beginning: as the page sees it.
            sign_in: The address of your sign-in, to which the page sends somebody whom ``user`` does not know;
                ``{here}`` in it is the page's own address. Without it, what ``Config`` says.
            sign_out: The address that signs out, likewise. Without one the page has no button for it.
            raw_ids: Whether one may write to a user id that one has typed; people are found by ``search_people`` too.

        Raises:
            ConfigurationError: An address, or an origin of ``frame_ancestors``, is none.
        """
        more = {"raw_ids": raw_ids}
        return page_routes(self._node, path, api=api, sign_in=sign_in, sign_out=sign_out, more=more)

    @contextlib.asynccontextmanager
    async def lifespan(self, _app: object = None) -> AsyncIterator[None]:
        """Open the database on entry and close it on exit; takes an application so that it can be one's lifespan.

        A database that is away is looked for again by each request, which is answered 503 meanwhile.
        """
        await self._node.start_if_there()
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
    search_people: SearchPeople | None = None,
    report: TakeReport | None = None,
) -> Starlette:
    """An ASGI application of nothing but the API."""
    tidings = Tidings(config, user=user, may_send=may_send, people=people, search_people=search_people, report=report)
    app = Starlette(routes=tidings.routes(prefix), lifespan=tidings.lifespan)
    app.router.redirect_slashes = False  # a user id may be anything; no path means another
    app.router.default = not_found
    return app


def routes(node: Node, prefix: str = "") -> list[BaseRoute]:
    """The route table, what is asked most often first: routes are tried in turn.

    Users called send, receipts, typing, sse, events, inbox or people have their history all the same.
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
        ("/people", {"GET": get_people}),
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
