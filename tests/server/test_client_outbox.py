"""Messages on disk until they are acknowledged, for both clients."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest

from lab.node import Node, Person
from lab.process import PATIENCE_S, wait_for
from tidings.client import AsyncClient, Client, Outbox
from tidings.errors import ServerProblem, StreamLost
from tidings.protocol.shapes import Message

NOBODY = "http://127.0.0.1:9"


class Program(Protocol):
    """One run of a program that sends by one of the clients."""

    def __call__(self, url: str, token: str, path: Path, deadline_s: float, texts: list[str]) -> list[Message]:
        """Send these to bob, or flush if there are none."""


def with_client(url: str, token: str, path: Path, deadline_s: float, texts: list[str]) -> list[Message]:
    with Client(url, token, outbox=path, deadline_s=deadline_s) as client:
        return [client.send("bob", text) for text in texts] if texts else client.flush()


def with_async_client(url: str, token: str, path: Path, deadline_s: float, texts: list[str]) -> list[Message]:
    async def run() -> list[Message]:
        async with AsyncClient(url, token, outbox=path, deadline_s=deadline_s) as client:
            return [await client.send("bob", text) for text in texts] if texts else await client.flush()

    return asyncio.run(run())


both = pytest.mark.parametrize("run", [with_client, with_async_client])


def texts_with_bob(person: Person) -> list[str]:
    return [message["text"] for message in person.history("bob")["messages"]]


@both
def test_unacknowledged_messages_are_sent_by_the_next_run_in_order_and_once(
    alice: Person, tmp_path: Path, run: Program
) -> None:
    """The same client_id before and after; what was sent is on disk no more."""
    path = tmp_path / "outbox.db"
    assert alice.token
    for text in ("1", "2"):
        with pytest.raises(StreamLost):
            run(NOBODY, alice.token, path, 0.2, [text])
    outbox = Outbox(path)
    assert ["1", "2"] == [unsent.text for unsent in outbox.waiting()]
    first = outbox.waiting()[0]
    # The server had it, and only the answer was lost:
    alice.sends("bob", "1", client_id=first.client_id)

    assert ["3"] == [message.text for message in run(alice.node.url, alice.token, path, 20, ["3"])]
    assert ["1", "2", "3"] == texts_with_bob(alice)
    assert [] == outbox.waiting()
    assert [] == run(alice.node.url, alice.token, path, 20, [])
    outbox.close()


@both
def test_a_message_refused_for_good_is_set_aside_and_stops_nothing(alice: Person, tmp_path: Path, run: Program) -> None:
    """The reason stays with it; put again it is tried again. A call's own refusal is raised, and forgotten."""
    path = tmp_path / "outbox.db"
    assert alice.token
    outbox = Outbox(path)
    outbox.put("bob", "a bell: \x07", "k1")
    outbox.put("bob", "hi")
    assert ["hi"] == [message.text for message in run(alice.node.url, alice.token, path, 20, [])]
    [refused] = outbox.refused()
    assert ("k1", True) == (refused.client_id, "422" in (refused.refusal or ""))
    assert [] == outbox.waiting()
    outbox.put("bob", "a bell: \x07", "k1")
    assert ["k1"] == [unsent.client_id for unsent in outbox.waiting()]
    outbox.remove(refused)
    with pytest.raises(ServerProblem):
        run(alice.node.url, alice.token, path, 20, ["\x07"])
    assert ([], []) == (outbox.waiting(), outbox.refused())
    outbox.close()


@both
def test_a_wrong_token_or_address_keeps_the_message(alice: Person, tmp_path: Path, run: Program) -> None:
    """It is not the message that was refused."""
    path = tmp_path / "outbox.db"
    assert alice.token
    for url, token in ((alice.node.url, "not-a-token"), (f"{alice.node.url}/nowhere", alice.token)):
        with pytest.raises(ServerProblem):
            run(url, token, path, 2, ["hi"])
    assert ["hi", "hi"] == [message.text for message in run(alice.node.url, alice.token, path, 20, [])]


def moves_on(person: Person, cursor: str) -> bool:
    return bool(person.events()["cursor"] != cursor)


# shows: reliability/sender-dies
def test_a_program_that_is_killed_while_it_sends_loses_and_doubles_nothing(alice: Person, tmp_path: Path) -> None:
    """Each line that it wrote to the outbox is in the conversation once, in order, whenever it was killed."""
    path, count = tmp_path / "outbox.db", 50
    assert alice.token
    program = f"""
from tidings.client import Client
with Client({alice.node.url!r}, {alice.token!r}, outbox={str(path)!r}) as client:
    for number in range({count}):
        client.outbox.put("bob", f"{{number}}", f"k{{number}}")
    print("written", flush=True)
    client.flush()
"""
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        assert process.stdout is not None
        with process.stdout as stdout:
            assert b"written\n" == stdout.readline()
        before = alice.events()["cursor"]
        wait_for(partial(moves_on, alice, before), what="it sends")
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_S)
    with Client(alice.node.url, alice.token, outbox=path) as client:
        client.flush()
    assert [f"{number}" for number in range(count)] == texts_with_bob(alice)


def test_threads_that_send_to_one_person_keep_the_order_of_the_outbox(alice: Person, tmp_path: Path) -> None:
    """The message that was written first is sent first, whichever thread does it; each thread gets its own message."""
    assert alice.token
    got: dict[str, str] = {}
    with Client(alice.node.url, alice.token, outbox=tmp_path / "outbox.db") as client:
        assert client.outbox is not None
        for number in range(5):
            client.outbox.put("bob", f"before {number}")

        def send(text: str) -> None:
            got[text] = client.send("bob", text).text

        threads = [threading.Thread(target=send, args=(f"after {number}",)) for number in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
    assert [f"before {number}" for number in range(5)] == texts_with_bob(alice)[:5]
    assert {f"after {number}" for number in range(5)} == set(got) == set(got.values()) == set(texts_with_bob(alice)[5:])


def test_a_cancelled_send_is_sent_later(alice: Person, tmp_path: Path) -> None:
    """It is in the outbox before it is tried."""
    assert alice.token
    token = alice.token

    async def cancelled() -> None:
        async with AsyncClient(NOBODY, token, outbox=tmp_path / "outbox.db") as client:
            with suppress(TimeoutError):
                await asyncio.wait_for(client.send("bob", "hi"), 0.3)

    asyncio.run(cancelled())
    assert ["hi"] == [message.text for message in with_client(alice.node.url, token, tmp_path / "outbox.db", 20, [])]


def test_a_client_id_names_one_message_of_the_outbox(tmp_path: Path) -> None:
    """The same content waits once; other content is a mistake of the caller."""
    outbox = Outbox(tmp_path / "outbox.db")
    assert outbox.put("bob", "hi", "k1") == outbox.put("bob", "hi", "k1")
    with pytest.raises(ValueError, match="k1"):
        outbox.put("bob", "something else", "k1")
    assert 1 == len(outbox.waiting())
    outbox.close()


@pytest.mark.parametrize("write", [Path.mkdir, lambda path: path.write_text("no database " * 100)])
def test_a_file_that_is_no_outbox_is_a_sentence(tmp_path: Path, write: Callable[[Path], object]) -> None:
    """With its name."""
    write(tmp_path / "x")
    with pytest.raises(OSError, match="outbox"):
        Outbox(tmp_path / "x")


def test_a_message_that_is_not_sent_yet_is_for_its_owner_alone(tmp_path: Path) -> None:
    """This holds under every umask: the file has texts in it."""
    former = os.umask(0o022)
    try:
        Outbox(tmp_path / "x").close()
    finally:
        os.umask(former)
    assert 0o600 == (tmp_path / "x").stat().st_mode & 0o777


@pytest.mark.parametrize("is_there", [False, True], ids=["through a link to no file", "a file from elsewhere"])
def test_so_it_is_through_a_link_and_when_it_is_there_already(tmp_path: Path, is_there: bool) -> None:
    """The file behind the name has the texts, whatever made it."""
    former = os.umask(0o022)
    try:
        if is_there:
            Outbox(tmp_path / "behind").close()
            (tmp_path / "behind").chmod(0o644)
        (tmp_path / "x").symlink_to("behind")
        outbox = Outbox(tmp_path / "x")
        outbox.put("ben", "a secret")
        outbox.close()
    finally:
        os.umask(former)
    assert 0o600 == (tmp_path / "behind").stat().st_mode & 0o777


@pytest.mark.parametrize(
    "schema", ["CREATE TABLE message (text TEXT)", "CREATE TABLE outbox (text TEXT)", "CREATE VIEW outbox AS SELECT 1"]
)
def test_a_database_of_something_else_is_refused_and_left_as_it_was(tmp_path: Path, schema: str) -> None:
    """A server's own, say: no table is added, and who may read it stays."""
    file = sqlite3.connect(tmp_path / "t.db")
    file.execute(schema)
    file.close()
    (tmp_path / "t.db").chmod(0o644)
    before = (tmp_path / "t.db").read_bytes()
    with pytest.raises(OSError, match="outbox"):
        Outbox(tmp_path / "t.db")
    assert before == (tmp_path / "t.db").read_bytes()
    assert 0o644 == (tmp_path / "t.db").stat().st_mode & 0o777


def test_the_database_of_a_running_server_is_no_outbox(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A mistake of one letter would put texts where backups and retention know nothing of them."""
    directory = tmp_path_factory.mktemp("served")
    with Node(directory) as node:
        (database,) = directory.glob("*.db")
        with pytest.raises(OSError, match="another program's database"):
            Outbox(database)
        assert 1 == node.person("alice").sends("bob", "hi")["seq"]


@pytest.mark.parametrize("has_outbox", [False, True], ids=["without an outbox", "with an outbox"])
def test_an_empty_client_id_is_a_mistake_of_the_caller(tmp_path: Path, has_outbox: bool) -> None:
    """It is not the same as none: a program that lost its key would send twice."""
    outbox = tmp_path / "x" if has_outbox else None
    with Client(NOBODY, "x", deadline_s=0.1, outbox=outbox) as client, pytest.raises(ValueError, match="client_id"):
        client.send("ben", "hi", client_id="")
