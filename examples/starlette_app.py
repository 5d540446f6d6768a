"""A Starlette application with sessions of its own, and direct messages. Run it: uvicorn starlette_app:app

Then open /messages/#/ben as ada, and in another browser /messages/#/ada as ben.
"""

from __future__ import annotations

import os
from urllib.parse import quote

import jwt
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

SESSION_SECRET = os.environ.get("SESSION_SECRET", "an example; yours comes from its environment")


def current_user(request: HTTPConnection) -> str | None:
    """Return the user that is signed in. Each process of the application reads the session: it is kept in none."""
    try:
        return str(jwt.decode(request.cookies.get("session", ""), SESSION_SECRET, ["HS256"])["sub"])
    except jwt.InvalidTokenError:
        return None


async def choose(request: Request) -> HTMLResponse:
    """Two people to choose from, and the way back to where somebody came from."""
    way = f"/sign-in/{{}}?next={quote(request.query_params['next'])}"
    forms = (
        f'<form method="post" action="{way.format(name)}"><button>{name}</button></form>' for name in ("ada", "ben")
    )
    return HTMLResponse("".join(forms))


async def sign_in(request: Request) -> Response:
    """The name that somebody gives is that person: an example has no passwords."""
    name, next = request.path_params["name"], request.query_params.get("next", "")
    is_here = next.startswith("/") and not next.startswith("//")
    response = RedirectResponse(next, 303) if is_here else PlainTextResponse(name)
    session = jwt.encode({"sub": name}, SESSION_SECRET, "HS256")
    response.set_cookie("session", session, httponly=True, samesite="lax")
    return response


routes: list[BaseRoute] = [Route("/sign-in", choose), Route("/sign-in/{name}", sign_in, methods=["POST"])]

# direct messages
from tidings import Config, Tidings  # noqa: E402

messages = Tidings(Config(db=os.environ.get("HOST_DB", "sqlite:///messages.db")), user=current_user)
routes.append(Mount("/api/message", routes=messages.routes()))
routes += messages.page("/messages", sign_in="/sign-in?next={here}")
app = Starlette(routes=routes, lifespan=messages.lifespan)
# end
