"""The particulars of the PostgreSQL store: its URL, refusals of a start, locks of others, unknown outcomes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import asyncpg
import pytest

from lab import postgres
from lab.node import Node as Program
from lab.node import Person, Stream
from lab.postgres import Postgres
from lab.process import PATIENCE_S, wait_for
from lab.proxy import Proxy
from tidings.errors import ConfigurationError, DatabaseTooNew, NotNow, Problem, TooManyRequests, Unavailable
from tidings.protocol.cursor import Cursor
from tidings.protocol.shapes import Message
from tidings.protocol.user_id import UserId
from tidings.server.config import Config
from tidings.server.live import hub
from tidings.server.node import Node
from tidings.server.store import Appended, Committed, NewMessage, Store
from tidings.server.store.open import open_maintenance, open_store

ALICE, BOB, CAROL = UserId("alice"), UserId("bob"), UserId("carol")
PASSWORD = "not-for-any-log"

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Postgres:
    """The server of this run; each test has a schema of its own in it."""
    return postgres.shared()


@pytest.fixture
def schema() -> str:
    return f"p_{os.getpid()}_{next(_numbers)}"


def new(text: str, client_id: str | None = None, sender: UserId = ALICE, recipient: UserId = BOB) -> NewMessage:
    return NewMessage(sender, recipient, text, "text", client_id, None)


@contextlib.asynccontextmanager
async def opened(url: str, committed: list[Committed] | None = None) -> AsyncIterator[Store]:
    store = open_store(url, (committed if committed is not None else []).extend)
    await store.start()
    try:
        yield store
    finally:
        await store.close()


def refused(url: str, kind: type[Exception], *words: str) -> None:
    """Starting ends with one sentence, which has these words and no secret."""
    for start in (lambda: asyncio.run(open_store(url, lambda _: None).start()), lambda: open_maintenance(url).schema()):
        with pytest.raises(kind) as caught:
            start()
        sentence = str(caught.value)
        assert [] == [word for word in words if word not in sentence], sentence
        assert PASSWORD not in sentence
        assert "\n" not in sentence


# The URL


@pytest.mark.parametrize(
    ("rest", "word"),
    [
        (f"postgresql://u:{PASSWORD}@[::1/database", "cannot be read"),
        (f"postgresql://u:{PASSWORD}/x@host/database", "%40"),
        (f"postgresql://u:{PASSWORD}#x@host/database", "%40"),
        (f"postgresql://u:{PASSWORD}@host/d?schema=pg_x", "schema"),
        (f"postgresql://u:{PASSWORD}@host/d?schema=A%22b", "schema"),
        (f"postgresql://u:{PASSWORD}@host/d?bouncer=yes", "bouncer"),
        (f"postgresql://u:{PASSWORD}@host/d?password", "cannot be read"),
        (f"postgresql://u:{PASSWORD}@127.0.0.1:port/d", "cannot be read"),
    ],
)
def test_a_url_that_cannot_be_read_says_so_and_shows_nothing_of_itself(rest: str, word: str) -> None:
    """A password may stand in any part of a URL that is no URL."""
    with pytest.raises(ConfigurationError) as caught:
        asyncio.run(open_store(rest, lambda _: None).start())
    assert "db (TIDINGS_DB)" in str(caught.value)
    assert word in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_a_missing_driver_is_named_with_its_extra() -> None:
    """An operator who installed Tidings alone and names a PostgreSQL database reads what to install."""
    script = (
        "import sys; sys.modules['asyncpg'] = None\n"
        "from tidings.cli import main\n"
        "sys.exit(main(['serve', '--db', 'postgresql://u@127.0.0.1/d']))"
    )
    environment = {**os.environ, "TIDINGS_SECRET": "s" * 32}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert 2 == done.returncode, done.stderr
    assert "pip install 'tidings[postgres]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("shema=chat", "an option shema; did you mean schema? Known are application_name, bouncer, "),
        ("schema=chat&sslmod=require", "an option sslmod; did you mean sslmode?"),
        ("connect_timeout=10", "an option connect_timeout, which only libpq has. Known are "),
        ("search_path=chat", "an option that is not known. Known are "),
        ("search_path=chat", "a setting of the server is written options=-c%20name=value"),
    ],
)
def test_an_option_that_is_not_known_is_told_with_those_that_are(options: str, words: str) -> None:
    """Before anything is asked of the server, which would take it for a setting of its own."""
    with pytest.raises(ConfigurationError) as caught:
        open_store(f"postgresql://u:{PASSWORD}@127.0.0.1:9/d?{options}", lambda _: None)
    assert words in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_a_part_of_a_password_that_is_taken_for_an_option_is_not_shown() -> None:
    """It has a question mark that is not written in percent."""
    with pytest.raises(ConfigurationError) as caught:
        open_store(f"postgresql://u:x?{PASSWORD}=y@127.0.0.1:9/d", lambda _: None)
    assert "an option that is not known" in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_a_setting_of_the_server_is_an_option(server: Postgres, schema: str) -> None:
    """As the sentence says; one that the server does not know is told in its words."""

    async def start(setting: str) -> None:
        async with opened(server.url(schema=schema, options=f"-c%20{setting}=off")):
            pass

    asyncio.run(start("geqo"))
    with pytest.raises(ConfigurationError, match=r"does not take a setting of the URL's options: .*made_up"):
        asyncio.run(start("made_up"))


# What a start refuses


def test_a_server_that_is_not_there_is_not_there_now(schema: str) -> None:
    """It may come: a supervisor starts again."""
    refused(f"postgresql://u:{PASSWORD}@127.0.0.1:9/d?schema={schema}", NotNow, "127.0.0.1:9", "cannot be reached")


def test_a_database_that_does_not_exist_is_named(server: Postgres) -> None:
    """With the command that makes one."""
    refused(f"postgresql://postgres:{PASSWORD}@127.0.0.1:{server.port}/nowhere", ConfigurationError, "createdb")


def test_a_user_without_a_right_reads_which(server: Postgres, schema: str) -> None:
    """The owner of the database grants it; a schema of another's is none of ours."""
    server.run(f"CREATE ROLE {schema} LOGIN")
    url = f"postgresql://{schema}@127.0.0.1:{server.port}/postgres?schema={schema}"
    with pytest.raises(ConfigurationError) as caught:
        asyncio.run(open_store(url, lambda _: None).start())
    assert f"GRANT USAGE, CREATE ON SCHEMA {schema}" in str(caught.value)

    server.run(f"CREATE SCHEMA {schema}; GRANT USAGE, CREATE ON SCHEMA {schema} TO {schema}")

    async def use() -> None:
        async with opened(url) as store:
            assert (await store.append(new("hi"))).is_new

    asyncio.run(use())


def test_a_schema_that_a_newer_tidings_has_changed_for_good_is_refused(server: Postgres, schema: str) -> None:
    """A newer version alone is none: nodes of two versions work side by side while they are replaced."""
    url = server.url(schema=schema)
    open_maintenance(url).migrate()
    server.run(f"UPDATE {schema}.meta SET version = 99")

    async def start() -> None:
        async with opened(url):
            pass

    asyncio.run(start())
    server.run(f"UPDATE {schema}.meta SET readable_by = 99")
    refused(url, DatabaseTooNew, "version 99")


def test_a_database_that_takes_no_writes_is_refused_for_now(server: Postgres, schema: str) -> None:
    """A standby, or a primary that an operator has closed."""
    server.run(f"CREATE ROLE {schema} LOGIN; ALTER ROLE {schema} SET default_transaction_read_only = on")
    url = f"postgresql://{schema}@127.0.0.1:{server.port}/postgres?schema={schema}"
    refused(url, NotNow, "standby", "target_session_attrs=read-write")


def test_a_wrong_password_is_said_by_every_command_in_a_sentence(tmp_path: Path) -> None:
    """Exit code 2, and nothing of the password, nor a traceback."""
    server = Postgres()
    try:
        (server.directory / "data" / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
        server.start()
        url = f"postgresql://postgres:{PASSWORD}@127.0.0.1:{server.port}/postgres"
        refused(url, ConfigurationError, "password is wrong")
        program = str(Path(sys.executable).with_name("tidings"))
        environment = {**os.environ, "TIDINGS_SECRET": "s" * 32, "TIDINGS_DB": url}
        for command in (["serve", "--port", "0"], ["migrate", "--check"], ["erase", "--user", "x"], ["backup", "c"]):
            done = subprocess.run(
                [program, *command], capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=60
            )
            assert (2, "") == (done.returncode, done.stdout), done.stderr
            assert "password is wrong" in done.stderr
            assert PASSWORD not in done.stderr
            assert "Traceback" not in done.stderr
    finally:
        server.remove()


# Several nodes


def test_nodes_that_start_on_nothing_at_once_make_one_schema(server: Postgres, schema: str) -> None:
    """An advisory lock lets one migrate; the others find it done."""

    async def start() -> set[str]:
        stores = [open_store(server.url(schema=schema), lambda _: None) for _ in range(4)]
        await asyncio.gather(*(store.start() for store in stores))
        epochs = {store.epoch for store in stores}
        for store in stores:
            await store.close()
        return epochs

    assert 1 == len(asyncio.run(start()))


def test_what_several_nodes_write_at_once_is_dense_and_once(server: Postgres, schema: str) -> None:
    """Positions and numbers have no hole, no client_id is stored twice, each event is told by one node."""
    rng = random.Random(5)
    people = [UserId(f"u{number}") for number in range(8)]

    async def play() -> None:
        told: list[list[Committed]] = [[] for _ in range(3)]
        async with contextlib.AsyncExitStack() as stack:
            nodes = [await stack.enter_async_context(opened(server.url(schema=schema), each)) for each in told]
            acknowledged: dict[str, list[bool]] = {}

            async def one(number: int) -> None:
                node, (sender, recipient) = rng.choice(nodes), rng.sample(people, 2)
                with contextlib.suppress(Problem):
                    if rng.random() < 0.6:
                        key = f"k{rng.randrange(100)}"
                        appended = await node.append(NewMessage(sender, recipient, key, "text", key, None))
                        acknowledged.setdefault(appended.message.id, []).append(appended.is_new)
                    elif rng.random() < 0.9:
                        await node.advance(sender, recipient, rng.randrange(6), rng.randrange(6))
                    else:
                        await (node.block if number % 2 else node.unblock)(sender, recipient)

            for start in range(0, 300, 30):
                await asyncio.gather(*(one(start + number) for number in range(30)))
            logs = {person: await nodes[0].read_after(person, 0, 10_000) for person in people}
            for log in logs.values():
                assert list(range(1, len(log) + 1)) == [event.position for event in log]
            assert all(1 == answers.count(True) for answers in acknowledged.values())
            stored = {each.data.id for log in logs.values() for each in log if isinstance(each.data, Message)}
            assert stored == acknowledged.keys()
            assert sum(map(len, logs.values())) == sum(map(len, told))

    asyncio.run(play())


def test_the_time_of_a_message_is_the_databases(server: Postgres, schema: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node whose clock is wrong writes no wrong time."""
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 3_600_000_000_000)

    async def send() -> str:
        async with opened(server.url(schema=schema)) as store:
            return (await store.append(new("hi"))).message.createdAt

    sent_ms = int(server.run(f"SELECT (extract(epoch FROM '{asyncio.run(send())}'::timestamptz) * 1000)::bigint"))
    assert abs(sent_ms - real() // 1_000_000) < 600_000


def test_an_event_reaches_the_readers_on_another_node_by_a_hint(
    server: Postgres, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No sweep is needed: for a short text, one that no notification can hold, and a receipt; from both nodes."""
    monkeypatch.setattr(hub, "SWEEP_INTERVAL_S", 1e6)

    async def play() -> None:
        config = Config(db=server.url(schema=schema), secret="s" * 32)
        nodes = Node(config), Node(config)
        for node in nodes:
            await node.start()
        logs = [node.hub.hold(user) for node, user in zip(nodes, (ALICE, BOB), strict=True)]
        for node, log in zip(nodes, logs, strict=True):
            log.join_at((await node.store.start_position(log.user, None)).head)

        async def reached(position: int) -> None:
            async with asyncio.timeout(PATIENCE_S):
                for log in logs:
                    while (log.tail or 0) < position:
                        await log.wait_beyond(position - 1, PATIENCE_S)

        first, second = (node.store for node in nodes)
        for position, text in enumerate(("short", "ä" * 8_000), start=1):
            await first.append(new(text))
            await reached(position)
        await second.append(new("back", sender=BOB, recipient=ALICE))
        await second.advance(BOB, ALICE, 0, 2)
        await reached(4)
        # The bus breaks and comes back: its sweep finds what was committed meanwhile, and hints come again.
        ends_connections(server)
        for position, key in enumerate(("k1", "k2"), start=5):
            await stored(first, new("after", key))
            await reached(position)
        for node in nodes:
            await node.stop()

    asyncio.run(play())


# Locks of others, and outcomes that are not known


def test_a_write_that_the_database_does_not_take_fails_alone_and_no_line_has_its_text(
    server: Postgres, schema: str, caplog: pytest.LogCaptureFixture
) -> None:
    """PostgreSQL describes the row that it refuses, text and all, behind its sentence."""

    async def play() -> None:
        async with opened(server.url(schema=schema)) as store:
            server.run(f"ALTER TABLE {schema}.messages ADD CHECK (body <> 'a secret text')")
            texts = ("one", "a secret text", "two")
            answers = await asyncio.gather(*(store.append(new(text)) for text in texts), return_exceptions=True)
            assert [Appended, Unavailable, Appended] == [type(answer) for answer in answers]

    asyncio.run(play())
    assert [] == [line for line in caplog.messages if "secret" in line]
    assert any("violates check constraint" in line for line in caplog.messages)


def test_a_log_that_somebody_holds_stops_nobody_else(server: Postgres, schema: str) -> None:
    """Its own writes are taken when it is free; all others' go on meanwhile."""

    async def play() -> None:
        async with opened(server.url(schema=schema)) as store:
            await store.append(new("before"))
            holder = await asyncpg.connect(server.url())
            try:
                await holder.execute(f"BEGIN; SELECT 1 FROM {schema}.users WHERE name = 'bob' FOR UPDATE")
                held = [asyncio.ensure_future(store.append(new(str(number)))) for number in range(5)]
                for number in range(20):
                    await store.append(new(f"of others {number}", sender=ALICE, recipient=CAROL))
                assert not any(each.done() for each in held)
                await holder.execute("COMMIT")
                assert [2, 3, 4, 5, 6] == [appended.message.seq for appended in await asyncio.gather(*held)]
            finally:
                await holder.close()

    asyncio.run(play())


def test_a_lock_that_is_never_let_go_is_told_in_time(
    server: Postgres, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the client gives up by itself; nothing was written."""
    from tidings.server.store.postgres import writer

    monkeypatch.setattr(writer, "ANSWER_WAIT_MAX_S", 1.0)

    async def play() -> None:
        async with opened(server.url(schema=schema)) as store:
            await store.append(new("before"))
            holder = await asyncpg.connect(server.url())
            try:
                await holder.execute(f"BEGIN; SELECT 1 FROM {schema}.users WHERE name = 'bob' FOR UPDATE")
                with pytest.raises(Unavailable):
                    await store.append(new("held", "k1"))
            finally:
                await holder.close()
            assert (await store.append(new("held", "k1"))).is_new

    asyncio.run(play())


async def stored(store: Store, message: NewMessage) -> Appended:
    """The answer of a store to a client that repeats what it was not told."""
    while True:
        with contextlib.suppress(Unavailable):
            return await store.append(message)
        await asyncio.sleep(0.01)


class Way:
    """A way to the database through which everything goes."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    def url(self, schema: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres?schema={schema}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_connection("127.0.0.1", self._port)
        backwards = asyncio.ensure_future(self.back(there_reader, writer))
        try:
            while data := await reader.read(65_536):
                await self.forth(data)
                there.write(data)
                if self.is_last(data):
                    backwards.cancel()
                    await asyncio.wait([backwards])
                    await there_reader.read(65_536)  # its answer: the commit is done
                    break
        finally:
            backwards.cancel()
            writer.transport.abort()
            there.close()

    async def forth(self, data: bytes) -> None:
        """Return when the database may get this."""

    async def back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Bring what the database says on one connection."""
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    def is_last(self, data: bytes) -> bool:
        """Whether the connection ends before this is answered."""
        return False


class Cutter(Way):
    """One that ends a connection after a write was sent on it, and before its answer."""

    cuts = 0
    cuts_next = False

    def is_last(self, data: bytes) -> bool:
        is_last = self.cuts_next and b"k-cut" in data
        if is_last:
            self.cuts_next = False
            self.cuts += 1
        return is_last


class Waiting(Way):
    """One that holds back what a lane asks on a new connection: whether its last commits are there."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.asked, self.answer = asyncio.Event(), asyncio.Event()

    async def forth(self, data: bytes) -> None:
        if b"WITH ORDINALITY" in data:
            self.asked.set()
            await self.answer.wait()


def test_an_outcome_that_is_not_known_is_said_and_repeated_without_a_second_message(
    server: Postgres, schema: str
) -> None:
    """The connection ends between a commit and its answer: 503, and the same client_id gives the stored message."""

    async def play() -> None:
        async with Cutter(server.port) as way, opened(way.url(schema)) as store:
            missed: list[UserId] = []
            store.listen(missed.extend, lambda: None)
            await store.append(new("before"))
            assert [] == missed
            way.cuts_next = True
            with pytest.raises(Unavailable):
                await store.append(new("once", "k-cut"))
            again = await store.append(new("once", "k-cut"))
            assert (1, False, 2) == (way.cuts, again.is_new, again.message.seq)
            assert {ALICE, BOB} == set(missed), "nobody was told of the commit: their logs are read"
            assert 2 == (await store.start_position(BOB, None)).head

    asyncio.run(play())


def test_a_node_reads_and_writes_on_after_its_connections_were_ended(server: Postgres, schema: str) -> None:
    """An operator, or a restart of the server, ends all of them: idle ones cost no answer at all."""

    async def play() -> None:
        async with opened(server.url(schema=schema)) as store:
            await store.append(new("before"))
            assert 1 == (await store.start_position(BOB, None)).head
            ends_connections(server)
            assert 1 == (await store.start_position(BOB, None)).head
            assert 2 == (await stored(store, new("after", "k1"))).message.seq

    asyncio.run(play())


def test_a_hint_that_came_while_the_database_was_away_is_read_when_it_is_back(
    server: Postgres, schema: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Within a second or so, and not with the next sweep; the log has a line for the state and no traceback."""
    monkeypatch.setattr(hub, "SWEEP_INTERVAL_S", 1e6)

    async def play(way: Proxy) -> None:
        url = f"postgresql://postgres@127.0.0.1:{way.port}/postgres?schema={schema}"
        node = Node(Config(db=url, secret="s" * 32))
        await node.start()
        log = node.hub.hold(BOB)
        log.join_at((await node.store.start_position(BOB, None)).head)
        way.refuse()  # before the commits: a sweep would find them, which a new node has each second
        async with opened(server.url(schema=schema)) as other:
            for text in ("one", "two"):
                await other.append(new(text))
        node.hub.look([BOB])
        async with asyncio.timeout(PATIENCE_S):
            while log._filling:  # noqa: ASYNC110  # a condition with a deadline
                await asyncio.sleep(0.01)
        assert 0 == log.tail
        way.restore()
        await log.wait_beyond(1, PATIENCE_S)
        assert 2 == log.tail
        node.hub.release(log)
        await node.stop()

    with Proxy(("127.0.0.1", server.port)) as way:
        asyncio.run(play(way))
    assert [] == [each for each in caplog.records if each.exc_info and each.name.startswith("tidings")]


class Relay:
    """A way to the database; on it, while told to, an end of a connection never comes, though its last words do."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.keeps_ends = False
        self.kept = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)  # which the next turn of the loop does

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, there]

        async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(65_536):
                    sink.write(data)

        upwards = asyncio.ensure_future(pass_on(reader, there))
        try:
            await pass_on(there_reader, writer)
            if self.keeps_ends:
                self.kept += 1
            else:
                writer.close()
        finally:
            upwards.add_done_callback(lambda _: there.close())

    async def strands(self, server: Postgres, count: int) -> None:
        """The server ends all of its connections, so many, and not all of it arrives."""
        self.keeps_ends = True
        ends_connections(server)
        async with asyncio.timeout(PATIENCE_S):
            while self.kept < count:  # noqa: ASYNC110  # a condition with a deadline
                await asyncio.sleep(0.01)
        self.keeps_ends = False


def test_a_connection_whose_end_was_said_and_never_came_is_replaced(
    server: Postgres, schema: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The driver refuses to use it with an error of its own, which is no defect of ours: nothing was sent, no 503."""

    async def play() -> None:
        async with Relay(server.port) as way:
            url = f"postgresql://postgres@127.0.0.1:{way.port}/postgres?schema={schema}"
            async with opened(url) as store:
                await store.append(new("before"))
                assert 1 == (await store.start_position(BOB, None)).head
                await way.strands(server, 2)
                assert 1 == (await store.start_position(BOB, None)).head
                assert 2 == (await store.append(new("after"))).message.seq

    asyncio.run(play())
    assert [] == [each for each in caplog.records if each.exc_info and each.name.startswith("tidings")]


def test_a_bus_whose_connections_end_was_said_and_never_came_carries_again(
    server: Postgres, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lives on: a task of it that an error of the driver ends would leave the node deaf for good."""
    from tidings.server.live.bus import notify
    from tidings.server.store.postgres.address import read_address

    monkeypatch.setattr(notify, "LOOK_EVERY_S", 0.2)

    async def play() -> None:
        async with Relay(server.port) as way:
            bus = notify.NotifyBus(read_address(f"postgresql://postgres@127.0.0.1:{way.port}/postgres?schema={schema}"))
            heard: asyncio.Queue[bytes] = asyncio.Queue()

            async def comes(body: bytes) -> None:
                async with asyncio.timeout(PATIENCE_S):
                    while True:
                        bus.publish(body)
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(0.2):
                                while await heard.get() != body:
                                    pass
                                return

            running = asyncio.ensure_future(bus.run(heard.put_nowait, lambda: None))
            try:
                await comes(b"before")
                await way.strands(server, 2)
                await comes(b"after")
                assert not running.done()
            finally:
                running.cancel()
                await asyncio.wait([running])


def test_commits_while_the_slow_lane_connects_do_not_end_it(server: Postgres, schema: str) -> None:
    """It looks for the last commits, to which the other lane adds meanwhile; held writes are taken in the end."""

    async def play() -> None:
        async with Waiting(server.port) as way, opened(way.url(schema)) as store:
            await store.append(new("before"))
            holder = await asyncpg.connect(server.url())
            try:
                await holder.execute(f"BEGIN; SELECT 1 FROM {schema}.users WHERE name = 'bob' FOR UPDATE")
                held = asyncio.ensure_future(store.append(new("held")))
                async with asyncio.timeout(PATIENCE_S):
                    await way.asked.wait()
                await store.append(new("of others", sender=ALICE, recipient=CAROL))
                way.answer.set()
                await holder.execute("COMMIT")
                assert 2 == (await held).message.seq
            finally:
                await holder.close()

    asyncio.run(play())


def test_hosts_none_of_which_takes_writes_are_said_as_a_standby(server: Postgres) -> None:
    """As while a fail-over lasts: one sentence, and starting again may help."""
    server.run("CREATE DATABASE only_reads")
    server.run("ALTER DATABASE only_reads SET default_transaction_read_only = on")
    host = f"127.0.0.1:{server.port}"
    refused(f"postgresql://postgres@{host},{host}/only_reads?target_session_attrs=read-write", NotNow, "standby")


# A history that is not what it was


def test_a_database_that_was_rolled_back_begins_a_new_epoch_once(server: Postgres, schema: str) -> None:
    """Acknowledged messages are gone: the node that sees it says so, the others adopt it, cursors are reset."""

    async def play() -> None:
        url = server.url(schema=schema)
        async with opened(url) as first, opened(url) as second:
            await first.append(new("kept"))
            lost = (await first.append(new("lost"))).message
            place, epoch = await first.start_position(BOB, None), first.epoch
            goes_back(server, schema)
            assert lost.seq == (await stored(first, new("instead", "k1"))).message.seq
            assert epoch != first.epoch
            for node in (first, second):
                assert "other_epoch" == (await node.start_position(BOB, Cursor(epoch, place.position, place.tag))).reset
            assert first.epoch == second.epoch

    asyncio.run(play())


def test_a_stream_of_a_database_that_went_back_is_cut_and_reset(server: Postgres, schema: str, tmp_path: Path) -> None:
    """On the node that found it out and on every other; no reader goes on in a history that is not its own."""
    url = server.url(schema=schema)
    with Program(tmp_path / "1", db=url) as first, Program(tmp_path / "2", db=url) as second:
        alice, bob = first.person("alice"), second.person("bob")
        alice.sends(bob, "kept")
        alice.sends(bob, "lost")
        with alice.opens_stream() as of_first, bob.opens_stream() as of_second:
            cursors = [stream.until("caught_up").data["cursor"] for stream in (of_first, of_second)]
            goes_back(server, schema)
            wait_for(lambda: alice.posts("/send", {"recipientId": "bob", "text": "instead"}).status_code == 201)
            for person, stream, cursor in ((alice, of_first, cursors[0]), (bob, of_second, cursors[1])):
                stream.to_end()
                assert "cut" == stream.ended
                with opens_again(person, cursor) as again:
                    # A sweep may have found the shorter log before a write found the new epoch.
                    assert again.until("reset").data["reason"] in ("other_epoch", "future")
        assert ["kept", "instead"] == [message["text"] for message in bob.history("alice")["messages"]]


def opens_again(person: Person, cursor: str) -> Stream:
    """The stream, which is refused with 503 in the moment in which the node finds out."""

    def ask() -> Stream | None:
        try:
            return person.opens_stream(cursor)
        except AssertionError as refused:
            if not str(refused).startswith("503"):
                raise
            return None

    return wait_for(ask)


def ends_connections(server: Postgres) -> None:
    """All of every node, as an operator or a restart of the server does."""
    server.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'tidings' AND pid <> pg_backend_pid()"
    )


def goes_back(server: Postgres, schema: str) -> None:
    """The second message between two people is gone, as after a fail-over to a standby that lagged."""
    server.run(
        f"DELETE FROM {schema}.feed WHERE cur = 2; UPDATE {schema}.users SET head = 1;"
        f" UPDATE {schema}.members SET last_seq = 1, last_cur = 1;"
        f" DELETE FROM {schema}.messages WHERE id & 16777215 = 2"
    )
    ends_connections(server)


def test_an_erased_or_trimmed_commit_is_no_roll_back(server: Postgres, schema: str) -> None:
    """They are gone because somebody said so: the epoch stays."""

    async def play() -> None:
        url = server.url(schema=schema)
        async with opened(url) as store:
            epoch = store.epoch
            for number in range(3):
                await store.append(new(str(number)))
            await store.trim(10**12, 1)
            erased = asyncio.create_task(asyncio.to_thread(open_maintenance(url).erase, ALICE))
            while not erased.done():
                await store.note_forgotten(await store.check())
                await asyncio.sleep(0.01)
            ends_connections(server)
            await stored(store, new("on", "k1", sender=CAROL))
            assert epoch == store.epoch

    asyncio.run(play())


# Behind a pooler


def test_what_was_done_an_hour_ago_is_no_longer_counted_or_kept(server: Postgres, schema: str) -> None:
    """The table has the names of an hour, and none of somebody who is erased."""
    url = server.url(schema=schema)

    async def play() -> None:
        async with opened(url) as store:
            await store.take_hourly("report", ALICE, 1)
            with pytest.raises(TooManyRequests):
                await store.take_hourly("report", ALICE, 1)
            server.run(f"UPDATE {schema}.hourly SET ts = ts - 3600000")
            await store.take_hourly("report", BOB, 1)
            assert "bob" == server.run(f"SELECT who FROM {schema}.hourly")
            await store.take_hourly("report", ALICE, 1)
            await store.append(new("hi"))

    asyncio.run(play())
    assert open_maintenance(url).erase(ALICE).was_known
    assert "bob" == server.run(f"SELECT who FROM {schema}.hourly")


def test_a_store_behind_a_pooler_keeps_no_setting_and_no_statement(server: Postgres, schema: str) -> None:
    """With ``bouncer=1`` each statement is a transaction that needs nothing of its connection."""

    async def play() -> None:
        async with opened(server.url(schema=schema, bouncer="1")) as store:
            assert [1, 2] == [(await store.append(new(text))).message.seq for text in ("one", "two")]
            assert 2 == (await store.advance(BOB, ALICE, 0, 2)).read_upto
            assert 1 == len((await store.inbox(BOB, before=None, limit=5)).conversations)
            assert "0" == server.run(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tidings' AND pid <> pg_backend_pid()"
            )

    asyncio.run(play())
