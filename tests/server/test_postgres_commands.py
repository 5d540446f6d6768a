"""Every command of an operator on a PostgreSQL database, as it is typed (docs/run/cli.md)."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import shlex
import stat
import subprocess
from pathlib import Path

import pytest

from lab import postgres
from lab.node import Keyed
from lab.node import Node as Program
from lab.postgres import Postgres
from lab.process import wait_for
from tidings import Config
from tidings.cli import main
from tidings.errors import ConfigurationError
from tidings.protocol.user_id import UserId
from tidings.server.node import Node
from tidings.server.store import NewMessage
from tidings.server.store.postgres import schema as schemas
from tidings.server.store.postgres.address import read_address

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Postgres:
    return postgres.shared()


@pytest.fixture
def schema() -> str:
    return f"c_{os.getpid()}_{next(_numbers)}"


class Shell:
    """Where the commands are typed, with TIDINGS_DB set."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, url: str) -> None:
        self._capsys = capsys
        monkeypatch.setenv("TIDINGS_DB", url)

    def prints(self, *command: str, code: int = 0) -> str:
        """The standard output of a command that ends with this code."""
        assert code == main(command), self._capsys.readouterr()
        return self._capsys.readouterr().out

    def refuses(self, *command: str, code: int = 2) -> str:
        """The one sentence with which a command ends with this code."""
        assert code == main(command)
        out, sentence = self._capsys.readouterr()
        assert ("", 1) == (out, sentence.count("\n")), sentence
        return sentence


@pytest.fixture
def shell(server: Postgres, schema: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capsys, monkeypatch, server.url(schema=schema))


def by_psql(server: Postgres, script: str) -> None:
    """Run a script as a database's administrator does."""
    command = [postgres.program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-", server.url()]
    done = subprocess.run(command, input=script, text=True, capture_output=True, check=False)
    assert (0, "") == (done.returncode, done.stderr), done.stderr


def definition(server: Postgres, schema: str) -> str:
    """All that a schema has, as PostgreSQL's own tool writes it."""
    command = [postgres.program("pg_dump"), "--schema-only", "--no-owner", "--no-privileges", f"--schema={schema}"]
    done = subprocess.run([*command, server.url()], capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if not line.startswith("\\")]  # \restrict has a random word
    return "\n".join(lines).replace(schema, "SCHEMA")


# migrate


def test_the_script_of_a_migration_makes_what_migrate_makes(server: Postgres, schema: str, shell: Shell) -> None:
    """From nothing, and from each version before; one that there is not is refused as a whole."""
    known = schemas.known_version()
    shell.prints("migrate", "--db", server.url(schema=f"{schema}_m"))
    expected = definition(server, f"{schema}_m")
    by_psql(server, shell.prints("migrate", "--sql"))
    assert expected == definition(server, schema)
    assert shell.prints("migrate", "--check").startswith(f"schema version {known};")

    for after in range(1, known):
        older = f"{schema}_{after}"
        address = read_address(server.url(schema=older))
        scripts = "".join(map(address.sql, schemas._scripts()[:after]))
        by_psql(server, f"CREATE SCHEMA {older}; {scripts}")
        shell.prints("migrate", "--check", "--db", server.url(schema=older), code=1)
        script = shell.prints("migrate", "--sql", "--from", str(after), "--db", server.url(schema=older))
        by_psql(server, script)
        assert expected == definition(server, older)
        with pytest.raises(AssertionError, match=f"the schema {older} has not version {after}"):
            by_psql(server, script)


def test_a_node_serves_a_schema_that_belongs_to_somebody_else(server: Postgres, schema: str, shell: Shell) -> None:
    """The script lets in the user of the URL, who needs no right to make anything; such a node migrates nothing."""
    server.run(f"CREATE ROLE {schema} LOGIN")
    url = server.url(schema=schema).replace("postgres@", f"{schema}@")
    config = Config(db=url, secret="s" * 32, migrate=False)

    async def send() -> str:
        node = Node(config)
        await node.start()
        try:
            new = NewMessage(UserId("ada"), UserId("ben"), "hi", "text", None, None)
            return (await node.store.append(new)).message.text
        finally:
            await node.stop()

    with pytest.raises(ConfigurationError, match=r"is off; run: tidings migrate, or .*: tidings migrate --sql$"):
        asyncio.run(send())
    assert "" == server.run(f"SELECT 1 FROM pg_namespace WHERE nspname = '{schema}'"), "nothing was made"
    by_psql(server, shell.prints("migrate", "--sql", "--db", url))
    assert "hi" == asyncio.run(send())


def test_a_newer_schema_that_can_be_worked_on_is_not_behind(server: Postgres, schema: str, shell: Shell) -> None:
    """Nodes of two versions work side by side while they are replaced: the check of the older one is content."""
    shell.prints("migrate")
    server.run(f"UPDATE {schema}.meta SET version = 99")
    assert "schema version 99" in shell.prints("migrate", "--check")


@pytest.mark.parametrize(
    ("options", "word"),
    [(["--sql", "--from", "99"], "knows versions up to"), (["--from", "1"], "--from is for --sql")],
)
def test_a_script_that_there_is_not_is_said(shell: Shell, options: list[str], word: str) -> None:
    """Nothing is printed that somebody could run."""
    assert word in shell.refuses("migrate", *options)


# epoch


def test_a_new_epoch_reaches_the_readers_of_every_node(
    server: Postgres, schema: str, shell: Shell, tmp_path: Path
) -> None:
    """After a restore by other means: streams are cut within a second or two, and their readers reload."""
    with Program(tmp_path, db=server.url(schema=schema)) as node:
        ada, ben = node.person("ada"), node.person("ben")
        ada.sends(ben, "hi")
        before = shell.prints("epoch").strip()
        with ben.opens_stream() as stream:
            cursor = stream.until("caught_up").data["cursor"]
            assert cursor.startswith(f"{before}-")
            after = shell.prints("epoch", "--bump").strip()
            stream.to_end()
            assert "cut" == stream.ended
        with ben.opens_stream(cursor) as again:
            assert "other_epoch" == again.until("reset").data["reason"]
        ada.sends(ben, "and on")
        assert ben.head().startswith(f"{after}-")
        assert (False, after) == (before == after, shell.prints("epoch").strip())


def test_the_epoch_of_a_file_changes_while_no_server_has_it(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server has it in memory."""
    url = f"sqlite:///{tmp_path}/x.db"
    shell.prints("migrate", "--db", url)
    before, after = (shell.prints("epoch", *options, "--db", url).strip() for options in ([], ["--bump"]))
    assert (True, after) == (before != after, shell.prints("epoch", "--db", url).strip())
    assert "--sql is for PostgreSQL" in shell.refuses("migrate", "--sql", "--db", url)
    with Program(tmp_path / "node", database=tmp_path / "x.db"):
        assert "stop it before changing its epoch" in shell.refuses("epoch", "--bump", "--db", url)


# All others, beside a node and without one


def test_each_command_does_its_work_beside_a_node(server: Postgres, schema: str, shell: Shell, tmp_path: Path) -> None:
    """backup, export, erase and retention while it serves; restore when it does not, with a new epoch."""
    copy = tmp_path / "copy"
    with Program(tmp_path / "node", db=server.url(schema=schema)) as node:
        ada, ben = node.person("ada"), node.person("ben")
        for text in ("one", "two", "three"):
            ada.sends(ben, text)
        assert f"{copy}: 3 messages of 2 users, " in shell.prints("backup", str(copy))
        assert 0o600 == copy.stat().st_mode & 0o777, "others read it"
        assert "already there" in shell.refuses("backup", str(copy))
        kinds = [json.loads(line)["type"] for line in shell.prints("export", "--user", "ben").splitlines()]
        assert ["user", "conversation", "message", "message", "message"] == kinds
        told = shell.prints("retention", "--events-max", "1", "--dry-run")
        assert "would remove 4 events from 2 logs; 2 are kept" in told
        assert "removed 4 events from 2 logs; 2 are kept" in shell.prints("retention", "--events-max", "1")
        assert "nodes serve" in shell.refuses("restore", str(copy))
        assert "erased 3 messages and 1 events of ada" in shell.prints("erase", "--user", "ada")
        shop = Keyed(node, node.makes_key("shop", "--system"))
        assert "shop" == shop.sends("ben", "hello", message_type="system")["sender_id"]
        assert "there is a key shop" in shell.refuses("key", "create", "shop")
        assert ["shop", "shop", "yes"] == shell.prints("key", "list").splitlines()[1].split()[:3]
        shell.prints("key", "revoke", "shop")
        shell.prints("key", "revoke", "shop", code=1)
        wait_for(lambda: shop.gets("/inbox/me").status_code == 401)
        nameless = server.run(f"SELECT name FROM {schema}.users WHERE name NOT IN ('ben', 'shop')")
        assert nameless.startswith("erased-")
        assert ["", "", ""] == [message["text"] for message in ben.history(nameless)["messages"]]
    before = shell.prints("epoch")
    assert "restored 3 messages of 2 users" in shell.prints("restore", str(copy))
    assert before != shell.prints("epoch")
    kept = [json.loads(line)["data"] for line in shell.prints("export", "--user", "ada").splitlines()]
    assert ["one", "two", "three"] == [entry["text"] for entry in kept if "text" in entry]


def test_the_way_back_is_tried_beside_the_database_as_the_documents_say(
    server: Postgres, schema: str, shell: Shell, tmp_path: Path
) -> None:
    """The lines of docs/run/operate.md, with this server's address: the copy is whole in another database."""
    page = (Path(__file__).parents[2] / "docs" / "run" / "operate.md").read_text()
    [code] = re.findall(r"^```sh\n([^`]*createdb[^`]*)^```", page, re.MULTILINE)
    drill = f"drill_{os.getpid()}"
    code = code.replace("/var/backups", str(tmp_path)).replace("postgresql://app@db.example.org/app", server.url())
    there = server.url().rpartition("/")[0] + f"/{drill}?schema={schema}"
    code = code.replace("postgresql://app@db.example.org/drill", there)
    shell.prints("migrate")
    server.run(f"INSERT INTO {schema}.users(name) VALUES ('ada'), ('ben')")
    ran = [shlex.split(line) for line in code.replace(" drill\n", f" {drill}\n").splitlines()]
    assert ["tidings backup", "createdb", "tidings restore"] == [
        " ".join(words[:2]) if words[0] == "tidings" else words[0] for words in ran
    ]
    for program, *arguments in ran:
        if program == "tidings":
            printed = shell.prints(*arguments)
        else:
            subprocess.run([postgres.program(program), *arguments], check=True)
    assert "restored 0 messages of 2 users" in printed
    server.run(f"DROP DATABASE {drill}")


def test_a_copy_without_its_tool_says_which_and_how_to_do_it_elsewhere(
    server: Postgres, schema: str, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing, and older than the server, which it would refuse; nothing was written."""
    shell.prints("migrate")
    monkeypatch.setenv("PATH", str(tmp_path))
    elsewhere = rf"install postgresql-client-15, or say where it is: pg_dump .*--schema={schema} --file=copy --dbname="
    assert re.search(rf"pg_dump, .* is missing; {elsewhere}", shell.refuses("backup", "copy"))
    assert "pg_restore, PostgreSQL's own tool for copies, is missing" in shell.refuses("restore", "copy")
    older = tmp_path / "pg_dump"
    older.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 13.4'\n")
    older.chmod(stat.S_IRWXU)
    assert re.search(rf"pg_dump is of PostgreSQL 13, .* of 15; {elsewhere}", shell.refuses("backup", "copy"))
    assert [older] == list(tmp_path.iterdir())


def test_a_restore_that_the_database_cuts_off_says_where_the_former_schema_is(
    server: Postgres, schema: str, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is under another name then, and the statement that takes it back is in the sentence (exit code 3)."""
    copy, tool = tmp_path / "copy", tmp_path / "pg_restore"
    shell.prints("migrate")
    shell.prints("backup", str(copy))
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tidings'"
    tool.write_text(
        f'#!/bin/sh\ncase $* in *--dbname=*)\n{postgres.program("psql")} -q {server.url()} -c "{cut}" >/dev/null\n'
        f"echo 'pg_restore: error: connection to server was lost' >&2; exit 1\nesac\n"
        f'exec {postgres.program("pg_restore")} "$@"\n'
    )
    tool.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    sentence = shell.refuses("restore", str(copy), code=3)
    [back] = re.findall(rf"take it back: (ALTER SCHEMA {schema}_before_\w+ RENAME TO {schema})$", sentence.strip())
    shell.prints("migrate", "--check", code=1)
    server.run(back)
    shell.prints("migrate", "--check")


def test_a_copy_is_not_made_through_a_pooler(server: Postgres, schema: str, shell: Shell) -> None:
    """The tools set what stays on connections that others get next."""
    shell.prints("migrate")
    for command in ("backup", "restore"):
        told = shell.refuses(command, "copy", "--db", server.url(schema=schema, bouncer="1"))
        assert "name it without its pooler" in told
