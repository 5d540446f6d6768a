"""The count of the demo: it shows none lost and none doubled when there is none, and every one that there is."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tidings.server.demo.count import Count, Total
from tidings.server.demo.fault import Conditions, Fault, Faults
from tidings.server.demo.limits import HEAL_AFTER_S, TAB_SILENT_S, TRAFFIC_FOR_S
from tidings.server.demo.traffic import Traffic
from tidings.server.demo.truth import Truth, read_heads, read_truth
from tidings.server.store.maintenance import Maintenance
from tidings.server.store.open import open_maintenance

EPOCH = "e"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def cursor(position: int, epoch: str = EPOCH) -> str:
    return f"{epoch}-{position}-0"


def reports(count: Count, tab: str, user: str, *entries: tuple[str, ...], upto: int, base: int = 0) -> int:
    """A page's whole report so far."""
    return count.take(
        tab, user, since=0, entries=[list(entry) for entry in entries], base=cursor(base), cursor=cursor(upto)
    )


def total(count: Count, truth: Truth) -> Total:
    return count.total(count.acknowledged(), truth)


@pytest.fixture
def truth() -> Truth:
    """Ada wrote m1 and m2 to Ben; they are the first two events in both logs."""
    return Truth(EPOCH, {"m1": "ben", "m2": "ben"}, {"ada": {"m1": 1, "m2": 2}, "ben": {"m1": 1, "m2": 2}})


SENT = (("queued", "c1"), ("acknowledged", "c1", "m1"), ("queued", "c2"), ("acknowledged", "c2", "m2"))
BOTH = (("applied", "m1"), ("applied", "m2"))


def test_when_all_is_well_the_numbers_are_equal(truth: Truth) -> None:
    """Sent, acknowledged and received; nothing else."""
    count = Count()
    reports(count, "a", "ada", *SENT, *BOTH, upto=2)
    reports(count, "b", "ben", *BOTH, upto=2)

    assert Total(sent=2, acknowledged=2, received=2) == total(count, truth)


def test_a_message_beyond_a_pages_cursor_is_on_its_way_and_not_lost(truth: Truth) -> None:
    """A page that was cut off owes nothing yet."""
    count = Count()
    reports(count, "a", "ada", *SENT, *BOTH, upto=2)
    reports(count, "b", "ben", ("applied", "m1"), upto=1)

    assert Total(sent=2, acknowledged=2, received=1, on_the_way=1) == total(count, truth)


def test_a_message_that_a_page_has_passed_without_applying_it_is_lost(truth: Truth) -> None:
    """Its cursor says that it will never ask for it again."""
    count = Count()
    reports(count, "a", "ada", *SENT, *BOTH, upto=2)
    reports(count, "b", "ben", ("applied", "m2"), upto=2)

    assert Total(sent=2, acknowledged=2, received=1, lost=1) == total(count, truth)


def test_another_window_of_the_same_person_does_not_make_up_for_it(truth: Truth) -> None:
    """Every window is owed every message; a message that two windows miss is one message."""
    count = Count()
    reports(count, "b1", "ben", *BOTH, upto=2)
    reports(count, "b2", "ben", ("applied", "m2"), upto=2)
    reports(count, "a2", "ada", ("applied", "m2"), upto=2)

    assert Total(received=2, lost=1, elsewhere=2) == total(count, truth)


def test_an_acknowledged_message_that_the_server_does_not_have_is_lost(truth: Truth) -> None:
    """Acknowledged means committed, or this shows it."""
    count = Count()
    reports(count, "a", "ada", *SENT, ("queued", "c3"), ("acknowledged", "c3", "m3"), *BOTH, upto=2)
    reports(count, "b", "ben", *BOTH, upto=2)

    assert Total(sent=3, acknowledged=3, received=2, lost=1) == total(count, truth)


def test_a_message_applied_or_shown_twice_is_doubled(truth: Truth) -> None:
    """Each application after the first counts; so does what the server itself has twice."""
    count = Count()
    reports(count, "a", "ada", *SENT, *BOTH, upto=2)
    reports(count, "b", "ben", *BOTH, ("applied", "m1"), ("applied", "m1"), ("shown_twice", "m2"), upto=2)
    truth.doubled = 1

    assert 4 == total(count, truth).doubled


def test_a_page_owes_only_what_came_after_it_was_opened(truth: Truth) -> None:
    """A page has earlier messages as history."""
    count = Count()
    reports(count, "b", "ben", ("applied", "m2"), base=1, upto=2)

    assert 0 == total(count, truth).lost


def test_a_cursor_of_another_database_says_nothing(truth: Truth) -> None:
    """After a restore positions mean something else."""
    count = Count()
    count.take("b", "ben", since=0, entries=[], base=cursor(0, "f"), cursor=cursor(2, "f"))
    count.take("c", "ben", since=0, entries=[], base=cursor(0), cursor=cursor(2, "f"))
    count.take("d", "ben", since=0, entries=[], base="nonsense", cursor=None)

    assert 0 == total(count, truth).lost


def test_a_send_that_was_taken_back_was_not_sent(truth: Truth) -> None:
    """Unless it was acknowledged all the same."""
    count = Count()
    back = (("queued", "c3"), ("withdrawn", "c3"), ("withdrawn", "c1"), ("queued", "c4"))
    reports(count, "a", "ada", *SENT, *back, *BOTH, upto=2)
    reports(count, "b", "ben", *BOTH, upto=2)

    assert Total(sent=3, acknowledged=2, received=2, waiting=1) == total(count, truth)


def test_a_report_that_comes_twice_or_with_a_hole_adds_nothing(truth: Truth) -> None:
    """Its answer may have been lost; and a count that was begun anew asks for the whole."""
    count = Count()
    assert 6 == reports(count, "a", "ada", *SENT, *BOTH, upto=2)
    assert 6 == reports(count, "a", "ada", *SENT, *BOTH, upto=2)
    assert 0 == count.take("b", "ben", since=7, entries=[["applied", "m1"]], base=cursor(0), cursor=cursor(2))
    assert 1 == count.take("b", "ben", since=0, entries=[["applied", "m1"]], base=cursor(0), cursor=cursor(1))
    assert 2 == count.take("b", "ben", since=1, entries=[["applied", "m2"]], base=cursor(0), cursor=cursor(2))

    assert Total(sent=2, acknowledged=2, received=2) == total(count, truth)


def test_a_person_without_an_open_window_is_not_waited_for(truth: Truth) -> None:
    """A window that was closed, or silent for too long, keeps what it had and owes nothing any more."""
    clock = Clock()
    count = Count(clock)
    reports(count, "a", "ada", *SENT, *BOTH, upto=2)
    assert Total(sent=2, acknowledged=2, unopened=2) == total(count, truth)
    reports(count, "b", "ben", ("applied", "m1"), upto=1)
    assert (1, 0) == (total(count, truth).on_the_way, total(count, truth).unopened)

    clock.now += TAB_SILENT_S

    assert (1, 0, 1) == (total(count, truth).received, total(count, truth).on_the_way, total(count, truth).unopened)
    assert set() == count.open_users()


def test_a_new_count_forgets_what_was_before_it(truth: Truth) -> None:
    """An acknowledgement that comes after its beginning, of a message from before, is neither sent nor lost."""
    count = Count()
    reports(count, "a", "ada", *SENT, *BOTH, upto=2)
    count.begin({"ada": 1, "ben": 1})
    later = Truth(EPOCH, {"m2": "ben"}, {"ada": {"m2": 2}, "ben": {"m2": 2}}, earlier={"m1"})
    reports(count, "a", "ada", *SENT, *BOTH, ("applied", "m1"), upto=2)
    reports(count, "b", "ben", *BOTH, upto=2)

    assert Total(sent=1, acknowledged=1, received=1) == total(count, later)


# What the database says


@pytest.fixture
def path(tmp_path: Path, tidings_database: Callable[[Path], None]) -> Path:
    path = tmp_path / "t.db"
    tidings_database(path)
    return path


@pytest.fixture
def database(path: Path) -> Maintenance:
    return open_maintenance(f"sqlite:///{path}")


@pytest.fixture
def tidings_database() -> Callable[[Path], None]:
    """Make a database in which Ada wrote twice to Ben, and Ben once to Ada."""

    def make(path: Path) -> None:
        from tidings.server.store.sqlite.file import migrate

        connection = sqlite3.connect(path, isolation_level=None)
        migrate(connection)
        connection.executescript("""
            INSERT INTO users(uid, name, head) VALUES (1, 'ada', 4), (2, 'ben', 3);
            INSERT INTO members(uid, chat, cid, tag) VALUES (1, 2, 1, 1), (2, 1, 1, 1);
            INSERT INTO messages(id, sender, nth, client_id, type, ts, body) VALUES
                (16777217, 1, 1, 'c1', 'text', 1, 'one'), (16777218, 1, 2, 'c2', 'text', 2, 'two'),
                (16777219, 2, 1, NULL, 'text', 3, 'three');
            INSERT INTO feed(uid, cur, kind, chat, mid, ts) VALUES
                (1, 1, 1, 2, 16777217, 1), (1, 2, 1, 2, 16777218, 2), (1, 3, 2, 2, 16777218, 2),
                (1, 4, 1, 2, 16777219, 3),
                (2, 1, 1, 1, 16777217, 1), (2, 2, 1, 1, 16777218, 2), (2, 3, 1, 1, 16777219, 3);
        """)
        connection.close()

    return make


def test_the_truth_is_what_the_logs_hold(database: Maintenance) -> None:
    """Messages only, with whom they are for, after the positions in question."""
    assert {"ada": 4, "ben": 3} == read_heads(database)
    truth = read_truth(database, {})
    assert {"m1000001": "ben", "m1000002": "ben", "m1000003": "ada"} == truth.recipients
    assert {"ada": {"m1000001": 1, "m1000002": 2, "m1000003": 4}} == {"ada": truth.logs["ada"]}

    later = read_truth(database, {"ada": 2, "ben": 2}, ["m1000001", "m1000003", "m1000009", "nonsense"])

    assert ({"m1000003": "ada"}, {"m1000001"}, 0) == (later.recipients, later.earlier, later.doubled)


def test_a_message_that_is_gone_from_the_database_is_gone_from_the_truth(database: Maintenance, path: Path) -> None:
    """Its entry in the logs does not stand for it."""
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM messages WHERE id = 16777218")

    truth = read_truth(database, {}, ["m1000002"])

    assert {"m1000001", "m1000003"} == set(truth.recipients)
    assert set() == truth.earlier


def test_a_message_that_the_server_has_twice_is_doubled(database: Maintenance, path: Path) -> None:
    """The same sender, the same client_id: what the unique index forbids, counted all the same."""
    with sqlite3.connect(path) as connection:
        connection.execute("DROP INDEX messages_client_id")
        connection.execute("UPDATE messages SET client_id = 'c1' WHERE client_id = 'c2'")

    assert 1 == read_truth(database, {}).doubled


# Faults and traffic


def test_a_fault_heals_by_itself() -> None:
    """After its time, which begins anew when it is asked for again."""
    clock = Clock()
    faults = Faults(clock)
    told: list[Fault | None] = []
    faults.changed = told.append
    faults.begin("stall", "ada")
    clock.now += HEAL_AFTER_S - 1
    faults.begin("delay", None, 300)
    assert 1 == faults.end_due()
    assert Conditions(cut="stall", delay_s=0.3) == faults.conditions("ada")
    assert Conditions(delay_s=0.3) == faults.conditions("ben") == faults.conditions(None)

    clock.now += 1
    faults.end_due()
    assert Conditions(delay_s=0.3) == faults.conditions("ada")
    clock.now += HEAL_AFTER_S
    assert faults.end_due() is None

    assert [] == faults.held()
    assert [True, True, False, False] == [fault is not None for fault in told]


def test_one_cut_takes_the_place_of_another() -> None:
    """For the same person; what is cut for everybody stays so."""
    faults = Faults(Clock())
    faults.begin("refuse", None)
    faults.begin("stall", "ada")
    faults.begin("reset", "ada")
    assert {("refuse", None), ("reset", "ada")} == {(fault.kind, fault.user) for fault, _ in faults.held()}
    assert faults.refuses_everybody
    faults.end("refuse", None)
    assert ("reset", None) == (faults.conditions("ada").cut, faults.conditions("ben").cut)


def test_of_a_persons_windows_one_writes_and_it_ends() -> None:
    """The rate is a person's; traffic has an end also when nobody ends it."""
    clock = Clock()
    count, traffic = Count(clock), Traffic(clock)
    for tab, user in (("t2", "ada"), ("t1", "ada"), ("t3", "ben"), ("t4", "cleo")):
        count.take(tab, user, since=0, entries=[], base=None, cursor=None)
    traffic.order(5, ["ada", "ben"])

    shares = {tab: traffic.share(tab, count.tabs[tab].user, count.tabs) for tab in count.tabs}

    assert {"to": "ben", "per_second": 5, "seconds_left": TRAFFIC_FOR_S} == shares["t1"]
    assert (None, "ada", None) == (shares["t2"], (shares["t3"] or {})["to"], shares["t4"])
    clock.now += TRAFFIC_FOR_S
    assert traffic.share("t1", "ada", count.tabs) is None
    assert 0 == traffic.state()["per_second"]
