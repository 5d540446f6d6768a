"""The public keys of an identity provider: fetched beside the requests, and kept.

Rules
1. The algorithm belongs to the key: RSA is RS256, the curve P-256 is ES256. Every other key of a set, an encryption
   key for example, is passed over.
2. A key that is known is used at once, whatever the key server does. An old key is fetched anew beside the requests,
   and a key that the provider has withdrawn is forgotten with the next answer.
3. A key id that is not known is asked for, within a budget: whoever makes key ids up causes a few fetches, not a storm.
4. While keys cannot be had, whatever the reason, the answer is 503, not 401: the token may be good, and a client would
   throw it away.
5. Keys are fetched anew every KEYS_FRESH_S, whether somebody asks or not: tokens that are known ask for none.
6. An address is shown without what lets somebody in: it stands in logs, and in ``/readyz``.

Source: RFC 7517; OpenID Connect Discovery 1.0, 4.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import time
import zlib
from collections.abc import Callable, Coroutine
from math import ceil
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx2
import jwt

from tidings.errors import ConfigurationError, NotNow, TooManyRequests, Unauthorized, Unavailable
from tidings.protocol.shown_url import shown_url
from tidings.protocol.user_id import UserId
from tidings.server.identity.rates import RateLimit
from tidings.server.logs import unlogged
from tidings.server.metrics import Metrics

KEYS_FRESH_S = 600.0  # public keys are fetched anew after this, beside the requests; a withdrawn key is refused then
KEYS_FETCH_MAX_S = 5.0  # one fetch, discovery included; also the longest that a request waits for a key
KEYS_SIZE_MAX_BYTES = 1 << 18  # of a key server's answer; real ones have some thousand
KEYS_MAX = 100  # keys of a set that are kept; providers publish two to ten
KEY_FETCHES_BURST, KEY_FETCHES_PER_S = 3, 0.1  # fetches that unknown key ids cause: a rotation at once, a storm not
KEY_ABSENT_S = 10.0  # a key id that a fetch did not bring is refused for so long without another
KEY_ABSENT_IDS_MAX = 1000  # such ids remembered
KEY_WAITERS_MAX = 1000  # requests that wait for one fetch; beyond, 503
KEY_BACKOFF_MAX_S = 30.0  # between fetches while the key server fails; the first pause is a second

log = logging.getLogger("tidings.keys")

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]

DISCOVERY_PATH = "/.well-known/openid-configuration"
RSA_SIZE_BITS = range(2048, 8193)  # shorter is weak (RFC 7518 3.3); longer costs a millisecond for each token

KEY_NUMBER_LENGTH_MAX = 1366  # characters of base64: 8192 bits
TOLD_LENGTH_MAX = 200  # characters of what a key server, or a library, says that are shown

_ALGORITHMS = {"RSA": "RS256", "EC": "ES256"}
_BUDGET = UserId("fetches")


class KeysUnusable(Exception):
    """A key server answered, and not with keys; the sentence is ours."""


class PublicKey(NamedTuple):
    """A key and the only algorithm that it is used with."""

    algorithm: str
    key: Any  # what cryptography makes of it; PyJWT takes it as it is


class KeySet:
    """The keys at ``url``, or where the issuer's discovery document says."""

    def __init__(self, *, url: str, issuer: str, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self.source = url or issuer.rstrip("/") + DISCOVERY_PATH
        _check_url(self.source, "jwks_url (TIDINGS_JWKS_URL)" if url else "issuer (TIDINGS_ISSUER)")
        self._shown = shown_url(self.source)
        self._url = url
        self._issuer = issuer
        self._metrics = metrics
        self._clock = clock
        self._keys: dict[str | None, PublicKey] = {}
        self._fresh_until = 0.0
        self._may_fetch_at = 0.0  # later than now only after a failure
        self._failures = 0
        self._reason = ""  # of the last failure
        self._absent: dict[str | None, float] = {}  # key ids that a fetch did not bring, and when it was asked
        self._budget = RateLimit(KEY_FETCHES_PER_S, KEY_FETCHES_BURST, clock)
        self._waiting = 0
        self._tls: ssl.SSLContext | None = None
        self._spawn: Spawn | None = None
        self._fetching: asyncio.Task[None] | None = None
        self.withdrawn = 0  # rises when a key went away: what was checked with it is not known any more

    @property
    def trouble(self) -> str:
        """Why keys could not be fetched the last time; empty when they could."""
        return f"no keys from {self._shown}: {self._reason}" if self._failures else ""

    async def start(self, spawn: Spawn, *, must_answer: bool) -> None:
        """Begin the first fetch, in tasks of ``spawn``; with ``must_answer`` wait for it.

        Raises:
            NotNow: ``must_answer``, and there are no keys.
        """
        self._spawn, self._fetching, self._waiting = spawn, None, 0
        fetch = self._begin()
        if must_answer:
            await asyncio.wait([fetch])
            if not self._keys:
                raise NotNow(
                    f"no keys from {self._shown}: {self._reason};"
                    " check issuer (TIDINGS_ISSUER) and jwks_url (TIDINGS_JWKS_URL), and that this machine reaches that"
                    " address"
                )

    async def find(self, kid: str | None) -> PublicKey:
        """The key of this id; without an id the only key there is.

        Raises:
            Unauthorized: The provider has no such key.
            Unavailable: That is not known, because its keys cannot be had now.
        """
        now = self._clock()
        key = self._known(kid)
        if key is not None:
            if now >= self._due_at:
                self._begin()
            return key
        if now - self._absent.get(kid, -KEY_ABSENT_S) < KEY_ABSENT_S:
            raise _no_such_key()
        if self._fetching is None:
            self._take_from_budget(now)
        fetch = self._begin()
        if self._waiting >= KEY_WAITERS_MAX:
            raise _keys_missing(KEYS_FETCH_MAX_S)
        self._waiting += 1
        try:
            await asyncio.wait([fetch], timeout=KEYS_FETCH_MAX_S)
        finally:
            self._waiting -= 1
        key = self._known(kid)
        if key is not None:
            return key
        if self._failures or not fetch.done() or fetch.cancelled():
            raise _keys_missing(self._may_fetch_at - self._clock())
        if len(self._absent) >= KEY_ABSENT_IDS_MAX:
            self._absent.clear()
        self._absent[kid] = self._clock()
        raise _no_such_key()

    async def refresh_for_ever(self) -> None:
        """Fetch keys anew whenever they are old, and after a failure when it is time to try again."""
        while True:
            wait_s = self._due_at - self._clock()
            if wait_s > 0 and self._fetching is None:
                await asyncio.sleep(wait_s)
            else:
                await asyncio.wait([self._begin()])

    @property
    def _due_at(self) -> float:
        return max(self._fresh_until, self._may_fetch_at)

    def has(self, kid: str | None) -> bool:
        """Whether the key of this id is known."""
        return self._known(kid) is not None

    def _known(self, kid: str | None) -> PublicKey | None:
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid)

    def _take_from_budget(self, now: float) -> None:
        if now < self._may_fetch_at:
            raise _keys_missing(self._may_fetch_at - now)
        if self._failures:  # the pauses after failures are limit enough
            return
        try:
            self._budget.take(_BUDGET)
        except TooManyRequests as limit:
            raise _keys_missing(limit.retry_after_s or 1) from None

    def _begin(self) -> asyncio.Task[None]:
        """The fetch under way; one is begun if there is none."""
        if self._fetching is None:
            if self._spawn is None:
                raise _keys_missing(1)
            self._fetching = self._spawn(self._fetch())
        return self._fetching

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(KEYS_FETCH_MAX_S):
                found = read_keys(await self._get(self._url or await self._discover()))
        except Exception as failure:  # whatever it is, also of a proxy that the environment names: there are no keys
            self._failures += 1
            pause_s = min(KEY_BACKOFF_MAX_S, 2.0 ** (self._failures - 1))
            self._may_fetch_at = self._clock() + pause_s
            self._reason = _reason(failure)
            self._metrics.key_fetches.labels(result="failed").inc()
            log.warning(
                "keys not fetched url=%s reason=%s known=%d next_try_s=%.0f",
                self._shown, self._reason, len(self._keys), pause_s,
            )  # fmt: skip
        else:
            if any(found.get(kid) != key for kid, key in self._keys.items()):
                self.withdrawn += 1
            self._keys = found
            self._absent = {kid: at for kid, at in self._absent.items() if kid not in found}
            self._failures, self._may_fetch_at = 0, 0.0
            self._fresh_until = self._clock() + KEYS_FRESH_S
            self._metrics.key_fetches.labels(result="done").inc()
            log.info("keys fetched url=%s keys=%d", self._shown, len(found))
        finally:
            self._fetching = None

    async def _discover(self) -> str:
        document = _object(await self._get(self.source))
        if document.get("issuer") != self._issuer:
            told = shown_url(repr(document.get("issuer")))[:TOLD_LENGTH_MAX]
            raise KeysUnusable(f"its issuer is {told}, and issuer (TIDINGS_ISSUER) is {shown_url(self._issuer)!r}")
        url = document.get("jwks_uri")
        if not isinstance(url, str) or (self.source.startswith("https:") and not url.startswith("https:")):
            raise KeysUnusable("it names no jwks_uri with https")
        return url

    async def _get(self, url: str) -> bytes:
        if self._tls is None:
            self._tls = await asyncio.to_thread(httpx2.create_ssl_context)  # reads the certificates: 30 ms
        client = httpx2.AsyncClient(verify=self._tls, timeout=KEYS_FETCH_MAX_S)
        with unlogged():  # what the client consists of is loaded with the first one
            async with (
                client,
                client.stream(
                    "GET", url, headers={"Accept": "application/json", "Accept-Encoding": "identity"}
                ) as response,
            ):
                return await _read_answer(response)


async def _read_answer(response: httpx2.Response) -> bytes:
    """The body of a 200.

    Raises:
        KeysUnusable: It is none, or its body cannot be used.
    """
    if response.has_redirect_location:
        target = shown_url(str(response.url.join(response.headers["location"])))
        raise KeysUnusable(
            f"it sends on to {target[:TOLD_LENGTH_MAX]} ({response.status_code}), which is not followed:"
            " set jwks_url (TIDINGS_JWKS_URL) to the address that answers"
        )
    if response.status_code != 200:
        raise KeysUnusable(f"it answered {response.status_code}")
    return await _read_body(response)


async def _read_body(response: httpx2.Response) -> bytes:
    """The body, of KEYS_SIZE_MAX_BYTES at most, also where it comes compressed though nobody asked.

    Raises:
        KeysUnusable: It is longer, or cannot be decoded.
    """
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip", "x-gzip", "deflate"):
        raise KeysUnusable(f"its answer is compressed ({coding[:TOLD_LENGTH_MAX]}), which nobody asked for")
    unpack = None if coding == "identity" else zlib.decompressobj(zlib.MAX_WBITS | 32)  # 32: gzip or zlib, as it is
    body = b""
    async for part in response.aiter_raw():
        room = KEYS_SIZE_MAX_BYTES + 1 - len(body)  # so that a little that unpacks to much is not held
        body += part if unpack is None else unpack.decompress(part, room)
        if len(body) > KEYS_SIZE_MAX_BYTES:
            raise KeysUnusable(f"its answer is over {KEYS_SIZE_MAX_BYTES} bytes")
    if unpack is not None and not unpack.eof:
        raise KeysUnusable(f"its answer ({coding}) ends early")
    return body


def _reason(failure: Exception) -> str:
    """Return the operator's text for a failure: it stands in the log, and in ``/readyz``, which anybody may read."""
    if isinstance(failure, TimeoutError | httpx2.TimeoutException):
        return f"no answer within {KEYS_FETCH_MAX_S:g} s"
    if isinstance(failure, KeysUnusable):
        return str(failure)
    told = shown_url(str(failure))[:TOLD_LENGTH_MAX]
    return f"{told} ({type(failure).__name__})" if told else type(failure).__name__


def read_keys(body: bytes) -> dict[str | None, PublicKey]:
    """The keys of a JWK set that signatures can be checked with, by their ids.

    Raises:
        KeysUnusable: There is none.
    """
    listed = _object(body).get("keys")
    found: dict[str | None, PublicKey] = {}
    for each in listed if isinstance(listed, list) else []:
        key = _read_key(each)
        if key is not None and len(found) < KEYS_MAX:
            found.setdefault(each.get("kid"), key)
    if not found:
        raise KeysUnusable("its answer has no key for RS256 or ES256")
    return found


def _read_key(jwk: Any) -> PublicKey | None:
    """A public key, or None for whatever cannot check our tokens."""
    if not isinstance(jwk, dict) or not isinstance(jwk.get("kid", ""), str):
        return None
    if any(len(str(jwk.get(name, ""))) > KEY_NUMBER_LENGTH_MAX for name in ("n", "e", "x", "y")):
        return None  # 2 million bits would hold up the event loop for seconds
    algorithm = _ALGORITHMS.get(str(jwk.get("kty")))
    if algorithm is None or jwk.get("alg", algorithm) != algorithm:
        return None
    if jwk.get("use", "sig") != "sig" or "d" in jwk:
        return None  # for encryption; or not public, and so nobody's proof of anything
    try:
        if "verify" not in jwk.get("key_ops", ["verify"]):
            return None
        key = jwt.PyJWK(jwk, algorithm).key
    except Exception:  # whatever is wrong with this one, the others are none the worse
        return None
    if algorithm == "RS256" and key.key_size not in RSA_SIZE_BITS:
        return None
    if algorithm == "ES256" and jwk.get("crv") != "P-256":
        return None
    return PublicKey(algorithm, key)


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise KeysUnusable("its answer is not JSON") from None
    if not isinstance(value, dict):
        raise KeysUnusable("its answer is not a JSON object")
    return value


def _check_url(url: str, name: str) -> None:
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_address = False
    if not is_address:
        raise ConfigurationError(
            f"{name} leads to {shown_url(url)!r}, which is no http or https address of a key server"
        )
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        log.warning("keys come without TLS: whoever can answer for %s can be anybody", parts.netloc.rpartition("@")[2])


def _no_such_key() -> Unauthorized:
    return Unauthorized("unauthorized", "The token was signed with a key that its issuer does not have (any more).")


def _keys_missing(wait_s: float) -> Unavailable:
    return Unavailable(
        "unavailable",
        "The key of the token is not known, and the key server cannot be asked now; try again.",
        retry_after_s=max(1, ceil(wait_s)),
    )
