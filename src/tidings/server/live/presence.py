"""The people who are here: kept in memory, counted by person, told only to those who asked.

Rules
1. A person is online while any stream or poll of theirs is held, and for ``presence_grace_s`` after the last has
   gone: two tabs are one person, and a reconnection is no absence.
2. Nobody is offline before the node has run for one grace period: after a restart everybody is yet to come back.
   Until then who is not here is unknown (None), and no frame is sent.
3. A change is told to those who watch this person, in batches of PRESENCE_TOLD_AT_ONCE: a crowd that comes back
   costs a bounded part of the loop. A change that was taken back meanwhile is not told at all.
4. A watch is asked for again and again and ends by itself (PRESENCE_WATCH_S). Nothing here is ever written.
5. Whether somebody may know of somebody's presence is asked of the store by the routes; a block ends the watches.

Source: PROTOCOL.md 18.
"""

from __future__ import annotations

from collections.abc import Callable

from tidings.protocol.user_id import UserId

PRESENCE_WATCH_S = 60  # how long changes of somebody's presence are told without being asked for again
PRESENCE_WATCHES_MAX = 10  # people whose presence one user watches: an open conversation in each of some windows
PRESENCE_TICK_S = 0.25  # changes within it are told as one
PRESENCE_TOLD_AT_ONCE = 250  # frames in one tick: about a millisecond, and 1000 a second when a crowd comes back

Pair = tuple[UserId, UserId]  # who watches, and whom


class Watch:
    """The presence that one user was told last of another, and the end of the watch."""

    __slots__ = ("ends_at", "told")

    def __init__(self, told: bool | None, ends_at: float) -> None:
        self.told = told
        self.ends_at = ends_at


class Presence:
    """The presence of this node's users. Everything runs in the event loop's thread."""

    def __init__(
        self,
        clock: Callable[[], float],
        grace_s: float,
        is_here: Callable[[UserId], bool],
        tell: Callable[[UserId, UserId, bool], None],
    ) -> None:
        self._clock = clock
        self._grace_s = grace_s
        self._is_here = is_here
        self._tell = tell
        self._settled_at = clock() + grace_s
        self._is_settled = False
        self._gone_at: dict[UserId, float] = {}  # whose last stream has gone; the earliest first
        self._watches: dict[Pair, Watch] = {}  # the first to end first
        self._watched_by: dict[UserId, dict[UserId, None]] = {}  # watcher → watched, the oldest first
        self._watchers: dict[UserId, dict[UserId, None]] = {}  # watched → watchers
        self._changed: dict[Pair, None] = {}
        self.forgotten = 0  # rises whenever watches are ended by a block
        self.slot = 0

    def online(self, user: UserId) -> bool | None:
        """Whether this person is online; None while that is not known."""
        if self._is_here(user) or user in self._gone_at:
            return True
        return False if self._clock() >= self._settled_at else None

    def arrived(self, user: UserId) -> None:
        """The first stream or poll of a person came."""
        if self._gone_at.pop(user, None) is None:
            self._change(user)

    def left(self, user: UserId) -> None:
        """The last one went."""
        self._gone_at[user] = self._clock()

    def watch(self, watcher: UserId, watched: UserId) -> bool | None:
        """The presence of ``watched``; changes are told to ``watcher`` from now on, for PRESENCE_WATCH_S."""
        online, pair = self.online(watched), (watcher, watched)
        self._drop(pair)
        mine = self._watched_by.setdefault(watcher, {})
        if len(mine) >= PRESENCE_WATCHES_MAX:
            self._drop((watcher, next(iter(mine))))
            mine = self._watched_by.setdefault(watcher, {})
        mine[watched] = None
        self._watchers.setdefault(watched, {})[watcher] = None
        self._watches[pair] = Watch(online, self._clock() + PRESENCE_WATCH_S)
        return online

    def unwatch(self, watcher: UserId, watched: UserId, at: float) -> None:
        """End a watch that has gone on elsewhere since ``at``, and not one that began here later."""
        watch = self._watches.get((watcher, watched))
        if watch is not None and watch.ends_at - PRESENCE_WATCH_S < at:
            self._drop((watcher, watched))

    def forget(self, one: UserId, other: UserId) -> None:
        """End the watches of two users on each other."""
        self.forgotten += 1
        self._drop((one, other))
        self._drop((other, one))

    def tick(self, now: float) -> float | None:
        """End what has run out, and tell some of what has changed."""
        while self._watches and (pair := next(iter(self._watches))) and self._watches[pair].ends_at <= now:
            self._drop(pair)
        while self._gone_at and (user := next(iter(self._gone_at))) and self._gone_at[user] + self._grace_s <= now:
            del self._gone_at[user]
            self._change(user)
        if not self._is_settled and now >= self._settled_at:
            self._is_settled = True
            self._changed = dict.fromkeys(self._watches)
        if self._is_settled:
            self._tell_some()
        return now + PRESENCE_TICK_S

    def _change(self, user: UserId) -> None:
        if self._is_settled:
            for watcher in self._watchers.get(user, ()):
                self._changed[watcher, user] = None

    def _tell_some(self) -> None:
        left = PRESENCE_TOLD_AT_ONCE
        while self._changed and left > 0:
            pair = next(iter(self._changed))
            del self._changed[pair]
            watch = self._watches.get(pair)
            if watch is not None and (online := self.online(pair[1])) is not None and online != watch.told:
                watch.told = online
                self._tell(*pair, online)
                left -= 1

    def _drop(self, pair: Pair) -> None:
        if self._watches.pop(pair, None) is not None:
            watcher, watched = pair
            for side, one, other in ((self._watched_by, watcher, watched), (self._watchers, watched, watcher)):
                del side[one][other]
                if not side[one]:
                    del side[one]
