"""Reading what a server answered when it refused."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2
import msgspec

from tidings.errors import ServerProblem

DETAIL_LENGTH_MAX = 500


class _ProblemBody(msgspec.Struct):
    detail: str
    code: str | None = None


def read_problem(response: httpx2.Response, body: bytes) -> ServerProblem:
    """Return the refusal as an error; ``body`` is what could be read of it.

    A host application's own refusal may have a detail and no code. An answer that has neither (a proxy's page, say) is
    not repeated: only its status is told.

    Source: RFC 9457.
    """
    try:
        problem = msgspec.json.decode(body, type=_ProblemBody)
    except (ValueError, RecursionError):  # no JSON, no UTF-8, nested too deep
        problem = _ProblemBody(_say_status(response.status_code))
    return ServerProblem(
        response.status_code,
        problem.code or f"status_{response.status_code}",
        problem.detail[:DETAIL_LENGTH_MAX],
        retry_after_s=read_retry_after_s(response),
    )


def read_retry_after_s(response: httpx2.Response) -> float | None:
    """Return the seconds of ``Retry-After``, in either of its forms; none if it is absent or unreadable.

    Source: RFC 9110 10.2.3.
    """
    value = response.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit() and len(value) <= 9:
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # a date beyond what a clock can say
        return None
    # A date without a zone is read as UTC, the only zone that HTTP has.
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _say_status(status: int) -> str:
    if 300 <= status < 400:
        return "The server redirects elsewhere; use the address it redirects to"
    if status == 404:
        return "There is no Tidings under this address"
    return "The server refused without giving a reason"
