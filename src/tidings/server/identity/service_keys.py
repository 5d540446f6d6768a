"""Service keys: how the host's other programs come, in the name of whom they say.

Rules
1. A key counts beside whatever knows users, and only in ``Authorization: Bearer``: never in an address or a cookie.
   ``Tidings-User`` says in whose name, percent-encoded as a path's segment is; a key for one user needs none.
2. A key is of a program's and never of a page's: every visitor would have it. So a request that a browser marks as one
   of a page is refused, whether the key is good or not.
3. Only the hash of a key is known. All that count are read together, and hold for KEYS_KEPT_S: commands make and revoke
   them beside the server. One that is not among them may have been made just now, so they are read for it once more,
   and for all who try some no more often than in each READ_GAP_S. From a key's first use on they are read without being
   asked for, so that the streams of one that is gone end.
4. A key has a rate of its own for all that it asks, in place of those of the users.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import Callable, Coroutine, Iterable
from hashlib import sha256
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.types import Scope

from tidings.errors import Forbidden, Unauthorized, Unavailable, Unprocessable
from tidings.protocol.service_key import is_service_key
from tidings.protocol.user_id import UserId, check_user_id
from tidings.server.config import Config
from tidings.server.identity.address import Addresses
from tidings.server.identity.caller import CALLER, KEY_NAME, Caller
from tidings.server.identity.cross_site import header
from tidings.server.identity.rates import RateLimit
from tidings.server.metrics import Metrics
from tidings.server.own_connection import charge
from tidings.server.store import ServiceKey, Store

KEYS_KEPT_S = 0.4  # with the goodbye of a stream (0.5 s) a revoked key ends within a second
READ_GAP_S = 0.05  # between two readings for keys that are not known
KEY_BURST_S = 2.0  # so much of its rate a key may use at once
DAY_S = 86_400

USER_FIELD = b"tidings-user"

_BEARER = b"bearer "
_SEGMENT = re.compile(rb"(?:[!-$&-+.-~-]|%[0-9A-Fa-f]{2})+")  # no comma: two fields may have become one

log = logging.getLogger("tidings.auth")

Ended = Callable[[set[bytes]], None]
Spawn = Callable[[Coroutine[Any, Any, None]], object]


def service_key_of(scope: Scope) -> str | None:
    """The service key that a request has, good or not; None: it has none."""
    for name, value in scope["headers"]:  # a loop: each request of an embedding comes here
        if name == b"authorization":
            told = value[len(_BEARER) :].strip().decode("latin-1")
            return told if value[: len(_BEARER)].lower() == _BEARER and is_service_key(told) else None
    return None


class ServiceKeys:
    """The service keys, as a node knows them."""

    def __init__(self, config: Config, metrics: Metrics, clock: Callable[[], float] = time.time) -> None:
        self._metrics = metrics
        self._clock = clock
        self._addresses = Addresses(config.trusted_proxies)
        self._refusals = RateLimit(config.refused_tokens_per_s, config.refused_tokens_burst, time.monotonic)
        per_s = config.service_key_requests_per_s
        self._requests = RateLimit(per_s, per_s * KEY_BURST_S, time.monotonic)
        self._known: dict[bytes, ServiceKey] = {}
        self._noted: dict[bytes, int] = {}  # the day of which it is kept, or being kept, that a key was used

    def start(self, store: Store, spawn: Spawn, ended: Ended) -> None:
        """Read them from this store from now on; ``ended`` is told the digests of those that count no more."""
        self._store, self._spawn, self._ended = store, spawn, ended
        self._read_at = -math.inf
        self._reading: asyncio.Future[Unavailable | None] | None = None
        self._is_watching = False

    async def identify(self, scope: Scope, secret: str) -> Caller:
        """The caller of a request that has this key.

        Raises:
            Forbidden: A page sent it, or the key stands for another user.
            Unauthorized: There is no such key.
            Unprocessable: It does not say in whose name.
            TooManyRequests: It asks too often; or it is none, and so were too many of this address.
            Unavailable: It cannot be told now.
        """
        if header(scope, b"origin") is not None or header(scope, b"sec-fetch-site") is not None:
            raise Forbidden("cross_site", "A service key is for programs: a page that has one gives it to everybody.")
        now = asyncio.get_running_loop().time()
        await self._read_since(now - KEYS_KEPT_S)
        digest = sha256(secret.encode()).digest()  # of a number that nobody guesses: a lookup tells nothing by its time
        key = self._known.get(digest)
        if key is None:
            key = await self._look(digest, self._addresses.of(scope), now)
        scope[KEY_NAME] = key.name
        user = scope[CALLER] = _named(scope, key)
        self._requests.take(digest)
        self._metrics.service_key_requests.labels(key=key.name).inc()
        self._note_use(key)
        self._watch()
        charge(scope, user)
        return Caller(user, None, math.inf, key)

    def check(self, caller: Caller) -> None:
        """Return unless the caller came by a key that counts no more.

        Raises:
            Unauthorized: The caller did.
        """
        if caller.key is not None and caller.key.digest not in self._known:
            raise _refused()

    async def _look(self, digest: bytes, address: str, now: float) -> ServiceKey:
        """A key that was made since they were read; one that is none counts against its address.

        Raises:
            Unauthorized: There is no such key.
            TooManyRequests: Nor were there too many others of this address.
        """
        if address:
            self._refusals.check(address)
        await self._read_since(now, READ_GAP_S)
        key = self._known.get(digest)
        if key is None:
            if address:
                self._refusals.take(address)
            raise _refused()
        return key

    async def _read_since(self, since: float, gap_s: float = 0.0) -> None:
        """Return when they were read after this time of the loop's clock: once for all who wait for it.

        Raises:
            Unavailable: They cannot be read.
        """
        while self._read_at < since:
            if self._reading is None:
                self._reading = asyncio.get_running_loop().create_future()
                self._spawn(self._read(self._reading, gap_s))
            if (failure := await asyncio.shield(self._reading)) is not None:
                raise failure.with_traceback(None)

    async def _read(self, done: asyncio.Future[Unavailable | None], gap_s: float) -> None:
        loop = asyncio.get_running_loop()
        failure: Unavailable | None = Unavailable("unavailable", "Service keys cannot be read now.", retry_after_s=2)
        try:
            await asyncio.sleep(max(0.0, self._read_at + gap_s - loop.time()))
            begun = loop.time()
            now_there = {key.digest: key for key in await self._store.service_keys()}
            gone = {digest: key.name for digest, key in self._known.items() if digest not in now_there}
            self._known, self._read_at = now_there, begun
            if gone:
                log.info("service keys revoked: %s", ", ".join(gone.values()))
                self._ended(set(gone))
            failure = None
        except Unavailable as away:
            failure = away
        finally:
            self._reading = None
            if not done.cancelled():
                done.set_result(failure)

    def _watch(self) -> None:
        if not self._is_watching:
            self._is_watching = True
            self._spawn(self._watch_for_ever())

    async def _watch_for_ever(self) -> None:
        while True:
            await asyncio.sleep(KEYS_KEPT_S)
            try:
                await self._read_since(asyncio.get_running_loop().time())
            except Unavailable as failure:
                log.debug("the service keys cannot be read: %s", failure.detail)

    def _note_use(self, key: ServiceKey) -> None:
        today = int(self._clock() // DAY_S)
        if max(self._noted.get(key.digest, 0), key.used_day or 0) < today:
            self._noted[key.digest] = today
            self._spawn(self._keep_use(key.digest, today))

    async def _keep_use(self, digest: bytes, day: int) -> None:
        try:
            await self._store.note_key_used(digest, day)
        except Unavailable as failure:
            log.debug("the day of a service key's use cannot be kept: %s", failure.detail)
            self._noted.pop(digest, None)  # with its next use


def _named(scope: Scope, key: ServiceKey) -> UserId:
    """The user in whose name a request with this key is.

    Raises:
        Unprocessable: It names none that could be, or several.
        Forbidden: It names one for whom the key does not stand.
    """
    fields = [value for name, value in scope["headers"] if name == USER_FIELD]
    if not fields:
        if key.user is None:
            raise Unprocessable("bad_user_id", "This key stands for anybody: say by Tidings-User in whose name.")
        return key.user
    try:
        user = check_user_id(_decoded(fields))
    except ValueError as wrong:
        raise Unprocessable("bad_user_id", f"Tidings-User: {wrong}") from None
    if key.user not in (None, user):
        raise Forbidden("not_yours", "This key stands for another user than Tidings-User names.")
    return user


def _decoded(fields: Iterable[bytes]) -> str:
    (field, *others) = fields
    if others or not _SEGMENT.fullmatch(field):
        raise ValueError("It is one user id, percent-encoded as in a path.")
    try:
        return unquote_to_bytes(field).decode()
    except UnicodeDecodeError:
        raise ValueError("It is not UTF-8.") from None


def _refused() -> Unauthorized:
    return Unauthorized("unauthorized", "There is no such service key, or it was revoked.")
