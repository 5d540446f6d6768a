"""The backend of the example: sign-in, tokens as an identity provider issues them, and Tidings beside them.

Build the page first, then: uvicorn server:app
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

import jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from tidings import Config, Tidings

SECRET = os.environ.get("TIDINGS_SECRET") or secrets.token_hex(32)
TOKEN_TTL_S = 60  # as short as Clerk's: getToken is asked again and again
NAMES = {"ada": "Ada Lovelace", "ben": "Ben Okri", "hermit": "The Hermit"}
SESSIONS: dict[str, str] = {}


async def sign_in(request: Request) -> JSONResponse:
    """The name that somebody gives is that person: an example has no passwords."""
    session, user = secrets.token_urlsafe(), (await request.json())["name"].lower()
    SESSIONS[session] = user
    answer = JSONResponse({"userId": user})
    answer.set_cookie("session", session, httponly=True, samesite="lax")
    return answer


async def token(request: Request) -> JSONResponse:
    """A token for the person of this session: what the provider's library fetches."""
    user = SESSIONS.get(request.cookies.get("session", ""))
    if user is None:
        return JSONResponse({"userId": None, "token": None})
    now = int(time.time())
    claims = {"sub": user, "iat": now, "exp": now + TOKEN_TTL_S}
    return JSONResponse({"userId": user, "token": jwt.encode(claims, SECRET, "HS256")})


async def sign_out(request: Request) -> JSONResponse:
    """End the session."""
    SESSIONS.pop(request.cookies.get("session", ""), None)
    return JSONResponse({"userId": None})


def may_send(_sender: str, recipient: str) -> bool:
    """Nobody may write to the hermit: the page tells it in a toast."""
    return recipient != "hermit"


def people(ids: Sequence[str]) -> dict[str, dict[str, str | None]]:
    """The names of the people of this application."""
    return {user: {"name": NAMES[user], "avatar_url": None} for user in ids if user in NAMES}


tidings = Tidings(
    Config(db=os.environ.get("HOST_DB", "sqlite:///react-host.db"), secret=SECRET), may_send=may_send, people=people
)
app = Starlette(
    routes=[
        Mount("/api/message", routes=tidings.routes()),
        Route("/auth/sign-in", sign_in, methods=["POST"]),
        Route("/auth/token", token, methods=["POST"]),
        Route("/auth/sign-out", sign_out, methods=["POST"]),
        Mount("/", StaticFiles(directory=Path(__file__).parent / "dist", html=True)),
    ],
    lifespan=tidings.lifespan,
)
