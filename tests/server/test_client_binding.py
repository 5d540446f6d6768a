"""An answer counts only for the question that was asked, in whichever process, thread or task it was."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.node import Node, Person
from lab.process import PATIENCE_S
from tidings.client import AsyncClient, Client
from tidings.errors import StreamLost

CHILDREN = 6
SENDS = 30  # of each child
PROGRAM_MAX_S = 60.0

FORK = """
    import asyncio, os, sys, threading
    from tidings.client import AsyncClient, Client

    def children(work):
        # Runs `work(number)` in six forked processes; what they raise is the program's failure.
        started = []
        for number in range(6):
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    work(number)
                    code = 0
                finally:
                    sys.stderr.flush()
                    os._exit(code)
            started.append(pid)
        return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in started]
"""


def runs(person: Person, program: str, *arguments: str) -> str:
    """Run a program that forks as a process of its own; what it printed."""
    assert person.token is not None
    source = textwrap.dedent(FORK) + textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", source, person.node.url, person.token, *arguments],
        capture_output=True,
        text=True,
        timeout=PROGRAM_MAX_S,
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout


@pytest.fixture
def sender(start_node: Callable[..., Node]) -> Person:
    """Somebody whose sends have no rate."""
    return start_node(sends_per_s=10_000, sends_burst=10_000).person("alice")


def log_of(sender: Person) -> set[str]:
    """The client_ids of everything that is kept."""
    kept: set[str] = set()
    for number in range(CHILDREN):
        for message in sender.history(f"bob {number}", limit=100)["messages"]:
            assert message["text"] == message["client_id"]
            kept.add(message["client_id"])
    return kept


WANTED = {f"{number}-{turn}" for number in range(CHILDREN) for turn in range(SENDS)}


def test_a_client_made_before_a_fork_is_used_by_six_children_and_each_has_its_own_answers(sender: Person) -> None:
    """They do not share the parent's connection, nor a lock that a thread of the parent held in that moment."""
    program = """
        client = Client(sys.argv[1], lambda: sys.argv[2])
        over = threading.Event()

        def send_until(enough):
            while not enough():
                client.send("carol", "meanwhile")

        def started(count, enough):
            threads = [threading.Thread(target=send_until, args=(enough,)) for _ in range(count)]
            for thread in threads:
                thread.start()
            return threads

        times = iter(range(20))
        for thread in started(3, lambda: next(times, None) is None):
            thread.join()  # and leaves an open connection behind
        threads = started(1, over.is_set)

        def work(number):
            for turn in range(30):
                id = f"{number}-{turn}"
                message = client.send(f"bob {number}", id, client_id=id)
                assert (id, id) == (message.client_id, message.text), message

        codes = children(work)
        over.set()
        for thread in threads:
            thread.join()
        assert [0] * 6 == codes, codes
        assert "after" == client.send("carol", "after").text
    """
    runs(sender, program)
    assert log_of(sender) == WANTED


def test_an_asynchronous_client_made_before_a_fork_is_used_in_the_children_s_own_loops(sender: Person) -> None:
    """The parent's loop and its connections stay the parent's."""
    program = """
        client = AsyncClient(sys.argv[1], lambda: sys.argv[2])

        def work(number):
            async def send():
                ids = [f"{number}-{turn}" for turn in range(30)]
                sends = [client.send(f"bob {number}", id, client_id=id) for id in ids]
                messages = await asyncio.gather(*sends)
                assert ids == [message.client_id for message in messages]
                await client.aclose()

            asyncio.set_event_loop(None)
            asyncio.events._set_running_loop(None)  # the copy of the parent's
            asyncio.run(send())

        async def main():
            await client.send("carol", "before")  # its connection is kept
            assert [0] * 6 == children(work)
            assert "after" == (await client.send("carol", "after")).text
            await client.aclose()

        asyncio.run(main())
    """
    runs(sender, program)
    assert log_of(sender) == WANTED


def test_an_outbox_goes_through_a_fork(sender: Person, tmp_path: Path) -> None:
    """Each process opens the file for itself; what all of them write is sent once."""
    program = """
        client = Client(sys.argv[1], sys.argv[2], outbox=sys.argv[3])
        client.outbox.put("carol", "before")

        def work(number):
            os.chdir("/")
            for turn in range(30):
                id = f"{number}-{turn}"
                if turn % 3:
                    client.outbox.put(f"bob {number}", id, id)
                else:
                    assert id == client.send(f"bob {number}", id, client_id=id).client_id
            client.flush()
            assert [] == client.outbox.refused()

        assert [0] * 6 == children(work)
        client.flush()
        assert [] == client.outbox.waiting()
    """
    runs(sender, program, str(tmp_path / "outbox.db"))
    assert log_of(sender) == WANTED
    assert ["before"] == [message["text"] for message in sender.history("carol")["messages"]]


def test_a_feed_made_before_a_fork_is_read_by_parent_and_child_each_over_its_own_stream(sender: Person) -> None:
    """Both see every event once, from where the feed stood; the child's end does not end the parent's."""
    sender.sends("bob", "before")
    cursor = sender.head()
    sender.sends("bob", "1")
    sender.sends("bob", "2")
    program = """
        client = Client(sys.argv[1], sys.argv[2])
        states = []
        feed = client.events(sys.argv[3], on_state=lambda state: states.append(state.status))
        assert "1" == next(feed).message.text

        def work(number):
            with feed:
                assert "2" == next(feed).message.text
                client.send("bob", f"from {number}")
                while next(feed).message.text != f"from {number}":
                    pass
            client.close()

        assert [0] * 6 == children(work)
        with feed:
            texts = [next(feed).message.text for _ in range(7)]
        assert ["2", *(f"from {number}" for number in range(6))] == sorted(texts), texts
        assert ["connecting", "connected"] == states, states
    """
    runs(sender, program, cursor)


class Misleading:
    """A server that gives these wrong answers first, and notes whether a connection that misled is used again."""

    def __init__(self, wrong: list[dict[str, Any]], right: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self.asked: list[dict[str, Any]] = []
        self.reused = 0
        self.wrong = list(wrong)
        self._right = right

    @contextmanager
    def serving(self) -> Iterator[str]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=self._accept, args=(listener,))
            thread.start()
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                thread.join(PATIENCE_S)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(PATIENCE_S)
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        has_misled = False
        while True:
            received = b""
            while b"\r\n\r\n" not in received:
                part = connection.recv(65536)
                if not part:
                    return
                received += part
            head, _, body = received.partition(b"\r\n\r\n")
            for line in head.split(b"\r\n"):
                if line.lower().startswith(b"content-length:"):
                    while len(body) < int(line.split(b":")[1]):
                        body += connection.recv(65536)
            question = json.loads(body or b"{}")
            self.asked.append(question)
            self.reused += has_misled
            has_misled = bool(self.wrong)
            answer = json.dumps(self.wrong.pop(0) if self.wrong else self._right(question)).encode()
            connection.sendall(
                b"HTTP/1.1 %d Fine\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (201 if "recipientId" in question else 200, len(answer), answer)
            )


def message(**fields: object) -> dict[str, Any]:
    return {
        "_id": "m1", "seq": 1, "sender_id": "ada", "recipient_id": "bob", "text": "hi", "message_type": "text",
        "sent": True, "delivered": False, "read": False, "createdAt": "2026-11-23T04:00:00.000Z", "client_id": None,
        **fields,
    }  # fmt: skip


MARKS = {"read_upto": 0, "delivered_upto": 0, "peer_read_upto": 0, "peer_delivered_upto": 0}


def sent(client_id: str, sender: str = "ada") -> dict[str, Any]:
    return {"success": True, "message": message(client_id=client_id, sender_id=sender)}


def inbox(user: str) -> dict[str, Any]:
    return {"success": True, "user_id": user, "conversations": [], "has_more": False, "cursor": "k-1-a"}


def page(peer: str, *seqs: int) -> dict[str, Any]:
    messages = [message(seq=seq) for seq in seqs]
    user = {"id": peer, "name": peer, "avatar_url": None}
    return {
        "success": True, "messages": messages, "has_more": False, "cursor": "k-1-a", "watermarks": MARKS, "user": user
    }  # fmt: skip


Ask = Callable[[Client], object]

QUESTIONS: list[tuple[str, Ask, list[dict[str, Any]], dict[str, Any]]] = [
    ("send", lambda c: c.send("bob", "hi", client_id="mine"), [sent("yours"), page("bob")], sent("mine")),
    ("history", lambda c: c.history("bob"), [page("carol"), sent("mine")], page("bob", 1)),
    ("an older page", lambda c: c.history("bob", before=5), [page("bob", 5)], page("bob", 4)),
    ("a newer page", lambda c: c.history("bob", after=5), [page("bob", 5)], page("bob", 6)),
    (
        "a receipt",
        lambda c: c.mark_read("bob", 3),
        [
            {"success": True, "receipts": [{"chatUserId": "carol", "watermarks": MARKS}]},
            {"success": True, "watermarks": MARKS},
        ],
        {"success": True, "receipts": [{"chatUserId": "bob", "watermarks": MARKS}]},
    ),
]


@pytest.mark.parametrize(
    ("ask", "wrong", "right"), [each[1:] for each in QUESTIONS], ids=[each[0] for each in QUESTIONS]
)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_an_answer_to_another_question_is_none_and_the_call_goes_out_again_on_another_connection(
    ask: Ask, wrong: list[dict[str, Any]], right: dict[str, Any], is_async: bool
) -> None:
    """As a proxy does that mixes up its connections: the same question goes out, a send under the same client_id."""
    server = Misleading(wrong, lambda question: right)

    async def ask_it(url: str) -> object:
        async with AsyncClient(url, "x", deadline_s=PATIENCE_S) as client:
            return await ask(client)  # type: ignore[arg-type,misc]

    with server.serving() as url:
        if is_async:
            asyncio.run(ask_it(url))
        else:
            with Client(url, "x", deadline_s=PATIENCE_S) as client:
                ask(client)
    assert [server.asked[0]] * (len(wrong) + 1) == server.asked
    assert 0 == server.reused


def test_an_answer_to_another_user_is_none() -> None:
    """The first answer says for whom the client speaks. PROTOCOL 2.3.6"""
    server = Misleading([], lambda question: sent("k1") if question else inbox("ada"))
    with server.serving() as url, Client(url, "x", deadline_s=PATIENCE_S) as client:
        client.inbox()
        server.wrong = [inbox("eve"), {**page("bob"), "user_id": "eve"}]
        assert [] == client.inbox().conversations
        server.wrong = [sent("k1", "eve")]
        assert "ada" == client.send("bob", "hi", client_id="k1").sender_id
    assert (6, 0) == (len(server.asked), server.reused)


def test_a_send_that_only_ever_gets_others_answers_is_not_known_to_be_committed() -> None:
    """Not the other message, and not a refusal: the same client_id settles it later."""
    server = Misleading([], lambda question: sent("yours"))
    with server.serving() as url, Client(url, "x", deadline_s=1.0) as client, pytest.raises(StreamLost, match="mine"):
        client.send("bob", "hi", client_id="mine")
    assert {"mine"} == {question["client_id"] for question in server.asked}
