"""Messages for the store, by the million: pairs take turns, and both sides of a pair.

The reader of all measurements has the same at every size: it gets its conversations first, then its share.
"""

from __future__ import annotations

import asyncio
import sys

from tidings.protocol.user_id import UserId
from tidings.server.store import NewMessage
from tidings.server.store.sqlite.store import SqliteStore

PAIRS = 2500
READER, PEER = UserId("grown-0"), UserId("grown-1")
READ = 1000  # messages of these two before all others: more than a page of anything
FRIENDS = 40  # conversations of the reader: more than a page of the inbox
AT_ONCE = 2000  # appends under way
TELL_EVERY = 500_000
TEXT = "a message of some length, as people write them, with a few words more than one would need " + "x" * 20


def new(nth: int) -> NewMessage:
    """The nth message."""
    pair, turn = nth % PAIRS, nth // PAIRS
    people = READER, PEER
    if READ <= nth < READ + FRIENDS:
        people = READER, UserId(f"friend-{nth}")
    elif nth >= READ:
        people = UserId(f"grown-{2 * pair}"), UserId(f"grown-{2 * pair + 1}")
    return NewMessage(people[turn % 2], people[1 - turn % 2], TEXT, "text", f"grown-{nth}", opening_limit_per_h=None)


def events_each(count: int) -> int:
    """How many events each log has when there are so many messages."""
    return count // PAIRS


async def fill(store: SqliteStore, begin: int, end: int) -> None:
    """Append the messages from ``begin`` on."""
    numbers = iter(range(begin, end))

    async def some() -> None:
        for nth in numbers:
            await store.append(new(nth))
            if nth % TELL_EVERY == 0 and nth:
                print(f"{nth:,} messages", file=sys.stderr)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(some())
