"""The particulars of the SQLite store: the file, its lock, its schema, and a disk that fails."""

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

from tidings.cli import main
from tidings.errors import ConfigurationError, DatabaseInUse, DatabaseTooNew, Unavailable
from tidings.protocol.cursor import Cursor
from tidings.protocol.user_id import UserId
from tidings.server.store import Committed, NewMessage
from tidings.server.store.open import open_store
from tidings.server.store.sqlite.file import migrate, set_pragma
from tidings.server.store.sqlite.lock import DatabaseLock
from tidings.server.store.sqlite.send import LOOK
from tidings.server.store.sqlite.store import SqliteStore

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


# shows: reliability/acknowledged
def test_every_connection_syncs_fully(tmp_path: Path) -> None:
    """WAL with ``synchronous=FULL``: NORMAL loses acknowledged messages when the power goes (I1)."""

    async def use(store: SqliteStore) -> None:
        def ask(connection: sqlite3.Connection) -> object:
            from tidings.server.store.sqlite.threads import Written

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
        "import sys; from tidings.server.store.sqlite.lock import DatabaseLock;"
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
    sentence = f"database is served by process {holder.pid}; an SQLite file takes one process"
    assert str(caught.value).startswith(sentence)

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
    """Waiting writes and later ones are 503, and the readiness check fails."""

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
        assert 1 == (await store.start_position(BOB, None)).head

    with_store(tmp_path / "x.db", use)


def test_a_full_disk_is_a_refusal_and_passes(tmp_path: Path) -> None:
    """While there is no room, sends are 503 and the check fails; with room both pass again, without a restart."""

    async def use(store: SqliteStore) -> None:
        from tidings.server.store.sqlite.threads import Written

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
        assert 201 == (await store.start_position(BOB, None)).head

    with_store(tmp_path / "x.db", use)


def test_positions_below_the_floor_are_expired(tmp_path: Path) -> None:
    """A cursor at the floor is taken by its position alone, one below is not; the row at the head is kept."""
    path = tmp_path / "x.db"

    async def fill(store: SqliteStore) -> None:
        for n in range(5):
            await store.append(new(str(n)))

    async def look(store: SqliteStore) -> None:
        async def reset(position: int) -> str | None:
            return (await store.start_position(BOB, Cursor(store.epoch, position, 0))).reset

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
        await asyncio.gather(*(store.start_position(BOB, None) for _ in range(4)))

    for number in range(20):
        with_store(tmp_path / f"{number}.db", use)

    assert [] == [path.name for path in tmp_path.iterdir() if path.name.endswith(("-wal", "-shm"))]


# shows: reliability/file-replaced
def test_a_rolled_back_database_is_noticed_by_the_tag(tmp_path: Path) -> None:
    """A copy restored without a word, which then grew past the reader: the position exists, the row is another."""
    path, copy = tmp_path / "x.db", tmp_path / "copy.db"
    cursors: list[Cursor] = []

    async def first(store: SqliteStore) -> None:
        await store.append(new("kept"))

    async def lost(store: SqliteStore) -> None:
        await store.append(new("lost"))
        place = await store.start_position(BOB, None)
        cursors.append(Cursor(store.epoch, place.position, place.tag))

    async def other(store: SqliteStore) -> None:
        await asyncio.sleep(0.002)  # another millisecond, as any real restore takes
        await store.append(new("instead"))
        await store.append(new("and more"))
        assert "unknown" == (await store.start_position(BOB, cursors[0])).reset

    with_store(path, first)
    copy.write_bytes(path.read_bytes())
    with_store(path, lost)
    os.replace(copy, path)
    with_store(path, other)


@pytest.mark.parametrize("lost", [2, 3])
def test_a_receipt_for_a_message_that_the_disk_has_lost_is_taken(tmp_path: Path, lost: int) -> None:
    """The reader's client would send it again for ever; what is still there is counted as read."""

    async def use(store: SqliteStore) -> None:
        for text in ("one", "two", "three"):
            await store.append(new(text))
        with contextlib.closing(sqlite3.connect(tmp_path / "x.db")) as beside, beside:
            beside.execute("DELETE FROM messages WHERE body = ?", ({2: "two", 3: "three"}[lost],))
        assert 2 == (await store.advance(BOB, ALICE, 0, 2)).read_upto
        assert 3 == (await store.advance(BOB, ALICE, 0, 3)).read_upto

    with_store(tmp_path / "x.db", use)


def test_a_send_looks_up_by_indexes_alone(tmp_path: Path) -> None:
    """The send finds all that it depends on in one statement, whose cost does not grow with the stored messages."""
    connection = sqlite3.connect(tmp_path / "tidings.db", isolation_level=None)
    migrate(connection)
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {LOOK}", ("ada", "bo", "1"))]
    connection.close()
    tables = [step for step in plan if "subquery" not in step.lower() and step != "SCAN CONSTANT ROW"]
    assert 6 == len(tables)
    assert all(step.startswith("SEARCH ") and " USING " in step for step in tables), tables


WRITE_UNTIL_KILLED = """
import asyncio, sys, sqlite3
from tidings.server.store import NewMessage
from tidings.server.store.sqlite import store as of_sqlite, threads
from tidings.server.store.sqlite.store import SqliteStore

threads.FOLD_ABOVE_BYTES = of_sqlite.FOLD_ABOVE_BYTES = 300_000  # as 4 MiB, and sooner

async def run(path, copy, kind, count):
    store = SqliteStore(path, lambda events: None)
    await store.start()
    await store.append(NewMessage("alice", "bob", "in the copy", "text", None, None))
    print("first", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    for start in range(0, count, 100):
        await asyncio.gather(*(
            store.append(NewMessage("alice", "bob", "x" * 300, "text", f"{kind}{start}-{n}", None)) for n in range(100)
        ))
    print("all", flush=True)
    await asyncio.to_thread(sys.stdin.readline)

asyncio.run(run(*sys.argv[1:4], int(sys.argv[4])))
"""


def write_until_killed(path: Path, copy: Path | None, kind: str, count: int) -> None:
    """A process that writes a message, waits for the copy, writes so many more and is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_UNTIL_KILLED, str(path), str(copy), kind, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writing:
        assert writing.stdin is not None
        assert writing.stdout is not None
        assert "first\n" == writing.stdout.readline()
        if kind == "ours":
            assert copy is not None
            assert 0 == main(["backup", str(copy), "--db", f"sqlite:///{path}"])
        elif kind == "by SQLite":
            assert copy is not None
            with contextlib.closing(sqlite3.connect(path)) as source, contextlib.closing(sqlite3.connect(copy)) as new:
                source.backup(new)
        elif kind == "of the file alone":
            assert copy is not None
            copy.write_bytes(path.read_bytes())
        writing.stdin.write("\n")
        writing.stdin.flush()
        assert "all\n" == writing.stdout.readline()
        writing.kill()


async def count_messages(store: SqliteStore) -> None:
    assert 1301 == (await store.start_position(BOB, None)).head


@pytest.mark.parametrize("kind", ["ours", "by SQLite", "of the file alone", "of before"])
def test_a_copy_put_over_the_file_does_not_meet_the_log_of_before(tmp_path: Path, kind: str) -> None:
    """SQLite would lay the log of a server that was killed over it: undone, or damaged. It is refused, nothing is
    changed, and with what was there before all is there. Enough was written after the copy for the log to begin anew.
    """
    path, copy = tmp_path / "x.db", tmp_path / "copy.db"
    log = tmp_path / "x.db-wal"

    async def once(_store: SqliteStore) -> None:
        """Made, and closed."""

    with_store(path, once)
    if kind == "of before":
        copy.write_bytes(path.read_bytes())
    write_until_killed(path, copy, kind, 1300)
    before, log_before, given = path.read_bytes(), log.read_bytes(), copy.read_bytes()
    path.write_bytes(given)

    with pytest.raises(ConfigurationError, match="-wal belongs to another file"):
        with_store(path, count_messages)
    for words in (["backup", str(tmp_path / "new")], ["erase", "--user", "alice"], ["migrate"]):
        assert 2 == main([*words, "--db", f"sqlite:///{path}"])

    assert (given, log_before) == (path.read_bytes(), log.read_bytes())
    path.write_bytes(before)
    with_store(path, count_messages)


def test_a_log_that_was_folded_and_not_removed_is_no_hindrance(tmp_path: Path) -> None:
    """As after a power cut just behind a clean end: the file has every page of it."""
    path, log = tmp_path / "x.db", tmp_path / "x.db-wal"
    write_until_killed(path, None, "", 1300)
    kept = log.read_bytes()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("SELECT * FROM users").fetchone()  # whoever closes it as the last one folds and removes it
    assert not log.exists()
    log.write_bytes(kept)

    with_store(path, count_messages)


def test_a_kill_while_the_log_is_folded_leaves_one_that_is_the_file_s_own(tmp_path: Path) -> None:
    """At each of its steps, with a reader that holds it up and without; also of one that empties the log."""
    path = tmp_path / "x.db"
    for is_held, how, steps in ((False, "PASSIVE", 5), (True, "PASSIVE", 5), (False, "TRUNCATE", 5)):
        for step in range(1, steps + 1):
            script = WRITE_UNTIL_KILLED.replace(
                "asyncio.run",
                f"""
import os
from tidings.server.store.sqlite import threads, wal
steps = 0
class Stopping:
    def __init__(self, real): self.real = real
    def __getattr__(self, name): return getattr(self.real, name)
    def execute(self, *words):
        global steps
        steps += words[0].startswith(("BEGIN", "COMMIT", "PRAGMA wal_checkpoint"))
        if steps == {step}:
            os.kill(os.getpid(), 9)
        return self.real.execute(*words)
threads.fold = lambda connection: wal.fold(Stopping(connection), "{how}")
asyncio.run""",
                1,
            )
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
                with subprocess.Popen(
                    [sys.executable, "-c", script, str(path), "", f"{is_held}{how}{step}-", "1500"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                ) as writing:
                    assert writing.stdin is not None
                    assert writing.stdout is not None
                    assert "first\n" == writing.stdout.readline()
                    if is_held:
                        reader.execute("BEGIN")
                        reader.execute("SELECT * FROM users").fetchone()
                    writing.stdin.write("\n")
                    writing.stdin.flush()
                    assert "" == writing.stdout.readline()
                    assert -9 == writing.wait(10)
                with contextlib.suppress(sqlite3.OperationalError):
                    reader.execute("ROLLBACK")
                kept = {each.name: each.read_bytes() for each in (path, tmp_path / "x.db-wal")}
            for name, content in kept.items():  # as the kill left them, and not as the reader's end did
                (tmp_path / name).write_bytes(content)
            (tmp_path / "x.db-shm").unlink(missing_ok=True)

            async def look(store: SqliteStore) -> None:
                assert (await store.start_position(BOB, None)).head > 0

            with_store(path, look)


# shows: security/readyz
def test_however_many_ask_whether_it_is_well_the_writer_looks_once_a_second(tmp_path: Path) -> None:
    """Readiness is asked for without a token: nobody may make work for the disk by it, also while it is full."""

    async def use(store: SqliteStore) -> None:
        begun: list[str] = []

        def watch(connection: sqlite3.Connection) -> object:
            from tidings.server.store.sqlite.threads import Written

            connection.set_trace_callback(lambda sql: begun.append(sql) if sql.startswith("BEGIN") else None)
            return Written(None, [])

        await store._write(watch)  # type: ignore[arg-type]
        for _ in range(20):
            await asyncio.gather(*(store.check() for _ in range(50)))
        assert 1 <= len(begun) <= 2

    with_store(tmp_path / "x.db", use)


def test_one_who_asks_and_goes_away_takes_the_answer_from_nobody(tmp_path: Path) -> None:
    """The look is shared, and not one caller's to cancel."""

    async def use(store: SqliteStore) -> None:
        first, second = asyncio.ensure_future(store.check()), asyncio.ensure_future(store.check())
        await asyncio.sleep(0)
        first.cancel()
        assert 0 == await second

    with_store(tmp_path / "x.db", use)


def test_a_setting_that_does_not_hold_is_noticed() -> None:
    """SQLite answers what it did and not what was asked: without a log of its own, for one."""
    with (
        contextlib.closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(ConfigurationError, match="journal_mode cannot be wal"),
    ):
        set_pragma(connection, "journal_mode", "wal")


@pytest.mark.parametrize("name", [":memory:", "file:x?mode=memory", "x.db?mode=ro", "x\0.db", "file::memory:"])
def test_no_file_is_made_of_a_name_that_means_something_else(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In-memory databases and options, as other libraries have them, are a sentence."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"db \(TIDINGS_DB\)"):
        open_store(f"sqlite:///{name}", lambda _events: None)
    assert 2 == main(["migrate", "--db", f"sqlite:///{name}"])
    assert [] == list(tmp_path.iterdir())
