"""The people of the demo, and their first conversations."""

from __future__ import annotations

from tidings.protocol.user_id import UserId
from tidings.server.node import Node
from tidings.server.store import NewMessage

PEOPLE: dict[str, dict[str, str | None]] = {
    UserId("ada"): {"name": "Ada", "avatar_url": None},
    UserId("ben"): {"name": "Ben", "avatar_url": None},
    UserId("chloé"): {"name": "Chloé", "avatar_url": None},
    UserId("دانا"): {"name": "دانا", "avatar_url": None},
}

_TALKS = [
    ("chloé", "ada", "Are you coming to the market on Saturday?"),
    ("ada", "chloé", "Yes! I need tomatoes, and coffee."),
    ("chloé", "ada", "Ten o'clock at the fountain, then."),
    ("دانا", "ada", "مرحبا! هل وصلت الكتب؟"),
    ("ada", "دانا", "وصلت اليوم، شكرا جزيلا"),
    ("ben", "ada", "Hi Ada, does the new chat work for you?"),
    ("ada", "ben", "It does. Try pulling the plug while you write to me."),
    ("ben", "ada", "I closed the laptop in the middle of a sentence, and it was all there when I opened it again."),
    ("ada", "ben", "That is the idea:\nwhat was acknowledged arrives once, in order, on every device."),
    ("ben", "ada", "More about it: https://html.spec.whatwg.org/multipage/server-sent-events.html"),
    ("chloé", "ben", "Ben, bring the big bag."),
]


async def fill_if_empty(node: Node) -> None:
    """Let them talk, the first time. A person that answers has read the messages before.

    Of nodes that start at the same time each may be the first: a message has a ``client_id``, so it is there once.
    """
    if await node.store.heads([UserId(user_id) for user_id in PEOPLE]):
        return
    for number, (one, other, text) in enumerate(_TALKS):
        sender, recipient = UserId(one), UserId(other)
        appended = await node.store.append(NewMessage(sender, recipient, text, "text", f"demo-{number}", None))
        await node.store.advance(sender, recipient, 0, appended.message.seq - 1)
