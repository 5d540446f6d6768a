"""The share of memory that readers who take nothing may have, by user and by address: PROTOCOL.md 14.0.23, 14.0.25."""

from __future__ import annotations

import pytest

from tidings.server.http.slow_answers import (
    UNTAKEN_BY_PROXIES_MAX_BYTES,
    UNTAKEN_PER_ADDRESS_MAX_BYTES,
    UNTAKEN_PER_USER_MAX_BYTES,
    Untaken,
)

MIB = 1 << 20


@pytest.mark.parametrize(
    ("address", "user", "share_bytes"),
    [
        ("198.51.100.7", "", UNTAKEN_PER_ADDRESS_MAX_BYTES),
        ("", "", UNTAKEN_BY_PROXIES_MAX_BYTES),
        ("198.51.100.7", "ada", UNTAKEN_PER_USER_MAX_BYTES),
        ("", "ada", UNTAKEN_PER_USER_MAX_BYTES),
    ],
    ids=["an address", "all proxies", "a user", "a user behind a proxy"],
)
def test_the_answer_that_has_waited_longest_gives_way(address: str, user: str, share_bytes: int) -> None:
    """One for each that comes beyond the share, in the order in which they began; others do not count."""
    untaken, ended = Untaken(), list[int]()
    untaken.add("another", share_bytes // 2, lambda: ended.append(-1), address="203.0.113.9", user="ben")
    for number in range(share_bytes // MIB + 3):
        untaken.add(number, MIB, lambda number=number: ended.append(number), address=address, user=user)  # type: ignore[misc]

    assert [0, 1, 2] == [number for number in ended if number >= 0]


def test_users_of_one_address_have_its_share_together() -> None:
    """Each keeps within their own, and all of them within that of the address."""
    untaken, ended = Untaken(), list[int]()
    for number in range(UNTAKEN_PER_ADDRESS_MAX_BYTES // MIB + 3):
        untaken.add(number, MIB, lambda number=number: ended.append(number), address="a", user=f"user-{number}")  # type: ignore[misc]

    assert [0, 1, 2] == ended


def test_a_taken_answer_makes_room_and_leaves_nothing() -> None:
    """Also when a connection ends twice, or never waited."""
    untaken, ended = Untaken(), list[int]()
    for number in range(5):
        untaken.add(
            number,
            UNTAKEN_PER_USER_MAX_BYTES,
            lambda number=number: ended.append(number),  # type: ignore[misc]
            address="a",
            user="ada",
        )
        untaken.remove(number)
        untaken.remove(number)
        untaken.remove("never")

    assert [] == ended
    assert not untaken._waiting
    assert not untaken._shares
