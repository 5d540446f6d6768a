"""The reaction of a node to what others tell it of users: typing, presence, profiles, tabs, blocks, revocations."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite

import msgspec

from tidings.protocol.shapes import ProfileChange
from tidings.protocol.user_id import UserId, check_user_id
from tidings.server.live import frame
from tidings.server.live.bus.told import BLOCK, LOOK, PRESENCE, PROFILE, REVOKE, TAB, TYPING, WATCH
from tidings.server.live.ending import replace
from tidings.server.live.frame import Frame
from tidings.server.live.hub import Hub

Revoked = Callable[[UserId, float], None]


class Listener:
    """It does here what has happened elsewhere."""

    def __init__(self, hub: Hub, revoked: Revoked) -> None:
        self._hub = hub
        self._revoked = revoked
        self._kinds: dict[str, Callable[[UserId, str, float], None]] = {
            TYPING: self._typing,
            PRESENCE: self._presence,
            PROFILE: self._profile,
            WATCH: self._watch,
            TAB: self._tab,
            BLOCK: self._block,
            LOOK: self._look,
            REVOKE: self._revoke,
        }

    def hear(self, kind: str, to: str, about: str, at: float) -> None:
        """Do what is to be done, since it was told at this time of our clock.

        Raises:
            ValueError: It cannot be meant.
        """
        react = self._kinds.get(kind)
        if react is not None:
            react(check_user_id(to), about, at)

    def _typing(self, to: UserId, about: str, _at: float) -> None:
        user_log = self._hub.find(to)
        if user_log is not None:
            user_log.ephemeral(Frame(frame.typing(check_user_id(about))))

    def _presence(self, to: UserId, about: str, _at: float) -> None:
        self._hub.show_presence(to, check_user_id(about[1:]), about[:1] == "1")

    def _profile(self, to: UserId, about: str, _at: float) -> None:
        self._hub.show_profile(to, msgspec.json.decode(about, type=ProfileChange))

    def _watch(self, to: UserId, about: str, at: float) -> None:
        if self._hub.presence is not None:
            self._hub.presence.unwatch(to, check_user_id(about), at)

    def _tab(self, to: UserId, about: str, at: float) -> None:
        user_log = self._hub.find(to)
        if user_log is not None:
            replace(self._hub, [each for each in user_log.streams if each.tab == about and each.opened_at < at])

    def _block(self, to: UserId, about: str, _at: float) -> None:
        if self._hub.presence is not None:
            self._hub.presence.forget(to, check_user_id(about))

    def _look(self, to: UserId, _about: str, _at: float) -> None:
        self._hub.look([to])

    def _revoke(self, to: UserId, about: str, _at: float) -> None:
        until = float(about)
        if not isfinite(until):
            raise ValueError("a time is finite")
        self._revoked(to, until)
