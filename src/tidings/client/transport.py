"""The HTTP connections of a client: which proxy they take, what is read of an answer, and what counts as trouble.

Rules of this file:

- Every exception that the HTTP library raises while it asks is trouble with the connection: there is no list of
  exceptions that would have to be complete. An exception while it is set up is a wrong setting.
- The client reads an answer within bounds of size and time, before and after decompression.
- A proxy's user name and password are in no text.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final

import httpcore2
import httpx2

from tidings.errors import ConfigurationError, ProtocolViolation
from tidings.protocol.shown_url import shown_url

ANSWER_SIZE_MAX_BYTES: Final = 33_554_432
"""Of a decoded body: several times the longest page of history; more is a mistake or an attack."""


_FIELD_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 5.6.2

WRITE_SIZE_BYTES: Final = 16_384

REQUEST_GOES_OUT: Final = "http11.send_request_headers.started"
"""The step of the HTTP library's ``trace`` at which there is a connection, new or kept."""


class AnswerBody:
    """A body as it comes in, within its bounds."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size_bytes = 0

    def add(self, part: bytes) -> None:
        """Keep a piece of it.

        Raises:
            ProtocolViolation: It is larger than any answer of a Tidings server.
        """
        self._size_bytes += len(part)
        if self._size_bytes > ANSWER_SIZE_MAX_BYTES:
            raise ProtocolViolation(f"The answer is longer than {ANSWER_SIZE_MAX_BYTES} bytes")
        self._parts.append(part)

    def whole(self) -> bytes:
        """All that was kept."""
        return b"".join(self._parts)


@dataclass(slots=True)
class Bound:
    """Until when (monotonic seconds) a thread may wait for the network, whatever comes in meanwhile."""

    until: float

    def left_s(self) -> float:
        """The seconds that are left.

        Raises:
            TimeoutError: None are.
        """
        left_s = self.until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the answer took too long")
        return left_s


class _OfThread(threading.local):
    bound: Bound | None = None


_of_thread = _OfThread()


@contextmanager
def within(until: float) -> Iterator[Bound]:
    """Calls of this thread over a ``bounded_transport`` end by then; the bound may be moved on the way.

    The library's own timeouts are for one read each: an answer of which a byte comes now and then has no end.
    """
    former, _of_thread.bound = _of_thread.bound, Bound(until)
    try:
        yield _of_thread.bound
    finally:
        _of_thread.bound = former


def _bounded(timeout_s: float | None) -> float | None:
    """The time for the next step, of which the library's own bound is so long."""
    bound = _of_thread.bound
    if bound is None:
        return timeout_s
    return bound.left_s() if timeout_s is None else min(timeout_s, bound.left_s())


class _BoundedStream(httpcore2.NetworkStream):
    """A connection whose every step ends within the bound of its thread."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _bounded(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for begin in range(0, len(buffer), WRITE_SIZE_BYTES):  # each has the time that is left
            self._stream.write(buffer[begin : begin + WRITE_SIZE_BYTES], _bounded(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        try:
            left_s = _bounded(timeout)
        except TimeoutError:
            self.close()  # as the stream itself does where its handshake fails
            raise
        return _BoundedStream(self._stream.start_tls(ssl_context, server_hostname, left_s))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _BoundedBackend(httpcore2.SyncBackend):
    """Connects to such streams. A name of several addresses has one time for all of them."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        begun = time.monotonic()
        addresses = list(
            dict.fromkeys(found[4][0] for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        )
        while True:
            address = str(addresses.pop(0))
            left_s = None if timeout is None else max(0.001, timeout - (time.monotonic() - begun))
            left_s = _bounded(left_s)
            share_s = None if left_s is None else left_s / (len(addresses) + 1)
            try:
                return _BoundedStream(super().connect_tcp(address, port, share_s, local_address, socket_options))
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if not addresses:
                    raise


def bounded_transport(options: dict[str, Any]) -> httpx2.HTTPTransport:
    """The transport with these ``connection_options`` that heeds ``within``."""
    transport = httpx2.HTTPTransport(**options)
    # The library's pools take a backend, but its transport hands none on.
    transport._pool._network_backend = _BoundedBackend()
    return transport


class _TidyStream(httpcore2.AsyncNetworkStream):
    """A connection that is closed where its handshake is cancelled; the library closes it where the handshake fails."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  # the library's name
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109  # the library's name
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # the library's name
    ) -> httpcore2.AsyncNetworkStream:
        try:
            return await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except asyncio.CancelledError:
            await self.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _TidyBackend(httpcore2.AnyIOBackend):
    """Connects to such streams."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # the library's name
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        return _TidyStream(await super().connect_tcp(host, port, timeout, local_address, socket_options))


def tidy_transport(options: dict[str, Any]) -> httpx2.AsyncHTTPTransport:
    """The transport with these ``connection_options``; a cancelled call leaves no connection behind."""
    transport = httpx2.AsyncHTTPTransport(**options)
    transport._pool._network_backend = _TidyBackend()  # as in ``bounded_transport``
    return transport


def library_options(headers: Mapping[str, str] | None) -> dict[str, Any]:
    """Return the options of both of the library's clients: these fields in each request, and no other cookies.

    A cookie that an answer sets would take the place of the one that was given.

    Raises:
        ValueError: A field cannot be sent; the text does not repeat its value, which may be a secret.
    """
    fields = {} if headers is None else headers
    for name, value in fields.items():
        if not _FIELD_NAME.fullmatch(name) or not value.isprintable() or not value.strip():
            raise ValueError(f"the header field {name!r} cannot be sent: no header has such a name or value")
    encoded = [(name.encode(), value.encode()) for name, value in fields.items()]
    keeps_none = CookieJar(DefaultCookiePolicy(allowed_domains=()))
    return {"headers": encoded, "cookies": keeps_none, "trust_env": False}


def trusted_certificates() -> ssl.SSLContext:
    """The certificates to check with; reading them costs more than all the rest of a client.

    Raises:
        ConfigurationError: The files that the environment names cannot be read.
    """
    try:
        return httpx2.create_ssl_context()
    except Exception as trouble:
        raise ConfigurationError(
            f"the trusted certificates cannot be read: {describe(trouble)}; check SSL_CERT_FILE and SSL_CERT_DIR"
        ) from trouble


def connection_options(url: str, trusted: ssl.SSLContext) -> dict[str, Any]:
    """How to connect to this address, for either of the library's clients.

    Raises:
        ConfigurationError: The proxy that the environment names cannot be used.
    """
    address = httpx2.URL(url)
    proxy = _proxy_for(address)
    if proxy is not None:
        problem = _trouble_with(proxy, trusted)
        if problem:
            raise ConfigurationError(
                f"the proxy {shown_url(proxy)} of the environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY) cannot be"
                f" used: {problem}. To go without: NO_PROXY={address.host}"
            )
    return {"verify": trusted, "trust_env": False, "proxy": proxy}


def read_address(url: str) -> httpx2.URL | None:
    """The address that ``url`` is; none where there is no host that could be looked up, or no such port."""
    try:
        parsed = httpx2.URL(url)
        parsed.raw_host.decode("ascii").encode("idna")  # as connecting does: a label may be empty or too long
    except Exception:  # the library's words repeat parts of what was given, perhaps of a password
        return None
    is_one = parsed.host and "%" not in parsed.raw_host.decode("ascii") and 0 < (parsed.port or 80) < 65536
    return parsed if is_one and parsed.port != 0 else None


def describe(trouble: BaseException) -> str:
    """The failure, in the library's words or, where it has none, by name."""
    return str(trouble) or type(trouble).__name__


def is_timeout(trouble: BaseException) -> bool:
    """Whether time was up; all else is a connection that cannot be had or broke."""
    return isinstance(trouble, (httpx2.TimeoutException, TimeoutError))


def _trouble_with(proxy: str, trusted: ssl.SSLContext) -> str:
    if read_address(proxy) is None:
        return "it looks like http://proxy.example.org:3128"
    try:
        httpx2.HTTPTransport(proxy=proxy, verify=trusted, trust_env=False).close()
    except ImportError:
        return "it needs socksio, which comes with: pip install 'httpx2[socks]'"
    except Exception:  # it may repeat a password
        return f"there is no way to speak {proxy.partition('://')[0]} with it"
    return ""


def _proxy_for(url: httpx2.URL) -> str | None:
    """The proxy that the environment (or the system) names for this address.

    Only this one is set up: a variable for other addresses, that the library cannot use, must not be in the way.
    """
    if urllib.request.proxy_bypass(url.netloc.decode("ascii")):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy:
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
