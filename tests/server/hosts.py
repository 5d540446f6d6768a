"""Applications of other people that have direct messages by Tidings, as uvicorn loads them.

Their users are known by their own means: here the name itself stands where a session would.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import anyio
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidings import Config, Tidings

PREFIX = "/api/message"


def current_user(request: HTTPConnection) -> str | None:
    """The request names its user: ``Authorization: Bearer <name>``."""
    return request.headers.get("authorization", "").removeprefix("Bearer ") or None


async def may_send(sender: str, recipient: str) -> bool:
    """Everybody may write to everybody, except to the hermit."""
    return recipient != "hermit"


names = {"ben": "Ben Example"}


def people(ids: object) -> dict[str, dict[str, str | None]]:
    """One of them has told a name."""
    return {id: {"name": name, "avatar_url": f"https://example.org/{id}.png"} for id, name in names.items()}


async def search_people(user: str, text: str) -> list[dict[str, str | None]]:
    """Everybody with the text in their name, the user included."""
    everybody = {"ada": "Ada Example", "ben": "Ben Example"}
    return [{"id": id, "name": name} for id, name in everybody.items() if text.casefold() in name.casefold()]


tidings = Tidings(
    Config(db=os.environ.get("HOST_DB", "sqlite:///host.db"), heartbeat_interval_s=1),
    user=current_user,
    may_send=may_send,
    people=people,
    search_people=search_people,
)


async def order(request: Request) -> JSONResponse:
    """A page of the host's that sends a message by itself."""
    message = await tidings.send("shop", request.path_params["buyer"], "Your parcel has left.", type="system")
    return JSONResponse({"_id": message.id})


def rename(request: Request) -> Response:
    """A page on which somebody gives another name; a ``def`` endpoint."""
    user, name = request.path_params["user"], request.path_params["name"]
    names[user] = name
    tidings.profile_changed_now(user)
    return Response()


async def note(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """A middleware of the kind that makes every ``send`` wait."""
    response = await call_next(request)
    response.headers["x-noted"] = "yes"
    return response


class SignIn:
    """A middleware that lets nobody in without this application's cookie: strangers are sent away as it is told."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and "session=good" not in Request(scope).headers.get("cookie", ""):
            status = int(os.environ.get("HOST_REFUSES", "303"))
            headers = {"Location": "/login?next=x"} if status == 303 else {}
            await PlainTextResponse("Please sign in.", status, headers)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


async def member(request: HTTPConnection) -> str | None:
    """Behind the sign-in there is one person."""
    return "ada"


members_only = Tidings(Config(db=os.environ.get("HOST_DB", "sqlite:///host.db"), heartbeat_interval_s=1), user=member)
guarded = Starlette(
    routes=[Mount("/dm", routes=members_only.routes())],
    middleware=[Middleware(SignIn)],
)
unguarded = Starlette(routes=[Mount("/dm", routes=members_only.routes())])

mounted = Starlette(
    routes=[
        Route("/order/{buyer}", order),
        Route("/rename/{user}/{name}", rename),
        Mount(PREFIX, routes=tidings.routes()),
    ]
)

with_lifespan = Starlette(
    routes=[Route("/order/{buyer}", order), *tidings.routes(PREFIX)], lifespan=lambda app: tidings.lifespan(app)
)

fast = FastAPI()
fast.add_api_route("/order/{buyer}", order, response_model=None)
fast.router.routes.extend(tidings.routes(PREFIX))

fast_mounted = FastAPI()
fast_mounted.mount(PREFIX, Starlette(routes=tidings.routes()))

_asked_by = ContextVar("asked_by", default="nobody")


class Careful:
    """A middleware of the kind that bounds every write, and knows by a context variable for whom it works."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def bounded(message: Message) -> None:
            with anyio.fail_after(3):
                async with asyncio.timeout(3):
                    if _asked_by.get() != user:
                        raise RuntimeError(f"{_asked_by.get()} writes for {user}")
                    await send(message)

        user = Request(scope).headers["authorization"] if scope["type"] == "http" else ""
        _asked_by.set(user)
        await self.app(scope, receive, bounded)


def careful_user(request: HTTPConnection) -> str | None:
    """The caller, if this is asked in the context of the request."""
    return (
        request.headers["authorization"].removeprefix("Bearer ")
        if request.headers["authorization"] == _asked_by.get()
        else None
    )


async def careful_may_send(sender: str, recipient: str) -> bool:
    """Everybody may write, if this is asked in the sender's context."""
    return _asked_by.get() == f"Bearer {sender}"


behind_care = Starlette(
    routes=[
        Mount(
            PREFIX,
            routes=Tidings(
                Config(db=os.environ.get("HOST_DB", "sqlite:///host.db"), heartbeat_interval_s=1),
                user=careful_user,
                may_send=careful_may_send,
            ).routes(),
        )
    ],
    middleware=[Middleware(Careful)],
)

behind_middleware = Starlette(
    routes=[Mount(PREFIX, routes=tidings.routes())],
    middleware=[
        Middleware(CORSMiddleware, allow_origins=["https://example.org"]),
        Middleware(GZipMiddleware, minimum_size=1),
        Middleware(BaseHTTPMiddleware, dispatch=note),
    ],
)
