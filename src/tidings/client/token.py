"""The caller's token: given once, or fetched when it is needed.

Rules of this file: a token is asked for once and kept until the server rejects it; it is never logged and never
part of an error's text.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Final

from tidings.client.fork import OfOneProcess

Token = str | Callable[[], str]
"""A token, or a function that fetches one; the function is called again when the server rejects its last answer."""

AsyncToken = Token | Callable[[], Awaitable[str]]
"""As ``Token``; the function may be async. One that is not runs in the event loop and must not block."""

FETCH_TIMEOUT_S: Final = 30.0
"""An async function has so long; a sync one cannot be interrupted and has timeouts of its own."""


class TokenSource(OfOneProcess):
    """The token to send with each request; may be asked from several threads."""

    def __init__(self, token: Token) -> None:
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

    def get(self, *, refresh: bool = False) -> str:
        """Return the token, fetched anew if asked for and possible.

        Raises:
            ValueError: It cannot be sent in a header.
            Exception: The caller's own function raised it.
        """
        with self._lock:
            if self._fetch is not None and (refresh or self._token is None):
                self._token = _checked(self._fetch())
            assert self._token is not None
            return self._token


class AsyncTokenSource(OfOneProcess):
    """The token to send with each request; may be asked by several tasks of one event loop."""

    def __init__(self, token: AsyncToken) -> None:
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

    async def get(self, *, refresh: bool = False) -> str:
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
            assert self._token is not None
            return self._token


def _checked(token: str) -> str:
    # A line break would end the header, and the library's own message would repeat the token.
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("the token is empty or has characters that no token has (spaces, line breaks, non-ASCII)")
    return token
