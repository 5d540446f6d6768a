"""Tidings: real-time direct messaging over Server-Sent Events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidings.client import AsyncClient, Client
    from tidings.server.app import Tidings, create_app
    from tidings.server.config import Config
    from tidings.server.store import Report

__all__ = ["AsyncClient", "Client", "Config", "Report", "Tidings", "create_app"]

_HOMES = {
    "AsyncClient": "tidings.client",
    "Client": "tidings.client",
    "Config": "tidings.server.config",
    "Report": "tidings.server.store",
    "Tidings": "tidings.server.app",
    "create_app": "tidings.server.app",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for, so that a client does not load a server, nor a server a client.

    Raises:
        ExtraMissing: A part of the server was asked for, and Tidings was installed for its client alone.
    """
    if name not in _HOMES:
        raise AttributeError(f"module 'tidings' has no attribute {name!r}")
    from importlib import import_module

    from tidings.extra import needs

    with needs(f"tidings.{name} needs Starlette", "starlette"):
        return getattr(import_module(_HOMES[name]), name)
