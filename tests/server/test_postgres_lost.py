"""A database that goes, refuses, or waits: each write is stored, once, or answered 503; nothing is a defect in the log.

The file has a server of its own, which its tests restart, and a user of its own, which has no more than a schema needs
(docs/run/postgresql.md) and which an operator gives settings that would harm.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest

from lab.node import Node, refused
from lab.postgres import Postgres
from lab.process import PATIENCE_S, wait_for
from tidings.errors import Unavailable
from tidings.protocol.shapes import Message
from tidings.protocol.user_id import UserId
from tidings.server.store import Appended, NewMessage, Store
from tidings.server.store.open import open_maintenance, open_store
from tidings.server.store.postgres import writer

USER, SCHEMA = "plain", "ours"
TEXT = "a text that is for no log"
ADA, BEN = UserId("ada"), UserId("ben")

_number = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server that some tests restart, and its user with the least rights."""
    made = Postgres()
    made.start()
    made.run(f"CREATE ROLE {USER} LOGIN; CREATE SCHEMA {SCHEMA}; GRANT USAGE, CREATE ON SCHEMA {SCHEMA} TO {USER}")
    yield made
    made.remove()


@pytest.fixture(scope="module")
def url(server: Postgres) -> str:
    """Its database, with the schema of ours in it, as the user."""
    url = server.url(schema=SCHEMA).replace("postgres@", f"{USER}@")
    open_maintenance(url).migrate()
    return url


@pytest.fixture(scope="module")
def node(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node of that user, which takes every send of the tests."""
    limits: dict[str, Any] = {"sends_per_s": 10_000, "sends_burst": 10_000}
    with Node(tmp_path_factory.mktemp("node"), db=url, **limits) as node:
        yield node


def ours(server: Postgres) -> list[str]:
    """The processes of the server that serve the user's connections."""
    return server.run(f"SELECT pid FROM pg_stat_activity WHERE usename = '{USER}'").split()


# What passes by itself


def each_connection_ended(server: Postgres) -> None:
    """One after the other."""
    for process in ours(server):
        server.run(f"SELECT pg_terminate_backend({process})")


def all_connections_ended(server: Postgres) -> None:
    server.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{USER}'")


def each_statement_cancelled(server: Postgres) -> None:
    """As by an operator who means another."""
    for _ in range(5):
        server.run(f"SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = '{USER}'")


def stopped_fast_and_started(server: Postgres) -> None:
    server.end()
    server.start()


def crashed_and_started(server: Postgres) -> None:
    assert server.process is not None
    server.process.send_signal(signal.SIGQUIT)
    server.process.wait()
    server.start()


def one_process_crashed(server: Postgres) -> None:
    """The server ends all others and recovers."""
    server.run(f"SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE usename = '{USER}' LIMIT 1")
    (process, *_) = wait_for(lambda: ours(server))
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(process), signal.SIGKILL)
    wait_for(server.serves)


PASSING = [
    each_connection_ended,
    all_connections_ended,
    each_statement_cancelled,
    stopped_fast_and_started,
    crashed_and_started,
    one_process_crashed,
]


@pytest.mark.parametrize("broken", PASSING, ids=lambda broken: broken.__name__)
def test_nothing_is_lost_or_doubled_while_the_database_is_broken(
    server: Postgres, node: Node, broken: Callable[[Postgres], None]
) -> None:
    """Ada repeats what is refused, under its client_id; Ben's stream stays open and has each message once, in order."""
    number = next(_number)
    ada, ben = node.person(f"ada-{number}"), node.person(f"ben-{number}")
    is_over = threading.Event()
    refusals: list[httpx2.Response] = []

    def send() -> int:
        for sent in itertools.count(1):
            body = {"recipientId": ben.id, "text": TEXT, "client_id": f"{sent}"}
            end_at = sent if is_over.is_set() else None
            while (answer := ada.posts("/send", body)).status_code != 201:
                refused(answer, 503, "unavailable")
                refusals.append(answer)
            if end_at is not None:
                return end_at
        raise AssertionError

    with ben.opens_stream().live() as stream, ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send)
        stream.until("new_message")
        try:
            broken(server)
        finally:
            is_over.set()
        sent = sending.result()
        assert list(range(2, sent + 1)) == [stream.until("new_message").data["seq"] for _ in range(sent - 1)]
    assert sent == ada.history(ben)["messages"][-1]["seq"]
    assert "Traceback" not in node.output
    assert TEXT not in node.output


# What is refused


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    store = open_store(url, lambda _: None)
    await store.start()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that soon gives up a database that is away."""
    monkeypatch.setattr(writer, "REACH_WAIT_MAX_S", 0.3)


async def stored(store: Store, message: NewMessage) -> Appended:
    """The answer to one who repeats what was refused."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with contextlib.suppress(Unavailable):
                return await store.append(message)
            await asyncio.sleep(0.01)


def new(client_id: str) -> NewMessage:
    return NewMessage(ADA, BEN, TEXT, "text", client_id, None)


async def has_once(store: Store, *client_ids: str) -> None:
    """The log of the sender has these, in this order, and each once."""
    log = await store.read_after(ADA, 0, 1000)
    found = [event.data.client_id for event in log if isinstance(event.data, Message)]
    assert list(client_ids) == [each for each in found if each in client_ids]


def is_quiet(caplog: pytest.LogCaptureFixture, lines_max: int) -> None:
    """No defect, no text, and no line for each try."""
    ours = [record for record in caplog.records if record.name.startswith("tidings")]
    assert [] == [record.getMessage() for record in ours if record.exc_info]
    assert TEXT not in caplog.text
    assert len(ours) <= lines_max, caplog.text


REFUSING = {
    "CONNECTION LIMIT 0": "CONNECTION LIMIT -1",
    "NOLOGIN": "LOGIN",
    "SET default_transaction_read_only = on": "RESET default_transaction_read_only",
}


@pytest.mark.parametrize("refusing", REFUSING)
@pytest.mark.usefixtures("impatient")
def test_a_database_that_lets_no_write_in_is_answered_503_and_recovers(
    server: Postgres, url: str, caplog: pytest.LogCaptureFixture, refusing: str
) -> None:
    """No connection is left, the user is locked out, the database only reads: until an operator lets us in again."""

    async def play() -> None:
        async with opened(url) as store:
            first, second = f"{refusing} 1", f"{refusing} 2"
            await stored(store, new(first))
            server.run(f"ALTER ROLE {USER} {refusing}")
            try:
                all_connections_ended(server)
                with pytest.raises(Unavailable) as caught:
                    await store.append(new(second))
                assert caught.value.retry_after_s
                with pytest.raises(Unavailable):
                    await store.append(new(second))
            finally:
                server.run(f"ALTER ROLE {USER} {REFUSING[refusing]}")
            all_connections_ended(server)
            assert (await stored(store, new(second))).is_new
            await has_once(store, first, second)

    asyncio.run(play())
    is_quiet(caplog, lines_max=8)


# Of each class that says something else: resources, operator, system, a defect, the state, a value, a right, a trigger.
FAILING = [
    "53100",
    "53200",
    "53300",
    "57014",
    "57P01",
    "58030",
    "XX001",
    "XX000",
    "25006",
    "22021",
    "23514",
    "42501",
    "P0001",
]
PASSING_BY = ["40001", "40P01", "55P03", "23505"]


def fails_with(server: Postgres, code: str | None) -> None:
    """From now on each message that is written fails, after it was written; or not any more."""
    server.run(f"DROP TRIGGER IF EXISTS fails ON {SCHEMA}.messages")
    if code is not None:
        server.run(
            f"CREATE OR REPLACE FUNCTION public.fails() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE EXCEPTION 'made up' USING ERRCODE = '{code}', DETAIL = NEW.body; END $$;"
            f" CREATE TRIGGER fails AFTER INSERT ON {SCHEMA}.messages FOR EACH ROW EXECUTE FUNCTION public.fails()"
        )


@pytest.mark.usefixtures("impatient")
def test_every_failure_that_a_database_may_say_is_answered_503_and_leaves_nothing(
    server: Postgres, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk, a cancelled statement, a crash, a defect of its files, a trigger of somebody else: one kind of
    answer; of a text nothing in the log."""

    async def play() -> None:
        async with opened(url) as store:
            for code in FAILING:
                await stored(store, new(f"{code} before"))
                fails_with(server, code)
                outcomes = await asyncio.gather(
                    *(store.append(new(f"{code} {nth}")) for nth in range(3)), return_exceptions=True
                )
                assert [True] * 3 == [isinstance(each, Unavailable) for each in outcomes], (code, outcomes)
                fails_with(server, None)
                for nth in range(3):
                    assert (await stored(store, new(f"{code} {nth}"))).is_new, code
                await has_once(store, *(f"{code} {nth}" for nth in ("before", 0, 1, 2)))

    asyncio.run(play())
    is_quiet(caplog, lines_max=6 * len(FAILING))


@pytest.mark.parametrize("code", PASSING_BY)
@pytest.mark.usefixtures("impatient")
def test_what_is_known_as_not_kept_is_tried_again(
    server: Postgres, url: str, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    """A deadlock with somebody, a lock: nobody is told of it, if it passes in time."""

    async def play() -> None:
        async with opened(url) as store:
            await stored(store, new(f"{code} 1"))
            fails_with(server, code)
            waiting = asyncio.ensure_future(store.append(new(f"{code} 2")))
            done, _ = await asyncio.wait([waiting], timeout=0.1)
            assert set() == done
            await asyncio.to_thread(fails_with, server, None)
            assert (await waiting).is_new
            await has_once(store, f"{code} 1", f"{code} 2")

    try:
        asyncio.run(play())
    finally:
        fails_with(server, None)
    is_quiet(caplog, lines_max=2)


@pytest.mark.parametrize("table", ["users", "members", "messages", "feed", "meta", "nodes"])
@pytest.mark.usefixtures("impatient")
def test_a_table_that_somebody_holds_delays_or_refuses_and_harms_nothing(
    server: Postgres, url: str, caplog: pytest.LogCaptureFixture, table: str
) -> None:
    """An ALTER TABLE, a VACUUM FULL: what waits is stored when it is over, or was refused and comes again."""

    async def play() -> None:
        async with opened(url) as store:
            await stored(store, new(f"{table} 1"))
            holder = await asyncpg.connect(server.url())
            try:
                await holder.execute(f"BEGIN; LOCK TABLE {SCHEMA}.{table} IN ACCESS EXCLUSIVE MODE")
                sending = asyncio.ensure_future(stored(store, new(f"{table} 2")))
                await asyncio.wait([sending], timeout=0.5)
                await holder.execute("COMMIT")
                assert (await sending).message.client_id == f"{table} 2"
                await has_once(store, f"{table} 1", f"{table} 2")
                await store.check()
            finally:
                await holder.close()

    asyncio.run(play())
    is_quiet(caplog, lines_max=6)


# Settings of somebody else

HARMFUL = {
    "statement_timeout": "60s",
    "lock_timeout": "61s",
    "idle_in_transaction_session_timeout": "62s",
    "default_transaction_isolation": "serializable",
    "client_min_messages": "error",
    "synchronous_commit": "off",
    "search_path": "",
    "standard_conforming_strings": "off",
    "array_nulls": "off",
    "row_security": "off",
    "timezone": "Asia/Kathmandu",
    "datestyle": "SQL, DMY",
    "bytea_output": "escape",
    "enable_indexscan": "off",
    "jit": "on",
}
OURS = {
    "statement_timeout": "8s",
    "lock_timeout": "200ms",
    "idle_in_transaction_session_timeout": "10s",
    "transaction_isolation": "read committed",
    "client_min_messages": "notice",
    "synchronous_commit": "on",
    "jit": "off",
}


@pytest.mark.parametrize("mode", ["0", "1"], ids=["alone", "as-behind-a-pooler"])
def test_settings_of_the_user_and_the_database_change_nothing(
    server: Postgres, url: str, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    """Timeouts, isolation, durability, the level of messages: a node says what its rules lean on, for each write."""
    caplog.set_level(logging.INFO)
    names = ", ".join(f"'{name}', current_setting('{name}')" for name in OURS)
    server.run(
        "CREATE TABLE public.kept(how json); GRANT INSERT ON public.kept TO PUBLIC;"
        "CREATE FUNCTION public.keeps() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN INSERT INTO public.kept VALUES (json_build_object({names})); RETURN NEW; END $$;"
        f"CREATE TRIGGER keeps AFTER INSERT ON {SCHEMA}.messages FOR EACH ROW EXECUTE FUNCTION public.keeps()"
    )
    harmful = HARMFUL if mode == "1" else {**HARMFUL, "idle_session_timeout": "60ms"}  # a pooler's own matter
    for name, value in harmful.items():
        server.run(f"ALTER ROLE {USER} SET {name} = '{value}'")

    async def play() -> None:
        async with opened(f"{url}&bouncer={mode}") as store, opened(f"{url}&bouncer={mode}") as other:
            for number in range(3):
                await store.append(new(f"{mode} {number}"))
                await other.advance(BEN, ADA, 0, 1)
                assert 1 == len(await other.read_after(BEN, 0, 1))
                await asyncio.sleep(0.1)  # what stands idle would be ended by then
            await has_once(other, *(f"{mode} {number}" for number in range(3)))

    try:
        asyncio.run(play())
        assert [OURS] * 3 == [json.loads(line) for line in server.run("SELECT how FROM public.kept").splitlines()]
    finally:
        server.run(f"ALTER ROLE {USER} RESET ALL; DROP FUNCTION public.keeps CASCADE; DROP TABLE public.kept")
    is_quiet(caplog, lines_max=0)


@pytest.mark.parametrize("mode", ["0", "1"], ids=["alone", "as-behind-a-pooler"])
@pytest.mark.usefixtures("impatient")
def test_a_commit_that_did_not_wait_for_its_standby_is_not_acknowledged(server: Postgres, url: str, mode: str) -> None:
    """A cancelled wait is answered as success with a warning, which no level of messages hides."""

    def waits_for(standby: str) -> None:
        server.run(f"ALTER SYSTEM SET synchronous_standby_names = '{standby}'")
        server.run("SELECT pg_reload_conf()")

    async def cancelled(store: Store) -> bool:
        """Whether a write waited for the standby, which takes a moment to be wished for; its wait was cancelled."""
        number = next(_number)
        writing = asyncio.ensure_future(store.append(new(f"{number}")))
        while not writing.done():
            cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            if await asyncio.to_thread(server.run, cancel):
                with pytest.raises(Unavailable):
                    await writing
                waits_for("")
                assert not (await stored(store, new(f"{number}"))).is_new
                return True
        await writing
        return False

    async def play() -> None:
        async with opened(f"{url}&bouncer={mode}") as store, asyncio.timeout(PATIENCE_S):
            waits_for("nobody")
            while not await cancelled(store):
                pass

    server.run(f"ALTER ROLE {USER} SET client_min_messages = error")
    try:
        asyncio.run(play())
    finally:
        waits_for("")  # before anything else is committed
        server.run(f"ALTER ROLE {USER} RESET ALL")


# The password


class ToldByTheEnvironment(Node):
    """A node whose database only its environment names, as documented for a URL with a password."""

    def command(self) -> list[str]:
        words = super().command()
        at = words.index("--db")
        return [*words[:at], *words[at + 2 :]]


def test_the_password_is_in_nothing_that_anybody_reads(server: Postgres, tmp_path: Path) -> None:
    """Log of the most detail, pages for operators, arguments, refusals; also when the database goes and comes."""
    password = "not-for-any-log"
    server.run(f"CREATE ROLE guarded LOGIN PASSWORD '{password}'; CREATE SCHEMA guarded AUTHORIZATION guarded")
    rules = "host all guarded 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"
    (server.directory / "data" / "pg_hba.conf").write_text(rules)
    server.run("SELECT pg_reload_conf()")
    url = f"postgresql://guarded:{password}@127.0.0.1:{server.port}/postgres?schema=guarded"
    node = ToldByTheEnvironment(tmp_path, db=url, log_level="debug")
    node.variables = {"TIDINGS_DB": url}
    with node:
        ada = node.person("ada")
        ada.sends("ben", "hi")
        read = [Path(f"/proc/{node.pid}/cmdline").read_text()]
        server.run("ALTER ROLE guarded CONNECTION LIMIT 0")
        server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'guarded'")
        wait_for(lambda: "cannot be used" in node.output or ada.gets("/inbox/me").status_code == 503)
        read += [
            ada.gets("/inbox/me").text,
            *(node.http.get(f"{node.url}{path}").text for path in ("/readyz", "/metrics")),
        ]
        server.run("ALTER ROLE guarded CONNECTION LIMIT -1")
        wait_for(lambda: ada.gets("/inbox/me").status_code == 200)
        read += [node.output, server.run("SELECT json_agg(each) FROM pg_stat_activity each"), server.output]
    assert [] == [text for text in read if password in text]
