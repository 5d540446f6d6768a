"""Streams that must end on every node: of a user whose sign-ins were revoked, and of a tab that has a later one.

Both are told on the bus. Where a parcel may be lost a revocation is found in the database, and a tab keeps both streams
until it ends one by itself: so tabs are looked at only where the bus loses nothing.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from lab.simulation.network import Connection

if TYPE_CHECKING:
    from lab.simulation.device import Device
    from lab.simulation.nodes.world import NodesWorld

PROMPT_S = 2.0  # a goodbye is waited for 0.5 s, and then the connection is cut
FOUND_S = 8.0  # in the database, after a gap that the next beats tell
SETTLED_S = 0.5  # a node that has just started tells nobody before it has heard of somebody


class Endings:
    """The streams that were asked to end, and have not yet."""

    def __init__(self, world: NodesWorld) -> None:
        self._world = world
        self._revoked: dict[Connection, float] = {}  # when
        self._kept: dict[str, float] = {}  # when the last revocation of this user was in the database

    def revoked(self, user: str) -> None:
        """A node revokes the sign-ins of this user: note the streams that are open now."""
        for device in self._world.devices:
            if device.user == user and (stream := device.stream) is not None:
                self._revoked[stream] = self._world.clock.now_s

    def kept(self, user: str) -> None:
        """The revocation is in the database: a node that did not hear of it finds it there."""
        self._kept[user] = self._world.clock.now_s

    def rewound(self) -> None:
        """The database has forgotten."""
        self._kept.clear()

    def look(self) -> None:
        """After every step: whether one is still open that should not be."""
        self._look_at_revoked()
        self._look_at_tabs()

    def _look_at_revoked(self) -> None:
        world, host, now = self._world, self._world.host, self._world.clock.now_s
        self._revoked = {stream: at for stream, at in self._revoked.items() if stream.stream_epoch}
        for stream, at in self._revoked.items():
            prompt_since, kept_at = host.prompt_since(stream.node), self._kept.get(stream.user, 0.0)
            if (prompt_since is not None and now - max(at, prompt_since) > PROMPT_S) or (
                host.is_fine and kept_at >= at and now - max(kept_at, host.disturbed_at) > FOUND_S
            ):
                world.wrong(f"{stream.who} is open, and its user was revoked {now - at:.1f} s ago")

    def _look_at_tabs(self) -> None:
        for one, other in combinations(self._world.devices, 2):
            if (one.user, one.tab) == (other.user, other.tab):
                open_for_s = min(self._open_for_s(one), self._open_for_s(other))
                if open_for_s > PROMPT_S:
                    self._world.wrong(f"{one.name} and {other.name} have both had a stream for {open_for_s:.1f} s")

    def _open_for_s(self, device: Device) -> float:
        """How long the device has a stream that a word on the bus would have ended."""
        opened_at, stream = device.live_since, device.stream
        if opened_at is None or stream is None or not device.link.is_fine:
            return 0.0
        prompt_since = self._world.host.prompt_since(stream.node)
        is_settled = prompt_since is not None and opened_at - prompt_since > SETTLED_S
        return self._world.clock.now_s - opened_at if is_settled else 0.0
