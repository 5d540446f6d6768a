"""Which other origins are trusted, and what a cookie is good for when a page of another one calls.

Rules
1. Origins are listed, each in full. There is no wildcard: whoever may call from anywhere has no list.
2. A cookie goes out with requests that its owner did not make. One that comes with it from another site is refused;
   the listed origins are trusted.

Source: W3C Fetch Metadata, 2.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.types import Scope

from tidings.errors import ConfigurationError, Forbidden

_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:\[[0-9a-f:.]+\]|[A-Za-z0-9._~-]+)(?::(?P<port>[1-9][0-9]{0,4}))?"
)
_USUAL_PORTS = {"http": "80", "https": "443"}  # which browsers leave out


def trusted_origins(origins: Iterable[str]) -> frozenset[bytes]:
    """The origins of ``cors_origins`` as browsers write them.

    Raises:
        ConfigurationError: One of them is none.
    """
    return frozenset(_check_origin(origin) for origin in origins)


def refuse_cross_site(scope: Scope, trusted: frozenset[bytes]) -> None:
    """Refuse what a page of another site sent with the user's cookie.

    Every browser says by ``Sec-Fetch-Site`` where a request comes from, on HTTPS; before that, and on HTTP, by the
    ``Origin`` of all that is not a plain reading, whose answer the page cannot see. A request that says neither comes
    from no browser.

    Raises:
        Forbidden: It comes from another site, or from another origin of this one.
    """
    origin, site = header(scope, b"origin"), header(scope, b"sec-fetch-site")
    if origin is not None and origin in trusted:
        return
    if site is not None:
        is_ours = site in (b"same-origin", b"none")
    else:
        is_ours = origin is None or origin.removeprefix(b"https://").removeprefix(b"http://") == header(scope, b"host")
    if not is_ours:
        raise Forbidden("cross_site", "A page of another origin may not do this in the user's name.")


def header(scope: Scope, wanted: bytes) -> bytes | None:
    """The first field of this name; None: there is none."""
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
