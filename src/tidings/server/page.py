"""The web chat as routes, under any path: of ``serve``, and of an application of others.

Rules of this file:

- All addresses are relative to the page's own: it works below a mount, and behind a proxy that takes a part of the path
  away.
- The page and its files are for everybody, and hold nothing of anybody. The API alone tells who asks.
- ``page.json`` tells the script where the API is and how one signs in: by the host's cookie (``session``), or by a
  token (``token``).
- No other site's page frames it, except those of ``frame_ancestors``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from tidings.errors import ConfigurationError
from tidings.server.api.answer import guard, not_found
from tidings.server.config import environment_name
from tidings.server.identity.cross_site import check_origin
from tidings.server.node import Node

PAGE_FOLDER = Path(str(files("tidings"))) / "static"
SCRIPT = "embed.js"
"""For pages of others (docs/embed/plain-page.md)."""

_PAGE_HEADERS = {
    "Referrer-Policy": "no-referrer",  # addresses may hold a token fragment's page, and user ids
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_NOT_BUILT = """<!doctype html><meta charset="utf-8"><title>Tidings</title>
<h1>The web page is not built</h1>
<p>The server runs, and so does its API. To build the page, run this in the source tree, and reload:</p>
<pre>make setup</pre>
"""

_OUR_OWN = "self"  # in ``frame_ancestors``: pages of the page's own origin
_NOBODY = ("'none'",)
_PATH = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%{}/-]+")


def page_routes(
    node: Node,
    path: str,
    *,
    api: str,
    sign_in: str = "",
    sign_out: str = "",
    more: Mapping[str, Any] | None = None,
    connects_to: str = "",
) -> list[BaseRoute]:
    """Routes for the page below ``path``; see ``Tidings.page``.

    ``more`` is for the script beside that; ``connects_to`` an origin that the page may talk to beside its own.

    Raises:
        ConfigurationError: An address, or an origin of ``frame_ancestors``, is none.
    """
    config = node.config
    below = _checked_path("path", path, "/messages").rstrip("/")
    addresses = {
        "sign_in_url": _checked_address("sign_in", sign_in) or _checked_address("sign_in_url", config.sign_in_url),
        "sign_out_url": _checked_address("sign_out", sign_out) or _checked_address("sign_out_url", config.sign_out_url),
    }
    known = {
        "api": _seen_from(below, _checked_path("api", api, "/api/message")),
        "sign_in": "session" if node.takes_cookies else "token",
        "people_search": node.search_people is not None,
        **{name: address for name, address in addresses.items() if address},
        **(more or {}),
    }
    page_headers = {**_PAGE_HEADERS, "Content-Security-Policy": _policy(config.frame_ancestors, connects_to)}

    built = StaticFiles(directory=PAGE_FOLDER, check_dir=False)

    async def page(request: Request) -> Response:
        index = PAGE_FOLDER / "index.html"
        if not index.is_file():
            return _guarded(request, HTMLResponse(_NOT_BUILT, 503, headers=page_headers))
        return _guarded(request, HTMLResponse(index.read_text("utf-8"), headers=page_headers))

    async def settings(request: Request) -> Response:
        return _guarded(request, JSONResponse(known, headers={"Cache-Control": "no-store"}))

    async def script(request: Request) -> Response:
        # Its name is the same with each version: a browser asks each time whether it is the one that it has.
        try:
            response = await built.get_response(SCRIPT, request.scope)
        except (HTTPException, RuntimeError):  # it is not there where the page was not built
            return _guarded(request, HTMLResponse(_NOT_BUILT, 503))
        response.headers["Cache-Control"] = "no-cache"
        return _guarded(request, response)

    async def to_the_folder(request: Request) -> Response:
        # Relative: behind a proxy that takes a part of the path away nobody here knows the rest.
        query = request.url.query
        folder = quote(request.scope["path"].rpartition("/")[2])
        return Response(status_code=307, headers={"Location": f"./{folder}/" + (query and f"?{query}")})

    return [
        *([Route(below, to_the_folder)] if below else []),
        Route(f"{below}/", page),
        Route(f"{below}/page.json", settings),
        Route(f"{below}/{SCRIPT}", script),
        Mount(f"{below}/assets", _Assets(directory=PAGE_FOLDER / "assets", check_dir=False)),
    ]


def _policy(frame_ancestors: tuple[str, ...], connects_to: str) -> str:
    """The content policy: nothing of other origins but pictures, and nobody but these frames the page."""
    may_frame = ["'self'" if each == _OUR_OWN else check_origin("frame_ancestors", each) for each in frame_ancestors]
    connected = ["'self'", *([connects_to] if connects_to else [])]
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; connect-src {' '.join(connected)};"
        " img-src 'self' data: https:; font-src 'self'; base-uri 'none'; form-action 'none';"
        f" frame-ancestors {' '.join(may_frame or _NOBODY)}"
    )


def _guarded(request: Request, response: Response) -> Response:
    response.raw_headers.extend(guard(request.scope))
    return response


def _seen_from(below: str, api: str) -> str:
    """The API's address relative to the page's."""
    return posixpath.relpath(api, below or "/") if api.startswith("/") else api.rstrip("/")


def _checked_path(name: str, path: str, example: str) -> str:
    """The path of an address.

    Raises:
        ConfigurationError: It is none.
    """
    if not _PATH.fullmatch(path) or "//" in path or (name == "path" and not path.startswith("/")):
        raise ConfigurationError(f"{name}={path!r} is no path; it is like {example!r}")
    return path


def _checked_address(name: str, address: str) -> str:
    """An address that a link may lead to; "" is none.

    Raises:
        ConfigurationError: It is no path of this origin, and no web address.
    """
    parts = urlsplit(address)
    is_path = address.startswith("/") and not address.startswith("//") and "\\" not in address
    is_web = parts.scheme in ("http", "https") and bool(parts.hostname)
    if address and not ((is_path or is_web) and address.isprintable() and " " not in address):
        shown = f"{name} ({environment_name(name)})" if name.endswith("_url") else f"{name}="
        raise ConfigurationError(f"{shown}: {address!r} is neither a path, like '/login', nor an http(s) address")
    return address


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
        response.raw_headers.extend(guard(scope))
        return response
