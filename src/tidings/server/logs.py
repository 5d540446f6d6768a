"""The form of the server's own log: lines of text or of JSON, and which request a line belongs to.

Rules
1. Only who owns the process configures logging (``configure``); embedded, the host does, and our lines are text.
2. A line with fields is a ``Line``: one string for people, separate members in JSON.
3. Every line that is written while a request or a stream is served carries its id: the ``X-Request-Id`` that came
   with it, if it is sane, else one of ours. The answer names it too.
4. Neither a text nor a token is ever in a line. The lines of libraries about their work have whole addresses and heads:
   below warnings nothing of theirs is written, and nothing at all of a call that carries secrets (``unlogged``), also
   where the host configures logging.
5. Logging waits for nobody: a thread writes, and where nobody reads (a pipe that is full, a disk that hangs) lines are
   lost and not service. So are lines beyond a rate, which somebody causes. Lost lines are counted and told.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import random
import re
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from queue import SimpleQueue
from typing import Any

from starlette.types import Scope

LOG_LINES_WAITING_MAX = 50_000  # for whoever reads the log: a storm of streams_max has two each; some 20 MB
LOG_LINES_PER_S, LOG_LINES_BURST = 200, 50_000  # of level info: 2 GB a day at most; streams_max in a storm, and more
LOG_WARNINGS_PER_S, LOG_WARNINGS_BURST = 20, 1000  # of warnings and errors, which may have a traceback each


LOST_LINES_TOLD_EVERY_S = 1.0
FLUSH_MAX_S = 0.5  # whoever takes nothing for so long when the process ends is not waited for
TEXT_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"

_SANE = re.compile(rb"[A-Za-z0-9._:-]{1,64}")  # what else would steer a terminal or break a search is replaced
_BARE = re.compile(r"[\w.,:+-]+", re.ASCII)

_request_id: ContextVar[str] = ContextVar("tidings_request_id")
_is_secret: ContextVar[bool] = ContextVar("tidings_is_secret", default=False)


class Line:
    """The constant name of one incident, and its fields; as a string ``stream ended user='ada' seconds=3.1``."""

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


def configure(log_format: str, level: str, worker: int | None = None) -> None:
    """Write all logs of this process to standard error, as ``text`` or ``json``, from ``level`` on.

    ``worker`` is in each line of a process that shares standard error with others.
    """
    text_format = TEXT_FORMAT if worker is None else TEXT_FORMAT.replace("%(message)", f"worker={worker} %(message)")
    _lines.setFormatter(JsonFormatter(worker) if log_format == "json" else logging.Formatter(text_format))
    _listener.start_once()
    least = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(handlers=[_lines], level=max(least, logging.WARNING))
    logging.getLogger("tidings").setLevel(least)


@contextmanager
def unlogged() -> Iterator[None]:
    """Let nobody but us write lines of what is done in this block: no library below us, at no level."""
    for logger in [*logging.root.manager.loggerDict.values()]:
        if isinstance(logger, logging.Logger) and not _is_ours(logger.name):
            logger.addFilter(_is_told)  # nothing where it is there already
    token = _is_secret.set(True)
    try:
        yield
    finally:
        _is_secret.reset(token)


def _is_ours(logger_name: str) -> bool:
    return logger_name.partition(".")[0] == "tidings"


def _is_told(record: logging.LogRecord) -> bool:
    return _is_ours(record.name) or not _is_secret.get()


def say(text: str) -> None:
    """Write a line to standard output; if nobody takes it within FLUSH_MAX_S, go on without."""

    def write() -> None:
        with suppress(OSError):  # nobody is there
            _write(1, f"{text}\n".encode(errors="backslashreplace"))

    writing = threading.Thread(target=write, name="tidings-say", daemon=True)
    writing.start()
    writing.join(FLUSH_MAX_S)


def flush() -> None:
    """Let what was logged be written before the process ends, if anybody reads it. Nothing is written after it."""
    _listener.stop()


def lost_lines() -> int:
    """How many lines this process has lost."""
    return _lines.lost + _writer.lost


class JsonFormatter(logging.Formatter):
    """A line as one JSON object, in ASCII: ``time``, ``level``, ``logger``, ``event``, and what else is known."""

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self._process = {} if worker is None else {"worker": worker}

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        at = datetime.fromtimestamp(record.created, UTC)
        entry: dict[str, object] = {
            "time": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            **self._process,
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


class _Lines(QueueHandler):
    """Hands lines, as they will be written, to the thread that writes them."""

    def __init__(self, waiting: SimpleQueue[Any]) -> None:
        super().__init__(waiting)
        self._waiting = waiting
        self.lost = self._told = 0
        self._tell_at = 0.0
        self._of_people = _Budget(LOG_LINES_PER_S, LOG_LINES_BURST)
        self._of_faults = _Budget(LOG_WARNINGS_PER_S, LOG_WARNINGS_BURST)
        self.addFilter(_is_told)  # of loggers that came since, too

    def emit(self, record: logging.LogRecord) -> None:
        """Put the line with those that wait, or lose it."""
        if self._waiting.qsize() >= LOG_LINES_WAITING_MAX or not self._is_within_rate(record.levelno):
            self.lost += 1
            return
        if self.lost > self._told and time.monotonic() >= self._tell_at:
            self._tell_at = time.monotonic() + LOST_LINES_TOLD_EVERY_S
            lines, self._told = self.lost - self._told, self.lost
            super().emit(
                logging.LogRecord(
                    "tidings.log", logging.WARNING, "", 0, Line("log lines lost", lines=lines), None, None
                )
            )
        super().emit(record)

    def prepare(self, record: logging.LogRecord) -> str:
        """The line: here, since only here the request is known."""
        return self.format(record)

    def _is_within_rate(self, level: int) -> bool:
        if level < logging.INFO:  # who asks for these wants all of them
            return True
        return (self._of_people if level < logging.WARNING else self._of_faults).take()


class _Budget:
    """So many a second on average, and so many at once."""

    __slots__ = ("_burst", "_left", "_per_s", "_since")

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s = per_s
        self._burst = self._left = burst
        self._since = time.monotonic()

    def take(self) -> bool:
        """Take one; False: there is none."""
        now = time.monotonic()
        self._left = min(self._burst, self._left + (now - self._since) * self._per_s) - 1
        self._since = now
        if self._left < 0:
            self._left += 1
            return False
        return True


class _Writer(logging.Handler):
    """Writes to standard error, in the one thread of the listener.

    Without the handler's lock: the end of the process would wait for it, and with it for whoever does not read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lost = 0

    def handle(self, line: Any) -> bool:  # what ``_Lines.prepare`` made of a record
        """Write the line, or lose it: the disk is full, or nobody will ever read."""
        try:
            _write(2, f"{line}\n".encode(errors="backslashreplace"))
        except OSError:
            self.lost += 1
        return True


class _Listener(QueueListener):
    """The thread that writes."""

    def start_once(self) -> None:
        """Begin, unless it has begun."""
        if self._thread is None:
            self.start()
            atexit.register(self.stop)

    def stop(self) -> None:
        """Write what waits, as long as somebody takes some of it within FLUSH_MAX_S."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self.enqueue_sentinel()
        left = _waiting.qsize() + 1
        while thread.is_alive() and _waiting.qsize() < left:
            left = _waiting.qsize()
            thread.join(FLUSH_MAX_S)


def _write(descriptor: int, text: bytes) -> None:
    """Write it all, however long that takes; below Python's own files, whose locks its end waits for."""
    while text:
        try:
            text = text[os.write(descriptor, text) :]
        except BlockingIOError:  # somebody who shares the file made it so
            select.select([], [descriptor], [])


_waiting: SimpleQueue[Any] = SimpleQueue()
_lines, _writer = _Lines(_waiting), _Writer()
_listener = _Listener(_waiting, _writer)


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
