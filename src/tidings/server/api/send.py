"""``POST /send``: check a message, append it, answer when it is committed. The host's own sends go the same way."""

from __future__ import annotations

from time import perf_counter
from uuid import uuid4

from starlette.types import Receive, Scope

from tidings.errors import Unprocessable
from tidings.protocol.encoding import encode_json
from tidings.protocol.shapes import Message, SendBody, Sent
from tidings.server.api.answer import Answer
from tidings.server.api.endpoint import posted
from tidings.server.api.request import read_shape, read_user_id
from tidings.server.host.functions import ask_people, may_write
from tidings.server.identity.caller import Caller
from tidings.server.node import Node
from tidings.server.store import BeginsConversation, NewMessage
from tidings.server.store.open import open_outbox
from tidings.server.store.rules import SYSTEM, check_message


async def send_message(node: Node, scope: Scope, receive: Receive) -> Answer:
    """Append what the caller writes, and answer when it is committed."""
    caller, body = await posted(node, scope, receive)
    sent, key = read_shape(body, SendBody), caller.key
    is_of_the_host = sent.message_type == SYSTEM
    if is_of_the_host and (key is None or not key.may_send_system):
        raise Unprocessable("reserved_type", "Only the application itself sends messages of type system.")
    new = check_message(
        node.config,
        caller.user,
        read_user_id(sent.recipientId),
        sent.text,
        sent.message_type,
        sent.client_id,
        opening_limit_per_h=node.config.new_conversations_per_h if key is None else None,
    )
    caller.take(node.rates.sends)
    # The store refuses, and at the same place as for a block: after what this client_id has sent before.
    if not is_of_the_host and not await may_write(node.may_send, new.sender, new.recipient):
        new = new._replace(is_refused=True)
    is_to_anybody = is_of_the_host or node.takes_any_recipient
    message = await (append(node, new) if is_to_anybody else _append_to_known(node, caller, new))
    return Answer(201, encode_json(Sent(message=message)))


async def _append_to_known(node: Node, caller: Caller, new: NewMessage) -> Message:
    """Append; but a conversation begins only with somebody whom the host's ``people`` knows.

    Raises:
        BeginsConversation: It does not.
        TooManyRequests: The sender was told so as often as they may begin conversations: ids are not to be tried.
    """
    try:
        return await append(node, new._replace(may_begin=False))
    except BeginsConversation:
        if caller.key is None:
            node.rates.unknown_people.check(new.sender)
        # Whoever may not write does not learn either whether there is anybody.
        if not new.is_refused and new.recipient not in await ask_people(node.people, [new.recipient]):
            caller.take(node.rates.unknown_people)
            raise
    return await append(node, new)


async def append(node: Node, new: NewMessage) -> Message:
    """Store the message and count it. Its streams were told by the store's completion."""
    begun = perf_counter()
    appended = await node.store.append(new)
    node.metrics.send_commit_seconds.observe(perf_counter() - begun)
    (node.metrics.messages_accepted if appended.is_new else node.metrics.messages_deduplicated).inc()
    return appended.message


async def enqueue(node: Node, connection: object, new: NewMessage) -> str:
    """Have the application's transaction send the message; its client_id."""
    named, client_id = _named(new)
    await open_outbox(node.config.db).enqueue(connection, named, node.epoch)
    return client_id


def enqueue_now(node: Node, connection: object, new: NewMessage) -> str:
    """Likewise, on a connection that waits."""
    named, client_id = _named(new)
    open_outbox(node.config.db).enqueue_now(connection, named, node.epoch)
    return client_id


def _named(new: NewMessage) -> tuple[NewMessage, str]:
    """The message under a client_id: until it is moved it has no other name."""
    client_id = new.client_id or str(uuid4())
    return new._replace(client_id=client_id), client_id
