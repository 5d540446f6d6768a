"""Messages in the application's own transaction: ``connection=``, ``enqueue`` in the database, and the mover."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import itertools
import logging
import os
import random
import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import psycopg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from lab import postgres
from lab.host import Host
from lab.node import Node as Program
from lab.node import Person
from lab.postgres import Postgres
from lab.process import PATIENCE_S, wait_for
from tidings import Config, Tidings
from tidings.errors import ConfigurationError, Unprocessable
from tidings.protocol.shapes import Message
from tidings.protocol.user_id import UserId
from tidings.server.live import hub
from tidings.server.node import Node
from tidings.server.store.export import export
from tidings.server.store.maintenance import Erased
from tidings.server.store.open import open_maintenance
from tidings.server.store.postgres import mover

ALICE, BOB, CAROL = UserId("alice"), UserId("bob"), UserId("carol")

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Postgres:
    """The server of this run; each test has a schema of its own in it."""
    return postgres.shared()


@pytest.fixture
def schema(server: Postgres) -> str:
    return f"o_{os.getpid()}_{next(_numbers)}"


class Tables(NamedTuple):
    """The tables of Tidings without a node."""

    server: Postgres
    schema: str
    url: str


@pytest.fixture(scope="module")
def tables(server: Postgres) -> Tables:
    """Some that several tests share; each leaves the outbox empty."""
    schema = f"o_{os.getpid()}_shared"
    open_maintenance(server.url(schema=schema)).migrate()
    return Tables(server, schema, server.url(schema=schema))


@contextlib.asynccontextmanager
async def served(url: str) -> AsyncIterator[tuple[Tidings, Node]]:
    """An application with messages, whose node runs."""
    tidings = Tidings(Config(db=url, secret="s" * 32))
    async with tidings.lifespan():
        yield tidings, tidings._node


async def arrived(node: Node, count: int, user: UserId = BOB) -> list[str]:
    """The texts in a log, as soon as a reader there was told of so many."""
    held = node.hub.hold(user)
    held.join_at((await node.store.start_position(user, None)).head)
    async with asyncio.timeout(PATIENCE_S):
        while (held.tail or 0) < count:
            await held.wait_beyond(count - 1, PATIENCE_S)
    node.hub.release(held)
    return await texts_of(node, user)


async def texts_of(node: Node, user: UserId = BOB) -> list[str]:
    log = await node.store.read_after(user, 0, 10_000)
    return [event.data.text for event in log if isinstance(event.data, Message)]


def test_what_a_transaction_sends_arrives_when_it_commits_and_else_not(server: Postgres, schema: str) -> None:
    """With asyncpg: commit, rollback, and a savepoint that is rolled back."""

    async def play() -> None:
        async with served(server.url(schema=schema)) as (tidings, node):
            connection = await asyncpg.connect(server.url())
            try:
                async with connection.transaction():
                    first = await tidings.send("alice", "bob", "first", connection=connection)
                    with contextlib.suppress(ZeroDivisionError):
                        async with connection.transaction():
                            await tidings.send("alice", "bob", "of a savepoint", connection=connection)
                            raise ZeroDivisionError
                    second = await tidings.send("alice", "bob", "second", client_id="k2", connection=connection)
                    assert [] == await texts_of(node)
                with contextlib.suppress(ZeroDivisionError):
                    async with connection.transaction():
                        await tidings.send("alice", "bob", "rolled back", connection=connection)
                        raise ZeroDivisionError
                await tidings.send("alice", "bob", "third", connection=connection)
            finally:
                await connection.close()
            assert ["first", "second", "third"] == await arrived(node, 3)
            assert ("k2", 36) == (second, len(first))

    asyncio.run(play())


# Every library


@contextlib.asynccontextmanager
async def asyncpg_connection(dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(dsn)
    async with connection.transaction():
        yield connection
    await connection.close()


@contextlib.asynccontextmanager
async def asyncpg_pool(dsn: str) -> AsyncIterator[Any]:
    async with asyncpg.create_pool(dsn, min_size=1) as pool, pool.acquire() as connection, connection.transaction():
        yield connection


@contextlib.asynccontextmanager
async def psycopg_async(dsn: str) -> AsyncIterator[Any]:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        yield connection


@contextlib.asynccontextmanager
async def sqlalchemy_session(dsn: str) -> AsyncIterator[Any]:
    engine = create_async_engine(dsn.replace("postgresql:", "postgresql+asyncpg:"))
    async with AsyncSession(engine) as session, session.begin():
        yield session
    await engine.dispose()


@contextlib.asynccontextmanager
async def sqlalchemy_on_psycopg(dsn: str) -> AsyncIterator[Any]:
    engine = create_async_engine(dsn.replace("postgresql:", "postgresql+psycopg:"))
    async with engine.begin() as connection:
        yield connection
    await engine.dispose()


@contextlib.contextmanager
def psycopg_sync(dsn: str) -> Iterator[Any]:
    with psycopg.connect(dsn) as connection:
        yield connection


@contextlib.contextmanager
def sqlalchemy_sync(dsn: str) -> Iterator[Any]:
    engine = sqlalchemy.create_engine(dsn.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        yield connection
    engine.dispose()


@contextlib.contextmanager
def sqlalchemy_sync_session(dsn: str) -> Iterator[Any]:
    engine = sqlalchemy.create_engine(dsn.replace("postgresql:", "postgresql+psycopg:"))
    with Session(engine) as session, session.begin():
        yield session
    engine.dispose()


@contextlib.contextmanager
def sqlalchemy_scoped(dsn: str) -> Iterator[Any]:
    engine = sqlalchemy.create_engine(dsn.replace("postgresql:", "postgresql+psycopg:"))
    session = scoped_session(sessionmaker(engine))
    yield session
    session.commit()
    session.remove()
    engine.dispose()


def grant(server: Postgres, schema: str) -> None:
    """An operator lets an application's role send; it has the schema's name here."""
    server.run(f"GRANT USAGE ON SCHEMA {schema} TO {schema}; GRANT EXECUTE ON FUNCTION {schema}.enqueue TO {schema}")


AWAITED = [asyncpg_connection, asyncpg_pool, psycopg_async, sqlalchemy_session, sqlalchemy_on_psycopg]
CALLED = [psycopg_sync, sqlalchemy_sync, sqlalchemy_sync_session, sqlalchemy_scoped]


def test_each_librarys_connection_is_taken_whatever_its_search_path(server: Postgres, schema: str) -> None:
    """Async ones by ``send``, those that wait by ``send_now`` in a thread without an event loop; Django's: its example.

    The role of the connections has the two documented rights and no other.
    """
    # A function of this name elsewhere is none of ours; the path of the connection has it, and not our schema.
    server.run(
        f"CREATE SCHEMA {schema}_x; CREATE FUNCTION {schema}_x.enqueue(text, text, text, text, text, text)"
        f" RETURNS text LANGUAGE sql AS 'SELECT 1 / 0'; CREATE ROLE {schema} LOGIN;"
        f" ALTER ROLE {schema} SET search_path = {schema}_x; GRANT USAGE ON SCHEMA {schema}_x TO {schema}"
    )
    dsn = f"postgresql://{schema}@127.0.0.1:{server.port}/postgres"

    async def play() -> None:
        async with served(server.url(schema=schema)) as (tidings, node):
            grant(server, schema)
            for opened in AWAITED:
                async with opened(dsn) as connection:
                    with pytest.raises(TypeError, match="is async"):
                        tidings.send_now("alice", "bob", "no", connection=connection)
                    await tidings.send("alice", "bob", opened.__name__, connection=connection)

            async with sqlalchemy_session(dsn) as session:
                await session.run_sync(lambda own: tidings.send_now("alice", "bob", "run_sync", connection=own))

            def send(opens: Callable[[str], contextlib.AbstractContextManager[Any]]) -> None:
                with opens(dsn) as connection:
                    tidings.send_now("alice", "bob", opens.__name__, connection=connection)

            for opens in CALLED:
                with opens(dsn) as connection, pytest.raises(TypeError, match="send_now"):
                    await tidings.send("alice", "bob", "no", connection=connection)
                await asyncio.to_thread(send, opens)
            names = [*(each.__name__ for each in AWAITED), "run_sync", *(each.__name__ for each in CALLED)]
            assert names == await arrived(node, len(names))

    asyncio.run(play())


def test_what_is_no_connection_to_postgresql_is_told_what_is(server: Postgres, schema: str, tmp_path: Path) -> None:
    """One sentence; nothing was done on the connection. Django that is imported and has no project has no aliases."""
    importlib.import_module("django.db")
    tidings = Tidings(Config(db=server.url(schema=schema), secret="s" * 32))
    engine = sqlalchemy.create_engine("sqlite://")
    with pytest.raises(ConfigurationError, match="it is to sqlite"), Session(engine) as session:
        tidings.send_now("alice", "bob", "hi", connection=session)
    for connection in (engine, sqlite3.connect(tmp_path / "x.db"), 5, "default"):
        taken = r"connection= takes a connection of asyncpg or psycopg 3, .* this is a"
        with pytest.raises(TypeError, match=taken):
            tidings.send_now("alice", "bob", "hi", connection=connection)
        with pytest.raises(TypeError, match=taken):
            asyncio.run(sent(tidings, connection))
    with pytest.raises(ConfigurationError, match="SQLite, which no transaction of the application reaches"):
        Tidings(Config(db=f"sqlite:///{tmp_path}/t.db", secret="s" * 32)).send_now("a", "b", "c", connection=5)
    assert not (tmp_path / "t.db").exists()


async def sent(tidings: Tidings, connection: object) -> str:
    """The client_id of a message that an async caller enqueued."""
    return await tidings.send("alice", "bob", "hi", connection=connection)


def test_a_connection_to_another_database_is_refused_with_a_sentence(server: Postgres, schema: str) -> None:
    """One without our tables, also where no node runs here; and one whose tables are of another Tidings."""
    for name in ("a", "b"):
        server.run(f"CREATE DATABASE {schema}_{name}")
    first, second = (server.url(schema=schema).replace("/postgres?", f"/{schema}_{name}?") for name in ("a", "b"))

    async def play() -> None:
        async with served(first) as (tidings, node):
            plain = second.partition("?")[0]
            for said in ("no outbox of Tidings in the schema " + schema, "another database than db"):
                with psycopg.connect(plain) as connection:
                    with pytest.raises(ConfigurationError, match=said) as caught:
                        tidings.send_now("alice", "bob", "hi", connection=connection)
                    assert "\n" not in str(caught.value)
                    connection.rollback()
                await asyncio.to_thread(open_maintenance(second).migrate)
            assert [] == await texts_of(node)

    asyncio.run(play())


def test_a_message_that_breaks_a_rule_is_refused_at_once_as_ever(server: Postgres, schema: str) -> None:
    """Shape, length, type: before anything is said on the connection, whose transaction goes on."""

    async def play() -> None:
        async with served(server.url(schema=schema)) as (tidings, node):
            async with asyncpg_connection(server.url()) as connection:
                wrong = [
                    ("bob", "bob", "hi"),
                    ("a/b", "bob", "hi"),
                    ("alice", "bob", " "),
                    ("alice", "bob", "ä" * 9999),
                ]
                for arguments in wrong:
                    with pytest.raises(Unprocessable):
                        await tidings.send(*arguments, connection=connection)
                with pytest.raises(Unprocessable):
                    await tidings.send("alice", "bob", "hi", type="invoice", connection=connection)
                await tidings.send("alice", "bob", "good", connection=connection)
            assert ["good"] == await arrived(node, 1)

    asyncio.run(play())


# What a node refuses


def refusals(server: Postgres, schema: str) -> list[str]:
    """The rows of the table, the first one first."""
    rows = server.run(
        f"SELECT why || ' ' || sender || ' ' || recipient || ' ' || body FROM {schema}.refused ORDER BY id"
    )
    return rows.splitlines()


def test_what_cannot_be_stored_is_kept_as_refused_and_stops_nothing(
    server: Postgres, schema: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A block that came in between, a client_id of another text, an erased person, a type that no node knows, rows that
    somebody put in by hand, and one that the database itself does not take."""

    async def play() -> None:
        async with served(server.url(schema=schema)) as (tidings, node):
            await tidings.send("alice", "bob", "first", client_id="k1")
            await tidings.send("carol", "dave", "hi")
            await asyncio.to_thread(open_maintenance(server.url(schema=schema)).erase, UserId("dave"))
            made_up = server.run(f"SELECT name FROM {schema}.users WHERE erased_ms IS NOT NULL")
            server.run(
                f"ALTER TABLE {schema}.messages ADD CHECK (body <> 'poison');"
                f" CREATE UNIQUE INDEX ON {schema}.messages(body) WHERE body = 'last'"
            )
            async with asyncpg_connection(server.url()) as connection:
                sends = [
                    ("bob", "alice", "blocked", {}),
                    ("alice", "bob", "blocks", {}),
                    ("alice", "bob", "other", {"client_id": "k1"}),
                    ("alice", "bob", "first", {"client_id": "k1"}),
                    ("alice", made_up, "gone", {}),
                    ("alice", "bob", "poison", {"type": "system"}),
                ]
                for sender, recipient, text, fields in sends:
                    await tidings.send(sender, recipient, text, connection=connection, **fields)
                await connection.execute(f"SELECT {schema}.enqueue('alice', 'bob', 'a bill', 'invoice')")
                await connection.execute(
                    f"INSERT INTO {schema}.outbox(queued_ms, sender, recipient, type, body, client_id)"
                    " VALUES (0, '', 'bob', 'text', 'nobody', 'k'),"
                    " (0, 'alice', 'bob', 'text', repeat('x', 99999), 'k')"
                )
                for _ in range(2):
                    await tidings.send("alice", "bob", "last", type="system", connection=connection)
                await tidings.block("alice", "bob")
            assert ["first", "last"] == await arrived(node, 2)
            await asyncio.to_thread(wait_for, lambda: server.run(f"SELECT count(*) FROM {schema}.outbox") == "0")
            found = refusals(server, schema)
            assert [
                "is_blocked bob alice blocked",
                "blocks alice bob blocks",
                "client_id_reused alice bob other",
                f"has_left alice {made_up} gone",
                "failed alice bob poison",
                "unknown_type alice bob a bill",
                "bad_user_id  bob nobody",
            ] == found[:7]
            assert found[7].startswith("text_too_long alice bob xxx")
            assert len(found[7]) < 17_000
            assert ["failed alice bob last"] == found[8:]
            metrics = node.metrics.render("")[0].decode()
            assert 'tidings_outbox_refused_total{why="is_blocked"} 1.0' in metrics
            assert "tidings_outbox_moved_total 2.0" in metrics

    with caplog.at_level(logging.INFO):
        asyncio.run(play())
    lines = [record.getMessage() for record in caplog.records if record.name == "tidings.outbox"]
    assert 9 == sum("refused why=" in line for line in lines)
    assert [] == [line for line in caplog.messages if "poison" in line or "nobody" in line]


# From SQL


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("NULL, 'bob', 'hi'", "user ids"),
        ("'', 'bob', 'hi'", "user ids"),
        ("'alice', repeat('x', 129), 'hi'", "128 characters"),
        ("'alice', 'me', 'hi'", "not '.', '..' or 'me'"),
        ("'a/b', 'bob', 'hi'", "no slash"),
        (r"'a\b', 'bob', 'hi'", "no backslash"),
        (r"'alice', E'bo\u0085b', 'hi'", "no control characters"),
        (r"'alice', E'e\u0301', 'hi'", "NFC"),
        ("'bob', 'bob', 'hi'", "somebody else"),
        ("'alice', 'bob', NULL", "the text is empty"),
        (r"'alice', 'bob', E' \n'", "the text is empty"),
        ("'alice', 'bob', repeat('ä', 8193)", "16384 bytes"),
        (r"'alice', 'bob', E'\u0007'", "control characters"),
        ("'alice', 'bob', 'hi', 'deleted'", "the type"),
        ("'alice', 'bob', 'hi', 'a type'", "the type"),
        ("'alice', 'bob', 'hi', NULL", "the type"),
        ("'alice', 'bob', 'hi', 'text', ''", "client_id"),
        (r"'alice', 'bob', 'hi', 'text', E'k\n'", "client_id"),
        ("'alice', 'bob', 'hi', 'text', repeat('k', 65)", "client_id"),
    ],
)
def test_enqueue_refuses_in_sql_what_no_node_could_take(tables: Tables, arguments: str, words: str) -> None:
    """With SQLSTATE 22023, a sentence, and nothing of the text in it."""
    with psycopg.connect(tables.server.url()) as connection:
        with pytest.raises(psycopg.errors.InvalidParameterValue) as caught:
            connection.execute(f"SELECT {tables.schema}.enqueue({arguments})")
        assert words in str(caught.value)


def test_a_role_may_enqueue_when_it_is_granted_and_else_not(tables: Tables) -> None:
    """Nobody but the owner by default; with the two grants without a right on any table, and to read nothing."""
    schema = tables.schema
    tables.server.run(f"CREATE ROLE {schema} LOGIN")
    tidings = Tidings(Config(db=tables.url, secret="s" * 32))
    with psycopg.connect(tables.server.url().replace("postgres@", f"{schema}@")) as connection:
        for said in ("GRANT USAGE ON SCHEMA", "GRANT EXECUTE ON FUNCTION"):
            with pytest.raises(ConfigurationError, match=f"{said} {schema}"):
                tidings.send_now("alice", "bob", "hi", connection=connection)
            connection.rollback()
            tables.server.run(f"GRANT USAGE ON SCHEMA {schema} TO {schema}")
        grant(tables.server, schema)
        tidings.send_now("alice", "bob", "hi", client_id="k1", connection=connection)
        connection.commit()
        for reads in ("outbox", "messages", "refused", "meta", "bus"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT * FROM {schema}.{reads}")
            connection.rollback()
    assert "hi" == tables.server.run(f"DELETE FROM {schema}.outbox WHERE client_id = 'k1' RETURNING body")


def test_a_restored_schema_lets_nobody_enqueue_before_it_is_said_again(tables: Tables, tmp_path: Path) -> None:
    """A copy has no grants, and PostgreSQL gives every new function to everybody. A message that waited waits again."""
    server, schema = tables.server, tables.schema
    server.run(f"SELECT {schema}.enqueue('alice', 'bob', 'kept', client_id => 'k2')")
    copy = open_maintenance(tables.url).backup(str(tmp_path / "copy")).path
    server.run(f"DELETE FROM {schema}.outbox")
    open_maintenance(tables.url).restore(copy)
    assert "kept" == server.run(f"DELETE FROM {schema}.outbox RETURNING body")
    public = f"has_function_privilege('public', '{schema}.enqueue(text, text, text, text, text, text)', 'EXECUTE')"
    assert "f" == server.run(f"SELECT {public}")


# Nodes


def test_what_commits_arrives_once_and_in_order_and_nothing_else(
    server: Postgres, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fifth is rolled back, two nodes move a few rows at a time; each sender's messages in the order of commits."""
    monkeypatch.setattr(mover, "MOVE_ROWS_MAX", 3)
    senders = [UserId(f"s{number}") for number in range(8)]
    kept: dict[str, list[str]] = {sender: [] for sender in senders}

    async def host(tidings: Tidings, pool: Any, sender: str, rng: random.Random) -> None:
        for number in range(25):
            texts = [f"{number}.{part}" for part in range(rng.randint(1, 3))]
            with contextlib.suppress(ZeroDivisionError):
                async with pool.acquire() as connection, connection.transaction():
                    for text in texts:
                        await tidings.send(sender, "bob", text, client_id=text, connection=connection)
                        await asyncio.sleep(0)
                    if rng.random() < 0.2:
                        raise ZeroDivisionError
                kept[sender] += texts

    async def play() -> None:
        url = server.url(schema=schema)
        async with (
            served(url) as (tidings, first),
            served(url) as (_, second),
            asyncpg.create_pool(server.url(), min_size=4, max_size=4) as pool,
        ):
            await asyncio.gather(
                *(host(tidings, pool, sender, random.Random(nth)) for nth, sender in enumerate(senders))
            )
            for node in (first, second):
                assert sum(map(len, kept.values())) == len(await arrived(node, sum(map(len, kept.values()))))
            log = [event.data for event in await first.store.read_after(BOB, 0, 10_000)]
            for sender in senders:
                arrivals = [each.text for each in log if isinstance(each, Message) and each.sender_id == sender]
                assert kept[sender] == arrivals

    asyncio.run(play())


def test_a_node_that_is_killed_while_it_moves_loses_and_doubles_nothing(
    server: Postgres, schema: str, tmp_path: Path
) -> None:
    """The next node goes on where it was, whether the killed one's last transaction was kept or not."""
    url = server.url(schema=schema)
    open_maintenance(url).migrate()
    before_each_message(server, schema, "pg_sleep(0.001)")
    server.run(f"SELECT {schema}.enqueue('alice', 'bob', nth::text) FROM generate_series(1, 520) nth")
    left = f"SELECT count(*) FROM {schema}.outbox"
    killed = Program(tmp_path / "1", db=url)
    killed.start()
    wait_for(lambda: int(server.run(left)) < 520)
    killed.kill()
    assert int(server.run(left)) > 0, "it was in the middle"
    server.run(f"DROP TRIGGER wait ON {schema}.messages")
    with Program(tmp_path / "2", db=url) as node:
        wait_for(lambda: int(server.run(left)) == 0)
        assert 520 == node.person("bob").history("alice", limit=1)["messages"][0]["seq"]
        assert "520" == server.run(f"SELECT count(*) FROM {schema}.messages WHERE body::int = id & 16777215")


def test_a_log_that_somebody_holds_keeps_no_other_message_waiting(server: Postgres, schema: str) -> None:
    """Messages to others are moved meanwhile, those of the log in their order when it is free."""

    async def play() -> None:
        async with served(server.url(schema=schema)) as (tidings, node):
            await tidings.send("alice", "bob", "0")
            holder = await asyncpg.connect(server.url())
            try:
                await holder.execute(f"BEGIN; SELECT 1 FROM {schema}.users WHERE name = 'bob' FOR UPDATE")
                async with asyncpg_connection(server.url()) as connection:
                    for number in range(1, 4):
                        await tidings.send("alice", "bob", str(number), connection=connection)
                        await tidings.send("dave", "carol", str(number), connection=connection)
                assert ["1", "2", "3"] == await arrived(node, 3, CAROL)
                assert ["0"] == await texts_of(node)
                await holder.execute("COMMIT")
            finally:
                await holder.close()
            assert ["0", "1", "2", "3"] == await arrived(node, 4)

    asyncio.run(play())


def test_a_trouble_of_the_whole_database_refuses_no_message(
    server: Postgres, schema: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It waits until the trouble is over: a missing table is no fault of a message, as a full disk is none."""

    async def play() -> None:
        async with served(server.url(schema=schema)) as (tidings, node):
            server.run(f"ALTER TABLE {schema}.messages RENAME TO away")
            async with asyncpg_connection(server.url()) as connection:
                for text in ("one", "two"):
                    await tidings.send("alice", "bob", text, connection=connection)
            await asyncio.to_thread(wait_for, lambda: "the outbox cannot be read" in caplog.text)
            server.run(f"ALTER TABLE {schema}.away RENAME TO messages")
            assert ["one", "two"] == await arrived(node, 2)
            assert [] == refusals(server, schema)

    asyncio.run(play())


def test_a_node_that_stops_in_the_middle_of_a_move_tells_the_readers_on_another_one(
    server: Postgres, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They do not wait for a sweep: the move is done, and told, before the node takes leave."""
    monkeypatch.setattr(hub, "SWEEP_INTERVAL_S", 1e6)
    lock = f"hashtext('{schema}')"

    async def play() -> None:
        url = server.url(schema=schema)
        async with served(url) as (_, second):
            async with served(url) as (tidings, first):
                await asyncio.to_thread(wait_for, lambda: neighbours(first) == neighbours(second) == 1)
                held = second.hub.hold(BOB)
                held.join_at(0)
                before_each_message(
                    server, schema, f"set_config('lock_timeout', '0', true), pg_advisory_xact_lock({lock})"
                )
                second._moving.cancel()  # type: ignore[union-attr]  # so that it is the first node that moves
                holder = await asyncpg.connect(server.url())
                await holder.execute(f"SELECT pg_advisory_lock({lock})")
                async with asyncpg_connection(server.url()) as connection:
                    await tidings.send("alice", "bob", "hi", connection=connection)
                waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                await asyncio.to_thread(wait_for, lambda: server.run(waits) == "1")
                stopping = asyncio.create_task(first.stop())
                await asyncio.to_thread(wait_for, lambda: first._moving.cancelling())  # type: ignore[union-attr]
                await holder.close()
                await stopping
            await held.wait_beyond(0, PATIENCE_S)
            assert 1 == held.tail

    asyncio.run(play())


def before_each_message(server: Postgres, schema: str, done: str) -> None:
    """Have the database do something before it stores a message, by a trigger that is called wait."""
    server.run(
        f"CREATE FUNCTION {schema}.wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM {done}; RETURN NEW;"
        f" END $$; CREATE TRIGGER wait BEFORE INSERT ON {schema}.messages FOR EACH ROW EXECUTE FUNCTION {schema}.wait()"
    )


def neighbours(node: Node) -> int:
    """How many other nodes it knows."""
    lines = node.metrics.render("")[0].decode().splitlines()
    return next(int(float(line.split()[1])) for line in lines if line.startswith("tidings_bus_neighbours "))


@pytest.mark.parametrize("options", [{}, {"bouncer": "1"}])
def test_messages_are_moved_on_after_the_connections_were_ended(
    server: Postgres, schema: str, options: dict[str, str]
) -> None:
    """Also where no notification comes, as behind a pooler: a node looks each second."""

    async def play() -> None:
        async with served(server.url(schema=schema, **options)) as (tidings, node):
            async with asyncpg_connection(server.url()) as connection:
                await tidings.send("alice", "bob", "before", connection=connection)
            assert ["before"] == await arrived(node, 1)
            server.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                f" AND (query LIKE '%{schema}%')"
            )
            async with asyncpg_connection(server.url()) as connection:
                await tidings.send("alice", "bob", "after", connection=connection)
            assert ["before", "after"] == await arrived(node, 2)

    asyncio.run(play())


# Upkeep


def test_an_erased_person_waits_in_no_outbox_and_is_kept_in_none(server: Postgres, schema: str) -> None:
    """Whichever side of a message they are, also somebody who never had a log. An export has what is in their name."""
    url = server.url(schema=schema)
    upkeep = open_maintenance(url)
    upkeep.migrate()
    server.run(
        f"SELECT {schema}.enqueue('alice', 'bob', 'waits', client_id => 'k1'), {schema}.enqueue('bob', 'alice', 'to'),"
        f" {schema}.enqueue('bob', 'carol', 'stays'); INSERT INTO {schema}.refused SELECT 900 + id, 5, 'is_blocked',"
        f" queued_ms, sender, recipient, type, body, client_id FROM {schema}.outbox"
    )
    with upkeep.snapshot() as snapshot:
        lines = [line["data"] for line in export(snapshot, ALICE) if line["type"] == "unsent"]
    assert [None, "is_blocked"] == [line["why"] for line in lines]
    assert [("bob", "waits", "text", "k1")] * 2 == [
        (line["user_id"], line["text"], line["type"], line["client_id"]) for line in lines
    ]
    assert upkeep.erase(ALICE).was_known
    for table in ("outbox", "refused"):
        assert "stays" == server.run(f"SELECT body FROM {schema}.{table}")
    assert not upkeep.erase(ALICE).was_known


def test_refused_messages_are_kept_for_a_time_and_only_so_many(
    server: Postgres, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest go first, when others come and by themselves."""
    monkeypatch.setattr(mover, "REFUSED_MAX", 3)

    async def play() -> None:
        url = server.url(schema=schema)
        await asyncio.to_thread(open_maintenance(url).migrate)
        server.run(
            f"INSERT INTO {schema}.refused SELECT -n, {schema}.now_ms_1() - n * 24 * 3600000::bigint, 'x', 0, 'a', 'b',"
            " 'text', n::text, 'k' FROM (VALUES (29), (31)) v(n)"
        )
        async with served(url):
            await asyncio.to_thread(wait_for, lambda: ["x a b 29"] == refusals(server, schema))
            with psycopg.connect(server.url()) as connection:
                for number in range(4):
                    connection.execute(f"SELECT {schema}.enqueue('alice', 'bob', '{number}', 'invoice')")
            await asyncio.to_thread(wait_for, lambda: 3 == len(refusals(server, schema)))
            assert ["1", "2", "3"] == [line.split()[-1] for line in refusals(server, schema)]

    asyncio.run(play())


def test_a_schema_of_before_has_an_outbox_after_its_migration(server: Postgres, schema: str) -> None:
    """Nodes of before go on beside it: nothing was taken away. Commands work on it as it was, too."""
    url = server.url(schema=schema)
    first = (files("tidings.server.store.postgres") / "migrations" / "0001_start.sql").read_text("utf-8")
    server.run(f"CREATE SCHEMA {schema};" + first.replace("TIDINGS.", f'"{schema}".'))
    upkeep = open_maintenance(url)
    assert Erased(False, 0, 0, None) == upkeep.erase(ALICE)
    with upkeep.snapshot() as snapshot:
        assert [] == list(export(snapshot, ALICE))
    assert 1 == upkeep.migrate().found
    assert "1" == server.run(f"SELECT readable_by FROM {schema}.meta")
    assert "0 0" == server.run(
        f"SELECT (SELECT count(*) FROM {schema}.outbox) || ' ' || count(*) FROM {schema}.refused"
    )


# The page


PAGE = Path(__file__).parents[2] / "docs" / "embed" / "transaction.md"
PAGES_ADDRESS = "postgresql://shop@127.0.0.1/shop"
IN_DJANGO = """
import os, sys, types, urllib.parse
import django
from django.conf import settings

parts = urllib.parse.urlsplit(os.environ["DATABASE_URL"])
database = {"NAME": parts.path[1:], "USER": parts.username, "HOST": parts.hostname, "PORT": parts.port}
settings.configure(DATABASES={"default": {**database, "ENGINE": "django.db.backends.postgresql"}})
django.setup()
shown = {}
exec(sys.argv[1], shown)
shown["paid"](types.SimpleNamespace(user=types.SimpleNamespace(pk="ada")), 2)
shown["messages"].send_now("shop", "ada", "By its alias.", connection="default")
try:
    shown["messages"].send_now("shop", "ada", "no", connection="other")
except TypeError as told:
    assert "Django has no database 'other'" in str(told), told
else:
    raise AssertionError
"""


def test_the_page_about_transactions_works_as_it_stands(server: Postgres, tmp_path: Path) -> None:
    """Its applications, its trigger, its grants, and its way to send once more what was refused."""
    page = PAGE.read_text("utf-8")
    of_fastapi, of_django = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    trigger, grants, again = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    database = server.url().rpartition("/")[0] + f"/page_{os.getpid()}"
    server.run(f"CREATE DATABASE page_{os.getpid()}")
    server.run("DO $$ BEGIN CREATE ROLE shop; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    (tmp_path / "page.py").write_text(of_fastapi, encoding="utf-8")
    application = Page(tmp_path, "page:app", source=tmp_path)
    application.database_url = database
    with psycopg.connect(database, autocommit=True) as connection, application as host:
        connection.execute(
            "CREATE TABLE payments(number int); CREATE TABLE orders(number int, customer text, paid bool)"
        )
        connection.execute("INSERT INTO orders VALUES (3, 'ada', false)")
        answer = host.http.post(f"{host.url}/orders/1/paid?customer=ada")
        assert 36 == len(answer.json()["client_id"]), answer.text
        done = subprocess.run(
            [sys.executable, "-c", IN_DJANGO, of_django.replace(PAGES_ADDRESS, database)],
            env={**os.environ, "DATABASE_URL": database}, capture_output=True, text=True,
        )  # fmt: skip
        assert 0 == done.returncode, done.stderr
        for snippet in (trigger, grants):
            connection.execute(snippet)
        connection.execute("UPDATE orders SET paid = true")
        connection.execute("SELECT tidings.enqueue('shop', 'ada', 'A bill.', 'invoice')")
        wait_for(lambda: connection.execute("SELECT 1 FROM tidings.refused").fetchone())
        assert 1 == len(connection.execute(again).fetchall())
        ada = CookieHolder(host, "ada", None)
        expected = ["Order 1 is paid.", "Order 2 is paid.", "By its alias.", "Order 3 is paid."]
        wait_for(lambda: len(ada.history("shop")["messages"]) == len(expected))
        assert expected == [message["text"] for message in ada.history("shop")["messages"]]
        numbers = connection.execute("SELECT number FROM payments ORDER BY 1").fetchall()
        assert [(1,), (2,)] == numbers


class CookieHolder(Person):
    """Somebody whom the page's application knows by a cookie."""

    @property
    def headers(self) -> dict[str, str]:
        return {"Cookie": f"user={self.id}"}


class Page(Host):
    """The application of the page."""

    database_url = ""

    def environment(self) -> dict[str, str]:
        return super().environment() | {"DATABASE_URL": self.database_url}
