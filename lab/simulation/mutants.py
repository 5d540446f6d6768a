"""Planted defects: each is a mistake that somebody could make, and a run must find it.

A defect replaces text of a copy of the product's source. Where the text is no longer there exactly once, planting
fails: a defect that is not planted would be found by nobody and prove nothing.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import tidings

SOURCE = Path(tidings.__file__).parent


@dataclass(frozen=True)
class Mutant:
    """A defect: (file, text, text instead), and what it makes of the product."""

    name: str
    about: str
    changes: tuple[tuple[str, str, str], ...]


class Stale(Exception):
    """The product's text has changed: the defect must be planted elsewhere."""


def plant(mutant: Mutant, directory: Path) -> Path:
    """A copy of the product's source with this defect in it; what to put on the path.

    Raises:
        Stale: See the rules of this file.
    """
    planted = changed(mutant)
    copy = directory / "tidings"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("static", "__pycache__"))
    for name, source in planted.items():
        (copy / name).write_text(source, "utf-8")
    return directory


def changed(mutant: Mutant) -> dict[str, str]:
    """The files that this defect changes, with it in them.

    Raises:
        Stale: See the rules of this file.
    """
    sources: dict[str, str] = {}
    for name, text, instead in mutant.changes:
        source = sources.get(name) or (SOURCE / name).read_text("utf-8")
        if source.count(text) != 1:
            raise Stale(f"{mutant.name}: {source.count(text)} times in {name}:\n{text}")
        sources[name] = source.replace(text, instead)
    return sources


def _one(name: str, about: str, file: str, text: str, instead: str) -> Mutant:
    return Mutant(name, about, ((file, text, instead),))


HUB, STREAM, FOLLOW = "server/live/hub.py", "server/live/stream.py", "server/api/stream_route.py"
SEND, RECEIPTS = (f"server/store/sqlite/{name}.py" for name in ("send", "receipts"))
TRIM, RULES, ROWS = "server/store/sqlite/trim.py", "server/store/rules.py", "server/store/rows.py"
THREADS, COPIES, EVENTS = "server/store/sqlite/threads.py", "server/store/sqlite/copies.py", "server/api/poll.py"
SCHEMA = "server/store/sqlite/migrations/0001_start.sql"
CORE, FOLLOWING = "client/core.py", "client/following.py"

MUTANTS = [
    # I1: acknowledged means committed.
    _one(
        "answer-before-commit",
        "a send is answered when its statements have run, not when they are committed",
        THREADS,
        '        self._connection.execute("COMMIT")\n',
        '        self._answer(jobs)\n        self._connection.execute("COMMIT")\n',
    ),
    _one(
        "two-transactions",
        "the sender's and the recipient's log are written in two transactions, each under a lock of its own",
        SEND,
        '"UPDATE users SET head = head + 1 WHERE uid IN (?, ?)", (sender, recipient))\n',
        '"UPDATE users SET head = head + 1 WHERE uid IN (?, ?)", (sender, recipient))\n'
        '    connection.execute("COMMIT")\n'
        '    connection.execute("BEGIN IMMEDIATE")\n',
    ),
    Mutant(
        "client-id-ignored",
        "a send that is repeated is stored again",
        (
            (SEND, "    if found.stored is not None:\n", "    if False:\n"),
            (SCHEMA, "CREATE UNIQUE INDEX messages_client_id", "CREATE INDEX messages_client_id"),
        ),
    ),
    _one(
        "client-id-of-any-content",
        "a client_id used for another text is answered with the first message",
        RULES,
        "    if stored_digest != sent_digest:\n",
        "    if False:\n",
    ),
    # I2: a log is dense and becomes visible in order.
    Mutant(
        "position-in-memory",
        "the next position is counted in memory, and a rollback leaves a hole",
        (
            (
                SEND,
                "last_seq + 1, sender_head + 1, recipient_head + 1\n",
                "last_seq + 1, _next(sender, sender_head), _next(recipient, recipient_head)\n",
            ),
            (
                SEND,
                '    connection.execute("UPDATE users SET head = head + 1 WHERE uid IN (?, ?)", (sender, recipient))\n',
                '    connection.execute("UPDATE users SET head = ? WHERE uid = ?", (sender_position, sender))\n'
                '    connection.execute("UPDATE users SET head = ? WHERE uid = ?", (recipient_position, recipient))\n',
            ),
            (
                SEND,
                "def append(",
                "_heads: dict[int, int] = {}\n\n\n"
                "def _next(user: int, head: int) -> int:\n"
                "    _heads[user] = max(_heads.get(user, 0), head) + 1\n"
                "    return _heads[user]\n\n\ndef append(",
            ),
        ),
    ),
    Mutant(
        "head-trimmed",
        "retention removes the row at the head, by whose tag cursors are known",
        (
            (RULES, "    old, young = ends.floor, ends.head\n", "    old, young = ends.floor, ends.head + 1\n"),
            (RULES, "is_old)), ends.head - 1)\n", "is_old)), ends.head)\n"),
            (RULES, "slice_events, wanted, ends.head - 1))\n", "slice_events, wanted, ends.head))\n"),
        ),
    ),
    _one(
        "floor-after-rows",
        "retention removes rows and leaves the floor where it was",
        TRIM,
        '    connection.execute("UPDATE users SET floor = ? WHERE uid = ?", (floor, uid))\n',
        "",
    ),
    _one(
        "floor-not-checked",
        "a cursor below the floor is resumed",
        RULES,
        "    if cursor.position < ends.floor:\n",
        "    if False:\n",
    ),
    _one(
        "trimmed-under-a-reader",
        "a stream that retention has passed goes on behind the hole",
        STREAM,
        "        if not page or page[0].position != self.position + 1:",
        "        if not page:",
    ),
    _one(
        "tail-passed-by-retention",
        "a log whose tail retention has passed is never read on",
        HUB,
        "                if events and events[0].position > self.tail + 1:\n",
        "                if False:\n",
    ),
    _one(
        "tag-not-checked",
        "a database that was rolled back without a word is not noticed",
        RULES,
        "(written_ms is None or tag_of(written_ms) != cursor.tag):\n",
        "written_ms is None:\n",
    ),
    _one(
        "epoch-kept",
        "a restored database keeps its epoch",
        COPIES,
        "                copy.execute(\"UPDATE meta SET v = ? WHERE k = 'epoch'\", (new_epoch(),))\n",
        "                pass\n",
    ),
    _one(
        "page-boundary",
        "the second page of a catch-up begins one too late",
        STREAM,
        "self._log.user, self.position, EVENTS_PAGE_DEFAULT, FRAME",
        "self._log.user, self.position + (self.position > self._began_at), EVENTS_PAGE_DEFAULT, FRAME",
    ),
    _one(
        "poll-boundary",
        "a poll that was cut at its limit says that there is no more",
        EVENTS,
        "reached < max(place.head, user_log.tail or 0)",
        "reached < place.head - 1",
    ),
    # I3: signals are only hints.
    _one(
        "tail-raised-by-hint",
        "a signal that jumps raises the tail instead of causing a read",
        HUB,
        "        elif event.position > self.tail:\n            self.kick()\n",
        "        elif event.position > self.tail:\n            self.tail = event.position\n",
    ),
    Mutant(
        "head-not-restored",
        "after a start the head counts from zero, so that everybody seems to have everything until the next event",
        (
            (
                HUB,
                "            self.tail = head\n            head = self._signalled\n",
                "            self.tail = 0\n            head = self._signalled\n",
            ),
            (STREAM, "        self._past = place.head ", "        self._past = 0 "),
        ),
    ),
    _one(
        "caught-up-too-early",
        "a reader that joins a log behind its head is told that it has everything",
        STREAM,
        "        if self.position >= max(self._log.tail or 0, self._past):\n            first +=",
        "        if self.position >= (self._log.tail or 0):\n            first +=",
    ),
    _one(
        "no-sweep",
        "nobody looks for what every signal missed",
        HUB,
        "                    if head > user_log.tail:\n                        user_log.kick()\n",
        "                    if head > user_log.tail:\n                        pass\n",
    ),
    _one(
        "double-not-dropped",
        "a signal that comes again is handed out again",
        HUB,
        "        elif event.position == self.tail + 1:\n            self._append(",
        "        elif event.position in (self.tail, self.tail + 1):\n"
        "            self.tail = event.position - 1\n"
        "            self._append(",
    ),
    _one(
        "replay-through-the-live-queue",
        "what is committed during a catch-up is written between its pages",
        STREAM,
        "        if self.state is not LIVE or self.position >= rendered.position:\n",
        "        if self.state is PULLING:\n            self._hub.spawn(self._write(rendered.frame()))\n"
        "        if self.state is not LIVE or self.position >= rendered.position:\n",
    ),
    _one(
        "written-while-writing",
        "an event is handed to a stream whose last write has not ended",
        STREAM,
        "        if self.state is not LIVE or self.position >= rendered.position:\n",
        "        if self.state not in (LIVE, WRITING) or self.position >= rendered.position:\n",
    ),
    _one(
        "hint-dropped-while-writing",
        "what was signalled while a write was under way is forgotten when it ends",
        STREAM,
        "        elif self._goodbye is None and self._is_caught_up and self.position >= (self._log.tail or 0):\n",
        "        elif self._goodbye is None and self._is_caught_up:\n",
    ),
    # Receipts and snapshots.
    _one(
        "watermark-falls",
        "a receipt that comes late moves the watermark back",
        RULES,
        "        read = max(self.read, read_upto)\n",
        "        read = read_upto or self.read\n",
    ),
    _one(
        "own-devices-not-told",
        "what was read on one device stays unread on the others",
        RECEIPTS,
        "        committed.append(_record(connection, own, other, KIND_READ_BY_OWNER, conversation, after.read,"
        " now_ms))\n",
        "",
    ),
    _one(
        "unread-miscounted",
        "own messages count as read ones of the other",
        RULES,
        "    return seq - nth if is_own else nth\n",
        "    return nth\n",
    ),
    _one(
        "snapshot-ahead",
        "a snapshot carries a cursor that is one event ahead of it",
        ROWS,
        "    return format_cursor(epoch, ends.head, ends.head_tag)\n",
        "    return format_cursor(epoch, ends.head + 1, ends.head_tag)\n",
    ),
    # I4: a client applies each event once.
    _one(
        "cursor-before-apply",
        "the cursor to be stored stands behind events that are not handed out yet",
        FOLLOWING,
        "self.cursor = self._follower.cursor if not self._queue else self.cursor or self._follower.started_from\n",
        "self.cursor = self._follower.cursor\n",
    ),
    Mutant(
        "resumed-from-the-first-place",
        "the client comes back with the cursor that it began with, and applies again",
        (
            (
                CORE,
                "        self._streams = {generation: _Stream(self._log)}\n",
                "        self._log.cursor = self._log.started_from\n"
                "        self._streams = {generation: _Stream(self._log)}\n",
            ),
        ),
    ),
    _one(
        "reset-not-told",
        "the client takes a reset for a place like any other, and loads nothing anew",
        CORE,
        "                return self._log.reset(frame.data)\n",
        "                self._log.reset(frame.data)\n                return None\n",
    ),
    _one(
        "send-under-new-id",
        "a send that is repeated from the outbox has another client_id",
        "client/call.py",
        "    client_id = named(client_id)\n",
        "    client_id = str(uuid.uuid4())\n",
    ),
]
