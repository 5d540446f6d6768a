"""``send``, ``tail`` and ``chat``: a user's own messages."""

from __future__ import annotations

import argparse
import json
import os
import sys
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from tidings.cli.arguments import Parser, given, seconds, text
from tidings.cli.outcome import DONE, INTERRUPTED, NOT_KNOWN, REFUSED, complain, exit_code, note
from tidings.errors import ClientError, ConfigurationError
from tidings.protocol.events import RESET
from tidings.terminal_text import harmless

if TYPE_CHECKING:
    from tidings.client import ConnectionState, Event

C = TypeVar("C")


def add(command: Callable[..., Parser]) -> None:
    """Add these commands."""
    reads = "Reads TIDINGS_URL and TIDINGS_TOKEN."
    send = command("send", _send, "send a message and print its id once it is committed", reads)
    send.add_argument("to", metavar="TO", type=given, help="user id of the recipient")
    send.add_argument("text", metavar="TEXT", type=text, help="after -- it may begin with a dash")
    send.add_argument("--id", metavar="KEY", type=given, help="client_id; the same KEY never sends twice")

    send.add_argument(
        "--deadline",
        metavar="S",
        type=seconds,
        default=60,
        help="keep trying for so many seconds (default: %(default)s)",
    )

    chat = command("chat", _chat, "talk with somebody in the terminal", f"Ctrl+C leaves. {reads}")
    chat.add_argument("who", metavar="WITH", type=given, help="user id of the other person")

    tail = command("tail", _tail, "print messages as they arrive, for ever; Ctrl-C prints the cursor", reads)
    tail.add_argument("--json", action="store_true", help="print every event, one JSON object a line")
    tail.add_argument("--cursor", metavar="C", type=given, help="go on after this cursor instead of from now")


def _send(options: argparse.Namespace) -> int:
    client_id = str(uuid.uuid4()) if options.id is None else options.id
    from tidings.client import Client

    with _client(Client, deadline_s=options.deadline) as client:
        try:
            message = client.send(options.to, options.text, client_id=client_id)
        except KeyboardInterrupt:
            complain(f"interrupted; {_how_to_repeat(client_id)}")
            return INTERRUPTED
        except ClientError as error:
            code = exit_code(error)
            complain(str(error) if code == REFUSED else f"{error}; {_how_to_repeat(client_id)}")
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
        complain(f"{left} message{'s were' if left > 1 else ' was'} not sent")
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
            note(f"no stream ({state.reason}{detail}); trying again in {state.wait_s:.1f} s")
        elif state.status == "polling":
            lost = True
            note(f"no stream comes through; polling every {state.wait_s:.0f} s as {feed.user_id}")
        elif state.status == "connected":
            note(f"connected{' again' if lost else ''} as {feed.user_id}")

    with _client(Client) as client, client.events(options.cursor, on_state=tell) as feed:
        try:
            for event in feed:
                line = _json_line(event) if options.json else _plain_line(event, feed.user_id)
                if line is not None:
                    print(line, flush=True)
                elif event.type == RESET:
                    note(f"events are missing here ({event.data.get('reason')}); going on from now")
        finally:
            # Also after a refusal or a closed pipe: who knows the cursor can go on without a gap.
            if feed.cursor is not None:
                note(f"cursor: {feed.cursor}")
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


def _how_to_repeat(client_id: str) -> str:
    return f"the message is not known to be committed; to try again without doubling it, add: --id {client_id}"
