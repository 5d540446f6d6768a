"""The line that a refusal leaves: who was refused what, from where, and why.

Rules
1. A refusal because of the caller (401, 403), of an earlier state (409) or of the rate (429) is one line at INFO: user
   where known, address (a socket file has none), status, code, route, and the name of a service key. Never a token, a
   text or the path as it was sent.
2. At DEBUG every request has a line; then that one has these fields.
3. Lines are limited for each user, or address where nobody was known, and for all together, so that a flood of refusals
   is no flood of lines; the next line says how many were left out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from starlette.types import Scope

from tidings.errors import Problem, TooManyRequests
from tidings.server.identity.address import Addresses
from tidings.server.identity.caller import CALLER, KEY_NAME
from tidings.server.identity.rates import RateLimit
from tidings.server.logs import Line
from tidings.server.metrics import Metrics

REFUSAL_LINES_PER_S, REFUSAL_LINES_BURST = 0.1, 5  # of one user or address: enough to see who and why
REFUSAL_LINES_OF_ALL_PER_S, REFUSAL_LINES_OF_ALL_BURST = 10.0, 100  # of all: a flood fills no disk, 200 MB a day

log = logging.getLogger("tidings.refused")

LOGGED = frozenset({401, 403, 409, 429})


class Refusals:
    """Counts what is refused, and writes its lines."""

    def __init__(self, addresses: Addresses, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._addresses = addresses
        self._metrics = metrics
        self._of_one = RateLimit(REFUSAL_LINES_PER_S, REFUSAL_LINES_BURST, clock)
        self._of_all = RateLimit(REFUSAL_LINES_OF_ALL_PER_S, REFUSAL_LINES_OF_ALL_BURST, clock)
        self._left_out = 0

    def note(self, problem: Problem, scope: Scope, route: str, *, has_line: bool = False) -> dict[str, object]:
        """Count a refusal of a request to this route, and write its line.

        Where the request has a line of its own: what that says besides status and route.
        """
        self._metrics.refused.labels(code=problem.code).inc()
        if not has_line and (problem.status not in LOGGED or not log.isEnabledFor(logging.INFO)):
            return {}
        user = scope.get(CALLER, "")
        fields: dict[str, object] = {"code": problem.code, "user": user}
        if address := self._addresses.told(scope):
            fields["address"] = address
        if (key := scope.get(KEY_NAME)) is not None:
            fields["key"] = key
        if has_line:
            return fields
        try:
            self._of_one.take(f"user {user}" if user else self._addresses.of(scope))
            self._of_all.take("")
        except TooManyRequests:
            self._left_out += 1
            return {}
        if self._left_out:
            fields["left_out"], self._left_out = self._left_out, 0
        log.info(Line("refused", status=problem.status, route=route, **fields))
        return {}
