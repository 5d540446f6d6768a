"""`tidings tail` beside a node that is killed again and again: it prints every message once, in order (I4)."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lab.crowd import UNLIMITED, Crowd, Letter, log_after
from lab.node import Node, Person
from lab.process import wait_for

ROUNDS = 10
PATIENT_ROUNDS = 2  # in which the tail comes back before the next kill; afterwards kills come whenever


class Tail:
    """A running `tidings tail --json`; its output goes on in the same files when it is started again."""

    def __init__(self, directory: Path, person: Person) -> None:
        self.out, self.err = directory / "tail.out", directory / "tail.err"
        self._person = person
        self.process = self._start()

    def starts_again(self) -> None:
        """Ctrl-C once it has said something, and a new one from the cursor that it printed."""
        wait_for(lambda: self.err.stat().st_size > self._begins_at, 15, "the tail says something")
        self.process.send_signal(signal.SIGINT)
        assert 130 == self.process.wait(10)
        last_note = self.err.read_text().splitlines()[-1]
        assert last_note.startswith("cursor: "), last_note
        self.process = self._start("--cursor", last_note.removeprefix("cursor: "))

    def _start(self, *options: str) -> subprocess.Popen[bytes]:
        program = Path(sys.executable).with_name("tidings")
        env = {**os.environ, "TIDINGS_URL": self._person.node.url, "TIDINGS_TOKEN": str(self._person.token)}
        with self.out.open("ab") as out, self.err.open("ab") as err:
            self._begins_at = err.tell()  # before it says something a signal ends an interpreter that only begins
            command = [str(program), "tail", "--json", *options]
            return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    @property
    def events(self) -> list[dict[str, object]]:
        lines = self.out.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines]

    def wait_for_events(self, count: int) -> None:
        """Wait for so many in all; the tail waits at most 8 s before it tries again after its first few failures."""
        wait_for(lambda: len(self.events) >= count, 15, f"{count} events printed by the tail")


@pytest.mark.timeout(90)
def test_a_tail_across_ten_kills_prints_every_message_once_in_order(tmp_path: Path) -> None:
    """Kills come at random moments while two people write; the tail comes back by itself, and a new one goes on from
    the cursor that the old one printed. PROTOCOL 17.0.1, 6.1.5
    """
    rng = random.Random(10)
    with Node(tmp_path, **UNLIMITED) as node:
        ada, ben, cid = node.person("ada"), node.person("ben"), node.person("cid")
        start = cid.head()
        tail = Tail(tmp_path, cid)
        letters = [
            Letter(sender, cid, f"{number} to\ncid 👋", f"{number}") for number in range(6_000) for sender in (ada, ben)
        ]
        sending = Sending(letters)
        try:
            wait_for(lambda: "connected as cid" in tail.err.read_text())
            sending.start()
            for round_number in range(ROUNDS):
                printed = len(tail.events)
                sending.wait_for_more(rng.randrange(20, 200))
                if round_number < PATIENT_ROUNDS:
                    tail.wait_for_events(printed + 1)
                elif round_number % 3 == 0:
                    tail.starts_again()
                assert node.process is not None
                node.process.kill()
                node.kill()
                node.restart()
            assert tail.err.read_text().count("connected again") >= 1
            sending.stop()
            tail.starts_again()
            expected = [event["id"] for event in log_after(cid, start)]
            tail.wait_for_events(len(expected))
            assert expected == [event["id"] for event in tail.events]
            texts = [(event["data"]["sender_id"], event["data"]["text"]) for event in tail.events]  # type: ignore[index]
            assert len(texts) == len(set(texts))
            assert {(letter.sender.id, letter.text) for letter in letters if letter.message} <= set(texts)
        finally:
            sending.stop()
            tail.process.kill()
            tail.process.wait()


class Sending(threading.Thread):
    """Sends letters until it is stopped, whatever happens to the node."""

    def __init__(self, letters: list[Letter]) -> None:
        super().__init__(daemon=True)
        self._letters = letters
        self._is_over = threading.Event()
        self.acknowledged_count = 0

    def run(self) -> None:
        left = self._letters
        while left and not self._is_over.is_set():
            crowd = Crowd(2)
            unacknowledged = crowd.sends(left[:20])
            self.acknowledged_count += crowd.acknowledged
            left = unacknowledged + left[20:]
            self._is_over.wait(0.02)

    def wait_for_more(self, count: int) -> None:
        """Wait until so many more are acknowledged."""
        already = self.acknowledged_count
        wait_for(lambda: self.acknowledged_count >= already + count, what=f"{count} more sends")

    def stop(self) -> None:
        self._is_over.set()
        if self.is_alive():
            self.join(20)
