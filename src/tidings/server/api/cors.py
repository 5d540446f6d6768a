"""Pages of other origins: which may call (CORS), and what a cookie is good for when one of them calls.

Rules
1. Origins are listed, each in full. There is no wildcard: whoever may call from anywhere has no list.
2. The headers are added where an answer or a stream writes its own, and nothing wraps ``send``: a wrapper would cost
   every stream memory and every frame a call.
3. A cookie goes out with requests that its owner did not make. One that comes with it from another site is refused;
   the listed origins are trusted.

Source: WHATWG Fetch, 3.3; W3C Fetch Metadata, 2.3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from starlette.types import Scope, Send

from tidings.errors import ConfigurationError, Forbidden
from tidings.server.api.answer import guard
from tidings.server.config import PREFLIGHT_MAX_AGE_S

Headers = tuple[tuple[bytes, bytes], ...]

_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:\[[0-9a-f:.]+\]|[A-Za-z0-9._~-]+)(?::(?P<port>[1-9][0-9]{0,4}))?"
)
_USUAL_PORTS = {"http": "80", "https": "443"}  # which browsers leave out


class Cors:
    """What browsers are told about the listed origins. ``with_credentials``: they may send cookies."""

    def __init__(self, origins: Sequence[str], *, with_credentials: bool) -> None:
        self.origins = frozenset(_check_origin(origin) for origin in origins)
        credentials = ((b"access-control-allow-credentials", b"true"),) if with_credentials else ()
        self._vary: Headers = ((b"vary", b"Origin"),) if self.origins else ()
        self._headers: dict[bytes, Headers] = {
            origin: (
                *self._vary,
                (b"access-control-allow-origin", origin),
                (b"access-control-expose-headers", b"Retry-After"),
                *credentials,
            )
            for origin in self.origins
        }

    def headers(self, scope: Scope) -> Headers:
        """What an answer to this request says beside its own headers."""
        if not self.origins:
            return ()
        return self._headers.get(_header(scope, b"origin") or b"", self._vary)

    def is_preflight(self, scope: Scope) -> bool:
        """Whether a browser asks if it may send what it was told to send."""
        return (
            scope["method"] == "OPTIONS"
            and bool(self.origins)
            and _header(scope, b"origin") is not None
            and _header(scope, b"access-control-request-method") is not None
        )

    async def answer_preflight(self, scope: Scope, send: Send) -> None:
        """Say what a page of this origin may send.

        Raises:
            Forbidden: Nothing: the origin is not listed.
        """
        if _header(scope, b"origin") not in self.origins:
            raise Forbidden("cross_site", "Pages of this origin may not call; the operator lists those that may.")
        headers = [
            *self.headers(scope),
            (b"access-control-allow-methods", b"GET, POST"),
            (b"access-control-allow-headers", b"Authorization, Content-Type, Last-Event-ID"),
            (b"access-control-max-age", b"%d" % PREFLIGHT_MAX_AGE_S),
            *guard(scope),
        ]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def refuse_cross_site(scope: Scope, trusted: frozenset[bytes]) -> None:
    """Refuse what a page of another site sent with the user's cookie.

    Every browser says by ``Sec-Fetch-Site`` where a request comes from, on HTTPS; before that, and on HTTP, by the
    ``Origin`` of all that is not a plain reading, whose answer the page cannot see. What says neither is no browser.

    Raises:
        Forbidden: It comes from another site, or from another origin of this one.
    """
    origin, site = _header(scope, b"origin"), _header(scope, b"sec-fetch-site")
    if origin is not None and origin in trusted:
        return
    if site is not None:
        is_ours = site in (b"same-origin", b"none")
    else:
        is_ours = origin is None or origin.removeprefix(b"https://").removeprefix(b"http://") == _header(scope, b"host")
    if not is_ours:
        raise Forbidden("cross_site", "A page of another origin may not do this in the user's name.")


def _header(scope: Scope, wanted: bytes) -> bytes | None:
    found: bytes | None = next((value for name, value in scope["headers"] if name == wanted), None)
    return found


def _check_origin(origin: str) -> bytes:
    """The origin as browsers write it, whatever its scheme: pages are in applications and extensions, too.

    Raises:
        ConfigurationError: It is not one. ``null`` is none: it is everybody who hides where they come from.
    """
    found = _ORIGIN.fullmatch(origin)
    usual_port = _USUAL_PORTS.get(found["scheme"]) if found else None
    # The host of a scheme that browsers do not know stays as it is: Safari's extensions have capital letters in theirs.
    if not found or (usual_port and (found["port"] == usual_port or origin != origin.lower())):
        raise ConfigurationError(
            f"cors_origins (TIDINGS_CORS_ORIGINS): {origin!r} is not an origin as a browser writes it: scheme, host and"
            " a port that is not the usual one, in small letters, without a slash at the end; there is no wildcard"
        )
    return origin.encode()
