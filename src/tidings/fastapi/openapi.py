"""The routes in FastAPI's documents, made from the shapes of the wire (``protocol/shapes.py``).

Answers are pydantic models, since FastAPI makes its components of nothing else; bodies are JSON schemas. None of them
reads or checks anything: the routes do.
"""

from __future__ import annotations

from functools import cache, reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

import msgspec
from fastapi import Response
from pydantic import BaseModel, Field, create_model

from tidings.protocol.shapes import (
    Accepted,
    BlockedPage,
    EventsPage,
    FoundPeople,
    HistoryPage,
    InboxPage,
    PeerBody,
    Presence,
    ProblemDetails,
    ReceiptBody,
    ReceiptsBody,
    Received,
    ReceivedList,
    ReportBody,
    SendBody,
    Sent,
)

# Names of components, where they are not those of the shapes: they stand beside the host's own, and clients that were
# generated from a document know them.
_NAMES: Final = {
    "Message": "ChatMessage",
    "HistoryPage": "History",
    "InboxPage": "Inbox",
    "LogEntry": "Event",
    "EventsPage": "Events",
    "Blocked": "BlockedUser",
    "BlockedPage": "Blocked",
    "ProblemDetails": "Problem",
}


class EventStream(Response):
    """The answer of a stream, as FastAPI's documents show it."""

    media_type = "text/event-stream"


def _name(shape: type[msgspec.Struct]) -> str:
    return _NAMES.get(shape.__name__, shape.__name__)


@cache
def _model(shape: type[msgspec.Struct]) -> type[BaseModel]:
    """The same shape as FastAPI takes it: a component of its document."""
    fields: dict[str, Any] = {}
    for field in msgspec.structs.fields(shape):
        about = [each.description for each in getattr(field.type, "__metadata__", ())]
        may_be_absent = msgspec.UnsetType in get_args(field.type)
        known = Field(None if may_be_absent else ..., alias=field.encode_name, description=about[0] if about else None)
        fields[field.name] = (_modelled(field.type), known)
    return create_model(_name(shape), __doc__=shape.__doc__, **fields)


def _modelled(type_: Any) -> Any:
    """The type with models in place of our shapes."""
    arguments = [_modelled(each) for each in get_args(type_) if each is not msgspec.UnsetType]
    match get_origin(type_):
        case None:
            return _model(type_) if isinstance(type_, type) and issubclass(type_, msgspec.Struct) else type_
        case origin if origin is Annotated:
            return arguments[0]
        case origin if origin in (Union, UnionType):
            return reduce(or_, arguments)
        case origin:
            return origin[tuple(arguments)]


def _schema(body: Any) -> dict[str, Any]:
    """The JSON schema of a shape, or of several, in one piece; FastAPI has components of answers only."""
    alternatives, schemas = msgspec.json.schema_components(get_args(body) or [body])

    def whole(part: Any) -> Any:
        if isinstance(part, list):
            return [whole(each) for each in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return whole(schemas[part["$ref"].rpartition("/")[2]])
        return {name: whole(each) for name, each in part.items()}

    schema, *others = whole(list(alternatives))
    return {"anyOf": [schema, *others]} if others else dict(schema)


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
    answer: Any = None,
    body: Any = None,
    response_class: type[Response] | None = None,
) -> dict[str, Any]:
    """One line of OpenAPI; bodies and parameters are read by our own routes, so FastAPI is only told of them."""
    extra: dict[str, Any] = {"parameters": list(parameters)} if parameters else {}
    if body is not None:
        extra["requestBody"] = {"required": True, "content": {"application/json": {"schema": _schema(body)}}}
    problem = {
        "description": "A problem (RFC 9457)",
        "content": {"application/problem+json": {"schema": _model(ProblemDetails).model_json_schema()}},
    }
    described = {} if response_class is None else {"response_class": response_class}
    return {
        "methods": [method],
        "path": path,
        "name": name,
        "summary": summary,
        "status_code": status,
        "response_model": _modelled(answer),
        "responses": {"4XX": problem, "503": problem},
        "openapi_extra": extra,
        **described,
    }


_ME = _parameter("path", "me", "The caller's own id, or `me`")
_PEER = _parameter("path", "chat_user_id", "The other side")
_CURSOR = _parameter("query", "cursor", "Go on after this cursor; without one, from now")
_LIMIT = _parameter("query", "limit", "At most so many", "integer")

OPERATIONS: Final = [
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
        answer=EventsPage,
    ),
    _operation(
        "GET",
        "/inbox/{me}",
        "list_conversations",
        "The caller's conversations, the latest first",
        _ME,
        _parameter("query", "before", "Of the page before", "integer"),
        _LIMIT,
        answer=InboxPage,
    ),
    _operation("POST", "/send", "send_message", "Send a message", status=201, answer=Sent, body=SendBody),
    _operation(
        "POST",
        "/receipts",
        "mark_received",
        "Tell what was received or read",
        answer=Received | ReceivedList,
        body=ReceiptBody | ReceiptsBody,
    ),
    _operation(
        "POST",
        "/typing",
        "type",
        "Tell that the caller types",
        status=202,
        answer=Accepted,
        body=PeerBody,
    ),
    _operation("POST", "/presence", "watch", "Ask whether somebody is online", answer=Presence, body=PeerBody),
    _operation("POST", "/block", "block", "Block somebody", answer=Accepted, body=PeerBody),
    _operation("POST", "/unblock", "unblock", "Take a block back", answer=Accepted, body=PeerBody),
    _operation(
        "GET",
        "/blocked/{me}",
        "list_blocked",
        "Those whom the caller blocks, the latest first",
        _ME,
        _parameter("query", "before", "Of the page before", "integer"),
        _LIMIT,
        answer=BlockedPage,
    ),
    _operation(
        "GET",
        "/people",
        "search_people",
        "People whom the application's search finds; without `q` the history with a user called people",
        _parameter("query", "q", "A part of a name, 1 to 64 characters"),
        answer=FoundPeople,
    ),
    _operation("POST", "/report", "report", "Report somebody", status=202, answer=Accepted, body=ReportBody),
    _operation(
        "GET",
        "/{chat_user_id}",
        "list_messages",
        "A conversation, oldest message first",
        _PEER,
        _parameter("query", "before", "Messages before this seq", "integer"),
        _parameter("query", "after", "Messages after this seq", "integer"),
        _LIMIT,
        answer=HistoryPage,
    ),
]
