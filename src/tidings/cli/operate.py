"""The operator's commands on a database, from ``migrate`` to ``retention``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from tidings.cli.arguments import Parser, count, days, file, given, person
from tidings.cli.outcome import DONE, NOT_KNOWN, REFUSED, complain, note
from tidings.errors import ConfigurationError
from tidings.terminal_text import harmless

if TYPE_CHECKING:
    from tidings.protocol.user_id import UserId
    from tidings.server.config import Config
    from tidings.server.store.maintenance import Maintenance


def add(command: Callable[..., Parser]) -> None:
    """Add these commands."""
    while_running = "A server may run meanwhile."

    def on_database(name: str, run: Callable[[argparse.Namespace], int], help: str, more: str = "") -> Parser:
        added = command(name, run, help, more)
        added.add_argument(
            "--db", metavar="URL", type=given, help="such as sqlite:///tidings.db (default: TIDINGS_DB, or that)"
        )
        return added

    migrate = on_database("migrate", _migrate, "bring a database's schema up to date", "serve does so by itself.")
    how = migrate.add_mutually_exclusive_group()
    how.add_argument("--check", action="store_true", help="change nothing; exit 1 if it is behind")
    how.add_argument("--sql", action="store_true", help="print the script for PostgreSQL, for others to run")
    migrate.add_argument(
        "--from", dest="after", metavar="N", type=count, default=0, help="with --sql: the version that there is"
    )

    epoch = on_database("epoch", _epoch, "print the identity of a database's history", while_running)
    epoch.add_argument("--bump", action="store_true", help="begin a new one: every client reloads")

    backup = on_database("backup", _backup, "copy a database into a file, whole and checked", while_running)
    backup.add_argument("file", metavar="FILE", type=file, help="a new file; what bears this name is complete")

    restore = on_database("restore", _restore, "put a copy in a database's place", "The server must be stopped.")
    restore.add_argument("file", metavar="FILE", type=file, help="made by tidings backup")

    export = on_database("export", _export, "print everything that is kept of a user, as JSON lines", while_running)
    export.add_argument("--user", metavar="U", required=True, type=person, help="user id")

    importing = on_database(
        "import", _import, "put older messages into a database, from JSON lines or an export", while_running
    )
    importing.add_argument("file", metavar="FILE", type=given, help="- is standard input")
    importing.add_argument("--unread", action="store_true", help='messages whose line has "read": false stay unread')
    importing.add_argument("--dry-run", action="store_true", help="only check and count")

    erase = on_database("erase", _erase, "remove a user's texts, log and name, for good", while_running)
    erase.add_argument("--user", metavar="U", required=True, type=person, help="user id")

    retention = on_database("retention", _retention, "shorten the logs now; messages stay", while_running)
    retention.add_argument(
        "--older-than", metavar="AGE", type=days, help="such as 30d (default: TIDINGS_LOG_KEEP_DAYS)"
    )
    retention.add_argument("--events-max", metavar="N", type=count, help="per log (default: TIDINGS_LOG_EVENTS_MAX)")
    retention.add_argument("--dry-run", action="store_true", help="only count")


def _migrate(options: argparse.Namespace) -> int:
    if options.after and not options.sql:
        raise ConfigurationError("--from is for --sql: without it the version is that of the database")
    if options.sql:
        print(database(options).script(options.after))
        return DONE
    if options.check:
        schema = database(options).schema()
        print(f"schema version {schema.found}; this Tidings knows {schema.known}")
        return DONE if schema.found >= schema.known else REFUSED
    schema = database(options).migrate()
    print(f"schema version {schema.known}" + ("" if schema.found == schema.known else f", was {schema.found}"))
    return DONE


def _epoch(options: argparse.Namespace) -> int:
    if options.bump:
        print(database(options).begin_epoch())
    else:
        with database(options).snapshot() as snapshot:
            print(snapshot.epoch)
    return DONE


def _backup(options: argparse.Namespace) -> int:
    copied = database(options).backup(options.file)
    print(f"{copied.path}: {copied.messages} messages of {copied.users} users, {copied.size_bytes} bytes")
    return DONE


def _restore(options: argparse.Namespace) -> int:
    restored = database(options).restore(options.file)
    print(f"restored {restored.messages} messages of {restored.users} users")
    if restored.kept_aside is not None:
        note(f"the database of before is {restored.kept_aside}")
    return DONE


def _export(options: argparse.Namespace) -> int:
    from tidings.server.store.export import export

    is_empty, user = True, _user(options)
    with database(options).snapshot() as snapshot:
        for entry in export(snapshot, user):
            print(json.dumps(entry))
            is_empty = False
    if is_empty:
        note(f"nothing is kept of {options.user}")
    return DONE


def _import(options: argparse.Namespace) -> int:
    from tidings.server.store.importing import import_messages

    with _opened(options.file) as lines, database(options).importer() as importer:
        done = import_messages(importer, lines, keeps_unread=options.unread, dry_run=options.dry_run)
    would = "would import" if options.dry_run else "imported"
    print(f"{would} {done.messages} messages in {done.conversations} conversations; {done.present} were there before")
    return DONE


@contextlib.contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    """A file, or standard input.

    Raises:
        ConfigurationError: It cannot be read.
    """
    if path == "-":
        if sys.stdin.isatty():
            note("the lines, and Ctrl-D at the beginning of a line:")
        yield sys.stdin.buffer
        return
    try:
        opened = open(path, "rb")  # noqa: SIM115  # what fails in the block is another failure
    except OSError as failure:
        raise ConfigurationError(f"{path} cannot be read: {failure.strerror}") from None
    with opened:
        yield opened


def _erase(options: argparse.Namespace) -> int:
    erased = database(options).erase(_user(options))
    if erased.was_known:
        print(f"erased {erased.messages} messages and {erased.events} events of {harmless(options.user)}")
    else:
        note(f"nothing is kept of {options.user}")
    if erased.left is not None:
        complain(erased.left)
        return NOT_KNOWN
    return DONE


def _retention(options: argparse.Namespace) -> int:
    from tidings.server.store.open import open_maintenance
    from tidings.server.store.rules import DAY_MS

    config = _settings(options, log_keep_days=options.older_than, log_events_max=options.events_max)
    older_than_ms = int(config.log_keep_days * DAY_MS)
    done = open_maintenance(config.db).trim(older_than_ms, config.log_events_max, dry_run=options.dry_run)
    would = "would remove" if options.dry_run else "removed"
    print(f"{would} {done.events} events from {done.logs} logs; {done.kept} are kept")
    return DONE


def database(options: argparse.Namespace) -> Maintenance:
    """The upkeep of the database that a command names, by ``--db`` or the environment."""
    from tidings.server.store.open import open_maintenance

    return open_maintenance(_settings(options).db)


def _user(options: argparse.Namespace) -> UserId:
    from tidings.protocol.user_id import check_user_id

    try:
        return check_user_id(options.user)
    except ValueError as wrong:
        raise ConfigurationError(f"--user: {wrong}") from None


def _settings(options: argparse.Namespace, **overrides: object) -> Config:
    """The settings that a command on a database has; a server's others may be wrong or missing here."""
    from tidings.server.config import Config

    names = ("TIDINGS_DB", "TIDINGS_LOG_KEEP_DAYS", "TIDINGS_LOG_EVENTS_MAX")
    environment = {name: os.environ[name] for name in names if name in os.environ}
    return Config.from_environment(environment, db=options.db, **overrides)
