"""What the server's own log looks like: lines of text or of JSON, and which request a line belongs to.

Rules
1. Only who owns the process configures logging (``configure``); embedded, the host does, and our lines are text.
2. A line with fields is a ``Line``: one string for people, separate members in JSON.
3. Every line that is written while a request or a stream is served carries its id: the ``X-Request-Id`` that came
   with it, if it is sane, else one of ours. The answer names it too.
4. Neither a text nor a token is ever in a line.
"""

from __future__ import annotations

import json
import logging
import random
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from starlette.types import Scope

TEXT_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"

_SANE = re.compile(rb"[A-Za-z0-9._:-]{1,64}")  # what else would steer a terminal or break a search is replaced
_BARE = re.compile(r"[\w.,:+-]+", re.ASCII)

_request_id: ContextVar[str] = ContextVar("tidings_request_id")


class Line:
    """What happened, by a constant name, and its fields; as a string ``stream ended user='ada' seconds=3.1``."""

    __slots__ = ("event", "fields")

    def __init__(self, event: str, /, **fields: object) -> None:
        self.event = event
        self.fields = fields

    def __str__(self) -> str:
        return " ".join([self.event, *(f"{name}={_plain(name, value)}" for name, value in self.fields.items())])


def begin_request(scope: Scope) -> tuple[bytes, bytes]:
    """Give the request an id for the lines of its task; the header field that tells it to the client."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE.fullmatch(value):
            id = value
            break
    else:
        id = b"%016x" % random.getrandbits(64)
    _request_id.set(id.decode("ascii"))
    return (b"x-request-id", id)


def request_id() -> str:
    """The id of the request that is being served; empty outside of one."""
    return _request_id.get("")


@contextmanager
def in_request(id: str) -> Iterator[None]:
    """Write lines of a request whose task has ended."""
    token = _request_id.set(id)
    try:
        yield
    finally:
        _request_id.reset(token)


def configure(log_format: str, level: str) -> None:
    """Write all logs of this process to standard error, as ``text`` or ``json``, from ``level`` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else logging.Formatter(TEXT_FORMAT))
    logging.basicConfig(handlers=[handler], level=level.upper())
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # what it says at INFO, we say
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it writes whole addresses, with passwords and keys


class JsonFormatter(logging.Formatter):
    """A line as one JSON object, in ASCII: ``time``, ``level``, ``logger``, ``event``, and what else is known."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        at = datetime.fromtimestamp(record.created, UTC)
        entry: dict[str, object] = {
            "time": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if isinstance(record.msg, Line):
            entry |= {"event": record.msg.event, **record.msg.fields}
        else:
            entry["event"] = record.getMessage()
        if (id := request_id()) != "":
            entry["request_id"] = id
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


class Elapsed:
    """How long something took, for a ``Line``."""

    __slots__ = ("_begun",)

    def __init__(self) -> None:
        self._begun = time.perf_counter()

    @property
    def ms(self) -> float:
        """Milliseconds until now."""
        return round((time.perf_counter() - self._begun) * 1000, 1)


def _plain(name: str, value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1f}"
    text = str(value)
    return text if name != "user" and _BARE.fullmatch(text) else repr(text)
