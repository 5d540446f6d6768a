"""Listening sockets, or a sentence why not."""

from __future__ import annotations

import contextlib
import errno
import socket

from tidings.errors import ConfigurationError, NotNow

TCP_USER_TIMEOUT_MS = 35_000  # a vanished peer is noticed two heartbeats after its last sign, and not in 15 minutes
UNSENT_SIZE_MAX_BYTES = 32_768  # a peer that does not read would have the kernel hold 4 MB for it

EVERY_ADDRESS = "*"
METRICS_PORT_SETTING = "TIDINGS_METRICS_PORT"

_FORBIDDEN = {errno.EACCES, errno.EPERM}  # a port below 1024, for instance: starting again does not permit it
_NO_SUCH_ADDRESS = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}  # names have IPv6 addresses where machines have none


def listen(host: str, port: int, setting: str = "--host and --port", *, is_shared: bool = False) -> list[socket.socket]:
    """Sockets bound to every address of this host, so that a port in use is a sentence and port 0 is known.

    EVERY_ADDRESS is each one of the machine. All have the same port. Of the addresses of a name those are left
    out that this machine does not have. ``is_shared``: other processes of this user may bind it likewise, and the
    kernel gives each new connection to one of those that listen.

    Raises:
        ConfigurationError: The address may not be listened on.
        NotNow: It cannot be listened on: somebody has it, or the machine does not have it yet.
    """
    with contextlib.ExitStack() as undo:
        try:
            listeners = _bind(host, port, undo, is_shared=is_shared)
        except OSError as failure:
            error = ConfigurationError if failure.errno in _FORBIDDEN else NotNow
            where = "every address" if host == EVERY_ADDRESS else host
            raise error(
                f"cannot listen on {where} port {port}: {failure.strerror}; choose another with {setting}"
            ) from None
        undo.pop_all()
    return listeners


def reserve(host: str, port: int, setting: str = "--host and --port") -> list[socket.socket]:
    """Sockets that keep an address for the processes that will share it, and take no connection themselves.

    Raises:
        ConfigurationError, NotNow: As ``listen``: also where others share the address among themselves.
    """
    for alone in listen(host, port, setting):
        alone.close()
    return listen(host, port, setting, is_shared=True)


def shown_url(host: str, listener: socket.socket) -> str:
    """The address of a listener of this host, for people."""
    shown_host, shown_port = listener.getsockname()[:2]
    shown_host = shown_host if host == EVERY_ADDRESS else host
    return f"http://{f'[{shown_host}]' if ':' in shown_host else shown_host}:{shown_port}"


def bound(listener: socket.socket) -> socket.socket:
    """Bound what the kernel holds for a peer, and for how long it keeps one that has vanished.

    Accepted sockets inherit it. On the listener it costs nothing; on each of them it is two calls.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_SIZE_MAX_BYTES)
    return listener


def _bind(host: str, port: int, undo: contextlib.ExitStack, *, is_shared: bool) -> list[socket.socket]:
    name = None if host == EVERY_ADDRESS else host
    found = dict.fromkeys(socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE))
    listeners: list[socket.socket] = []
    absent: OSError | None = None
    for family, kind, protocol, _, address in found:
        try:
            listener = undo.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if is_shared:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6 and len(found) > 1:  # else it would take the port of IPv4, too
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((address[0], listeners[0].getsockname()[1] if listeners else port, *address[2:]))
            listener.setblocking(False)
        except OSError as failure:
            if failure.errno not in _NO_SUCH_ADDRESS:
                raise
            absent = failure
        else:
            listeners.append(listener)
    if absent is not None and not listeners:
        raise absent
    return listeners
