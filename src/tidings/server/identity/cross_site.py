"""Which other origins are trusted, and what a cookie, or whatever else a browser sends by itself, is good for when a
page of another one calls.

Rules
1. Origins are listed, each in full. There is no wildcard: whoever may call from anywhere has no list.
2. A cookie goes out with requests that its owner did not make. One that comes with it from another site is refused;
   the listed origins are trusted.
3. By what the host's function knows a request, nobody here can tell: a cookie, a certificate, the password that a
   browser remembers. So each counts as sent by the browser itself, unless a page must have put a proof into it.

Source: W3C Fetch Metadata, 2.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.types import Scope

from tidings.errors import ConfigurationError, Forbidden
from tidings.server.config import environment_name

_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:\[[0-9a-f:.]+\]|[A-Za-z0-9._~-]+)(?::(?P<port>[1-9][0-9]{0,4}))?"
)
# Of ``Authorization``: a browser adds these by itself. Any other proof was put there by a page, which one of another
# origin may do only where CORS lets it.
_REMEMBERED_SCHEMES = (b"basic", b"digest", b"negotiate", b"ntlm")
_USUAL_PORTS = {"http": "80", "https": "443"}  # which browsers leave out


def trusted_origins(origins: Iterable[str]) -> frozenset[bytes]:
    """The origins of ``cors_origins`` as browsers write them.

    Raises:
        ConfigurationError: One of them is none.
    """
    return frozenset(check_origin("cors_origins", origin).encode() for origin in origins)


def refuse_cross_site(scope: Scope, trusted: frozenset[bytes]) -> None:
    """Refuse what a page of another site sent with the user's cookie.

    Raises:
        Forbidden: It comes from another site, or from another origin of this one.
    """
    if _is_cross_site(scope, trusted):
        raise Forbidden(
            "cross_site",
            "A page of another origin may not do this in the user's name. If it is yours, list its origin in"
            " cors_origins (TIDINGS_CORS_ORIGINS).",
        )


def may_be_forged(scope: Scope, trusted: frozenset[bytes]) -> bool:
    """Whether a page of another site may have made the user's browser send this, with all that signs the user in."""
    if not _is_cross_site(scope, trusted):
        return False
    proof = header(scope, b"authorization")
    return proof is None or proof.partition(b" ")[0].lower() in _REMEMBERED_SCHEMES


def _is_cross_site(scope: Scope, trusted: frozenset[bytes]) -> bool:
    """Whether a page sent it that is of another site, or of another origin of this one, and is not trusted.

    Every browser says by ``Sec-Fetch-Site`` where a request comes from, on HTTPS; before that, and on HTTP, by the
    ``Origin`` of all that is not a plain reading, whose answer the page cannot see. A request that says neither comes
    from no browser.
    """
    origin, site = header(scope, b"origin"), header(scope, b"sec-fetch-site")
    if origin is not None and origin in trusted:
        return False
    if site is not None:
        return site not in (b"same-origin", b"none")
    return origin is not None and origin.removeprefix(b"https://").removeprefix(b"http://") != header(scope, b"host")


def header(scope: Scope, wanted: bytes) -> bytes | None:
    """The first field of this name; None: there is none."""
    for name, value in scope["headers"]:  # a loop: each request of an embedding comes here
        if name == wanted:
            found: bytes = value
            return found
    return None


def check_origin(setting_name: str, origin: str) -> str:
    """The origin as browsers write it, whatever its scheme: pages are in applications and extensions, too.

    Raises:
        ConfigurationError: It is not one. ``null`` is none: it is everybody who hides where they come from.
    """
    found = _ORIGIN.fullmatch(origin)
    usual_port = _USUAL_PORTS.get(found["scheme"]) if found else None
    # The host of a scheme that browsers do not know stays as it is: Safari's extensions have capital letters in theirs.
    if not found or (usual_port and (found["port"] == usual_port or origin != origin.lower())):
        raise ConfigurationError(
            f"{setting_name} ({environment_name(setting_name)}): {origin!r} is not an origin as a browser writes it:"
            " scheme, host and a port that is not the usual one, in small letters, without a slash at the end; there is"
            " no wildcard"
        )
    return origin
