"""How values become bytes and text on the wire."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

import msgspec

_encode = msgspec.json.Encoder().encode

# Characters that are legal inside JSON strings and that line splitters of third-party clients take for line ends.
_LINE_ENDS = ((b"\xc2\x85", b"\\u0085"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))


def encode_json(value: object) -> bytes:
    """One line of JSON in UTF-8; U+0085, U+2028 and U+2029 are escaped (they occur only inside strings)."""
    encoded = _encode(value)
    if not encoded.isascii():
        for raw, escaped in _LINE_ENDS:
            if raw in encoded:
                encoded = encoded.replace(raw, escaped)
    return encoded


def encode_payload(type: str, data: bytes) -> bytes:
    """The ``{"type", "data"}`` object of a frame; ``data`` is already JSON."""
    return b'{"type":"%s","data":%s}' % (type.encode(), data)


def format_time(ms: int) -> str:
    """ISO 8601 in UTC with milliseconds, from milliseconds since 1970."""
    return f"{_format_second(ms // 1000)}.{ms % 1000:03d}Z"


@lru_cache(maxsize=64)  # what is sent now, and a page of history, share their seconds
def _format_second(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"
