"""Sent, acknowledged, received, lost, doubled: what the pages say, held against what the server has.

Rules of this file:

- A page reports what it did, as it does it: queued a send, had it acknowledged, applied a message, showed one twice;
  and its cursor, which says up to where it claims to have applied its log.
- ``lost`` needs no patience and no clock. A message is lost when a page had it acknowledged and the server does not
  have it, or when its position in the log of a page's user is at or below that page's cursor and the page never
  applied it: that page will not ask for it again. A message beyond the cursor is on its way.
- ``doubled`` is every application of a message by one page after its first, every message that a page shows twice,
  and every message that the server has twice.
- Pages that are gone keep their share in what was sent and received, and owe nothing any more.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from tidings.protocol.cursor import parse_cursor
from tidings.server.demo.limits import TAB_SILENT_S
from tidings.server.demo.truth import Truth


@dataclass
class Tab:
    """The reports of one page.

    Attributes:
        base: The position from which on it owes its log; None until it was connected.
        cursor: Epoch and position up to which it claims to have applied its log.
        taken: How many entries of its report have come.
    """

    user: str
    heard_at: float
    queued: set[str] = field(default_factory=set)
    acknowledged: dict[str, str] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)
    applied: Counter[str] = field(default_factory=Counter)
    shown_twice: set[str] = field(default_factory=set)
    base: int | None = None
    cursor: tuple[str, int] | None = None
    taken: int = 0
    is_closed: bool = False


@dataclass(frozen=True)
class Total:
    """The numbers of the drawer. Once nothing is broken and all is quiet: sent = acknowledged = received.

    Attributes:
        waiting: Sent and not acknowledged.
        on_the_way: The server has it, a window of the recipient is open, and none has it yet.
        unopened: The server has it, and no window of the recipient is open.
        elsewhere: The server has it, and no page sent it: from a command line, or from before a page was reloaded.
    """

    sent: int = 0
    acknowledged: int = 0
    received: int = 0
    lost: int = 0
    doubled: int = 0
    waiting: int = 0
    on_the_way: int = 0
    unopened: int = 0
    elsewhere: int = 0

    def as_dict(self) -> dict[str, int]:
        """For the wire."""
        return asdict(self)


class Count:
    """The reports of all pages since `begin`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.heads: Mapping[str, int] = {}
        self.tabs: dict[str, Tab] = {}
        self.run = 0

    def begin(self, heads: Mapping[str, int]) -> None:
        """Count from these positions on; pages report anew, and only what they sent from now on."""
        self.heads = heads
        self.tabs = {}
        self.run += 1

    def take(
        self,
        tab_id: str,
        user: str,
        *,
        since: int,
        entries: Sequence[Sequence[str]],
        base: str | None,
        cursor: str | None,
        is_closed: bool = False,
    ) -> int:
        """Take a page's report, whose first entry is its ``since``-th; how many entries of it we have now.

        A report that repeats what came already, because our answer was lost, adds nothing.
        """
        tab = self.tabs.get(tab_id)
        if tab is None:
            tab = self.tabs[tab_id] = Tab(user, self._clock())
        tab.heard_at, tab.is_closed = self._clock(), is_closed
        if since > tab.taken:  # we have forgotten, or never had, what lies before: it comes again
            return tab.taken
        for kind, *what in entries[tab.taken - since :]:
            _note(tab, kind, what)
            tab.taken += 1
        # Only what all entries up to here are in may be claimed.
        began, reached = parse_cursor(base or ""), parse_cursor(cursor or "")
        if began is not None and reached is not None and began.epoch == reached.epoch:
            tab.base, tab.cursor = began.position, (reached.epoch, reached.position)
        return tab.taken

    def open_users(self) -> set[str]:
        """Return the users that have a window open."""
        now = self._clock()
        return {tab.user for tab in self.tabs.values() if not tab.is_closed and now - tab.heard_at < TAB_SILENT_S}

    def acknowledged(self) -> dict[tuple[str, str], str]:
        """(user, client_id) → message id, by what the pages say. To be asked for before the truth is read."""
        return {
            (tab.user, client_id): message
            for tab in self.tabs.values()
            for client_id, message in tab.acknowledged.items()
        }

    def total(self, acknowledged: Mapping[tuple[str, str], str], truth: Truth) -> Total:
        """Hold the reports against the truth."""
        tabs = list(self.tabs.values())
        gone = {id for id in acknowledged.values() if id not in truth.recipients and id not in truth.earlier}
        known = {key for key, id in acknowledged.items() if id not in truth.earlier}
        before = acknowledged.keys() - known
        withdrawn = {(tab.user, client_id) for tab in tabs for client_id in tab.withdrawn} - known
        sent = ({(tab.user, client_id) for tab in tabs for client_id in tab.queued} | known) - withdrawn - before
        has: dict[str, set[str]] = {}
        for tab in tabs:
            has.setdefault(tab.user, set()).update(tab.applied)
        received = {id for id, user in truth.recipients.items() if id in has.get(user, ())}
        lost = gone.union(*(self._missed(tab, truth) for tab in tabs))
        open_users = self.open_users()
        not_yet = [user for id, user in truth.recipients.items() if id not in received and id not in lost]
        return Total(
            sent=len(sent),
            acknowledged=len(known),
            received=len(received),
            lost=len(lost),
            doubled=truth.doubled + sum(_twice(tab, truth.recipients) for tab in tabs),
            waiting=len(sent - known),
            on_the_way=sum(user in open_users for user in not_yet),
            unopened=sum(user not in open_users for user in not_yet),
            elsewhere=len(truth.recipients.keys() - set(acknowledged.values())),
        )

    def _missed(self, tab: Tab, truth: Truth) -> set[str]:
        """Return the messages that this page claims to have passed and never applied."""
        if tab.base is None or tab.cursor is None or tab.cursor[0] != truth.epoch:
            return set()
        first = max(tab.base, self.heads.get(tab.user, 0))
        log = truth.logs.get(tab.user, {})
        return {id for id, position in log.items() if first < position <= tab.cursor[1]} - tab.applied.keys()


def _twice(tab: Tab, counted: Mapping[str, str]) -> int:
    again = sum(number - 1 for id, number in tab.applied.items() if id in counted)
    return again + sum(id in counted for id in tab.shown_twice)


def _note(tab: Tab, kind: str, what: list[str]) -> None:
    match (kind, what):
        case ("queued", [client_id]):
            tab.queued.add(client_id)
        case ("acknowledged", [client_id, message]):
            tab.acknowledged[client_id] = message
        case ("withdrawn", [client_id]):
            tab.withdrawn.add(client_id)
        case ("applied", [message]):
            tab.applied[message] += 1
        case ("shown_twice", [message]):
            tab.shown_twice.add(message)
