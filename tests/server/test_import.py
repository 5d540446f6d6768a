"""`tidings import`: older messages with their times and ids, once, in order, beside a server or without one."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import signal
import subprocess
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from lab import postgres
from lab.node import Node
from lab.process import PATIENCE_S, wait_for
from tests.server.shell import PROGRAM, assert_fails, environment, tidings
from tidings.errors import ConfigurationError
from tidings.protocol.cursor import parse_cursor
from tidings.protocol.user_id import UserId
from tidings.server.store import NewMessage, Store
from tidings.server.store.export import export
from tidings.server.store.importing import Imported, import_messages
from tidings.server.store.open import open_maintenance, open_store

T = TypeVar("T")

ADA, BEN, CAROL = UserId("ada"), UserId("ben"), UserId("carol")
BEGAN = datetime(2020, 5, 1, 8, tzinfo=UTC)


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder}/tidings.db"


def postgres_url(folder: Path) -> str:
    return postgres.shared().url(schema="t_" + hashlib.sha256(str(folder).encode()).hexdigest()[:16])


@pytest.fixture(params=[sqlite_url, postgres_url], ids=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database that has been made, and has nothing in it."""
    made: str = request.param(tmp_path)
    open_maintenance(made).migrate()
    return made


@pytest.fixture
def other_url(url: str, tmp_path: Path) -> str:
    """Likewise, of the other kind."""
    folder = tmp_path / "other"
    folder.mkdir()
    made = postgres_url(folder) if url.startswith("sqlite") else sqlite_url(folder)
    open_maintenance(made).migrate()
    return made


def line(text: str, sender: str = "ada", recipient: str = "ben", minute: float = 0, **more: object) -> dict[str, Any]:
    """A line of a file, some minutes after the beginning."""
    at = (BEGAN + timedelta(minutes=minute)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"sender_id": sender, "recipient_id": recipient, "text": text, "createdAt": at, **more}


def as_file(lines: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in lines)


def imports(url: str, lines: list[dict[str, Any]] | bytes, *, unread: bool = False) -> Imported:
    file = lines if isinstance(lines, bytes) else as_file(lines)
    with open_maintenance(url).importer() as importer:
        return import_messages(importer, io.BytesIO(file), keeps_unread=unread)


def exported(url: str, user: UserId) -> list[dict[str, Any]]:
    with open_maintenance(url).snapshot() as snapshot:
        return list(export(snapshot, user))


def messages(url: str, user: UserId) -> list[dict[str, Any]]:
    """A user's messages by conversation, without what another database gives them anew."""
    of = [each["data"] for each in exported(url, user) if each["type"] == "message"]
    return [{name: value for name, value in each.items() if name not in ("_id", "client_id")} for each in of]


def texts(url: str, user: UserId) -> list[str]:
    return [each["text"] for each in messages(url, user)]


def asks(url: str, ask: Callable[[Store], Awaitable[T]]) -> T:
    """Ask a store that is started for this."""

    async def started() -> T:
        store = open_store(url, lambda _events: None)
        await store.start()
        try:
            return await ask(store)
        finally:
            await store.close()

    return asyncio.run(started())


def test_what_an_export_writes_an_import_takes(url: str, other_url: str) -> None:
    """Into the other kind of database: texts, times, numbers, and with ``keeps_unread`` the ticks.

    Both sides' exports are one conversation, and a second run adds nothing.
    """

    async def talk(store: Store) -> None:
        for sender, recipient, text in (
            (ADA, BEN, "1"),
            (BEN, ADA, "2"),
            (ADA, CAROL, "c"),
            (ADA, BEN, "3"),
            (BEN, ADA, "4"),
        ):
            await store.append(NewMessage(sender, recipient, text, "text", f"k{text}" if sender == ADA else None, None))
        await store.advance(BEN, ADA, 0, 1)
        await store.advance(ADA, BEN, 4, 2)
        await store.block(ADA, CAROL)

    asks(url, talk)
    before = {user: messages(url, user) for user in (ADA, BEN, CAROL)}
    lines = {user: exported(url, user) for user in (ADA, BEN)}

    assert Imported(5, 2, 0) == imports(other_url, lines[ADA] + lines[BEN], unread=True)
    assert before == {user: messages(other_url, user) for user in (ADA, BEN, CAROL)}
    own = [each["data"] for each in exported(other_url, ADA) if each["data"].get("sender_id") == "ada"]
    assert {"k1", "k3", "kc"} == {each["client_id"] for each in own}
    heads = asks(other_url, lambda store: store.heads([ADA, BEN, CAROL]))
    for again in (lines[BEN], lines[ADA], exported(other_url, BEN)):
        assert (0, 0) == imports(other_url, again)[:2]
    assert heads == asks(other_url, lambda store: store.heads([ADA, BEN, CAROL]))
    unread = asks(other_url, lambda store: _unread(store, ADA, BEN, CAROL))
    assert unread == asks(url, lambda store: _unread(store, ADA, BEN, CAROL)) == [1, 1, 1]


async def _unread(store: Store, *users: UserId) -> list[int]:
    return [await store.unread(user) for user in users]


def test_messages_are_in_the_order_of_time_and_nothing_is_unread(url: str) -> None:
    """The order of the lines does not matter. Conversations stand in that of their last messages, seqs are dense."""
    lines = [
        line("third", minute=3, sender="ben", recipient="ada"),
        line("later", "carol", "ada", 9),
        line("first", minute=1, read=False),
        line("second", minute=2, id="old-2"),
        line("long before", "zoe", "ada", -9),
    ]
    assert Imported(5, 3, 0) == imports(url, lines)
    assert ["first", "second", "third"] == texts(url, BEN)
    assert [1, 2, 3] == [each["seq"] for each in messages(url, BEN)]
    assert ["2020-05-01T08:01:00.000Z", True, True] == [
        messages(url, BEN)[0][name] for name in ("createdAt", "read", "delivered")
    ]
    inbox = asks(url, lambda store: store.inbox(ADA, before=None, limit=2))
    assert (["carol", "ben"], True, 0) == (
        [each.peer for each in inbox.conversations],
        inbox.has_more,
        inbox.unread_total,
    )
    rest = asks(url, lambda store: store.inbox(ADA, before=inbox.conversations[-1].position, limit=2))
    assert ["zoe"] == [each.peer for each in rest.conversations]
    named = [each["data"] for each in exported(url, ADA) if each["data"].get("client_id")]
    assert [("second", "old-2")] == [(each["text"], each["client_id"]) for each in named]
    assert Imported(1, 1, 5) == imports(url, [*lines, line("fourth", minute=4, read=False)], unread=True)
    assert (1, 0) == (asks(url, lambda store: store.unread(BEN)), asks(url, lambda store: store.unread(ADA)))


def test_a_log_begins_at_its_head_after_an_import(url: str) -> None:
    """A cursor of before is answered with a reset, one at the head goes on, and the next message is the next event."""
    asks(url, lambda store: store.append(NewMessage(ADA, CAROL, "live", "text", None, None)))
    before = asks(url, lambda store: store.start_position(ADA, None))
    epoch = asks(url, _epoch)
    imports(url, [line(f"{number}", minute=number) for number in range(3)])

    stale = parse_cursor(f"{epoch}-{before.position}-{before.tag:x}")
    found = asks(url, lambda store: store.start_position(ADA, stale))
    assert ("expired", found.head) == (found.reset, found.position)
    appended = asks(url, lambda store: store.append(NewMessage(BEN, ADA, "hello again", "text", None, None)))
    assert 4 == appended.message.seq
    events = asks(url, lambda store: store.read_after(ADA, found.head, 10))
    # Ben answers for the first time: Ada is told what he had read before she hears of it.
    told = [(found.head + 1, "message_read"), (found.head + 2, "new_message")]
    assert told == [(event.position, event.type) for event in events]
    assert (
        2 == asks(url, lambda store: store.append(NewMessage(ADA, CAROL, "live too", "text", None, None))).message.seq
    )


async def _epoch(store: Store) -> str:
    return store.epoch


def test_the_same_message_twice_in_a_file_is_two_and_stays_two(url: str) -> None:
    """Two of one text in one millisecond, with ids of their own or without: both are there, however often it is run."""
    lines = [line("ha", id="1"), line("ha", id="2"), line("ho"), line("ho")]
    assert [(4, 0), (0, 4), (0, 4)] == [
        (done.messages, done.present) for done in (imports(url, lines) for _ in range(3))
    ]
    assert ["ha", "ha", "ho", "ho"] == texts(url, ADA)


BAD_LINES: list[tuple[bytes | dict[str, Any], str]] = [
    (b"{", "Input data was truncated"),
    (b"[1]", "Expected `object`, got `array`"),
    (b"\xff\xfe", "JSON is malformed"),
    (b"[" * 100_000, "Expected `object`, got `array`"),
    ({"sender_id": "ada"}, "missing required field `recipient_id`"),
    (line("x") | {"text": 5}, "Expected `str`, got `int` - at `$.text`"),
    (line("x", recipient="ada"), "sender_id and recipient_id are the same"),
    (line("x", sender="a/b"), "A user id contains no slash and no backslash"),
    (line(" \n"), "the text is empty"),
    (line("\0"), "the text contains control characters other than TAB, LF and CR"),
    (line("é" * 8193), "the text has 16386 bytes; a message has at most 16384"),
    (line("x", id="é"), "an id has 1 to 64 printable ASCII characters"),
    (line("x", message_type="a b"), "message_type is a name of up to 32 letters"),
    (line("x") | {"createdAt": "yesterday"}, "createdAt is no time, such as 2026-11-30T08:00:00.000Z"),
    (line("x") | {"createdAt": "2020-05-01T08:00:00"}, "createdAt has no time zone"),
    (line("x") | {"createdAt": "2999-05-01T08:00:00Z"}, "createdAt is before 1970 or in the future"),
    (line("other text", minute=1, id="k1"), "its id is that of line 1, with another text or time"),
    (line("x", recipient="carol", id="k1"), "its id is that of line 1, in another conversation"),
]


@pytest.mark.parametrize(("bad", "said"), BAD_LINES, ids=[said for _, said in BAD_LINES])
def test_a_bad_line_is_a_sentence_with_its_number_and_nothing_is_imported(
    bad: bytes | dict[str, Any], said: str, tmp_path: Path
) -> None:
    """Also not the lines before it."""
    url = sqlite_url(tmp_path)
    open_maintenance(url).migrate()
    file = as_file([line("good", id="k1")]) + b"\n" + (bad if isinstance(bad, bytes) else as_file([bad])) + b"\n"
    with pytest.raises(ConfigurationError, match=r"^line 3: ") as refusal:
        imports(url, file)
    assert said in str(refusal.value)
    assert [] == exported(url, ADA)


def test_what_would_go_before_a_message_that_is_there_is_refused_with_all_others(url: str) -> None:
    """And so is an id under which its sender has another message here."""
    asks(url, lambda store: store.append(NewMessage(ADA, BEN, "live", "text", "k1", None)))
    for wrong, said in (
        (line("before"), "line 2: ada and ben have a message of "),
        (line("x", "ada", "carol", id="k1"), "line 2: ada has another message with the id 'k1' here"),
    ):
        with pytest.raises(ConfigurationError) as refusal:
            imports(url, [line("good", "zoe", "ben"), wrong])
        assert str(refusal.value).startswith(said)
        assert [] == exported(url, UserId("zoe"))


@pytest.mark.parametrize("kind", [sqlite_url, postgres_url], ids=["sqlite", "postgresql"])
def test_an_import_that_is_killed_goes_on(kind: Callable[[Path], str], tmp_path: Path) -> None:
    """The same command adds the rest: each message is there once, and in order."""
    url, file = kind(tmp_path), tmp_path / "old.jsonl"
    open_maintenance(url).migrate()
    peers = ("ben", "carol", "dan")
    lines = [line(f"{number}", recipient=peers[number % 3], minute=number / 10) for number in range(9000)]
    file.write_bytes(as_file(lines))
    command = [PROGRAM, "import", str(file), "--db", url]

    def count() -> int:
        with open_maintenance(url).glance() as snapshot:
            return sum(each.last_message.seq for each in snapshot.inbox(ADA, before=None, limit=9).conversations)

    running = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL)
    wait_for(lambda: count() > 0 or running.poll() is not None, what="some are imported")
    running.send_signal(signal.SIGKILL)
    running.wait(PATIENCE_S)
    had = count()
    assert 0 < had < 9000
    done = tidings(*command[1:], env=environment(), timeout_s=PATIENCE_S)
    said = f"imported {9000 - had} messages in "
    assert (0, "", said) == (done.returncode, done.stderr, done.stdout[: len(said)])
    assert done.stdout.endswith(f" conversations; {had} were there before\n")
    for nth, peer in enumerate(peers):
        assert [f"{number}" for number in range(nth, 9000, 3)] == texts(url, UserId(peer))


def test_connected_readers_of_a_running_server_load_what_was_imported(node: Node, tmp_path: Path) -> None:
    """Within seconds their streams end, and then they are told to; other people's streams are left alone."""
    ada, ben, zoe = (node.person(f"{name}-{tmp_path.name}") for name in ("ada", "ben", "zoe"))
    zoe.sends(ada, "live")
    file = tmp_path / "old.jsonl"
    file.write_bytes(as_file([line(f"{number}", ada.id, ben.id, number) for number in range(700)]))
    before = ben.head()
    with ben.opens_stream().live() as stream, zoe.opens_stream().live() as left_alone:
        assert node.operates("import", str(file)).startswith("imported 700 messages in 1 conversations")
        assert stream.until("goodbye").data["retry_ms"] < 5000
        with ben.opens_stream(last_event_id=before) as again:
            assert "expired" == again.until("reset").data["reason"]
            again.until("caught_up")
            assert ["699"] == [each["last_message"]["text"] for each in ben.inbox()["conversations"]]
            assert 0 == ben.inbox()["unread_total"]
            ada.sends(ben, "and now")
            assert "and now" == again.until("new_message").data["text"]
        ada.sends(zoe, "still here")
        assert "still here" == left_alone.until("new_message").data["text"]
        assert "goodbye" not in [frame.type for frame in left_alone.frames]
    assert [zoe.id, ben.id] == [each["user"]["id"] for each in ada.inbox()["conversations"]]
    assert 701 == ben.history(ada)["messages"][-1]["seq"]


def test_the_command_reads_a_pipe_and_says_what_it_would_do(tmp_path: Path) -> None:
    """`--dry-run` checks and counts; a file that is not there is a sentence."""
    url = sqlite_url(tmp_path)
    assert 0 == tidings("migrate", "--db", url).returncode
    file = tmp_path / "old.jsonl"
    file.write_bytes(as_file([line("1"), line("2", "carol", "ben")]))
    counted = tidings("import", str(file), "--db", url, "--dry-run")
    assert (0, "would import 2 messages in 2 conversations; 0 were there before\n") == (
        counted.returncode,
        counted.stdout,
    )
    assert_fails(
        tidings("import", "/missing/old.jsonl", "--db", url), 2, "/missing/old.jsonl cannot be read: No such file"
    )
    assert_fails(tidings("import", str(tmp_path), "--db", url), 2, "cannot be read: Is a directory")
    piped = subprocess.run(
        [PROGRAM, "import", "-", "--db", url], env=environment(), input=file.read_bytes(), capture_output=True
    )
    assert (0, b"imported 2 messages in 2 conversations; 0 were there before\n") == (piped.returncode, piped.stdout)
    assert_fails(tidings("import", str(file), "--db", sqlite_url(tmp_path / "missing")), 2, "there is no database")
