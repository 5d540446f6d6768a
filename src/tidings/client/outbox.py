"""Messages on disk until they are acknowledged: what a program was about to say survives its crash.

An ``Outbox`` is one SQLite file, for one user of one server. A message is in it, under its ``client_id``, before it is
first tried, and leaves it when the server has acknowledged it; so it is sent once, whatever breaks in between.

Rules of this file:

- First in, first out within a conversation: nothing is tried before what waits for the same recipient.
- A message that the server refuses for good is set aside with the reason, so that it does not stand in the way;
  ``refused`` lists it. A failure that is not the message's fault (no server, no valid token, a wrong address) leaves it
  waiting.
- Several threads may use one outbox; several processes may use one file: what both of them send carries the same
  ``client_id`` and is one message. An open SQLite file must not go through a ``fork``, so that a child opens its own.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from tidings.client.call import named
from tidings.errors import ServerProblem
from tidings.protocol.retry import is_temporary

LOCK_WAIT_S: Final = 10.0
"""Another process holds the file for a few milliseconds; longer is a fault."""

_at_the_files = threading.Lock()
"""Held by whoever works with the file of an outbox, and during a ``fork``: no child inherits half of a transaction."""

if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(
        before=_at_the_files.acquire,
        after_in_parent=_at_the_files.release,
        after_in_child=_at_the_files.release,
    )

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS outbox (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  recipient TEXT NOT NULL,
  text TEXT NOT NULL,
  message_type TEXT NOT NULL,
  client_id TEXT NOT NULL UNIQUE,
  refusal TEXT
)
"""
_COLUMNS: Final = "number, recipient, text, message_type, client_id, refusal"


@dataclass(frozen=True, slots=True)
class Unsent:
    """A message that is not acknowledged.

    Attributes:
        refusal: The server's words when it refused for good; none while the message waits.
    """

    number: int
    recipient: str
    text: str
    message_type: str
    client_id: str
    refusal: str | None


class Outbox:
    """The file; made if it is not there. Use it as ``Client(..., outbox=path)``."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """
        Raises:
            OSError: The file cannot be opened, or is no outbox.
        """
        # A child process may be in another directory by then.
        self._path = ":memory:" if path == ":memory:" else os.path.abspath(path)
        self._process = 0  # none has opened it
        with self._opened():
            pass

    def close(self) -> None:
        """Close the file; what waits in it stays."""
        with self._opened() as file:
            file.close()

    def put(self, recipient: str, text: str, client_id: str | None = None, message_type: str = "text") -> Unsent:
        """Write a message to the disk; one that waits under the same ``client_id`` stays as it is.

        Raises:
            ValueError: The ``client_id`` is empty, or that of another message in the outbox.
            OSError: It could not be written.
        """
        client_id = named(client_id)
        content = (recipient, text, message_type, client_id)
        with self._opened() as file, file:
            file.execute("BEGIN IMMEDIATE")  # another process may send it, and remove it, in between
            file.execute(
                "INSERT INTO outbox (recipient, text, message_type, client_id) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (client_id) DO UPDATE SET refusal = NULL WHERE recipient = excluded.recipient"
                " AND text = excluded.text AND message_type = excluded.message_type",
                content,
            )
            row = file.execute(f"SELECT {_COLUMNS} FROM outbox WHERE client_id = ?", (client_id,)).fetchone()
        unsent = Unsent(*row)
        if content != (unsent.recipient, unsent.text, unsent.message_type, unsent.client_id):
            raise ValueError(f"client_id {client_id!r} is that of another message in the outbox")
        return unsent

    def waiting(self, recipient: str | None = None, *, before: Unsent | None = None) -> list[Unsent]:
        """The messages that wait, oldest first: all of it, or what is for one recipient, or came before another."""
        return self._select(
            "refusal IS NULL AND (:recipient IS NULL OR recipient = :recipient)"
            " AND (:before IS NULL OR number < :before)",
            {"recipient": recipient, "before": before and before.number},
        )

    def refused(self) -> list[Unsent]:
        """The messages that the server refused for good, oldest first; each stays until it is removed, or put again."""
        return self._select("refusal IS NOT NULL", {})

    def remove(self, unsent: Unsent) -> None:
        """Forget a message: it is acknowledged, or given up."""
        with self._opened() as file:
            file.execute("DELETE FROM outbox WHERE number = ?", (unsent.number,))

    def set_aside(self, unsent: Unsent, problem: ServerProblem) -> None:
        """Note that the server refused it for good.

        Raises:
            ServerProblem: The same, if it is not about the message: then the message keeps waiting.
        """
        if not is_about_message(problem):
            raise problem
        with self._opened() as file:
            file.execute("UPDATE outbox SET refusal = ? WHERE number = ?", (str(problem), unsent.number))

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """The file, for this thread alone.

        Raises:
            OSError: It cannot be used.
        """
        with _at_the_files:
            try:
                if self._process != os.getpid():
                    self._file = self._open()
                    self._process = os.getpid()
                yield self._file
            except sqlite3.Error as error:
                raise OSError(f"the outbox {self._path!r} cannot be used: {error}") from error

    def _open(self) -> sqlite3.Connection:
        # What is not sent yet is for nobody else on this machine to read, whatever the umask.
        is_file = self._path != ":memory:"
        path = os.path.realpath(self._path) if is_file else self._path  # a link may lead to no file yet
        if is_file:
            with suppress(OSError):  # it is there, or SQLite says better why it cannot be
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        file = sqlite3.connect(path, timeout=LOCK_WAIT_S, isolation_level=None, check_same_thread=False)
        try:
            tables = {
                name for (name,) in file.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")
            }
            if tables - {"outbox", "sqlite_sequence"}:
                raise OSError(f"the outbox {self._path!r} cannot be used: it is another program's database")
            file.execute(f"SELECT {_COLUMNS} FROM outbox LIMIT 0" if tables else _SCHEMA)
            if is_file and os.name == "posix" and os.stat(path).st_mode & 0o077:
                os.chmod(path, 0o600)
            file.execute("PRAGMA synchronous = FULL")  # "it is in the outbox" must outlive a power cut
        except BaseException:
            file.close()
            raise
        return file

    def _select(self, condition: str, values: dict[str, object]) -> list[Unsent]:
        with self._opened() as file:
            rows = file.execute(f"SELECT {_COLUMNS} FROM outbox WHERE {condition} ORDER BY number", values)
            return [Unsent(*row) for row in rows]


def is_about_message(problem: ServerProblem) -> bool:
    """Whether the same message would be refused again, by any server and with any token.

    A 404 or a redirect is about the address, a 401 about the token, and what has no problem body comes from somebody
    who is no Tidings server.
    """
    is_other_fault = is_temporary(problem.status) or problem.status in (401, 404, 405)
    return not is_other_fault and problem.code != f"status_{problem.status}"
