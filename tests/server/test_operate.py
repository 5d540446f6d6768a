"""The operator's commands on a database, beside a running server where that is promised."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from lab.node import Node, Person, refused
from lab.process import wait_for
from tidings.cli import main
from tidings.protocol.service_key import is_service_key
from tidings.server.store.open import open_maintenance

PROGRAM = str(Path(sys.executable).with_name("tidings"))


def tidings(*arguments: object, code: int = 0, db: Path) -> str:
    """Run a command that must end with this code: what it printed, and complained where it failed."""
    printed, complained = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complained):
        ended = main([*map(str, arguments), "--db", f"sqlite:///{db}"])
    assert code == ended, printed.getvalue() + complained.getvalue()
    return printed.getvalue() + ("" if code == 0 else complained.getvalue())


def texts(person: Person, peer: Person | str) -> list[str]:
    return [message["text"] for message in person.history(peer, limit=200)["messages"]]


def ask(database: Path, query: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


UNLIMITED: dict[str, Any] = {"sends_per_s": 100_000, "sends_burst": 100_000, "log_events_max": 1_000_000}
_number = itertools.count(1)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Node]:
    """A node with a database of its own, on which sends are not limited."""
    with Node(tmp_path / "node", **UNLIMITED) as node:
        yield node


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node like that for all tests here that need no database of their own."""
    with Node(tmp_path_factory.mktemp("shared"), **UNLIMITED) as node:
        yield node


@pytest.fixture
def alice(shared: Node) -> Person:
    return shared.person(f"alice-{next(_number)}")


@pytest.fixture
def bob(shared: Node) -> Person:
    return shared.person(f"bob-{next(_number)}")


@pytest.fixture
def carol(shared: Node) -> Person:
    return shared.person(f"carol-{next(_number)}")


# migrate


def test_migrate_makes_the_schema_and_check_tells_whether_it_is_behind(tmp_path: Path) -> None:
    """`--check` changes nothing: exit 2 without a database, 1 behind, 0 up to date."""
    database = tmp_path / "new.db"
    assert "there is no database" in tidings("migrate", "--check", db=database, code=2)
    assert not database.exists()

    sqlite3.connect(database).execute("VACUUM").close()  # an empty file of version 0
    assert "schema version 0" in tidings("migrate", "--check", db=database, code=1)
    assert "run tidings migrate" in tidings("retention", db=database, code=2)

    tidings("migrate", db=database)
    assert "schema version" in tidings("migrate", "--check", db=database)


def test_a_database_of_version_1_is_migrated_with_what_is_in_it(tmp_path: Path) -> None:
    """An upgrade keeps every message."""
    database = tmp_path / "old.db"
    first = files("tidings.server.store.sqlite") / "migrations" / "0001_start.sql"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.executescript(first.read_text("utf-8"))
        connection.execute("INSERT INTO meta(k, v) VALUES ('epoch', 'abc')")
        connection.execute("PRAGMA user_version = 1")
        _converse(connection, "one", "other", 3, chat="peer")
        connection.commit()
    assert "schema version 1" in tidings("migrate", "--check", db=database, code=1)
    assert "was 1" in tidings("migrate", db=database)

    assert 3 == sum(
        json.loads(line)["type"] == "message" for line in tidings("export", "--user", "other", db=database).splitlines()
    )


@pytest.mark.parametrize("name", ["", "-x", "a b", "x" * 65, "sh\u00f6p", "a/b", 'x"y'])
def test_a_key_has_a_plain_name(tmp_path: Path, name: str) -> None:
    """It stands in lines of logs and in labels of metrics."""
    with pytest.raises(SystemExit, match="2"):
        tidings("key", "create", "--", name, db=tmp_path / "t.db")


def test_keys_are_made_listed_and_revoked_without_a_server_too(tmp_path: Path) -> None:
    """A user whom nobody could be is refused; a key for the user ``any`` is one for anybody."""
    db = tmp_path / "t.db"
    assert "there is no database" in tidings("key", "create", "shop", code=2, db=db)
    tidings("migrate", db=db)
    assert "" == tidings("key", "list", db=db)
    keys = {
        name: tidings("key", "create", name, *options, db=db).strip()
        for name, options in {"shop": [], "bot": ["--as", "any"], "a.b-c_1": ["--as", "Ada L", "--system"]}.items()
    }
    assert 3 == len(set(filter(is_service_key, keys.values())))
    assert "--as: A user id contains no slash" in tidings("key", "create", "x", "--as", "a/b", code=2, db=db)
    assert "there is a key shop" in tidings("key", "create", "shop", code=2, db=db)
    listed = tidings("key", "list", db=db)
    assert not any(key in listed for key in keys.values())
    head, *rows = (line.split() for line in listed.splitlines())
    assert ["NAME", "AS", "SYSTEM", "CREATED", "LAST", "USED"] == head
    assert [["a.b-c_1", "Ada", "L", "yes"], ["bot", "(any)", "no"], ["shop", "shop", "no"]] == [
        row[:-2] for row in rows
    ]
    assert ["never"] * 3 == [row[-1] for row in rows]
    assert "" == tidings("key", "revoke", "bot", db=db)
    assert "there is no key bot" in tidings("key", "revoke", "bot", code=1, db=db)
    assert "bot" not in tidings("key", "list", db=db)


def test_a_newer_database_is_refused_by_every_command(tmp_path: Path) -> None:
    """This Tidings neither reads nor writes nor copies a schema that it does not understand."""
    database, other = tmp_path / "newer.db", tmp_path / "other.db"
    for each in (database, other):
        tidings("migrate", db=each)
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA user_version = 99")
    for command in (
        ["migrate"],
        ["migrate", "--check"],
        ["backup", tmp_path / "copy.db"],
        ["export", "--user", "ada"],
        ["erase", "--user", "ada"],
        ["retention"],
    ):
        assert "schema version 99" in tidings(*command, db=database, code=2)
    assert "schema version 99" in tidings("restore", database, db=other, code=2)
    assert not (tmp_path / "copy.db").exists()


# backup and restore


# shows: reliability/disk-gone
def test_a_backup_under_load_has_everything_that_was_acknowledged_before_it(
    shared: Node, alice: Person, bob: Person, tmp_path: Path
) -> None:
    """Online, whole, and no send fails or waits for it."""
    sent: list[str] = []
    is_over = threading.Event()

    def send() -> None:
        while not is_over.is_set():
            text = f"message {len(sent)}"
            alice.sends(bob, text)
            sent.append(text)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        wait_for(lambda: len(sent) > 200, what="200 messages")
        before = len(sent)
        tidings("backup", tmp_path / "copy.db", db=shared.database)
        after = len(sent)
        wait_for(lambda: len(sent) > after, what="sends go on")
    finally:
        is_over.set()
        sender.join()

    (count,) = ask(tmp_path / "copy.db", f"SELECT last_seq FROM members JOIN users USING (uid) WHERE name = '{bob}'")[0]
    assert before <= count <= len(sent)
    assert [("ok",)] == ask(tmp_path / "copy.db", "PRAGMA integrity_check")
    assert ["copy.db"] == [path.name for path in tmp_path.glob("copy.db*")]
    assert 0o600 == (tmp_path / "copy.db").stat().st_mode & 0o777


def test_a_backup_replaces_nothing_and_leaves_nothing_half(tmp_path: Path) -> None:
    """An existing file stays as it is; a failed copy leaves no file."""
    database = tmp_path / "a.db"
    tidings("migrate", db=database)
    (tmp_path / "kept").write_text("precious")
    assert "already there" in tidings("backup", tmp_path / "kept", db=database, code=2)
    assert "precious" == (tmp_path / "kept").read_text()

    (tmp_path / "text.db").write_text("no database at all, but long enough to look at" * 100)
    assert "not a database" in tidings("backup", tmp_path / "b.db", db=tmp_path / "text.db", code=2)
    assert "No such file" in tidings("backup", tmp_path / "nowhere" / "b.db", db=database, code=2)
    assert [] == list(tmp_path.glob("b.db*"))


# shows: reliability/backup-restored
def test_a_restored_database_has_the_messages_of_the_copy_and_tells_clients_to_reload(
    served: Node, tmp_path: Path
) -> None:
    """The way back: stop, restore, start. Cursors of before are answered with reset (PROTOCOL 6.2.3)."""
    alice, bob = served.person("alice"), served.person("bob")
    alice.sends(bob, "in the copy")
    tidings("backup", tmp_path / "copy.db", db=served.database)
    alice.sends(bob, "after the copy")
    cursor = bob.head()

    complaint = tidings("restore", tmp_path / "copy.db", db=served.database, code=2)
    assert served.process is not None
    assert f"process {served.process.pid}: stop it" in complaint
    assert ["in the copy", "after the copy"] == texts(bob, alice)

    served.stop()
    tidings("restore", tmp_path / "copy.db", db=served.database)
    served.restart()
    assert ["in the copy"] == texts(bob, alice)
    assert "other_epoch" == bob.events(cursor)["reset"]["reason"]
    with bob.opens_stream(cursor) as stream:
        assert "other_epoch" == stream.until("reset").data["reason"]
    (aside,) = [path for path in served.directory.glob("*.before-restore-*") if path.suffix not in ("-wal", "-shm")][:1]
    assert [(2,)] == ask(aside, "SELECT count(*) FROM messages")


def test_files_that_two_restores_of_one_second_put_aside_have_two_names(tmp_path: Path) -> None:
    """One process may do both: the host's own program, or a test of it."""
    url = f"sqlite:///{tmp_path / 'a.db'}"
    tidings("migrate", db=tmp_path / "a.db")
    tidings("backup", tmp_path / "copy.db", db=tmp_path / "a.db")
    for _ in range(3):
        open_maintenance(url).restore(str(tmp_path / "copy.db"))
    assert 3 == len(list(tmp_path.glob("a.db.before-restore-*")))


def test_a_file_that_root_restores_belongs_to_the_owner_of_the_directory(tmp_path: Path) -> None:
    """A service with a user of its own opens what an operator restored as root, from where that user may not read, and
    everything else that a command made there; a backup belongs to whom its own directory belongs.
    """
    tidings("migrate", db=tmp_path / "a.db")
    tidings("backup", tmp_path / "copy", db=tmp_path / "a.db")
    owner = (12345, 12346) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    for closed in (False, True):  # as systemd closes the directory above that of a service with DynamicUser=yes
        above = Path(mkdtemp(prefix="tidings-", dir=tmp_path if closed else None))
        above.chmod(0o700 if closed else 0o755)
        place = above / "of-a-service"
        place.mkdir()
        os.chown(place, *owner)
        tidings("restore", tmp_path / "copy", db=place / "b.db")
        tidings("migrate", db=place / "c.db")
        tidings("restore", tmp_path / "copy", db=place / "c.db")
        tidings("backup", place / "d.db", db=tmp_path / "a.db")
        tidings("backup", tmp_path / f"e-{closed}.db", db=place / "b.db")
        tidings("erase", "--user", "nobody", db=place / "b.db")
        assert {owner} == {(each.stat().st_uid, each.stat().st_gid) for each in place.iterdir()}
        assert 4 <= len(list(place.iterdir()))
        assert os.geteuid() == (tmp_path / f"e-{closed}.db").stat().st_uid
        shutil.rmtree(above)


def test_a_damaged_copy_is_not_restored(tmp_path: Path) -> None:
    """The copy is checked first; the database stays."""
    with Node(tmp_path / "node") as node:
        alice, bob = node.person("alice"), node.person("bob")
        for number in range(40):
            alice.sends(bob, f"{number} " + "x" * 1000)
        tidings("backup", tmp_path / "copy.db", db=node.database)
    whole = (tmp_path / "copy.db").read_bytes()
    for name, content in {"cut": whole[: len(whole) // 2], "noise": os.urandom(8192), "empty": b""}.items():
        (tmp_path / name).write_bytes(content)
        tidings("restore", tmp_path / name, db=node.database, code=2)
    assert "there is no file" in tidings("restore", tmp_path / "none", db=node.database, code=2)
    assert [(40,)] == ask(node.database, "SELECT count(*) FROM messages")
    assert [] == [path.name for path in (tmp_path / "node").iterdir() if "partial" in path.name]


# export


def test_an_export_has_everything_of_a_user_and_nothing_of_others(
    shared: Node, alice: Person, bob: Person, carol: Person
) -> None:
    """Conversations, messages in both directions, receipts; as JSON lines, beside the running server."""
    for number in range(3):
        alice.sends(bob, f"to bob {number}", client_id=f"k{number}")
    bob.sends(alice, "from bob")
    bob.receipts(alice, read_upto=2)
    carol.sends(bob, "none of alice's business")
    carol.posts("/block", {"chatUserId": alice.id}).raise_for_status()
    alice.posts("/block", {"chatUserId": carol.id}).raise_for_status()
    alice.posts("/report", {"chatUserId": bob.id, "reason": "rude"}).raise_for_status()

    entries = [json.loads(line) for line in tidings("export", "--user", alice, db=shared.database).splitlines()]

    assert ["user", "conversation", *["message"] * 4, "message_read", "block", "report"] == [
        entry["type"] for entry in entries
    ]
    assert alice.id == entries[0]["data"]["id"]
    assert (bob.id, 4, 1) == tuple(entries[1]["data"][name] for name in ("user_id", "messages", "unread"))
    assert alice.history(bob)["messages"] == [entry["data"] for entry in entries if entry["type"] == "message"]
    receipt, block, report = (entry["data"] for entry in entries[-3:])
    assert (bob.id, 2, carol.id) == (receipt["by"], receipt["upto"], block["user_id"])
    assert (bob.id, "rude") == (report["user_id"], report["reason"])
    assert "business" not in json.dumps(entries)


def test_an_export_is_complete_however_much_there_is(served: Node) -> None:
    """Several pages of conversations, and of messages in one."""
    served_by_sql = served.person("busy")
    served_by_sql.sends("p0", "first")
    served.stop()
    with contextlib.closing(sqlite3.connect(served.database)) as connection:
        for peer in range(1, 250):
            _converse(connection, "busy", f"p{peer}", 1)
        _converse(connection, "busy", "much", 1200)
        connection.commit()
    entries = [json.loads(line) for line in tidings("export", "--user", "busy", db=served.database).splitlines()]
    served.restart()

    count = {kind: sum(entry["type"] == kind for entry in entries) for kind in ("conversation", "message")}
    assert {"conversation": 251, "message": 1450} == count
    assert 1450 == len({entry["data"]["_id"] for entry in entries if entry["type"] == "message"})


def test_an_export_of_nobody_is_a_sentence(tmp_path: Path) -> None:
    """It is no failure, and ends as an erasure of nobody does: exit 0, and a sentence beside an empty output."""
    tidings("migrate", db=tmp_path / "a.db")
    for command in ("export", "erase"):
        words = [PROGRAM, command, "--user", "nobody", "--db", f"sqlite:///{tmp_path}/a.db"]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        assert (0, "", "nothing is kept of nobody\n") == (done.returncode, done.stdout, done.stderr)
    assert "--user" in tidings("export", "--user", "a/b", db=tmp_path / "a.db", code=2)


# erase


def test_an_erased_user_leaves_threads_with_empty_messages_under_another_name(
    shared: Node, alice: Person, bob: Person
) -> None:
    """PROTOCOL 4.1.11, 4.1.12: texts, ids and name go; the other side's thread, ticks and log stay whole."""
    start = bob.head()
    alice.sends(bob, "a secret of alice", client_id="k1")
    bob.sends(alice, "an answer of bob")
    alice.receipts(bob, read_upto=2)
    log_before = bob.events(start)["events"]

    assert "erased 1 messages" in tidings("erase", "--user", alice, db=shared.database)

    (conversation,) = bob.inbox()["conversations"]
    name = conversation["user"]["id"]
    assert name.startswith("erased-")
    assert "alice" not in name
    page = bob.history(name)
    assert [("", "deleted", name), ("an answer of bob", "text", bob.id)] == [
        (message["text"], message["message_type"], message["sender_id"]) for message in page["messages"]
    ]
    assert [None, None] == [message["client_id"] for message in page["messages"]]
    assert 2 == page["watermarks"]["peer_read_upto"]
    log_after = bob.events(start)["events"]
    assert [(event["id"], event["type"]) for event in log_before] == [
        (event["id"], event["type"]) for event in log_after
    ]
    assert "alice" not in json.dumps(log_after)
    assert "secret" not in json.dumps(log_after)
    assert [] == bob.history(alice)["messages"]


def test_nobody_writes_to_an_erased_user_and_the_id_begins_anew(shared: Node, alice: Person, bob: Person) -> None:
    """PROTOCOL 9.0.19. A person that comes under the same id again is somebody else, with an empty log."""
    sent = bob.sends(alice, "hello", client_id="kept")
    cursor = alice.head()
    alice.sends(bob, "hi", client_id="used")
    tidings("erase", "--user", alice, db=shared.database)
    (conversation,) = bob.inbox()["conversations"]

    refused(bob.posts("/send", {"recipientId": conversation["user"]["id"], "text": "?"}), 403, "not_allowed")
    again = bob.sends(alice, "hello", client_id="kept")  # a retry of what was acknowledged before
    assert sent["_id"] == again["_id"]

    assert [] == alice.inbox()["conversations"]
    assert "future" == alice.events(cursor)["reset"]["reason"]
    alice.sends(bob, "I am new", client_id="used")
    assert ["I am new"] == texts(bob, alice)


def test_erasing_twice_does_nothing_more(shared: Node, alice: Person, bob: Person) -> None:
    """Idempotent; and a user never seen is no failure."""
    alice.sends(bob, "x")
    tidings("erase", "--user", alice, db=shared.database)
    before = ask(shared.database, "SELECT * FROM messages")
    assert "" == tidings("erase", "--user", alice, db=shared.database)
    assert before == ask(shared.database, "SELECT * FROM messages")


def test_an_erased_user_blocks_nobody_and_a_new_one_of_the_same_id_neither(
    shared: Node, alice: Person, bob: Person
) -> None:
    """The list goes with the user; a block against the erased one does not reach whoever comes under the id again."""
    for one, other in ((alice, bob), (bob, alice)):
        one.posts("/block", {"chatUserId": other.id}).raise_for_status()

    tidings("erase", "--user", alice, db=shared.database)

    assert [] == alice.gets("/blocked/me").json()["blocked"]
    (blocked,) = bob.gets("/blocked/me").json()["blocked"]
    assert blocked["user"]["id"].startswith("erased-")
    alice.sends(bob, "somebody else now")
    bob.sends(alice, "hello")


def test_an_interrupted_erasure_is_finished_by_the_next(tmp_path: Path) -> None:
    """The name goes last: killed in the middle of 20,000 messages, done again, nothing is left."""
    database = tmp_path / "a.db"
    tidings("migrate", db=database)
    with contextlib.closing(sqlite3.connect(database)) as connection:
        _converse(connection, "alice", "bob", 20_000)
        connection.commit()
    count = "SELECT count(*) FROM messages WHERE type = 'deleted'"
    command = subprocess.Popen([PROGRAM, "erase", "--user", "alice", "--db", f"sqlite:///{database}"])
    wait_for(lambda: ask(database, count) > [(0,)], what="the first slice")
    command.kill()
    command.wait()
    assert [(1,)] == ask(database, "SELECT count(*) FROM users WHERE name = 'alice'"), "killed too late to be a test"

    tidings("erase", "--user", "alice", db=database)

    assert [(20_000,)] == ask(database, count)
    assert [(0,)] == ask(database, "SELECT count(*) FROM users WHERE name = 'alice'")
    assert [("ok",)] == ask(database, "PRAGMA integrity_check")


def test_a_user_is_erased_while_others_write(shared: Node, alice: Person, bob: Person, carol: Person) -> None:
    """Beside the server, in slices: sends go on, none fails, and the thread stays dense."""
    alice.sends(bob, "first")
    shared.stop()
    with contextlib.closing(sqlite3.connect(shared.database)) as connection:
        _converse(connection, alice.id, f"dora of {alice}", 5_000)
        connection.commit()
    shared.restart()
    done: list[str] = []
    erasing = threading.Thread(target=lambda: done.append(tidings("erase", "--user", alice, db=shared.database)))
    start = carol.head()
    erasing.start()
    count = 0
    while erasing.is_alive() or count < 20:
        carol.sends(bob, f"{count}")
        count += 1
    erasing.join()
    assert "erased 5001 messages" in done[0]
    assert (
        list(range(1, count + 1)) == [event["data"]["seq"] for event in carol.events(start, limit=500)["events"]]
        or count > 500
    )
    assert bob.inbox()["conversations"][-1]["user"]["id"].startswith("erased-")


# retention


# shows: reliability/retention
def test_a_log_keeps_its_newest_events_and_history_keeps_everything(served: Node) -> None:
    """Below the floor: expired (PROTOCOL 6.2.5). At it and above: everything after it. Nothing lost to reading."""
    alice, bob = served.person("alice"), served.person("bob")
    for number in range(30):
        alice.sends(bob, f"{number}")
    cursors = [event["id"] for event in bob.events(_first_cursor(bob))["events"]]
    listing = ["--events-max", "10"]

    assert "would remove 40 events from 2 logs" in tidings("retention", *listing, "--dry-run", db=served.database)
    assert 30 == len(bob.events(_first_cursor(bob))["events"])
    assert "removed 40 events from 2 logs; 20 are kept" in tidings("retention", *listing, db=served.database)

    assert "expired" == bob.events(cursors[18])["reset"]["reason"]
    assert [str(number) for number in range(20, 30)] == [
        event["data"]["text"] for event in bob.events(cursors[19])["events"]
    ]
    with bob.opens_stream(cursors[5]) as stream:
        assert "expired" == stream.until("reset").data["reason"]
    assert [str(number) for number in range(30)] == texts(bob, alice)
    assert "removed 0 events" in tidings("retention", *listing, db=served.database)


# shows: reliability/clock-jumps
def test_age_counts_too_and_the_head_always_stays(served: Node) -> None:
    """Whichever keeps less; a log of which everything is old keeps its last event, so that cursors go on."""
    alice, bob = served.person("alice"), served.person("bob")
    for number in range(5):
        alice.sends(bob, f"{number}")
    served.stop()
    two_days_ms = 2 * 86_400_000
    with contextlib.closing(sqlite3.connect(served.database)) as connection:
        connection.execute("UPDATE feed SET ts = ts - ? WHERE cur <= 3", (two_days_ms,))
        connection.commit()
    assert "removed 0 events" in tidings("retention", "--older-than", "3d", db=served.database)
    assert "removed 6 events from 2 logs" in tidings("retention", "--older-than", "36h", db=served.database)
    with contextlib.closing(sqlite3.connect(served.database)) as connection:
        connection.execute("UPDATE feed SET ts = ts - ?", (two_days_ms,))
        connection.commit()
    assert "removed 2 events from 2 logs; 2 are kept" in tidings("retention", "--older-than", "1d", db=served.database)
    served.restart()
    cursor = bob.head()
    assert [] == bob.events(cursor)["events"]
    alice.sends(bob, "next")
    assert ["next"] == [event["data"]["text"] for event in bob.events(cursor)["events"]]


def test_a_server_trims_by_itself_while_it_takes_messages(start_node: Callable[..., Node]) -> None:
    """Soon after the start, then every hour; streams go on."""
    node = start_node(log_events_max=50, sends_per_s=100_000, sends_burst=100_000)
    alice, bob = node.person("alice"), node.person("bob")
    with bob.opens_stream() as stream:
        stream.live()
        for number in range(120):
            alice.sends(bob, f"{number}")
        floor = "SELECT min(floor) FROM users"
        wait_for(lambda: ask(node.database, floor)[0][0] > 0, what="a floor")
        alice.sends(bob, "last")
        wait_for(lambda: "retention removed events" in node.stderr, what="a line in the log")
        assert [*map(str, range(120)), "last"] == [stream.until("new_message").data["text"] for _ in range(121)]
    assert 121 == len(texts(bob, alice))


def test_retention_of_a_long_log_takes_many_slices_between_which_others_write(served: Node) -> None:
    """40,000 events go in transactions of a thousand while a person writes: every send is acknowledged meanwhile."""
    alice, bob = served.person("alice"), served.person("bob")
    alice.sends(bob, "x")
    served.stop()
    with contextlib.closing(sqlite3.connect(served.database)) as connection:
        _converse(connection, "old", "older", 20_000)
        connection.commit()
    served.restart()
    done: list[str] = []
    command = ["retention", "--events-max", "5000"]
    trimming = threading.Thread(target=lambda: done.append(tidings(*command, db=served.database)))
    floors = "SELECT floor FROM users WHERE name IN ('old', 'older')"
    seen = set()
    trimming.start()
    while trimming.is_alive():
        alice.sends(bob, "in between")
        seen |= set(ask(served.database, floors))
    trimming.join()
    assert "removed 30000 events from 2 logs" in done[0]
    assert [(15_000,), (15_000,)] == ask(served.database, floors)
    assert len(seen) > 3, seen


def _first_cursor(person: Person) -> str:
    """The cursor of position 0: the epoch is that of any cursor."""
    return f"{person.head().partition('-')[0]}-0-0"


def _converse(connection: sqlite3.Connection, one: str, other: str, count: int, chat: str = "chat") -> None:
    """Write a whole conversation, every message by ``one``, as a server would have: quicker than by sending.

    Version 1 of the schema has ``peer`` for ``chat``.
    """
    ids = []
    for name in (one, other):
        connection.execute("INSERT OR IGNORE INTO users(name) VALUES (?)", (name,))
        ids.append(connection.execute("SELECT uid, head FROM users WHERE name = ?", (name,)).fetchone())
    (sender, head), (recipient, recipient_head) = ids
    (cid,) = connection.execute("UPDATE meta SET v = v + 1 WHERE k = 'conversations' RETURNING v").fetchone()
    now_ms = time.time_ns() // 1_000_000
    numbers = range(1, count + 1)
    connection.executemany(
        "INSERT INTO messages(id, sender, nth, type, ts, body) VALUES (?, ?, ?, 'text', ?, ?)",
        [(cid << 24 | n, sender, n, now_ms, f"text {n}") for n in numbers],
    )
    connection.executemany(
        f"INSERT INTO feed(uid, cur, kind, {chat}, mid, ts) VALUES (?, ?, 1, ?, ?, ?)",
        [(sender, head + n, recipient, cid << 24 | n, now_ms) for n in numbers]
        + [(recipient, recipient_head + n, sender, cid << 24 | n, now_ms) for n in numbers],
    )
    connection.executemany(
        f"INSERT INTO members(uid, {chat}, cid, last_cur, last_seq, recv_n) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (sender, recipient, cid, head + count, count, 0),
            (recipient, sender, cid, recipient_head + count, count, count),
        ],
    )
    if chat == "chat":
        connection.execute("UPDATE members SET tag = cid WHERE cid = ?", (cid,))
    connection.executemany("UPDATE users SET head = head + ? WHERE uid = ?", [(count, sender), (count, recipient)])
