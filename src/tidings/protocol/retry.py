"""The reconnect policy: what to do after an attempt ended, one rule for Python and TypeScript.

Rules of this file:

- Whether to try again depends on the outcome alone, how long to wait also on the failures in a row. Never give up
  where trying may help: a client that stops after ten attempts is deaf for good.
- Full jitter: the wait is drawn from zero up to the backoff, so that clients cut off together do not return together.
- Failures are forgotten only after a stream was *stable*: a server that accepts and closes would else be hammered.
- A server that says when to come back is obeyed: ``goodbye`` exactly, ``Retry-After`` as a floor.

``vectors/retry.json`` holds the cases that both languages must meet. Source: PROTOCOL.md, Reconnection.
"""

from dataclasses import dataclass
from typing import Final, Literal

OutcomeKind = Literal["network", "timeout", "mute", "violation", "status", "goodbye", "end"]
Action = Literal["retry", "refresh", "stop"]

END_WAIT_MAX_MS: Final = 5000
"""Spread of the return after a clean end without ``goodbye``: a proxy or server that restarts, not one that fails."""

RETRY_AFTER_JITTER: Final = 0.2
"""Added on top of ``Retry-After``, so that those who were told the same number come spread."""

WAIT_MAX_MS: Final = 86_400_000
"""A day: the longest that anybody is told to wait. Beyond 24 days timers of browsers fire at once, Python's raise."""

_TEMPORARY_STATUSES: Final = frozenset({408, 425, 429})
_EXPONENT_MAX: Final = 32  # beyond it any backoff has met its cap; keeps the power small


@dataclass(frozen=True, slots=True)
class RetryOptions:
    """Bounds of the backoff in milliseconds: the first step, the greatest, and the least wait of all."""

    base_ms: float = 1000
    cap_ms: float = 30_000
    floor_ms: float = 250


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        kind: ``network`` (refused, reset, cut), ``timeout`` (no answer, or silence past the watchdog), ``mute``
            (answered, but no ``connected`` frame in time), ``violation`` (not what PROTOCOL.md allows), ``status``
            (any answer but 200), ``goodbye`` (the server said so), ``end`` (clean end after ``connected``).
        status: The HTTP status of a ``status`` outcome.
        retry_after_s: ``Retry-After`` of the answer in seconds, if it had one.
        retry_ms: The wait that a ``goodbye`` asks for.
        stable: The stream had been live for at least 10 s and saw a heartbeat.
        refreshed: The token of this attempt had been fetched anew because of a 401 just before.
    """

    kind: OutcomeKind
    status: int | None = None
    retry_after_s: float | None = None
    retry_ms: float | None = None
    stable: bool = False
    refreshed: bool = False


@dataclass(frozen=True, slots=True)
class NextAttempt:
    """The next step: try again after the wait, fetch a new token and try at once, or stop until somebody acts."""

    action: Action
    wait_ms: float
    failures: int


DEFAULT_OPTIONS: Final = RetryOptions()


def next_attempt(
    failures: int, outcome: Outcome, random: float, options: RetryOptions = DEFAULT_OPTIONS
) -> NextAttempt:
    """Decide what follows an attempt.

    Args:
        failures: Failures in a row before this attempt.
        outcome: How the attempt ended.
        random: A number in [0, 1), drawn anew for each call.
        options: Bounds of the backoff.

    Returns:
        The action, the wait before it in milliseconds (not rounded), and the new count of failures.
    """
    assert failures >= 0, "failures are counted from zero"
    assert 0 <= random < 1, "random is drawn from [0, 1)"
    if outcome.stable:
        failures = 0
    match outcome.kind:
        case "goodbye":
            assert outcome.retry_ms is not None, "a goodbye says when to return"
            return NextAttempt("retry", min(outcome.retry_ms, WAIT_MAX_MS), failures)
        case "end":
            return NextAttempt("retry", random * END_WAIT_MAX_MS, failures if outcome.stable else failures + 1)
        case "status":
            assert outcome.status is not None, "a status outcome has a status"
            if outcome.status == 401 and not outcome.refreshed:
                return NextAttempt("refresh", 0, failures)
            if outcome.status != 401 and not is_temporary(outcome.status):
                return NextAttempt("stop", 0, failures)
    return NextAttempt("retry", _backoff_ms(failures, outcome.retry_after_s, random, options), failures + 1)


def is_temporary(status: int) -> bool:
    """Whether the same request may succeed later: 408, 425, 429 and every 5xx."""
    return status in _TEMPORARY_STATUSES or 500 <= status <= 599


def _backoff_ms(failures: int, retry_after_s: float | None, random: float, options: RetryOptions) -> float:
    backoff_ms = min(options.cap_ms, options.base_ms * 2.0 ** min(failures, _EXPONENT_MAX))
    wait_ms = max(options.floor_ms, random * backoff_ms)
    if retry_after_s is None:
        return wait_ms
    return max(wait_ms, min(retry_after_s * 1000 * (1 + RETRY_AFTER_JITTER * random), WAIT_MAX_MS))
