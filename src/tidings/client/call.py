"""One call of the API, without input or output: what is asked, how an answer is read, and when to ask again.

A ``Call`` says what is asked. An ``Exchange`` is one call on its way: whoever drives it sends what ``request``
builds, tells what came of it (``answered`` or ``failed``) and waits ``wait_s`` in between; threads and tasks drive
the same one.

Rules of this file:

- Every call is safe to repeat, and is repeated under the reconnect policy until it is answered, refused for good, or
  its time is up. A send is repeated under one ``client_id``: however often it is tried, there is one message.
- An answer counts only for the question that was asked: a sent message bears the ``client_id`` that was sent, a page
  is of the conversation and the part that was asked for. An answer to something else (from a proxy or a program that
  mixed up two connections) is no answer; the call is repeated, on another connection.
- It counts only as PROTOCOL.md has it, too: with that status, as JSON, with ``success``. The words of a proxy, or of a
  network's sign-in, in the server's place are no answer.
- Redirects are not followed: a token goes only to the address it was given for.
"""

from __future__ import annotations

import random
import time
import unicodedata
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

import httpx2
import msgspec

from tidings.client.answer import read_problem, read_retry_after_s
from tidings.client.token import authorization
from tidings.client.transport import describe, is_timeout, read_address
from tidings.errors import ClientError, ProtocolViolation, ServerProblem, StreamLost
from tidings.protocol.retry import Outcome, next_attempt
from tidings.protocol.shapes import (
    BlockedPage,
    FoundPeople,
    FoundPerson,
    HistoryPage,
    InboxPage,
    Message,
    PeerBody,
    ReceiptBody,
    ReceiptsBody,
    ReceivedList,
    ReportBody,
    SendBody,
    Sent,
    Watermarks,
)
from tidings.protocol.shown_url import shown_url
from tidings.protocol.user_id import check_user_id

API_PATH: Final = "/api/message"
"""Where ``tidings serve`` has its API, for an address without a path."""

CONNECT_TIMEOUT_S: Final = 8.0
READ_TIMEOUT_S: Final = 15.0
"""Longer than a server waits for its disk before it says 503."""
DEADLINE_S: Final = 60.0

T = TypeVar("T")


class _Success(msgspec.Struct):
    """The members that every successful answer has; ``user_id`` only most."""

    success: bool
    user_id: str | None = None


class _AnotherAnswer(Exception):
    """The answer belongs to another question."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One question to the server, and the way to read its answer.

    Attributes:
        status: Of its answer.
        is_repeated: Worth asking again; what is not has lost its meaning by then.
    """

    method: str
    path: str
    read: Callable[[bytes], T]
    query: Mapping[str, str | int | None] | None = None
    body: msgspec.Struct | None = None
    status: int = 200
    is_repeated: bool = True


def send(recipient: str, text: str, client_id: str | None, message_type: str) -> Call[Message]:
    """Send a message; a ``client_id`` is made if none is given."""
    client_id = named(client_id)
    body = SendBody(recipient, text, message_type, client_id)

    def read(answer: bytes) -> Message:
        message = msgspec.json.decode(answer, type=Sent).message
        _check(message.client_id == client_id, f"the message {client_id!r}")
        return message

    return Call("POST", "/send", read, body=body, status=201)


def named(client_id: str | None) -> str:
    """The ``client_id`` of a send; one is made if none is given.

    Raises:
        ValueError: It is empty: that is not the same as none, and would be another message each time.
    """
    if client_id == "":
        raise ValueError("the client_id is empty: give 1 to 64 characters, or none")
    return client_id or str(uuid.uuid4())


def history(peer: str, before: int | None, after: int | None, limit: int | None) -> Call[HistoryPage]:
    """A page of the conversation with ``peer``."""
    path = "/" + quote(check_user_id(peer), safe="")

    def read(answer: bytes) -> HistoryPage:
        page = msgspec.json.decode(answer, type=HistoryPage)
        seqs = [message.seq for message in page.messages]
        _check(page.user.id == peer and _lie_between(seqs, after, before), f"the history with {peer!r}")
        return page

    return Call("GET", path, read, query={"before": before, "after": after, "limit": limit})


def inbox(before: int | None, limit: int | None) -> Call[InboxPage]:
    """A page of the conversations."""

    def read(answer: bytes) -> InboxPage:
        page = msgspec.json.decode(answer, type=InboxPage)
        positions = [conversation.position for conversation in page.conversations]
        _check(_lie_between(positions, None, before), f"the inbox before {before}")
        return page

    return Call("GET", "/inbox/me", read, query={"before": before, "limit": limit})


def receipts(peer: str, **upto: int) -> Call[Watermarks]:
    """Raise the caller's watermarks ``delivered_upto`` and ``read_upto``.

    As a list of one, whose answer names the conversation.
    """
    body = ReceiptsBody(receipts=[ReceiptBody(peer, **upto)])

    def read(answer: bytes) -> Watermarks:
        results = msgspec.json.decode(answer, type=ReceivedList).receipts
        _check([peer] == [each.chatUserId for each in results], f"the receipts of {peer!r}")
        if not results[0].watermarks:
            raise ServerProblem(404, results[0].code or "", "There is no such message in this conversation.")
        return results[0].watermarks

    return Call("POST", "/receipts", read, body=body)


def typing(peer: str) -> Call[None]:
    """Tell that the caller types. A second later it says nothing any more, so it is not repeated."""
    return Call("POST", "/typing", lambda answer: None, body=PeerBody(peer), status=202, is_repeated=False)


def block(peer: str) -> Call[None]:
    """Block somebody."""
    return Call("POST", "/block", lambda answer: None, body=PeerBody(peer))


def unblock(peer: str) -> Call[None]:
    """Take a block back."""
    return Call("POST", "/unblock", lambda answer: None, body=PeerBody(peer))


def blocked(before: int | None, limit: int | None) -> Call[BlockedPage]:
    """A page of those whom the caller blocks."""

    def read(answer: bytes) -> BlockedPage:
        page = msgspec.json.decode(answer, type=BlockedPage)
        _check(_lie_between([each.position for each in page.blocked], None, before), f"the blocked before {before}")
        return page

    return Call("GET", "/blocked/me", read, query={"before": before, "limit": limit})


def people(text: str) -> Call[list[FoundPerson]]:
    """People whom the application's search finds."""
    asked = unicodedata.normalize("NFC", text.strip())

    def read(answer: bytes) -> list[FoundPerson]:
        found = msgspec.json.decode(answer, type=FoundPeople)
        _check(found.q == asked, f"the people for {asked!r}")
        return found.people

    return Call("GET", "/people", read, query={"q": asked})


def report(peer: str, reason: str, seq: int | None) -> Call[None]:
    """Report somebody. Whether one without an answer arrived is not known, and it is not repeated: it would be two."""
    body = ReportBody(peer, reason, seq)
    return Call("POST", "/report", lambda answer: None, body=body, status=202, is_repeated=False)


def _check(is_bound: bool, asked: str) -> None:
    if not is_bound:
        raise _AnotherAnswer(f"The answer is not about {asked}")


def _lie_between(numbers: list[int], after: int | None, before: int | None) -> bool:
    return all((after is None or number > after) and (before is None or number < before) for number in numbers)


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    """The server's answer."""

    value: T


class Caller:
    """The user for whom a client speaks, as its first answer says; every later one must say the same."""

    def __init__(self) -> None:
        self.user_id: str | None = None

    def is_named(self, user_id: str | None) -> bool:
        """Whether an answer to this user, or to somebody unnamed, is one for this client."""
        self.user_id = self.user_id or user_id
        return user_id is None or user_id == self.user_id


class Exchange(Generic[T]):
    """One call on its way.

    Attributes:
        refresh_token: The next request must carry a token fetched anew.
        wait_s: To be waited before the next request.
        until: Monotonic seconds; after it nothing is tried.
    """

    def __init__(self, call: Call[T], url: str, caller: Caller, *, until: float, token_renewable: bool) -> None:
        """
        Args:
            url: Of the API.
            caller: The user that asks; learned from the answer if it is not known.
            until: Monotonic seconds; after it nothing is tried.
            token_renewable: A new token can be had when one is refused; else a 401 is the end.
        """
        self.refresh_token = False
        self.wait_s = 0.0
        self._call = call
        self._caller = caller
        self.until = until
        self._token_renewable = token_renewable
        self._failures = 0
        self._went_out = False  # the request of this attempt
        self._last_word: ClientError | None = None  # of the attempts that told something
        self._request: dict[str, Any] = {
            "method": call.method,
            "url": url + call.path,
            "params": {name: value for name, value in (call.query or {}).items() if value is not None},
            "content": None if call.body is None else msgspec.json.encode(call.body),
        }

    def request(self, http: httpx2.Client | httpx2.AsyncClient, token: str | None) -> httpx2.Request:
        """The next request."""
        self._went_out = False
        headers = authorization(token)
        if self._request["content"] is not None:
            headers["Content-Type"] = "application/json"
        left_s = max(0.001, self.until - time.monotonic())
        timeout = httpx2.Timeout(min(CONNECT_TIMEOUT_S, left_s), read=min(READ_TIMEOUT_S, left_s))
        return http.build_request(**self._request, headers=headers, timeout=timeout)

    def connect_until(self) -> float:
        """When an attempt that begins now must have its connection: monotonic seconds."""
        return min(self.until, time.monotonic() + CONNECT_TIMEOUT_S)

    def answer_until(self) -> float:
        """When the answer to a request that goes out now must be here, to its last byte: monotonic seconds."""
        self._went_out = True
        return min(self.until, time.monotonic() + READ_TIMEOUT_S)

    def answered(self, response: httpx2.Response, body: bytes) -> Answered[T] | None:
        """Take an answer: what it says, or none if the call is to be repeated after ``wait_s``.

        The connection that brought anything but an answer is not to be used again.

        Raises:
            ServerProblem, ProtocolViolation, StreamLost: The last word, or the last before the deadline.
        """
        status = response.status_code
        if status in (200, 201, 202):
            try:
                answer = msgspec.json.decode(body, type=_Success)
                if not (answer.success and status == self._call.status and _is_json(response)):
                    raise ValueError(f"{status} {response.headers.get('content-type', 'without a type')}")
                value = self._call.read(body)
                whose = value.sender_id if isinstance(value, Message) else answer.user_id
                _check(self._caller.is_named(whose), f"what {self._caller.user_id!r} asked")
                return Answered(value)
            except _AnotherAnswer as other:
                self._decide(Outcome("violation"), StreamLost(f"{other}: it counts as none"))
            except (ValueError, RecursionError) as trouble:  # what decoding raises: no JSON, no UTF-8, nested too deep
                error = ProtocolViolation(f"The answer is not one of a Tidings server: {describe(trouble)}")
                self._decide(Outcome("violation"), error)
            return None
        was_refreshed, self.refresh_token = self.refresh_token, status == 401
        outcome = Outcome("status", status=status, retry_after_s=read_retry_after_s(response), refreshed=was_refreshed)
        problem = read_problem(response, body)
        if status == 401 and not self._token_renewable:
            raise problem
        self._decide(outcome, problem)
        return None

    def failed(self, trouble: Exception) -> None:
        """Take whatever came instead of an answer: the call is to be repeated after ``wait_s``.

        Raises:
            StreamLost, ProtocolViolation: The deadline comes first.
        """
        if isinstance(trouble, ProtocolViolation):
            self._decide(Outcome("violation"), trouble)
        elif is_timeout(trouble) and self._went_out:
            self._decide(Outcome("timeout"), StreamLost("The server did not answer in time"))
        elif is_timeout(trouble):
            error = StreamLost("The server cannot be reached: there was no connection in time")
            # An attempt that the deadline cut before it had a connection tells less than the one before it.
            is_cut = time.monotonic() >= self.until
            self._decide(Outcome("timeout"), (is_cut and self._last_word) or error)
        else:
            self._decide(Outcome("network"), StreamLost(f"The server cannot be reached: {describe(trouble)}"))

    def _decide(self, outcome: Outcome, error: ClientError) -> None:
        self._last_word = error
        step = next_attempt(self._failures, outcome, random.random())
        self._failures = step.failures
        self.wait_s = step.wait_ms / 1000
        is_over = step.action == "stop" or (step.action == "retry" and not self._call.is_repeated)
        if is_over or time.monotonic() + self.wait_s >= self.until:
            raise error


def _is_json(response: httpx2.Response) -> bool:
    media_type: str = response.headers.get("content-type", "").partition(";")[0]
    return media_type.strip().lower() == "application/json"


def api_url(url: str) -> str:
    """Return the address of the API: an origin gets the path of ``tidings serve``, any other path is kept.

    Raises:
        ValueError: It is not an http(s) address, or has a query or a user name in it.
    """
    shown = shown_url(url)
    parsed = read_address(url)
    if parsed is None or parsed.scheme not in ("http", "https"):
        raise ValueError(
            f"{shown!r} is not an address of a server, such as http://127.0.0.1:8000 or https://example.org"
        )
    if parsed.query or parsed.fragment or parsed.userinfo:
        raise ValueError("the address of a server has no user name, no '?' and no '#'")
    path = parsed.path.rstrip("/") or API_PATH
    return str(parsed.copy_with(path=path))
