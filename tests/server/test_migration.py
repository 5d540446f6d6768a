"""A database of an older Tidings is brought up to date in its place, with everything that was in it.

``version5`` holds a file of schema version 5, and what the Tidings that wrote it answered from it: six people, several
hundred messages, receipts that were told and some that were kept from strangers, blocks, reports, ends of sign-ins, an
erased user, logs that were trimmed, and a conversation from before its number was drawn.
"""

from __future__ import annotations

import asyncio
import json
import lzma
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tidings.protocol.cursor import Cursor
from tidings.protocol.user_id import UserId
from tidings.server.store import Store
from tidings.server.store.export import export
from tidings.server.store.maintenance import Schema
from tidings.server.store.open import open_maintenance, open_store

OLD = Path(__file__).parent / "version5"
ANSWERS: dict[str, Any] = json.loads(lzma.decompress((OLD / "answers.json.xz").read_bytes()))
PROGRAM = str(Path(sys.executable).with_name("tidings"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tidings.db"
    path.write_bytes(lzma.decompress((OLD / "tidings.db.xz").read_bytes()))
    return path


def answers(path: Path) -> dict[str, Any]:
    """All that the store says of these people, as the older one was asked."""
    url = f"sqlite:///{path}"

    async def ask() -> dict[str, Any]:
        store = open_store(url, lambda _: None)
        await store.start()
        try:
            people = {name: await of(store, UserId(name)) for name in ANSWERS["people"]}
            heads = await store.heads([UserId(name) for name in people])
            return {
                "epoch": store.epoch,
                "heads": heads,
                "people": people,
                "revocations": await store.revocations(),
            }
        finally:
            await store.close()

    found = asyncio.run(ask())
    for name in found["people"]:
        with open_maintenance(url).snapshot() as snapshot:
            lines = list(export(snapshot, UserId(name)))
        found["people"][name]["export"] = [line for line in lines if line["type"] != "user"]
    plain: dict[str, Any] = msgspec.to_builtins(found)
    return plain


async def of(store: Store, user: UserId) -> dict[str, Any]:
    async def starts(position: int) -> list[Any]:
        return list(await store.start_position(user, Cursor(store.epoch, position, 0)))

    place = await store.start_position(user, None)
    floor = 0
    while (await starts(floor))[-1] == "expired":
        floor += 1
    log = await store.read_after(user, floor, 10_000)
    inbox = await store.inbox(user, before=None, limit=100)
    others = [UserId(name) for name in ANSWERS["people"] if name != user]
    return {
        "place": list(place),
        "starts": [await starts(position) for position in (0, 1, place.head // 2, place.head + 1)],
        "floor": floor,
        "log": [[event.position, event.tag, event.type, event.data] for event in log],
        "inbox": [
            [
                [each.peer, each.last_message, each.unread, each.watermarks, each.position, list(each.relation)]
                for each in inbox.conversations
            ],
            *inbox[1:],
        ],
        "history": {
            other: [page.messages, page.has_more, page.cursor, page.watermarks, list(page.relation)]
            for other in others
            for page in [await store.history(user, other, before=None, after=None, limit=1000)]
        },
        "blocked": [
            [each.peer, each.since, each.position, list(each.relation)]
            for each in (await store.blocked(user, before=None, limit=100)).blocked
        ],
    }


@pytest.mark.parametrize("by", ["a server that starts", "tidings migrate"])
def test_an_older_database_has_after_its_migration_what_it_had_before(path: Path, by: str) -> None:
    """Logs, histories, inboxes, blocks, exports and every cursor: to the letter what the older Tidings answered."""
    if by == "tidings migrate":
        known = open_maintenance(f"sqlite:///{path}").schema().known
        command = [PROGRAM, "migrate", "--db", f"sqlite:///{path}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert (0, f"schema version {known}, was 5\n", "") == (done.returncode, done.stdout, done.stderr)

    found = answers(path)
    assert sorted(ANSWERS) == sorted(found)
    for name, expected in ANSWERS["people"].items():
        for what in expected:
            assert expected[what] == found["people"][name][what], (name, what)
    assert {**ANSWERS, "people": None} == {**found, "people": None}


MIGRATE_UNTIL_KILLED = """
import os, signal, sqlite3, sys
from tidings.server.store.sqlite.file import connect, migrate

connection, left = connect(sys.argv[1]), int(sys.argv[2])

def count(statement):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1

connection.execute("PRAGMA journal_mode = wal")
connection.set_trace_callback(count)
migrate(connection)
connection.set_trace_callback(None)
"""


def test_a_migration_that_is_killed_leaves_the_old_database_or_the_new(path: Path) -> None:
    """Before each of its statements, and after the last: the version is one of both, or one on the way to it, and
    everything of it is there."""
    seen, statements, is_whole = set(), 0, False
    original = path.read_bytes()
    while not is_whole:
        for each in path.parent.iterdir():
            each.unlink()
        path.write_bytes(original)
        words = [sys.executable, "-c", MIGRATE_UNTIL_KILLED, str(path), str(statements)]
        ended = subprocess.run(words, check=False, timeout=60).returncode
        assert ended in (0, -signal.SIGKILL)
        is_whole, statements = ended == 0, statements + 1
        with sqlite3.connect(path) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            ((fault,),) = connection.execute("PRAGMA integrity_check")
            columns = {row[1] for row in connection.execute("PRAGMA table_info(feed)")}
        connection.close()
        assert ("ok", version > 5) == (fault, "chat" in columns)
        seen.add(version)
    assert set(range(5, open_maintenance(f"sqlite:///{path}").schema().known + 1)) == seen
    assert statements > 5
    assert ANSWERS == answers(path)


def test_a_command_that_only_reads_says_that_the_database_is_older(path: Path) -> None:
    """It changes nothing: neither the version nor a byte of a row."""
    upkeep = open_maintenance(f"sqlite:///{path}")
    assert Schema(5, upkeep.schema().known) == upkeep.schema()
    done = subprocess.run(
        [PROGRAM, "export", "--user", "ada", "--db", f"sqlite:///{path}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (2, True) == (done.returncode, "schema version 5" in done.stderr and "tidings migrate" in done.stderr)
    assert 5 == upkeep.schema().found
