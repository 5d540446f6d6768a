"""Token buckets: so many at once, so many a second, for everybody apart (PROTOCOL.md 14)."""

from __future__ import annotations

import pytest

from tidings.errors import TooManyRequests
from tidings.protocol.user_id import UserId
from tidings.server.identity.rates import RATE_USERS_MAX, RateLimit
from tidings.server.store import hourly
from tidings.server.store.hourly import HOUR_S, Hourly

ADA = UserId("ada")


class Clock:
    """A time that only the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def passes(limit: RateLimit, name: str, tries: int = 1000) -> int:
    """How many pass at once."""
    for number in range(tries):
        try:
            limit.take(name)
        except TooManyRequests:
            return number
    return tries


@pytest.mark.parametrize(
    ("per_s", "burst"), [(30.0, 60), (2.0, 60), (10.0, 10), (20 / 3600, 20), (0.1, 3), (0.0001, 60)]
)
def test_the_burst_passes_to_the_last_and_then_one_an_interval(per_s: float, burst: int) -> None:
    """It is so for any numbers; a sender that waits as it is told passes, and one that never came has a full bucket."""
    clock = Clock()
    limit = RateLimit(per_s, burst, clock)
    assert burst == passes(limit, "ada")
    for _ in range(5):
        with pytest.raises(TooManyRequests) as refusal:
            limit.take("ada")
        assert refusal.value.retry_after_s is not None
        assert max(1.0, 1 / per_s) <= refusal.value.retry_after_s + 1e-3 < max(1.0, 1 / per_s) + 1.01
        clock.now += 1 / per_s
        limit.check("ada")
        assert 1 == passes(limit, "ada")
    assert burst == passes(limit, "ben")
    clock.now += 10 * burst / per_s
    assert burst == passes(limit, "ada"), "no fuller than full"


def test_a_question_takes_nothing() -> None:
    """However often."""
    limit = RateLimit(1.0, 1, Clock())
    for _ in range(10):
        limit.check("ada")
    assert 1 == passes(limit, "ada")
    with pytest.raises(TooManyRequests):
        limit.check("ada")


def test_the_most_recent_half_is_remembered_and_no_more_than_all() -> None:
    """A crowd of strangers frees nobody who was just refused, and takes a bounded memory."""
    limit = RateLimit(0.001, 1, Clock())
    for number in range(3 * RATE_USERS_MAX):
        if number % 1000 == 0:
            limit.take(f"now and then {number}")
        limit.take(f"stranger {number}")
        assert len(limit._young) + len(limit._old) <= RATE_USERS_MAX + 1
    assert 0 == passes(limit, f"stranger {3 * RATE_USERS_MAX - RATE_USERS_MAX // 3}")
    assert 1 == passes(limit, "stranger 0")


def test_an_hour_after_the_first_one_more_may_be_done() -> None:
    """Never more than so many within any hour; a refusal counts for nothing, and tells when. PROTOCOL 20.0.5"""
    clock = Clock()
    hour = Hourly(clock)
    for _ in range(3):
        hour.take("report", ADA, 3)
        clock.now += 600
    for _ in range(2):
        with pytest.raises(TooManyRequests) as refusal:
            hour.take("report", ADA, 3)
        assert HOUR_S - 1800 == refusal.value.retry_after_s
    clock.now += HOUR_S - 1800
    hour.take("report", ADA, 3)
    with pytest.raises(TooManyRequests):
        hour.take("report", ADA, 3)


def test_those_who_did_nothing_for_an_hour_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory has a bound: beyond it, the one that did nothing for longest goes first."""
    monkeypatch.setattr(hourly, "REMEMBERED_MAX", 3)
    clock = Clock()
    hour = Hourly(clock)
    for name in ("ada", "ben", "eve"):
        hour.take("report", UserId(name), 1)
    hour.take("report", UserId("flo"), 1)
    hour.take("report", ADA, 1)  # forgotten
    with pytest.raises(TooManyRequests):
        hour.take("report", UserId("eve"), 1)
    clock.now += HOUR_S
    hour.take("report", ADA, 1)
    assert 1 == len(hour._done_at)
