"""A FastAPI application with sessions of its own, and direct messages. Run it: uvicorn fastapi_app:app"""

from __future__ import annotations

import os
import secrets
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Response
from fastapi.security import APIKeyCookie

SESSIONS: dict[str, str] = {}


def current_user(session: Annotated[str, Depends(APIKeyCookie(name="session"))]) -> str:
    """The dependency that every such application has."""
    if session not in SESSIONS:
        raise HTTPException(401, "Please sign in.")
    return SESSIONS[session]


# direct messages
from tidings import Config  # noqa: E402
from tidings.fastapi import DirectMessages  # noqa: E402

messages = DirectMessages(Config(db=os.environ.get("HOST_DB", "sqlite:///messages.db")), user=current_user)
app = FastAPI(lifespan=messages.lifespan)
app.include_router(messages.router, prefix="/api/message")
# end


@app.post("/sign-in/{name}")
def sign_in(name: str, response: Response) -> str:
    """The name that somebody gives is that person: an example has no passwords."""
    session = secrets.token_urlsafe()
    SESSIONS[session] = name
    response.set_cookie("session", session, httponly=True, samesite="lax")
    return name
