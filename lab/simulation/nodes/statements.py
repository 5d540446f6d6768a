"""The product's statements for PostgreSQL, on SQLite: what each means, without how it waits.

Reads are the product's own SQL with some words of the dialect replaced. The functions in the database cannot run here:
``write_1`` decides as the SQLite store's own statements do (tests/server/test_postgres_bursts.py and the contract hold
both against each other), the small ones are written again. A statement that is not known here fails the run.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from tidings.errors import Problem
from tidings.protocol.events import KIND_MESSAGE, KIND_READ_BY_OWNER
from tidings.protocol.user_id import UserId
from tidings.server.store import Committed, NewMessage
from tidings.server.store.postgres import driver, schema, store
from tidings.server.store.rules import CONVERSATION_SEQ_MAX, SEQ_BITS, Refusal
from tidings.server.store.sqlite import receipts, revoke, safety, send, trim

Rows = list[tuple[Any, ...]]

SERVER_VERSION = 150_000
_APPEND, _ADVANCE, _BLOCK, _UNBLOCK = 1, 2, 3, 4
_WORDS = {
    "unknown_person": Refusal.MAY_NOT_BEGIN,
    "blocked_by_you": Refusal.BLOCKS,
    "not_allowed": Refusal.IS_BLOCKED,
    "new_conversations_limited": Refusal.OPENINGS,
    "conversation_full": Refusal.IS_FULL,
}


class UnknownStatement(Exception):
    """The product asks what the simulated database does not know: teach it."""


@cache
def plain(sql: str) -> str:
    """A statement without its schema."""
    return sql.replace('"tidings".', "").strip()


# Reads


def read(connection: sqlite3.Connection, sql: str, values: Sequence[Any]) -> Rows:
    """The rows of a SELECT of the product."""
    cursor = connection.execute(_translated(sql), [json.dumps(v) if isinstance(v, list) else v for v in values])
    booleans = [_is_boolean(name) for name, *_ in cursor.description]
    return [
        tuple(
            bool(value) if is_boolean and value is not None else value
            for value, is_boolean in zip(row, booleans, strict=True)
        )
        for row in cursor
    ]


@cache
def _translated(sql: str) -> str:
    sql = re.sub(_LATERAL, _as_key, sql, flags=re.DOTALL)
    for pattern, instead in (
        (r"\bmeta k\b", "(SELECT v AS epoch FROM meta WHERE k = 'epoch') k"),
        (r"= ANY \((\$\d+)::text\[\]\)", r"IN (SELECT value FROM json_each(\1))"),
        (r"::(int|bigint|text)\b", ""),
        (r"\bleft\((\w+), (\d+)\)", r"substr(\1, 1, \2)"),
        (r"\$(\d+)", r"?\1"),
    ):
        sql = re.sub(pattern, instead, sql)
    return sql


_LATERAL = r"LEFT JOIN LATERAL \(\s*SELECT \* FROM (\w+) x\s+(WHERE .*?LIMIT \$\d+)\) (\w+) ON true"
_KEYS = {"messages": ("id", "true"), "members": ("chat", "{0}.uid = u.uid")}  # SQLite has no LATERAL


def _as_key(found: re.Match[str]) -> str:
    table, where, name = found.groups()
    key, of = _KEYS[table]
    return f"LEFT JOIN {table} {name} ON {of.format(name)} AND {name}.{key} IN (SELECT x.{key} FROM {table} x {where})"


def _is_boolean(name: str) -> bool:
    return not name.startswith("(") and (name.startswith("EXISTS") or re.search(r" [=>] ", name) is not None)


# Locks


@cache
def lock_order() -> str | None:
    """The column by which the product's function orders the locks of a batch; None: as they were sent."""
    migrations = files(store.__package__) / "migrations"
    scripts = "\n".join(each.read_text("utf-8") for each in sorted(migrations.iterdir(), key=lambda each: each.name))
    found = re.findall(
        r"FROM TIDINGS\.users u WHERE u\.name = ANY \(names\)(?: ORDER BY u\.(\w+))? FOR NO KEY", scripts
    )
    if not found:
        raise UnknownStatement("lock_users_1 does not lock as the simulated database knows")
    return found[-1] or None


def in_lock_order(connection: sqlite3.Connection, names: Sequence[str]) -> list[str]:
    """The names in the order in which a batch locks them; those that nobody has yet come first."""
    known: dict[str, tuple[Any, ...]] = {}
    for name in dict.fromkeys(names):
        row = connection.execute(f"SELECT {lock_order() or 0} FROM users WHERE name = ?", (name,)).fetchone()
        if row is not None:
            known[name] = row
    new = sorted(name for name in set(names) if name not in known)
    return new + (list(known) if lock_order() is None else sorted(known, key=lambda name: known[name]))


# Writes


def write(connection: sqlite3.Connection, columns: Sequence[Sequence[Any]]) -> Rows:
    """``write_1``, within a transaction and behind the locks: the rows for each operation in turn."""
    rows: Rows = []
    for number, operation in enumerate(zip(*columns, strict=True), start=1):
        rows += _operate(connection, number, *operation)
    return rows


def _operate(
    connection: sqlite3.Connection,
    number: int,
    op: int,
    a: str,
    b: str,
    client_id: str | None,
    digest: bytes | None,
    message_type: str,
    body: str,
    openings: int | None,
    flags: int,
    delivered: int,
    read_upto: int,
) -> Rows:
    one, other = UserId(a), UserId(b)
    if op == _APPEND:
        stored = _stored(connection, number, a, client_id)
        if stored is not None:
            return [stored]
        new = NewMessage(
            one, other, body, message_type, client_id, openings, bool(flags & 1), bool(flags & 2), bool(flags & 4)
        )
        try:
            written = send.append(connection, new)
        except Problem as refused:
            return [(number, _WORDS[refused.code], None, 0, None, 0, None, None, 0, 0, 0, 0, None, None, None)]
        *told, mine_or_theirs, last = written.committed
        events = _events(connection, number, one, told)
        at = {each.user: each.event.position for each in (mine_or_theirs, last)}
        mid, at_ms = connection.execute(
            "SELECT mid, ts FROM feed JOIN users USING (uid) WHERE name = ? AND cur = ?", (a, at[one])
        ).fetchone()
        tag, *marks = connection.execute(
            "SELECT tag, 0, 0, told_read, told_dlv FROM sides JOIN users USING (uid) WHERE users.name = ? AND cid = ?",
            (a, mid >> SEQ_BITS),
        ).fetchone()
        seq = mid & CONVERSATION_SEQ_MAX
        return [*events, (number, "ok", None, at[one], at[other], at_ms, seq, tag, *marks, None, None, None)]
    if op == _ADVANCE:
        (last_seq,) = connection.execute(
            "SELECT last_seq FROM sides JOIN users USING (uid) WHERE users.name = ? AND sides.name = ?", (a, b)
        ).fetchone() or (0,)
        if max(delivered, read_upto) > last_seq:
            return [(number, "unknown", None, None, None, 0, last_seq, None, 0, 0, 0, 0, None, None, None)]
        advanced = receipts.advance(connection, one, other, delivered, read_upto, tells_strangers=bool(flags & 1))
        marks = [getattr(advanced.answer, name) for name in advanced.answer.__struct_fields__]
        ok = (number, "ok", None, None, None, 0, None, None, *marks, None, None, None)
        return [*_events(connection, number, one, advanced.committed), ok]
    (safety.block if op == _BLOCK else safety.unblock)(connection, one, other)
    return [(number, "ok", None, None, None, 0, None, None, 0, 0, 0, 0, None, None, None)]


STORED = f"""
    SELECT ?1, 'stored', NULL, NULL, NULL, m.ts, m.id & {CONVERSATION_SEQ_MAX}, s.tag, 0, 0, s.told_read, s.told_dlv,
           m.digest, m.type, m.body
    FROM messages m JOIN users ON users.uid = m.sender
    JOIN sides s ON s.uid = m.sender AND s.cid = m.id >> {SEQ_BITS}
    WHERE users.name = ?2 AND m.client_id = ?3"""


def _stored(connection: sqlite3.Connection, number: int, sender: str, client_id: str | None) -> tuple[Any, ...] | None:
    return connection.execute(STORED, (number, sender, client_id)).fetchone()  # type: ignore[no-any-return]


def _events(connection: sqlite3.Connection, number: int, one: UserId, committed: Sequence[Committed]) -> Rows:
    rows: Rows = []
    for user, event in committed:
        kind, mid, at_ms = connection.execute(
            "SELECT kind, mid, ts FROM feed JOIN users USING (uid) WHERE name = ? AND cur = ?", (user, event.position)
        ).fetchone()
        assert kind != KIND_MESSAGE
        assert (kind == KIND_READ_BY_OWNER) == (user == one)
        at = (event.position, None) if user == one else (None, event.position)
        upto = mid & CONVERSATION_SEQ_MAX
        rows.append((number, "event", kind, *at, at_ms, upto, None, 0, 0, 0, 0, None, None, None))
    return rows


# The small functions


def find_commits(connection: sqlite3.Connection, names: Sequence[str], positions: Sequence[int]) -> Rows:
    """The events at these places now."""
    return [
        connection.execute(
            "SELECT u.head, u.floor, f.ts FROM (SELECT 1) LEFT JOIN users u ON u.name = ?"
            " LEFT JOIN feed f ON f.uid = u.uid AND f.cur = ?",
            (name, position),
        ).fetchone()
        for name, position in zip(names, positions, strict=True)
    ]


def find_cuts(
    connection: sqlite3.Connection, now_ms: int, after_uid: int, older_than_ms: int, events_max: int, at_once: int
) -> Rows:
    """``find_cuts_1``."""
    found = connection.execute(
        "SELECT uid, head, floor FROM users WHERE uid > ? ORDER BY uid LIMIT ?", (after_uid, at_once)
    ).fetchall()
    rows: Rows = []
    for uid, head, floor in found:
        (wanted,) = [
            each.floor
            for each in trim.find(connection, uid - 1, now_ms - older_than_ms, events_max).cuts
            if each.uid == uid
        ] or (floor,)
        rows.append((uid, head, floor, wanted))
    return rows


class Retention:
    """``retain_1``: the slices of a run, each one node's."""

    def __init__(self) -> None:
        self.begun_ms = self.kept = 0
        self.after_uid: int | None = None

    def next_slice(
        self, connection: sqlite3.Connection, now_ms: int, kept_here: int | None, not_within_ms: int, at_once: int
    ) -> Rows:
        """The logs after which the next slice begins, and the events that the run has kept."""
        is_due = self.after_uid is None and self.begun_ms + not_within_ms <= now_ms
        if kept_here is None and (not_within_ms == 0 or is_due):
            self.begun_ms, self.after_uid, self.kept = now_ms, 0, 0
        after_uid = self.after_uid
        if after_uid is not None:
            found = connection.execute(
                "SELECT uid FROM users WHERE uid > ? ORDER BY uid LIMIT ?", (after_uid, at_once)
            ).fetchall()
            self.after_uid = found[-1][0] if len(found) == at_once else None
        self.kept += kept_here or 0
        return [(after_uid, self.kept)]


def begin_epoch(connection: sqlite3.Connection, former: str, following: str) -> Rows:
    """``begin_epoch_1``."""
    connection.execute("UPDATE meta SET v = ? WHERE k = 'epoch' AND v = ?", (following, former))
    return connection.execute("SELECT v FROM meta WHERE k = 'epoch'").fetchall()


def epoch(connection: sqlite3.Connection) -> str:
    """The database's epoch."""
    return str(connection.execute("SELECT v FROM meta WHERE k = 'epoch'").fetchone()[0])


SMALL_WRITES: dict[str, Callable[..., object]] = {
    "cut_1": lambda connection, uid, wanted, _slice: trim.cut(connection, uid, wanted),
    "revoke_1": lambda connection, user, until, _most: revoke.revoke(connection, user, until),
    "begin_epoch_1": begin_epoch,
}
CONSTANT_READS: list[tuple[str, Rows]] = [
    ("SELECT current_setting('server_version_num')", [(SERVER_VERSION, False, f"{driver.LOCK_WAIT_MS}ms")]),
    ("SELECT 1 FROM pg_class", [(1,)]),
    ("SELECT key FROM bus", [("drawn once",)]),
    ("SELECT version, readable_by FROM meta", [(schema.known_version(), 1)]),
    ("SELECT coalesce(sum(pg_total_relation_size", [(1,)]),
    ("SELECT set_config('synchronous_commit'", []),
    ("SELECT forget_refused_1", []),
    ("SELECT count(*) FROM nodes n", [(1,)]),
    ("SELECT 1", [(1,)]),
]
