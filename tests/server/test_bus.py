"""Two nodes of one database: whatever is asked of one holds on the other, by NOTIFY and by NATS."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from lab import nats, postgres
from lab.certificate import make_certificate
from lab.nats import Nats
from lab.node import Frame, Node, Person, Stream
from lab.process import wait_for
from tests.server.test_identity_revocation import Host
from tidings.errors import ConfigurationError
from tidings.server.config import Config
from tidings.server.live.bus.open import open_bus

GRACE_S = 0.5
KINDS = ("notify", "nats")
PASSWORD = "not-for-any-log"

_numbers = itertools.count(1)


def new_database() -> str:
    """The URL of a schema that nobody has used."""
    return postgres.shared().url(schema=f"b_{os.getpid()}_{next(_numbers)}")


class Pair(NamedTuple):
    """Two nodes, and people of them whom no other test has met."""

    one: Node
    two: Node

    def people(self, *names: str) -> list[tuple[Person, Person]]:
        """Each as a user of the first node, and of the second."""
        number = next(_numbers)
        return [(self.one.person(f"{name}{number}"), self.two.person(f"{name}{number}")) for name in names]

    def friends(self, *names: str) -> list[tuple[Person, Person]]:
        """Likewise, each of whom has written to all others."""
        people = self.people(*names)
        for one, other in itertools.permutations(people, 2):
            one[0].sends(other[0], "hello")
        return people


def bus_of(kind: str) -> dict[str, str]:
    return {"bus": nats.shared().url()} if kind == "nats" else {}


def settings(kind: str) -> dict[str, Any]:
    return {"db": new_database(), "presence_grace_s": GRACE_S, "signals_per_s": 1_000.0, **bus_of(kind)}


def metric(node: Node, name: str) -> float:
    lines = httpx2.get(f"{node.url}/metrics", trust_env=False).text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def know_each_other(*nodes: Node) -> None:
    """Return when each has heard all others."""
    wait_for(lambda: all(metric(node, "tidings_bus_neighbours") == len(nodes) - 1 for node in nodes), what="neighbours")


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two nodes on one database, which know each other, and whose presence is settled."""
    limits = settings(request.param)
    with Node(tmp_path_factory.mktemp("one"), **limits) as one, Node(tmp_path_factory.mktemp("two"), **limits) as two:
        know_each_other(one, two)
        yield Pair(one, two)


def says(node: Node, words: str, times: int = 1) -> None:
    """Return when the node has written these words so often."""
    wait_for(lambda: node.output.count(words) >= times, what=words)


def told(stream: Stream, type: str, about: Person) -> list[Frame]:
    """The frames of a type that a stream has got so far about one person."""
    return [frame for frame in stream.frames if frame.type == type and frame.data["chat_user_id"] == about.id]


def shows(stream: Stream, of: Person, *, online: bool) -> None:
    """Return when the stream has got that this person came or went."""
    while stream.until("presence").data != {"chat_user_id": of.id, "online": online}:
        pass


def online(asker: Person, of: Person) -> object:
    answer = asker.posts("/presence", {"chatUserId": of.id})
    assert answer.status_code == 200, answer.text
    return answer.json()["online"]


# What is in a log


# shows: nodes/message
def test_a_message_on_one_node_is_a_frame_on_the_other(pair: Pair) -> None:
    """In order and once, whichever node takes which message; also one that no notification can hold."""
    (ada, ada_there), (ben, ben_there) = pair.friends("ada", "ben")
    with ben_there.opens_stream() as stream:
        stream.live()
        sent = [
            (ada if number % 2 else ada_there).sends(ben, f"{number}" + "ä" * 8_000 * (number == 5))["_id"]
            for number in range(20)
        ]
        assert sent == [stream.until("new_message").data["_id"] for _ in sent]
    assert sent == [each["_id"] for each in ben.history(ada)["messages"]][-20:]


# What is in none


# shows: nodes/typing
def test_typing_reaches_a_stream_on_the_other_node(pair: Pair) -> None:
    """PROTOCOL 13.0.1"""
    (ada, _), (ben, ben_there) = pair.friends("ada", "ben")
    with ben_there.opens_stream() as stream:
        stream.live()
        ada.types_to(ben)
        assert ada.id == stream.until("typing").data["chat_user_id"]


def test_typing_does_not_reach_a_stranger_on_the_other_node(pair: Pair) -> None:
    """PROTOCOL 13.0.2"""
    (ada, _), (eve, _), (ben, ben_there) = pair.people("ada", "eve", "ben")
    eve.sends(ben, "to whom nobody answers")
    ada.sends(ben, "one")
    ben.sends(ada, "two")
    with ben_there.opens_stream() as stream:
        stream.live()
        eve.types_to(ben)
        ada.types_to(ben)
        stream.until("typing")
        assert ([], 1) == (told(stream, "typing", eve), len(told(stream, "typing", ada)))


def test_a_person_on_the_other_node_is_online_and_changes_are_told(pair: Pair) -> None:
    """Asked on one node, read on the other; also where both nodes were asked. PROTOCOL 18.0.6"""
    (ada, ada_there), (ben, ben_there), (zoe, _) = pair.friends("ada", "ben", "zoe")
    with ada_there.opens_stream() as stream, zoe.opens_stream() as of_zoe:
        stream.live()
        with ben_there.opens_stream() as of_ben:
            of_ben.live()
            wait_for(lambda: online(zoe, ben))
            assert [True, True] == [online(asker, ben) for asker in (ada_there, ada)]
            assert wait_for(lambda: online(ada_there, zoe)) is True
        shows(stream, ben, online=False)
        with ben.opens_stream():
            shows(stream, ben, online=True)
        shows(stream, ben, online=False)
        of_zoe.close()
        shows(stream, zoe, online=False)
        changes = [frame.data["online"] for frame in told(stream, "presence", ben)]
        assert [False, True, False] == [each for each, _ in itertools.groupby(changes)], "two watches may tell the same"


# shows: nodes/presence
def test_a_person_with_streams_on_both_nodes_is_there_until_the_last_has_gone(pair: Pair) -> None:
    """Two tabs are one person, wherever they are."""
    (ada, _), (ben, ben_there), (zoe, _), (yan, yan_there) = pair.friends("ada", "ben", "zoe", "yan")
    with ada.opens_stream() as stream, ben.opens_stream() as here, zoe.opens_stream() as of_zoe:
        stream.live()
        with ben_there.opens_stream() as there:
            there.live()
            with yan_there.opens_stream():
                wait_for(lambda: online(zoe, yan), what="what came after the news of the stream there")
            assert (True, True) == (online(ada, ben), online(ada, zoe))
            wait_for(lambda: metric(pair.one, "tidings_streams_open") == 3)
            here.close()
            of_zoe.close()
            assert zoe.id == stream.until("presence").data["chat_user_id"], "the one who has no other stream has gone"
            assert [] == told(stream, "presence", ben)
        assert stream.until("presence").data == {"chat_user_id": ben.id, "online": False}


# shows: nodes/tab
def test_the_same_tab_on_the_other_node_ends_the_stream_of_before(pair: Pair) -> None:
    """PROTOCOL 7.1.8; another tab stays."""
    ((ada, ada_there),) = pair.people("ada")
    with ada.opens_stream(tab="t1") as first, ada.opens_stream(tab="t2") as other:
        first.live()
        other.live()
        with ada_there.opens_stream(tab="t1") as second:
            second.live()
            assert "replaced" == first.until("goodbye").data["reason"]
            first.to_end()
            assert "clean" == first.ended
            ada.sends("nobody", "to myself")
            for stream in (second, other):
                stream.until("new_message")
                assert stream.ended is None


# shows: nodes/revoke
def test_a_block_on_one_node_ends_presence_and_typing_on_the_other(pair: Pair) -> None:
    """In both directions. PROTOCOL 19.0.5"""
    (ada, _), (ben, ben_there), (zoe, _) = pair.friends("ada", "ben", "zoe")
    with ada.opens_stream() as stream, ben_there.opens_stream() as of_ben, zoe.opens_stream() as of_zoe:
        stream.live()
        wait_for(lambda: online(zoe, ben))
        assert [True, True] == [online(ada, each) for each in (ben, zoe)]
        assert 200 == ben_there.posts("/block", {"chatUserId": ada.id}).status_code
        ada.types_to(ben)
        zoe.types_to(ben)
        ben_there.types_to(ada)
        of_ben.until("typing")
        of_ben.close()
        wait_for(lambda: online(zoe, ben) is False or None)
        of_zoe.close()
        assert zoe.id == stream.until("presence").data["chat_user_id"]
        assert ([], [], []) == (
            told(of_ben, "typing", ada), told(stream, "typing", ben), told(stream, "presence", ben),
        )  # fmt: skip


# Nodes that come and go


# shows: nodes/presence-killed
@pytest.mark.parametrize("kind", KINDS)
def test_people_of_a_node_that_was_killed_are_gone_and_those_of_one_that_starts_are_known(
    kind: str, tmp_path: Path
) -> None:
    """It says nothing any more, and its people get the grace; a node that starts later learns who was there before."""
    limits = settings(kind)
    one, two = Node(tmp_path / "1", **limits), Node(tmp_path / "2", **limits)
    with one:
        ada, ben = one.person("ada"), one.person("ben")
        ada.sends(ben, "one")
        ben.sends(ada, "two")
        with ada.opens_stream() as stream, two:
            stream.live()
            assert wait_for(lambda: online(two.person("ben"), ada)) is True
            with two.person("ben").opens_stream() as of_ben:
                of_ben.live()
                assert wait_for(lambda: online(ada, ben)) is True
                two.kill()
            told = stream.until("presence").data
            if told["online"]:  # ada had asked before this node knew that ben is there
                told = stream.until("presence").data
            assert told == {"chat_user_id": "ben", "online": False}
            assert 0 == metric(one, "tidings_bus_neighbours")


# Who may come no more


# shows: nodes/revoke
@pytest.mark.parametrize("by", ["tokens", "function"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_revocation_ends_the_streams_on_all_nodes_within_a_second(kind: str, by: str, tmp_path: Path) -> None:
    """PROTOCOL 2.6.1; also where the host's own function tells who somebody is."""
    db = new_database()
    hosts = [Host(tmp_path / name) for name in ("1", "2")]
    headers = {"x-user": "ada"}
    try:
        for host in hosts:
            host.extra = {"TIDINGS_DB": db, **{f"TIDINGS_{k.upper()}": v for k, v in bus_of(kind).items()}}
            host.extra |= {"BY_FUNCTION": "1"} if by == "function" else {}
            host.start()
        people = [host.person("ada") for host in hosts]
        with people[0].opens_stream(headers=headers) as here, people[1].opens_stream(headers=headers) as there:
            here.live()
            there.live()
            for host in hosts:
                says(host, "the bus is up")
            hosts[0].revokes(people[0])
            for stream in (here, there):
                assert "token_expired" == stream.until("goodbye").data["reason"]
        if by == "tokens":
            assert [401, 401] == [person.gets("/inbox/me").status_code for person in people]
    finally:
        for host in hosts:
            host.kill()


# shows: nodes/revoke
def test_an_erasure_is_forgotten_by_all_nodes(tmp_path: Path) -> None:
    """By the command, beside two nodes that serve: what they hold of it in memory goes, and its readers are cut."""
    db = new_database()
    with Node(tmp_path / "1", db=db) as one, Node(tmp_path / "2", db=db) as two:
        ada, ben = one.person("ada"), two.person("ben")
        ada.sends(ben, "a secret")
        with ada.opens_stream() as here, two.person("ada").opens_stream() as there:
            here.live()
            there.live()
            command = [str(Path(sys.executable).with_name("tidings")), "erase", "--user", "ada", "--db", db]
            done = subprocess.run(command, capture_output=True, text=True, env=one.environment())
            assert 0 == done.returncode, done.stderr
            for stream in (here, there):
                stream.to_end()
        assert "a secret" not in str(ben.inbox())


# The setting


@pytest.mark.parametrize(
    ("bus", "word"),
    [
        (f"redis://u:{PASSWORD}@host", "nats://host"),
        (f"u:{PASSWORD}@host", "nats://host"),
        (f"nats://u:{PASSWORD}@host:port", "cannot be read"),
        (f"nats://u:{PASSWORD}/x@host", "cannot be read"),
        (f"nats://u:{PASSWORD}@", "cannot be read"),
        (f"nats://u:{PASSWORD}@host?tls=1", "creds="),
        (f"nats://u:{PASSWORD}@a,nats://v:{PASSWORD}@b", "the same user"),
        ("nats://host?creds=/no/such/file", "names no file"),
        (",", "cannot be read"),
    ],
)
def test_a_bus_that_cannot_be_read_is_said_in_a_sentence(bus: str, word: str) -> None:
    """It shows nothing of the addresses: a password may stand in any part of one that is none."""
    with pytest.raises(ConfigurationError) as caught:
        open_bus(Config(db="postgresql://u@127.0.0.1/d", secret="s" * 32, bus=bus))
    sentence = str(caught.value)
    assert [] == [each for each in ("bus (TIDINGS_BUS)", word) if each not in sentence]
    assert PASSWORD not in sentence
    assert "\n" not in sentence


def test_sqlite_has_no_bus(tmp_path: Path) -> None:
    """One process has the file: there is nobody to be told. Exit code 2, before a file is made."""
    command = [str(Path(sys.executable).with_name("tidings")), "serve", "--db", f"sqlite:///{tmp_path / 'x.db'}"]
    environment = {**os.environ, "TIDINGS_SECRET": "s" * 32, "TIDINGS_BUS": f"nats://u:{PASSWORD}@127.0.0.1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (2, "") == (done.returncode, done.stdout)
    assert "bus (TIDINGS_BUS): a SQLite database" in done.stderr
    assert 1 == len(done.stderr.splitlines()), done.stderr
    assert [] == list(tmp_path.iterdir())


def test_a_missing_nats_client_is_named_with_its_extra() -> None:
    """An operator who installed Tidings for PostgreSQL alone reads what to install."""
    script = (
        "import sys; sys.modules['nats'] = None\n"
        "from tidings.cli import main\n"
        "sys.exit(main(['serve', '--db', 'postgresql://u@127.0.0.1/d']))"
    )
    environment = {**os.environ, "TIDINGS_SECRET": "s" * 32, "TIDINGS_BUS": "nats://127.0.0.1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert 2 == done.returncode, done.stderr
    assert "pip install 'tidings[nats]'" in done.stderr


# NATS that is away, and its locks


def test_nodes_serve_without_their_nats_and_hint_again_when_it_is_back(tmp_path: Path) -> None:
    """A sweep a second in between; one line for each change, with the reason; nothing lost, doubled or out of order."""
    server = Nats()
    db = new_database()
    try:
        with (
            Node(tmp_path / "1", db=db, bus=server.url()) as one,
            Node(tmp_path / "2", db=db, bus=server.url()) as two,
        ):
            ada, ben = one.person("ada"), two.person("ben")
            with ben.opens_stream() as stream:
                stream.live()
                for node in (one, two):
                    says(node, "the bus is down")
                sent = [ada.sends(ben, "without it")["_id"]]
                assert sent[-1] == stream.until("new_message", 5).data["_id"], "the sweep of a second"
                assert 0.0 == metric(one, "tidings_bus_up")
                server.start()
                know_each_other(one, two)
                for text in ("with it", "and with it"):
                    sent.append(ada.sends(ben, text)["_id"])
                    assert sent[-1] == stream.until("new_message", 5).data["_id"]
                server.end()
                for node in (one, two):
                    says(node, "the bus is down", 2)
                sent.append(ada.sends(ben, "without it again")["_id"])
                server.start()
                assert sent[-1] == stream.until("new_message", 5).data["_id"]
                for node in (one, two):
                    says(node, "the bus is up", 2)
                assert sent == [frame.data["_id"] for frame in stream.frames if frame.type == "new_message"]
            for node in (one, two):
                assert (2, 2) == (node.output.count("the bus is down"), node.output.count("the bus is up")), node.output
    finally:
        server.remove()


def test_a_nats_that_lets_only_its_own_in_is_told_who_we_are(tmp_path: Path) -> None:
    """By user and password, written in percent, or by a token; over TLS; a wrong one is said and not shown."""
    made = make_certificate(tmp_path)
    tls = ["--tls", "--tlscert", str(made), "--tlskey", str(made)]
    db = new_database()
    for options, credentials, scheme in (
        (["--user", "u", "--pass", f"{PASSWORD}@/1"], f"u:{PASSWORD}%40%2F1@", "nats"),
        (["--auth", PASSWORD, *tls], f"{PASSWORD}@", "tls"),
    ):
        server = Nats(*options)
        server.start()
        try:
            node = Node(tmp_path / scheme, db=db, bus=f"{scheme}://{credentials}localhost:{server.port}")
            node.variables = {"SSL_CERT_FILE": str(made)}
            with node:
                says(node, "the bus is up")
            with Node(tmp_path / f"{scheme}-wrong", db=db, bus=f"nats://{PASSWORD}x@127.0.0.1:{server.port}") as wrong:
                says(wrong, "the bus is down")
            assert PASSWORD not in node.output + wrong.output
        finally:
            server.remove()
