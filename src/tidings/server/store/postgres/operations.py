"""The writes that a batch may have: what each hands to ``write_1`` in the database, and what its answer means.

The function decides as ``rules`` decide, and answers in their words. The sentences are made there, the shapes in
``rows``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from tidings.errors import Problem
from tidings.protocol.events import KIND_READ_BY_OWNER
from tidings.protocol.shapes import Watermarks
from tidings.protocol.user_id import UserId
from tidings.server.store import Appended, Committed, NewMessage, rows, rules

WRITE = "SELECT * FROM TIDINGS.write_1($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12)"

_APPEND, _ADVANCE, _BLOCK, _UNBLOCK = 1, 2, 3, 4
_PASSES_BLOCKS, _IS_REFUSED, _MAY_BEGIN = 1, 2, 4
_TELLS_STRANGERS = 1
_SEQ_BEYOND = rules.CONVERSATION_SEQ_MAX + 1  # more than this no conversation has

Row = Sequence[Any]


class Operation(Protocol):
    """One write between two users."""

    names: tuple[UserId, UserId]

    def values(self) -> tuple[Any, ...]:
        """What the database needs to know, in the order of ``write_1``."""

    def answer(self, row: Row) -> tuple[Any, list[Committed]]:
        """Return the answer to the one who asked, and what else went into logs than the receipts of the rows before.

        Raises:
            Problem: It is refused.
        """


class Append:
    """A message is appended."""

    __slots__ = ("_digest", "_new", "names")

    def __init__(self, new: NewMessage) -> None:
        self.names = new.sender, new.recipient
        self._new = new
        self._digest = None if new.client_id is None else rules.digest(new)

    def values(self) -> tuple[Any, ...]:
        new = self._new
        flags = (
            (_PASSES_BLOCKS if new.passes_blocks else 0)
            | (_IS_REFUSED if new.is_refused else 0)
            | (_MAY_BEGIN if new.may_begin else 0)
        )
        content = (new.client_id, self._digest, new.message_type, new.text)
        return (_APPEND, *self.names, *content, new.opening_limit_per_h, flags, 0, 0)

    def answer(self, row: Row) -> tuple[Appended, list[Committed]]:
        _, word, _, at_sender, at_recipient, at_ms, seq, tag, *rest = row
        new = self._new
        if word == "ok":
            return rows.appended(new, tag, seq, at_ms, ((new.recipient, at_recipient), (new.sender, at_sender)))
        if word != "stored":
            wait_s = rules.opening_wait_s([at_sender], at_ms) if word == rules.Refusal.OPENINGS else 0
            raise rules.problem(rules.Refusal(word), new, wait_s)
        own_read, own_dlv, their_read, their_dlv, digest, message_type, body = rest
        rules.check_same(digest, self._digest)
        watermarks = Watermarks(own_read, own_dlv, their_read, their_dlv)
        content = (new.client_id, message_type, at_ms, body)
        message = rows.seen(new.sender, new.recipient, watermarks, tag, seq, True, *content)
        return Appended(message, is_new=False), []


class Advance:
    """A reader's watermarks rise."""

    __slots__ = ("_delivered_upto", "_read_upto", "_tells_strangers", "names")

    def __init__(
        self, reader: UserId, peer: UserId, delivered_upto: int, read_upto: int, *, tells_strangers: bool
    ) -> None:
        self.names = reader, peer
        self._delivered_upto = delivered_upto
        self._read_upto = read_upto
        self._tells_strangers = tells_strangers

    def values(self) -> tuple[Any, ...]:
        upto = (min(max(each, 0), _SEQ_BEYOND) for each in (self._delivered_upto, self._read_upto))
        flags = _TELLS_STRANGERS if self._tells_strangers else 0
        return (_ADVANCE, *self.names, None, None, None, None, None, flags, *upto)

    def answer(self, row: Row) -> tuple[Watermarks, list[Committed]]:
        if row[1] == "unknown":
            rules.check_receipt(row[6], self._delivered_upto, self._read_upto)
        return Watermarks(*row[8:12]), []


class Block:
    """A user blocks another, or takes that back."""

    __slots__ = ("_op", "names")

    def __init__(self, user: UserId, peer: UserId, *, is_taken_back: bool = False) -> None:
        self.names = user, peer
        self._op = _UNBLOCK if is_taken_back else _BLOCK

    def values(self) -> tuple[Any, ...]:
        return (self._op, *self.names, None, None, None, None, None, 0, 0, 0)

    def answer(self, row: Row) -> tuple[None, list[Committed]]:
        return None, []


def columns(batch: Iterable[Operation]) -> list[tuple[Any, ...]]:
    """The values of a batch, as ``write_1`` takes them behind the wait for locks."""
    return list(zip(*(each.values() for each in batch), strict=True))


class Outcomes(NamedTuple):
    """The result of a batch.

    Attributes:
        answers: Of each operation the answer, or the ``Problem`` that refuses it.
        committed: Events in the order of positions.
        missed: The users of messages that had been stored before: by a commit that perhaps nobody was told of.
    """

    answers: list[Any]
    committed: list[Committed]
    missed: set[UserId]


def outcomes(batch: Sequence[Operation], found: Iterable[Row]) -> Outcomes:
    """Return what the rows of a batch say."""
    answers: list[Any] = []
    committed: list[Committed] = []
    missed: set[UserId] = set()
    for row in found:
        operation = batch[row[0] - 1]
        if row[1] == "event":
            committed.append(_receipt(operation.names, row))
            continue
        if row[1] == "stored":
            missed.update(operation.names)
        try:
            answer, events = operation.answer(row)
        except Problem as refused:
            answers.append(refused)
        else:
            answers.append(answer)
            committed += events
    return Outcomes(answers, committed, missed)


def _receipt(names: tuple[UserId, UserId], row: Row) -> Committed:
    _, _, kind, at_reader, at_peer, at_ms, upto, *_ = row
    reader, peer = names
    owner, other, position = (reader, peer, at_reader) if kind == KIND_READ_BY_OWNER else (peer, reader, at_peer)
    return Committed(owner, rows.receipt(owner, other, kind, upto, position, at_ms))
