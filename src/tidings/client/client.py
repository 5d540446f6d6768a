"""The Python client for threads: send, read and follow one user's messages."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeVar

import httpx2

from tidings.client import call
from tidings.client.call import DEADLINE_S, Call, Caller, Exchange, api_url
from tidings.client.feed import Feed
from tidings.client.following import ConnectionState, OnState
from tidings.client.fork import OfOneProcess
from tidings.client.outbox import Outbox, Unsent, is_about_message
from tidings.client.token import Token, TokenSource, in_whose_name
from tidings.client.transport import (
    REQUEST_GOES_OUT,
    AnswerBody,
    bounded_transport,
    connection_options,
    library_options,
    trusted_certificates,
    within,
)
from tidings.errors import ProtocolViolation, ServerProblem, StreamLost
from tidings.protocol.retry import is_temporary
from tidings.protocol.shapes import BlockedPage, FoundPerson, HistoryPage, InboxPage, Message, Watermarks

T = TypeVar("T")


def ignore_state(state: ConnectionState) -> None:
    """For those who do not show what the connection does."""


class Client(OfOneProcess):
    """One user of one server. May be shared by threads; use it as a context manager or ``close`` it.

    A process that is forked has its own connections: there, too, the client may be used, and is closed by itself.

    Attributes:
        outbox: Where sends wait on disk until they are acknowledged; none unless a file was given.
    """

    def __init__(
        self,
        url: str,
        token: Token | None = None,
        *,
        key: str | None = None,
        user: str | None = None,
        headers: Mapping[str, str] | None = None,
        deadline_s: float = DEADLINE_S,
        outbox: str | os.PathLike[str] | None = None,
    ) -> None:
        """
        Args:
            url: The server's origin (``http://127.0.0.1:8000``), or the address of its API
                (``https://example.org/api/message``).
            token: The caller's token, or a function that fetches one; it is called first when a token is needed and
                again when the server rejects its answer.
            key: A service key of the host's, instead of a token: for a program of the host's that talks as one user.
            user: In whose name, with a key; without it as whom the key stands for.
            headers: Fields of each request, for an application with a sign-in of its own, such as
                ``{"Cookie": "sessionid=..."}``: instead of a token, or beside it.
            deadline_s: How long one call may try, answers and waits included.
            outbox: A file that keeps unacknowledged sends; one for each user of each server.

        Raises:
            ValueError: The address is not an http(s) one, or nothing says who asks, or that cannot be sent.
            ConfigurationError: The environment's proxy or certificates cannot be used.
            OSError: The outbox cannot be used.
        """
        super().__init__()
        self._url = api_url(url)
        self._library_options = library_options({**(headers or {}), **in_whose_name(token, key, user, headers)})
        self._tokens = TokenSource(key if token is None else token)
        self._caller = Caller()
        self._deadline_s = deadline_s
        self._trusted = trusted_certificates()
        self._connect()
        self.outbox = None if outbox is None else Outbox(outbox)

    def _connect(self) -> None:
        """Make what no other process may have a part in: connections, and the locks of the sends."""
        options = connection_options(self._url, self._trusted)
        self._turns: dict[str, threading.Lock] = {}
        self._http = httpx2.Client(transport=bounded_transport(options), **self._library_options)
        # What a feed opens has a connection of its own, which can be shut down from the connect on.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
        transport = bounded_transport({**options, "limits": limits})
        self._streams = httpx2.Client(transport=transport, **self._library_options)

    def _begin_in_child(self) -> None:
        # Not closed: that would tell the other side something. What nobody refers to any more is let go of silently.
        self._connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections and the outbox, where what waits stays; feeds are closed by themselves."""
        self._http.close()
        self._streams.close()
        if self.outbox is not None:
            self.outbox.close()

    def send(self, recipient: str, text: str, *, client_id: str | None = None, message_type: str = "text") -> Message:
        """Send a message, and return it once it is committed.

        With an outbox it is on disk before it is tried, after what waits for the same recipient, and stays there
        when no answer came: the next ``send`` to this recipient, or ``flush``, goes on, also after a restart.

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
            ProtocolViolation: The answer comes from no Tidings server.
        """
        until = self._until()
        if self.outbox is None:
            return self._exchange(call.send(recipient, text, client_id, message_type), until)
        unsent = self.outbox.put(recipient, text, client_id, message_type)
        with self._turn(recipient):
            self._deliver_waiting(self.outbox, recipient, until, before=unsent)
            try:
                return self._deliver(self.outbox, unsent, until)
            except ServerProblem as problem:
                if is_about_message(problem):
                    self.outbox.remove(unsent)  # the caller hears of it here
                raise

    def flush(self) -> list[Message]:
        """Send all that waits in the outbox, in order, and return it as committed; nothing without an outbox.

        A message that the server refuses for good is set aside: ``outbox.refused()`` lists it.

        Raises:
            ServerProblem, StreamLost, ProtocolViolation: As ``send``; what was not sent waits on.
        """
        if self.outbox is None:
            return []
        until, sent = self._until(), list[Message]()
        for recipient in dict.fromkeys(unsent.recipient for unsent in self.outbox.waiting()):
            with self._turn(recipient):
                sent += self._deliver_waiting(self.outbox, recipient, until)
        return sent

    def history(
        self, peer: str, *, before: int | None = None, after: int | None = None, limit: int | None = None
    ) -> HistoryPage:
        """Return a page of the conversation with ``peer``: the latest, or those before or after a message ``seq``.

        Raises:
            ValueError: The text cannot be a user id.
            ServerProblem, StreamLost, ProtocolViolation: As ``send``.
        """
        return self._exchange(call.history(peer, before, after, limit))

    def inbox(self, *, before: int | None = None, limit: int | None = None) -> InboxPage:
        """Return a page of the conversations: the latest first, or those before a conversation's ``position``.

        Raises:
            ServerProblem, StreamLost, ProtocolViolation: As ``send``.
        """
        return self._exchange(call.inbox(before, limit))

    def mark_read(self, peer: str, upto: int) -> Watermarks:
        """Tell that all messages of the conversation up to this ``seq`` were read (and thus received).

        Raises:
            ServerProblem, StreamLost, ProtocolViolation: As ``send``.
        """
        return self._exchange(call.receipts(peer, read_upto=upto))

    def mark_delivered(self, peer: str, upto: int) -> Watermarks:
        """Tell that all messages of the conversation up to this ``seq`` have arrived.

        Raises:
            ServerProblem, StreamLost, ProtocolViolation: As ``send``.
        """
        return self._exchange(call.receipts(peer, delivered_upto=upto))

    def typing(self, peer: str) -> None:
        """Tell that the caller types to ``peer``; at most once a second has a meaning. Tried once: it may get lost.

        Raises:
            ServerProblem: Refused for good.
        """
        with losses_ignored():
            self._exchange(call.typing(peer))

    def block(self, peer: str) -> None:
        """Block somebody: neither side can write to the other any more. Again without effect.

        Raises:
            ServerProblem, StreamLost, ProtocolViolation: As ``send``.
        """
        self._exchange(call.block(peer))

    def unblock(self, peer: str) -> None:
        """Take a block back; nothing where there is none.

        Raises:
            ServerProblem, StreamLost, ProtocolViolation: As ``send``.
        """
        self._exchange(call.unblock(peer))

    def blocked(self, *, before: int | None = None, limit: int | None = None) -> BlockedPage:
        """Return a page of those whom the caller blocks: the latest first, or those before a ``position``.

        Raises:
            ServerProblem, StreamLost, ProtocolViolation: As ``send``.
        """
        return self._exchange(call.blocked(before, limit))

    def people(self, text: str) -> list[FoundPerson]:
        """Return people whom the application's search finds for the caller, at most 20, in its order.

        Args:
            text: A part of a name, 1 to 64 characters.

        Raises:
            ServerProblem: 404 ``no_people_search`` where the application has no search.
            StreamLost, ProtocolViolation: As ``send``.
        """
        return self._exchange(call.people(text))

    def report(self, peer: str, reason: str, *, seq: int | None = None) -> None:
        """Report somebody, with the latest messages of the conversation, or those up to the message ``seq``.

        Tried once: without an answer it may have arrived.

        Raises:
            ServerProblem: Refused; 503 where the application could not take it, and nothing arrived.
            StreamLost, ProtocolViolation: As ``send``.
        """
        self._exchange(call.report(peer, reason, seq))

    def events(self, cursor: str | None = None, *, on_state: OnState = ignore_state) -> Feed:
        """Follow the caller's events from a cursor on, or from now.

        The feed reconnects and resumes by itself, for ever. An event of type ``reset`` says that events before its
        cursor are no longer to be had: read ``inbox`` and ``history`` again.

        Args:
            cursor: Of a page, of an event, or of an earlier feed.
            on_state: Called from the iterating thread whenever the connection changes.

        Raises:
            ValueError: The text cannot be a cursor.
        """
        return Feed(lambda: self._streams, self._url, self._tokens, cursor=cursor, on_state=on_state)

    def _deliver_waiting(
        self, outbox: Outbox, recipient: str, until: float, *, before: Unsent | None = None
    ) -> list[Message]:
        sent = []
        for unsent in outbox.waiting(recipient, before=before):
            try:
                sent.append(self._deliver(outbox, unsent, until))
            except ServerProblem as problem:
                outbox.set_aside(unsent, problem)
        return sent

    def _deliver(self, outbox: Outbox, unsent: Unsent, until: float) -> Message:
        asked = call.send(unsent.recipient, unsent.text, unsent.client_id, unsent.message_type)
        message = self._exchange(asked, until)
        outbox.remove(unsent)
        return message

    def _turn(self, recipient: str) -> threading.Lock:
        """One send at a time to each recipient, in the order of the outbox."""
        return self._turns.setdefault(recipient, threading.Lock())

    def _until(self) -> float:
        return time.monotonic() + self._deadline_s

    def _exchange(self, asked: Call[T], until: float | None = None) -> T:
        """Ask until there is an answer."""
        exchange = Exchange(
            asked, self._url, self._caller, until=until or self._until(), token_renewable=self._tokens.renewable
        )
        while True:
            request = exchange.request(self._http, self._tokens.get(refresh=exchange.refresh_token))
            try:
                response, body = self._send(request, exchange)
            except Exception as trouble:
                if self._http.is_closed:
                    raise  # by the caller, who is told so
                exchange.failed(trouble)
            else:
                answer = None
                try:
                    answer = exchange.answered(response, body)
                finally:
                    if answer is None:
                        response.extensions["network_stream"].close()
                if answer is not None:
                    return answer.value
            time.sleep(exchange.wait_s)

    def _send(self, request: httpx2.Request, exchange: Exchange[T]) -> tuple[httpx2.Response, bytes]:
        """The answer, read whole."""
        body = AnswerBody()
        with within(exchange.connect_until()) as bound:

            def trace(step: str, _: object) -> None:
                if step == REQUEST_GOES_OUT:
                    bound.until = exchange.answer_until()

            request.extensions["trace"] = trace
            response = self._http.send(request, stream=True)
            try:
                for part in response.iter_bytes():
                    body.add(part)
            finally:
                response.close()
        return response, body.whole()


@contextmanager
def losses_ignored() -> Iterator[None]:
    """A call that is not worth repeating is not worth a complaint when it got lost."""
    try:
        yield
    except (StreamLost, ProtocolViolation):
        pass
    except ServerProblem as problem:
        if not is_temporary(problem.status):
            raise
