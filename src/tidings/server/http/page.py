"""The web chat, which ``serve`` serves beside the API."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from tidings.server.app import API_PREFIX, not_found

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


def page_routes(page_settings: dict[str, Any], connects_to: str = "") -> list[BaseRoute]:
    """Routes for the page, whose script reads ``page.json``.

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

    return [
        Route("/", page),
        Route("/page.json", settings),
        Mount("/assets", _Assets(directory=PAGE_FOLDER / "assets", check_dir=False)),
    ]


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
