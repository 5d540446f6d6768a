"""``POST /send``: check a message, append it, answer when it is committed. The host's own sends go the same way."""

from __future__ import annotations

import re
from time import perf_counter

from starlette.types import Receive, Scope

from tidings.errors import BadRequest, Unprocessable
from tidings.protocol.encoding import encode_json
from tidings.protocol.shapes import Message, SendBody, Sent
from tidings.protocol.user_id import UserId
from tidings.server.api.answer import Answer
from tidings.server.api.endpoint import posted
from tidings.server.api.request import REFUSED_CONTROL, read_shape, read_user_id
from tidings.server.host.functions import ask_people, may_write
from tidings.server.node import Node
from tidings.server.store import BeginsConversation, NewMessage

CLIENT_ID_LENGTH_MAX = 64  # characters; a UUID with room

SYSTEM = "system"  # the type that only the host's own code may send

_PRINTABLE_ASCII = re.compile(r"[\x20-\x7e]+")


async def send_message(node: Node, scope: Scope, receive: Receive) -> Answer:
    """Append what the caller writes, and answer when it is committed."""
    user, body = await posted(node, scope, receive)
    sent = read_shape(body, SendBody)
    if sent.message_type == SYSTEM:
        raise Unprocessable("reserved_type", "Only the application itself sends messages of type system.")
    new = check_message(
        node,
        user,
        read_user_id(sent.recipientId),
        sent.text,
        sent.message_type,
        sent.client_id,
        opening_limit_per_h=node.config.new_conversations_per_h,
    )
    node.rates.sends.take(user)
    # The store refuses, and at the same place as for a block: after what this client_id has sent before.
    if not await may_write(node.may_send, new.sender, new.recipient):
        new = new._replace(is_refused=True)
    message = await (append(node, new) if node.takes_any_recipient else _append_to_known(node, new))
    return Answer(201, encode_json(Sent(message=message)))


def check_message(
    node: Node,
    sender: UserId,
    recipient: UserId,
    text: str,
    message_type: str,
    client_id: str | None,
    *,
    opening_limit_per_h: int | None,
) -> NewMessage:
    """A message that may be stored.

    Raises:
        BadRequest: Its text cannot be UTF-8.
        Unprocessable: It breaks a rule of PROTOCOL.md; the code says which.
    """
    if recipient == sender:
        raise Unprocessable("to_oneself", "A message goes to somebody else.")
    if not text or text.isspace():
        raise Unprocessable("empty_text", "The text is empty.")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:  # from the host's own code
        raise BadRequest("not_utf8", "The text has half a surrogate pair, which is no character.") from None
    if size > node.config.text_bytes_max:
        raise Unprocessable(
            "text_too_long", f"The text has {size} bytes; at most {node.config.text_bytes_max} are allowed."
        )
    if REFUSED_CONTROL.search(text):
        raise Unprocessable("control_characters", "The text contains control characters other than TAB, LF and CR.")
    if message_type not in ("text", SYSTEM, *node.config.message_types):
        raise Unprocessable("unknown_type", f"Messages of type {message_type[:32]!r} are not configured here.")
    if client_id is not None and (len(client_id) > CLIENT_ID_LENGTH_MAX or not _PRINTABLE_ASCII.fullmatch(client_id)):
        raise Unprocessable("bad_client_id", f"A client_id has 1..{CLIENT_ID_LENGTH_MAX} printable ASCII characters.")
    passes_blocks = message_type == SYSTEM  # the application speaks to both, nobody to the other
    return NewMessage(sender, recipient, text, message_type, client_id, opening_limit_per_h, passes_blocks)


async def _append_to_known(node: Node, new: NewMessage) -> Message:
    """Append; but a conversation begins only with somebody whom the host's ``people`` knows.

    Raises:
        BeginsConversation: It does not.
        TooManyRequests: The sender was told so as often as they may begin conversations: ids are not to be tried.
    """
    try:
        return await append(node, new._replace(may_begin=False))
    except BeginsConversation:
        node.rates.unknown_people.check(new.sender)
        # Whoever may not write does not learn either whether there is anybody.
        if not new.is_refused and new.recipient not in await ask_people(node.people, [new.recipient]):
            node.rates.unknown_people.take(new.sender)
            raise
    return await append(node, new)


async def append(node: Node, new: NewMessage) -> Message:
    """Store the message and count it. Its streams were told by the store's completion."""
    begun = perf_counter()
    appended = await node.store.append(new)
    node.metrics.send_commit_seconds.observe(perf_counter() - begun)
    (node.metrics.messages_accepted if appended.is_new else node.metrics.messages_deduplicated).inc()
    return appended.message
