"""The server's words, held against the committed truth: every frame of a stream, every answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from tidings.protocol.cursor import Cursor, parse_cursor
from tidings.protocol.events import KIND_DELIVERED, KIND_MESSAGE, KIND_READ_BY_OWNER, KIND_READ_BY_PEER

if TYPE_CHECKING:
    from lab.simulation.world import World

AGE_SPREAD = 0.2  # of the maximum age of a stream
KIND_NAMES = {  # said here again: the judge does not ask the registry that it judges
    KIND_MESSAGE: "new_message",
    KIND_DELIVERED: "message_delivered",
    KIND_READ_BY_PEER: "message_read",
    KIND_READ_BY_OWNER: "message_read",
}


class Asked:
    """The place that a request names, and where the log stood when it came."""

    def __init__(self, world: World, user: str, cursor: str | None) -> None:
        self.world = world
        self.user = user
        self.text = cursor
        self.cursor: Cursor | None = None if cursor is None else parse_cursor(cursor)
        truth = world.truth
        self.head, self.floor = truth.head(user), truth.floors.get(user, 0)

    def check(self, who: str, reset: str | None) -> None:
        """Whether the place was to be served, or to be refused for this reason."""
        truth, cursor = self.world.truth, self.cursor
        if cursor is None:
            if reset is not None:
                self.world.wrong(f"{who} gave no cursor and was told {reset}")
            return
        row = truth.row(self.user, cursor.position)
        floor = truth.floors.get(self.user, 0)
        is_other_tag = row is not None and row.tag != cursor.tag
        allowed = {
            None: cursor.epoch == truth.epoch
            and self.floor <= cursor.position <= truth.head(self.user)
            and (cursor.position <= floor or not is_other_tag),
            "other_epoch": cursor.epoch != truth.epoch,
            "future": cursor.position > self.head,
            "expired": cursor.position < floor,
            "unknown": is_other_tag,
        }
        if not allowed.get(reset, False):
            self.world.wrong(
                f"{who} asked from {self.text}, floor {self.floor}..{floor}, head {self.head}, tag"
                f" {truth.tag(self.user, cursor.position):x}, and was {'resumed' if reset is None else 'told ' + reset}"
            )


def check_event(world: World, who: str, user: str, id: str, kind: str, data: Mapping[str, Any]) -> int:
    """Whether this is what is committed at its position; the position."""
    truth = world.truth
    cursor = parse_cursor(id)
    row = None if cursor is None else truth.row(user, cursor.position)
    if cursor is None or row is None or (cursor.epoch, cursor.tag) != (truth.epoch, row.tag):
        world.wrong(f"{who}: an event with id {id} that is not committed ({row})")
        return 0 if cursor is None else cursor.position
    told: tuple[Any, ...]
    if row.kind == KIND_MESSAGE:
        sent = truth.messages[row.mid]
        client_id = sent.client_id if sent.sender == user else None
        wanted: tuple[Any, ...] = (
            truth.message_id(row.mid),
            sent.seq,
            sent.sender,
            sent.recipient,
            sent.text,
            client_id,
        )
        told = tuple(data.get(name) for name in ("_id", "seq", "sender_id", "recipient_id", "text", "client_id"))
    else:
        wanted, told = (row.peer, row.upto), (data.get("chat_user_id"), data.get("upto"))
    if wanted != told or kind != KIND_NAMES[row.kind]:
        world.wrong(f"{who}: at {cursor.position} is {wanted}, told was {kind} {told}")
    return cursor.position


class StreamCheck:
    """One stream's frames, in the order in which they were written."""

    def __init__(self, world: World, who: str, user: str, cursor: str | None, age_max_s: float) -> None:
        self.world = world
        self.who = who
        self.user = user
        self.asked = Asked(world, user, cursor)
        self.position: int | None = None
        self.epoch = ""  # of all that it tells
        self.head = 0
        self.is_caught_up = False
        self.is_over = False
        self._opened_at = world.clock.now_s
        self._age_max_s = age_max_s

    def wrote(self, body: bytes) -> None:
        """The server wrote these bytes: whole frames."""
        for block in body.split(b"\n\n")[:-1]:
            fields = dict(line.split(b": ", 1) for line in block.split(b"\n"))
            frame = msgspec.json.decode(fields[b"data"])
            id = fields.get(b"id", b"").decode()
            self._take(frame["type"], frame.get("data", {}), id)
        if not body.endswith(b"\n\n"):
            self._wrong("a frame was cut in two")

    def _take(self, kind: str, data: dict[str, Any], id: str) -> None:
        if self.is_over:
            self._wrong(f"{kind} after goodbye")
        if (kind == "connected") != (self.position is None):
            self._wrong(f"{kind} at {self.position}")
            self.position = self.position or 0
        match kind:
            case "connected":
                self.head, self.position = _position(data["head"]), _position(data["cursor"])
                self.epoch = _epoch(data["head"])
                if data["resumed"]:
                    self.asked.check(self.who, None)
                    if data["cursor"] != self.asked.text:
                        self._wrong(f"resumed at {data['cursor']} instead of {self.asked.text}")
                elif self.position != self.head:
                    self._wrong(f"begins at {self.position}, the head is {self.head}")
            case "reset":
                self.asked.check(self.who, data["reason"])
            case "caught_up":
                if self.is_caught_up or _position(data["cursor"]) != self.position or self.position < self.head:
                    self._wrong(f"caught up at {data['cursor']} of {self.head}, stands at {self.position}")
                self.is_caught_up = True
            case "heartbeat":
                if _position(data["cursor"]) != self.position:
                    self._wrong(f"heartbeat at {data['cursor']}, stands at {self.position}")
            case "goodbye":
                self.is_over = True
                self._check_goodbye(data["reason"])
            case "typing" | "presence" | "profile":
                if id:
                    self._wrong(f"{kind} with an id")
            case _:
                position = check_event(self.world, self.who, self.user, id, kind, data)
                if self.position is None or position != self.position + 1:
                    self._wrong(f"I2: event {position} follows {self.position}")
                if _epoch(id) != self.epoch:
                    self.world.wrong(f"{self.who}: an event of {id} on a stream of {self.epoch}", is_certain=True)
                self.position = position

    def _check_goodbye(self, reason: str) -> None:
        age_s = self.world.clock.now_s - self._opened_at
        floor = self.world.truth.floors.get(self.user, 0)
        if reason == "max_age" and age_s < self._age_max_s * (1 - AGE_SPREAD) and (self.position or 0) >= floor:
            self._wrong(f"goodbye max_age after {age_s:.1f} s at {self.position}, floor {floor}")

    def _wrong(self, what: str) -> None:
        self.world.wrong(f"{self.who}: {what}")


def check_answer(world: World, who: str, user: str, request: Mapping[str, Any], status: int, body: bytes) -> None:
    """Whether an answer is true at the moment in which it leaves the server."""
    if status == 500 or (status == 503 and b"unavailable" not in body and b"draining" not in body):
        world.wrong(f"{who}: answered {status} {body[:200]!r}")
    path, query = request["path"], request["query"]
    if status == 409 and path == "/send":
        _check_conflict(world, who, user, request["body"])
    if status not in (200, 201):
        return
    answer = msgspec.json.decode(body)
    if path == "/send":
        _check_sent(world, who, user, request["body"], answer["message"])
    elif path == "/receipts":
        asked = request["body"]
        for each, told in zip(asked.get("receipts", [asked]), answer.get("receipts", [answer]), strict=True):
            if "code" not in told:  # refused, as it would be alone
                _check_receipt(world, who, user, each, told["watermarks"])
    elif path.startswith("/events/"):
        _check_poll(world, who, user, request["asked"], answer)
    elif path.startswith("/inbox/"):
        _check_inbox(world, who, user, answer)
    elif "messages" in answer:
        _check_history(world, who, user, path[1:], query, answer)


def _check_receipt(world: World, who: str, user: str, asked: Mapping[str, Any], marks: Mapping[str, int]) -> None:
    peer = asked["chatUserId"]
    for name, committed in zip(("read_upto", "delivered_upto"), world.truth.marks(user, peer), strict=True):
        if not (asked.get(name) or 0) <= marks[name] <= committed:
            world.wrong(f"I1: {who}: {name} {asked.get(name)} of {peer}, told {marks[name]}, is {committed}")


def _check_sent(world: World, who: str, user: str, asked: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    truth = world.truth
    if (user, asked["client_id"]) not in world.said:
        world.wrong(f"I1: {who} sends under {asked['client_id']}, which nobody gave")
    mid = truth.by_client_id.get((user, asked["client_id"]))
    sent = None if mid is None else truth.messages[mid]
    if mid is None or sent is None:
        world.wrong(f"I1: {who}: {asked['client_id']} was acknowledged and is not committed")
    elif (truth.message_id(mid), sent.seq, sent.text) != (told["_id"], told["seq"], asked["text"]):
        world.wrong(f"I1: {who}: {asked['client_id']} is {sent}, told {told['_id']} {told['seq']}")
    else:
        world.acknowledged[user, asked["client_id"]] = mid
        world.acknowledged_at.setdefault(mid, world.clock.now_s)


def _check_conflict(world: World, who: str, user: str, asked: Mapping[str, Any]) -> None:
    mid = world.truth.by_client_id.get((user, asked["client_id"]))
    sent = None if mid is None else world.truth.messages[mid]
    if sent is None or (sent.recipient, sent.text) == (asked["recipientId"], asked["text"]):
        world.wrong(f"I1: {who}: {asked['client_id']} is {sent}, and its repetition was refused as another message")


def _check_poll(world: World, who: str, user: str, asked: Asked, answer: Mapping[str, Any]) -> None:
    reset = answer.get("reset")
    reached = _position(answer["cursor"])
    if reset is not None:
        asked.check(who, reset["reason"])
        return
    if asked.cursor is None:
        return
    asked.check(who, None)
    position = asked.cursor.position
    for event in answer["events"]:
        at = check_event(world, who, user, event["id"], event["type"], event["data"])
        if at != position + 1:
            world.wrong(f"I2: {who}: a poll told {at} after {position}")
        position = at
    if reached != position or (not answer["has_more"] and position < asked.head):
        world.wrong(f"{who}: a poll ends at {reached}, told {position}, more: {answer['has_more']}, head {asked.head}")


def _check_history(
    world: World, who: str, user: str, peer: str, query: Mapping[str, str], answer: Mapping[str, Any]
) -> None:
    messages = world.truth.between(user, peer)
    seqs = [told["seq"] for told in answer["messages"]]
    if seqs != list(range(seqs[0], seqs[0] + len(seqs)) if seqs else []):
        world.wrong(f"{who}: a page of {peer} with {seqs}")
    for told in answer["messages"]:
        if not 0 < told["seq"] <= len(messages) or messages[told["seq"] - 1].text != told["text"]:
            world.wrong(f"{who}: {told['seq']} with {peer} is not {told['text']!r}")
    at = _position(answer["cursor"])
    so_far = [row for row in world.truth.logs.get(user, [])[:at] if row.peer == peer and row.kind == KIND_MESSAGE]
    if "before" not in query and "after" not in query and so_far and (not seqs or seqs[-1] != so_far[-1].upto):
        world.wrong(f"I4: {who}: the history of {peer} at {at} ends with {seqs[-1:]}, not {so_far[-1].upto}")


def _check_inbox(world: World, who: str, user: str, answer: Mapping[str, Any]) -> None:
    at, log = _position(answer["cursor"]), world.truth.logs.get(user, [])
    for line in answer["conversations"]:
        peer = line["user"]["id"]
        if line["position"] > at:
            world.wrong(f"I4: {who}: an inbox at {at} with {peer} at {line['position']}")
        if at == len(log) and line["unread"] != world.truth.unread(user, peer):
            world.wrong(f"{who}: {line['unread']} unread of {peer}, counted {world.truth.unread(user, peer)}")


def _epoch(cursor: str) -> str:
    return cursor.partition("-")[0]


def _position(cursor: str) -> int:
    parsed = parse_cursor(cursor)
    return -1 if parsed is None else parsed.position
