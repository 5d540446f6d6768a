"""The terminal's screen: messages, a status line, a line to type in.

Rules of this file:

- Each thing that waits for the server is a worker of its own: following, sending (one message after the other),
  receipts, older pages. The worker tries again, until the user leaves, where that may help.
- An error that trying again cannot mend ends the application; its result is the error, for the command line to tell.
- Text of other people is shown as text: no markup, and nothing that steers a terminal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import ClassVar, Final, TypeVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.events import AppBlur, AppFocus
from textual.widgets import Input, Static

from tidings.chat_terminal.thread import Row, Thread, Unsent
from tidings.client import AsyncClient, ConnectionState, HistoryPage
from tidings.errors import ClientError, ProtocolViolation, ServerProblem, StreamLost
from tidings.protocol.events import RESET, TYPING
from tidings.protocol.retry import is_temporary
from tidings.terminal_text import harmless

TYPING_GAP_S: Final = 3.0
"""The least time between two typing requests."""

TYPING_SHOWN_S: Final = 5.0
"""So long typing is shown after the other side's last frame."""

RECEIPT_GAP_S: Final = 1.0
RETRY_GAP_S: Final = 1.0
"""Between two rounds of the client's own attempts, which take its deadline each."""

STATES: Final = {
    "": "",
    "sending": "sending …",
    "waiting": "waiting to be sent",
    "sent": "✓ sent",
    "delivered": "✓✓ delivered",
    "read": "✓✓ read",
}

T = TypeVar("T")


class Line(Static):
    """One message."""

    def __init__(self, row: Row) -> None:
        super().__init__(_content(row), markup=False, classes="own" if row.is_own else "peer")
        self.row = row

    def show(self, row: Row) -> None:
        """Show it as it is now."""
        if row != self.row:
            self.row = row
            self.set_class(row.state == "failed", "failed")
            self.update(_content(row))


def _content(row: Row) -> Content:
    state = f"not sent: {row.error} (Ctrl+R tries again)" if row.state == "failed" else STATES[row.state]
    note = " ".join(part for part in (_time(row.at), harmless(state)) if part)
    text = row.text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")
    return Content.assemble(harmless(text, keep="\n"), "  ", (note, "dim"))


def _time(at: datetime | None) -> str:
    if at is None:
        return ""
    return f"{at:%H:%M}" if at.date() == datetime.now().astimezone().date() else f"{at:%d %b %Y %H:%M}"


class ChatApp(App[ClientError]):
    """The conversation with one person; its result is the error that ended it, if one did."""

    CSS = """
    #messages { height: 1fr; padding: 0 1; }
    Line { width: auto; max-width: 80%; margin: 0 0 1 0; padding: 0 1; }
    Line.own { margin: 0 0 1 8; background: $primary-muted; }
    Line.failed { background: $error-muted; }
    #title, #status { height: 1; padding: 0 1; }
    #title { text-style: bold; background: $panel; }
    #status { color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c,ctrl+d,ctrl+q", "quit", "Leave", priority=True),
        Binding("ctrl+r", "retry", "Try again", priority=True),
        Binding("pageup", "page_up", "Up", priority=True),
        Binding("pagedown", "page_down", "Down", priority=True),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, client: AsyncClient, peer: str) -> None:
        super().__init__()
        self.thread = Thread(peer)
        self._client = client
        self._lines: dict[str, Line] = {}
        self._is_loading_older = False
        self._has_focus = True
        self._typed_at = 0.0
        self._to_send = asyncio.Event()
        self._to_acknowledge = asyncio.Event()
        self._status = "connecting …"
        self._typing_until = 0.0

    def compose(self) -> ComposeResult:
        yield Static(harmless(self.thread.peer), id="title", markup=False)
        yield VerticalScroll(id="messages", can_focus=False)
        yield Static(self._status, id="status", markup=False)
        yield Input(placeholder="Write a message; Enter sends, Ctrl+C leaves", max_length=16_384)

    def on_mount(self) -> None:
        """Begin to follow."""
        for worker in (self._follow, self._send, self._acknowledge):
            self.run_worker(self._ends_with_error(worker))
        messages = self.query_one(VerticalScroll)
        messages.anchor()  # at the end, until somebody scrolls
        self.watch(messages, "scroll_y", self._scrolled, init=False)
        self.set_interval(1, self._show_status)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Send what was typed."""
        if event.value.strip():
            self.thread.write(event.value)
            event.input.value = ""
            self._to_send.set()
            self._show()
            self.query_one(VerticalScroll).anchor()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Tell the other side that somebody types."""
        now = asyncio.get_running_loop().time()
        if event.value and now - self._typed_at >= TYPING_GAP_S:
            self._typed_at = now
            self.run_worker(self._ends_with_error(lambda: self._client.typing(self.thread.peer)))

    def on_app_focus(self, _event: AppFocus) -> None:
        """The messages that have come meanwhile are read now."""
        self._has_focus = True
        self._to_acknowledge.set()

    def on_app_blur(self, _event: AppBlur) -> None:
        """Nobody looks."""
        self._has_focus = False

    def action_retry(self) -> None:
        """Send again what was refused."""
        self.thread.retry()
        self._to_send.set()
        self._show()

    def action_page_up(self) -> None:
        """Look at earlier messages."""
        self.query_one(VerticalScroll).scroll_page_up(animate=False)
        self._scrolled()

    def action_page_down(self) -> None:
        """Look at later messages."""
        self.query_one(VerticalScroll).scroll_page_down(animate=False)

    async def _ends_with_error(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except ClientError as error:
            self.exit(error)

    async def _follow(self) -> None:
        """Read the conversation, and then what happens; all of it anew after a reset."""
        page = await self._load()
        async with self._client.events(page.cursor, on_state=self._connection_is) as feed:
            async for event in feed:
                if event.type == RESET:
                    await self._load()
                elif event.type == TYPING:
                    if event.data.get("chat_user_id") == self.thread.peer:
                        self._typing_until = asyncio.get_running_loop().time() + TYPING_SHOWN_S
                        self._show_status()
                else:
                    self.thread.apply(event)
                    if event.message is not None:
                        self._typing_until = 0.0
                    self._show()
                    self._show_status()

    async def _load(self) -> HistoryPage:
        page = await self._until_answered(lambda: self._client.history(self.thread.peer))
        self.thread.load(page)
        self.query_one("#title", Static).update(harmless(self.thread.name))
        self._show()
        return page

    async def _load_older(self) -> None:
        first = self.thread.first_seq
        page = await self._until_answered(lambda: self._client.history(self.thread.peer, before=first))
        self.thread.load_older(page)
        messages = self.query_one(VerticalScroll)
        height_before = messages.max_scroll_y
        self._show()

        def keep_place() -> None:
            messages.scroll_to(y=messages.scroll_y + messages.max_scroll_y - height_before, animate=False)
            self._is_loading_older = False

        self.call_after_refresh(keep_place)

    async def _send(self) -> None:
        """Send what is written, each before the next, until the server has it or refuses it."""
        while True:
            unsent = self.thread.to_send()
            if unsent is None:
                self._to_send.clear()
                await self._to_send.wait()
                continue
            await self._send_one(unsent)
            self._show()

    async def _send_one(self, unsent: Unsent) -> None:
        def note_waiting() -> None:
            unsent.state = "waiting"
            self._show()

        sending = self._client.send
        try:
            self.thread.add(
                await self._until_answered(
                    lambda: sending(self.thread.peer, unsent.text, client_id=unsent.client_id), note_waiting
                )
            )
        except ServerProblem as problem:
            if problem.status == 401:
                raise
            unsent.state, unsent.error = "failed", problem.detail

    async def _acknowledge(self) -> None:
        """Tell what was received, and read while somebody looks; the highest only."""
        while True:
            await self._to_acknowledge.wait()
            self._to_acknowledge.clear()
            thread, upto, mark = self.thread, self.thread.last_received_seq, None
            if self._has_focus and upto > thread.read_upto:
                mark = self._client.mark_read
            elif upto > thread.delivered_upto:
                mark = self._client.mark_delivered
            if mark is not None:
                marks = await self._until_answered(partial(mark, thread.peer, upto))
                thread.read_upto = max(thread.read_upto, marks.read_upto)
                thread.delivered_upto = max(thread.delivered_upto, marks.delivered_upto)
                await asyncio.sleep(RECEIPT_GAP_S)

    async def _until_answered(self, ask: Callable[[], Awaitable[T]], waits: Callable[[], None] = lambda: None) -> T:
        """Ask again after whatever may pass."""
        while True:
            try:
                return await ask()
            except (StreamLost, ProtocolViolation) as lost:
                self._status = f"no connection: {lost}"
            except ServerProblem as problem:
                if not is_temporary(problem.status):
                    raise
                self._status = problem.detail
            waits()
            self._show_status()
            await asyncio.sleep(RETRY_GAP_S)

    def _connection_is(self, state: ConnectionState) -> None:
        match state.status:
            case "connecting":
                self._status = "connecting …"
            case "connected":
                self._status = "connected"
            case "polling":
                self._status = f"no stream comes through; looking every {state.wait_s:.0f} s"
            case "waiting":
                self._status = f"no connection ({state.reason}); trying again in {state.wait_s:.0f} s"
        self._show_status()

    def _scrolled(self) -> None:
        messages = self.query_one(VerticalScroll)
        is_at_top = messages.max_scroll_y == 0 or messages.scroll_y <= 0
        if is_at_top and self.thread.has_older and not self._is_loading_older:
            self._is_loading_older = True
            self.run_worker(self._ends_with_error(self._load_older))

    def _show_status(self) -> None:
        is_typing = asyncio.get_running_loop().time() < self._typing_until
        typing = f"{self.thread.name} is typing … · " if is_typing else ""
        for line in self.query("#status").results(Static):  # none while the screen is taken down
            line.update(harmless(typing + self._status))

    def _show(self) -> None:
        """Bring the screen to what the thread says."""
        messages, rows = next(iter(self.query(VerticalScroll)), None), self.thread.rows()
        # The screen is taken down, its lines first, and the feed not yet closed.
        if messages is None or not set(self._lines.values()) <= set(messages.children):
            return
        for key in self._lines.keys() - {row.key for row in rows}:
            self._lines.pop(key).remove()
        before: Line | None = None
        for row in rows:
            line = self._lines.get(row.key)
            if line is None:
                line = self._lines[row.key] = Line(row)
                messages.mount(line, before=0) if before is None else messages.mount(line, after=before)
            else:
                line.show(row)
                if before is not None and messages.children.index(line) != messages.children.index(before) + 1:
                    messages.move_child(line, after=before)
            before = line
        self._to_acknowledge.set()


async def chat(client: AsyncClient, peer: str) -> int:
    """Show the conversation until the user leaves; how many messages were written and not sent.

    Raises:
        ClientError: The error that ended it.
    """
    app = ChatApp(client, peer)
    async with client:
        error = await app.run_async()
    if error is not None:
        raise error
    return app.thread.unsent_count
