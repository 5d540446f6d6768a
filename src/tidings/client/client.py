"""The Python client: send, read and follow one user's messages from any thread.

Rules of this file:

- Every request is safe to repeat, and is repeated under the reconnect policy until it is answered, refused for good,
  or its time is up. A send is repeated under one ``client_id``: however often it is tried, there is one message.
- Redirects are not followed: a token goes only to the address it was given for.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self, TypeVar
from urllib.parse import quote

import httpx2
import msgspec

from tidings.client.answer import read_problem, read_retry_after_s
from tidings.client.feed import ConnectionState, Feed
from tidings.client.token import Token, TokenSource
from tidings.errors import ClientError, ProtocolViolation, StreamLost
from tidings.protocol.events import Message, Person, Watermarks
from tidings.protocol.retry import Outcome, next_attempt
from tidings.protocol.user_id import check_user_id

API_PATH: Final = "/api/message"
"""Where ``tidings serve`` has its API, for an address without a path."""

CONNECT_TIMEOUT_S: Final = 8.0
READ_TIMEOUT_S: Final = 15.0
"""Longer than a server waits for its disk before it says 503."""
DEADLINE_S: Final = 60.0

T = TypeVar("T")


class HistoryPage(msgspec.Struct, frozen=True):
    """Messages of one conversation, oldest first, with the cursor at which they were read."""

    messages: list[Message]
    has_more: bool
    cursor: str
    watermarks: Watermarks
    user: Person


class Conversation(msgspec.Struct, frozen=True):
    """One line of the inbox; ``user`` is the other side."""

    user: Person
    last_message: Message | None
    unread: int
    watermarks: Watermarks
    updatedAt: str


class InboxPage(msgspec.Struct, frozen=True):
    """Conversations, the latest first, with the cursor at which they were read."""

    conversations: list[Conversation]
    has_more: bool
    cursor: str


class _Sent(msgspec.Struct):
    message: Message


class _Received(msgspec.Struct):
    watermarks: Watermarks


class Client:
    """One user of one server. May be shared by threads; use it as a context manager or ``close`` it."""

    def __init__(self, url: str, token: Token, *, deadline_s: float = DEADLINE_S) -> None:
        """
        Args:
            url: The server's origin (``http://127.0.0.1:8000``), or the address of its API
                (``https://example.org/api/message``).
            token: The caller's token, or a function that fetches one; it is called first when a token is needed and
                again when the server rejects its answer.
            deadline_s: How long one call may try, answers and waits included.

        Raises:
            ValueError: The address is not an http(s) one, or the token cannot be sent.
        """
        self._url = api_url(url)
        self._tokens = TokenSource(token)
        self._deadline_s = deadline_s
        trusted = httpx2.create_ssl_context()  # reading the certificates costs more than all the rest
        self._http = httpx2.Client(verify=trusted)
        # Each stream has a connection of its own, which its watchdog guards from the connect on.
        self._streams = httpx2.Client(
            verify=trusted, limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; feeds are closed by themselves."""
        self._http.close()
        self._streams.close()

    def send(self, recipient: str, text: str, *, client_id: str | None = None, message_type: str = "text") -> Message:
        """Send a message, and return it once it is committed.

        Args:
            recipient: User id of the other side.
            text: 1..16384 bytes of UTF-8, as the server allows.
            client_id: 1..64 printable ASCII characters that name this send, so that it can be repeated later
                without doubling; one is made if none is given.
            message_type: ``text``, or a type that the server's configuration names.

        Raises:
            ServerProblem: Refused; or temporarily so (429, 5xx) until the deadline.
            StreamLost: No answer until the deadline: the message may or may not be committed. Sending again with
                the same ``client_id`` settles it.
            ProtocolViolation: What answers is no Tidings server.
        """
        body = {
            "recipientId": recipient,
            "text": text,
            "message_type": message_type,
            "client_id": client_id or str(uuid.uuid4()),
        }
        return self._exchange("POST", "/send", _Sent, body=body).message

    def history(
        self, peer: str, *, before: int | None = None, after: int | None = None, limit: int | None = None
    ) -> HistoryPage:
        """Return a page of the conversation with ``peer``: the latest, or those before or after a message ``seq``.

        Raises:
            ValueError: What no user id can be.
            ServerProblem, StreamLost, ProtocolViolation: As ``send``.
        """
        return self._exchange(
            "GET",
            "/" + quote(check_user_id(peer), safe=""),
            HistoryPage,
            query={"before": before, "after": after, "limit": limit},
        )

    def inbox(self, *, before: str | None = None, limit: int | None = None) -> InboxPage:
        """Return a page of the conversations, the latest first.

        Raises:
            ServerProblem, StreamLost, ProtocolViolation: As ``send``.
        """
        return self._exchange("GET", "/inbox/me", InboxPage, query={"before": before, "limit": limit})

    def mark_read(self, peer: str, upto: int) -> Watermarks:
        """Tell that all messages of the conversation up to this ``seq`` were read (and thus received).

        Raises:
            ServerProblem, StreamLost, ProtocolViolation: As ``send``.
        """
        return self._exchange("POST", "/receipts", _Received, body={"chatUserId": peer, "read_upto": upto}).watermarks

    def mark_delivered(self, peer: str, upto: int) -> Watermarks:
        """Tell that all messages of the conversation up to this ``seq`` have arrived.

        Raises:
            ServerProblem, StreamLost, ProtocolViolation: As ``send``.
        """
        body = {"chatUserId": peer, "delivered_upto": upto}
        return self._exchange("POST", "/receipts", _Received, body=body).watermarks

    def events(
        self, cursor: str | None = None, *, on_state: Callable[[ConnectionState], None] = lambda state: None
    ) -> Feed:
        """Follow the caller's events from a cursor on, or from now.

        The feed reconnects and resumes by itself, for ever. An event of type ``reset`` says that events before its
        cursor are no longer to be had: read ``inbox`` and ``history`` again.

        Args:
            cursor: Of a page, of an event, or of an earlier feed.
            on_state: Called from the iterating thread whenever the connection changes.

        Raises:
            ValueError: What no cursor can be.
        """
        if cursor is not None and not (cursor.isascii() and cursor.isprintable() and cursor):
            raise ValueError(f"{cursor!r} is no cursor: give one as it was printed")
        return Feed(self._streams, f"{self._url}/sse/me", self._tokens, cursor=cursor, on_state=on_state)

    def _exchange(
        self,
        method: str,
        path: str,
        answer: type[T],
        *,
        query: Mapping[str, str | int | None] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> T:
        """Ask until there is an answer; ``answer`` is its shape."""
        until = time.monotonic() + self._deadline_s
        params = {name: value for name, value in (query or {}).items() if value is not None}
        content = None if body is None else msgspec.json.encode(body)
        failures, rejected = 0, False
        while True:
            error: ClientError
            headers = {"Authorization": f"Bearer {self._tokens.get(refresh=rejected)}"}
            if content is not None:
                headers["Content-Type"] = "application/json"
            try:
                response = self._http.request(
                    method,
                    self._url + path,
                    params=params,
                    content=content,
                    headers=headers,
                    timeout=self._timeout(until),
                )
            except httpx2.TimeoutException:
                error, outcome = StreamLost("The server did not answer in time"), Outcome("timeout")
            except httpx2.RequestError as trouble:
                error, outcome = StreamLost(f"The server cannot be reached: {trouble}"), Outcome("network")
            else:
                status = response.status_code
                if status in (200, 201):
                    try:
                        return msgspec.json.decode(response.content, type=answer)
                    except msgspec.DecodeError as trouble:
                        error = ProtocolViolation(f"The answer is not one of a Tidings server: {trouble}")
                        outcome = Outcome("violation")
                else:
                    error = read_problem(response, response.content)
                    outcome = Outcome(
                        "status", status=status, retry_after_s=read_retry_after_s(response), refreshed=rejected
                    )
                    rejected = status == 401
                    if rejected and not self._tokens.renewable:
                        raise error
            step = next_attempt(failures, outcome, random.random())
            failures = step.failures
            if step.action == "stop" or time.monotonic() + step.wait_ms / 1000 >= until:
                raise error
            time.sleep(step.wait_ms / 1000)

    def _timeout(self, until: float) -> httpx2.Timeout:
        left_s = max(0.001, until - time.monotonic())
        return httpx2.Timeout(min(CONNECT_TIMEOUT_S, left_s), read=min(READ_TIMEOUT_S, left_s))


def api_url(url: str) -> str:
    """Return the address of the API: an origin gets the path of ``tidings serve``, any other path is kept.

    Raises:
        ValueError: It is not an http(s) address, or has a query or a user name in it.
    """
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise ValueError(f"{url!r} is not an address: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"{url!r} is not an address that begins with http:// or https:// and a host")
    if parsed.query or parsed.fragment or parsed.userinfo:
        raise ValueError("the address of a server has no user name, no '?' and no '#'")
    path = parsed.path.rstrip("/") or API_PATH
    return str(parsed.copy_with(path=path))
