"""``send``, ``tail`` and ``chat``: a user's own messages, as they are written and as they arrive."""

from __future__ import annotations

import argparse
import sys
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tidings.cli import credentials
from tidings.cli.arguments import Parser, count, given, person, seconds, text
from tidings.cli.line import event_as_json, line
from tidings.cli.outcome import DONE, INTERRUPTED, NOT_KNOWN, REFUSED, complain, exit_code, note
from tidings.cli.read import last_messages
from tidings.errors import ClientError, ConfigurationError
from tidings.extra import needs
from tidings.protocol.events import NEW_MESSAGE, RESET
from tidings.terminal_text import harmless

if TYPE_CHECKING:
    from tidings.client import ConnectionState

TEXT_SIZE_MAX_BYTES: Final = 16_384
"""The longest text that any server takes."""


def add(command: Callable[..., Parser]) -> None:
    """Add these commands."""
    reads = f"Reads TIDINGS_URL. {credentials.HELP} A program with a service key has TIDINGS_KEY and TIDINGS_USER."

    def of_a_user(name: str, run: Callable[[argparse.Namespace], int], help: str, more: str = "") -> Parser:
        added = command(name, run, help, f"{more} {reads}".strip())
        credentials.add_with_keys(added)
        return added

    send = of_a_user("send", _send, "send a message and print its id once it is committed")
    send.add_argument("to", metavar="TO", type=person, help="user id of the recipient")
    send.add_argument("text", metavar="TEXT", type=text, help="- reads it from standard input; after -- it may be any")
    send.add_argument("--id", metavar="KEY", type=given, help="client_id; the same KEY never sends twice")
    send.add_argument("--type", metavar="T", type=given, default="text", help="of the message, such as system")
    send.add_argument(
        "--deadline",
        metavar="S",
        type=seconds,
        default=60,
        help="keep trying for so many seconds (default: %(default)s)",
    )

    chat = of_a_user("chat", _chat, "talk with somebody in the terminal", "Ctrl+C leaves.")
    chat.add_argument("who", metavar="WITH", type=person, help="user id of the other person")

    tail = of_a_user("tail", _tail, "print messages as they arrive, for ever; Ctrl-C prints the cursor")
    tail.add_argument("--json", action="store_true", help="print every event, one JSON object a line")
    begin = tail.add_mutually_exclusive_group()
    begin.add_argument("--cursor", metavar="C", type=given, help="go on after this cursor instead of from now")
    begin.add_argument("--last", metavar="N", type=count, help="begin with the last N messages")


def _send(options: argparse.Namespace) -> int:
    client_id = str(uuid.uuid4()) if options.id is None else options.id
    from tidings.client import Client

    text = _read_text() if options.text == "-" else options.text
    with credentials.open_client(Client, options, deadline_s=options.deadline) as client:
        try:
            message = client.send(options.to, text, client_id=client_id, message_type=options.type)
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
    with needs("tidings chat needs Textual", "chat"):
        from tidings.chat_terminal.app import chat
    if not (sys.stdin.isatty() and sys.stderr.isatty()):  # Textual draws on standard error
        raise ConfigurationError("tidings chat needs a terminal; a script uses: tidings send, tidings tail")
    import asyncio

    from tidings.client import AsyncClient
    from tidings.protocol.user_id import check_user_id

    left = asyncio.run(chat(credentials.open_client(AsyncClient, options, deadline_s=10), check_user_id(options.who)))
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

    with credentials.open_client(Client, options) as client:
        last = None if options.last is None else last_messages(client, options.last)
        with client.events(options.cursor if last is None else last.cursor, on_state=tell) as feed:
            try:
                if last is not None:
                    for each in last.messages:
                        print(event_as_json(None, NEW_MESSAGE, each) if options.json else line(each, last.user_id))
                sys.stdout.flush()
                for event in feed:
                    if options.json:
                        print(event_as_json(event.cursor, event.type, event.data), flush=True)
                    elif (message := event.message) is not None:
                        print(line(message, feed.user_id), flush=True)
                    elif event.type == RESET:
                        note(f"events are missing here ({event.data.get('reason')}); going on from now")
            finally:
                # Also after a refusal or a closed pipe: who knows the cursor can go on without a gap.
                if feed.cursor is not None:
                    note(f"cursor: {feed.cursor}")
    return DONE


def _read_text() -> str:
    """The text on standard input, without the line break at its end.

    Raises:
        ConfigurationError: It is longer than any message may be, or not UTF-8.
    """
    if sys.stdin.isatty():
        note("the text, and Ctrl-D at the beginning of a line:")
    given = sys.stdin.buffer.read(TEXT_SIZE_MAX_BYTES + 2)  # with a line break
    try:
        text = given.decode()
    except UnicodeDecodeError:
        if len(given) <= TEXT_SIZE_MAX_BYTES:
            raise ConfigurationError("standard input is not UTF-8; nothing was sent") from None
    else:
        text = text.removesuffix("\n").removesuffix("\r")
        if len(text.encode()) <= TEXT_SIZE_MAX_BYTES:
            return text
    raise ConfigurationError(
        f"standard input is longer than {TEXT_SIZE_MAX_BYTES} bytes, which no message may be; nothing was sent"
    )


def _how_to_repeat(client_id: str) -> str:
    return f"the message is not known to be committed; to try again without doubling it, add: --id {client_id}"
