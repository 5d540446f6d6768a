"""A FastAPI application of somebody else with a session of its own, which serves the web chat.

It stands below ``/shop``, which a proxy takes away from the path; so nothing in it knows its whole address.
"""

from __future__ import annotations

import os
from html import escape
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tidings import Config
from tidings.fastapi import DirectMessages

SHOP = "/shop"
NAMES = {"1": "Ada Lovelace", "2": "Ben Okri"}
PICTURE = "https://pictures.invalid/1.png"


def current_user(request: Request) -> str | None:
    """The session, which is the id here; nobody is None."""
    return request.cookies.get("session")


def people(ids: list[str]) -> dict[str, dict[str, str | None]]:
    """Names of all, and a picture of the first."""
    return {id: {"name": NAMES[id], "avatar_url": PICTURE if id == "1" else None} for id in ids if id in NAMES}


messages = DirectMessages(
    Config(
        db=os.environ.get("HOST_DB", "sqlite:///host.db"),
        frame_ancestors=tuple(filter(None, os.environ.get("HOST_FRAMES", "").split(","))),
    ),
    user=current_user,
    people=people,
)
page = messages.page("/account/messages", sign_in=f"{SHOP}/login?next={{here}}", sign_out=f"{SHOP}/logout")
app = FastAPI(lifespan=messages.lifespan, routes=page)
app.include_router(messages.router, prefix="/api/message")


@app.get("/login")
def login(next: str, user: str = "") -> Response:
    """Choose who one is, and come back."""
    if not user:
        links = "".join(
            f'<p><a href="?{escape(urlencode({"next": next, "user": id}))}">{name}</a></p>'
            for id, name in NAMES.items()
        )
        return HTMLResponse(f"<h1>Shop</h1>{links}")
    response = RedirectResponse(next)
    response.set_cookie("session", user, httponly=True, samesite="lax")
    return response


@app.get("/logout")
def logout() -> Response:
    """Sign out by a link."""
    response = HTMLResponse("<h1>You have left the shop</h1>")
    response.delete_cookie("session")
    return response


@app.get("/framing")
def framing(address: str) -> Response:
    """A page that frames another, as one of some other origin does."""
    return HTMLResponse(f'<h1>A page around it</h1><iframe src="{escape(address)}"></iframe>')


class Proxy:
    """It takes the beginning of the path away, and tells nobody."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            assert scope["path"].startswith(f"{SHOP}/"), scope["path"]
            path = scope["path"].removeprefix(SHOP)
            scope = {**scope, "path": path, "raw_path": scope["raw_path"].removeprefix(SHOP.encode())}
        await self._application(scope, receive, send)


served = Proxy(app)
