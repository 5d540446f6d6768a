"""The share of memory that answers which nobody takes may have: PROTOCOL.md 14.0.23."""

from __future__ import annotations

import pytest

from tidings.server.config import UNTAKEN_BY_PROXIES_MAX_BYTES, UNTAKEN_PER_ADDRESS_MAX_BYTES
from tidings.server.untaken import Untaken

MIB = 1 << 20


@pytest.mark.parametrize(
    ("name", "share_bytes"), [("198.51.100.7", UNTAKEN_PER_ADDRESS_MAX_BYTES), ("", UNTAKEN_BY_PROXIES_MAX_BYTES)]
)
def test_who_has_waited_longest_gives_way(name: str, share_bytes: int) -> None:
    """One for each that comes beyond the share, in the order in which they began; other addresses do not count."""
    untaken, ended = Untaken(), list[int]()
    untaken.add("203.0.113.9", "another", share_bytes // 2, lambda: ended.append(-1))
    for number in range(share_bytes // MIB + 3):
        untaken.add(name, number, MIB, lambda number=number: ended.append(number))  # type: ignore[misc]

    assert [0, 1, 2] == [number for number in ended if number >= 0]


def test_what_was_taken_makes_room_and_leaves_nothing() -> None:
    """Also when a connection ends twice, or never waited."""
    untaken, ended = Untaken(), list[int]()
    whole = UNTAKEN_PER_ADDRESS_MAX_BYTES
    for number in range(5):
        untaken.add("a", number, whole, lambda number=number: ended.append(number))  # type: ignore[misc]
        untaken.remove("a", number)
        untaken.remove("a", number)
        untaken.remove("b", number)

    assert [] == ended
    assert not untaken._waiting
    assert not untaken._size_bytes
