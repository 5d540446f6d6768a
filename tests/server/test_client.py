"""The Python client against a real node, and against servers that are none."""

from __future__ import annotations

import itertools
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from httpcore2._backends.sync import SyncStream

from lab.node import Node, Person
from lab.process import PATIENCE_S, wait_for
from tidings.client import Client, ConnectionState, Feed
from tidings.client.interrupt import Line
from tidings.errors import ProtocolViolation, ServerProblem, StreamLost


def client_of(person: Person, *, deadline_s: float = 20) -> Client:
    assert person.token is not None
    return Client(person.node.url, person.token, deadline_s=deadline_s)


def texts(feed: Feed, count: int) -> list[str]:
    """The texts of the next messages."""
    return [event.message.text for event in itertools.islice(feed, count) if event.message]


@contextmanager
def server_of(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that reads each request's head and answers as told; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(PATIENCE_S)
                    head = b""
                    while b"\r\n\r\n" not in head and (received := connection.recv(65536)):
                        head += received
                    answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE_S)


class Following(threading.Thread):
    """A feed iterated in a thread of its own, as an application does."""

    def __init__(self, client: Client, cursor: str | None = None) -> None:
        super().__init__()
        self.states: list[ConnectionState] = []
        self.feed = client.events(cursor, on_state=self.states.append)
        self.texts: list[str] = []
        self.raised: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            with self.feed as feed:
                self.texts.extend(event.message.text for event in feed if event.message)
        except Exception as error:
            self.raised = error

    def reaches(self, status: str) -> None:
        wait_for(lambda: any(state.status == status for state in self.states), what=f"{status}: {self.states}")

    def has(self, *texts: str) -> None:
        wait_for(lambda: self.texts == list(texts), what=f"{texts}: {self.texts}")

    def closes(self) -> None:
        self.feed.close()
        self.join(2)
        assert not self.is_alive()


# sending and reading


def test_a_message_sent_is_returned_as_committed(alice: Person, bob: Person) -> None:
    """With its id and seq, and the client_id under which it may be sent again."""
    with client_of(alice) as client:
        message = client.send(bob.id, "hi", client_id="k1")
        assert message == client.send(bob.id, "hi", client_id="k1")
        assert (1, "hi", "k1", alice.id) == (message.seq, message.text, message.client_id, message.sender_id)
        assert 2 == client.send(bob.id, "there").seq
    assert ["hi", "there"] == [message["text"] for message in bob.history(alice)["messages"]]


# shows: compatibility/present
def test_history_inbox_and_receipts_are_typed(alice: Person, bob: Person) -> None:
    """The server's answers are values with their names."""
    with client_of(alice) as a, client_of(bob) as b:
        for text in ("1", "2", "3"):
            a.send(bob.id, text)
        page = b.history(alice.id, limit=2)
        assert (["2", "3"], True, alice.id) == (
            [message.text for message in page.messages],
            page.has_more,
            page.user.id,
        )
        assert ["1"] == [message.text for message in b.history(alice.id, before=2).messages]
        assert ["3"] == [message.text for message in b.history(alice.id, after=2).messages]
        [conversation] = b.inbox().conversations
        assert conversation.last_message is not None
        assert (alice.id, 3, "3") == (conversation.user.id, conversation.unread, conversation.last_message.text)
        assert 2 == b.mark_delivered(alice.id, 2).delivered_upto
        assert 3 == b.mark_read(alice.id, 3).read_upto
        assert 0 == b.inbox().conversations[0].unread
        b.send(alice.id, "4")
        assert [True, True, True] == [message.read for message in a.history(bob.id).messages[:3]]


def test_an_inbox_of_several_pages_is_read_by_position(alice: Person) -> None:
    """Each page goes on before the last conversation of the one above it."""
    with client_of(alice) as client:
        for number in range(5):
            client.send(f"peer {number}", "hi")
        seen, before = [], None
        while (page := client.inbox(before=before, limit=2)).conversations:
            seen += [conversation.user.id for conversation in page.conversations]
            before = page.conversations[-1].position
            assert page.has_more == (len(seen) < 5)
    assert [f"peer {number}" for number in (4, 3, 2, 1, 0)] == seen


@pytest.mark.parametrize("peer", ["50%", "a b|c", "é@x:y", "😀", "inbox", "send", "sse", "%2F", "a?b#c", "+"])
def test_any_user_id_has_a_history(alice: Person, peer: str) -> None:
    """Percent, emoji, space and the names of routes are legal user ids."""
    with client_of(alice) as client:
        client.send(peer, "hi")
        page = client.history(peer)
        assert (peer, ["hi"]) == (page.user.id, [message.text for message in page.messages])


@pytest.mark.parametrize("peer", ["", ".", "..", "a/b"])
def test_a_text_that_no_user_id_can_be_has_no_history(alice: Person, peer: str) -> None:
    """Not asked: such a path would name another route."""
    with client_of(alice) as client, pytest.raises(ValueError, match="user id"):
        client.history(peer)


# shows: reliability/limits
def test_a_rate_limit_is_waited_for(start_node: Callable[..., Node]) -> None:
    """429 with Retry-After is temporary: the caller does not see it."""
    node = start_node(sends_per_s=2, sends_burst=1)
    with client_of(node.person("alice")) as client:
        assert [1, 2, 3] == [client.send("bob", text).seq for text in ("1", "2", "3")]


def test_a_refusal_is_raised_with_the_server_s_words(alice: Person) -> None:
    """Status, code and detail of the problem body."""
    with client_of(alice) as client, pytest.raises(ServerProblem) as raised:
        client.send(alice.id, "hi")
    assert (422, "to_oneself") == (raised.value.status, raised.value.code)


def test_without_a_server_it_is_tried_until_the_deadline() -> None:
    """Then it is StreamLost: not known to be committed."""
    began = time.monotonic()
    with Client("http://127.0.0.1:9", "x", deadline_s=1.5) as client, pytest.raises(StreamLost):
        client.send("bob", "hi")
    assert time.monotonic() - began < 2


def test_a_page_of_somebody_else_is_no_acknowledgement() -> None:
    """A captive portal answers 200 to everything."""

    def portal(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n<p/>")

    with server_of(portal) as url, Client(url, "x", deadline_s=0.1) as client, pytest.raises(ProtocolViolation):
        client.send("bob", "hi")


def test_a_redirect_is_not_followed(alice: Person, bob: Person) -> None:
    """A token goes only to the address it was given for."""

    def redirect(connection: socket.socket) -> None:
        location = f"{alice.node.url}/api/message/send".encode()
        connection.sendall(b"HTTP/1.1 307 T\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % location)

    assert alice.token is not None
    with server_of(redirect) as url, Client(url, alice.token) as client:
        with pytest.raises(ServerProblem, match="redirects"):
            client.send(bob.id, "hi")
        with pytest.raises(ServerProblem, match="redirects"):
            next(client.events())
    assert [] == bob.history(alice)["messages"]


def test_blocks_and_reports(alice: Person, bob: Person) -> None:
    """After a block nothing passes; a report is taken, or refused in words."""
    with client_of(alice) as client, client_of(bob) as other:
        other.send(alice.id, "an insult")
        client.block(bob.id)
        with pytest.raises(ServerProblem, match="not_allowed"):
            other.send(alice.id, "another")
        with pytest.raises(ServerProblem, match="blocked_by_you"):
            client.send(bob.id, "stop it")
        assert [bob.id] == [each.user.id for each in client.blocked().blocked]
        assert (True, False) == (client.history(bob.id).blocked, other.history(alice.id).blocked)
        client.report(bob.id, "He insults me.", seq=1)
        client.report(bob.id, "He insults me.")
        with pytest.raises(ServerProblem, match="bad_reason"):
            client.report(bob.id, " ")
        client.unblock(bob.id)
        assert not client.blocked().blocked
        other.send(alice.id, "sorry")


def test_typing_is_told_to_who_has_written_back_and_what_is_lost_of_it_is_no_error(alice: Person, bob: Person) -> None:
    """It is tried once: a second later it says nothing any more."""
    alice.sends(bob, "hi")
    bob.sends(alice, "hi")
    with client_of(alice) as client, client_of(bob) as other, client.events() as feed:
        heard = threading.Event()

        def type_until_heard() -> None:
            while not heard.wait(0.2):  # the first ones may come before the stream
                other.typing(alice.id)

        typist = threading.Thread(target=type_until_heard)
        typist.start()
        event = next(feed)
        heard.set()
        typist.join(PATIENCE_S)
        assert ("typing", {"chat_user_id": bob.id}, None) == (event.type, event.data, event.cursor)
        with pytest.raises(ServerProblem):
            client.typing(alice.id)
    with Client("http://127.0.0.1:9", "x") as client:
        client.typing("bob")


# tokens


def test_a_token_function_is_asked_once_and_again_when_its_token_is_rejected(alice: Person, bob: Person) -> None:
    """Nobody sees the 401 in between, neither in a call nor on the stream."""
    tokens = [alice.node.token(alice.id, ttl_s=-3600), alice.token]
    asked: list[str] = []

    def fetch() -> str:
        token = tokens[min(len(asked), 1)]
        assert token is not None
        asked.append(token)
        return token

    bob.sends(alice, "hi")
    with Client(alice.node.url, fetch) as client:
        client.send(bob.id, "1")
        client.send(bob.id, "2")
        assert 2 == len(asked)
    asked.clear()
    with Client(alice.node.url, fetch) as client:
        following = Following(client)
        following.reaches("connected")
        assert 2 == len(asked)
        following.closes()


def test_a_token_function_that_fails_is_the_caller_s_matter_and_iteration_may_go_on(alice: Person, bob: Person) -> None:
    """Its exception comes out; the next attempt asks again."""
    answers = iter([LookupError("signed out"), alice.token])

    def fetch() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        assert answer is not None
        return answer

    cursor = alice.head()
    bob.sends(alice, "hi")
    with Client(alice.node.url, fetch) as client, client.events(cursor) as feed:
        with pytest.raises(LookupError):
            next(feed)
        assert ["hi"] == texts(feed, 1)


def test_no_token_is_ever_logged(alice: Person, bob: Person, caplog: pytest.LogCaptureFixture) -> None:
    """At no level, by us or by what we use."""
    caplog.set_level(logging.DEBUG)
    cursor = alice.head()
    with client_of(alice) as client, client.events(cursor) as feed:
        client.send(bob.id, "hi")
        assert ["hi"] == texts(feed, 1)
    assert alice.token is not None
    assert caplog.records
    assert alice.token not in caplog.text


# events


def test_a_feed_goes_on_after_any_cursor(alice: Person, bob: Person) -> None:
    """Of a page, of an event, of another feed."""
    cursor = bob.inbox()["cursor"]
    for text in ("1", "2", "3"):
        alice.sends(bob, text)
    with client_of(bob) as client:
        with client.events(cursor) as feed:
            event = next(feed)
            assert ["2"] == texts(feed, 1)
        with client.events(event.cursor) as feed:
            assert ["2", "3"] == texts(feed, 2)


# shows: reliability/once
def test_the_cursor_of_a_feed_stands_before_an_event_until_its_consumer_is_back(alice: Person, bob: Person) -> None:
    """A consumer that dies while it handles an event gets it again."""
    start = bob.head()
    alice.sends(bob, "1")
    alice.sends(bob, "2")
    with client_of(bob) as client, client.events(start) as feed:
        first = next(feed)
        assert start == feed.cursor
        second = next(feed)
        assert first.cursor == feed.cursor
        assert bob.id == feed.user_id
        assert second.cursor == bob.head()


def test_a_feed_is_closed_from_another_thread_while_it_reads(alice: Person, bob: Person) -> None:
    """The read returns at once, and the iteration ends without an error."""
    with client_of(bob) as client:
        following = Following(client)
        following.reaches("connected")
        alice.sends(bob, "1")
        following.has("1")
        following.closes()
        assert following.raised is None


def test_a_feed_is_closed_from_another_thread_while_it_waits() -> None:
    """Also between attempts."""
    with Client("http://127.0.0.1:9", "x") as client:
        following = Following(client)
        following.reaches("waiting")
        following.closes()
        assert following.raised is None


def test_a_closed_feed_is_over(bob: Person) -> None:
    """Closing before the first event is an empty iteration."""
    with client_of(bob) as client, client.events() as feed:
        feed.close()
        assert [] == list(feed)


def test_a_server_s_restart_is_only_a_pause(tmp_path_factory: pytest.TempPathFactory) -> None:
    """After its goodbye the feed returns when told, and resumes."""
    with Node(tmp_path_factory.mktemp("restart")) as node, client_of(node.person("bob")) as client:
        following = Following(client)
        following.reaches("connected")
        node.stop()
        node.restart()
        node.person("alice").sends("bob", "after")
        following.has("after")
        assert "draining" in [state.reason for state in following.states]
        following.closes()


def test_a_server_that_says_nothing_is_left_after_eight_seconds() -> None:
    """Neither an accepted connection nor headers and comments are a stream; a proxy may hold the rest for ever."""
    over = threading.Event()

    def mute(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        with suppress(OSError):
            while not over.wait(0.5):
                connection.sendall(b": padding\n")

    def silent(connection: socket.socket) -> None:
        over.wait(PATIENCE_S)

    with server_of(mute) as muted, server_of(silent) as silenced, Client(muted, "x") as a, Client(silenced, "x") as b:
        began = time.monotonic()
        following = [Following(a), Following(b)]
        for each in following:
            each.reaches("waiting")
        assert 7.5 < time.monotonic() - began < 9.5
        over.set()
        for each in following:
            each.closes()
        assert ["mute", "mute"] == [
            next(state.reason for state in each.states if state.status == "waiting") for each in following
        ]


def test_a_connection_that_comes_after_its_job_was_given_up_is_shut_down() -> None:
    """The socket may become known only when it is too late."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        line = Line()
        line.end()
        line.trace("connection.connect_tcp.complete", {"return_value": SyncStream(ours)})
        assert b"" == ours.recv(1)
