"""The committed truth, read after every COMMIT by a connection of its own, and held against I1 and I2.

Everything else in a run is compared with this: what streams write, what polls and snapshots say, what devices have.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import NamedTuple

from tidings.protocol.cursor import tag_of
from tidings.protocol.events import KIND_DELIVERED, KIND_MESSAGE, KIND_READ_BY_OWNER, KIND_READ_BY_PEER
from tidings.server.store.rows import message_id
from tidings.server.store.rules import CONVERSATION_SEQ_MAX, SEQ_BITS

Say = Callable[[str], None]


class Row(NamedTuple):
    """One event of a log; ``upto`` is the message's seq, or how far a receipt reaches."""

    kind: int
    peer: str
    upto: int
    tag: int
    mid: int


class Sent(NamedTuple):
    """A committed message."""

    sender: str
    recipient: str
    seq: int
    text: str
    client_id: str | None


class Truth:
    """All logs and messages; ``wrong`` is told of what must never be."""

    def __init__(self, wrong: Say, clock: Callable[[], float]) -> None:
        self.wrong = wrong
        self.clock = clock
        self.epoch = ""
        self.commits = 0
        self.may_change_epoch = False  # one of several nodes may begin a new one
        self._probe: sqlite3.Connection | None = None
        self._forget()

    def _forget(self) -> None:
        self.logs: dict[str, list[Row]] = {}
        self.floors: dict[str, int] = {}
        self.committed_at: dict[str, list[float]] = {}
        self.messages: dict[int, Sent] = {}
        self.conversations: dict[frozenset[str], list[int]] = {}
        self.by_client_id: dict[tuple[str, str], int] = {}
        self.members: dict[tuple[str, str], tuple[int, ...]] = {}

    def open(self, path: str) -> None:
        """Look at this database from now on; what was known of it must still be true."""
        self.close()
        self._probe = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
        self.observe()

    def close(self) -> None:
        """Look no more: the file is about to be replaced."""
        if self._probe is not None:
            self._probe.close()
            self._probe = None

    def rewind(self, path: str) -> tuple[dict[str, list[Row]], dict[tuple[str, str], int]]:
        """Look at an older copy: it must be what was true once. Returns the logs and sends as they were before."""
        logs, sends = self.logs, self.by_client_id
        self._forget()
        self.epoch = ""
        self.open(path)
        for user, rows in self.logs.items():
            floor = self.floors[user]
            if rows[floor:] != logs.get(user, [])[floor : len(rows)]:
                self.wrong(f"restored log of {user} is not what it was")
            rows[:floor] = logs.get(user, [])[:floor]
        return logs, sends

    def head(self, user: str) -> int:
        """The last committed position of a log."""
        return len(self.logs.get(user, ()))

    def row(self, user: str, position: int) -> Row | None:
        """An event that is, or was before it was trimmed, in a log."""
        rows = self.logs.get(user, ())
        return rows[position - 1] if 0 < position <= len(rows) else None

    def tag(self, user: str, position: int) -> int:
        """The tag that a cursor at this position has."""
        row = self.row(user, position)
        return 0 if row is None else row.tag

    def between(self, one: str, other: str) -> list[Sent]:
        """The messages of a conversation in the order of their seq."""
        return [self.messages[mid] for mid in self.conversations.get(frozenset((one, other)), ())]

    def marks(self, user: str, peer: str) -> tuple[int, int]:
        """How far ``user`` has read and received the conversation with ``peer``."""
        found = self.members.get((user, peer))
        return (0, 0) if found is None else (found[0], found[1])

    def told(self, user: str, peer: str) -> tuple[int, int]:
        """How far ``peer`` was told that ``user`` has read and received: nothing before an answer."""
        found = self.members.get((user, peer))
        return (0, 0) if found is None else (found[5], found[6])

    def message_id(self, mid: int) -> str:
        """The id on the wire of a message that is committed."""
        sent = self.messages[mid]
        return message_id(self.members[sent.sender, sent.recipient][7], sent.seq)

    def unread(self, user: str, peer: str) -> int:
        """Messages of the peer beyond the watermark, counted."""
        read_upto = self.marks(user, peer)[0]
        return sum(1 for sent in self.between(user, peer)[read_upto:] if sent.sender == peer)

    def observe(self) -> None:
        """Take what was committed since; called after each COMMIT."""
        probe = self._probe
        if probe is None:
            return
        self.commits += 1
        probe.execute("BEGIN")
        try:
            self._check_epoch(probe)
            rows = probe.execute("SELECT uid, name, head, floor FROM users ORDER BY uid").fetchall()
            names = {uid: name for uid, name, _head, _floor in rows}
            is_first = not self.logs
            if is_first:
                self._load_messages(probe)
            before = {name: self.head(name) for name in names.values()}
            for uid, name, head, floor in rows:
                self._take_log(probe, uid, name, head, floor)
            if not is_first:
                self._check_pairs(before)
            self._check_members(probe, names, before, is_first)
        finally:
            probe.execute("ROLLBACK")

    def _check_epoch(self, probe: sqlite3.Connection) -> None:
        (epoch,) = probe.execute("SELECT v FROM meta WHERE k = 'epoch'").fetchone()
        if self.epoch and epoch != self.epoch and not self.may_change_epoch:
            self.wrong("the epoch changed while the database was served")
        self.epoch = epoch

    def _take_log(self, probe: sqlite3.Connection, uid: int, name: str, head: int, floor: int) -> None:
        log = self.logs.setdefault(name, [])
        times = self.committed_at.setdefault(name, [])
        known, former_floor = len(log), self.floors.get(name, 0)
        if head < known:
            self.wrong(f"I2: the head of {name} fell from {known} to {head}")
        if floor < former_floor or floor > max(0, head - 1):
            self.wrong(f"the floor of {name} went from {former_floor} to {floor}, its head is {head}")
        if floor != former_floor:
            kept = [cur for (cur,) in probe.execute("SELECT cur FROM feed WHERE uid = ? ORDER BY cur", (uid,))]
            if kept != list(range(floor + 1, head + 1)):
                self.wrong(f"the log of {name} from floor {floor} to head {head} holds {kept}")
        self.floors[name] = floor
        if head == known:
            return
        found = probe.execute(
            "SELECT cur, kind, peers.name, mid, ts FROM feed JOIN users AS peers ON peers.uid = feed.chat"
            " WHERE feed.uid = ? AND cur > ? ORDER BY cur",
            (uid, known),
        ).fetchall()
        first = max(known, floor) + 1  # floor: of a copy that is looked at for the first time
        log.extend([Row(0, "", 0, 0, 0)] * (first - 1 - known))
        times.extend([self.clock()] * (first - 1 - known))
        if [cur for cur, *_rest in found] != list(range(first, head + 1)):
            self.wrong(f"I2: the log of {name} to head {head} has {[cur for cur, *_rest in found]} after {known}")
        for _cur, kind, peer, mid, ts in found:
            log.append(Row(kind, peer, mid & CONVERSATION_SEQ_MAX, tag_of(ts), mid))
            times.append(self.clock())
            if kind == KIND_MESSAGE:
                self._take_message(probe, mid, name, peer)

    def _take_message(self, probe: sqlite3.Connection, mid: int, owner: str, peer: str) -> None:
        if mid in self.messages:
            return
        row = probe.execute(
            "SELECT users.name, client_id, body FROM messages JOIN users ON users.uid = sender WHERE id = ?", (mid,)
        ).fetchone()
        if row is None:
            self.wrong(f"I1: the log of {owner} names message {mid:x}, which is not stored")
            return
        sender, client_id, text = row
        recipient = peer if sender == owner else owner
        self._keep_message(mid, sender, recipient, client_id, text)

    def _load_messages(self, probe: sqlite3.Connection) -> None:
        """All messages of a database that is looked at for the first time: their events may be trimmed."""
        for mid, sender, recipient, client_id, text in probe.execute(
            "SELECT id, senders.name, recipients.name, client_id, body FROM messages"
            f" JOIN members ON members.cid = id >> {SEQ_BITS} AND members.uid = sender"
            " JOIN users AS senders ON senders.uid = sender"
            " JOIN users AS recipients ON recipients.uid = members.chat ORDER BY id"
        ).fetchall():
            self._keep_message(mid, sender, recipient, client_id, text)

    def _keep_message(self, mid: int, sender: str, recipient: str, client_id: str | None, text: str) -> None:
        conversation = self.conversations.setdefault(frozenset((sender, recipient)), [])
        seq = mid & CONVERSATION_SEQ_MAX
        if seq != len(conversation) + 1:
            self.wrong(f"I2: seq {seq} follows {len(conversation)} between {sender} and {recipient}")
        conversation.append(mid)
        self.messages[mid] = Sent(sender, recipient, seq, text, client_id)
        if client_id is not None:
            self.by_client_id[sender, client_id] = mid

    def _check_pairs(self, before: dict[str, int]) -> None:
        """Each new message is in both logs, once, by the same COMMIT (I1)."""
        seen: dict[int, list[str]] = {}
        for name, known in before.items():
            for row in self.logs[name][known:]:
                if row.kind == KIND_MESSAGE:
                    seen.setdefault(row.mid, []).append(name)
        for mid, owners in seen.items():
            sent = self.messages.get(mid)
            if sent is None:
                continue
            if sorted(owners) != sorted((sent.sender, sent.recipient)):
                self.wrong(f"I1: message {mid:x} of {sent.sender} to {sent.recipient} came into the logs of {owners}")

    def _check_members(
        self, probe: sqlite3.Connection, names: dict[int, str], before: dict[str, int], is_first: bool
    ) -> None:
        rows = probe.execute(
            "SELECT uid, chat, read_seq, dlv_seq, recv_n, read_n, last_seq, told_read, told_dlv, tag FROM members"
        ).fetchall()
        received_by = {(names[uid], names[peer]): values[2] for uid, peer, *values in rows}
        for uid, peer_uid, *values in rows:
            user, peer = names[uid], names[peer_uid]
            now, former = tuple(values), self.members.get((user, peer), (0,) * 8)
            if now == former:
                continue
            self.members[user, peer] = now
            read, delivered, received_count, read_count, last_seq, *told, _tag = now
            if any(
                after < before
                for after, before in zip((read, delivered, *told), (*former[:2], *former[5:7]), strict=True)
            ):
                self.wrong(f"a watermark of {user} with {peer} fell from {former} to {now}")
            if told != ([read, delivered] if received_by[peer, user] else [0, 0]):
                self.wrong(f"{peer} was told {told} of {user}, who has read {read} and received {delivered}")
            if read > delivered:
                self.wrong(f"{user} has read {read} and received {delivered} of {peer}")
            messages = self.between(user, peer)
            received = [sent.seq for sent in messages if sent.sender == peer]
            if (last_seq, received_count) != (len(messages), len(received)):
                self.wrong(f"{user} with {peer}: last {last_seq} of {len(messages)}, received {received_count}")
            if read_count != sum(1 for seq in received if seq <= read):
                self.wrong(f"unread of {user} with {peer}: {received_count} - {read_count}, read up to {read}")
            if not is_first:
                self._check_receipts(user, peer, now, former, before)

    def _check_receipts(
        self, user: str, peer: str, now: tuple[int, ...], former: tuple[int, ...], before: dict[str, int]
    ) -> None:
        """A watermark that rose is an event in the logs that the contract names."""
        told = {
            (kind, row.upto)
            for name, other, kinds in (
                (peer, user, (KIND_DELIVERED, KIND_READ_BY_PEER)),
                (user, peer, (KIND_READ_BY_OWNER,)),
            )
            for row in self.logs[name][before[name] :]
            if (kind := row.kind) in kinds and row.peer == other
        }
        if now[0] > former[0] and (KIND_READ_BY_OWNER, now[0]) not in told:
            self.wrong(f"{user} read up to {now[0]} of {peer}, and the logs were told {sorted(told)}")
        if now[5] > former[5] and (KIND_READ_BY_PEER, now[5]) not in told:
            self.wrong(f"{user} read up to {now[5]} of {peer}, and the logs were told {sorted(told)}")
        if now[6] > max(former[6], now[5]) and (KIND_DELIVERED, now[6]) not in told:
            self.wrong(f"{user} received up to {now[6]} of {peer}, and the logs were told {sorted(told)}")
