"""After an erasure there is nothing of what was erased: in the file's bytes, in memory, behind a sign-in."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lab.crowd import Letter, until_acknowledged
from lab.node import SECRET, Node, Person, refused
from lab.process import wait_for
from tidings import Config, Tidings
from tidings.protocol.user_id import UserId
from tidings.server.store.open import open_maintenance

PROGRAM = str(Path(sys.executable).with_name("tidings"))
UNLIMITED: dict[str, Any] = {"sends_per_s": 100_000, "sends_burst": 100_000, "new_conversations_per_h": 100_000}
NAME = "ada-of-the-name"
MARK = "UNMISTAKABLE"


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "node", **UNLIMITED)


def command(node: Node, *arguments: object) -> subprocess.CompletedProcess[str]:
    words = [PROGRAM, *map(str, arguments), "--db", f"sqlite:///{node.database}"]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=110)


def erase(node: Node, user: str = NAME) -> str:
    done = command(node, "erase", "--user", user)
    assert (0, "") == (done.returncode, done.stderr), done.stderr
    return done.stdout


def write_to_many(node: Node, count: int) -> None:
    """One person to six, and they to each other and to that one, in mixed order and of every length: pages are split
    all over, and copies of what is written stay behind.
    """
    rng = random.Random(8)
    ada, others = node.person(NAME), [node.person(f"other-{number}") for number in range(6)]
    letters = []
    for number in range(count):
        text = f"{MARK} {number} " + "y" * rng.randrange(900)
        letters.append(Letter(ada, rng.choice(others), text, f"{MARK}-id-{number}"))
        if number % 3 == 0:
            one, other = rng.sample(others, 2)
            text = f"of others {number} " + "z" * rng.randrange(900)
            letters.append(Letter(one, rng.choice([other, ada]), text, f"other-id-{number}"))
    until_acknowledged(letters)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of a server that was killed: 1,500 texts of one person, and 500 of others."""
    with Node(tmp_path_factory.mktemp("written"), **UNLIMITED) as node:
        write_to_many(node, 1500)
        node.kill()
        return node.directory


def found(folder: Path, *names: str) -> dict[str, int]:
    """In which files of a folder these words are, and how often."""
    counts = {
        path.name: sum(path.read_bytes().count(name.encode()) for name in names)
        for path in folder.iterdir()
        if path.is_file() and path.name.startswith("tidings.db")
    }
    return {name: count for name, count in counts.items() if count}


# shows: security/erased-texts, reliability/erased
@pytest.mark.parametrize("is_running", [True, False], ids=["running", "killed before"])
def test_no_byte_of_what_was_erased_is_in_the_file_or_its_log_or_a_later_backup(
    node: Node, written: Path, tmp_path: Path, is_running: bool
) -> None:
    """1,500 texts to six people in mixed order; their ``client_id``s, and the name. Text of others stays."""
    shutil.copytree(written, node.directory)
    assert found(node.directory, MARK, NAME)
    if is_running:
        node.start()
    try:
        assert erase(node).startswith("erased 1500 messages")

        assert {} == found(node.directory, MARK, NAME)
        backup = tmp_path / "backup"
        assert 0 == command(node, "backup", backup).returncode
        assert not any(word.encode() in backup.read_bytes() for word in (MARK, NAME))
        if is_running:
            node.person("other-0").sends("other-1", "and on")
            assert {} == found(node.directory, MARK, NAME)
    finally:
        node.kill()
    with closing(sqlite3.connect(backup)) as copy:
        assert [("ok",)] == copy.execute("PRAGMA integrity_check").fetchall()
        assert [(500,)] == copy.execute("SELECT count(*) FROM messages WHERE body LIKE 'of others %'").fetchall()


def test_an_erasure_that_is_killed_is_finished_by_doing_it_again(node: Node, written: Path) -> None:
    """Also when the name is gone already, and the file is not written anew yet."""
    shutil.copytree(written, node.directory)
    erasing = subprocess.Popen([PROGRAM, "erase", "--user", NAME, "--db", f"sqlite:///{node.database}"])

    def is_name_gone() -> bool:
        with closing(sqlite3.connect(f"file:{node.database}?mode=ro", uri=True)) as connection:
            return bool((1,) == connection.execute("SELECT count(*) FROM users WHERE erased_ms > 0").fetchone())

    wait_for(is_name_gone, what="the name to go")
    erasing.kill()
    erasing.wait()

    done = command(node, "erase", "--user", NAME)

    assert (0, f"nothing is kept of {NAME}\n") == (done.returncode, done.stderr)
    assert {} == found(node.directory, MARK, NAME)


def test_a_reader_of_an_old_state_holds_up_the_end_of_an_erasure_and_that_is_told(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a copy that takes long: done again afterwards, nothing is left."""
    monkeypatch.setattr("tidings.server.store.sqlite.erase.SCRUB_WAIT_MAX_S", 0.5)
    with node:
        node.person(NAME).sends("ben", f"{MARK} x")
        with closing(sqlite3.connect(node.database, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM messages").fetchone()
            erased = open_maintenance(f"sqlite:///{node.database}").erase(UserId(NAME))
            assert "do it again" in (erased.left or "")
            assert found(node.directory, MARK)
        assert 0 == command(node, "erase", "--user", NAME).returncode
        assert {} == found(node.directory, MARK, NAME)


def test_an_erased_text_is_handed_out_to_nobody_from_the_moment_the_command_ends(node: Node) -> None:
    """A server keeps the last events of logs that are read in memory, and hands them out to whoever comes back."""
    with node:
        ada, ben = node.person(NAME), node.person("ben")
        start = ben.head()
        with ben.opens_stream(start) as held:
            held.live()
            for number in range(10):
                ada.sends(ben, f"{MARK} {number}")
                held.until("new_message")
            erase(node)
            with ben.opens_stream(start) as again:
                frames = [again.until("new_message") for _ in range(10)]
        shown = b"".join(frame.raw for frame in frames)
        assert (10, 0, 0) == (shown.count(b'"deleted"'), shown.count(MARK.encode()), shown.count(NAME.encode()))
        assert MARK not in json.dumps(ben.events(start))


def test_a_stream_of_the_erased_user_is_cut_before_the_command_ends(node: Node) -> None:
    """And who comes with the old cursor begins anew. PROTOCOL 6.2.3"""
    with node:
        ada = node.person(NAME)
        ada.sends("ben", "x")
        cursor = ada.head()
        with ada.opens_stream(cursor) as stream:
            stream.live()
            erase(node)
            stream.to_end()
        assert "future" == ada.events(cursor)["reset"]["reason"]


# shows: security/deleted-id
def test_nobody_comes_under_the_id_that_stands_for_an_erased_user(node: Node) -> None:
    """It is in the threads of others, so that a host may give it to somebody, and a token for it may be made: it reads
    nothing and writes nothing. PROTOCOL 4.1.15
    """
    with node:
        node.person(NAME).sends("ben", "x")
        node.person("ben").sends(NAME, "what ben wrote")
        erase(node)
        (conversation,) = node.person("ben").inbox()["conversations"]
        ghost = node.person(conversation["user"]["id"])
        for answer in (ghost.gets("/inbox/me"), ghost.gets("/ben"), ghost.gets("/events/me"), ghost.gets("/sse/me")):
            refused(answer, 401, "unauthorized")
        refused(ghost.posts("/send", {"recipientId": "ben", "text": "boo"}), 401, "unauthorized")
        node.person("erased-of-the-name").sends("ben", "an id of a person's own")


@pytest.mark.parametrize("has_written", [True, False], ids=["known", "never seen"])
def test_a_revocation_of_an_erased_user_holds_without_the_name(node: Node, has_written: bool) -> None:
    """A token of before it is refused after a restart, one of later is not, and no byte of the name is in the file."""
    url = f"sqlite:///{node.database}"

    async def revoke() -> None:
        tidings = Tidings(Config(db=url, secret=SECRET))
        async with tidings.lifespan():
            if has_written:
                await tidings.send(NAME, "ben", "x")
            await tidings.revoke(NAME)

    node.directory.mkdir(parents=True)
    asyncio.run(revoke())
    before, after = (node.token(NAME, iat=int(time.time()) + later) for later in (-60, 20))
    assert found(node.directory, NAME)

    assert erase(node).startswith("erased")

    assert {} == found(node.directory, NAME)
    (kept,) = [json.loads(line) for line in command(node, "export", "--user", NAME).stdout.splitlines()]
    assert "revocation" == kept["type"]
    with node:
        refused(Person(node, NAME, before).gets("/inbox/me"), 401, "unauthorized")
        assert 200 == Person(node, NAME, after).gets("/inbox/me").status_code


def test_an_export_tells_what_is_kept_of_somebody_by_name_after_they_were_erased(node: Node) -> None:
    """Reports keep names and texts, as evidence: those that the user made, and how many others made; not by whom."""
    with node:
        ada, ben = node.person(NAME), node.person("ben")
        ada.sends(ben, "x")
        for one, other in ((ada, ben), (ben, ada)):
            answer = one.posts("/report", {"chatUserId": other.id, "reason": f"by {one.id}"})
            answer.raise_for_status()
        erase(node)
        kept = [json.loads(line) for line in command(node, "export", "--user", NAME).stdout.splitlines()]
    assert ["report", "reported"] == [entry["type"] for entry in kept]
    assert (f"by {NAME}", {"reports": 1}) == (kept[0]["data"]["reason"], kept[1]["data"])
    assert "by ben" not in json.dumps(kept)
