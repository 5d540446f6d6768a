"""Planted defects that only several nodes show: in the bus, the store on PostgreSQL, and its SQL."""

from __future__ import annotations

from lab.simulation.defect import Mutant, one

HUB, NEIGHBOURS, NODE = "server/live/hub.py", "server/live/bus/neighbours.py", "server/node.py"
STORE = "server/store/postgres"
WRITER, OPERATIONS, LINK, MOVER = (f"{STORE}/{name}.py" for name in ("writer", "operations", "link", "mover"))
SQL = f"{STORE}/migrations/0001_start.sql"

MISSED = """
self.look(users)
for user in users:
    self.others.tell(LOOK, user)
"""
FETCH = "found = await self._fetch(batch, link)"
ANNOUNCE = """
def _announce(self, users):
    self._send([Hint(user, 1 << 50, 0, None, _NOTHING) for user in users], [])
Neighbours.announce = _announce
"""

NODES_MUTANTS = [
    # Hints between nodes (I3).
    Mutant(
        "publish-before-commit",
        "the others are told when a batch is sent to the database, and read before it is committed",
        (
            (HUB, "self.others.publish(events)", "pass"),
            (f"{HUB}::missed", MISSED, "self.others.announce(users)"),
            (NEIGHBOURS, "", ANNOUNCE),
            (
                f"{WRITER}::_serve",
                FETCH,
                f"self._on_missed([name for job in batch for name in job.names])\n{FETCH}",
            ),
        ),
        is_of_several=True,
    ),
    one(
        "tail-raised-by-hint-of-another",
        "a hint of another node that jumps raises the tail instead of causing a read",
        f"{HUB}::hint_of_another",
        "self.kick()",
        "setattr(self, 'tail', hint.position)",
        is_of_several=True,
    ),
    one(
        "no-sweep-after-a-gap",
        "a hole in the numbers, a new neighbour or a bus that comes back causes no sweep",
        HUB,
        "self._sweep_now.set()",
        "pass",
        is_of_several=True,
    ),
    one(
        "number-ignored",
        "parcels are not counted: of a lost one nobody knows",
        NEIGHBOURS,
        "parcel.number > expected",
        "False",
        is_of_several=True,
    ),
    one(
        "epoch-of-a-parcel-ignored",
        "an event of the history that begins is handed out in the one that ends",
        f"{HUB}::hint_of_another",
        "hint.position == self.tail + 1 and epoch == self._hub.epoch and (rendered := rendered_of(epoch, hint))",
        "hint.position == self.tail + 1 and (rendered := rendered_of(epoch, hint))",
        is_of_several=True,
    ),
    # The history of the database.
    one(
        "epoch-kept-for-ever",
        "a node keeps the epoch that it met at its start",
        f"{WRITER}::learn_epoch",
        "epoch != self._epoch",
        "not self._epoch",
        is_of_several=True,
    ),
    one(
        "rollback-not-looked-for",
        "after a new connection nobody asks whether the last commits are still there",
        f"{WRITER}::greet",
        "await self._are_commits_gone(connection, erasures)",
        "False",
        is_of_several=True,
    ),
    one(
        "readers-kept-in-a-new-epoch",
        "readers of the former history are not cut when another begins",
        f"{HUB}::begin_anew",
        'for user_log in list(self._logs.values()):\n    user_log.begin_anew(None, "other_epoch")',
        "pass",
        is_of_several=True,
    ),
    # Writes whose outcome is not known.
    Mutant(
        "cancel-for-terminate",
        "a write that takes long is cancelled, and the answer of a cancelled commit is taken for one",
        (
            (
                f"{WRITER}::_serve",
                "self._loop.call_later(ANSWER_WAIT_MAX_S, link.drop)",
                "self._loop.call_later(ANSWER_WAIT_MAX_S / 2, link.cancel)",
            ),
            (LINK, "", "def _cancel(self):\n    self._connection._cancel_current_command()\nLink.cancel = _cancel"),
            (f"{WRITER}::_serve", "link.was_warned", "False"),
        ),
        is_of_several=True,
    ),
    one(
        "warned-taken-for-done",
        "a commit that did not wait for its standby is answered as one that did",
        f"{WRITER}::_serve",
        "link.was_warned",
        "False",
        is_of_several=True,
    ),
    one(
        "already-stored-tells-nobody",
        "a send that was stored before, by a commit that perhaps nobody was told of, wakes no reader",
        f"{OPERATIONS}::outcomes",
        'if row[1] == "stored":\n    missed.update(operation.names)',
        "pass",
        is_of_several=True,
    ),
    one(
        "unknown-tells-nobody",
        "of a commit that a broken connection left unknown nobody is told when the next one succeeds",
        f"{WRITER}::_fail_unknown",
        "self.note_unknown(name for job in batch for name in job.names)",
        "pass",
        is_of_several=True,
    ),
    one(
        "locks-in-send-order",
        "a batch locks its logs in the order in which its messages came",
        SQL,
        " ORDER BY u.uid FOR NO KEY UPDATE;\nEND $$;",
        " FOR NO KEY UPDATE;\nEND $$;",
        is_of_several=True,
    ),
    # The outbox.
    one(
        "outbox-tells-nobody",
        "a message that was moved out of the outbox wakes no reader",
        f"{MOVER}::_take",
        "self._writer.tell(committed, missed)",
        "pass",
        is_of_several=True,
    ),
    one(
        "outbox-in-another-order",
        "the rows of a look at the outbox are moved the last one first",
        f"{MOVER}::_move_all",
        "[Waiting(*row) for row in await self._fetch(LOOK, self._held())]",
        "[Waiting(*row) for row in await self._fetch(LOOK, self._held())][::-1]",
        is_of_several=True,
    ),
    # What is told besides commits.
    one(
        "tab-told-to-nobody",
        "a stream of the same tab on another node goes on",
        "server/api/stream_route.py",
        "hub.others.tell(TAB, caller.user, tab)",
        "None",
        is_of_several=True,
    ),
    Mutant(
        "revocation-told-to-nobody",
        "a revocation ends the streams of its own node alone; the others find it after some time",
        (
            (
                NODE,
                "self._revoked[user] = until\nself.hub.others.tell(REVOKE, user, repr(until))",
                "self._revoked[user] = until",
            ),
            (NODE, "if self._has_others:\n    self.hub.others.tell(REVOKE, user, repr(until))", "pass"),
        ),
        is_of_several=True,
    ),
]
