"""The Python client's connection is held to the same tables and timelines as the browser's (vectors/)."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tidings.client.machine import Effect, Machine
from tidings.protocol.retry import Outcome, OutcomeKind, is_temporary

VECTORS = Path(__file__).parents[2] / "vectors"
TABLE: dict[str, Any] = json.loads((VECTORS / "connection.json").read_text("utf-8"))
CASES: list[dict[str, Any]] = json.loads((VECTORS / "polling.json").read_text("utf-8"))["cases"]
HEARTBEAT_MS = 15_000
NONE = Outcome("status", status=503, retry_after_s=60)
LOST: list[OutcomeKind] = ["network", "timeout", "violation", "end"]
OF_PAGES = {"reconnect", "visible", "hidden", "frozen", "restored", "online", "offline"}
OF_PAGES |= {"request: 401"}  # by cookie: whoever has a token replaces it


def shown(machine: Machine) -> str:
    """The status in the words of the vectors."""
    name: str = TABLE["names"].get(machine.status, machine.status)
    return name


class Rig:
    """A machine, and the stream and the poll that it has open."""

    def __init__(self, draw: float) -> None:
        self.draw = draw
        self.machine = Machine(lambda: self.draw)
        self.now = 0.0
        self.stream: int | None = None
        self.poll: int | None = None
        self.is_requested = False

    def sees(self, effects: list[Effect]) -> list[str]:
        """Return the requests, in the words of the vectors."""
        asked = []
        for effect in effects:
            match effect.type:
                case "open_stream":
                    self.stream, self.is_requested = effect.generation, False
                    asked.append("open")
                case "poll":
                    self.poll = effect.generation
                    asked.append("poll")
                case "abort_stream":
                    self.stream = None
                    asked.append("abort stream")
                case "abort_poll":
                    self.poll = None
                    asked.append("abort poll")
                case "reconnecting":
                    asked.append(f"wait {effect.delay_ms:g}")
        return asked

    def happens(self, what: str) -> list[str]:
        machine, now, stream, poll = self.machine, self.now, self.stream or 0, self.poll or 0
        match what.split(" "):
            case ["connect"]:
                return self.sees(machine.connect(now))
            case ["time"]:
                return self.sees(machine.tick(now))
            case ["stream", "requested"]:
                self.is_requested = True
                return self.sees(machine.stream_requested(stream, now))
            case ["connected", "frame"]:
                return self.sees(machine.stream_connected(stream, HEARTBEAT_MS, now))
            case ["bytes"]:
                return self.sees(machine.stream_bytes(stream, now))
            case ["stream", "lost"]:
                return self.sees(machine.stream_ended(stream, Outcome("network"), "network", now))
            case ["no", "streams"]:
                return self.sees(machine.stream_ended(stream, NONE, "no_streams", now))
            case ["goodbye", wait_ms]:
                return self.sees(machine.stream_goodbye(stream, float(wait_ms), "draining", now))
            case ["poll", "answered", *more]:
                return self.sees(machine.poll_done(poll, bool(more), now))
            case ["poll", "lost"]:
                return self.sees(machine.poll_failed(poll, Outcome("network"), "network", now))
        raise AssertionError(what)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_it_polls_and_comes_back_as_the_vectors_say(case: dict[str, Any]) -> None:
    """The vectors say each event, each request and each state that is shown, to the millisecond; and it is woken when
    it must be."""
    rig = Rig(0.5)
    for step in case["steps"]:
        deadline = rig.machine.deadline
        if step["happens"] == "time" and step["after"]:
            assert step["at"] == deadline, step
        elif deadline is not None:
            assert step["at"] <= deadline, step
        rig.now = step["at"]
        assert step["after"] == rig.happens(step["happens"]), step
        assert step["shows"] == shown(rig.machine), step


def cause_of(what: str, outcome: Outcome) -> str:
    if outcome.status is None:
        return f"{what} lost"
    if outcome.status in (401, 204):
        return f"{what}: {outcome.status}"
    return f"{what}: {'temporary' if is_temporary(outcome.status) else 'terminal'} status"


def walk(runs: int, chance: random.Random) -> set[tuple[str, str, str]]:
    """Everything that can happen, in any order: what changed the status, and by what."""
    seen: set[tuple[str, str, str]] = set()
    lost = [Outcome(kind) for kind in LOST]
    statuses = [Outcome("status", status=status) for status in (401, 204, 403, 503)]
    for run in range(runs):
        rig = Rig(0.5)
        outcomes = lost + statuses if run % 4 else statuses[:1]  # some meet nothing but 401
        rest = chance.choice([100, 1000, 10_000])
        for _ in range(80):
            rig.draw = chance.random()
            before, machine = shown(rig.machine), rig.machine
            moves: list[tuple[str, str, tuple[object, ...]]] = []  # the cause, and the method with what it is told
            if before in ("idle", "closed", "refused") or chance.random() < 0.1:
                moves += [("connect", "connect", ()), ("disconnect", "disconnect", ())]
            if (stream := rig.stream) is not None:
                is_live = machine.status == "connected"
                ended = chance.choice(lost if is_live else outcomes)
                moves.append((cause_of("stream", ended), "stream_ended", (stream, ended, "r")))
                if not is_live and chance.random() < (0.5 if before == "unauthorized" else 0.1):
                    moves[-1] = ("stream: no streams", "stream_ended", (stream, NONE, "no_streams"))
                if not rig.is_requested:
                    rig.is_requested = True
                    moves.append(("bytes", "stream_requested", (stream,)))
                if is_live:
                    moves.append(("heartbeat out of step", "stream_heartbeat", (stream, False)))
                    moves.append(("heartbeat", "stream_heartbeat", (stream, True)))
                    moves.append(("goodbye", "stream_goodbye", (stream, 500.0, "draining")))
                else:
                    moves.append(("connected frame", "stream_connected", (stream, HEARTBEAT_MS)))
            if (poll := rig.poll) is not None:
                failed = chance.choice(statuses if before == "unauthorized" else outcomes)
                moves += [("poll answered", "poll_done", (poll, False))] * 2
                moves.append((cause_of("poll", failed), "poll_failed", (poll, failed, "r")))
            if moves:
                cause, method, told = chance.choice(moves)
                if cause.startswith("poll"):
                    rig.poll = None
                rig.sees(getattr(machine, method)(*told, rig.now))
                seen.add((before, cause, shown(machine)))
            end = rig.now + chance.random() * rest * (10 if chance.random() < 0.2 else 1)
            while (deadline := machine.deadline) is not None and deadline <= end:
                rig.now, before = max(rig.now, deadline), shown(machine)
                rig.sees(machine.tick(rig.now))
                seen.add((before, "time", shown(machine)))
            rig.now = end
    return {(before, cause, after) for before, cause, after in seen if before != after}


def test_it_makes_every_change_of_state_of_the_table_and_no_other() -> None:
    """But for what only pages do: they are hidden, frozen, offline, or have a button."""
    written = {
        (before, cause, row["to"])
        for row in TABLE["rows"]
        for before in row["from"]
        if before not in row.get("pages", ())
        for cause in row["causes"]
        if cause not in OF_PAGES
    }
    assert sorted(written) == sorted(walk(2000, random.Random(5)))
