"""A start on PostgreSQL refuses, or waits: one sentence says what to do, and nothing of the secret."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from lab import postgres
from lab.node import SECRET, Node
from lab.pgbouncer import PgBouncer
from lab.postgres import Postgres
from lab.process import START_DEADLINE_S, wait_for
from tidings import Config, Tidings
from tidings.cli import main
from tidings.errors import Unavailable
from tidings.server.store.postgres import driver

PASSWORD = "not-for-any-log"


@pytest.fixture(scope="module")
def server() -> Postgres:
    return postgres.shared()


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server of this file alone, which does not run yet."""
    made = Postgres()
    yield made
    made.remove()


def told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, url: str, *command: str) -> str:
    """The one sentence with which a command refuses this database as a wrong setting (exit code 2)."""
    monkeypatch.setenv("TIDINGS_DB", url)
    assert 2 == main(command)
    out, sentence = capsys.readouterr()
    assert ("", 1) == (out, sentence.count("\n")), sentence
    assert PASSWORD not in sentence
    return sentence


def served(url: str, before: str = "") -> tuple[int, str]:
    """The exit code and the words of a ``serve`` that ends by itself; ``before`` is done first in its process."""
    script = f"import sys\n{before}\nfrom tidings.cli import main\nsys.exit(main(['serve', '--port', '0']))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "TIDINGS_SECRET": SECRET, "TIDINGS_DB": url},
        capture_output=True,
        text=True,
        timeout=START_DEADLINE_S,
        check=False,
    )
    assert "" == done.stdout
    assert [] == [word for word in (PASSWORD, "Traceback") if word in done.stderr], done.stderr
    return done.returncode, done.stderr


def test_a_pooler_of_which_the_url_does_not_tell_is_found(
    server: Postgres, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that refuses the settings of a session, and one that was told to pass over them, which would be lost."""
    passed_over = "jit,lock_timeout,statement_timeout,default_transaction_isolation,enable_hashjoin"
    for name, settings in (
        ("plain", {}),
        ("lenient", {"ignore_startup_parameters": f"{passed_over},enable_mergejoin"}),
    ):
        pooler = PgBouncer(server, **settings)
        pooler.start()
        try:
            url = pooler.url().replace("postgres@", f"postgres:{PASSWORD}@")
            sentence = told(capsys, monkeypatch, url, "migrate", "--check")
            assert f"a pooler is before postgresql://127.0.0.1:{pooler.port}/postgres; add bouncer=1" in sentence
            if name == "lenient":
                code, said = served(url)
                assert (2, sentence) == (code, said)
        finally:
            pooler.remove()


def test_a_server_that_is_too_old_is_told_with_the_least_version(
    server: Postgres, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is the oldest that was tested."""
    assert 15 == driver.VERSION_MIN
    monkeypatch.setattr(driver, "VERSION_MIN", 99)
    sentence = told(capsys, monkeypatch, server.url(), "migrate")
    assert "is PostgreSQL 15; Tidings needs 99 or later" in sentence


@pytest.mark.parametrize(
    ("host", "options", "words"),
    [
        ("127.0.0.1:99999", "", "a port or a host of the URL cannot be read"),
        ("127.0.0.1:9,127.0.0.1:99999", "", "a port or a host of the URL cannot be read"),
        ("", "?sslmode=require", "takes no TLS, and sslmode in the options of the URL asks for it"),
        ("", "?sslmode=bogus", "an option, a port or a host of the URL cannot be read"),
        ("", "?foo=bar", "an option that is not known. Known are application_name, bouncer, "),
    ],
)
def test_a_url_that_the_driver_or_the_server_does_not_take_is_a_sentence(
    server: Postgres,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    options: str,
    words: str,
) -> None:
    """Each is of the setting, and no waiting mends it: a port above all, TLS where there is none, made-up options."""
    url = f"postgresql://postgres:{PASSWORD}@{host or f'127.0.0.1:{server.port}'}/postgres{options}"
    assert words in told(capsys, monkeypatch, url, "migrate", "--check")


def test_serve_waits_for_a_database_that_is_not_there_yet(late: Postgres, tmp_path: Path) -> None:
    """Machines start together, and the database is the slower one. A line says so; the node serves when it is up."""
    node = Node(tmp_path / "node", db=late.url(schema="late"))
    starting = threading.Thread(target=node.start)
    starting.start()
    said = f"127.0.0.1:{late.port}/postgres cannot be reached: "
    wait_for(lambda: said in node.output, START_DEADLINE_S, "it says for what it waits")
    late.start()
    starting.join(START_DEADLINE_S)
    try:
        assert "hi" == node.person("ada").sends("ben", "hi")["text"]
        assert 1 == node.stderr.count("trying for 60 s")
    finally:
        node.stop()


def test_a_database_in_recovery_is_told_at_once(late: Postgres) -> None:
    """Exit code 1, for it may be promoted; the sentence names what to name."""
    late.end()
    signal_file = late.directory / "data" / "standby.signal"
    signal_file.touch()
    late.start()
    try:
        code, said = served(late.url().replace("postgres@", f"postgres:{PASSWORD}@"))
        assert (1, 1) == (code, said.count("\n"))
        assert "is a standby, or takes no writes; name the primary" in said
    finally:
        late.end()
        signal_file.unlink()


def test_serve_gives_up_on_a_database_that_does_not_come() -> None:
    """Exit code 1, by which a supervisor tries again; not 2, which says that a setting is wrong."""
    fast = "from tidings.server.http import serve\nserve.DATABASE_WAIT_MAX_S = 0.5"
    code, said = served(f"postgresql://ada:{PASSWORD}@127.0.0.1:9/d", fast)
    assert 1 == code
    assert said.splitlines()[-1].startswith("tidings: db (TIDINGS_DB): postgresql://127.0.0.1:9/d cannot be reached: ")
    assert 1 == said.count("trying for")


def test_an_application_starts_without_the_database_and_has_it_when_it_comes(
    late: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    """Its requests are answered 503 with Retry-After meanwhile, and so is ``send``; one line says so."""
    late.end()
    tidings = Tidings(Config(db=late.url(schema="embedded")), user=lambda request: request.headers.get("x-user"))
    app = Starlette(routes=[Mount("/dm", routes=tidings.routes())], lifespan=tidings.lifespan)
    with TestClient(app) as client:
        for _ in range(3):
            answer = client.get("/dm/inbox/me", headers={"x-user": "ada"})
            assert (503, "unavailable") == (answer.status_code, answer.json()["code"])
            assert answer.headers["retry-after"].isdigit()

        async def send() -> None:
            with contextlib.suppress(Unavailable):
                await tidings.send("ada", "ben", "hi")
                raise AssertionError("it was not refused")

        client.portal.call(send)  # type: ignore[union-attr]
        late.start()
        body = {"recipientId": "ben", "text": "hi"}
        wait_for(lambda: client.post("/dm/send", json=body, headers={"x-user": "ada"}).status_code == 201)
    told = [record.getMessage() for record in caplog.records if record.name == "tidings.node"]
    assert 1 == len([line for line in told if line.startswith("cannot start: db (TIDINGS_DB): postgresql://127.")])
    assert [] == [record for record in caplog.records if record.exc_info]
