"""Every error of Tidings.

::

    TidingsError
    ├── ConfigurationError        a setting is missing or wrong; nothing was started
    │   └── ExtraMissing          a part's packages are not installed; also an ImportError
    ├── NotNow                    what a start needs is not there; starting again may help
    │   ├── DatabaseAway          the database cannot be reached, or is not up yet
    │   └── DatabaseInUse         another process serves this database, which takes one alone
    ├── DatabaseTooNew            the database was written by a newer Tidings
    ├── Problem                   what the server answers (RFC 9457); one subclass per status family
    │   ├── BadRequest            400: not readable as a request
    │   ├── Unauthorized          401: no valid token
    │   ├── Forbidden             403: not yours, not allowed
    │   ├── NotFound              404: no such route or message
    │   ├── MethodNotAllowed      405
    │   ├── Conflict              409: client_id used for other content
    │   ├── RequestTimeout        408: the body did not arrive in time
    │   ├── ContentTooLarge       413
    │   ├── UnsupportedMediaType  415
    │   ├── Unprocessable         422: well-formed but refused
    │   ├── HeadTooLarge          431
    │   ├── TooManyRequests       429: temporary, with Retry-After
    │   └── Unavailable           503: temporary, with Retry-After; not committed, or not known to be
    └── ClientError
        ├── ServerProblem         what a server said, read from its problem body
        ├── StreamLost            the stream or the connection broke; temporary
        └── ProtocolViolation     the peer broke PROTOCOL.md

A ``Problem`` fixes ``status`` and ``title`` by class and carries a ``code`` (docs/run/problems.md lists all), a
``detail`` for people, and ``retry_after_s`` where retrying may help. ``server/api/answer.py`` makes
``application/problem+json`` of them: for the routes (``app.py``), and for what never becomes a request of one
(``http/connection.py``).
"""

from __future__ import annotations

from math import ceil
from typing import ClassVar

__all__ = [
    "BadRequest",
    "ClientError",
    "ConfigurationError",
    "Conflict",
    "ContentTooLarge",
    "DatabaseAway",
    "DatabaseInUse",
    "DatabaseTooNew",
    "ExtraMissing",
    "Forbidden",
    "HeadTooLarge",
    "MethodNotAllowed",
    "NotFound",
    "NotNow",
    "Problem",
    "ProtocolViolation",
    "RequestTimeout",
    "ServerProblem",
    "StreamLost",
    "TidingsError",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
    "Unprocessable",
    "UnsupportedMediaType",
]

NOT_ALLOWED_DETAIL = "You may not write to this person."  # whoever decided it: a blocked sender does not learn why


class TidingsError(Exception):
    """Tidings could not do what was asked."""


class ConfigurationError(TidingsError):
    """A setting is missing or wrong; the text names it and says what to set."""


class ExtraMissing(ConfigurationError, ImportError):
    """A part of Tidings was asked for whose packages are not installed; the text names the extra that brings them."""

    def __init__(self, sentence: str, extra: str) -> None:
        self.extra = extra
        super().__init__(f"{sentence}; install it with: pip install 'tidings[{extra}]'")


class NotNow(TidingsError):
    """A start lacks something at this moment; the text says what it is. Temporary: starting again may help."""


class DatabaseAway(NotNow):
    """The database cannot be reached, or is not up yet."""


class DatabaseInUse(NotNow):
    """Another process serves this database, which takes one alone."""

    def __init__(self, process_id: int | None) -> None:
        self.process_id = process_id
        owner = "another process" if process_id is None else f"process {process_id}"
        super().__init__(
            f"database is served by {owner}; an SQLite file takes one process, and PostgreSQL several:"
            " set db (TIDINGS_DB) to postgresql://user@host/database"
        )


class DatabaseTooNew(TidingsError):
    """The database was written by a newer Tidings than this one."""

    def __init__(self, found: int, known: int) -> None:
        self.found = found
        self.known = known
        super().__init__(
            f"the database has schema version {found}, this Tidings knows {known}; install the newer one that wrote it"
        )


class Problem(TidingsError):
    """A refusal that the server answers as RFC 9457 problem details."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal server error"
    temporary: ClassVar[bool] = False

    def __init__(self, code: str, detail: str, *, retry_after_s: int | None = None) -> None:
        self.code = code
        self.detail = detail
        self.retry_after_s = retry_after_s
        super().__init__(f"{code}: {detail}")

    @property
    def type(self) -> str:
        """URI of the problem's kind; docs/run/problems.md has a section for each."""
        return f"urn:tidings:problem:{self.code}"


class BadRequest(Problem):
    """The request cannot be read."""

    status = 400
    title = "Bad request"


class Unauthorized(Problem):
    """No valid token came with the request."""

    status = 401
    title = "Unauthorized"


class Forbidden(Problem):
    """The caller is known and may not do this."""

    status = 403
    title = "Forbidden"


class NotFound(Problem):
    """There is no such route or message."""

    status = 404
    title = "Not found"


class MethodNotAllowed(Problem):
    """The route exists and does not take this method."""

    status = 405
    title = "Method not allowed"

    def __init__(self, allowed: str) -> None:
        self.allowed = allowed
        super().__init__("method_not_allowed", f"This route takes {allowed}.")


class RequestTimeout(Problem):
    """The body did not arrive in time."""

    status = 408
    title = "Request timeout"
    temporary = True


class Conflict(Problem):
    """The client_id was used for another message."""

    status = 409
    title = "Conflict"


class ContentTooLarge(Problem):
    """The body is over the limit."""

    status = 413
    title = "Content too large"


class UnsupportedMediaType(Problem):
    """The body is not declared as JSON."""

    status = 415
    title = "Unsupported media type"


class Unprocessable(Problem):
    """Well-formed, and refused."""

    status = 422
    title = "Unprocessable content"


class TooManyRequests(Problem):
    """A rate limit; the same request will pass later."""

    status = 429
    title = "Too many requests"
    temporary = True

    @staticmethod
    def after(wait_s: float) -> TooManyRequests:
        """The refusal by a rate: the same request will pass after so long."""
        retry_after_s = max(1, ceil(wait_s))
        return TooManyRequests(
            "rate_limited", f"That was too often; go on in {retry_after_s} s.", retry_after_s=retry_after_s
        )


class HeadTooLarge(Problem):
    """The request's line and fields are over the limit."""

    status = 431
    title = "Request header fields too large"


class Unavailable(Problem):
    """Not done, or not known to be; the same request with the same client_id is safe to repeat."""

    status = 503
    title = "Service unavailable"
    temporary = True


class ClientError(TidingsError):
    """The client could not do what was asked."""


class ServerProblem(ClientError):
    """The server's refusal, read from its problem body (RFC 9457)."""

    def __init__(self, status: int, code: str, detail: str, *, retry_after_s: float | None = None) -> None:
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after_s = retry_after_s
        super().__init__(f"{detail} ({status} {code})")


class StreamLost(ClientError):
    """The connection broke or fell silent; temporary."""


class ProtocolViolation(ClientError):
    """The peer broke PROTOCOL.md."""
