"""``key``: the service keys of a database, by which the host's other programs come."""

from __future__ import annotations

import argparse
import re
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256

from tidings.cli.arguments import Parser, given, person
from tidings.cli.operate import database
from tidings.cli.outcome import DONE, EXIT_CODES, REFUSED, complain, note
from tidings.errors import ConfigurationError
from tidings.terminal_text import harmless

ANYBODY = "any"
DAY_S = 86_400

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")  # it stands in lines of logs and in labels of metrics


def add(command: Callable[..., Parser]) -> None:
    """Add these commands."""
    key = command("key", _create, "make, list and revoke service keys, by which programs of yours send and read")
    commands = key.add_subparsers(metavar="WHAT", required=True, parser_class=Parser)

    def on_keys(name: str, run: Callable[[argparse.Namespace], int], help: str) -> Parser:
        added: Parser = commands.add_parser(
            name,
            help=help,
            description=f"{help[0].upper()}{help[1:]}. A server may run meanwhile.",
            epilog=EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        added.add_argument(
            "--db", metavar="URL", type=given, help="such as sqlite:///tidings.db (default: TIDINGS_DB, or that)"
        )
        added.set_defaults(run=run)
        return added

    create = on_keys("create", _create, "print a new key, which is shown this once")
    create.add_argument("name", metavar="NAME", type=_name, help="of the program that gets it")
    create.add_argument(
        "--as",
        dest="user",
        metavar="USER",
        type=person,
        help=f"user id for whom it stands, or {ANYBODY} (default: its own name)",
    )
    create.add_argument("--system", action="store_true", help="it may send messages of type system")
    on_keys("list", _list, "print the keys: name, whom they stand for, since when, when they were used last")
    revoke = on_keys("revoke", _revoke, "let a key count no more, within a second")
    revoke.add_argument("name", metavar="NAME", type=given, help="of the key")


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(
            "it takes 1 to 64 letters, digits, -, _ and ., and begins with one of the first two"
        )
    return text


def _create(options: argparse.Namespace) -> int:
    from tidings.protocol.service_key import SERVICE_KEY_SIZE_BYTES, format_service_key
    from tidings.protocol.user_id import check_user_id
    from tidings.server.store import ServiceKey

    try:
        user = None if options.user == ANYBODY else check_user_id(options.user or options.name)
    except ValueError as wrong:
        raise ConfigurationError(f"--as: {wrong}") from None
    secret = format_service_key(secrets.token_bytes(SERVICE_KEY_SIZE_BYTES))
    digest = sha256(secret.encode()).digest()
    database(options).add_service_key(
        ServiceKey(options.name, digest, user, options.system, time.time_ns() // 1_000_000)
    )
    print(secret)
    system = ", and may send messages of type system" if options.system else ""
    note(f"{options.name} stands for {'anybody' if user is None else user}{system}; keep it now: it is not shown again")
    return DONE


def _list(options: argparse.Namespace) -> int:
    keys = database(options).service_keys()
    rows = [("NAME", "AS", "SYSTEM", "CREATED", "LAST USED")] if keys else []
    for key in keys:
        used = "never" if key.used_day is None else _day(key.used_day * DAY_S)
        user = f"({ANYBODY})" if key.user is None else harmless(key.user)
        rows.append((key.name, user, "yes" if key.may_send_system else "no", _day(key.created_ms / 1000), used))
    widths = [max(len(row[column]) for row in rows) for column in range(4)] if rows else []
    for row in rows:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]))
    if not keys:
        note("there is no key: make one with tidings key create")
    return DONE


def _revoke(options: argparse.Namespace) -> int:
    if not database(options).remove_service_key(options.name):
        complain(f"there is no key {options.name}; see: tidings key list")
        return REFUSED
    note(f"revoked {options.name}: what it has open ends within a second")
    return DONE


def _day(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).date().isoformat()
