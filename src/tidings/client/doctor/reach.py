"""Does anything answer at that address, and by which version of HTTP?

Each way to get no answer has its sentence here, whichever question met it.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from collections.abc import Iterator

from tidings.client.doctor.finding import Ended, Finding
from tidings.client.doctor.server import Server


def transport(server: Server) -> Iterator[Finding]:
    """Connect as a browser would."""
    try:
        with contextlib.closing(server.connect(["h2", "http/1.1"])) as connected:
            protocol = connected.selected_alpn_protocol() if isinstance(connected, ssl.SSLSocket) else None
    except (OSError, http.client.HTTPException) as failure:
        yield unreachable(server, failure)
        raise Ended from None
    limit = "a browser opens six connections to it, for all tabs together: the seventh stream waits"
    if protocol == "h2":
        yield Finding("ok", "http", "HTTP/2 is offered: tabs share one connection")
    elif server.is_tls:
        text = f"only HTTP/1.1 is offered; {limit}, where tabs do not share one, as those of Tidings' own client do"
        yield Finding("note", "http", text, "switch HTTP/2 on in the proxy")
    else:
        yield Finding("note", "http", f"without TLS it is HTTP/1.1; {limit}", "serve it by HTTPS with HTTP/2")


def unreachable(server: Server, failure: Exception) -> Finding:
    """Why no answer came."""
    where = f"{server.host} port {server.port}"
    match failure:
        case socket.gaierror():
            return Finding("unreachable", "reach", f"the name {server.host} is not known", "check its spelling")
        case ssl.SSLCertVerificationError():
            text = f"the certificate of {where} is not valid: {failure.verify_message}"
            return Finding(
                "unreachable",
                "certificate",
                text,
                "renew it, use the name that it is for, or name its authority: SSL_CERT_FILE=ca.pem",
            )
        case ssl.SSLError():
            text = f"no TLS with {where}: {failure.reason}"
            return Finding("unreachable", "reach", text, "use http:// if it has none")
        case ConnectionRefusedError():
            return Finding("unreachable", "reach", f"nothing listens on {where}", "start the server or the proxy")
        case TimeoutError():
            return Finding("unreachable", "reach", f"no answer from {where}", "check the server and firewalls")
        case _:
            text = f"no answer from {where}: {failure}" if str(failure) else f"{where} closed the connection"
            return Finding("unreachable", "reach", text, "check the server's and the proxy's log")
