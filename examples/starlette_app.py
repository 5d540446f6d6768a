"""A Starlette application with sessions of its own, and direct messages. Run it: uvicorn starlette_app:app"""

from __future__ import annotations

import os
import secrets

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

SESSIONS: dict[str, str] = {}


def current_user(request: HTTPConnection) -> str | None:
    """Return the user that is signed in."""
    return SESSIONS.get(request.cookies.get("session", ""))


async def sign_in(request: Request) -> PlainTextResponse:
    """The name that somebody gives is that person: an example has no passwords."""
    session, name = secrets.token_urlsafe(), request.path_params["name"]
    SESSIONS[session] = name
    response = PlainTextResponse(name)
    response.set_cookie("session", session, httponly=True, samesite="lax")
    return response


routes: list[Route | Mount] = [Route("/sign-in/{name}", sign_in, methods=["POST"])]

# direct messages
from tidings import Config, Tidings  # noqa: E402

messages = Tidings(Config(db=os.environ.get("HOST_DB", "sqlite:///messages.db")), user=current_user)
routes.append(Mount("/api/message", routes=messages.routes()))
app = Starlette(routes=routes, lifespan=messages.lifespan)
# end
