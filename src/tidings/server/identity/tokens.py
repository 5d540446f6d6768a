"""From a token to a caller: where it stands in a request, whether it is good, and whom it names.

Rules
1. The algorithm is fixed by the kind of key and never read from the token: a secret is HS256, an RSA key RS256, a
   P-256 key ES256. The token's header says no more than where to look for the key, and what the token is for: one that
   a provider signs for something else (a sign-out, an event), or binds to a key of its holder, lets nobody in.
2. ``exp`` and the user's claim are required; TOKEN_LEEWAY_S of leeway for all times.
3. ``Authorization`` wins over ``?token=``, which counts only where configured, and that over the cookie. Browsers send
   a cookie with requests that its owner did not make, so one of another site that comes with it is refused.
4. A token whose signature was good is known by its hash, also when it has expired: a client that sends often, or
   comes every second with a dead token, costs a look-up.
5. An address that came with too many bad tokens is told to wait, with each further bad one, and no key server is asked
   for it. A token of a key that we have is checked all the same, and passes if it is good: nobody shuts out whoever
   shares an address. That costs some 50 us, and a flood costs more than that before it comes here.
6. No token is ever logged; a refusal says what is wrong with it and not what it was.
"""

from __future__ import annotations

import contextlib
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote_to_bytes

import jwt
from starlette.types import Scope

from tidings.errors import ConfigurationError, TooManyRequests, Unauthorized
from tidings.protocol.user_id import UserId, check_user_id
from tidings.server.config import Config
from tidings.server.identity.address import Addresses
from tidings.server.identity.caller import CALLER, Caller, RecentCallers
from tidings.server.identity.claims import read_profile
from tidings.server.identity.cross_site import refuse_cross_site, trusted_origins
from tidings.server.identity.rates import RateLimit
from tidings.server.identity.revocation import Revocations
from tidings.server.identity.service_keys import ServiceKeys, service_key_of
from tidings.server.own_connection import charge
from tidings.server.store import TokenProfile

if TYPE_CHECKING:
    from tidings.server.identity.jwks import KeySet, Spawn

TOKEN_CACHE_MAX = 40_000  # tokens checked before: twice streams_max, who all may come back at once; 90 us saved each
TOKEN_SIZE_MAX_BYTES = 8192  # longer ones are refused unread; proxies cut headers near there
TOKEN_LEEWAY_S = 30  # clocks differ

NoteProfile = Callable[[UserId, TokenProfile], None]

TOKEN_TYPES = frozenset({"jwt", "at+jwt"})  # RFC 7519 5.1, RFC 9068 2.1; and none

_SIGNATURES = jwt.PyJWS()


class Rules(NamedTuple):
    """The claims that a token must have, under any signature. A rule that is empty is not checked."""

    issuer: str
    audience: frozenset[str]
    authorized_parties: frozenset[str]
    user_claim: str

    def read(self, claims: dict[str, Any], now: float) -> Caller:
        """The caller that these claims name.

        Raises:
            Unauthorized: They break a rule; the sentence says which.
        """
        expires_at, issued_at = _time(claims, "exp"), _time(claims, "iat")
        if expires_at is None:
            raise _refused("The token has no exp claim.")
        if max(issued_at or 0.0, _time(claims, "nbf") or 0.0) > now + TOKEN_LEEWAY_S:
            raise _refused("The token is not valid yet; do the clocks agree?")
        if self.issuer and claims.get("iss") != self.issuer:
            raise _refused("The token is of another issuer (iss).")
        if self.audience and self.audience.isdisjoint(_texts(claims.get("aud"))):
            raise _refused("The token is for another audience (aud).")
        # RFC 9068 says client_id for what others say azp for.
        party = claims.get("azp", claims.get("client_id"))
        if self.authorized_parties and self.authorized_parties.isdisjoint(_texts(party)):
            raise _refused("The token was made for another party (azp).")
        if (
            claims.get("events") is not None
        ):  # RFC 8417: a sign-out, for instance, which many issuers send as a plain JWT
            raise _refused("The token tells of an event (events), and signs nobody in.")
        if claims.get("cnf") is not None:  # RFC 7800: good only together with a proof that we do not ask for
            raise _refused("The token is bound to a key of its holder (cnf), which is not supported here.")
        try:
            user = check_user_id(_text(claims.get(self.user_claim)))
        except ValueError:
            raise _refused(f"The token's {self.user_claim} is missing or cannot be a user id.") from None
        return Caller(user, expires_at + TOKEN_LEEWAY_S, -math.inf if issued_at is None else issued_at)


class TokenIdentity:
    """The ``Identity`` by JSON Web Tokens: of our own secrets and of an identity provider's keys, where configured."""

    def __init__(
        self,
        config: Config,
        keys: KeySet | None,
        clock: Callable[[], float] = time.time,
        *,
        service_keys: ServiceKeys | None = None,
        note_profile: NoteProfile | None = None,
    ) -> None:
        """
        Args:
            note_profile: Called with the name and picture in a good token that was not seen here before.
        """
        self._profile_claims = config.name_claim, config.picture_claim
        self._note_profile = note_profile
        self.revocations = Revocations()
        self._service_keys = service_keys
        self._secrets = [secret for secret in (config.secret, *config.former_secrets) if secret]
        self._keys = keys
        self._rules = Rules(
            config.issuer, frozenset(config.audience), frozenset(config.authorized_parties), config.user_claim
        )
        self._allow_query = config.query_token
        self._cookie = _cookie_pattern(config.session_cookie) if config.session_cookie else None
        self._trusted_origins = trusted_origins(config.cors_origins)
        self._clock = clock
        self._addresses = Addresses(config.trusted_proxies)
        self._refusals = RateLimit(config.refused_tokens_per_s, config.refused_tokens_burst, time.monotonic)
        self._known = RecentCallers(TOKEN_CACHE_MAX)
        self._withdrawn = 0
        for secret in self._secrets:
            _check_secret(secret)

    @property
    def trouble(self) -> str:
        return "" if self._keys is None else self._keys.trouble

    async def start(self, spawn: Spawn, *, must_answer: bool) -> None:
        if self._keys is not None:
            await self._keys.start(spawn, must_answer=must_answer)
            spawn(self._keys.refresh_for_ever())

    async def identify(self, scope: Scope) -> Caller:
        try:
            token = self._find(scope)
        except Unauthorized:
            self._count_refusal(self._addresses.of(scope))
            raise
        if self._keys is not None and self._keys.withdrawn != self._withdrawn:
            self._withdrawn = self._keys.withdrawn
            self._known.clear()
        digest = sha256(token).digest()
        known = self._known.get(digest)
        if known is None:
            if self._service_keys is not None and (secret := service_key_of(scope)) is not None:
                by_key = await self._service_keys.identify(scope, secret)
                self.revocations.check(by_key)
                return by_key
            known = await self._look(token, self._addresses.of(scope))
            self._known.add(digest, known)
        scope[CALLER] = known.user
        assert known.expires_at is not None
        if self._clock() >= known.expires_at:
            raise _expired()
        self.revocations.check(known)
        charge(scope, known.user)
        return known

    def revoke(self, user: UserId, until: float | None = None) -> float:
        """Where the issuer's clock is ahead, what was seen here counts as issued before."""
        seen = (known.known_at for known in self._known if known.user == user)
        until = max(self._clock() if until is None else until, *seen, -math.inf)
        self.revocations.add(user, until)
        return until

    def remember(self, revoked: Mapping[UserId, float]) -> None:
        for user, until in revoked.items():
            self.revocations.add(user, until)

    def _find(self, scope: Scope) -> bytes:
        for name, value in scope["headers"]:
            if name == b"authorization":
                scheme, _, token = value.partition(b" ")
                if scheme.lower() != b"bearer":
                    raise _refused("The Authorization header is not 'Bearer <token>'.")
                return _sized(token.strip())
        if self._allow_query:
            for parameter in scope["query_string"].split(b"&"):
                # By this name as it stands: logs are cleaned of it by us and by proxies, and not of %74oken.
                if parameter.startswith(b"token=") and len(parameter) > len(b"token="):
                    return _sized(unquote_to_bytes(parameter.removeprefix(b"token=")))
        if self._cookie:
            cookie = _cookie(scope, self._cookie)
            if cookie:
                refuse_cross_site(scope, self._trusted_origins)
                return _sized(cookie)
        raise _refused("No token came with the request; send 'Authorization: Bearer <token>'.")

    async def _look(self, token: bytes, address: str) -> Caller:
        """Check a token that is not known, and count it against its address if it is bad.

        Raises:
            TooManyRequests: It is bad, or its key is not known, and so were too many of this address.
        """
        try:
            return await self._check(token, address)
        except Unauthorized:
            if address:
                self._refusals.take(address)
            raise

    def _count_refusal(self, address: str) -> None:
        if address:
            with contextlib.suppress(TooManyRequests):
                self._refusals.take(address)

    async def _check(self, token: bytes, address: str) -> Caller:
        try:
            parts = jwt.decode_complete(token, options={"verify_signature": False})
        except Exception:  # whatever a stranger's bytes make the library raise, they are no token
            raise _refused("The token is not valid; get a new one.") from None
        # What it says first: what that rules out is no reason to ask a key server.
        header, now = parts["header"], self._clock()
        _check_type(header)
        caller = self._rules.read(parts["payload"], now)
        if header.get("alg") == "HS256" and self._secrets:
            _verify(token, self._secrets, "HS256", "The token was not signed with this server's secret.")
        elif self._keys is not None:
            kid = header.get("kid")
            if not self._keys.has(kid):
                assert caller.expires_at is not None
                if now >= caller.expires_at:
                    raise _expired()
                if address:
                    self._refusals.check(address)
            key = await self._keys.find(kid)
            _verify(token, [key.key], key.algorithm, "The token was not signed with the key that it names.")
        else:
            raise _refused("The token was not signed with this server's secret.")
        if self._note_profile is not None and caller.expires_at is not None and now < caller.expires_at:
            profile = read_profile(parts["payload"], *self._profile_claims)
            if profile is not None:
                self._note_profile(caller.user, profile)
        return caller


def _check_type(header: dict[str, Any]) -> None:
    """Nothing for a token that signs somebody in; what a provider signs for other ends says so (RFC 8725 3.11).

    Raises:
        Unauthorized: It is of another type.
    """
    told = header.get("typ", "JWT")
    if not isinstance(told, str) or told.lower().removeprefix("application/") not in TOKEN_TYPES:
        raise _refused("The token is of a type that signs nobody in (typ).")


def _verify(token: bytes, keys: Sequence[Any], algorithm: str, otherwise: str) -> None:
    """Check that one of the keys signed the token, with this algorithm.

    Raises:
        Unauthorized: None did; the sentence is ``otherwise``.
    """
    for key in keys:
        try:
            _SIGNATURES.decode(token, key, algorithms=[algorithm])
        except jwt.PyJWTError:
            continue
        return
    raise _refused(otherwise)


def _time(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    try:
        seconds = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise _refused(f"The token's {name} is not a time.")
    return seconds


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> list[str]:
    """A claim that is one text or several."""
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)]


def _cookie_pattern(name: str) -> re.Pattern[bytes]:
    """The first cookie of this name in a field. One pass: a field may have 30,000 others."""
    return re.compile(rb"(?:\A|;)\s*%s(?:=([^;]*)|\s*)(?=;|\Z)" % re.escape(name.encode()))


def _cookie(scope: Scope, wanted: re.Pattern[bytes]) -> bytes:
    """The cookie of this name; of several the first, which browsers choose for the closest path. Empty: none."""
    for header, value in scope["headers"]:
        if header == b"cookie" and (found := wanted.search(value)):
            return (found[1] or b"").strip().strip(b'"')
    return b""


def _sized(token: bytes) -> bytes:
    if len(token) > TOKEN_SIZE_MAX_BYTES:
        raise _refused("The token is too long to be one of ours.")
    return token


def _check_secret(secret: str) -> None:
    try:
        _SIGNATURES.encode(b"", secret, "HS256")
    except jwt.InvalidKeyError:
        raise ConfigurationError(
            "secret (TIDINGS_SECRET) looks like the public key of an identity provider, which everybody knows;"
            " set issuer (TIDINGS_ISSUER) or jwks_url (TIDINGS_JWKS_URL) instead"
        ) from None


def _refused(sentence: str) -> Unauthorized:
    return Unauthorized("unauthorized", sentence)


def _expired() -> Unauthorized:
    return _refused("The token has expired; get a new one.")
