"""What is particular to the SQLite store: the file, its lock, its schema, and a disk that fails."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tidings.errors import ConfigurationError, DatabaseInUse, DatabaseTooNew, Unavailable
from tidings.protocol.cursor import Cursor
from tidings.protocol.events import UserId
from tidings.server.store import Committed, NewMessage, sqlite_write
from tidings.server.store.lock import DatabaseLock
from tidings.server.store.sqlite import SqliteStore
from tidings.server.store.sqlite_file import migrate

ALICE, BOB = UserId("alice"), UserId("bob")


def new(text: str, client_id: str | None = None) -> NewMessage:
    return NewMessage(ALICE, BOB, text, "text", client_id, None)


def with_store(path: Path, use: Callable[[SqliteStore], Awaitable[None]]) -> None:
    async def run() -> None:
        committed: list[Committed] = []
        store = SqliteStore(str(path), committed.extend)
        await store.start()
        try:
            await use(store)
        finally:
            await store.close()

    asyncio.run(run())


def test_every_connection_syncs_fully(tmp_path: Path) -> None:
    """WAL with ``synchronous=FULL``: NORMAL loses acknowledged messages when the power goes (I1)."""

    async def use(store: SqliteStore) -> None:
        def ask(connection: sqlite3.Connection) -> object:
            from tidings.server.store.threads import Written

            modes = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")]
            return Written(modes, [])

        assert [2, "wal"] == await store._write(ask)  # type: ignore[arg-type]

    with_store(tmp_path / "x.db", use)


def test_a_newer_schema_is_refused_untouched(tmp_path: Path) -> None:
    """An old server must not write into a database that it does not understand."""

    async def use(store: SqliteStore) -> None:
        await store.append(new("x"))

    path = tmp_path / "x.db"
    with_store(path, use)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(DatabaseTooNew, match="version 99"):
        with_store(path, use)
    with pytest.raises(DatabaseTooNew):  # and it let go of the lock
        with_store(path, use)


def test_another_process_on_the_same_file_is_refused_with_the_holders_number(tmp_path: Path) -> None:
    """One process serves a database; the sentence says which one does and what to use instead."""
    path = tmp_path / "x.db"
    hold = (
        "import sys; from tidings.server.store.lock import DatabaseLock;"
        "lock = DatabaseLock(sys.argv[1]); lock.acquire(may_create=True); lock.sign();"
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert "held\n" == holder.stdout.readline()
        with pytest.raises(DatabaseInUse) as caught:
            DatabaseLock(str(path)).acquire(wait_s=0.2)
        holder.stdin.close()
        assert 0 == holder.wait(10)
    sentence = f"database is served by process {holder.pid}; use one worker, or PostgreSQL for several"
    assert sentence == str(caught.value)

    lock = DatabaseLock(str(path))
    lock.acquire(wait_s=5)
    lock.release()


def test_a_path_that_cannot_be_opened_is_a_sentence(tmp_path: Path) -> None:
    """It names the setting and the path."""

    async def use(_store: SqliteStore) -> None:
        raise AssertionError("it started")

    with pytest.raises(ConfigurationError, match=r"db \(TIDINGS_DB\): .*missing/x\.db cannot be opened"):
        with_store(tmp_path / "missing" / "x.db", use)
    (tmp_path / "not.db").write_text("this is not a database, and long enough to be read as one" * 100)
    with pytest.raises(ConfigurationError, match="not a database"):
        with_store(tmp_path / "not.db", use)


def test_a_write_that_fails_fails_alone(tmp_path: Path) -> None:
    """A poisoned job in a batch: its neighbours are stored, it is 503, and the writer lives."""

    async def use(store: SqliteStore) -> None:
        def poison(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO users(name) VALUES ('half')")
            raise RuntimeError("poison")

        works = [store.append(new(str(n))) for n in range(5)]
        works.insert(2, store._write(poison))  # type: ignore[arg-type]
        outcomes = await asyncio.gather(*works, return_exceptions=True)
        assert [n == 2 for n in range(6)] == [isinstance(outcome, Unavailable) for outcome in outcomes]
        assert {ALICE: 5, BOB: 5} == await store.heads([ALICE, BOB, UserId("half")])
        await store.check()

    with_store(tmp_path / "x.db", use)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_writer_refuses_and_never_hangs(tmp_path: Path) -> None:
    """What was waiting and what comes later is 503, and the readiness check fails."""

    class Deadly(BaseException):
        pass

    async def use(store: SqliteStore) -> None:
        def die(_connection: sqlite3.Connection) -> None:
            raise Deadly

        await store.append(new("before"))
        outcomes = await asyncio.gather(
            store._write(die),  # type: ignore[arg-type]
            *(store.append(new(str(n))) for n in range(5)),
            return_exceptions=True,
        )
        assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
        with pytest.raises(Unavailable, match="restart"):
            await store.check()
        with pytest.raises(Unavailable):
            await store.append(new("after"))
        assert 1 == (await store.place(BOB, None)).head

    with_store(tmp_path / "x.db", use)


def test_a_full_disk_is_a_refusal_and_passes(tmp_path: Path) -> None:
    """While there is no room, sends are 503 and the check fails; with room both pass again, without a restart."""

    async def use(store: SqliteStore) -> None:
        from tidings.server.store.threads import Written

        await store.append(new("before"))

        def limit(pages: int) -> Callable[[sqlite3.Connection], Written[None]]:
            def work(connection: sqlite3.Connection) -> Written[None]:
                connection.execute(f"PRAGMA max_page_count = {pages}")
                return Written(None, [])

            return work

        await store._write(limit(1))  # the smallest that SQLite takes is what the file has
        refusals = 0
        for n in range(200):
            try:
                await store.append(new("x" * 10_000, f"k{n}"))
            except Unavailable:
                refusals += 1
        assert refusals > 100
        with pytest.raises(Unavailable):
            await store.check()
        await store._write(limit(1_000_000))
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(Unavailable):  # of the look of a moment ago
                    await store.check()
                    break
                await asyncio.sleep(0.05)
        for n in range(200):
            await store.append(new("x" * 10_000, f"k{n}"))
        assert 201 == (await store.place(BOB, None)).head

    with_store(tmp_path / "x.db", use)


def test_positions_below_the_floor_are_expired(tmp_path: Path) -> None:
    """A cursor at the floor is taken by its position alone, one below is not; the row at the head is kept."""
    path = tmp_path / "x.db"

    async def fill(store: SqliteStore) -> None:
        for n in range(5):
            await store.append(new(str(n)))

    async def look(store: SqliteStore) -> None:
        async def reset(position: int) -> str | None:
            return (await store.place(BOB, Cursor(store.epoch, position, 0))).reset

        assert ["expired", "expired", None] == [await reset(position) for position in (0, 2, 3)]
        assert [4, 5] == [event.position for event in await store.read_after(BOB, 3, 10)]

    with_store(path, fill)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE users SET floor = 3 WHERE name = 'bob'")
        connection.execute("DELETE FROM feed WHERE uid = (SELECT uid FROM users WHERE name = 'bob') AND cur <= 3")
    connection.close()
    with_store(path, look)


def test_after_a_clean_end_the_file_alone_is_the_database(tmp_path: Path) -> None:
    """Nothing is left in a log beside it, so that whoever copies the file has everything."""

    async def use(store: SqliteStore) -> None:
        await store.append(new("kept"))
        await asyncio.gather(*(store.place(BOB, None) for _ in range(4)))

    for number in range(20):
        with_store(tmp_path / f"{number}.db", use)

    assert [] == [path.name for path in tmp_path.iterdir() if path.name.endswith(("-wal", "-shm"))]


def test_a_rolled_back_database_is_noticed_by_the_tag(tmp_path: Path) -> None:
    """A copy restored without a word, which then grew past the reader: the position exists, the row is another."""
    path, copy = tmp_path / "x.db", tmp_path / "copy.db"
    cursors: list[Cursor] = []

    async def first(store: SqliteStore) -> None:
        await store.append(new("kept"))

    async def lost(store: SqliteStore) -> None:
        await store.append(new("lost"))
        place = await store.place(BOB, None)
        cursors.append(Cursor(store.epoch, place.position, place.tag))

    async def other(store: SqliteStore) -> None:
        await asyncio.sleep(0.002)  # another millisecond, as any real restore takes
        await store.append(new("instead"))
        await store.append(new("and more"))
        assert "unknown" == (await store.place(BOB, cursors[0])).reset

    with_store(path, first)
    copy.write_bytes(path.read_bytes())
    with_store(path, lost)
    os.replace(copy, path)
    with_store(path, other)


def test_a_send_looks_up_by_indexes_alone(tmp_path: Path) -> None:
    """What it depends on is found in one statement whose cost does not grow with what is stored."""
    connection = sqlite3.connect(tmp_path / "tidings.db", isolation_level=None)
    migrate(connection)
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sqlite_write.LOOK}", ("ada", "bo", "1"))]
    connection.close()
    tables = [step for step in plan if "subquery" not in step.lower() and step != "SCAN CONSTANT ROW"]
    assert 7 == len(tables)
    assert all(step.startswith("SEARCH ") and " USING " in step for step in tables), tables
