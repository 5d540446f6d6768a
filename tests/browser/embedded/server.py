"""Somebody's application around a conversation: its pages, its people by their names, and Tidings beside them."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from tidings import Config, Tidings


def named(request: HTTPConnection) -> str | None:
    return request.headers.get("authorization", "").removeprefix("Bearer ") or None


HERE = Path(__file__).parent
tidings = Tidings(Config(db=os.environ["HOST_DB"], sends_per_s=1000, sends_burst=1000), user=named)
app = Starlette(
    routes=[
        Mount("/api/message", routes=tidings.routes()),
        Mount("/", StaticFiles(directory=HERE / "dist", html=True)),
    ],
    lifespan=tidings.lifespan,
)
