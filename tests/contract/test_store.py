"""The promises of every store (src/tidings/server/store), and its upkeep. A new engine adds itself to ``ENGINES``.

Where an engine lets several nodes have one database, every test is played with two as well, each call on another node
than the one before: what one process alone would know is not known then.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import random
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest

from lab import postgres
from tidings.errors import ConfigurationError, Conflict, DatabaseInUse, Forbidden, NotFound, Problem, TooManyRequests
from tidings.protocol.cursor import Cursor, parse_cursor
from tidings.protocol.events import LogEvent
from tidings.protocol.shapes import Message, Receipt, Watermarks
from tidings.protocol.user_id import UserId
from tidings.server.store import Appended, Committed, NewMessage, Report, ServiceKey, Store, TokenProfile, Trimmed
from tidings.server.store.export import export
from tidings.server.store.maintenance import Erased, Maintenance
from tidings.server.store.open import open_maintenance, open_store
from tidings.server.store.sqlite import lock

T = TypeVar("T")


class Engine(NamedTuple):
    """A kind of database: the URL of a new one, and whether several nodes may have it at once."""

    name: str
    url: Callable[[Path], str]
    takes_several_nodes: bool


def postgres_url(folder: Path) -> str:
    """A schema of its own in the server of this run."""
    return postgres.shared().url(schema="t_" + hashlib.sha256(str(folder).encode()).hexdigest()[:16])


ENGINES = [
    Engine("sqlite", lambda folder: f"sqlite:///{folder}/tidings.db", takes_several_nodes=False),
    Engine("postgresql", postgres_url, takes_several_nodes=True),
]
PLAYED = [(engine, nodes) for engine in ENGINES for nodes in ((1, 2) if engine.takes_several_nodes else (1,))]

ALICE, BOB, CAROL = UserId("alice"), UserId("bob"), UserId("carol")
PICTURE = "https://pictures.example/alice.png"
DAVE = TokenProfile("Dave", None)


class Logs:
    """The started stores of some nodes, driven from a test without ``await``.

    Attributes:
        told: By node, what its store told of commits.
    """

    def __init__(self, engine: Engine, folder: Path, nodes: int = 1) -> None:
        self.engine = engine
        self.url = engine.url(folder)
        self.told: list[list[Committed]] = [[] for _ in range(nodes)]
        self._runner = asyncio.Runner()
        self._start()

    def _start(self) -> None:
        self._stores = [open_store(self.url, told.extend) for told in self.told]
        for each in self._stores:
            self.run(each.start())

    @property
    def store(self) -> Store:
        """The next node's: each call goes to another."""
        self._stores.append(self._stores.pop(0))
        return self._stores[0]

    @property
    def committed(self) -> list[Committed]:
        """Return the commits that all nodes told."""
        return [each for told in self.told for each in told]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def send(
        self,
        sender: UserId,
        recipient: UserId,
        text: str = "hi",
        *,
        client_id: str | None = None,
        limit: int | None = None,
        message_type: str = "text",
    ) -> Appended:
        return self.run(self.store.append(NewMessage(sender, recipient, text, message_type, client_id, limit)))

    def log(self, user: UserId, after: int = 0) -> list[LogEvent]:
        return self.run(self.store.read_after(user, after, 1000))

    def head(self, user: UserId) -> int:
        return self.run(self.store.start_position(user, None)).head

    def unread(self, user: UserId, peer: UserId) -> int:
        page = self.run(self.store.inbox(user, before=None, limit=100))
        return next(each.unread for each in page.conversations if each.peer == peer)

    def unread_total(self, user: UserId) -> int:
        """Return the number of the inbox; the call without conversations says the same."""
        total = self.run(self.store.inbox(user, before=None, limit=1)).unread_total
        assert total == self.run(self.store.unread(user))
        return total

    def reads(self, reader: UserId, peer: UserId, upto: int) -> Watermarks:
        return self.run(self.store.advance(reader, peer, 0, upto))

    def receives(self, reader: UserId, peer: UserId, upto: int) -> Watermarks:
        return self.run(self.store.advance(reader, peer, upto, 0))

    def stop(self) -> None:
        for each in self._stores:
            self.run(each.close())

    def restart(self) -> None:
        self.stop()
        self._start()

    def close(self) -> None:
        self.stop()
        self._runner.close()

    @property
    def upkeep(self) -> Maintenance:
        return open_maintenance(self.url)

    def exported(self, user: UserId) -> list[dict[str, Any]]:
        with self.upkeep.snapshot() as snapshot:
            return list(export(snapshot, user))


@pytest.fixture(params=PLAYED, ids=lambda played: f"{played[0].name}-{played[1]}")
def logs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Logs]:
    opened = Logs(request.param[0], tmp_path, request.param[1])
    yield opened
    opened.close()


def refused(work: Callable[[], object], kind: type[Problem], code: str) -> None:
    with pytest.raises(kind) as caught:
        work()
    assert code == caught.value.code


def texts(events: list[LogEvent]) -> list[str]:
    return [event.data.text for event in events if isinstance(event.data, Message)]


def test_a_message_is_in_both_logs(logs: Logs) -> None:
    """One transaction: the same message, seen from both sides; the client_id only by its sender (I1)."""
    sent = logs.send(ALICE, BOB, "hello", client_id="k1").message

    (mine,), (theirs,) = logs.log(ALICE), logs.log(BOB)
    assert sent == mine.data
    assert isinstance(theirs.data, Message)
    assert (sent.id, 1, "hello", None) == (theirs.data.id, theirs.data.seq, theirs.data.text, theirs.data.client_id)
    assert ("alice", "bob", True, False, False) == (
        sent.sender_id,
        sent.recipient_id,
        sent.sent,
        sent.delivered,
        sent.read,
    )


def test_positions_and_seqs_are_dense(logs: Logs) -> None:
    """Positions count per log, seqs per conversation, both from 1 without a hole (I2)."""
    for number in range(5):
        logs.send(ALICE, BOB, f"b{number}")
        logs.send(CAROL, BOB, f"c{number}")

    log = logs.log(BOB)
    assert list(range(1, 11)) == [event.position for event in log]
    assert [1, 2, 3, 4, 5] == [e.data.seq for e in log if isinstance(e.data, Message) and e.data.sender_id == "carol"]


def test_the_same_client_id_stores_once(logs: Logs) -> None:
    """The same id and content gives the first message again and writes nothing."""
    first = logs.send(ALICE, BOB, "once", client_id="k1")
    again = logs.send(ALICE, BOB, "once", client_id="k1")

    assert (True, False) == (first.is_new, again.is_new)
    assert first.message == again.message
    assert (1, 1, 2) == (logs.head(ALICE), logs.head(BOB), len(logs.committed))


def test_a_repeated_send_shows_todays_ticks(logs: Logs) -> None:
    """The second answer carries the ticks that are known by then."""
    logs.send(ALICE, BOB, "once", client_id="k1")
    logs.reads(BOB, ALICE, 1)

    again = logs.send(ALICE, BOB, "once", client_id="k1").message
    assert (True, True) == (again.delivered, again.read)


@pytest.mark.parametrize("other", ["recipient", "text", "type"])
def test_a_client_id_of_other_content_is_a_conflict(logs: Logs, other: str) -> None:
    """Compared are recipient, type and text; nothing is written."""
    logs.send(ALICE, BOB, "once", client_id="k1")

    refused(
        lambda: logs.send(
            ALICE,
            CAROL if other == "recipient" else BOB,
            "twice" if other == "text" else "once",
            client_id="k1",
            message_type="image" if other == "type" else "text",
        ),
        Conflict,
        "client_id_reused",
    )
    assert (1, 1, 0) == (logs.head(ALICE), logs.head(BOB), logs.head(CAROL))


def test_client_ids_belong_to_their_sender(logs: Logs) -> None:
    """Two people may use the same id; without one a send is never the same as another."""
    for sender, recipient in ((ALICE, BOB), (BOB, ALICE)):
        assert logs.send(sender, recipient, "x", client_id="k1").is_new
    for _ in range(2):
        assert logs.send(ALICE, BOB, "x").is_new
    assert 4 == logs.head(ALICE)


def test_equal_sends_at_once_store_once(logs: Logs) -> None:
    """Retries that overlap, in one batch or in several, get one message."""

    async def all_at_once() -> list[Appended]:
        new = NewMessage(ALICE, BOB, "x", "text", "k1", None)
        return await asyncio.gather(*(logs.store.append(new) for _ in range(50)))

    answers = logs.run(all_at_once())
    assert 1 == len({answer.message.id for answer in answers})
    assert 1 == sum(answer.is_new for answer in answers)
    assert 1 == logs.head(BOB)


def test_commits_are_told_in_order_and_before_the_answer(logs: Logs) -> None:
    """``on_commit`` has each event once, in the order of each log, when the write returns."""
    logs.send(ALICE, BOB)
    assert {(ALICE, 1), (BOB, 1)} == {(user, event.position) for user, event in logs.committed}

    async def many() -> None:
        await asyncio.gather(
            *(logs.store.append(NewMessage(ALICE, BOB, str(n), "text", None, None)) for n in range(300))
        )

    logs.run(many())
    for user in (ALICE, BOB):
        by_node = [[event for owner, event in told if owner == user] for told in logs.told]
        assert by_node == [sorted(told, key=lambda event: event.position) for told in by_node]
        assert logs.log(user) == sorted(itertools.chain(*by_node), key=lambda event: event.position)


def test_a_user_never_seen_has_an_empty_log_and_no_row(logs: Logs) -> None:
    """Reads never write."""
    assert [] == logs.log(CAROL)
    place = logs.run(logs.store.start_position(CAROL, None))
    assert (0, 0, 0, 0, None) == tuple(place)
    assert [] == logs.run(logs.store.history(CAROL, BOB, before=None, after=None, limit=10)).messages
    assert {} == logs.run(logs.store.heads([CAROL, BOB]))
    refused(lambda: logs.reads(CAROL, BOB, 1), NotFound, "unknown_message")
    assert Watermarks() == logs.reads(CAROL, BOB, 0)
    assert {} == logs.run(logs.store.heads([CAROL, BOB]))


def test_reading_is_told_to_both_and_receiving_to_the_sender(logs: Logs) -> None:
    """Each watermark that rose is one event: read in both logs, delivered in the peer's."""
    logs.send(ALICE, BOB)
    logs.send(ALICE, BOB)

    assert Watermarks(0, 1, 0, 0) == logs.receives(BOB, ALICE, 1)
    assert Watermarks(2, 2, 0, 0) == logs.reads(BOB, ALICE, 2)

    alice = [event.data for event in logs.log(ALICE, after=2)]
    bob = [event.data for event in logs.log(BOB, after=2)]
    assert [("bob", "bob", 1), ("bob", "bob", 2)] == [
        (r.chat_user_id, r.by, r.upto) for r in alice if isinstance(r, Receipt)
    ]
    assert [("alice", "bob", 2)] == [(r.chat_user_id, r.by, r.upto) for r in bob if isinstance(r, Receipt)]
    assert ["message_delivered", "message_read"] == [event.type for event in logs.log(ALICE, after=2)]


def test_watermarks_only_rise(logs: Logs) -> None:
    """The same or a lower receipt writes nothing; one beyond the last message is refused."""
    for _ in range(3):
        logs.send(ALICE, BOB)
    logs.reads(BOB, ALICE, 2)
    heads = logs.head(ALICE), logs.head(BOB)

    for upto in (2, 1, 0):
        assert Watermarks(2, 2, 0, 0) == logs.reads(BOB, ALICE, upto)
        assert Watermarks(2, 2, 0, 0) == logs.receives(BOB, ALICE, upto)
    refused(lambda: logs.reads(BOB, ALICE, 4), NotFound, "unknown_message")
    assert heads == (logs.head(ALICE), logs.head(BOB))


def test_a_receipt_where_there_is_no_conversation_changes_nothing(logs: Logs) -> None:
    """Both are known, and have never written to each other: there is nothing to receive, and nothing fails."""
    logs.send(ALICE, BOB)
    logs.send(CAROL, BOB)

    assert Watermarks() == logs.run(logs.store.advance(ALICE, CAROL, 0, 0))
    refused(lambda: logs.reads(ALICE, CAROL, 1), NotFound, "unknown_message")
    assert (1, 1) == (logs.head(ALICE), logs.head(CAROL))


def test_unread_counts_equal_a_count_of_the_messages(logs: Logs) -> None:
    """Kept as two numbers, and always what counting would give; own messages never count."""
    rng = random.Random(7)
    sent: list[UserId] = []
    read = {ALICE: 0, BOB: 0}
    for _ in range(300):
        one, other = rng.choice([(ALICE, BOB), (BOB, ALICE)])
        if rng.random() < 0.7 or not sent:
            logs.send(one, other)
            sent.append(one)
        else:
            upto = rng.randint(0, len(sent))
            logs.reads(one, other, upto)
            read[one] = max(read[one], upto)
        for me, peer in ((ALICE, BOB), (BOB, ALICE)):
            assert sum(who == peer for who in sent[read[me] :]) == logs.unread(me, peer) == logs.unread_total(me)


def test_replayed_messages_carry_the_ticks_of_today(logs: Logs) -> None:
    """Log rows are thin: what is read again shows the message as it is now."""
    logs.send(ALICE, BOB)
    logs.reads(BOB, ALICE, 1)
    for user in (ALICE, BOB):
        message = logs.log(user)[0].data
        assert isinstance(message, Message)
        assert (True, True) == (message.delivered, message.read)


def test_pages_of_a_log_follow_each_other(logs: Logs) -> None:
    """Any limit gives the same events."""
    for number in range(25):
        logs.send(ALICE, BOB, str(number))
    whole = logs.log(BOB)
    for limit in (1, 7, 25, 100):
        position, seen = 0, []
        while page := logs.run(logs.store.read_after(BOB, position, limit)):
            assert len(page) <= limit
            seen += page
            position = page[-1].position
        assert whole == seen


def test_a_cursor_resumes_where_it_was_given(logs: Logs) -> None:
    """Every position of the log is served, its own tag attached; the head after a restart too."""
    for number in range(3):
        logs.send(ALICE, BOB, str(number))
    logs.restart()
    for event in logs.log(BOB):
        place = logs.run(logs.store.start_position(BOB, Cursor(logs.store.epoch, event.position, event.tag)))
        assert (event.position, event.tag, 3, None) == (place.position, place.tag, place.head, place.reset)
    start = logs.run(logs.store.start_position(BOB, Cursor(logs.store.epoch, 0, 0)))
    assert (0, None) == (start.position, start.reset)


def test_a_cursor_that_cannot_be_served_says_why(logs: Logs) -> None:
    """Another epoch, beyond the head, or a row that is not the one it was given for: start at the head."""
    for number in range(3):
        logs.send(ALICE, BOB, str(number))
    second = logs.log(BOB)[1]
    epoch = logs.store.epoch
    for cursor, reason in (
        (Cursor("0ther", second.position, second.tag), "other_epoch"),
        (Cursor(epoch, 4, 0), "future"),
        (Cursor(epoch, second.position, second.tag ^ 1), "unknown"),
    ):
        place = logs.run(logs.store.start_position(BOB, cursor))
        assert (3, 3, reason) == (place.position, place.head, place.reset)


def test_the_epoch_stays_with_the_database(logs: Logs, tmp_path: Path) -> None:
    """Over a restart the same; another database has another."""
    epoch = logs.store.epoch
    logs.restart()
    assert epoch == logs.store.epoch
    (tmp_path / "other").mkdir()
    other = Logs(logs.engine, tmp_path / "other")
    assert epoch != other.store.epoch
    other.close()


def test_history_pages_both_ways(logs: Logs) -> None:
    """Oldest first in every page; before and after are exclusive; has_more looks in the direction of the paging."""
    for number in range(1, 11):
        logs.send(*((ALICE, BOB) if number % 2 else (BOB, ALICE)), str(number))

    def page(**bounds: int | None) -> tuple[list[int], bool]:
        found = logs.run(
            logs.store.history(ALICE, BOB, before=bounds.get("before"), after=bounds.get("after"), limit=3)
        )
        return [message.seq for message in found.messages], found.has_more

    assert ([8, 9, 10], True) == page()
    assert ([5, 6, 7], True) == page(before=8)
    assert ([1], False) == page(before=2)
    assert ([1, 2, 3], True) == page(after=0)
    assert ([9, 10], False) == page(after=8)
    assert ([4, 5, 6], True) == page(after=3, before=8)
    assert ([6, 7], False) == page(after=5, before=8)
    assert ([], False) == page(after=10)
    assert ([], False) == page(before=1)


@pytest.mark.parametrize("bound", [-1, -(2**24), -(2**40), 2**24, 2**40, 2**62])
def test_no_bound_of_a_history_leads_into_another_conversation(logs: Logs, bound: int) -> None:
    """However far outside ``before`` and ``after`` are, the page holds messages of these two people only."""
    for pair in ((ALICE, CAROL), (ALICE, BOB), (BOB, CAROL)):
        logs.send(*pair, f"{pair}")

    for before, after in ((None, bound), (bound, None), (bound, -bound)):
        found = logs.run(logs.store.history(ALICE, BOB, before=before, after=after, limit=100)).messages
        assert {"alice"} >= {message.sender_id for message in found}
        assert {f"{(ALICE, BOB)}"} >= {message.text for message in found}


def test_history_tells_the_position_at_which_it_was_read(logs: Logs) -> None:
    """Replaying the log after the snapshot's cursor gives what the snapshot lacks, and nothing else (I4)."""
    logs.send(ALICE, BOB, "in the snapshot")
    page = logs.run(logs.store.history(BOB, ALICE, before=None, after=None, limit=10))
    logs.send(ALICE, BOB, "after it")

    cursor = parse_cursor(page.cursor)
    assert cursor is not None
    assert ["in the snapshot"] == [message.text for message in page.messages]
    assert ["after it"] == texts(logs.log(BOB, after=cursor.position))


def test_the_inbox_has_the_latest_first_and_pages(logs: Logs) -> None:
    """Ordered by the last message; receipts move nothing; pages follow by position."""
    others = [UserId(f"u{number}") for number in range(7)]
    for other in others:
        logs.send(other, ALICE, f"from {other}")
    logs.send(ALICE, others[2], "back")
    logs.reads(ALICE, others[0], 1)

    seen, before = [], None
    while True:
        page = logs.run(logs.store.inbox(ALICE, before=before, limit=3))
        seen += [each.peer for each in page.conversations]
        if not page.has_more:
            break
        before = page.conversations[-1].position
    assert [others[2], *(other for other in reversed(others) if other != others[2])] == seen


def test_new_conversations_are_limited_for_who_begins_them(logs: Logs) -> None:
    """Exactly ``limit`` an hour, over a restart; answering and known conversations are free; nothing is half-stored."""
    for number in range(3):
        logs.send(ALICE, UserId(f"u{number}"), limit=3)
    logs.restart()

    with pytest.raises(TooManyRequests) as caught:
        logs.send(ALICE, CAROL, limit=3)
    assert "new_conversations_limited" == caught.value.code
    assert 3500 < (caught.value.retry_after_s or 0) <= 3600
    assert {} == logs.run(logs.store.heads([CAROL]))
    logs.send(ALICE, UserId("u1"), limit=3)
    logs.send(CAROL, ALICE, limit=3)
    logs.send(ALICE, CAROL, limit=3)
    assert 6 == logs.head(ALICE)


def test_a_limit_holds_exactly_when_sends_come_at_once(logs: Logs) -> None:
    """No two of them see the same last place."""

    async def rush() -> list[Appended | BaseException]:
        sends = (logs.store.append(NewMessage(ALICE, UserId(f"u{n}"), "x", "text", None, 5)) for n in range(40))
        return await asyncio.gather(*sends, return_exceptions=True)

    outcomes = logs.run(rush())
    assert 5 == sum(isinstance(outcome, Appended) for outcome in outcomes)
    assert 5 == logs.head(ALICE)


def test_a_refused_send_harms_nobody_in_its_batch(logs: Logs) -> None:
    """Its neighbours are stored, and it leaves nothing. A batch is one node's; of calls on two no order is promised."""
    logs.send(ALICE, BOB, "first", client_id="k1")

    async def mixed() -> list[Appended | BaseException]:
        store = logs.store  # of one node: a batch is
        news = [NewMessage(ALICE, BOB, str(n), "text", "k1" if n == 5 else f"n{n}", None) for n in range(10)]
        return await asyncio.gather(*(store.append(new) for new in news), return_exceptions=True)

    outcomes = logs.run(mixed())
    assert [n == 5 for n in range(10)] == [isinstance(outcome, Conflict) for outcome in outcomes]
    assert ["first", *(str(n) for n in range(10) if n != 5)] == texts(logs.log(BOB))


def test_a_user_that_has_written_back_is_known(logs: Logs) -> None:
    """Asked in one direction."""
    logs.send(ALICE, BOB)
    relation = logs.run(logs.store.relation(ALICE, BOB))
    assert (True, False, False) == (relation.has_written, relation.was_written_to, relation.is_mutual)
    relation = logs.run(logs.store.relation(BOB, ALICE))
    assert (False, True, False) == (relation.has_written, relation.was_written_to, relation.is_mutual)
    assert not any(logs.run(logs.store.relation(CAROL, BOB)))
    logs.send(BOB, ALICE)
    assert logs.run(logs.store.relation(ALICE, BOB)).is_mutual


def test_a_send_after_a_block_is_refused_and_writes_nothing(logs: Logs) -> None:
    """In both directions, with another code; what was stored before is still answered by its client_id."""
    first = logs.send(ALICE, BOB, client_id="k1").message
    heads = logs.head(ALICE), logs.head(BOB)
    logs.run(logs.store.block(BOB, ALICE))
    logs.run(logs.store.block(BOB, ALICE))

    refused(lambda: logs.send(ALICE, BOB), Forbidden, "not_allowed")
    refused(lambda: logs.send(BOB, ALICE), Forbidden, "blocked_by_you")
    again = logs.send(ALICE, BOB, client_id="k1")
    assert (first.id, False) == (again.message.id, again.is_new)
    assert heads == (logs.head(ALICE), logs.head(BOB))
    logs.send(CAROL, BOB)
    logs.run(logs.store.unblock(BOB, ALICE))
    assert 2 == logs.send(ALICE, BOB).message.seq


def test_a_user_that_blocks_a_stranger_is_not_written_to(logs: Logs) -> None:
    """No conversation is opened by a refused first message, also when neither was seen before."""
    logs.run(logs.store.block(BOB, ALICE))
    refused(lambda: logs.send(ALICE, BOB, limit=1), Forbidden, "not_allowed")
    assert [] == logs.run(logs.store.inbox(ALICE, before=None, limit=10)).conversations
    logs.send(ALICE, CAROL, limit=1)


def test_a_block_and_a_send_at_the_same_time_have_an_order(logs: Logs) -> None:
    """A message is either before the block and in both logs, or after it and refused; none comes later. Calls on one
    node have the order in which they came; of calls on two any is right, which test_protocol_block.py tries.
    """

    async def race(number: int) -> tuple[bool, int]:
        peer = UserId(f"peer-{number}")
        store = logs.store  # of one node: it has an order
        sends = [store.append(NewMessage(ALICE, peer, f"{n}", "text", None, None)) for n in range(8)]
        block = store.block(peer, ALICE)
        works: list[Coroutine[Any, Any, object]] = [*sends[:number], block, *sends[number:]]
        outcomes = await asyncio.gather(*works, return_exceptions=True)
        head = (await logs.store.start_position(peer, None)).head
        kept = sum(isinstance(each, Appended) for each in outcomes)
        assert 8 - kept == sum(isinstance(each, Forbidden) for each in outcomes)
        return head == kept, kept

    for number in range(9):
        assert (True, number) == logs.run(race(number))


def test_the_hosts_word_passes_a_block(logs: Logs) -> None:
    """For what the application itself has to say to both."""
    logs.run(logs.store.block(BOB, ALICE))
    assert 1 == logs.run(logs.store.append(NewMessage(ALICE, BOB, "x", "system", None, None, True))).message.seq


def test_the_one_who_blocks_raises_no_watermark(logs: Logs) -> None:
    """Its receipts would be told; the blocked one's are as ever, and unread is 0 until the block is taken back."""
    logs.send(ALICE, BOB)
    logs.send(BOB, ALICE)
    logs.run(logs.store.block(BOB, ALICE))
    heads = logs.head(ALICE), logs.head(BOB)

    assert Watermarks() == logs.reads(BOB, ALICE, 1)
    assert heads == (logs.head(ALICE), logs.head(BOB))
    assert 0 == logs.unread(BOB, ALICE) == logs.unread_total(BOB) == logs.unread_total(CAROL)
    assert 2 == logs.reads(ALICE, BOB, 2).read_upto
    logs.run(logs.store.unblock(BOB, ALICE))
    assert 1 == logs.unread(BOB, ALICE) == logs.unread_total(BOB)
    assert 1 == logs.reads(BOB, ALICE, 1).read_upto


def test_a_block_is_seen_from_both_sides_by_the_store(logs: Logs) -> None:
    """In the relation, the history, the inbox, and the list of the one who blocks; also after a restart."""
    logs.send(ALICE, BOB)
    logs.send(BOB, ALICE)
    for peer in (ALICE, CAROL):
        logs.run(logs.store.block(BOB, peer))
    logs.restart()

    for user, peer, expected in [(BOB, ALICE, (True, False)), (ALICE, BOB, (False, True)), (BOB, CAROL, (True, False))]:
        relation = logs.run(logs.store.relation(user, peer))
        assert (*expected, False) == (relation.blocks, relation.is_blocked, relation.is_mutual)
        history = logs.run(logs.store.history(user, peer, before=None, after=None, limit=10))
        assert relation == history.relation
    (summary,) = logs.run(logs.store.inbox(ALICE, before=None, limit=10)).conversations
    assert logs.run(logs.store.relation(ALICE, BOB)) == summary.relation

    page = logs.run(logs.store.blocked(BOB, before=None, limit=1))
    assert ([CAROL], True) == ([each.peer for each in page.blocked], page.has_more)
    page = logs.run(logs.store.blocked(BOB, before=page.blocked[0].position, limit=1))
    assert ([ALICE], False) == ([each.peer for each in page.blocked], page.has_more)
    assert [] == logs.run(logs.store.blocked(ALICE, before=None, limit=9)).blocked


def test_revocations_are_kept_and_only_rise(logs: Logs) -> None:
    """For whoever comes under the name, also one whom the store does not know; the oldest come first."""
    for user, until in [(BOB, 30.5), (ALICE, 20.0), (CAROL, 10.0), (BOB, 5.0), (CAROL, 40.25)]:
        logs.run(logs.store.revoke(user, until))
    logs.restart()

    assert [(ALICE, 20.0), (BOB, 30.5), (CAROL, 40.25)] == list(logs.run(logs.store.revocations()).items())


def test_service_keys_are_known_to_nodes_as_commands_make_and_revoke_them(logs: Logs) -> None:
    """Beside them; one of a name at a time, and none but by the name. The day of use only rises."""
    shop = ServiceKey("shop", b"1" * 32, UserId("shop"), True, 1_700_000_000_000)
    jobs = ServiceKey("jobs", b"2" * 32, None, False, 1_700_000_000_001)
    upkeep = logs.upkeep
    assert [] == upkeep.service_keys() == logs.run(logs.store.service_keys())
    upkeep.add_service_key(shop)
    upkeep.add_service_key(jobs)
    with pytest.raises(ConfigurationError, match="there is a key shop"):
        upkeep.add_service_key(jobs._replace(name="shop", digest=b"3" * 32))
    for day in (20_000, 19_999, 20_001, 20_000):
        logs.run(logs.store.note_key_used(shop.digest, day))
    logs.run(logs.store.note_key_used(b"4" * 32, 20_001))
    logs.restart()
    shop = shop._replace(used_day=20_001)
    assert [jobs, shop] == upkeep.service_keys() == logs.run(logs.store.service_keys())
    assert [False, True, False] == [upkeep.remove_service_key(name) for name in ("shop'--", "shop", "shop")]
    assert [jobs] == logs.run(logs.store.service_keys())


def test_a_database_has_so_many_service_keys(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes read all of them at once. The limit is lowered to one."""
    for module in ("sqlite.service_keys", "postgres.maintenance"):
        monkeypatch.setattr(f"tidings.server.store.{module}.SERVICE_KEYS_MAX", 1)
    logs.upkeep.add_service_key(ServiceKey("shop", b"1" * 32, None, True, 1))
    with pytest.raises(ConfigurationError, match="there are 1 keys, the most"):
        logs.upkeep.add_service_key(ServiceKey("jobs", b"2" * 32, None, True, 1))


def test_an_erased_user_s_service_keys_are_gone_and_those_for_anybody_stay(logs: Logs) -> None:
    """Also of a user who never wrote: the name stands in them."""
    for number, user in enumerate((ALICE, None, BOB)):
        logs.upkeep.add_service_key(ServiceKey(f"key-{number}", b"%d" % number * 32, user, False, 1))
    kept = [line["data"]["name"] for line in logs.exported(ALICE) if line["type"] == "service_key"]
    assert ["key-0"] == kept
    logs.stop()  # an erasure would wait for what a node has in memory
    assert logs.upkeep.erase(ALICE).was_known
    assert ["key-1", "key-2"] == [key.name for key in logs.upkeep.service_keys()]
    assert not logs.upkeep.erase(ALICE).was_known


def test_every_character_comes_back(logs: Logs) -> None:
    """Texts and user ids are kept as they are."""
    odd = UserId("a%2f b|c@d:é😀'\"--")
    text = "line\r\nend\ttab \u2028 \u0085 😀 ' \" \\ %s {} مرحبا"
    logs.send(odd, BOB, text)
    message = logs.log(BOB)[0].data
    assert isinstance(message, Message)
    assert (odd, text) == (message.sender_id, message.text)


def test_replaying_a_log_gives_the_snapshot(logs: Logs) -> None:
    """The inbox at the head equals the inbox at position 0 with every event applied (I4)."""
    rng = random.Random(11)
    people = [ALICE, BOB, CAROL]
    counts: dict[tuple[UserId, UserId], int] = {}
    for _ in range(200):
        one, other = rng.sample(people, 2)
        pair = (min(one, other), max(one, other))
        if rng.random() < 0.6 or not counts.get(pair):
            logs.send(one, other, str(rng.random()))
            counts[pair] = counts.get(pair, 0) + 1
        elif rng.random() < 0.5:
            logs.reads(one, other, rng.randint(0, counts[pair]))
        else:
            logs.receives(one, other, rng.randint(0, counts[pair]))

    for me in people:
        replayed: dict[str, dict[str, Any]] = {}
        for event in logs.log(me):
            data = event.data
            peer = (
                data.chat_user_id
                if isinstance(data, Receipt)
                else next(each for each in (data.sender_id, data.recipient_id) if each != me)
            )
            state = replayed.setdefault(peer, {"last": 0, "mine": 0, "theirs": 0, "theirs_delivered": 0})
            if isinstance(data, Message):
                state["last"] = data.seq
            elif event.type == "message_read" and data.by == me:
                state["mine"] = data.upto
            elif event.type == "message_read":
                state["theirs"] = data.upto
                state["theirs_delivered"] = max(state["theirs_delivered"], data.upto)
            else:
                state["theirs_delivered"] = max(state["theirs_delivered"], data.upto)
        snapshot = {
            each.peer: {
                "last": each.last_message.seq,
                "mine": each.watermarks.read_upto,
                "theirs": each.watermarks.peer_read_upto,
                "theirs_delivered": each.watermarks.peer_delivered_upto,
            }
            for each in logs.run(logs.store.inbox(me, before=None, limit=100)).conversations
        }
        assert snapshot == replayed


# Several nodes


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_a_database_has_several_nodes_or_the_second_is_told_what_to_do(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node reads the commits of another. SQLite's file belongs to one process: the second one gets a sentence."""
    monkeypatch.setattr(lock, "time", VirtualTime())
    first = Logs(engine, tmp_path)
    try:
        if engine.takes_several_nodes:
            second = Logs(engine, tmp_path)
            first.send(ALICE, BOB, "hi")
            assert ["hi"] == texts(second.log(BOB))
            second.close()
        else:
            with pytest.raises(DatabaseInUse) as caught:
                asyncio.run(open_store(first.url, lambda _: None).start())
            served, several = f"database is served by process {os.getpid()}; ", "set db (TIDINGS_DB) to postgresql://"
            assert (True, True) == (served in str(caught.value), several in str(caught.value))
            assert 1 == first.send(ALICE, BOB).message.seq
    finally:
        first.close()


class VirtualTime:
    """A clock that a sleep moves on at once."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        return self._now

    def sleep(self, pause_s: float) -> None:
        self._now += pause_s


# Upkeep


def test_the_schema_is_that_of_this_tidings(logs: Logs) -> None:
    """A store migrates when it starts; migrating once more changes nothing."""
    assert logs.upkeep.schema().found == logs.upkeep.schema().known > 0
    logs.send(ALICE, BOB, "hi")
    logs.stop()
    assert logs.upkeep.migrate() == logs.upkeep.schema()
    logs.restart()
    assert ["hi"] == texts(logs.log(BOB))


def test_a_snapshot_stays_while_others_write(logs: Logs) -> None:
    """It says what the store says, and goes on saying it; so does a glance."""
    logs.send(ALICE, BOB, "before", client_id="k1")
    logs.reads(BOB, ALICE, 1)
    for reading in (logs.upkeep.snapshot, logs.upkeep.glance):
        with reading() as snapshot:
            expected = logs.log(BOB), logs.run(logs.store.inbox(BOB, before=None, limit=10))
            logs.send(ALICE, BOB, "after")

            assert expected == (snapshot.read_after(BOB, 0, 100), snapshot.inbox(BOB, before=None, limit=10))
            assert logs.store.epoch == snapshot.epoch
            (entry, *_) = snapshot.entries_after(BOB, 0)
            assert (1, ALICE, "k1") == (entry.position, entry.sender, entry.client_id)
            assert (True, False) == (snapshot.has_message(entry.id), snapshot.has_message(f"{entry.id[:-6]}ffffff"))
            assert expected[0][-1].position == snapshot.heads()[BOB] < logs.head(BOB)
            assert (None, 0) == (snapshot.ends(CAROL), len(snapshot.read_after(CAROL, 0, 100)))


def test_an_erasure_beside_nodes_is_known_to_each_before_it_is_done(logs: Logs) -> None:
    """Each learns of it when it checks, and answers when nothing of it is in memory; the other side keeps a hole."""
    logs.send(ALICE, BOB, "of alice", client_id="k1")
    logs.send(BOB, ALICE, "of bob")
    erased: list[Erased] = []
    thread = threading.Thread(target=lambda: erased.append(logs.upkeep.erase(ALICE)))
    thread.start()
    while thread.is_alive():
        for _ in logs.told:
            store = logs.store
            logs.run(store.note_forgotten(logs.run(store.check())))
        time.sleep(0.01)

    assert [Erased(was_known=True, messages=1, events=2, left=None)] == erased
    assert [] == logs.log(ALICE)
    assert ["", "of bob"] == texts(logs.log(BOB))
    refused(lambda: logs.send(BOB, UserId(str(_first(logs).sender_id))), Forbidden, "not_allowed")
    assert logs.send(ALICE, BOB, "another person of this name", client_id="k1").is_new


# shows: nodes/hourly
def test_what_is_done_too_often_within_an_hour_is_refused_by_every_node(logs: Logs) -> None:
    """So many pass, also of those asked at once; each person and thing for itself. PROTOCOL 14.0.22, 20.0.5"""
    for _ in range(3):
        logs.run(logs.store.take_hourly("report", ALICE, 3))
    for _ in range(2):
        with pytest.raises(TooManyRequests) as caught:
            logs.run(logs.store.take_hourly("report", ALICE, 3))
        assert "rate_limited" == caught.value.code
        assert 3_540 <= (caught.value.retry_after_s or 0) <= 3_600
    logs.run(logs.store.take_hourly("report", BOB, 3))

    async def at_once() -> list[BaseException | None]:
        asked = (logs.store.take_hourly("block", ALICE, 5) for _ in range(12))
        return await asyncio.gather(*asked, return_exceptions=True)

    assert [5, 0] == [logs.run(at_once()).count(None) for _ in range(2)]


def _first(logs: Logs) -> Message:
    (first, *_) = (event.data for event in logs.log(BOB))
    assert isinstance(first, Message)
    return first


def test_a_profile_is_the_last_one_that_was_kept(logs: Logs) -> None:
    """Of users who have a log and of those who have none; others are left out. An erasure takes it away."""
    dave = UserId("dave")
    logs.send(ALICE, BOB)
    for user, profile in ((ALICE, TokenProfile("Al", None)), (ALICE, TokenProfile("Alice", PICTURE)), (dave, DAVE)):
        logs.run(logs.store.keep_profile(user, profile))

    assert {ALICE: TokenProfile("Alice", PICTURE), dave: DAVE} == logs.run(logs.store.profiles([ALICE, BOB, dave]))
    assert ["profile"] == [line["type"] for line in logs.exported(dave)]
    logs.stop()  # an erasure would wait for what a node has in memory
    for user in (ALICE, dave):
        assert logs.upkeep.erase(user).was_known
    assert not logs.upkeep.erase(dave).was_known
    logs.restart()
    assert {} == logs.run(logs.store.profiles([ALICE, dave]))


def test_an_export_has_all_that_is_kept_of_one_person(logs: Logs) -> None:
    """Messages of both, receipts, blocks, reports and the end of sign-ins; of somebody never seen, nothing."""
    sent = logs.send(ALICE, BOB, "hi").message
    logs.reads(BOB, ALICE, 1)
    logs.run(logs.store.block(BOB, CAROL))
    logs.run(logs.store.add_report(Report(BOB, ALICE, "unpleasant", 1, [sent])))
    logs.run(logs.store.revoke(BOB, 12.5))
    logs.run(logs.store.keep_profile(BOB, TokenProfile("Bob", PICTURE)))

    lines = {line["type"]: line["data"] for line in logs.exported(BOB)}
    assert ["user", "conversation", "message", "message_read", "block", "report", "profile", "revocation"] == list(
        lines
    )
    assert {"name": "Bob", "avatar_url": PICTURE} == lines["profile"]
    assert (2, "hi", CAROL) == (lines["user"]["events"], lines["message"]["text"], lines["block"]["user_id"])
    assert (sent.id, "1970-01-01T00:00:12.500Z") == (
        lines["report"]["messages"][0]["_id"],
        lines["revocation"]["until"],
    )
    assert ["reported"] == [line["type"] for line in logs.exported(ALICE)][-1:]
    assert [] == logs.exported(UserId("dave"))


def test_logs_are_cut_beside_a_store_as_by_it(logs: Logs) -> None:
    """A dry run counts what would go; the newest stay, and a reader below the floor is told."""
    for number in range(10):
        logs.send(ALICE, BOB, str(number))
    month_ms = 30 * 24 * 3_600_000

    assert Trimmed(logs=2, events=12, kept=8) == logs.upkeep.trim(month_ms, 4, dry_run=True)
    assert 10 == len(logs.log(BOB))
    assert Trimmed(logs=2, events=12, kept=8) == logs.upkeep.trim(month_ms, 4)
    assert Trimmed(logs=2, events=4, kept=4) == logs.run(logs.store.trim(month_ms, 2))
    assert ["8", "9"] == texts(logs.log(BOB, after=8))
    assert "expired" == logs.run(logs.store.start_position(BOB, Cursor(logs.store.epoch, 1, 0))).reset


def test_a_restored_copy_has_what_was_there_and_another_epoch(logs: Logs, tmp_path: Path) -> None:
    """Everything after the copy is gone, and every cursor of before is answered with a reset."""
    logs.send(ALICE, BOB, "kept")
    copied = logs.upkeep.backup(str(tmp_path / "copy"))
    logs.send(ALICE, BOB, "lost")
    before = logs.run(logs.store.start_position(BOB, None))
    epoch = logs.store.epoch
    logs.stop()
    restored = logs.upkeep.restore(copied.path)
    logs.restart()

    assert (2, 1) == (copied.users, copied.messages) == (restored.users, restored.messages)
    assert ["kept"] == texts(logs.log(BOB))
    place = logs.run(logs.store.start_position(BOB, Cursor(epoch, before.position, before.tag)))
    assert ("other_epoch", 1) == (place.reset, place.head)
