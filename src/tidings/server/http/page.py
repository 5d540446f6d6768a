"""The additions of ``serve`` to the API: the web chat, health, readiness and metrics."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from tidings.errors import Problem
from tidings.server.app import API_PREFIX, not_found
from tidings.server.node import Node

PAGE_FOLDER = Path(str(files("tidings"))) / "static"

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: https:;"
    " font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",  # addresses may hold a token fragment's page, and user ids
    "Cross-Origin-Opener-Policy": "same-origin",
}
_NOT_BUILT = """<!doctype html><meta charset="utf-8"><title>Tidings</title>
<h1>The web page is not built</h1>
<p>The server runs, and so does its API. To build the page, run this in the source tree, and reload:</p>
<pre>make setup</pre>
"""


def page_routes(node: Node, page_settings: dict[str, Any], connects_to: str = "") -> list[BaseRoute]:
    """Routes for the page, whose script reads ``page.json``, and for those who operate the server.

    ``connects_to`` is an origin that the page may talk to beside its own.
    """
    allowed = f"connect-src 'self' {connects_to}".rstrip()
    page_headers = {**_PAGE_HEADERS, "Content-Security-Policy": _POLICY.replace("connect-src 'self'", allowed)}

    async def page(_request: Request) -> Response:
        index = PAGE_FOLDER / "index.html"
        if not index.is_file():
            return HTMLResponse(_NOT_BUILT, 503, headers=page_headers)
        return HTMLResponse(index.read_text("utf-8"), headers={**page_headers, "Cache-Control": "no-cache"})

    async def settings(_request: Request) -> Response:
        return JSONResponse({"api": API_PREFIX, **page_settings}, headers={"Cache-Control": "no-store"})

    async def check(_request: Request) -> Response:
        # HAProxy's plain check, which asks OPTIONS of the first path; it is to look elsewhere while we drain.
        return Response(status_code=503 if node.hub.is_draining else 204, headers={"Allow": "GET, HEAD, OPTIONS"})

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        if node.hub.is_draining:
            return JSONResponse({"status": "draining"}, 503)
        try:
            await node.store.check()
        except Problem as problem:
            return JSONResponse({"status": "unavailable", "detail": problem.detail}, 503)
        # Who has a token by a known key is served all the same: no reason to take the node out.
        trouble = node.identity.trouble
        return JSONResponse({"status": "ok", "trouble": trouble} if trouble else {"status": "ok"})

    return [
        Route("/", page),
        Route("/", check, methods=["OPTIONS"]),
        Route("/page.json", settings),
        Route("/healthz", healthz, methods=["GET", "OPTIONS"]),
        Route("/readyz", readyz, methods=["GET", "OPTIONS"]),
        *([] if node.config.metrics_port else [_metrics_route(node)]),
        Mount("/assets", _Assets(directory=PAGE_FOLDER / "assets", check_dir=False)),
    ]


def metrics_app(node: Node) -> ASGIApp:
    """The metrics, and nothing else, for a port of their own."""
    return Router([_metrics_route(node)], redirect_slashes=False, default=not_found)


def _metrics_route(node: Node) -> Route:
    async def metrics(request: Request) -> Response:
        # In a thread: it lists the process's open files, 30 ms for 10,000, and looks at the database's.
        text, content_type = await asyncio.to_thread(node.metrics.render, request.headers.get("accept", ""))
        return Response(text, headers={"Content-Type": content_type})

    return Route("/metrics", metrics)


class _Assets(StaticFiles):
    """Files whose names carry a hash of their content: cached for ever."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a file, or say that there is none. They lie in one folder: to look through 2,000 takes 8 ms."""
        if scope["path"][len(scope["root_path"]) :].count("/") > 1:
            return await not_found(scope, receive, send)
        try:
            await super().__call__(scope, receive, send)
        except (HTTPException, RuntimeError):  # the folder is not there where the page was not built
            await not_found(scope, receive, send)

    def file_response(self, full_path: Any, stat_result: Any, scope: Scope, status_code: int = 200) -> Response:
        """The file, with our headers."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
