"""An application of several processes: people talk over them, and one of them is killed.

`make wide` has the same of other servers (tests/wide/test_workers.py).
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from lab import postgres
from lab.node import Stream
from lab.process import START_DEADLINE_S, is_gone, wait_for
from lab.workers import Workers
from tests.server.test_examples import EXAMPLES, signs_in

UVICORN = [sys.executable, "-m", "uvicorn", "fastapi_app:app", "--port", "{port}", "--workers", "{count}"]
UVICORN += ["--timeout-worker-healthcheck", "60"]  # a worker that stands still for a moment is not replaced


# shows: nodes/workers
def test_people_on_two_workers_of_uvicorn_talk_and_one_goes_on_when_its_worker_is_killed(tmp_path: Path) -> None:
    """The application changed one setting, the database."""
    with Workers(tmp_path, UVICORN, 2, source=EXAMPLES, db=postgres.shared().url(schema=f"w_{os.getpid()}")) as host:
        talk_over(host)


def talk_over(host: Workers) -> None:
    """A person on each process; each hears the one before live. Then a process is killed, and nothing is lost."""
    people = [signs_in(host, name) for name in ("ada", "ben", "chloé", "dan")[: host.count]]
    ada, last = people[0], people[-1]
    with host.one_on_each(people) as placed:
        for (_, stream), sender, recipient in zip(placed, [last, *people], people, strict=False):
            sender.sends(recipient, f"to {recipient.id}")
            hears(stream, f"to {recipient.id}")
        process, stream = placed[0]
        os.kill(process, signal.SIGKILL)
        wait_for(lambda: is_gone(process))
        stream.to_end()
        last.sends(ada, "while you were away")
        with ada.opens_stream(last_event_id=stream.frames[-1].id) as again:
            hears(again, "while you were away")
            assert process != host.process_of(again)
    wait_for(lambda: len(host.serving()) == host.count, START_DEADLINE_S, "the server has started another process")
    heard = [message["text"] for message in ada.history(last)["messages"]]
    between = [f"to {last.id}"] if host.count == 2 else []
    assert [f"to {ada.id}", *between, "while you were away"] == heard


def hears(stream: Stream, text: str) -> None:
    """It comes, whatever comes before it, such as what the reader has sent."""
    while stream.until("new_message").data["text"] != text:
        pass
