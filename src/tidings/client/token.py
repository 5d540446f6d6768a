"""The caller's token, given once or fetched when it is needed; or a service key of the host's, and in whose name.

Rules of this file: a token is asked for once and kept until the server rejects it; neither it nor a key is ever logged
or part of an error's text.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import quote

from tidings.client.fork import OfOneProcess
from tidings.protocol.service_key import SERVICE_KEY_PREFIX, is_service_key
from tidings.protocol.user_id import check_user_id

Token = str | Callable[[], str]
"""A token, or a function that fetches one; the function is called again when the server rejects its last answer."""

AsyncToken = Token | Callable[[], Awaitable[str]]
"""As ``Token``; the function may be async. One that is not runs in the event loop and must not block."""

FETCH_TIMEOUT_S: Final = 30.0
"""An async function has so long; a sync one cannot be interrupted and has timeouts of its own."""


def authorization(token: str | None) -> dict[str, str]:
    """The field of a request that carries a token; none where something else says who asks."""
    return {} if token is None else {"Authorization": f"Bearer {token}"}


class TokenSource(OfOneProcess):
    """The token to send with each request; may be asked from several threads."""

    def __init__(self, token: Token | None) -> None:
        super().__init__()
        self._fetch = None if isinstance(token, str) else token
        self._token = _checked(token) if isinstance(token, str) else None
        self._lock = threading.Lock()

    def _begin_in_child(self) -> None:
        self._lock = threading.Lock()

    @property
    def renewable(self) -> bool:
        """Whether a rejected token can be replaced."""
        return self._fetch is not None

    def get(self, *, refresh: bool = False) -> str | None:
        """Return the token, fetched anew if asked for and possible; none where there is none.

        Raises:
            ValueError: It cannot be sent in a header.
            Exception: The caller's own function raised it.
        """
        with self._lock:
            if self._fetch is not None and (refresh or self._token is None):
                self._token = _checked(self._fetch())
            return self._token


class AsyncTokenSource(OfOneProcess):
    """The token to send with each request; may be asked by several tasks of one event loop."""

    def __init__(self, token: AsyncToken | None) -> None:
        super().__init__()
        self._fetch = None if isinstance(token, str) else token
        self._token = _checked(token) if isinstance(token, str) else None
        self._lock = asyncio.Lock()

    def _begin_in_child(self) -> None:
        self._lock = asyncio.Lock()

    @property
    def renewable(self) -> bool:
        """Whether a rejected token can be replaced."""
        return self._fetch is not None

    async def get(self, *, refresh: bool = False) -> str | None:
        """As ``TokenSource.get``.

        Raises:
            TimeoutError: The caller's function took longer than FETCH_TIMEOUT_S.
        """
        async with self._lock:
            if self._fetch is not None and (refresh or self._token is None):
                fetched = self._fetch()
                if not isinstance(fetched, str):
                    async with asyncio.timeout(FETCH_TIMEOUT_S):
                        fetched = await fetched
                self._token = _checked(fetched)
            return self._token


def in_whose_name(
    token: object | None, key: str | None, user: str | None, headers: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The header fields that say in whose name a client comes, beside its token or its key.

    Raises:
        ValueError: Both were given, or nothing, or something that cannot be sent.
    """
    if token is not None and key is not None:
        raise ValueError("give a token or a key, and not both")
    if token is None and key is None and not headers:
        raise ValueError("give a token or a key, or headers that say who asks")
    if key is not None and not is_service_key(key):
        raise ValueError(
            f"that is no service key: one begins with {SERVICE_KEY_PREFIX}, and is whole as it was printed"
        )
    if key is None and user is not None:
        raise ValueError("user= goes with key=: a token says itself whose it is")
    return {} if user is None else {"Tidings-User": quote(check_user_id(user), safe="")}


def _checked(token: str) -> str:
    # A line break would end the header, and the library's own message would repeat the token.
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("the token is empty or has characters that no token has (spaces, line breaks, non-ASCII)")
    return token
