"""One run: the server's machine, the devices, what is committed, and the record of what happened."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import logging
import random
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.simulation.clock import Clock, VirtualLoop
from lab.simulation.device import Device
from lab.simulation.disk import Disk
from lab.simulation.limits import Limits
from lab.simulation.server import Host
from lab.simulation.truth import Truth

RECENT = 60  # steps that a failure shows
LIVE_WITHIN_S = 20.0  # what was committed is with every live device by then: the sweep's 15 s (I3), and the way


# What the product logs as an error when a fault of ours asks for it.
def _is_expected(message: str, world: World, disk: Disk) -> bool:
    match message:
        case "the writer thread died; sends are refused until a restart":
            return disk.has_crashed or disk.has_failed
        case "a write failed":
            return world.poisoned > 0
        case "the sweep failed; the next one makes up for it" | "a task of the hub failed":
            return world.slowed > 0
    return False


class Violation(Exception):
    """Something that must never be, was."""


class World:
    """Everything of one seed."""

    same_tab = 0.1  # the share of devices that have the name of another one's tab

    def __init__(self, seed: int, clock: Clock, loop: VirtualLoop, limits: Limits, directory: Path) -> None:
        self.seed = seed
        self.clock = clock
        self.loop = loop
        self.limits = limits
        self.rng = random.Random(seed + 1)
        self.violations: list[str] = []
        self.broken = loop.create_future()
        self.recent: deque[str] = deque(maxlen=RECENT)
        self.said: dict[tuple[str, str], tuple[str, str]] = {}
        self.acknowledged: dict[tuple[str, str], int] = {}
        self.acknowledged_at: dict[int, float] = {}  # by message
        self.lost: set[tuple[str, str]] = set()  # acknowledged, and then taken away by a restore
        self.poisoned = self.slowed = 0
        self.late_until = 0.0  # requests that nobody waits for any more may arrive until then
        self.faults: Counter[str] = Counter()
        self._passes_over = False
        self.operations = 0
        self._hash = hashlib.sha256()
        self._numbers = itertools.count(1)
        self.truth = Truth(self.wrong, clock.monotonic)
        self.prepare(directory)
        users = [f"u{number}" for number in range(limits.users)]
        self.devices: list[Device] = []
        for user in users:
            for number in range(limits.devices_per_user):
                tab = f"tab{0 if self.rng.random() < self.same_tab else number}"
                self.devices.append(Device(self, user, f"{user}d{number}", tab=tab, polls=self.rng.random() < 0.2))
        self.users = users

    def installed(self) -> contextlib.AbstractContextManager[None]:
        """Put the simulated parts in the place of the product's."""
        return contextlib.nullcontext()

    def prepare(self, directory: Path) -> None:
        """The server's machine."""
        self.host = Host(self, directory)
        self.config = self.limits.config(self.host.url)

    # The record.

    def trace(self, what: str, *fields: object) -> None:
        """Note a step."""
        line = f"{self.clock.now_s:.4f} {what} {' '.join(map(str, fields))}"
        self._hash.update(line.encode())
        self.recent.append(line)

    @property
    def hash(self) -> str:
        """Of all steps so far: equal in two runs of one seed."""
        return self._hash.hexdigest()

    def wrong(self, what: str, *, is_certain: bool = False) -> None:
        """Something that must never be, was: the run ends; unless ``lenient`` passes over what is not certain."""
        if self._passes_over and not is_certain:
            return self.trace("passed over", what)
        self.recent.append(f"{self.clock.now_s:.4f} WRONG {what}")
        self.violations.append(what)
        if not self.broken.done():
            self.broken.set_result(None)

    def doubts(self, _node: object) -> bool:
        """Whether a node may still speak of a history that is no more; one that is alone never may."""
        return False

    @contextlib.contextmanager
    def lenient(self, node: object) -> Iterator[None]:
        """Pass over what is wrong, where ``doubts`` says so."""
        self._passes_over = self.doubts(node)
        try:
            yield
        finally:
            self._passes_over = False

    def next_number(self) -> int:
        """For names of connections."""
        return next(self._numbers)

    def logged(self, record: logging.LogRecord) -> None:
        """Record the product's lines from WARNING on; an error that no fault explains is a defect."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f": {record.exc_info[1]!r}"
        self.recent.append(f"{self.clock.now_s:.4f} log {text}")
        if record.levelno >= logging.ERROR and not self.is_expected(str(record.msg)):
            self.wrong(f"the product logged: {text}")

    def claims(self) -> dict[str, float]:
        """Return what a token says besides whose it is, and for how long."""
        return {}

    def waiting(self) -> Iterator[str]:
        """Things that a calm waits for besides the devices."""
        if self.late_until > self.clock.now_s:
            yield "a late request is on its way"

    def check(self) -> None:
        """In a calm, when nothing is waited for: what else must be true."""

    def is_expected(self, message: str) -> bool:
        """Whether a fault of ours asks for this error."""
        return self.host.node is not None and _is_expected(message, self, self.host.node.disk)

    def unhandled(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Record the complaints of the event loop."""
        self.wrong(f"the event loop: {context.get('message')} {context.get('exception')!r}")

    def committed(self) -> None:
        """A COMMIT has come to its end: look at what it did."""
        self.truth.observe()
        self.trace("commit", *(f"{user}:{self.truth.head(user)}" for user in self.users))

    # What the plan does.

    def rewound(self, *, is_silent: bool) -> None:
        """The database was replaced by a copy: what it lacks is lost, as the operators' documents say."""
        _logs, _sends = self.truth.rewind(str(self.host.path))
        lost = [key for key in self.acknowledged if key not in self.truth.by_client_id]
        for key in lost:
            del self.acknowledged[key]
        self.lost.update(lost)
        self.trace("rewound", "silently" if is_silent else "restored", len(lost))

    def is_retaken(self, user: str) -> bool:
        """Whether a restore took a message of theirs away, and its ``client_id`` went to another text before it was
        sent again: the first text is refused from then on.
        """
        taken = ((key, self.truth.by_client_id.get(key)) for key in self.lost if key[0] == user)
        return any(mid is not None and self.truth.messages[mid].text != self.said[key][1] for key, mid in taken)

    def is_phantom(self, device: Device) -> bool:
        """Whether a silent rollback left this device with what no longer exists, at a place that still does.

        Snapshots read ahead of the events, and an event applied but not yet counted as done: no cursor tells of them.
        """
        for state, position in ((device.state, device.position), (device.saved[0], None)):
            if position is not None and position > self.truth.head(device.user):
                continue
            for peer, conversation in state.conversations.items():
                known = self.truth.between(device.user, peer)
                read, _delivered = self.truth.marks(device.user, peer)
                peer_read, peer_delivered = self.truth.told(peer, device.user)
                if (
                    len(conversation.messages) > len(known)
                    or any(
                        seq > len(known) or known[seq - 1].text != told[2]
                        for seq, told in conversation.messages.items()
                    )
                    or conversation.read_upto > read
                    or conversation.peer_read_upto > peer_read
                    or conversation.peer_delivered_upto > peer_delivered
                    or conversation.position > self.truth.head(device.user)
                ):
                    return True
        return False

    def look(self) -> None:
        """After every step: nobody who is live waits longer than I3 allows."""
        now = self.clock.now_s
        for device in self.devices:
            link, since = device.link, device.live_since
            if since is None or device.position is None or not link.is_fine:
                continue
            due = device.position + 1
            if due > self.truth.head(device.user) or device.state.epoch not in ("", self.truth.epoch):
                continue
            fine_since = max(since, link.fine_since)
            for promised_at, within_s, why in self.promises(device, due):
                if now - max(promised_at, fine_since) >= within_s:
                    self.wrong(f"I3: {device.name} is live at {device.position}, {due} was {why} {within_s} s ago")

    def promises(self, device: Device, position: int) -> Iterator[tuple[float, float, str]]:
        """Since when a committed event is to be with this device, which is live, and within how many seconds."""
        if self.host.is_fine:
            committed_at = self.truth.committed_at[device.user][position - 1]
            yield max(committed_at, self.host.disturbed_at), LIVE_WITHIN_S, "committed"
