"""Somebody's shop: pages under a strict content policy, a cookie that says who is signed in, and messages."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from tidings import Config, Tidings

HERE = Path(__file__).parent
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;"
    " base-uri 'none'; require-trusted-types-for 'script'"
)
NAMES = {"shop": "Lowtide Ceramics"}


def signed_in(request: HTTPConnection) -> str | None:
    """The cookie of the shop's sign-in; the tests themselves name who they are."""
    return request.cookies.get("who") or request.headers.get("authorization", "").removeprefix("Bearer ") or None


async def people(ids: list[str]) -> dict[str, dict[str, str]]:
    return {each: {"name": NAMES.get(each, each.capitalize())} for each in ids}


async def shop(_request: Request) -> Response:
    return FileResponse(HERE / "index.html", headers={"Content-Security-Policy": POLICY})


async def sign_in(request: Request) -> Response:
    response = PlainTextResponse("You are signed in.")
    response.set_cookie("who", request.path_params["name"])
    return response


tidings = Tidings(Config(db=os.environ["HOST_DB"], sends_per_s=1000, sends_burst=1000), user=signed_in, people=people)
app = Starlette(
    routes=[
        Route("/", shop),
        Route("/sign-in/{name}", sign_in),
        Route("/favicon.ico", lambda _request: Response(status_code=204)),
        Mount("/api/message", routes=tidings.routes()),
        Mount("/files", StaticFiles(directory=HERE)),
        *tidings.page("/messages"),
    ],
    lifespan=tidings.lifespan,
)
