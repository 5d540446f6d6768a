"""The defects to plant. Each is a mistake that somebody could make, and a run must find it within 200 seeds."""

from __future__ import annotations

from lab.simulation.defect import Mutant
from lab.simulation.defect import one as _one
from lab.simulation.nodes.mutants import NODES_MUTANTS

HUB, STREAM, FOLLOW = "server/live/hub.py", "server/live/stream.py", "server/api/stream_route.py"
SEND, AUDIENCE = (f"server/store/sqlite/{name}.py" for name in ("send", "audience"))
RECEIPTS = "server/store/sqlite/receipts.py"
TRIM, RULES, ROWS = "server/store/sqlite/trim.py", "server/store/rules.py", "server/store/rows.py"
THREADS, COPIES, EVENTS = "server/store/sqlite/threads.py", "server/store/sqlite/copies.py", "server/api/poll.py"
SCHEMA = "server/store/sqlite/migrations/0001_start.sql"
CORE, FOLLOWING = "client/core.py", "client/following.py"
RAISE_HEADS = """connection.executemany(
    "UPDATE users SET head = ? WHERE uid = ?", [(head + 1, uid) for uid, _chat, _name, head in sides]
)"""
READ, PAGE = "self._hub.store.read_after", "EVENTS_PAGE_DEFAULT, FRAME_BATCH_MAX_BYTES"

MUTANTS = [
    # I1: acknowledged means committed.
    _one(
        "answer-before-commit",
        "a send is answered when its statements have run, not when they are committed",
        THREADS,
        'self._connection.execute("COMMIT")',
        'self._answer(jobs)\nself._connection.execute("COMMIT")',
    ),
    _one(
        "two-transactions",
        "the sender's and the recipient's log are written in two transactions, each under a lock of its own",
        AUDIENCE,
        RAISE_HEADS,
        f'{RAISE_HEADS}\nconnection.execute("COMMIT")\nconnection.execute("BEGIN IMMEDIATE")',
    ),
    Mutant(
        "client-id-ignored",
        "a send that is repeated is stored again",
        (
            (SEND, "found.stored is not None", "False"),
            (SCHEMA, "CREATE UNIQUE INDEX messages_client_id", "CREATE INDEX messages_client_id"),
        ),
    ),
    _one(
        "client-id-of-any-content",
        "a client_id used for another text is answered with the first message",
        RULES,
        "stored_digest != sent_digest",
        "False",
    ),
    # I2: a log is dense and becomes visible in order.
    Mutant(
        "position-in-memory",
        "the next position is counted in memory, and a rollback leaves a hole",
        (
            (
                AUDIENCE,
                "mid = conversation << SEQ_BITS | seq",
                """
                sides = [(uid, chat, name, _last(uid, head)) for uid, chat, name, head in sides]
                mid = conversation << SEQ_BITS | seq
                """,
            ),
            (
                AUDIENCE,
                "",
                """
                _heads: dict[int, int] = {}

                def _last(user: int, head: int) -> int:
                    _heads[user] = max(_heads.get(user, 0), head) + 1
                    return _heads[user] - 1
                """,
            ),
        ),
    ),
    Mutant(
        "head-trimmed",
        "retention removes the row at the head, by whose tag cursors are known",
        (
            (RULES, "old, young = ends.floor, ends.head", "old, young = ends.floor, ends.head + 1"),
            (f"{RULES}::wanted_floor", "ends.head - 1", "ends.head"),
            (f"{RULES}::next_floor", "ends.head - 1", "ends.head"),
        ),
    ),
    _one(
        "floor-after-rows",
        "retention removes rows and leaves the floor where it was",
        TRIM,
        'connection.execute("UPDATE users SET floor = ? WHERE uid = ?", (floor, uid))',
        "pass",
    ),
    _one(
        "floor-not-checked",
        "a cursor below the floor is resumed",
        RULES,
        "cursor.position < ends.floor",
        "False",
    ),
    _one(
        "trimmed-under-a-reader",
        "a stream that retention has passed goes on behind the hole",
        STREAM,
        "not page or page[0].position != self.position + 1",
        "not page",
    ),
    _one(
        "tail-passed-by-retention",
        "a log whose tail retention has passed is never read on",
        HUB,
        "events and events[0].position > self.tail + 1",
        "False",
    ),
    _one(
        "tag-not-checked",
        "a database that was rolled back without a word is not noticed",
        RULES,
        "written_ms is None or tag_of(written_ms) != cursor.tag",
        "written_ms is None",
    ),
    _one(
        "epoch-kept",
        "a restored database keeps its epoch",
        COPIES,
        """copy.execute("UPDATE meta SET v = ? WHERE k = 'epoch'", (new_epoch(),))""",
        "pass",
    ),
    _one(
        "page-boundary",
        "the second page of a catch-up begins one too late",
        STREAM,
        f"{READ}(self._log.user, self.position, {PAGE})",
        f"{READ}(self._log.user, self.position + (self.position > self._began_at), {PAGE})",
    ),
    _one(
        "poll-boundary",
        "a poll that was cut at its limit says that there is no more",
        EVENTS,
        "reached < max(start.head, user_log.tail or 0)",
        "reached < start.head - 1",
    ),
    # I3: hints only wake.
    _one(
        "tail-raised-by-hint",
        "a hint that jumps raises the tail instead of causing a read",
        f"{HUB}::hint",
        "self.kick()",
        "setattr(self, 'tail', event.position)",
    ),
    Mutant(
        "head-not-restored",
        "after a start the head counts from zero, so that everybody seems to have everything until the next event",
        (
            (
                HUB,
                "self.tail = head\nhead = self._hinted",
                "self.tail = 0\nhead = self._hinted",
            ),
            (STREAM, "self._past = start.head", "self._past = 0"),
        ),
    ),
    _one(
        "caught-up-too-early",
        "a reader that joins a log behind its head is told that it has everything",
        f"{STREAM}::open",
        "self.position >= max(self._log.tail or 0, self._past)",
        "self.position >= (self._log.tail or 0)",
    ),
    _one(
        "no-sweep",
        "nobody looks for what every hint missed",
        HUB,
        "user_log.kick()",
        "None",
    ),
    Mutant(
        "double-not-dropped",
        "a hint that comes again is handed out again",
        (
            (f"{HUB}::hint", "event.position == self.tail + 1", "event.position in (self.tail, self.tail + 1)"),
            (
                f"{HUB}::hint",
                "self._append(Rendered(self._hub.epoch, event))",
                "self.tail = event.position - 1\nself._append(Rendered(self._hub.epoch, event))",
            ),
        ),
    ),
    _one(
        "replay-through-the-live-queue",
        "what is committed during a catch-up is written between its pages",
        STREAM,
        """
        if self.state is not LIVE or self.position >= rendered.position:
            return
        """,
        """
        if self.state is PULLING:
            self._hub.spawn(self._write(rendered.frame()))
        if self.state is not LIVE or self.position >= rendered.position:
            return
        """,
    ),
    _one(
        "written-while-writing",
        "an event is handed to a stream whose last write has not ended",
        STREAM,
        "self.state is not LIVE or self.position >= rendered.position",
        "self.state not in (LIVE, WRITING) or self.position >= rendered.position",
    ),
    _one(
        "hint-dropped-while-writing",
        "a hint that comes while a write is under way is forgotten when it ends",
        STREAM,
        "self._goodbye is None and self._is_caught_up and self.position >= (self._log.tail or 0)",
        "self._goodbye is None and self._is_caught_up",
    ),
    # Receipts and snapshots.
    _one(
        "watermark-falls",
        "a receipt that comes late moves the watermark back",
        RULES,
        "read = max(self.read, read_upto)",
        "read = read_upto or self.read",
    ),
    _one(
        "own-devices-not-told",
        "what was read on one device stays unread on the others",
        RECEIPTS,
        """
        positions = enter(connection, own, conversation, KIND_READ_BY_OWNER, after.read, now_ms)
        committed += rows.receipts(positions, peer, KIND_READ_BY_OWNER, after.read, now_ms)
        """,
        "pass",
    ),
    _one(
        "unread-miscounted",
        "own messages count as read ones of the other",
        RULES,
        "return seq - nth if is_own else nth",
        "return nth",
    ),
    _one(
        "snapshot-ahead",
        "a snapshot carries a cursor that is one event ahead of it",
        ROWS,
        "return format_cursor(epoch, ends.head, ends.head_tag)",
        "return format_cursor(epoch, ends.head + 1, ends.head_tag)",
    ),
    # I4: a client applies each event once.
    _one(
        "cursor-before-apply",
        "the cursor to be stored stands behind events that are not handed out yet",
        FOLLOWING,
        "self.cursor = self._follower.cursor if not self._queue else self.cursor or self._follower.started_from",
        "self.cursor = self._follower.cursor",
    ),
    _one(
        "resumed-from-the-first-place",
        "the client comes back with the cursor that it began with, and applies again",
        CORE,
        "self._streams = {generation: _Stream(self._log)}",
        "self._log.cursor = self._log.started_from\nself._streams = {generation: _Stream(self._log)}",
    ),
    _one(
        "reset-not-told",
        "the client takes a reset for a place like any other, and loads nothing anew",
        CORE,
        "return self._log.reset(msgspec.convert(frame.data, Reset))",
        "self._log.reset(msgspec.convert(frame.data, Reset))\nreturn None",
    ),
    _one(
        "send-under-new-id",
        "a send that is repeated from the outbox has another client_id",
        "client/call.py",
        "client_id = named(client_id)",
        "client_id = str(uuid.uuid4())",
    ),
    *NODES_MUTANTS,
]
