"""A FastAPI application with sessions of its own, and direct messages. Run it: uvicorn fastapi_app:app

Then open /messages/#/ben as ada, and in another browser /messages/#/ada as ben.
"""

from __future__ import annotations

import os
from typing import Annotated
from urllib.parse import quote

import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.security import APIKeyCookie

SESSION_SECRET = os.environ.get("SESSION_SECRET", "an example; yours comes from its environment")


def current_user(session: Annotated[str, Depends(APIKeyCookie(name="session"))]) -> str:
    """The dependency that every such application has. Each of its processes reads the session: it is kept in none."""
    try:
        return str(jwt.decode(session, SESSION_SECRET, ["HS256"])["sub"])
    except jwt.InvalidTokenError:
        raise HTTPException(401, "Please sign in.") from None


# direct messages
from tidings import Config  # noqa: E402
from tidings.fastapi import DirectMessages  # noqa: E402

messages = DirectMessages(Config(db=os.environ.get("HOST_DB", "sqlite:///messages.db")), user=current_user)
page = messages.page("/messages", sign_in="/sign-in?next={here}")
app = FastAPI(lifespan=messages.lifespan, routes=page)
app.include_router(messages.router, prefix="/api/message")
# end


@app.get("/sign-in")
def choose(next: str) -> HTMLResponse:
    """Two people to choose from, and the way back to where somebody came from."""
    way = f"/sign-in/{{}}?next={quote(next)}"
    forms = (
        f'<form method="post" action="{way.format(name)}"><button>{name}</button></form>' for name in ("ada", "ben")
    )
    return HTMLResponse("".join(forms))


@app.post("/sign-in/{name}")
def sign_in(name: str, next: str = "") -> Response:
    """The name that somebody gives is that person: an example has no passwords."""
    is_here = next.startswith("/") and not next.startswith("//")
    response = RedirectResponse(next, 303) if is_here else JSONResponse(name)
    session = jwt.encode({"sub": name}, SESSION_SECRET, "HS256")
    response.set_cookie("session", session, httponly=True, samesite="lax")
    return response
