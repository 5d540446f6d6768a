"""The command line: parses, calls, prints.

Rules of this file:

- Every failure is one line on standard error that says what to do, and an exit code of ``docs/cli.md``.
- Standard output carries results only; what is printed of other people's text cannot steer a terminal.
- A command imports what it needs when it runs, so that ``send`` does not load a server.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import time
import unicodedata
import uuid
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from tidings.errors import (
    ClientError,
    ConfigurationError,
    NotNow,
    ProtocolViolation,
    ServerProblem,
    StreamLost,
    TidingsError,
)
from tidings.terminal_text import harmless

if TYPE_CHECKING:
    from tidings.client import ConnectionState, Event
    from tidings.server.config import Config

C = TypeVar("C")

DONE: Final = 0
REFUSED: Final = 1
MISUSED: Final = 2
NOT_KNOWN: Final = 3
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it
READER_GONE: Final = 141  # 128 + SIGPIPE

TOKEN_TTL_DEFAULT_S: Final = 3600

EXIT_CODES: Final = """\
exit codes:
  0    done; for send: the message is committed
  1    the server refused, or a check found a fault; trying again will not help.
       For serve: it cannot start, or go on, now; starting it again may help
  2    wrong usage or configuration; nothing was done
  3    the server could not be reached or gave no clear answer; for send: not known to be committed
  130  interrupted by Ctrl-C (tail has printed its cursor)
  141  the reader of the output went away
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    _open_standard_files()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 gets escapes, not a traceback
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes once more at its end, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except (TidingsError, ValueError, OSError) as error:
        _complain(str(error))
        return _exit_code(error)
    return code


def _open_standard_files() -> None:
    """Open /dev/null in place of standard files that are closed, as some start a service: else what is opened next
    gets their numbers, the database for one, and our lines are written into it."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, "w" if descriptor else "r", encoding="utf-8", closefd=False))  # noqa: SIM115


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tidings",
        description="Real-time direct messaging over Server-Sent Events.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print which Tidings this is")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], help: str, more: str = "") -> _Parser:
        added: _Parser = commands.add_parser(
            name,
            help=help,
            description=f"{help[0].upper()}{help[1:]}. {more}".strip(),
            epilog=EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        added.set_defaults(run=run)
        return added

    serve = command("serve", _serve, "serve users until SIGTERM or Ctrl-C", "Settings: TIDINGS_* in the environment.")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=_port, default=8000, help="0 takes a free one (default: %(default)s)")
    serve.add_argument(
        "--db", metavar="URL", type=_given, help="such as sqlite:///tidings.db (default: TIDINGS_DB, or that)"
    )

    demo = command("demo", _demo, "serve a demo with a few people on this machine only")
    demo.add_argument("--port", type=_port, default=8787, help="(default: %(default)s)")
    demo.add_argument("--db", metavar="URL", type=_given, help="another database than the demo's own")

    token = command("token", _token, "print a token for a user", "Reads TIDINGS_SECRET, the server's own.")
    token.add_argument("user", metavar="USER", help="user id")
    token.add_argument(
        "--ttl", metavar="S", type=_seconds, default=TOKEN_TTL_DEFAULT_S, help="seconds it lives (default: %(default)s)"
    )

    reads = "Reads TIDINGS_URL and TIDINGS_TOKEN."
    send = command("send", _send, "send a message and print its id once it is committed", reads)
    send.add_argument("to", metavar="TO", type=_given, help="user id of the recipient")
    send.add_argument("text", metavar="TEXT", type=_text, help="after -- it may begin with a dash")
    send.add_argument("--id", metavar="KEY", type=_given, help="client_id; the same KEY never sends twice")

    send.add_argument(
        "--deadline",
        metavar="S",
        type=_seconds,
        default=60,
        help="keep trying for so many seconds (default: %(default)s)",
    )

    _add_operating(command)

    bench = command(
        "bench", _bench, "load a server, and count what arrives", "Reads TIDINGS_SECRET. Its messages stay."
    )
    bench.add_argument("url", metavar="URL", type=_text, help="of the server, or of its API")
    bench.add_argument(
        "--streams", metavar="N", type=_count, default=1000, help="idle streams of users of their own (%(default)s)"
    )
    bench.add_argument(
        "--pairs", metavar="N", type=_count, default=500, help="pairs of people, one writes to the other (%(default)s)"
    )
    bench.add_argument("--devices", metavar="N", type=_count, default=1, help="streams of each of them (%(default)s)")
    bench.add_argument(
        "--connections", metavar="N", type=_count, default=64, help="connections that send (%(default)s)"
    )
    bench.add_argument("--rate", metavar="R", type=_count, default=0, help="messages a second; 0: as many as go")
    bench.add_argument("--seconds", metavar="S", type=_seconds, default=10, help="how long (%(default)s)")
    bench.add_argument("--json", action="store_true", help="print one JSON object")

    chat = command("chat", _chat, "talk with somebody in the terminal", f"Ctrl+C leaves. {reads}")
    chat.add_argument("who", metavar="WITH", type=_given, help="user id of the other person")

    tail = command("tail", _tail, "print messages as they arrive, for ever; Ctrl-C prints the cursor", reads)
    tail.add_argument("--json", action="store_true", help="print every event, one JSON object a line")
    tail.add_argument("--cursor", metavar="C", type=_given, help="go on after this cursor instead of from now")
    return parser


def _add_operating(command: Callable[..., _Parser]) -> None:
    """The commands of somebody who operates a server."""
    while_running = "A server may run meanwhile."

    def on_database(name: str, run: Callable[[argparse.Namespace], int], help: str, more: str = "") -> _Parser:
        added = command(name, run, help, more)
        added.add_argument(
            "--db", metavar="URL", type=_given, help="such as sqlite:///tidings.db (default: TIDINGS_DB, or that)"
        )
        return added

    migrate = on_database("migrate", _migrate, "bring a database's schema up to date", "serve does so by itself.")
    migrate.add_argument("--check", action="store_true", help="change nothing; exit 1 if it is behind")

    backup = on_database("backup", _backup, "copy a database into a file, whole and checked", while_running)
    backup.add_argument("file", metavar="FILE", type=_given, help="a new file; what bears this name is complete")

    restore = on_database("restore", _restore, "put a copy in a database's place", "The server must be stopped.")
    restore.add_argument("file", metavar="FILE", type=_given, help="made by tidings backup")

    export = on_database("export", _export, "print everything that is kept of a user, as JSON lines", while_running)
    export.add_argument("--user", metavar="U", required=True, type=_given, help="user id")

    erase = on_database("erase", _erase, "remove a user's texts, log and name, for good", while_running)
    erase.add_argument("--user", metavar="U", required=True, type=_given, help="user id")

    retention = on_database("retention", _retention, "shorten the logs now; messages stay", while_running)
    retention.add_argument(
        "--older-than", metavar="AGE", type=_days, help="such as 30d (default: TIDINGS_LOG_KEEP_DAYS)"
    )
    retention.add_argument("--events-max", metavar="N", type=_count, help="per log (default: TIDINGS_LOG_EVENTS_MAX)")
    retention.add_argument("--dry-run", action="store_true", help="only count")

    doctor = command(
        "doctor",
        _doctor,
        "look at a server from outside and name what is in the way",
        "Reads TIDINGS_TOKEN. --cookie and --header are for applications with a sign-in of their own; other users of"
        " this machine can see what is on a command line.",
    )
    doctor.add_argument(
        "url", metavar="URL", type=_text, help="of the server, or of its API, such as https://example.org"
    )
    doctor.add_argument(
        "--idle", metavar="S", type=_seconds, default=0, help="hold a silent stream for so many seconds"
    )
    doctor.add_argument(
        "--cookie",
        metavar="C",
        type=_field,
        action="append",
        default=[],
        help="such as sessionid=k3v9, as a browser sends it",
    )
    doctor.add_argument(
        "--header", metavar="H", type=_field, action="append", default=[], help="such as 'X-Api-Key: k3v9'"
    )


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, *_: object) -> NoReturn:
        print(f"tidings {version('tidings')}")
        raise SystemExit(DONE)


class _Parser(argparse.ArgumentParser):
    """Complains in one line."""

    def error(self, message: str) -> NoReturn:
        _complain(f"{message}; see: {self.prog} --help")
        raise SystemExit(MISUSED)


def _serve(options: argparse.Namespace) -> int:
    # Until it serves there is nothing to finish. A container's first process would not even hear SIGTERM.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: os._exit(DONE))

    from tidings.server.config import Config
    from tidings.server.http.serve import serve

    config = Config.from_environment(os.environ, db=options.db)
    try:
        return serve(config, host=options.host, port=options.port) or DONE
    except OSError as failure:  # what a restart does not mend has a sentence of its own
        raise NotNow(str(failure)) from failure


def _demo(options: argparse.Namespace) -> int:
    from tidings.server.demo.run import run_demo

    return run_demo(port=options.port, db=options.db) or DONE


def _migrate(options: argparse.Namespace) -> int:
    from tidings.server.operate import upkeep

    if options.check:
        schema = upkeep.read_schema(_database(options))
        print(f"schema version {schema.found}; this Tidings knows {schema.known}")
        return DONE if schema.found == schema.known else REFUSED
    schema = upkeep.migrate(_database(options))
    print(f"schema version {schema.known}" + ("" if schema.found == schema.known else f", was {schema.found}"))
    return DONE


def _backup(options: argparse.Namespace) -> int:
    from tidings.server.operate import copies

    copied = copies.backup(_database(options), options.file)
    print(f"{copied.path}: {copied.messages} messages of {copied.users} users, {copied.size_bytes} bytes")
    return DONE


def _restore(options: argparse.Namespace) -> int:
    from tidings.server.operate import copies

    restored = copies.restore(_database(options), options.file)
    print(f"restored {restored.messages} messages of {restored.users} users")
    if restored.kept_aside is not None:
        _note(f"the database of before is {restored.kept_aside}")
    return DONE


def _export(options: argparse.Namespace) -> int:
    from tidings.server.operate import person

    is_empty = True
    for entry in person.export(_database(options), options.user):
        print(json.dumps(entry))
        is_empty = False
    if is_empty:
        _note(f"nothing is kept of {options.user}")
    return DONE


def _erase(options: argparse.Namespace) -> int:
    from tidings.server.operate import person

    erased = person.erase(_database(options), options.user)
    if erased.was_known:
        print(f"erased {erased.messages} messages and {erased.events} events of {harmless(options.user)}")
    else:
        _note(f"nothing is kept of {options.user}")
    if erased.left is not None:
        _complain(erased.left)
        return NOT_KNOWN
    return DONE


def _retention(options: argparse.Namespace) -> int:
    from tidings.server.operate import upkeep

    config = _settings(options, log_keep_days=options.older_than, log_events_max=options.events_max)
    done = upkeep.retain(
        config.db, keep_days=config.log_keep_days, events_max=config.log_events_max, dry_run=options.dry_run
    )
    would = "would remove" if options.dry_run else "removed"
    print(f"{would} {done.events} events from {done.logs} logs; {done.kept} are kept")
    return DONE


def _doctor(options: argparse.Namespace) -> int:
    from tidings.client.doctor import examine

    headers = [_name_and_value(field) for field in options.header]
    if options.cookie:
        headers.append(("Cookie", "; ".join(options.cookie)))
    kinds = set()
    token = os.environ.get("TIDINGS_TOKEN", "").strip() or None
    for found in examine(options.url, token, headers=headers, idle_s=options.idle):
        kinds.add(found.kind)
        shown = {"ok": "ok", "note": "note"}.get(found.kind, "FAULT")
        print(harmless(f"{shown:<6}{found.name}: {found.text}" + (f". Do: {found.do}" if found.do else "")), flush=True)
    return NOT_KNOWN if "unreachable" in kinds else REFUSED if "fault" in kinds else DONE


def _database(options: argparse.Namespace) -> str:
    return _settings(options).db


def _settings(options: argparse.Namespace, **overrides: object) -> Config:
    """The settings that a command on a database has; a server's others may be wrong or missing here."""
    from tidings.server.config import Config

    names = ("TIDINGS_DB", "TIDINGS_LOG_KEEP_DAYS", "TIDINGS_LOG_EVENTS_MAX")
    environment = {name: os.environ[name] for name in names if name in os.environ}
    return Config.from_environment(environment, db=options.db, **overrides)


def _token(options: argparse.Namespace) -> int:
    print(_mint()(options.user, options.ttl))
    return DONE


def _mint() -> Callable[[str, int], str]:
    """What makes a token for a user that lives so many seconds, with the server's own secret."""
    import jwt

    from tidings.protocol.user_id import check_user_id
    from tidings.server.config import Config

    names = ("SECRET", "ISSUER", "AUDIENCE", "AUTHORIZED_PARTIES", "USER_CLAIM")
    config = Config.from_environment({f"TIDINGS_{name}": os.environ.get(f"TIDINGS_{name}", "") for name in names})
    if not config.secret:
        raise ConfigurationError(
            "TIDINGS_SECRET is not set: set it to the secret of the server; make one with: openssl rand -hex 32"
        )
    shared: dict[str, object] = {}
    if config.issuer:
        shared["iss"] = config.issuer
    if config.audience:
        shared["aud"] = config.audience[0]
    if config.authorized_parties:
        shared["azp"] = config.authorized_parties[0]

    def mint(user: str, ttl_s: int) -> str:
        now = int(time.time())
        claims = {config.user_claim: check_user_id(user), "iat": now, "exp": now + ttl_s, **shared}
        return jwt.encode(claims, config.secret, algorithm="HS256")

    return mint


def _bench(options: argparse.Namespace) -> int:
    from tidings.bench.dialect import tidings
    from tidings.bench.run import Plan, is_whole, run, table
    from tidings.client.call import api_url

    mint, url = _mint(), api_url(options.url)
    plan = Plan(
        idle_streams=options.streams,
        pairs=options.pairs,
        devices=options.devices,
        connections=options.connections,
        rate=options.rate,
        seconds=options.seconds,
    )
    dialect = tidings(url, lambda user: mint(user, TOKEN_TTL_DEFAULT_S))
    outcome = run(dialect, url, plan, name=f"bench-{uuid.uuid4().hex[:8]}")
    print(json.dumps(outcome._asdict()) if options.json else table(outcome))
    return DONE if is_whole(outcome) and not outcome.refused else REFUSED


def _send(options: argparse.Namespace) -> int:
    client_id = str(uuid.uuid4()) if options.id is None else options.id
    from tidings.client import Client

    with _client(Client, deadline_s=options.deadline) as client:
        try:
            message = client.send(options.to, options.text, client_id=client_id)
        except KeyboardInterrupt:
            _complain(f"interrupted; {_how_to_repeat(client_id)}")
            return INTERRUPTED
        except ClientError as error:
            code = _exit_code(error)
            _complain(str(error) if code == REFUSED else f"{error}; {_how_to_repeat(client_id)}")
            return code
    print(harmless(message.id))
    return DONE


def _chat(options: argparse.Namespace) -> int:
    try:
        from tidings.chat_terminal.app import chat
    except ModuleNotFoundError as missing:
        if not (missing.name or "").startswith("textual"):
            raise
        raise ConfigurationError("tidings chat needs Textual; install it with: pip install 'tidings[chat]'") from None
    if not (sys.stdin.isatty() and sys.stderr.isatty()):  # Textual draws on standard error
        raise ConfigurationError("tidings chat needs a terminal; a script uses: tidings send, tidings tail")
    import asyncio

    from tidings.client import AsyncClient
    from tidings.protocol.user_id import check_user_id

    left = asyncio.run(chat(_client(AsyncClient, deadline_s=10), check_user_id(options.who)))
    if left:
        _complain(f"{left} message{'s were' if left > 1 else ' was'} not sent")
        return NOT_KNOWN
    return DONE


def _tail(options: argparse.Namespace) -> int:
    from tidings.client import Client

    lost = False

    def tell(state: ConnectionState) -> None:
        nonlocal lost
        if state.status == "waiting":
            lost = True
            detail = f": {state.detail}" if state.detail else ""
            _note(f"no stream ({state.reason}{detail}); trying again in {state.wait_s:.1f} s")
        elif state.status == "polling":
            lost = True
            _note(f"no stream comes through; polling every {state.wait_s:.0f} s as {feed.user_id}")
        elif state.status == "connected":
            _note(f"connected{' again' if lost else ''} as {feed.user_id}")

    with _client(Client) as client, client.events(options.cursor, on_state=tell) as feed:
        try:
            for event in feed:
                line = _json_line(event) if options.json else _plain_line(event, feed.user_id)
                if line is not None:
                    print(line, flush=True)
                elif event.type == "reset":
                    _note(f"events are missing here ({event.data.get('reason')}); going on from now")
        finally:
            # Also after a refusal or a closed pipe: who knows the cursor can go on without a gap.
            if feed.cursor is not None:
                _note(f"cursor: {feed.cursor}")
    return DONE


def _client(kind: Callable[..., C], *, deadline_s: float = 60) -> C:
    url, token = os.environ.get("TIDINGS_URL", "").strip(), os.environ.get("TIDINGS_TOKEN", "").strip()
    if not url:
        raise ConfigurationError("TIDINGS_URL is not set: set it to the server, such as http://127.0.0.1:8000")
    if not token:
        raise ConfigurationError("TIDINGS_TOKEN is not set: set it to a token; make one with: tidings token USER")
    try:
        return kind(url, token, deadline_s=deadline_s)
    except ValueError as error:
        raise ConfigurationError(f"TIDINGS_URL or TIDINGS_TOKEN is wrong: {error}") from None


def _json_line(event: Event) -> str:
    return json.dumps({"id": event.cursor, "type": event.type, "data": event.data})  # ASCII, thus harmless


def _plain_line(event: Event, me: str | None) -> str | None:
    """One line for a message, none for other events."""
    message = event.message
    if message is None:
        return None
    sender, recipient = ("me" if user == me else harmless(user) for user in (message.sender_id, message.recipient_id))
    at = message.createdAt.partition(".")[0].removesuffix("Z") + "Z"
    return f"{harmless(at)} {sender} → {recipient}: {harmless(message.text)}"


def _note(text: str) -> None:
    print(harmless(text), file=sys.stderr, flush=True)


def _complain(text: str) -> None:
    _note(f"tidings: {text}")


def _how_to_repeat(client_id: str) -> str:
    return f"the message is not known to be committed; to try again without doubling it, add: --id {client_id}"


def _exit_code(error: Exception) -> int:
    from tidings.protocol.retry import is_temporary

    match error:
        case ServerProblem():
            return NOT_KNOWN if is_temporary(error.status) else REFUSED
        case StreamLost() | ProtocolViolation():
            return NOT_KNOWN
        case NotNow():
            return REFUSED
        case _:
            return MISUSED


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"it takes a port from 0 to 65535, not {text!r}")
    return int(text)


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"it takes a whole number of seconds above 0, not {text!r}")
    return int(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"it takes a whole number above 0, not {text!r}")
    return int(text)


def _days(text: str) -> float:
    number, unit = text[:-1], text[-1:]
    if unit not in ("d", "h") or not (number.isascii() and number.isdigit() and len(number) <= 5 and int(number) > 0):
        raise argparse.ArgumentTypeError(f"it takes an age in days or hours, such as 30d or 12h, not {text!r}")
    return int(number) / (24 if unit == "h" else 1)


def _field(text: str) -> str:
    # A line break would begin another field.
    if not text.isprintable() or not text.strip():
        raise argparse.ArgumentTypeError("it is empty, or has characters that no header field has")
    return text


def _name_and_value(field: str) -> tuple[str, str]:
    name, colon, value = field.partition(":")
    if not colon or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
        raise ConfigurationError("--header takes a field as it is sent, such as 'X-Api-Key: k3v9'")
    return name, value.strip()


def _given(text: str) -> str:
    # Empty is what a shell makes of a variable that is not set: it must not mean that nothing was given.
    if not text:
        raise argparse.ArgumentTypeError("it is empty")
    return _text(text)


def _text(text: str) -> str:
    # What is not UTF-8 on the command line arrives as lone surrogates, which cannot be sent.
    if any(unicodedata.category(character) == "Cs" for character in text):
        raise argparse.ArgumentTypeError("it is not UTF-8")
    return text
