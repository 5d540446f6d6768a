"""Callers that the server knows without looking at a signature again."""

from __future__ import annotations

from tidings.protocol.user_id import UserId
from tidings.server.identity.caller import Caller, RecentCallers


def caller(number: int) -> Caller:
    return Caller(UserId(f"user-{number}"), None, 0.0)


def test_the_most_recent_half_is_known_and_never_more_than_all() -> None:
    """The last one added stays, and the oldest goes."""
    recent = RecentCallers(10)
    for number in range(100):
        recent.add(b"%d" % number, caller(number))
        known = {each.user for each in recent}
        assert known >= {f"user-{each}" for each in range(max(0, number - 4), number + 1)}
        assert 10 >= len(known)
    assert recent.get(b"0") is None
    assert caller(99) == recent.get(b"99")


def test_a_caller_that_is_asked_for_again_and_again_is_never_forgotten() -> None:
    """However many others come."""
    recent = RecentCallers(10)
    recent.add(b"ada", caller(0))
    for number in range(1, 100):
        recent.add(b"%d" % number, caller(number))
        assert caller(0) == recent.get(b"ada")


def test_a_forgotten_caller_is_not_known() -> None:
    """All of it, in both halves."""
    recent = RecentCallers(4)
    for number in range(3):
        recent.add(b"%d" % number, caller(number))
    recent.clear()
    assert [] == list(recent)
