"""``tidings chat`` against a real node: driven by Textual's pilot, and once as a process in a terminal."""

from __future__ import annotations

import asyncio
import functools
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from lab.node import Node, Person, refused
from tidings.chat_terminal.app import ChatApp, Line
from tidings.client import AsyncClient
from tidings.errors import ClientError, ServerProblem

PATIENCE_S = 30.0


class Terminal:
    """The application and somebody at its keyboard."""

    def __init__(self, app: ChatApp, pilot: Pilot[ClientError]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def lines(self) -> list[str]:
        return [str(line.content) for line in self.app.query(Line)]

    @property
    def status(self) -> str:
        return str(self.app.query_one("#status", Static).content)

    async def says(self, text: str) -> None:
        self.app.query_one(Input).value = text
        await self.pilot.press("enter")

    async def sees(self, condition: Callable[[], bool]) -> None:
        """Wait until this is on the screen."""
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, (self.lines, self.status)
            await self.pilot.pause(0.02)

    async def shows(self, *starts: str) -> None:
        """These messages in this order and no others, each with what stands behind it as far as given."""
        await self.sees(
            lambda: (
                len(starts) == len(self.lines)
                and all(line.startswith(start) for line, start in zip(self.lines, starts, strict=True))
            )
        )

    async def ticks(self, text: str, state: str) -> None:
        await self.sees(lambda: any(line.startswith(text) and state in line for line in self.lines))


def at_terminal(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test in an event loop of its own."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*arguments, **named), 60))

    return run


@asynccontextmanager
async def chatting(
    person: Person, peer: Person | str, *, deadline_s: float = 2, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[Terminal]:
    """`tidings chat PEER` by this person."""
    assert person.token is not None
    async with AsyncClient(person.node.url, person.token, deadline_s=deadline_s) as client:
        app = ChatApp(client, str(peer))
        async with app.run_test(size=size) as pilot:
            yield Terminal(app, pilot)


@at_terminal
async def test_a_conversation_is_shown_and_goes_on_live(alice: Person, bob: Person) -> None:
    """The screen shows earlier messages, new ones, one's own, and how far they came."""
    bob.sends(alice, "before")
    async with chatting(alice, bob) as terminal:
        await terminal.shows("before")
        await terminal.sees(lambda: terminal.status == "connected")
        bob.sends(alice, "live")
        await terminal.shows("before", "live")
        await terminal.says("hello")
        await terminal.ticks("hello", "✓ sent")
        await terminal.sees(lambda: 2 == alice.history(bob)["watermarks"]["read_upto"])
        bob.receipts(alice, delivered_upto=3)
        await terminal.ticks("hello", "✓✓ delivered")
        bob.receipts(alice, read_upto=3)
        await terminal.ticks("hello", "✓✓ read")
        bob.types_to(alice)
        await terminal.sees(lambda: "typing" in terminal.status)
        alice.sends(bob, "from another device")
        await terminal.shows("before", "live", "hello", "from another device")
        assert "" == terminal.app.query_one(Input).value


@at_terminal
async def test_a_refusal_of_the_server_is_said_and_can_be_tried_again(alice: Person, bob: Person) -> None:
    """It stands there as not sent, with the reason, and does not keep the next one."""
    async with chatting(alice, bob) as terminal:
        await terminal.says("a bell: \x07")
        await terminal.says("next")
        await terminal.ticks("a bell", "not sent: ")
        await terminal.ticks("next", "✓ sent")
        await terminal.pilot.press("ctrl+r")
        await terminal.ticks("a bell", "not sent: ")
        assert (1, ["next"]) == (
            terminal.app.thread.unsent_count,
            [each["text"] for each in alice.history(bob)["messages"]],
        )


@at_terminal
async def test_a_message_written_without_a_connection_is_sent_when_it_is_back(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """In order, once; the status line tells what is going on."""
    with Node(tmp_path_factory.mktemp("away")) as node:
        alice = node.person("alice")
        async with chatting(alice, "bob", deadline_s=1) as terminal:
            await terminal.says("1")
            await terminal.ticks("1", "✓ sent")
            await asyncio.to_thread(node.kill)
            await terminal.says("2")
            await terminal.says("3")
            await terminal.sees(lambda: "no connection" in terminal.status)
            await terminal.ticks("2", "waiting to be sent")
            await asyncio.to_thread(node.restart)
            await terminal.ticks("3", "✓ sent")
            node.person("bob").sends("alice", "4")
            await terminal.shows("1", "2", "3", "4")
        assert ["1", "2", "3", "4"] == [message["text"] for message in alice.history("bob")["messages"]]


@at_terminal
async def test_older_messages_come_when_one_scrolls_up(alice: Person, bob: Person) -> None:
    """A page at a time, and the screen stays where one reads."""
    for number in range(59):
        bob.sends(alice, f"{number}")
    async with chatting(alice, bob, size=(60, 12)) as terminal:
        await terminal.sees(lambda: len(terminal.lines) == 50)
        await terminal.sees(lambda: terminal.app.query_one("#messages").scroll_y > 0)
        for _ in range(40):
            await terminal.pilot.press("pageup")
        await terminal.sees(lambda: len(terminal.lines) == 59)
        assert [f"{number}" for number in range(59)] == [line.split()[0] for line in terminal.lines]


@at_terminal
async def test_the_screen_follows_the_size_of_the_terminal(alice: Person, bob: Person) -> None:
    """From wide to narrow; the last message and the line to type in stay in view."""
    for number in range(20):
        bob.sends(alice, f"{number} " + "words " * 20)
    async with chatting(alice, bob, size=(120, 30)) as terminal:
        await terminal.sees(lambda: len(terminal.lines) == 20)
        await terminal.pilot.resize_terminal(40, 12)
        bob.sends(alice, "last")

        def is_last_in_view() -> bool:
            messages, line = terminal.app.query_one("#messages"), terminal.app.query(Line).last()
            return "last" in str(line.content) and messages.region.contains_region(line.region)

        await terminal.sees(is_last_in_view)
        assert terminal.app.query_one(Input).region.bottom <= 12


# shows: security/terminal
@at_terminal
async def test_nothing_that_others_wrote_steers_the_screen(alice: Person, bob: Person) -> None:
    """No markup, no terminal sequence of one character, no reordering."""
    bob.sends(alice, "[bold red]x[/] \u009b31m \u202edrowssap")
    async with chatting(alice, bob) as terminal:
        await terminal.shows("[bold red]x[/] \\x9b31m \\u202edrowssap")


@at_terminal
async def test_an_error_that_trying_again_cannot_mend_ends_it(alice: Person, bob: Person) -> None:
    """A dead token, for instance."""
    signed_out = Person(alice.node, alice.id, alice.node.token(alice.id, ttl_s=-3600))
    async with chatting(signed_out, bob) as terminal:
        await terminal.sees(lambda: terminal.app.return_value is not None)
        error = terminal.app.return_value
    assert isinstance(error, ServerProblem)
    assert 401 == error.status


class Process:
    """The command as somebody starts it, in a terminal of its own."""

    def __init__(self, person: Person, peer: str) -> None:
        self.ours, theirs = pty.openpty()
        program = Path(sys.executable).with_name("tidings")
        environment = {
            **os.environ,
            "TIDINGS_URL": person.node.url,
            "TIDINGS_TOKEN": person.token or "",
            "TERM": "xterm",
        }
        self.process = subprocess.Popen(
            [str(program), "chat", peer], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
        )
        os.close(theirs)
        self.output = b""

    def reads(self) -> bool:
        """Take what comes within a moment; false when the process has closed the terminal."""
        if select.select([self.ours], [], [], 0.05)[0]:
            try:
                self.output += os.read(self.ours, 65536)
            except OSError:  # as Linux says that nobody is at the other end
                return False
        return True

    def until(self, wanted: bytes) -> None:
        end = time.monotonic() + PATIENCE_S
        while wanted not in self.output:
            assert time.monotonic() < end, self.output
            self.reads()

    def types(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def ended(self) -> tuple[int, bytes]:
        """Exit code, and what was written after the screen was given back."""
        while self.reads():
            pass
        self.process.wait(PATIENCE_S)
        os.close(self.ours)
        return self.process.returncode, self.output.rpartition(b"\x1b[?1049l")[2]


@pytest.fixture
def terminal_of() -> Iterator[Callable[[Person, str], Process]]:
    """Start the command; what a failed test leaves behind is ended."""
    started: list[Process] = []

    def start(person: Person, peer: str) -> Process:
        started.append(Process(person, peer))
        return started[-1]

    yield start
    for each in started:
        if each.process.returncode is None:
            each.process.kill()
            each.process.communicate()
            os.close(each.ours)


def test_the_command_talks_in_a_terminal_and_leaves_it_as_it_was(
    alice: Person, bob: Person, terminal_of: Callable[[Person, str], Process]
) -> None:
    """Sent by Enter, left by Ctrl+C with 0; the alternate screen is given back."""
    bob.sends(alice, "hello from bob")
    terminal = terminal_of(alice, bob.id)
    terminal.until(b"hello from bob")
    terminal.types(b"hi bob\r")
    terminal.until(b"sent")
    terminal.types(b"\x03")
    code, said = terminal.ended()
    assert (0, False) == (code, b"tidings" in said)
    assert terminal.output.rindex(b"\x1b[?1049l") > terminal.output.rindex(b"\x1b[?1049h")
    assert ["hello from bob", "hi bob"] == [message["text"] for message in alice.history(bob)["messages"]]


def test_a_refused_token_is_one_line_after_the_screen(
    alice: Person, bob: Person, terminal_of: Callable[[Person, str], Process]
) -> None:
    """Exit code 1, as of every command."""
    refused(Person(alice.node, alice.id, "dead").gets("/inbox/me"), 401, "unauthorized")
    code, said = terminal_of(Person(alice.node, alice.id, "dead"), bob.id).ended()
    assert (1, 1, True) == (code, said.count(b"\n"), b"tidings: " in said), said


def test_without_textual_or_a_terminal_it_says_what_to_do(tmp_path: Path) -> None:
    """One line, exit code 2."""
    environment = {**os.environ, "TIDINGS_URL": "http://127.0.0.1:9", "TIDINGS_TOKEN": "x"}
    command = "import sys; {0}from tidings.cli import main; sys.exit(main(['chat', 'bob']))"
    without_textual = "sys.modules['textual'] = None; "
    for first, wanted in ((without_textual, "pip install 'tidings[chat]'"), ("", "needs a terminal")):
        ran = subprocess.run(
            [sys.executable, "-c", command.format(first)],
            capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL, timeout=30,
        )  # fmt: skip
        assert (2, 1, True) == (ran.returncode, ran.stderr.count("\n"), wanted in ran.stderr), ran.stderr
