"""The answers that browsers get about pages of other origins (CORS): which may call.

The headers are added where an answer or a stream writes its own, and nothing wraps ``send``: a wrapper would cost
every stream memory and every frame a call.

Source: WHATWG Fetch, 3.3.
"""

from __future__ import annotations

from starlette.types import Scope, Send

from tidings.errors import Forbidden
from tidings.server.api.answer import guard
from tidings.server.identity.cross_site import header

PREFLIGHT_MAX_AGE_S = 7200  # how long a browser may keep a preflight's answer; browsers cap it near there

Headers = tuple[tuple[bytes, bytes], ...]


class Cors:
    """The fields that tell browsers about the listed origins. ``with_credentials``: they may send cookies."""

    def __init__(self, origins: frozenset[bytes], *, with_credentials: bool) -> None:
        self._origins = origins
        credentials = ((b"access-control-allow-credentials", b"true"),) if with_credentials else ()
        self._vary: Headers = ((b"vary", b"Origin"),) if origins else ()
        self._headers: dict[bytes, Headers] = {
            origin: (
                *self._vary,
                (b"access-control-allow-origin", origin),
                (b"access-control-expose-headers", b"Retry-After"),
                *credentials,
            )
            for origin in origins
        }

    def headers(self, scope: Scope) -> Headers:
        """Return the fields that an answer to this request has beside its own."""
        if not self._origins:
            return ()
        return self._headers.get(header(scope, b"origin") or b"", self._vary)

    def is_preflight(self, scope: Scope) -> bool:
        """Whether a browser asks if it may send what it was told to send."""
        return (
            scope["method"] == "OPTIONS"
            and bool(self._origins)
            and header(scope, b"origin") is not None
            and header(scope, b"access-control-request-method") is not None
        )

    async def answer_preflight(self, scope: Scope, send: Send) -> None:
        """Say what a page of this origin may send.

        Raises:
            Forbidden: Nothing: the origin is not listed.
        """
        if header(scope, b"origin") not in self._origins:
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
