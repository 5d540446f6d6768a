"""Tidings: real-time direct messaging over Server-Sent Events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidings.server.app import Tidings, create_app
    from tidings.server.config import Config
    from tidings.server.store import Report

__all__ = ["Config", "Report", "Tidings", "create_app"]

_HOMES = {
    "Config": "tidings.server.config",
    "Report": "tidings.server.store",
    "Tidings": "tidings.server.app",
    "create_app": "tidings.server.app",
}


def __getattr__(name: str) -> Any:
    """Import the server's names when they are asked for, so that a client or a command does not load a server."""
    if name not in _HOMES:
        raise AttributeError(f"module 'tidings' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
