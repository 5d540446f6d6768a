"""Every state of PostgreSQL that refuses a connection is a sentence that says what to do, and has an exit code.

The server is a real one, brought into each of these states. docs/run/cli.md has the codes: 2 is of a setting, 3 of a
database that is away for now (1 where ``serve`` is told so).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from lab.postgres import Postgres
from lab.process import wait_for
from tidings.cli import main
from tidings.errors import ConfigurationError, DatabaseAway, TidingsError
from tidings.protocol.user_id import UserId
from tidings.server.store.export import export
from tidings.server.store.open import open_maintenance, open_store
from tidings.server.store.postgres import driver
from tidings.server.store.postgres.address import read_address
from tidings.server.store.postgres.sentences import refusal

PASSWORD = "not-for-any-log"
COMMANDS = [
    ["migrate"],
    ["migrate", "--check"],
    ["epoch"],
    ["epoch", "--bump"],
    ["backup", "copy"],
    ["restore", "copy"],
    ["export", "--user", "ada"],
    ["erase", "--user", "ada"],
    ["retention"],
]
STATES = """
    CREATE ROLE plain LOGIN; CREATE ROLE zero LOGIN CONNECTION LIMIT 0; CREATE ROLE one LOGIN CONNECTION LIMIT 1;
    GRANT CREATE ON DATABASE postgres TO one;
    CREATE ROLE no_login; CREATE ROLE proven LOGIN PASSWORD 'another'; CREATE ROLE rejected LOGIN;
    CREATE ROLE elsewhere LOGIN;
    CREATE DATABASE narrow CONNECTION LIMIT 0; CREATE DATABASE closed ALLOW_CONNECTIONS false; CREATE DATABASE private;
    REVOKE CONNECT ON DATABASE private FROM PUBLIC"""
HBA = """
host all postgres,plain,zero,one,no_login,absent 127.0.0.1/32 trust
host all proven 127.0.0.1/32 scram-sha-256
host all rejected 127.0.0.1/32 reject
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """Eight connections, three of them for the administrator."""
    made = Postgres(max_connections="8", superuser_reserved_connections="3", max_wal_senders="0")
    (Path(made.data) / "pg_hba.conf").write_text(HBA)
    made.start()
    for statement in STATES.split(";"):  # a database is not made beside anything else
        made.run(statement)
    yield made
    made.remove()


def url(server: Postgres, role: str, database: str = "postgres") -> str:
    return f"postgresql://{role}:{PASSWORD}@127.0.0.1:{server.port}/{database}"


def refused(of: str) -> TidingsError:
    """The sentence of a node for this database, which is that of a command."""
    sentences = []
    for start in (lambda: asyncio.run(open_store(of, lambda _: None).start()), lambda: open_maintenance(of).schema()):
        with pytest.raises(TidingsError) as caught:
            start()
        sentences.append(str(caught.value))
        assert [] == [part for part in (PASSWORD, "\n", "('", ".;") if part in sentences[-1]], sentences[-1]
    assert sentences[0] == sentences[1]
    return caught.value


@pytest.mark.parametrize(
    ("role", "database", "kind", "words"),
    [
        ("zero", "postgres", DatabaseAway, "the user of the URL no more connections: raise the limit, ALTER ROLE"),
        ("plain", "narrow", DatabaseAway, "gives this database no more connections: raise the limit, ALTER DATABASE"),
        ("plain", "closed", DatabaseAway, "ALTER DATABASE the database ALLOW_CONNECTIONS true"),
        ("plain", "private", ConfigurationError, "GRANT CONNECT ON DATABASE the database TO the user"),
        ("plain", "absent", ConfigurationError, "there is no database of this name; make it with: createdb"),
        ("absent", "postgres", ConfigurationError, 'refuses this user: role "absent" does not exist'),
        ("no_login", "postgres", ConfigurationError, 'refuses this user: role "no_login" is not permitted to log in'),
        ("proven", "postgres", ConfigurationError, "refuses this user, or the password is wrong"),
        ("rejected", "postgres", ConfigurationError, "a line in the server's pg_hba.conf does"),
        ("elsewhere", "postgres", ConfigurationError, "a line in the server's pg_hba.conf does"),
    ],
)
def test_a_refusal_of_a_connection_says_what_to_do(
    server: Postgres, role: str, database: str, kind: type[TidingsError], words: str
) -> None:
    """A database is away where that may pass by itself, and all else is a wrong setting."""
    sentence = refused(url(server, role, database))
    assert words in str(sentence)
    assert kind is type(sentence)


def test_a_limit_that_is_lower_than_a_node_needs_is_said_as_that(server: Postgres) -> None:
    """The first connection is there, and the next one is not. It says how many a node wants; so does a copy by
    PostgreSQL's own tool that gets none, with its words.
    """
    of = url(server, "one")
    with pytest.raises(DatabaseAway, match=r"ALTER ROLE the user CONNECTION LIMIT n; a node wants 7$"):
        asyncio.run(open_store(of, lambda _: None).start())
    wait_for(lambda: "0" == server.run("SELECT count(*) FROM pg_stat_activity WHERE usename = 'one'"))
    with pytest.raises(DatabaseAway, match=r"is away for pg_dump: .*too many connections for role"):
        open_maintenance(of).backup(str(server.directory / "copy"))


def test_a_server_whose_connections_are_all_in_use_says_so(server: Postgres) -> None:
    """Of everybody, and of those that are not kept for the administrator."""

    async def hold(role: str, count: int) -> None:
        held = [await asyncpg.connect(url(server, role)) for _ in range(count)]
        try:
            await asyncio.to_thread(says_so)
        finally:
            for each in held:
                await each.close()

    def says_so() -> None:
        sentence = refused(url(server, "plain"))
        assert DatabaseAway is type(sentence)
        assert str(sentence).endswith("raise max_connections, or let fewer programs connect; a node wants 7")

    asyncio.run(hold("plain", 5))
    asyncio.run(hold("postgres", 8))


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """A port at which somebody listens who says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def away(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, of: str, words: str) -> None:
    """Every command that wants this database ends with 3 and one sentence."""
    monkeypatch.setenv("TIDINGS_DB", of)
    for command in COMMANDS:
        assert 3 == main(command), command
        out, sentence = capsys.readouterr()
        assert ("", 1) == (out, sentence.count("\n")), sentence
        assert words in sentence, (command, sentence)
        assert [] == [part for part in (PASSWORD, "('", "Traceback") if part in sentence]


def test_every_command_ends_with_3_where_the_database_is_away(
    server: Postgres, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens, at a port or a socket; it stands still; it has no connection left."""
    monkeypatch.setattr(driver, "CONNECT_WAIT_MAX_S", 0.1)
    with silent() as port:
        away(capsys, monkeypatch, f"postgresql://u:{PASSWORD}@127.0.0.1:{port}/d", "does not answer in time")
    monkeypatch.undo()
    away(capsys, monkeypatch, f"postgresql://u:{PASSWORD}@127.0.0.1:9/d", "cannot be reached: Connection refused")
    away(capsys, monkeypatch, "postgresql:///d?host=/nowhere", "cannot be reached: No such file or directory")
    away(capsys, monkeypatch, url(server, "zero"), "no more connections")


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (socket.gaierror(-2, "Name or service not known"), "cannot be reached: Name or service not known"),
        (OSError("Multiple exceptions: [Errno 111] ('::1', 5432), ..."), "cannot be reached: no address of it answers"),
        (EOFError(), "cannot be reached: the connection was lost"),
        (asyncpg.ConnectionDoesNotExistError("closed in the middle"), "cannot be reached: the connection was lost"),
        (asyncpg.TooManyConnectionsError("trop de connexions"), "has no connection left: raise max_connections"),
        (asyncpg.CannotConnectNowError("en redémarrage"), "takes no connections: en redémarrage"),
    ],
)
def test_a_sentence_hangs_on_no_language_and_shows_no_tuple(failure: Exception, words: str) -> None:
    """Names that are not known, several addresses of which none answers, a server that speaks French."""
    sentence = refusal(read_address("postgresql://u@db.example.org/d"), failure)
    assert str(sentence).startswith("db (TIDINGS_DB): postgresql://db.example.org/d ")
    assert words in str(sentence)
    assert DatabaseAway is type(sentence)


def test_a_database_that_goes_away_under_a_command_is_away(server: Postgres) -> None:
    """An export that has begun: what it printed is whole lines, and the exit code is that of a database away."""
    maintenance = open_maintenance(url(server, "postgres"))
    maintenance.migrate()

    def export_cut_off() -> None:
        with maintenance.snapshot() as snapshot:
            server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tidings'")
            list(export(snapshot, UserId("ada")))

    with pytest.raises(DatabaseAway, match=r"ended the connection|the connection was lost"):
        export_cut_off()


def test_a_server_that_is_stopping_says_so_to_everybody(
    server: Postgres, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for those that are connected, and takes no others; one that starts or recovers refuses in the same way.
    The last test of this file: the server is gone afterwards.
    """

    async def play() -> None:
        held = await asyncpg.connect(url(server, "postgres"))
        os.kill(server.pid, signal.SIGTERM)
        end = time.monotonic() + 10
        while True:  # until it has heard
            try:
                await (await asyncpg.connect(url(server, "postgres"))).close()
            except asyncpg.CannotConnectNowError:
                break
            assert time.monotonic() < end
        words = "is starting, stopping or recovering, and takes no connections: the database system is shutting down"
        await asyncio.to_thread(away, capsys, monkeypatch, url(server, "plain"), words)
        held.terminate()

    asyncio.run(play())
