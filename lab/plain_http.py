"""HTTP to the programs that the lab starts: on this machine, in the clear.

httpx2 reads every certificate of the system for each client, and for each request that has no client: 30 ms of a
processor, ten times what the request takes. A test that asks again and again until something holds keeps a core busy
with it. Here nobody is trusted, so nothing is read.
"""

from __future__ import annotations

import ssl
from typing import Any

import httpx2

_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def client(**options: Any) -> httpx2.Client:
    """A client with these options of httpx2."""
    return httpx2.Client(trust_env=False, verify=_NOBODY, **options)


def get(url: str, **options: Any) -> httpx2.Response:
    """One answer, over a connection of its own; `options` are those of `httpx2.get`."""
    return httpx2.get(url, trust_env=False, verify=_NOBODY, **options)
