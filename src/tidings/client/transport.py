"""The HTTP connections of a client: which proxy they take, what is read of an answer, and what counts as trouble.

Rules of this file:

- Whatever the HTTP library raises while it asks is trouble with the connection: there is no list of exceptions that
  would have to be complete. Whatever it raises while it is set up is a wrong setting.
- What is read of an answer is bounded in size and time, before and after decompression.
- A proxy's user name and password are in no text.
"""

from __future__ import annotations

import ssl
import time
import urllib.request
from typing import Any, Final

import httpx2

from tidings.errors import ConfigurationError, ProtocolViolation
from tidings.protocol.shown_url import shown_url

ANSWER_SIZE_MAX_BYTES: Final = 33_554_432
"""Of a decoded body: several times the longest page of history; more is a mistake or an attack."""


class AnswerBody:
    """A body as it comes in, within its bounds."""

    def __init__(self, until: float) -> None:
        """
        Args:
            until: Monotonic seconds; after it nothing is taken.
        """
        self._until = until
        self._parts: list[bytes] = []
        self._size_bytes = 0

    def take(self, part: bytes) -> None:
        """Keep a piece of it.

        Raises:
            ProtocolViolation: It is larger than any answer of a Tidings server.
            TimeoutError: It takes too long, however steadily it comes.
        """
        self._size_bytes += len(part)
        if self._size_bytes > ANSWER_SIZE_MAX_BYTES:
            raise ProtocolViolation(f"The answer is longer than {ANSWER_SIZE_MAX_BYTES} bytes")
        if time.monotonic() > self._until:
            raise TimeoutError("the answer took too long")
        self._parts.append(part)

    def whole(self) -> bytes:
        """All that was kept."""
        return b"".join(self._parts)


def trusted_certificates() -> ssl.SSLContext:
    """What certificates are checked with; reading them costs more than all the rest of a client.

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
    """What went wrong, in the library's words or, where it has none, by name."""
    return str(trouble) or type(trouble).__name__


def is_timeout(trouble: BaseException) -> bool:
    """Whether time was up; all else is a connection that cannot be had or broke."""
    return isinstance(trouble, (httpx2.TimeoutException, TimeoutError))


def _trouble_with(proxy: str, trusted: ssl.SSLContext) -> str:
    if read_address(proxy) is None:
        return "it looks like http://proxy.example.org:3128"
    try:
        httpx2.HTTPTransport(proxy=proxy, verify=trusted, trust_env=False).close()
    except ImportError as missing:
        return str(missing)
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
