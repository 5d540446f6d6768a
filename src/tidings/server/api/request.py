"""The parts of a request: its path, query, cursor and JSON body, or a clear refusal."""

from __future__ import annotations

import asyncio
import math
from functools import cache
from typing import Annotated, Any, TypeVar, get_args, get_origin
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec
from starlette.types import Receive, Scope

from tidings.errors import (
    BadRequest,
    ContentTooLarge,
    Forbidden,
    RequestTimeout,
    Unprocessable,
    UnsupportedMediaType,
)
from tidings.protocol.cursor import CURSOR_SIZE_MAX_BYTES, Cursor, parse_cursor
from tidings.protocol.user_id import UserId, check_user_id
from tidings.server.config import PATH_SIZE_MAX_BYTES, QUERY_SIZE_MAX_BYTES, Config
from tidings.server.own_connection import own_connection

PARAMETERS_MAX = 20  # of a query; no route knows more than five

BODY_SIZE_MAX_BYTES = 65_536  # the longest text fits with its escapes; nothing larger is read
ASKED_SEQ_MAX = 2**53 - 1  # what every client's numbers hold exactly

Shape = TypeVar("Shape", bound=msgspec.Struct)

_decode_json = msgspec.json.Decoder(float_hook=lambda _text: math.nan).decode
"""No field of ours is a fraction: reading one that is hard to round would cost 10 us, and a body has 2,600."""


def last_segment(scope: Scope) -> str:
    """The last segment of the path as the client wrote it, percent-decoded.

    ``scope["path"]`` will not do: servers replace what is not UTF-8, and a decoded slash looks like a separator.

    Raises:
        BadRequest: It is not UTF-8, or far longer than any that we know.
    """
    raw = scope.get("raw_path") or scope["path"].encode("utf-8", "surrogateescape")
    segment = raw.rpartition(b"/")[2]
    if len(segment) > PATH_SIZE_MAX_BYTES:  # decoding a megabyte would take a tenth of a second
        raise BadRequest("bad_path", f"A path has at most {PATH_SIZE_MAX_BYTES} bytes.")
    try:
        return unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("bad_path", "The path is not UTF-8.") from None


def own_log(scope: Scope, caller: UserId) -> None:
    """Check that the path ends in the caller's own id or ``me``.

    Raises:
        Forbidden: It names somebody else.
        Unprocessable: It cannot be a user id.
    """
    named = last_segment(scope)
    if named not in ("me", caller):
        read_user_id(named)
        raise Forbidden("not_yours", "This belongs to somebody else.")


def read_user_id(text: str) -> UserId:
    """The user id that a client sent.

    Raises:
        BadRequest: It is no text.
        Unprocessable: It breaks a rule; the detail says which.
    """
    if not isinstance(text, str):  # from the host's own code
        raise BadRequest("wrong_type", "A user id is a string.")
    try:
        return check_user_id(text)
    except ValueError as wrong:
        raise Unprocessable("bad_user_id", str(wrong)) from None


def read_peer(text: str, caller: UserId) -> UserId:
    """The other party that the caller names.

    Raises:
        Unprocessable: It cannot be a user id, or is the caller.
    """
    peer = read_user_id(text)
    if peer == caller:
        raise Unprocessable("to_oneself", "A conversation is with somebody else.")
    return peer


def read_query(scope: Scope) -> dict[str, str]:
    """The query's parameters; of a repeated one the first.

    Raises:
        BadRequest: It is not UTF-8, is too long or has too many of them.
    """
    raw: bytes = scope["query_string"]
    if not raw:
        return {}
    if len(raw) > QUERY_SIZE_MAX_BYTES:
        raise BadRequest("bad_parameter", f"A query has at most {QUERY_SIZE_MAX_BYTES} bytes.")
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS_MAX)
    except (UnicodeDecodeError, ValueError):
        raise BadRequest(
            "bad_parameter", f"The query is not UTF-8, or has more than {PARAMETERS_MAX} parameters."
        ) from None
    return dict(reversed(pairs))


def read_number(query: dict[str, str], name: str) -> int | None:
    """A whole number of the query, or None if it is not there.

    Raises:
        BadRequest: It is something else.
    """
    text = query.get(name)
    if text is None or text == "":
        return None
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 15):
        raise BadRequest("bad_parameter", f"{name} is a whole number.")
    return int(text)


def read_limit(query: dict[str, str], default: int, maximum: int) -> int:
    """``limit``, clamped to 1..maximum."""
    limit = read_number(query, "limit")
    return default if limit is None else min(max(1, limit), maximum)


def read_cursor(scope: Scope, query: dict[str, str]) -> tuple[Cursor | None, bool]:
    """The reader's position: ``Last-Event-ID``, else ``?cursor=``. None and True: none was given.

    None and False: one was given that is none of ours, to be answered by a reset.

    Raises:
        BadRequest: It is longer than any cursor.
    """
    text = query.get("cursor", "")
    for name, value in scope["headers"]:
        if name == b"last-event-id" and value:
            text = value.decode("latin-1")
            break
    if not text:
        return None, True
    if len(text.encode()) > CURSOR_SIZE_MAX_BYTES:
        raise BadRequest("bad_cursor", f"A cursor has at most {CURSOR_SIZE_MAX_BYTES} bytes.")
    cursor = parse_cursor(text)
    return cursor, cursor is not None


async def read_json(scope: Scope, receive: Receive, config: Config, user: UserId | None) -> dict[str, Any]:
    """The body, which is one JSON object. ``caller`` in it is this user, for whom its client speaks.

    Raises:
        UnsupportedMediaType: It is not declared as JSON in UTF-8.
        ContentTooLarge: It is larger than BODY_SIZE_MAX_BYTES.
        RequestTimeout: It did not arrive within ``request_wait_max_s``.
        BadRequest: It is not UTF-8, not JSON or not an object.
        Forbidden: Its client speaks for somebody else.
    """
    length = ""
    media_type = ""
    for name, value in scope["headers"]:
        if name == b"content-type":
            media_type = value.decode("latin-1")
        elif name == b"content-length":
            length = value.decode("latin-1")
    _check_media_type(media_type)
    if length.isascii() and length.isdigit() and (len(length) > 15 or int(length) > BODY_SIZE_MAX_BYTES):
        raise _too_large()
    connection = own_connection(scope)
    if connection is not None and connection.has_arrived(scope):  # nothing to wait for: a timer would cost 3 us
        body = await _read_body(receive)
    else:
        try:
            async with asyncio.timeout(config.request_wait_max_s):
                body = await _read_body(receive)
        except TimeoutError:
            raise RequestTimeout(
                "body_timeout", f"The body took longer than {config.request_wait_max_s:g} s."
            ) from None
    if not body:
        raise BadRequest("not_json", "The request has no body; send a JSON object.")
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("not_utf8", "The body is not UTF-8.") from None
    try:
        decoded = _decode_json(body)
    except (msgspec.DecodeError, RecursionError, ValueError):
        raise BadRequest("not_json", "The body is not JSON.") from None
    if not isinstance(decoded, dict):
        raise BadRequest("wrong_type", "The body is not a JSON object.")
    if user is not None and decoded.get("caller") not in (None, user):
        raise Forbidden("not_yours", "This was written as somebody else.")
    return decoded


def read_shape(body: dict[str, Any], shape: type[Shape]) -> Shape:
    """The body as one of the shapes of requests; a field that is null counts as absent.

    Raises:
        BadRequest: ``missing_fields`` or ``wrong_type``, as ``require`` has it.
    """
    try:
        return msgspec.convert(body, shape)  # a third of the time of what follows
    except msgspec.ValidationError:
        pass  # it may have a null, or what a route refuses in its own words
    required, optional = _fields(shape)
    require(body, **required)
    allow(body, **optional)
    return shape(**{name: value for name in (*required, *optional) if (value := body.get(name)) is not None})


@cache
def _fields(shape: type[msgspec.Struct]) -> tuple[dict[str, type], dict[str, type]]:
    """The fields that a request must have and those that it may have, each with ``str`` or ``int``."""
    required: dict[str, type] = {}
    optional: dict[str, type] = {}
    for field in msgspec.structs.fields(shape):
        plain = field.type.__origin__ if get_origin(field.type) is Annotated else field.type
        (required if field.required else optional)[field.name] = (get_args(plain) or (plain,))[0]
    return required, optional


def require(body: dict[str, Any], **types: type) -> None:
    """Check that these fields are there and of these types.

    Raises:
        BadRequest: ``missing_fields`` names all that are missing or null; ``wrong_type`` the first that is wrong.
    """
    missing = [name for name in types if body.get(name) is None]
    if missing:
        raise BadRequest("missing_fields", f"Missing required fields: {', '.join(missing)}")
    allow(body, **types)


def allow(body: dict[str, Any], **types: type) -> None:
    """Check that these fields, where they are there and not null, are of these types.

    Raises:
        BadRequest: ``wrong_type`` names the first that is not.
    """
    for name, wanted in types.items():
        value = body.get(name)
        if value is not None and (not isinstance(value, wanted) or isinstance(value, bool)):
            raise BadRequest("wrong_type", f"{name} is a {'string' if wanted is str else 'whole number'}.")


def _check_media_type(media_type: str) -> None:
    essence, _, parameters = media_type.lower().partition(";")
    essence = essence.strip()
    charset = parameters.partition("charset=")[2].partition(";")[0].strip().strip('"')
    if essence != "application/json" and not (essence.startswith("application/") and essence.endswith("+json")):
        raise UnsupportedMediaType("unsupported_media_type", "Send JSON with 'Content-Type: application/json'.")
    if charset not in ("", "utf-8", "utf8"):
        raise UnsupportedMediaType("unsupported_media_type", "JSON is sent in UTF-8.")


async def _read_body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadRequest("bad_http", "The body ended early.")
        part: bytes = message.get("body", b"")
        body += part
        if len(body) > BODY_SIZE_MAX_BYTES:
            raise _too_large()
        if not message.get("more_body", False):
            return body


def _too_large() -> ContentTooLarge:
    return ContentTooLarge("too_large", f"A body has at most {BODY_SIZE_MAX_BYTES} bytes.")
