"""Which write-ahead log belongs to a database file, and how it is folded into the file.

SQLite finds a log by its name alone. Beside a copy that was put in the file's place it takes the log of the former
one, and undoes the copy or damages it; and it does not miss a log that was removed. So ``meta`` holds a mark.

Rules
1. A mark is a list of ids and a word. Each fold adds an id that nobody else has. ``whole`` says that nothing is
   missing when this is all there is, ``open`` that a log belongs to it, ``emptying`` that it is just being emptied.
2. A fold writes ``open`` with a new id, lets SQLite checkpoint, and writes ``whole``, which goes into the log. So
   while there is a log the file alone says ``open``, and both together say ``whole``; so does a file that was closed,
   and every copy made through SQLite.
3. The log belongs to the file if the file's last id is in the mark of both together. Ids of folds that a reader held
   up stay in it: SQLite may have brought any of them into the file.
4. Nothing but ``fold`` checkpoints: our connections have no automatic checkpoint.
5. A fold that empties the log writes ``emptying`` for ``open``, and another fold follows: a kill between its steps
   leaves an empty log that is right, and in all other times one that is empty or has no header was emptied by others.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from pathlib import Path
from typing import BinaryIO, NamedTuple

from tidings.errors import ConfigurationError
from tidings.server.store.sqlite.file import transaction

FOLD_ABOVE_BYTES = 4 << 20  # of the write-ahead log, which is then folded into the file; SQLite itself does so there

BESIDE = ("-wal", "-shm", "-journal")  # what SQLite keeps beside a database, by name
_ID_BYTES = 6
_IDS_MAX = 8  # of folds that a reader holds up; then the last one is tried again under the same id
_EMPTY_LOG_BYTES = 32  # a header, and no page
_LOG_MAGIC = (0x377F0682, 0x377F0683)  # the first four bytes of a log: SQLite file format, 4.1

WHOLE, OPEN, EMPTYING = "whole", "open", "emptying"


class Mark(NamedTuple):
    """The mark of a database's log; ``None`` in the table means the first one."""

    ids: tuple[str, ...] = ("0",)
    word: str = WHOLE


def fold(connection: sqlite3.Connection, how: str = "PASSIVE") -> bool:
    """Bring the log into the file; whether all of it is there now. ``TRUNCATE`` waits for readers and empties it.

    Raises:
        sqlite3.OperationalError: Somebody else writes, or there is no room.
    """
    if how == "TRUNCATE":
        is_complete = _fold(connection, how, EMPTYING)
        _fold(connection, "PASSIVE", OPEN)
        return is_complete
    return _fold(connection, how, OPEN)


def _fold(connection: sqlite3.Connection, how: str, word: str) -> bool:
    try:
        ids = _open_mark(connection, word)
    except sqlite3.OperationalError as failure:
        if failure.sqlite_errorcode != sqlite3.SQLITE_FULL:
            raise
        # No room for the mark behind the rest of the log; when all of that is in the file, the log begins anew.
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        ids = _open_mark(connection, word)
    is_complete = False
    try:
        busy, in_log, folded = connection.execute(f"PRAGMA wal_checkpoint({how})").fetchone()
        is_complete = not busy and in_log == folded
    finally:
        with transaction(connection):
            if read_mark(connection) == Mark(ids, word):  # or somebody else folds, and will say so
                _write_mark(connection, Mark(ids[-1:] if is_complete else ids))
    return is_complete


def _open_mark(connection: sqlite3.Connection, word: str) -> tuple[str, ...]:
    with transaction(connection):
        ids = read_mark(connection).ids
        if len(ids) < _IDS_MAX:
            ids = (*ids, _new_id())
        _write_mark(connection, Mark(ids, word))
    return ids


def mark_copy(connection: sqlite3.Connection) -> None:
    """Let a copy be none of the file that it was made of: no log of that one belongs to it."""
    _write_mark(connection, Mark((_new_id(),)))


def check_log(path: str) -> None:
    """Return when what lies beside a database file is its own log, or nothing, and nothing is missing.

    No connection of this process may be open: reading the file alone takes back the locks of others.

    Raises:
        ConfigurationError: The log is another's, or it is gone or emptied, or something leads out of the directory.
    """
    for ending in BESIDE:
        if os.path.islink(path + ending):
            raise ConfigurationError(f"db (TIDINGS_DB): {path}{ending} is a link, which SQLite would follow; remove it")
    log = f"{path}-wal"
    log_size = os.path.getsize(log) if os.path.exists(log) else None
    is_empty = not os.path.exists(path) or os.path.getsize(path) == 0
    if is_empty and (log_size is None or log_size <= _EMPTY_LOG_BYTES):
        return
    if is_empty:
        raise ConfigurationError(
            f"db (TIDINGS_DB): there is no {path}, but {log}; what was committed last is in that: bring the file back,"
            " or move the other one away to begin anew"
        )
    alone = _mark_of(path, "immutable=1&mode=ro")
    if log_size is None or log_size <= _EMPTY_LOG_BYTES or not _has_header(log):
        if alone is not None and alone.word == OPEN:
            raise ConfigurationError(
                f"db (TIDINGS_DB): {log} {'is missing' if log_size is None else 'was emptied'}, and what was committed"
                f" last was in it. Bring it back{_or_rescued(path)}; or go on without it, so that clients reload:"
                f" tidings restore {path}"
            )
        return
    together = _mark_of(path, "mode=ro")  # which closes without a checkpoint
    if alone is None or together is None:
        return  # too damaged to tell, which opening it says better
    may_be_copy = alone == together and alone.word == WHOLE and alone.ids != ("0",) and len(alone.ids) == 1
    if alone.ids[-1] not in together.ids or (may_be_copy and not _is_in_file(log, path)):
        raise ConfigurationError(
            f"db (TIDINGS_DB): {log} belongs to another file than {path}: a copy was put in its place, or another"
            " program wrote to it. For the copy: move the -wal away, or let tidings restore put the copy there."
            f" For what was written: sqlite3 {path} 'PRAGMA wal_checkpoint(TRUNCATE)'{_or_rescued(path)}"
        )


def rescued_beside(path: str) -> list[str]:
    """The copies that a server made which found its files changed: beside the file, the newest last."""
    directory, name = os.path.split(path)
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    return sorted(os.path.join(directory, each) for each in names if each.startswith(f"{name}.rescued-"))


def _or_rescued(path: str) -> str:
    copies = rescued_beside(path)
    return f"; or take what the last server saved: tidings restore {copies[-1]}" if copies else ""


def _has_header(log: str) -> bool:
    with open(log, "rb") as of_log:
        return int.from_bytes(of_log.read(4), "big") in _LOG_MAGIC


def _is_in_file(log: str, path: str) -> bool:
    """Whether the file has every page of its log, as after a close that came to everything but removing it.

    Source: SQLite file format, 4.1 (the format of a write-ahead log).
    """
    pages: dict[int, int] = {}  # number of a page → where its last committed image is in the log
    with open(log, "rb") as of_log, open(path, "rb") as of_file:
        head = of_log.read(_EMPTY_LOG_BYTES)
        size, salts = int.from_bytes(head[8:12], "big"), head[16:24]
        uncommitted: dict[int, int] = {}
        while len(frame := of_log.read(24)) == 24 and frame[8:16] == salts:
            uncommitted[int.from_bytes(frame[:4], "big")] = of_log.tell()
            if frame[4:8] != bytes(4):  # the last frame of a transaction
                pages.update(uncommitted)
                uncommitted.clear()
            of_log.seek(size, os.SEEK_CUR)

        def read(source: BinaryIO, place: int) -> bytes:
            source.seek(place)
            return source.read(size)

        return all(read(of_log, place) == read(of_file, (number - 1) * size) for number, place in pages.items())


def read_mark(connection: sqlite3.Connection) -> Mark:
    """The mark of a database of ours."""
    row = connection.execute("SELECT v FROM meta WHERE k = 'log'").fetchone()
    if row is None:
        return Mark()
    word, *ids = str(row[0]).split()
    return Mark(tuple(ids), word)


def _mark_of(path: str, query: str) -> Mark | None:
    """The mark, as a connection with these settings sees it; None where it cannot be read."""
    try:
        with contextlib.closing(sqlite3.connect(f"{Path(path).as_uri()}?{query}", uri=True)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
                return Mark()
            return read_mark(connection)
    except sqlite3.Error:
        return None


def _write_mark(connection: sqlite3.Connection, mark: Mark) -> None:
    text = " ".join([mark.word, *mark.ids])
    connection.execute("INSERT OR REPLACE INTO meta(k, v) VALUES ('log', ?)", (text,))


def _new_id() -> str:
    return secrets.token_hex(_ID_BYTES)
