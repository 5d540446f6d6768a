"""Answers of routes, and problems as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from typing import NamedTuple

from starlette.types import Receive, Scope, Send

from tidings.errors import MethodNotAllowed, NotFound, Problem, Unauthorized
from tidings.protocol.encoding import encode_json
from tidings.protocol.shapes import Accepted, ProblemDetails
from tidings.server.own_connection import own_connection

# A compressed answer, in which a stranger's text stands beside private ones, tells of those by its length (BREACH).
_NEITHER_KEPT_NOR_COMPRESSED = (b"cache-control", b"no-store, no-transform")
_NO_SNIFFING = ((b"x-content-type-options", b"nosniff"),)

ACCEPTED = encode_json(Accepted())
"""The body that says it was heard, and no more."""


def guard(scope: Scope) -> tuple[tuple[bytes, bytes], ...]:
    """The fields of every answer of ours: what others wrote is never taken for a page or a script.

    Nothing where the server is ours: it says so in all that it answers (``http/serve.py``).
    """
    return _NO_SNIFFING if own_connection(scope) is None else ()


class Answer(NamedTuple):
    """A whole response."""

    status: int
    body: bytes
    media_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()

    async def write(self, scope: Scope, send: Send, more_headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        """Send it: in one piece where the socket is ours."""
        headers = [
            (b"content-type", self.media_type),
            (b"content-length", b"%d" % len(self.body)),
            _NEITHER_KEPT_NOR_COMPRESSED,
            *guard(scope),
            *self.headers,
            *more_headers,
        ]
        connection = own_connection(scope)
        if connection is not None and connection.answer(scope, self.status, headers, self.body):
            return
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def problem_answer(problem: Problem) -> Answer:
    """A refusal: RFC 9457's members, and the fields that the first clients of this API know."""
    headers: list[tuple[bytes, bytes]] = []
    if problem.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % problem.retry_after_s))
    if isinstance(problem, Unauthorized):
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(problem, MethodNotAllowed):
        headers.append((b"allow", problem.allowed.encode()))
    body = ProblemDetails(
        type=problem.type,
        title=problem.title,
        status=problem.status,
        code=problem.code,
        detail=problem.detail,
        message=problem.detail,
    )
    return Answer(problem.status, encode_json(body), b"application/problem+json", tuple(headers))


def failure_answer() -> Answer:
    """A plain 500: what went wrong is in our log and nowhere else."""
    problem = Problem("internal", "Something went wrong on the server; it has been logged.")
    return problem_answer(problem)


async def not_found(scope: Scope, _receive: Receive, send: Send) -> None:
    """The ASGI application of every path that is not ours."""
    if scope["type"] == "http":
        await problem_answer(NotFound("not_found", "There is nothing at this address.")).write(scope, send)
