"""A cursor: the opaque wire form of a position in a user's log, ``<epoch>-<position>-<tag>``.

The epoch names the history of a database and changes when it is created or restored. The tag comes from the event's
own row, so that a database that was rolled back silently and then grew past the reader's position is noticed.
Source: PROTOCOL.md, Cursor.
"""

from __future__ import annotations

import re

import msgspec

CURSOR_SIZE_MAX_BYTES = 128  # three times what we emit; a longer one is refused, not looked up
TAG_BITS = 20  # one silent rollback in a million goes unnoticed; 5 hex digits on the wire

_FORM = re.compile(r"([a-z0-9]{1,32})-(0|[1-9][0-9]{0,17})-([0-9a-f]{1,8})", re.ASCII)


class Cursor(msgspec.Struct, frozen=True):
    """A position in the log of an epoch; position 0 has tag 0."""

    epoch: str
    position: int
    tag: int

    def __str__(self) -> str:
        return format_cursor(self.epoch, self.position, self.tag)


def format_cursor(epoch: str, position: int, tag: int) -> str:
    """The wire form; also the SSE ``id:``."""
    return f"{epoch}-{position}-{tag:x}"


def parse_cursor(text: str) -> Cursor | None:
    """The cursor that ``text`` is, or None when it is none of ours."""
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    return Cursor(match[1], int(match[2]), int(match[3], 16))


def tag_of(created_ms: int) -> int:
    """The tag of a row written at this time (milliseconds since 1970)."""
    return created_ms & ((1 << TAG_BITS) - 1)
