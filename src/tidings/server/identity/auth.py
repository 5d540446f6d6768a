"""The caller of a request: from a request to a user id.

Rules
1. Nothing configured means nobody is let in: the server refuses to start.
2. The host's function, where there is one, is asked for every request and nothing else is, but not for what a page of
   another site made the user's browser send (``cross_site.py``). Without one tokens tell (``tokens.py``), signed with
   our own secret or by an identity provider (``jwks.py``).
3. A request with a service key (``service_keys.py``) is a program's, and neither is asked of it.
4. A caller that was let in may be told to go: ``revoke``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from starlette.requests import HTTPConnection
from starlette.types import Scope

from tidings.errors import ConfigurationError, Unauthorized
from tidings.protocol.shown_url import shown_url
from tidings.protocol.user_id import UserId, check_user_id
from tidings.server.config import Config
from tidings.server.host.functions import call_host
from tidings.server.identity.caller import CALLER, Caller
from tidings.server.identity.cross_site import may_be_forged, refuse_cross_site, trusted_origins
from tidings.server.identity.revocation import Revocations
from tidings.server.identity.service_keys import ServiceKeys, service_key_of
from tidings.server.identity.tokens import NoteProfile, TokenIdentity
from tidings.server.metrics import Metrics

if TYPE_CHECKING:
    from tidings.server.identity.jwks import KeySet, Spawn

log = logging.getLogger("tidings.auth")

_FOR_WHOM = "audience (TIDINGS_AUDIENCE) or authorized_parties (TIDINGS_AUTHORIZED_PARTIES)"

IdentifyUser = Callable[[HTTPConnection], str | Awaitable[str | None] | None]
"""The host's function: the user id of a request, or None for nobody. Sync or async."""


class Identity(Protocol):
    """How callers are known: by tokens (``TokenIdentity``), or by the host's function (``HostIdentity``)."""

    revocations: Revocations

    @property
    def trouble(self) -> str:
        """Return why some callers may not be told now, for an operator. Empty when all can be."""

    async def start(self, spawn: Spawn, *, must_answer: bool) -> None:
        """Get what is needed, in tasks of ``spawn``; called again in another event loop.

        Raises:
            NotNow: ``must_answer``, and nobody can be known.
        """

    async def identify(self, scope: Scope) -> Caller:
        """The caller.

        Raises:
            Unauthorized: Nobody we know, or no longer.
            Forbidden: A page of another site came with the user's cookie.
            Unavailable: It cannot be told now.
        """

    def revoke(self, user: UserId, until: float | None = None) -> float | None:
        """Refuse whatever this user was known by until now, or until another node's time; what to ``remember`` after a
        restart, None: nothing.
        """

    def remember(self, revoked: Mapping[UserId, float]) -> None:
        """Refuse what was refused before the restart, the oldest first."""


def choose_identity(
    config: Config,
    user: IdentifyUser | None,
    metrics: Metrics,
    service_keys: ServiceKeys | None = None,
    note_profile: NoteProfile | None = None,
) -> Identity:
    """The host's function if there is one, else tokens, whose names and pictures ``note_profile`` gets; service keys
    beside either.

    Raises:
        ConfigurationError: Nothing is configured, or what is cannot work.
    """
    if user is not None:
        return HostIdentity(user, trusted_origins(config.cors_origins), service_keys)
    keys = _keys(config, metrics)
    if not config.secret and keys is None:
        raise ConfigurationError(
            "nobody could sign in: set secret (TIDINGS_SECRET; make one with: openssl rand -hex 32) for tokens of your"
            " own, or issuer (TIDINGS_ISSUER) or jwks_url (TIDINGS_JWKS_URL) for those of an identity provider,"
            " or pass user= when Tidings is part of your application"
        )
    return TokenIdentity(config, keys, service_keys=service_keys, note_profile=note_profile)


def _keys(config: Config, metrics: Metrics) -> KeySet | None:
    """An identity provider's keys, where one is configured. An issuer beside a secret is that of its tokens."""
    if not config.jwks_url and (config.secret or not config.issuer):
        return None
    if not (config.issuer or config.audience or config.authorized_parties):
        raise ConfigurationError(
            "with jwks_url (TIDINGS_JWKS_URL) alone every token of that provider would count, also those for others:"
            f" set issuer (TIDINGS_ISSUER), and {_FOR_WHOM}"
        )
    if not (config.audience or config.authorized_parties):
        issuer = shown_url(config.issuer)
        log.warning("every token of %s counts: set %s", issuer, _FOR_WHOM)
    from tidings.server.identity.jwks import KeySet  # brings an HTTP client, which no other way to sign in needs

    return KeySet(url=config.jwks_url, issuer=config.issuer, metrics=metrics)


class HostIdentity:
    """The ``Identity`` by the host application's own function."""

    def __init__(self, user: IdentifyUser, trusted: frozenset[bytes], service_keys: ServiceKeys | None = None) -> None:
        """
        Args:
            trusted: The origins whose pages may call in the user's name.
        """
        self.revocations = Revocations()
        self._user = user
        self._trusted_origins = trusted
        self._service_keys = service_keys

    @property
    def trouble(self) -> str:
        """None: the host's function tells the host."""
        return ""

    async def start(self, spawn: Spawn, *, must_answer: bool) -> None:
        """Nothing is needed."""

    async def identify(self, scope: Scope) -> Caller:
        if self._service_keys is not None and (secret := service_key_of(scope)) is not None:
            by_key = await self._service_keys.identify(scope, secret)
            self.revocations.check(by_key)
            return by_key
        if may_be_forged(scope, self._trusted_origins):
            refuse_cross_site(scope, self._trusted_origins)
        asked_at = time.monotonic()
        user = await call_host("user()", self._user, HTTPConnection(scope))
        if user is None:
            raise Unauthorized("unauthorized", "Please sign in.")
        # A bool or a number would let everybody in under one name; what it is may be secret, so its type is told.
        if not isinstance(user, str):
            log.error("user() of the host application answered a %s: nobody but text is a user", type(user).__name__)
            raise Unauthorized("unauthorized", "Please sign in.")
        try:
            caller = Caller(check_user_id(str.__str__(user)), None, asked_at)
        except ValueError as wrong:
            log.error("user() of the host application answered what is no user id: %s", wrong)  # noqa: TRY400
            raise Unauthorized("unauthorized", "Please sign in.") from None
        scope[CALLER] = caller.user
        self.revocations.check(caller)
        return caller

    def revoke(self, user: UserId, until: float | None = None) -> None:
        """The answers until now count no more, whatever the time elsewhere; the function is asked anew."""
        self.revocations.add(user, time.monotonic())

    def remember(self, revoked: Mapping[UserId, float]) -> None:
        """Nothing: the host's function is asked anew."""
