"""Who is asking: from a request to a user id.

Rules
1. Nothing configured means nobody is let in: the server refuses to start.
2. HS256 tokens: the algorithm is fixed by the kind of key and never read from the token; ``exp`` and ``sub`` are
   required; TOKEN_LEEWAY_S of leeway.
3. The header wins over ``?token=``, which counts only where configured.
4. A token whose signature was good is known by its exact text, also when it has expired: a client that sends
   often, or comes every second with a dead token, costs a look-up.
5. No token is ever logged; a refusal says what is wrong with it and not what it was.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qs

import jwt
from starlette.requests import HTTPConnection
from starlette.types import Scope

from tidings.errors import ConfigurationError, Unauthorized, Unavailable
from tidings.protocol.events import UserId
from tidings.protocol.user_id import check_user_id
from tidings.server.config import HOST_CALL_MAX_S, TOKEN_CACHE_MAX, TOKEN_LEEWAY_S, TOKEN_SIZE_MAX_BYTES, Config

log = logging.getLogger("tidings.auth")

IdentifyUser = Callable[[HTTPConnection], str | Awaitable[str | None] | None]
"""The host's function: the user id of a request, or None for nobody. Sync or async."""


class Caller(NamedTuple):
    """Who is asking, and until when that is known (seconds since 1970; None: for as long as the stream lives)."""

    user: UserId
    expires_at: float | None


class Identity(Protocol):
    """How callers are known."""

    async def identify(self, scope: Scope) -> Caller:
        """The caller.

        Raises:
            Unauthorized: Nobody we know.
        """


def choose_identity(config: Config, user: IdentifyUser | None) -> Identity:
    """The host's function if there is one, else tokens.

    Raises:
        ConfigurationError: Neither is configured.
    """
    if user is not None:
        return HostIdentity(user)
    if not config.secret:
        raise ConfigurationError(
            "nobody could sign in: set TIDINGS_SECRET (make one with: openssl rand -hex 32),"
            " or pass user= when Tidings is part of your application"
        )
    return TokenIdentity(config.secret, allow_query=config.query_token)


class TokenIdentity:
    """HS256 tokens in ``Authorization: Bearer``, or in ``?token=`` where configured."""

    def __init__(self, secret: str, *, allow_query: bool, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._allow_query = allow_query
        self._clock = clock
        self._known: OrderedDict[str, Caller] = OrderedDict()
        if allow_query:
            hide_tokens_in_access_log()

    async def identify(self, scope: Scope) -> Caller:
        """See ``Identity.identify``."""
        token = self._find(scope)
        known = self._known.get(token)
        if known is None:
            known = self._check(token)
            self._known[token] = known
            if len(self._known) > TOKEN_CACHE_MAX:
                self._known.popitem(last=False)
        assert known.expires_at is not None
        if self._clock() >= known.expires_at:
            raise Unauthorized("unauthorized", "The token has expired; get a new one.")
        return known

    def _find(self, scope: Scope) -> str:
        for name, value in scope["headers"]:
            if name == b"authorization":
                scheme, _, token = value.decode("latin-1").partition(" ")
                if scheme.lower() != "bearer":
                    raise Unauthorized("unauthorized", "The Authorization header is not 'Bearer <token>'.")
                return self._sized(token.strip())
        if self._allow_query and b"token=" in scope["query_string"]:
            values = parse_qs(scope["query_string"].decode("latin-1")).get("token")
            if values:
                return self._sized(values[0])
        raise Unauthorized("unauthorized", "No token came with the request; send 'Authorization: Bearer <token>'.")

    @staticmethod
    def _sized(token: str) -> str:
        if len(token) > TOKEN_SIZE_MAX_BYTES:
            raise Unauthorized("unauthorized", "The token is too long to be one of ours.")
        return token

    def _check(self, token: str) -> Caller:
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=["HS256"],
                options={"require": ["exp", "sub"], "verify_exp": False, "verify_aud": False},
                leeway=TOKEN_LEEWAY_S,
            )
            expires_at = float(claims["exp"]) + TOKEN_LEEWAY_S
            return Caller(check_user_id(claims["sub"]), expires_at)
        except jwt.MissingRequiredClaimError as missing:
            raise Unauthorized("unauthorized", f"The token has no {missing.claim} claim.") from None
        except jwt.InvalidSignatureError:
            raise Unauthorized("unauthorized", "The token was not signed with this server's secret.") from None
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError):
            raise Unauthorized("unauthorized", "The token is not valid; get a new one.") from None


class HostIdentity:
    """The host application's own function."""

    def __init__(self, user: IdentifyUser) -> None:
        self._user = user

    async def identify(self, scope: Scope) -> Caller:
        """See ``Identity.identify``."""
        user = await call_host("user()", self._user, HTTPConnection(scope))
        if user is None:
            raise Unauthorized("unauthorized", "Please sign in.")
        try:
            return Caller(check_user_id(user), None)
        except (ValueError, TypeError):
            log.exception("user() of the host application returned what cannot be a user id")
            raise Unauthorized("unauthorized", "Please sign in.") from None


async def call_host(name: str, function: Callable[..., Any], *arguments: object) -> Any:
    """Call a function of the host, sync or async, within HOST_CALL_MAX_S.

    Raises:
        Unavailable: It failed or took too long; the traceback is in the log.
    """
    try:
        result = function(*arguments)
        if inspect.isawaitable(result):
            async with asyncio.timeout(HOST_CALL_MAX_S):
                result = await result
    except Exception:
        log.exception("%s of the host application failed", name)
        raise Unavailable("unavailable", "The application could not answer; try again.", retry_after_s=2) from None
    return result


class _TokenFilter(logging.Filter):
    """Cuts ``token=`` values out of a server's access log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record's arguments; let every record pass."""
        if isinstance(record.args, tuple):
            record.args = tuple(_without_token(part) if isinstance(part, str) else part for part in record.args)
        return True


def _without_token(text: str) -> str:
    before, found, rest = text.partition("token=")
    if not found:
        return text
    _token, separator, after = rest.partition("&")
    return f"{before}token=hidden{separator}{_without_token(after)}"


def hide_tokens_in_access_log() -> None:
    """Make uvicorn's access log print ``token=hidden``: it prints whole addresses."""
    access = logging.getLogger("uvicorn.access")
    if not any(isinstance(each, _TokenFilter) for each in access.filters):
        access.addFilter(_TokenFilter())
