"""Tidings in a FastAPI application: the dependency that tells who is signed in is the one that you have.

::

    messages = DirectMessages(Config(db="sqlite:///messages.db"), user=current_user)
    app = FastAPI(lifespan=messages.lifespan)
    app.include_router(messages.router, prefix="/api/message")

Rules of this file:

- FastAPI runs the dependency, with all that hangs on it (sub-dependencies, security schemes, overrides, those of
  ``include_router``), as it does for any route; it is released before our answer begins. So an open stream holds
  nothing of the host's: no session, no connection of a pool.
- The host answers a request that the dependency refuses.
- A request with a service key is a program's, which the dependency does not know: it is not asked. Nor is it asked for
  what a page of another site made the user's browser send; our routes refuse that.
- The routes are those of ``server/app.py``: what is served is the same. FastAPI knows their shapes for its documents
  (``openapi.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tidings.extra import needs

with needs("tidings.fastapi needs FastAPI", "fastapi"):
    from fastapi import APIRouter, Depends, Request, Response
    from fastapi.routing import APIRoute
    from starlette.requests import HTTPConnection
    from starlette.routing import Route
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from tidings.fastapi.openapi import OPERATIONS
    from tidings.server.app import Tidings
    from tidings.server.config import Config
    from tidings.server.host.functions import MaySend, People, SearchPeople, TakeReport
    from tidings.server.identity.cross_site import may_be_forged
    from tidings.server.identity.service_keys import service_key_of

__all__ = ["DirectMessages"]

_METHODS: Final = ["GET", "POST", "PUT", "DELETE", "PATCH"]  # our own routes know which of them they take
_IDENTIFIED: Final = "tidings.identified"  # in the scope: what the endpoint found out, for the route
_USER: Final = "tidings.user"  # in the scope: the user id


def _id_of(user: Any) -> str | None:
    """The user's id: the value itself if it is text or a number, else its ``id``. None, False, 0 and "" are nobody.

    Raises:
        TypeError: It has no id.
    """
    if not isinstance(user, bool) and isinstance(user, str | int):
        return str(user) if user else None
    if user is None or user is False:
        return None
    identity = getattr(user, "id", None)
    if not identity or isinstance(identity, bool):
        raise TypeError(f"user= answered a {type(user).__name__} without an id: tell where it is with user_id=")
    return str(identity)


class DirectMessages(Tidings):
    """Direct messages for a FastAPI application.

    Attributes:
        router: For ``app.include_router(messages.router, prefix=...)`` or ``app.mount(path, messages.router)``; give
            it a path of its own, for ``/{chatUserId}`` is one of its routes. A mount does not show in the host's
            OpenAPI, and the host's ``dependency_overrides`` do not reach it.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        user: Callable[..., Any],
        user_id: Callable[[Any], str | None] = _id_of,
        may_send: MaySend | None = None,
        people: People | None = None,
        search_people: SearchPeople | None = None,
        report: TakeReport | None = None,
    ) -> None:
        """
        Args:
            user: The dependency, as in ``Depends(current_user)``: sync or async, with or without ``yield``.
            user_id: From what the dependency returns to the user's id; None is nobody (401). Without it: text and
                numbers are the id, of anything else it is the attribute ``id``; None, False, 0 and "" are nobody.
            may_send: See ``Tidings``.
            people: See ``Tidings``.
            search_people: See ``Tidings``.
            report: See ``Tidings``.
        """
        super().__init__(
            config,
            user=_identified_user,
            may_send=may_send,
            people=people,
            search_people=search_people,
            report=report,
        )
        self.router = APIRouter(route_class=_Route, redirect_slashes=False, tags=["direct messages"])
        served = {route.path: route.app for route in self.routes() if isinstance(route, Route)}
        for path in served.keys() - {operation["path"] for operation in OPERATIONS}:
            endpoint = self._endpoint(user, user_id, served[path])
            self.router.add_api_route(path, endpoint, methods=_METHODS, include_in_schema=False)
        for operation in OPERATIONS:
            endpoint = self._endpoint(user, user_id, served[operation["path"]])
            self.router.add_api_route(**operation, endpoint=endpoint)
        for path, app in served.items():  # what a browser asks before it sends anything says nothing of its user
            self.router.add_route(path, app, methods=["OPTIONS"], include_in_schema=False)  # type: ignore[arg-type]

    def _endpoint(
        self, user: Callable[..., Any], user_id: Callable[[Any], str | None], app: ASGIApp
    ) -> Callable[..., Any]:
        """FastAPI calls this with the dependency's value: it notes the user, and nothing of the host's beyond that."""

        async def endpoint(request: Request, who: Any = Depends(user)) -> Response:  # noqa: B008  # as FastAPI has it
            request.scope[_IDENTIFIED].append((user_id(who), app))
            return Response()

        # FastAPI makes new routes of it, wherever the router is included.
        endpoint.app = app  # type: ignore[attr-defined]
        endpoint.trusted_origins = self._node.trusted_origins  # type: ignore[attr-defined]
        return endpoint


def _identified_user(connection: HTTPConnection) -> str | None:
    user: str | None = connection.scope[_USER]
    return user


class _Route(APIRoute):
    """Runs the dependencies as FastAPI does, and then, when all of them are released, our own ASGI application."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        own: Any = self.endpoint
        if service_key_of(scope) is not None or may_be_forged(scope, own.trusted_origins):
            await own.app(scope, receive, send)
            return
        app, receive = await self._identify(scope, receive, send)
        if app is not None:
            await app(scope, receive, send)

    async def _identify(self, scope: Scope, receive: Receive, send: Send) -> tuple[ASGIApp | None, Receive]:
        """Return the application for the request, and its ``receive``; no application if it was answered."""
        identified: list[tuple[str | None, ASGIApp]] = []
        scope[_IDENTIFIED] = identified
        heard: list[Message] = []
        said: list[Message] = []

        async def hear() -> Message:
            heard.append(await receive())
            return heard[-1]

        async def say(message: Message) -> None:
            said.append(message)

        await super().handle(scope, hear, say)
        if not identified:
            for message in said:
                await send(message)
            return None, receive
        scope[_USER], app = identified[0]
        for name in (_IDENTIFIED, "fastapi_inner_astack", "fastapi_function_astack"):
            scope.pop(name, None)  # a stream would keep them for as long as it lives
        if not heard:
            return app, receive

        async def hear_again() -> Message:
            return heard.pop(0) if heard else await receive()

        return app, hear_again
