"""One conversation as a screen shows it: what the server has, and after it what it has not acknowledged yet.

Rules of this file:

- A page is a snapshot with a cursor, and events are those after it: each is applied once (I4). Messages upsert by
  ``seq``, watermarks only rise.
- An own message keeps its ``client_id`` as its key from the first key press to the last tick, so it never appears
  twice, whichever of answer and event comes first.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import msgspec

from tidings.client import Event, HistoryPage
from tidings.protocol.events import MESSAGE_DELIVERED, MESSAGE_READ
from tidings.protocol.shapes import Message, Receipt

SendState = Literal["sending", "waiting", "failed"]


@dataclass(slots=True)
class Unsent:
    """A message that the server has not acknowledged; ``error`` is its sentence when it refused."""

    client_id: str
    text: str
    state: SendState = "sending"
    error: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the screen.

    Attributes:
        key: The same for the same message, whatever becomes of it.
        at: Local time; none before it is committed.
        state: For an own message: how far it came.
    """

    key: str
    text: str
    is_own: bool
    at: datetime | None
    state: Literal["", "sent", "delivered", "read", "sending", "waiting", "failed"]
    error: str = ""


class Thread:
    """The conversation with ``peer``.

    Attributes:
        has_older: The server has messages before those here.
        read_upto: Up to which ``seq`` the own user has read, as the server knows.
        delivered_upto: Likewise received.
    """

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.name = peer
        self.has_older = False
        self.read_upto = self.delivered_upto = 0
        self._peer_read_upto = self._peer_delivered_upto = 0
        self._messages: dict[int, Message] = {}
        self._unsent: dict[str, Unsent] = {}

    def load(self, page: HistoryPage) -> None:
        """Begin anew with the latest page; what is not acknowledged stays."""
        self._messages.clear()
        self.has_older = page.has_more
        self.name = page.user.name
        marks = page.watermarks
        self.read_upto, self.delivered_upto = marks.read_upto, marks.delivered_upto
        self._peer_read_upto, self._peer_delivered_upto = marks.peer_read_upto, marks.peer_delivered_upto
        for message in page.messages:
            self.add(message)

    def load_older(self, page: HistoryPage) -> None:
        """Put a page of earlier messages before those here."""
        self.has_older = page.has_more
        for message in page.messages:
            self.add(message)

    def add(self, message: Message) -> None:
        """Take a message that the server has committed."""
        self._messages[message.seq] = message
        if message.client_id is not None:
            self._unsent.pop(message.client_id, None)

    def apply(self, event: Event) -> None:
        """Take an event of the log, of whichever conversation."""
        message = event.message
        if message is not None:
            if self.peer in (message.sender_id, message.recipient_id):
                self.add(message)
        elif event.type in (MESSAGE_DELIVERED, MESSAGE_READ) and event.data.get("chat_user_id") == self.peer:
            receipt = msgspec.convert(event.data, Receipt)
            is_peer_s, is_read = receipt.by == self.peer, event.type == MESSAGE_READ
            if is_peer_s:
                self._peer_delivered_upto = max(self._peer_delivered_upto, receipt.upto)
                self._peer_read_upto = max(self._peer_read_upto, receipt.upto if is_read else 0)
            else:
                self.delivered_upto = max(self.delivered_upto, receipt.upto)
                self.read_upto = max(self.read_upto, receipt.upto if is_read else 0)

    def write(self, text: str) -> Unsent:
        """Take what the own user has typed; it is shown at once."""
        unsent = Unsent(str(uuid.uuid4()), text)
        self._unsent[unsent.client_id] = unsent
        return unsent

    def to_send(self) -> Unsent | None:
        """The next message to send: the oldest that was not refused."""
        return next((unsent for unsent in self._unsent.values() if unsent.state != "failed"), None)

    def retry(self) -> None:
        """Send again, in their order, what was refused."""
        for unsent in self._unsent.values():
            if unsent.state == "failed":
                unsent.state, unsent.error = "sending", ""

    @property
    def unsent_count(self) -> int:
        return len(self._unsent)

    @property
    def first_seq(self) -> int | None:
        """Of the earliest message here."""
        return min(self._messages, default=None)

    @property
    def last_received_seq(self) -> int:
        """Of the latest message from the other side; 0 for none."""
        return max((seq for seq, message in self._messages.items() if message.sender_id == self.peer), default=0)

    def rows(self) -> list[Row]:
        """All of it, in the order of the screen."""
        committed = [self._row(self._messages[seq]) for seq in sorted(self._messages)]
        return committed + [
            Row(unsent.client_id, unsent.text, True, None, unsent.state, unsent.error)
            for unsent in self._unsent.values()
        ]

    def _row(self, message: Message) -> Row:
        at = datetime.fromisoformat(message.createdAt).astimezone()
        if message.sender_id == self.peer:
            return Row(f"seq {message.seq}", message.text, False, at, "")
        is_read = message.read or message.seq <= self._peer_read_upto
        is_delivered = message.delivered or message.seq <= self._peer_delivered_upto
        state: Literal["read", "delivered", "sent"] = "read" if is_read else "delivered" if is_delivered else "sent"
        return Row(message.client_id or f"seq {message.seq}", message.text, True, at, state)
