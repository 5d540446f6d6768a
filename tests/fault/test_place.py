"""A database is its file and not a name: a server whose files are moved, removed, exchanged, or have two names.

Everything that was acknowledged is there afterwards, or a sentence says where it is and what to do (I1).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from lab.node import Node, Person
from lab.process import wait_for

PROGRAM = str(Path(sys.executable).with_name("tidings"))
NOTICED_S = 5.0  # until a server that lost its file takes nothing any more


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "node")


@pytest.fixture(scope="module", autouse=True)
def refused_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Node, Future[None]]]:
    """A node, and a second one on another name of its file that waits to be refused while other tests here run."""
    with Node(tmp_path_factory.mktemp("first")) as first, ThreadPoolExecutor(1) as pool:
        second = Node(tmp_path_factory.mktemp("second"), database=tmp_path_factory.mktemp("elsewhere") / "other.db")
        os.link(first.database, second.database)
        yield first, second, pool.submit(second.start)
        second.kill()


def command(node: Node, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A command on a node's database."""
    words = [PROGRAM, *map(str, arguments), "--db", f"sqlite:///{node.database}"]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


def texts(person: Person, peer: str) -> list[str]:
    return [message["text"] for message in person.history(peer, limit=200)["messages"]]


def sends_until_refused(ada: Person) -> list[str]:
    """Send until a send is not taken any more, which must be soon; what was acknowledged.

    When sends are refused, and the server is still there to be asked, it is not ready, and does not say where its files
    are.
    """
    acknowledged: list[str] = []
    end = time.monotonic() + NOTICED_S
    with contextlib.suppress(httpx2.TransportError):  # it may have ended between two sends
        while True:
            text = f"while it is away {len(acknowledged)}"
            answer = ada.posts("/send", {"recipientId": "ben", "text": text})
            if answer.status_code == 503:
                readiness = ada.node.http.get(f"{ada.node.url}/readyz")
                assert (503, True) == (readiness.status_code, str(ada.node.directory) not in readiness.text)
                break
            assert (201, True) == (answer.status_code, time.monotonic() < end), "it goes on acknowledging"
            acknowledged.append(text)
            time.sleep(0.05)
    return acknowledged


def ended(node: Node) -> int:
    """The exit status of a node that ends by itself."""
    assert node.process is not None
    code = node.process.wait(20)
    node.kill()
    return code


def refused_start(node: Node, *, code: int = 2) -> str:
    """The sentence with which a start is refused."""
    before = len(node.output)
    with pytest.raises(AssertionError, match=f"ended with {code} at start"):
        node.restart()
    return node.output[before:].strip()


@pytest.mark.parametrize("lost", ["", "-wal", "-shm", "-wal -shm"], ids=["file", "wal", "shm", "both"])
def test_messages_acknowledged_before_a_file_was_removed_are_there_after_the_restart(node: Node, lost: str) -> None:
    """Under a running server. It takes nothing any more within 5 s, says so in its log, puts what it has into its
    place, and exits with 1, after which a supervisor starts another. PROTOCOL 9.0.1
    """
    with node:
        ada = node.person("ada")
        sent = [ada.sends("ben", f"before {number}")["text"] for number in range(5)]
        for ending in lost.split(" "):
            Path(f"{node.database}{ending}").unlink()

        sent += sends_until_refused(ada)

        assert 1 == ended(node)
        assert "not in its place any more" in node.stderr
        node.restart()
        assert sent == texts(node.person("ben"), "ada")
        node.person("ada").sends("ben", "and on")


def emptied(node: Node) -> None:
    """Its log, in place."""
    os.truncate(f"{node.database}-wal", 0)


def overwritten(node: Node) -> None:
    """Its file, in place, by a copy of before, as ``cp`` does."""
    with open(node.database, "r+b") as file:
        file.truncate(0)
        file.write((node.directory / "copy").read_bytes())


def log_overwritten(node: Node) -> None:
    """Its log, in place, by itself as it was when it was shorter."""
    with open(f"{node.database}-wal", "r+b") as file:
        file.truncate(0)
        file.write((node.directory / "log").read_bytes())


@pytest.mark.parametrize("change", [emptied, overwritten, log_overwritten], ids=lambda change: change.__name__)
@pytest.mark.parametrize("is_stopped", [False, True], ids=["running", "stopping"])
def test_files_that_are_changed_under_a_running_server_are_noticed_and_what_it_has_is_saved(
    node: Node, change: Callable[[Node], None], is_stopped: bool
) -> None:
    """In place, so that each name leads to the same file as before. It takes nothing any more, writes nothing into
    them, also when it is told to stop before it has looked, and exits with 2: another start would not mend it. That is
    refused with the name of the copy that it left, which has everything.
    """
    node.start()
    ada = node.person("ada")
    sent = [ada.sends("ben", "before")["text"]]
    assert 0 == command(node, "backup", node.directory / "copy").returncode
    shutil.copyfile(f"{node.database}-wal", node.directory / "log")
    sent += [ada.sends("ben", f"after {number}" + "x" * 4000)["text"] for number in range(20)]
    change(node)
    changed = node.database.read_bytes()
    if is_stopped:
        node.signal_stop()
    elif change is log_overwritten:
        wait_for(lambda: "was changed in its place" in node.stderr, what="a look")  # sends would fill the gap for it
    else:
        sent += sends_until_refused(ada)

    assert 2 == ended(node)
    assert 1 == node.stderr.count("was changed in its place by another program; nothing is taken until a restart")
    assert changed == node.database.read_bytes()
    (rescued,) = node.directory.glob("tidings.db.rescued-*")
    if change is not log_overwritten:  # such a log may be one that a power cut left
        assert f"tidings restore {rescued}" in refused_start(node)
    assert 0 == command(node, "restore", rescued).returncode
    node.restart()
    assert sent == texts(node.person("ben"), "ada")
    node.person("ada").sends("ben", "and on")
    node.kill()


def test_a_log_that_another_was_put_in_place_of_does_not_stand_in_the_way_of_the_restart(node: Node) -> None:
    """All is in the file then; the other one is moved aside, under a name that says so, and not removed."""
    with node:
        ada = node.person("ada")
        sent = [ada.sends("ben", "before")["text"]]
        copy = node.directory / "copy"
        shutil.copyfile(f"{node.database}-wal", copy)
        before = copy.read_bytes()
        os.replace(copy, f"{node.database}-wal")
        sent += sends_until_refused(ada)
        assert 1 == ended(node)
        (aside,) = node.directory.glob("tidings.db-wal.not-its-own-*")
        assert before == aside.read_bytes()
        assert str(aside) in node.stderr
        node.restart()
        assert sent == texts(node.person("ben"), "ada")


def test_a_log_that_was_emptied_is_missed(node: Node) -> None:
    """Of a server that was killed, as one that was removed: a start without a word would lose what was acknowledged."""
    with node:
        node.person("ada").sends("ben", "lost with the log")
        node.kill()
        log = Path(f"{node.database}-wal")
        kept = log.read_bytes()
        for left in (b"", kept[:32], bytes(len(kept))):
            log.write_bytes(left)
            assert "-wal was emptied" in refused_start(node)
        assert "-wal was emptied" in command(node, "backup", node.directory / "copy").stderr
        log.write_bytes(kept)
        node.restart()
        assert ["lost with the log"] == texts(node.person("ben"), "ada")


def test_a_database_that_turns_out_damaged_is_served_no_more(node: Node) -> None:
    """Met by a reader: sends are refused from then on, and it exits with 2. No start of it says that it serves."""
    with node:
        ada = node.person("ada")
        for number in range(40):
            ada.sends("ben", f"{number} " + "x" * 4000)
        node.stop()
        node.restart()  # so that the pages are read from the file
        size = node.database.stat().st_size
        with open(node.database, "r+b") as file:
            file.seek(2 * 4096)
            file.write(b"\xff" * (size - 2 * 4096))
        answer = node.person("ben").gets("/ada")
        assert 503 == answer.status_code
        sends_until_refused(node.person("ada"))
        assert 2 == ended(node)
        assert "restore the last backup" in refused_start(node)


def test_a_copy_that_a_stop_finds_without_a_directory_is_put_elsewhere(node: Node, tmp_path: Path) -> None:
    """The process has the only one, and may not go on: the copy is where it can be, and the exit code is not 0."""
    node.database = tmp_path / "parent" / "data" / "tidings.db"
    node.database.parent.mkdir(parents=True)
    with node:
        sent = [node.person("ada").sends("ben", "before")["text"]]
        shutil.rmtree(node.database.parent)
        node.signal_stop()
        assert 2 == ended(node)
        (rescued,) = (tmp_path / "parent").glob("tidings-rescued-*/tidings.db.rescued-*")
        assert f"all that was acknowledged is in {rescued}" in node.stderr
        assert (0o600, 0o700) == (rescued.stat().st_mode & 0o777, rescued.parent.stat().st_mode & 0o777)
        node.database.parent.mkdir()
        assert 0 == command(node, "restore", rescued).returncode
        node.restart()
        assert sent == texts(node.person("ben"), "ada")


def test_a_file_that_was_removed_just_before_a_stop_is_there_after_it(node: Node) -> None:
    """The last look is taken when the server stops."""
    with node:
        node.person("ada").sends("ben", "kept")
        node.database.unlink()
        node.signal_stop()
        assert 0 == ended(node)
        node.restart()
        assert ["kept"] == texts(node.person("ben"), "ada")


def test_a_file_that_another_was_put_in_place_of_is_kept_beside_it(node: Node, tmp_path: Path) -> None:
    """Which of them counts is for people: it exits with 2, after which nobody starts it by itself; the one that was put
    there is as it was, and the other one is a whole database beside it.
    """
    with Node(tmp_path / "other") as other:
        other.person("ada").sends("ben", "of another")
    before = other.database.read_bytes()
    with node:
        ada = node.person("ada")
        sent = [ada.sends("ben", "of this one")["text"]]
        os.replace(other.database, node.database)
        sent += sends_until_refused(ada)
        assert 2 == ended(node)
        assert before == node.database.read_bytes()
        (rescued,) = node.directory.glob("tidings.db.rescued-*")
        assert f"all that was acknowledged is in {rescued}" in node.stderr
        assert 0o600 == rescued.stat().st_mode & 0o777

        node.restart()
        assert f"{rescued} is what a server saved" in node.stderr
        assert ["of another"] == texts(node.person("ben"), "ada")
        node.stop()
        assert 0 == command(node, "restore", rescued).returncode
        node.restart()
        assert sent == texts(node.person("ben"), "ada")


def test_a_database_whose_directory_was_moved_is_whole_where_it_is(node: Node, tmp_path: Path) -> None:
    """Nothing can be put into a place that is no more, and nothing has to be. It exits with 2."""
    with node:
        ada = node.person("ada")
        node.database = tmp_path / "data" / "tidings.db"
        node.stop()
        node.database.parent.mkdir()
        node.restart()
        sent = [ada.sends("ben", "before")["text"]]
        os.rename(node.database.parent, tmp_path / "moved")
        sent += sends_until_refused(ada)
        assert 2 == ended(node)
        node.database = tmp_path / "moved" / "tidings.db"
        node.restart()
        assert sent == texts(node.person("ben"), "ada")


def test_a_database_whose_directory_was_removed_is_put_there_when_there_is_one_again(
    node: Node, tmp_path: Path
) -> None:
    """Until then only the process has it: it lives on, takes nothing, and says so again and again."""
    node.database = tmp_path / "data" / "tidings.db"
    node.database.parent.mkdir()
    with node:
        ada = node.person("ada")
        sent = [ada.sends("ben", "before")["text"]]
        shutil.rmtree(node.database.parent)
        sent += sends_until_refused(ada)
        wait_for(lambda: "cannot be saved" in node.stderr, what="a try")
        assert 503 == node.http.get(f"{node.url}/readyz").status_code
        assert sent == texts(node.person("ben"), "ada")
        node.database.parent.mkdir()
        assert 1 == ended(node)
        node.restart()
        assert sent == texts(node.person("ben"), "ada")


def test_one_file_has_one_server_whatever_it_is_called(
    refused_node: tuple[Node, Node, Future[None]], tmp_path: Path
) -> None:
    """A second server under another name waits and is refused, and commands that need the server stopped, too."""
    first, second, starting = refused_node
    assert first.process is not None
    holder = f"process {first.process.pid}"
    ada = first.person("ada")
    ada.sends("ben", "hi")
    linked = Node(tmp_path, database=tmp_path / "link.db")
    linked.database.symlink_to(first.database)
    for other in (linked, second):
        for words in (["migrate"], ["restore", first.database]):
            done = command(other, *words)
            assert (2, True) == (done.returncode, holder in done.stderr), done.stderr
    assert '"text": "hi"' in command(linked, "export", "--user", "ada").stdout
    # What was committed last is beside the other name.
    assert "served under another name" in command(second, "export", "--user", "ada").stderr
    with pytest.raises(AssertionError, match="ended with 1 at start"):  # after its wait
        starting.result(20)
    assert f"database is served by {holder}" in second.stderr
    ada.sends("ben", "and on")
    places = {each.parent for each in (first.database, second.database, linked.database)}
    files = {path for place in places for path in place.rglob("*.db") if not path.is_symlink()}
    assert {first.database, second.database} == files


def test_restoring_by_a_link_changes_the_file_and_leaves_the_link(node: Node, tmp_path: Path) -> None:
    """The service's own name for it shows what was restored."""
    with node:
        node.person("ada").sends("ben", "in the copy")
        assert 0 == command(node, "backup", tmp_path / "copy").returncode
        node.person("ada").sends("ben", "after it")
    linked = Node(tmp_path / "linked", database=tmp_path / "link.db")
    linked.database.symlink_to(node.database)

    assert 0 == command(linked, "restore", tmp_path / "copy").returncode

    assert linked.database.is_symlink()
    node.restart()
    try:
        assert ["in the copy"] == texts(node.person("ben"), "ada")
    finally:
        node.stop()


def test_a_file_that_is_mounted_by_itself_is_refused(node: Node) -> None:
    """The last commits are in a file beside it, which would stay in the container and go with it."""
    node.directory.mkdir(parents=True)
    inside = node.directory / "inside"
    inside.mkdir()
    node.database.touch()
    (inside / "tidings.db").touch()
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    mount = 'mount --bind "$0" "$1" && shift && exec "$@"'
    node.under = ["unshare", *rights, "--mount", "sh", "-c", mount, str(node.database), str(inside / "tidings.db")]
    node.database = inside / "tidings.db"
    with pytest.raises(AssertionError, match="ended with 2 at start"):
        node.start()
    assert "mounted by itself" in node.stderr
    assert "mount its directory instead" in node.stderr


def _copied_by_sqlite(node: Node, copy: Path) -> None:
    with contextlib.closing(sqlite3.connect(node.database)) as source, contextlib.closing(sqlite3.connect(copy)) as new:
        source.backup(new)


def test_a_copy_of_the_very_log_is_not_undone(node: Node, tmp_path: Path) -> None:
    """Made through SQLite, between two foldings of the log: with it, it would be the file of before."""
    copy = tmp_path / "copy.db"
    with node:
        node.person("ada").sends("ben", "in the copy")
        _copied_by_sqlite(node, copy)
        node.person("ada").sends("ben", "after it")
        node.kill()
        shutil.copyfile(copy, node.database)
        assert "-wal belongs to another file" in refused_start(node)
        Path(f"{node.database}-wal").unlink()
        node.restart()
        assert ["in the copy"] == texts(node.person("ben"), "ada")


def test_a_log_that_is_missing_is_missed(node: Node) -> None:
    """Of a server that was killed, what was committed last is in it: a start without it says so, and how to go on. Then
    clients are told to reload by another epoch. PROTOCOL 6.2.3
    """
    with node:
        node.person("ada").sends("ben", "lost with the log")
        cursor = node.person("ben").head()
        node.kill()
        log = Path(f"{node.database}-wal")
        kept = log.read_bytes()
        log.unlink()
        assert "-wal is missing" in refused_start(node)
        assert "-wal is missing" in command(node, "backup", node.directory / "copy").stderr
        log.write_bytes(kept)
        node.restart()
        assert ["lost with the log"] == texts(node.person("ben"), "ada")

        node.kill()
        log.unlink()
        assert 0 == command(node, "restore", node.database).returncode
        node.restart()
        assert "other_epoch" == node.person("ben").events(cursor)["reset"]["reason"]


def test_a_file_that_is_missing_beside_its_log_is_missed(node: Node, tmp_path: Path) -> None:
    """It is not begun anew: SQLite would remove the log."""
    with node:
        node.person("ada").sends("ben", "kept")
        node.kill()
        os.rename(node.database, tmp_path / "away.db")
        assert "bring the file back" in refused_start(node)
        assert not node.database.exists()
        os.rename(tmp_path / "away.db", node.database)
        node.restart()
        assert ["kept"] == texts(node.person("ben"), "ada")


def test_a_new_database_is_read_by_its_owner_only(node: Node) -> None:
    """This holds under every umask: the file, its log, a backup, and what is restored."""
    former = os.umask(0o022)
    try:
        with node:
            node.person("ada").sends("ben", "hi")
            copy = node.directory / "copy"
            assert 0 == command(node, "backup", copy).returncode
            made = [*node.directory.glob("tidings.db*"), copy]
            assert {0o600} == {path.stat().st_mode & 0o777 for path in made}
            assert 4 == len(made)
        assert 0 == command(node, "restore", copy).returncode
        assert 0o600 == node.database.stat().st_mode & 0o777
    finally:
        os.umask(former)
