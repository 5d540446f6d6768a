"""Disks that are full, fail, or have other bytes on them than were written."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.crowd import Crowd, until_acknowledged
from lab.faults.baddisk import BadDisk
from lab.faults.rounds import CLIENTS, Outcome, Town, judge
from lab.node import Node
from lab.process import wait_for

SMALL_DISK_MIB = 8
PAGE_SIZE_BYTES = 4096


class SmallDisk:
    """A disk of some MiB, in a mount namespace of its own: what runs `under` it sees it at `directory`."""

    def __init__(self, directory: Path, size_mib: int = SMALL_DISK_MIB, owner: str = "") -> None:
        """Make it; where this is root, it may be another's."""
        directory.mkdir(parents=True)
        as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        mount = 'mount -t tmpfs -o size="$0"m,mode=700 tidings "$1" && echo mounted && exec sleep infinity'
        command = ["unshare", *as_root, "--mount", "sh", "-c", mount, str(size_mib), str(directory)]
        self._keeper = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert self._keeper.stdout is not None
        said = self._keeper.stdout.readline().decode()
        if said != "mounted\n":
            self.close()
            raise OSError(f"a small disk needs root or user namespaces with mounts: {said.strip()}")
        namespaces = ["--mount"] if os.geteuid() == 0 else ["--user", "--preserve-credentials", "--mount"]
        self.under = ["nsenter", "--target", str(self._keeper.pid), *namespaces]
        self.directory = directory
        self._seen = Path(f"/proc/{self._keeper.pid}/root{directory.absolute()}")  # the same, from outside
        if owner and os.geteuid() == 0:
            shutil.chown(self._seen, owner, owner)

    def __enter__(self) -> SmallDisk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing of it is left when the last process in it has ended."""
        self._keeper.kill()
        self._keeper.wait()
        if self._keeper.stdout is not None:
            self._keeper.stdout.close()

    def fills(self, *, but_bytes: int = 0) -> None:
        """Somebody else takes the room, all but so much."""
        with (self._seen / "ballast").open("ab", buffering=0) as ballast:
            with contextlib.suppress(OSError):  # ENOSPC
                while ballast.write(b"x" * 4096):
                    pass
            if but_bytes:
                ballast.truncate(max(0, ballast.tell() - but_bytes))

    def has_room(self) -> None:
        """Somebody else lets go of it."""
        (self._seen / "ballast").unlink()

    def is_read_only(self, so: bool) -> None:
        """Nothing of it may be open for writing."""
        remount = ["mount", "-o", f"remount,{'ro' if so else 'rw'}", str(self.directory)]
        subprocess.run([*self.under, *remount], check=True, timeout=10)


@contextlib.contextmanager
def on(disk: SmallDisk, directory: Path, **limits: Any) -> Iterator[Node]:
    """A node whose database is on this disk; what is left of it is killed."""
    node = Node(directory, database=disk.directory / "tidings.db", **limits)
    node.under = disk.under
    try:
        node.start()
        yield node
    finally:
        node.kill()


def status(node: Node, path: str) -> int:
    """Return the answer of `/readyz` or `/healthz`."""
    return node.http.get(f"{node.url}{path}").status_code


def full_disk(node: Node, fills: Callable[[], None], has_room: Callable[[], None], sends: int = 2_000) -> Outcome:
    """The disk is full in the middle of sends, and has room again: no restart, no hands.

    The node must not have been started yet; its heartbeat should be short.
    """
    outcome = Outcome("disk full (ENOSPC), then room again", rounds=1)
    node.start()
    town = Town(node, 8, random.Random(3))
    town.opens_streams()
    until_acknowledged(town.writes(100, "x" * 1000))
    crowd = Crowd(CLIENTS)
    letters = town.writes(sends, "x" * 1000)
    with crowd.in_the_midst_of(letters, acknowledged=100):
        fills()
    left = [letter for letter in letters if letter.message is None]
    outcome.in_flight = len(crowd.refused)
    outcome.expects(0 < crowd.acknowledged < sends, "the disk was not full in the middle")
    outcome.expects(set(crowd.refused) == {(503, "unavailable")}, f"refusals: {set(crowd.refused)}")
    outcome.expects(len(left) == len(crowd.refused), "a send was not answered")
    outcome.errors["503 unavailable"] += len(left)
    outcome.expects(status(node, "/readyz") == 503, "/readyz is green on a full disk")
    outcome.expects(status(node, "/healthz") == 200, "/healthz is red on a full disk")
    outcome.expects(bool(town.people[0].history(town.people[1])["messages"]), "nothing can be read")
    for follower in town.followers.values():
        follower.wait_at_head()
    wait_for(lambda: town.followers["user-0"].other[-1].type == "heartbeat", what="a stream that lives on")
    since = time.monotonic()
    has_room()
    wait_for(lambda: status(node, "/readyz") == 200, 20, "a green /readyz when there is room again")
    town.comes_to_rest()
    outcome.recovery_s.append(time.monotonic() - since)
    outcome.expects({None} == {each.ended for each in town.followers.values()}, "a stream ended")
    outcome.adds(town.judge())
    return outcome


def start_on_a_full_disk(directory: Path, disk: SmallDisk, **limits: object) -> Outcome:
    """Killed on a full disk, and started again there: what was acknowledged can be read."""
    outcome = Outcome("SIGKILL and restart on a full disk", rounds=1)
    with on(disk, directory, **limits) as node:
        town = Town(node, 8, random.Random(4))
        disk.fills(but_bytes=400_000)
        crowd = Crowd(CLIENTS)
        crowd.sends(town.writes(2_000, "x" * 1000))
        outcome.errors["503 unavailable"] += len(crowd.refused)
        disk.fills()
        node.kill()
        node.restart()
        town.opens_streams()
        for follower in town.followers.values():
            follower.wait_at_head()
        refused = town.people[0].posts("/send", {"recipientId": town.people[1].id, "text": "x" * 16_000})
        outcome.expects(refused.status_code == 503, f"a send on the full disk: {refused.status_code}")
        since = time.monotonic()
        disk.has_room()
        town.comes_to_rest()
        outcome.recovery_s.append(time.monotonic() - since)
        outcome.adds(town.judge())
    return outcome


def failing_disk(node: Node, order: str, name: str) -> Outcome:
    """A call of the disk fails in the middle of sends: the node says so, leaves with 1, and its successor has all.

    The node must not have been started yet.
    """
    outcome = Outcome(name, rounds=1)
    disk = BadDisk(node)
    node.start()
    town = Town(node, 8, random.Random(5))
    town.opens_streams()
    crowd = Crowd(CLIENTS)
    with crowd.in_the_midst_of(town.writes(1_000), acknowledged=300):
        disk.told(order)
    since = time.monotonic()
    kinds = set(crowd.refused)
    outcome.in_flight = crowd.broken_in_flight + len(crowd.refused)
    outcome.expects(bool(kinds), "no send was refused")
    outcome.expects(kinds <= {(503, "unavailable"), (503, "draining")}, f"refusals: {kinds}")
    for code, count in ((code, crowd.refused.count((503, code))) for code in ("unavailable", "draining")):
        if count:
            outcome.errors[f"503 {code}"] += count
    assert node.process is not None
    exit_code = node.process.wait(20)
    outcome.errors[f"exit {exit_code}"] += 1
    outcome.expects(exit_code == 1, f"exit {exit_code}")
    town.streams_end()
    outcome.expects({"clean"} == {each.ended for each in town.followers.values()}, "a stream was cut")
    disk.is_well()
    node.kill()
    node.restart()  # what systemd does with deploy/tidings.service
    town.comes_back(outcome, since)
    outcome.adds(town.judge())
    return outcome


def read_only_disk(directory: Path, disk: SmallDisk, **limits: object) -> Outcome:
    """The file cannot be written at a start: refused with a sentence; afterwards everything is there."""
    outcome = Outcome("read-only file system at a start", rounds=1)
    with on(disk, directory, **limits) as node:
        town = Town(node, 4, random.Random(6))
        until_acknowledged(town.writes(200))
        node.kill()
        disk.is_read_only(True)
        said = start_refused(node)
        outcome.errors[f"exit 2, {said!r}"] += 1
        outcome.expects("cannot be opened" in said and "TIDINGS_DB" in said, f"at a start: {said}")
        disk.is_read_only(False)
        since = time.monotonic()
        node.restart()
        town.comes_back(outcome, since)
        outcome.adds(town.judge())
    return outcome


def start_refused(node: Node) -> str:
    """Start a node that has to refuse with exit 2: what it said on stderr, without its path."""
    before = len(node.stderr)
    with pytest.raises(AssertionError, match="ended with 2"):
        node.restart()
    return node.stderr[before:].strip().replace(str(node.database), "FILE")


def damaged_file(node: Node, sends: int = 1_500) -> Outcome:
    """Pages of the file are overwritten while the node is down: it never gives out what nobody wrote, and the last
    backup brings everything back.
    """
    outcome = Outcome("pages of the file overwritten, restored from the backup", rounds=1)
    with node:
        town = Town(node, 6, random.Random(8))
        until_acknowledged(town.writes(sends, "x" * 300))
        backup = node.directory / "backup.db"
        tidings(node, "backup", str(backup))
    whole = node.database.read_bytes()
    pages = len(whole) // PAGE_SIZE_BYTES
    overwrite(node.database, whole, range(pages // 2, pages), town.rng)
    try:
        node.restart()
    except AssertionError as refusal:  # the damage met what a start reads: the root of a table, or its first page
        outcome.expects("ended with 2" in str(refusal), f"at a start: {refusal}")
        outcome.errors["exit 2"] += 1
        outcome.expects("restore the last backup" in node.stderr, f"at a start: {node.stderr[-500:]}")
    else:
        texts = {letter.text for letter in town.letters}
        for person in town.people:
            for path in ("/events/me", f"/{town.people[0].id}"):
                answer = person.gets(path, cursor=town.starts[person.id] if "events" in path else None)
                outcome.errors[f"{answer.status_code} {answer.json().get('code', '')}".strip()] += 1
                shown = [each.get("text") or each["data"]["text"] for each in listed(answer.json())]
                outcome.expects(set(shown) <= texts, "it showed what nobody wrote")
    node.kill()
    # As it is now: an older one would not be what its log belongs to. The first two hold the schema and the settings.
    overwrite(node.database, node.database.read_bytes(), range(2, pages), town.rng)
    said = start_refused(node)
    outcome.errors[f"exit 2, {said!r}"] += 1
    outcome.expects("restore the last backup" in said, f"at a start: {said}")
    node.kill()
    since = time.monotonic()
    tidings(node, "restore", str(backup))
    node.restart()
    outcome.recovery_s.append(time.monotonic() - since)
    old_epoch = town.starts[town.people[0].id].split("-")[0]
    starts = {person.id: person.head().split("-")[0] + "-0-0" for person in town.people}
    outcome.expects(not any(start.startswith(old_epoch) for start in starts.values()), "the epoch is the old one")
    outcome.adds(judge(town.letters, starts))
    node.kill()
    return outcome


def overwrite(file: Path, whole: bytes, pages: range, rng: random.Random) -> None:
    """The file, with other bytes at the beginning of these pages."""
    content = bytearray(whole)
    for page in pages:
        content[page * PAGE_SIZE_BYTES : page * PAGE_SIZE_BYTES + 64] = rng.randbytes(64)
    file.write_bytes(content)


def listed(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages in a body of `/events` or of a history."""
    found: list[dict[str, Any]] = body.get("events") or body.get("messages") or []
    return found


def tidings(node: Node, *command: str) -> None:
    """A command on the node's database."""
    program = str(Path(sys.executable).with_name("tidings"))
    where = {"TIDINGS_DB": f"sqlite:///{node.database.absolute()}"}
    done = subprocess.run(
        [program, *command], env=node.environment() | where, capture_output=True, text=True, timeout=60
    )
    assert 0 == done.returncode, done.stderr
