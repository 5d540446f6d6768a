"""The lines of an import: JSON, read and checked one by one, then handed out by conversation and in the order of time.

A line is a message: ``{"sender_id", "recipient_id", "text", "createdAt"}``, and ``id``, ``message_type``, ``delivered``
and ``read`` where there are any; or a line of an export, whose other lines are passed over. The lines wait in a file of
SQLite's that is gone with the process, so that there may be more of them than memory.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from tidings.errors import ConfigurationError
from tidings.protocol.events import DELETED
from tidings.protocol.user_id import UserId, check_user_id
from tidings.server.store.rules import CLIENT_ID_LENGTH_MAX, REFUSED_CONTROL

LINE_SIZE_MAX_BYTES: Final = 8 << 20  # a report of an export has up to twenty of the longest messages in it
TEXT_SIZE_MAX_BYTES: Final = 16_384  # the longest that any server takes
CLOCKS_DIFFER_S: Final = 60.0  # a message may be so far in the future

_TYPE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")
_PRINTABLE_ASCII = re.compile(r"[\x20-\x7e]+")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Older(NamedTuple):
    """A message of before.

    Attributes:
        line: Its number in the file.
        id: Its id where it comes from, if it had one; kept as its ``client_id``.
        wire_id: Of a line of an export, the message's ``_id``: the same on lines of both sides.
    """

    line: int
    sender: UserId
    recipient: UserId
    text: str
    message_type: str
    sent_ms: int
    id: str | None
    wire_id: str | None
    is_delivered: bool
    is_read: bool


class Conversation(NamedTuple):
    """Messages between two people, the oldest first; the two in the order of their names."""

    one: UserId
    other: UserId
    messages: list[Older]


class Lines:
    """All lines of an import."""

    def __init__(self, spool: sqlite3.Connection) -> None:
        self._spool = spool

    def conversations(self) -> Iterator[Conversation]:
        """Each conversation once."""
        found = self._spool.execute("SELECT one, other, line, packed FROM lines ORDER BY one, other, sent_ms, line")
        for (one, other), rows in groupby(found, key=lambda row: (row[0], row[1])):
            yield Conversation(one, other, _each_once([_unpack(line, packed) for _, _, line, packed in rows]))

    def users(self) -> Iterator[UserId]:
        """Everybody who has a message here."""
        for (user,) in self._spool.execute("SELECT one FROM lines UNION SELECT other FROM lines"):
            yield UserId(user)


@contextmanager
def read_lines(file: BinaryIO) -> Iterator[Lines]:
    """Read all lines before anything is done with one.

    Raises:
        ConfigurationError: A line is none of these; the sentence has its number.
    """
    with closing(sqlite3.connect("", isolation_level=None)) as spool:  # a file that has no name
        spool.execute("CREATE TABLE lines(line INTEGER PRIMARY KEY, one, other, sent_ms, sender, id, packed)")
        spool.execute("BEGIN")
        spool.executemany("INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?, ?)", map(_row, _messages(file)))
        clash = spool.execute(
            "SELECT min(line), max(line) FROM lines WHERE id IS NOT NULL"
            " GROUP BY sender, id HAVING count(DISTINCT one || '/' || other) > 1 LIMIT 1"
        ).fetchone()
        if clash is not None:
            raise ConfigurationError(f"line {clash[1]}: its id is that of line {clash[0]}, in another conversation")
        yield Lines(spool)


class _Line(msgspec.Struct):
    sender_id: str
    recipient_id: str
    text: str
    createdAt: str
    message_type: str = "text"
    id: str | None = None
    client_id: str | None = None
    wire_id: str | None = msgspec.field(name="_id", default=None)
    delivered: bool = True
    read: bool = True


class _Entry(msgspec.Struct):
    type: str | None = None
    data: msgspec.Raw = msgspec.Raw()


def _messages(file: BinaryIO) -> Iterator[Older]:
    latest = datetime.now(UTC) + timedelta(seconds=CLOCKS_DIFFER_S)
    number = 0
    while raw := file.readline(LINE_SIZE_MAX_BYTES + 1):
        number += 1
        if raw.isspace():
            continue
        try:
            older = _read(number, raw, latest)
        except ValueError as wrong:  # of a decoder's, or of ours
            raise ConfigurationError(f"line {number}: {str(wrong).rstrip('.')}; nothing was imported") from None
        if older is not None:
            yield older


def _read(number: int, raw: bytes, latest: datetime) -> Older | None:
    """A line; None for one of an export that is no message.

    Raises:
        ValueError: It is none; the text says why.
    """
    if len(raw) > LINE_SIZE_MAX_BYTES:
        raise ValueError(f"it is longer than {LINE_SIZE_MAX_BYTES} bytes")
    try:
        entry = msgspec.json.decode(raw, type=_Entry)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    exported = bytes(entry.data)
    if exported and entry.type != "message":
        return None
    told = msgspec.json.decode(exported or raw, type=_Line)
    sender, recipient = check_user_id(told.sender_id), check_user_id(told.recipient_id)
    if sender == recipient:
        raise ValueError("sender_id and recipient_id are the same")
    text = told.text
    if told.message_type != DELETED:
        if not text or text.isspace():
            raise ValueError("the text is empty")
        if REFUSED_CONTROL.search(text):
            raise ValueError("the text contains control characters other than TAB, LF and CR")
        if len(text.encode()) > TEXT_SIZE_MAX_BYTES:
            raise ValueError(f"the text has {len(text.encode())} bytes; a message has at most {TEXT_SIZE_MAX_BYTES}")
    elif text:
        raise ValueError(f"a message of type {DELETED} has no text")
    if not _TYPE.fullmatch(told.message_type):
        raise ValueError("message_type is a name of up to 32 letters, digits and underscores")
    id = told.id or told.client_id or told.wire_id
    if id is not None and (len(id) > CLIENT_ID_LENGTH_MAX or not _PRINTABLE_ASCII.fullmatch(id)):
        raise ValueError(f"an id has 1 to {CLIENT_ID_LENGTH_MAX} printable ASCII characters")
    return Older(
        number,
        sender,
        recipient,
        text,
        told.message_type,
        _milliseconds(told.createdAt, latest),
        id,
        told.wire_id,
        told.delivered or told.read,
        told.read,
    )


def _milliseconds(text: str, latest: datetime) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("createdAt is no time, such as 2026-11-30T08:00:00.000Z") from None
    if moment.tzinfo is None:
        raise ValueError("createdAt has no time zone: end it in Z for UTC, or in +01:00")
    if not _EPOCH <= moment <= latest:
        raise ValueError("createdAt is before 1970 or in the future")
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _row(older: Older) -> tuple[Any, ...]:
    one, other = sorted((older.sender, older.recipient))
    packed = msgspec.msgpack.encode(older[1:])
    return older.line, one, other, older.sent_ms, older.sender, older.id, packed


def _unpack(line: int, packed: bytes) -> Older:
    return Older(line, *msgspec.msgpack.decode(packed))


def _each_once(messages: list[Older]) -> list[Older]:
    """Without the second line of a message, such as that of the other side's export.

    Raises:
        ConfigurationError: Two lines have one id, and are not the same message.
    """
    kept: dict[object, Older] = {}
    for message in messages:
        key: object = message.wire_id or (message.id and (message.sender, message.id)) or message.line
        known = kept.setdefault(key, message)
        if (known.sender, known.text, known.sent_ms) != (message.sender, message.text, message.sent_ms):
            raise ConfigurationError(
                f"line {message.line}: its id is that of line {known.line}, with another text or time;"
                " nothing was imported"
            )
        if known.id == known.wire_id:
            kept[key] = known._replace(id=message.id)  # that of the sender's own client, which only its line has
    return list(kept.values())
