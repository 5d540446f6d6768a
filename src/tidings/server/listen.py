"""A listening socket, or a sentence why not."""

from __future__ import annotations

import socket

from tidings.errors import ConfigurationError


def listen(host: str, port: int, setting: str = "--host and --port") -> socket.socket:
    """A socket bound to this address, so that a port in use is a sentence and port 0 is known.

    Raises:
        ConfigurationError: The address cannot be listened on.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as failure:
        raise ConfigurationError(
            f"cannot listen on {host} port {port}: {failure.strerror}; choose another with {setting}"
        ) from None
    listener.setblocking(False)
    return listener
