"""Tidings in a FastAPI application: the dependency that tells who is signed in is the one that you have.

::

    messages = DirectMessages(Config(db="sqlite:///messages.db"), user=current_user)
    app = FastAPI(lifespan=messages.lifespan)
    app.include_router(messages.router, prefix="/api/message")

Rules of this file:

- FastAPI runs the dependency, with all that hangs on it (sub-dependencies, security schemes, overrides, those of
  ``include_router``), as it does for any route; it is released before our answer begins. So an open stream holds
  nothing of the host's: no session, no connection of a pool.
- What the dependency refuses is answered as the host answers it.
- The routes are those of ``server/app.py``: what is served is the same, FastAPI knows their shapes for its documents.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

try:
    from fastapi import APIRouter, Depends, Request, Response
    from fastapi.routing import APIRoute
    from pydantic import BaseModel, Field
except ImportError as missing:
    raise ImportError("tidings.fastapi needs FastAPI; install it with: pip install 'tidings[fastapi]'") from missing

from starlette.requests import HTTPConnection
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidings.server.app import Tidings
from tidings.server.config import Config
from tidings.server.host.functions import MaySend, People, TakeReport

_METHODS: Final = ["GET", "POST", "PUT", "DELETE", "PATCH"]  # our own routes know which of them they take
_IDENTIFIED: Final = "tidings.identified"  # in the scope: what the endpoint found out, for the route
_USER: Final = "tidings.user"  # in the scope: the user id


class ChatMessage(BaseModel):
    """What a person sent."""

    id: str = Field(alias="_id")
    seq: int = Field(description="Number in the conversation, the same for both sides; the order on a screen")
    sender_id: str
    recipient_id: str
    text: str
    message_type: str
    sent: bool
    delivered: bool
    read: bool
    createdAt: str = Field(description="ISO 8601, UTC, milliseconds")
    client_id: str | None = Field(description="The sender's own id of this send; null for the other side")


class Person(BaseModel):
    """A user as screens show it."""

    id: str
    name: str
    avatar_url: str | None
    online: bool | None = Field(description="None: unknown, or not for the caller to know")


class Watermarks(BaseModel):
    """How far both sides have received and read, as message seqs."""

    read_upto: int
    delivered_upto: int
    peer_read_upto: int
    peer_delivered_upto: int


class SendBody(BaseModel):
    """A message to send."""

    recipientId: str
    text: str
    message_type: str = "text"
    client_id: str | None = Field(None, description="Names this send: the same id again never doubles it")


class Sent(BaseModel):
    """The message as it was committed."""

    success: bool
    message: ChatMessage


class History(BaseModel):
    """Messages of one conversation, oldest first, and the cursor at which they were read."""

    success: bool
    user_id: str = Field(description="The caller")
    messages: list[ChatMessage]
    has_more: bool
    cursor: str
    watermarks: Watermarks
    user: Person
    blocked: bool = Field(description="Whether the caller blocks the other side")


class Conversation(BaseModel):
    """One line of the inbox."""

    user: Person
    last_message: ChatMessage | None
    unread: int
    watermarks: Watermarks
    updatedAt: str
    position: int = Field(description="For ``before`` of the next page")
    blocked: bool = Field(description="Whether the caller blocks the other side")


class Inbox(BaseModel):
    """Conversations, the latest first, and the cursor at which they were read."""

    success: bool
    user_id: str = Field(description="The caller")
    conversations: list[Conversation]
    has_more: bool
    cursor: str
    unread_total: int = Field(description="Unread messages over all conversations")


class Event(BaseModel):
    """One entry of the caller's log."""

    id: str
    type: str
    data: dict[str, Any]


class Events(BaseModel):
    """A page of the caller's log; ``reset`` says why it does not go on where it was asked to."""

    success: bool
    user_id: str = Field(description="The caller")
    events: list[Event]
    cursor: str
    has_more: bool
    reset: dict[str, Any] | None = None


class ReceiptBody(BaseModel):
    """How far the caller has received or read in one conversation; at least one of them."""

    chatUserId: str
    delivered_upto: int | None = None
    read_upto: int | None = None


class ReceiptsBody(BaseModel):
    """As for one conversation; or ``receipts`` for several, and nothing else."""

    chatUserId: str | None = None
    delivered_upto: int | None = None
    read_upto: int | None = None
    receipts: list[ReceiptBody] | None = Field(None, min_length=1, max_length=100)


class ReceiptTold(BaseModel):
    """The watermarks of one conversation after it, or the code of why it was refused."""

    chatUserId: str
    watermarks: Watermarks | None = None
    code: str | None = None


class Received(BaseModel):
    """The watermarks after it; or ``receipts`` where several were posted."""

    success: bool
    user_id: str | None = None
    watermarks: Watermarks | None = None
    receipts: list[ReceiptTold] | None = None


class PeerBody(BaseModel):
    """The other side."""

    chatUserId: str


class Presence(BaseModel):
    """Whether the other side is online; changes are told for ``watch_s`` seconds."""

    success: bool
    online: bool | None
    watch_s: int


class BlockedUser(BaseModel):
    """Somebody whom the caller blocks."""

    user: Person
    since: str
    position: int = Field(description="For ``before`` of the next page")


class Blocked(BaseModel):
    """Those whom the caller blocks, the latest first."""

    success: bool
    blocked: list[BlockedUser]
    has_more: bool


class ReportBody(BaseModel):
    """What somebody did; the messages up to ``seq``, or the last ones, go along."""

    chatUserId: str
    reason: str = Field(max_length=1000)
    seq: int | None = None


class Accepted(BaseModel):
    """It was heard."""

    success: bool


class Problem(BaseModel):
    """A refusal (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    success: bool
    message: str


class EventStream(Response):
    """What the stream's answer is to FastAPI's documents."""

    media_type = "text/event-stream"


def _id_of(user: Any) -> str | None:
    """The user's id: the value itself if it is text or a number, else its ``id``. None, False, 0 and "" are nobody.

    Raises:
        TypeError: It has no id.
    """
    if not isinstance(user, bool) and isinstance(user, str | int):
        return str(user) if user else None
    if user is None or user is False:
        return None
    identity = getattr(user, "id", None)
    if not identity or isinstance(identity, bool):
        raise TypeError(f"user= answered a {type(user).__name__} without an id: tell where it is with user_id=")
    return str(identity)


class DirectMessages(Tidings):
    """Direct messages for a FastAPI application.

    Attributes:
        router: For ``app.include_router(messages.router, prefix=...)`` or ``app.mount(path, messages.router)``; give
            it a path of its own, for ``/{chatUserId}`` is one of its routes. A mount does not show in the host's
            OpenAPI, and the host's ``dependency_overrides`` do not reach it.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        user: Callable[..., Any],
        user_id: Callable[[Any], str | None] = _id_of,
        may_send: MaySend | None = None,
        people: People | None = None,
        report: TakeReport | None = None,
    ) -> None:
        """
        Args:
            user: The dependency, as in ``Depends(current_user)``: sync or async, with or without ``yield``.
            user_id: From what the dependency returns to the user's id; None is nobody (401). Without it: text and
                numbers are the id, of anything else it is the attribute ``id``; None, False, 0 and "" are nobody.
            may_send: See ``Tidings``.
            people: See ``Tidings``.
            report: See ``Tidings``.
        """
        super().__init__(config, user=_identified_user, may_send=may_send, people=people, report=report)
        self.router = APIRouter(route_class=_Route, redirect_slashes=False, tags=["direct messages"])
        served = {route.path: route.app for route in self.routes() if isinstance(route, Route)}
        for path in served.keys() - {operation["path"] for operation in _OPERATIONS}:
            endpoint = _endpoint(user, user_id, served[path])
            self.router.add_api_route(path, endpoint, methods=_METHODS, include_in_schema=False)
        for operation in _OPERATIONS:
            endpoint = _endpoint(user, user_id, served[operation["path"]])
            self.router.add_api_route(**operation, endpoint=endpoint)
        for path, app in served.items():  # what a browser asks before it sends anything says nothing of its user
            self.router.add_route(path, app, methods=["OPTIONS"], include_in_schema=False)  # type: ignore[arg-type]


def _identified_user(connection: HTTPConnection) -> str | None:
    user: str | None = connection.scope[_USER]
    return user


def _endpoint(user: Callable[..., Any], user_id: Callable[[Any], str | None], app: ASGIApp) -> Callable[..., Any]:
    """What FastAPI calls with the dependency's value: it notes the user, and nothing of the host's beyond that."""

    async def endpoint(request: Request, who: Any = Depends(user)) -> Response:  # noqa: B008  # as FastAPI has it
        request.scope[_IDENTIFIED].append((user_id(who), app))
        return Response()

    return endpoint


class _Route(APIRoute):
    """Runs the dependencies as FastAPI does, and then, when all of them are released, our own ASGI application."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        app, receive = await self._identify(scope, receive, send)
        if app is not None:
            await app(scope, receive, send)

    async def _identify(self, scope: Scope, receive: Receive, send: Send) -> tuple[ASGIApp | None, Receive]:
        """Who serves the request, and where it reads from; nobody if it was answered."""
        identified: list[tuple[str | None, ASGIApp]] = []
        scope[_IDENTIFIED] = identified
        heard: list[Message] = []
        said: list[Message] = []

        async def hear() -> Message:
            heard.append(await receive())
            return heard[-1]

        async def say(message: Message) -> None:
            said.append(message)

        await super().handle(scope, hear, say)
        if not identified:
            for message in said:
                await send(message)
            return None, receive
        scope[_USER], app = identified[0]
        for name in (_IDENTIFIED, "fastapi_inner_astack", "fastapi_function_astack"):
            scope.pop(name, None)  # a stream would keep them for as long as it lives
        if not heard:
            return app, receive

        async def hear_again() -> Message:
            return heard.pop(0) if heard else await receive()

        return app, hear_again


def _parameter(place: str, name: str, description: str, type: str = "string") -> dict[str, Any]:
    schema = {"name": name, "in": place, "description": description, "schema": {"type": type}}
    return {**schema, "required": place == "path"}


def _operation(
    method: str,
    path: str,
    name: str,
    summary: str,
    *parameters: dict[str, Any],
    status: int = 200,
    model: type[BaseModel] | None = None,
    body: type[BaseModel] | None = None,
    response_class: type[Response] | None = None,
) -> dict[str, Any]:
    """One line of OpenAPI; bodies and parameters are read by our own routes, so FastAPI is only told of them."""
    extra: dict[str, Any] = {"parameters": list(parameters)} if parameters else {}
    if body is not None:
        extra["requestBody"] = {"required": True, "content": {"application/json": {"schema": body.model_json_schema()}}}
    problem = {
        "description": "A problem (RFC 9457)",
        "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
    }
    described = {} if response_class is None else {"response_class": response_class}
    return {
        "methods": [method],
        "path": path,
        "name": name,
        "summary": summary,
        "status_code": status,
        "response_model": model,
        "responses": {"4XX": problem, "503": problem},
        "openapi_extra": extra,
        **described,
    }


_ME = _parameter("path", "me", "The caller's own id, or `me`")
_PEER = _parameter("path", "chat_user_id", "The other side")
_CURSOR = _parameter("query", "cursor", "Go on after this cursor; without one, from now")
_LIMIT = _parameter("query", "limit", "At most so many", "integer")

_OPERATIONS = [
    _operation(
        "GET",
        "/sse/{me}",
        "stream_events",
        "Follow the caller's events",
        _ME,
        _CURSOR,
        _parameter("header", "Last-Event-ID", "As cursor, which it overrules"),
        _parameter("query", "tab", "Names the stream; the same name again ends its predecessor"),
        response_class=EventStream,
    ),
    _operation(
        "GET",
        "/events/{me}",
        "list_events",
        "The same events as a page, at once or when one comes",
        _ME,
        _CURSOR,
        _parameter("query", "wait", "Seconds to wait for an event, up to 25", "number"),
        _LIMIT,
        model=Events,
    ),
    _operation(
        "GET",
        "/inbox/{me}",
        "list_conversations",
        "The caller's conversations, the latest first",
        _ME,
        _parameter("query", "before", "Of the page before"),
        _LIMIT,
        model=Inbox,
    ),
    _operation("POST", "/send", "send_message", "Send a message", status=201, model=Sent, body=SendBody),
    _operation(
        "POST", "/receipts", "mark_received", "Tell what was received or read", model=Received, body=ReceiptsBody
    ),
    _operation("POST", "/typing", "type", "Tell that the caller types", status=202, model=Accepted, body=PeerBody),
    _operation("POST", "/presence", "watch", "Ask whether somebody is online", model=Presence, body=PeerBody),
    _operation("POST", "/block", "block", "Block somebody", model=Accepted, body=PeerBody),
    _operation("POST", "/unblock", "unblock", "Take a block back", model=Accepted, body=PeerBody),
    _operation(
        "GET",
        "/blocked/{me}",
        "list_blocked",
        "Those whom the caller blocks, the latest first",
        _ME,
        _parameter("query", "before", "Of the page before", "integer"),
        _LIMIT,
        model=Blocked,
    ),
    _operation("POST", "/report", "report", "Report somebody", status=202, model=Accepted, body=ReportBody),
    _operation(
        "GET",
        "/{chat_user_id}",
        "list_messages",
        "A conversation, oldest message first",
        _PEER,
        _parameter("query", "before", "Messages before this seq", "integer"),
        _parameter("query", "after", "Messages after this seq", "integer"),
        _LIMIT,
        model=History,
    ),
]
