"""The effects of a fault, in counts: the same judge for the tests and for `make fault`.

A `Town` is a node and the people who write to each other while something breaks. `judge` then compares what was
acknowledged with both logs, with the history and with what the streams brought. Lost, doubled and out of order are
counted apart, and nothing is forgiven: one of them above 0 is a broken promise (I1, I2, I4).
"""

from __future__ import annotations

import itertools
import random
import statistics
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from lab.crowd import Follower, Letter, log_after, position, until_acknowledged, whole_history
from lab.node import Frame, Node, Person

CLIENTS = 20


@dataclass
class Outcome:
    """The outcome of some rounds of one fault."""

    fault: str
    rounds: int = 0
    acknowledged: int = 0
    in_flight: int = 0  # sends that were written and not yet answered when it broke
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    errors: Counter[str] = field(default_factory=Counter)  # what the people concerned were told
    recovery_s: list[float] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)  # what else was measured, with its unit in the name
    failures: list[str] = field(default_factory=list)  # what should have held besides, and did not
    took_s: float = 0.0
    is_control: bool = False  # a machine on which the promise cannot be kept: the judge has to find the loss

    @property
    def holds(self) -> bool:
        """Nothing lost, doubled or out of order, and whatever else was expected."""
        if self.is_control:
            return self.lost > 0
        return self.lost == self.doubled == self.out_of_order == 0 and not self.failures

    def expects(self, holds: bool, otherwise: str) -> None:
        """Note what did not hold."""
        if not holds:
            self.failures.append(otherwise)

    def adds(self, found: Found) -> None:
        """Take the judge's counts."""
        self.acknowledged += found.acknowledged
        self.lost += found.lost
        self.doubled += found.doubled
        self.out_of_order += found.out_of_order

    def takes(self, other: Outcome) -> None:
        """Take the outcome of another round."""
        self.rounds += other.rounds
        self.in_flight += other.in_flight
        self.adds(Found(other.acknowledged, other.lost, other.doubled, other.out_of_order))
        self.errors.update(other.errors)
        self.recovery_s += other.recovery_s
        self.failures += other.failures
        for name, value in other.figures.items():
            before = self.figures.get(name, 0)
            self.figures[name] = max(before, value) if name.endswith("_s") else before + value

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> Outcome:
        """Return the outcome that `as_json` gave, of one round at most."""
        most = given["recovery_s"]["most"]
        own = {name: value for name, value in given.items() if name not in ("holds", "errors", "recovery_s")}
        return cls(**own, errors=Counter(given["errors"]), recovery_s=[] if most is None else [most])

    def as_json(self) -> dict[str, Any]:
        """For `build/fault.json`."""
        given = asdict(self)
        given["errors"] = dict(+self.errors)
        given["recovery_s"] = {
            "median": round(statistics.median(self.recovery_s), 2) if self.recovery_s else None,
            "most": round(max(self.recovery_s), 2) if self.recovery_s else None,
        }
        return {**given, "holds": self.holds}


class Followed(Protocol):
    """The log of a person as it came: `events` are the frames applied, `other` those without a place in it."""

    person: Person
    events: list[Frame]
    other: list[Frame]


@dataclass(frozen=True)
class Found:
    """The judge's counts."""

    acknowledged: int
    lost: int
    doubled: int
    out_of_order: int


class Town:
    """People of a node who write to each other; each is followed on a stream of their own."""

    def __init__(self, node: Node, people: int, rng: random.Random, via: tuple[str, int] | None = None) -> None:
        self.node = node
        self.rng = rng
        self.people = [node.person(f"user-{number}", via) for number in range(people)]
        self.starts = {person.id: node.person(person.id).head() for person in self.people}
        self.followers = {person.id: Follower(person, self.starts[person.id]) for person in self.people}
        self.letters: list[Letter] = []

    def writes(self, count: int, text: str = "") -> list[Letter]:
        """So many letters between any two of them, not yet sent."""
        number = len(self.letters)
        pairs = [self.rng.sample(self.people, 2) for _ in range(count)]
        new = [
            Letter(sender, recipient, f"{number + more} {text}", f"c-{number + more}")
            for more, (sender, recipient) in enumerate(pairs)
        ]
        self.letters += new
        return new

    def opens_streams(self) -> None:
        """Each opens a stream after the last event applied."""
        for follower in self.followers.values():
            follower.open()

    def reopens_streams(self) -> None:
        """A reader whose stream has ended opens one after the last event applied."""
        for follower in self.followers.values():
            if follower.ended is not None:
                follower.join()
                follower.open()

    def streams_end(self) -> None:
        """Wait until all streams have ended."""
        for follower in self.followers.values():
            follower.join()

    def comes_to_rest(self, deadline_s: float = 60) -> None:
        """Every letter is acknowledged, and every stream has the whole log."""
        until_acknowledged(self.letters, CLIENTS, deadline_s)
        for follower in self.followers.values():
            follower.wait_at_head(deadline_s)

    def comes_back(self, outcome: Outcome, since: float) -> None:
        """Open the streams, send again what was not acknowledged, and note how long all of it took."""
        self.opens_streams()
        self.comes_to_rest()
        outcome.recovery_s.append(time.monotonic() - since)

    def judge(self) -> Found:
        """Compare what was acknowledged with what is there."""
        return judge(self.letters, self.starts, self.followers.values())


def judge(letters: list[Letter], starts: dict[str, str], followers: Iterable[Followed] = ()) -> Found:
    """Count what is wrong in the logs after `starts`, in the histories, and in what the followers applied."""
    acknowledged = {letter.message["_id"]: letter for letter in letters if letter.message is not None}
    people = {person.id: person for letter in letters for person in (letter.sender, letter.recipient)}
    lost: set[object] = set()  # ids of messages, whichever of the places they are missing from
    doubled = out_of_order = 0
    for person in people.values():
        log = log_after(person, starts[person.id])
        first = position(starts[person.id]) + 1
        out_of_order += sum(at != position(event["id"]) for at, event in enumerate(log, first))
        log = [event for event in log if event["type"] == "new_message"]
        counts = Counter(event["data"]["_id"] for event in log)
        lost |= {
            id_ for id_, letter in acknowledged.items() if person in (letter.sender, letter.recipient)
        } - counts.keys()
        doubled += sum(count - 1 for count in counts.values())
        texts = Counter((event["data"]["sender_id"], event["data"]["text"]) for event in log)
        doubled += sum(count - 1 for count in texts.values())  # one letter, stored as two messages
        last_seq: Counter[str] = Counter()
        for event in log:
            message = event["data"]
            peer = message["recipient_id"] if message["sender_id"] == person.id else message["sender_id"]
            last_seq[peer] += 1
            out_of_order += message["seq"] != last_seq[peer]
        for follower in followers:
            if follower.person.id == person.id:
                wanted = {event["id"]: event["data"]["_id"] for event in log}
                got = [frame.id for frame in follower.events if frame.type == "new_message"]
                lost |= {wanted[cursor] for cursor in wanted.keys() - set(got)}
                lost |= {(person.id, frame.raw) for frame in follower.other if frame.type == "reset"}
                doubled += len(got) - len(set(got))
                once = list(dict.fromkeys(got))
                out_of_order += [cursor for cursor in wanted if cursor in set(got)] != once
    lost |= missing_in_histories(acknowledged, people)
    by_two = sum(letter.message is not None for letter in letters) - len(acknowledged)  # two letters, one message
    return Found(len(acknowledged), len(lost) + by_two, doubled, out_of_order)


def missing_in_histories(acknowledged: dict[str, Letter], people: dict[str, Person]) -> set[str]:
    """The acknowledged messages that are not in the history of their two people."""
    by_pair: dict[frozenset[str], set[str]] = {}
    for id_, letter in acknowledged.items():
        by_pair.setdefault(frozenset((letter.sender.id, letter.recipient.id)), set()).add(id_)
    missing: set[str] = set()
    for one, other in itertools.combinations(people.values(), 2):
        if wanted := by_pair.get(frozenset((one.id, other.id))):
            missing |= wanted - {message["_id"] for message in whole_history(one, other)}
    return missing
