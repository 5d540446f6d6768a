"""The knowledge of a device: a reducer as PROTOCOL.md asks for (I4), over snapshots and events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

from tidings.protocol.cursor import parse_cursor
from tidings.protocol.shapes import HistoryPage

Say = Callable[[str], None]


class Conversation:
    """One conversation; ``position`` is that of the snapshot which it began from."""

    def __init__(self) -> None:
        self.messages: dict[int, tuple[str, str, str]] = {}  # seq → id, sender, text
        self.position = 0
        self.read_upto = self.peer_read_upto = self.peer_delivered_upto = 0

    def copy(self) -> Conversation:
        """The same, apart."""
        other = copy(self)
        other.messages = dict(self.messages)
        return other


class State:
    """All conversations of a device's user, as of one history of the database."""

    def __init__(self, me: str) -> None:
        self.me = me
        self.epoch = ""
        self.is_whole = False  # the snapshots are in it
        self.generation = 0  # rises with each reset
        self.conversations: dict[str, Conversation] = {}

    @property
    def lacks_past(self) -> bool:
        """A conversation moved while the pages of the inbox were read, and so is in none: its history is wanted."""
        return any(
            not each.position and each.messages and 1 not in each.messages for each in self.conversations.values()
        )

    def copy(self) -> State:
        """Return the state that is written to the device's disk."""
        other = copy(self)
        other.conversations = {peer: each.copy() for peer, each in self.conversations.items()}
        return other

    def begin_anew(self, cursor: str) -> None:
        """A reset: nothing that was known counts."""
        parsed = parse_cursor(cursor)
        self.epoch = "" if parsed is None else parsed.epoch
        self.is_whole = False
        self.generation += 1
        self.conversations = {}

    def lay_under(self, peer: str, page: HistoryPage, older: list[HistoryPage]) -> None:
        """Take a snapshot: the newest page and those before it. Changes that events brought meanwhile stay on top."""
        parsed = parse_cursor(page.cursor)
        assert parsed is not None
        conversation = self.conversations.setdefault(peer, Conversation())
        for each in (page, *older):
            for message in each.messages:
                conversation.messages[message.seq] = (message.id, message.sender_id, message.text)
        conversation.position = max(conversation.position, parsed.position)
        marks = page.watermarks
        conversation.read_upto = max(conversation.read_upto, marks.read_upto)
        conversation.peer_read_upto = max(conversation.peer_read_upto, marks.peer_read_upto)
        conversation.peer_delivered_upto = max(conversation.peer_delivered_upto, marks.peer_delivered_upto)

    def apply(self, kind: str, data: Mapping[str, Any], position: int, wrong: Say) -> None:
        """Take an event of the log; one that a snapshot has already must be in it."""
        if kind == "new_message":
            peer = data["recipient_id"] if data["sender_id"] == self.me else data["sender_id"]
        else:
            peer = data["chat_user_id"]
        conversation = self.conversations.setdefault(peer, Conversation())
        if kind == "new_message":
            self._take_message(conversation, peer, data, position, wrong)
        elif position <= conversation.position:
            known = conversation.read_upto if data["by"] == self.me else conversation.peer_delivered_upto
            if data["upto"] > known:
                wrong(f"I4: the snapshot at {conversation.position} lacks {kind} {data['upto']} at {position}")
        elif data["by"] == self.me:
            conversation.read_upto = max(conversation.read_upto, data["upto"])
        else:
            conversation.peer_delivered_upto = max(conversation.peer_delivered_upto, data["upto"])
            if kind == "message_read":
                conversation.peer_read_upto = max(conversation.peer_read_upto, data["upto"])

    def _take_message(
        self, conversation: Conversation, peer: str, data: Mapping[str, Any], position: int, wrong: Say
    ) -> None:
        seq, told = data["seq"], (data["_id"], data["sender_id"], data["text"])
        known = conversation.messages.get(seq)
        if position <= conversation.position:
            if known != told:
                wrong(f"I4: the snapshot at {conversation.position} has {known}, at {position} is {told}")
            return
        if known is not None and known != told:
            wrong(f"I4: message {seq} with {peer} was {known} and is {told}")
        if not conversation.messages and not conversation.position and seq > 1:
            self.is_whole = False
        if known is None and self.is_whole and seq != len(conversation.messages) + 1:
            wrong(f"I4: message {seq} with {peer} follows {len(conversation.messages)}")
        conversation.messages[seq] = told
