"""A service key that is revoked while it has something open, on each node: PROTOCOL.md 2.7."""

from __future__ import annotations

import threading
from typing import Any

from lab.node import Keyed, Node, Person, refused
from lab.process import wait_for
from tidings.server.identity.service_keys import KEYS_KEPT_S
from tidings.server.live.ending import REVOKE_GOODBYE_MAX_S


# shows: security/revoked-key, nodes/service-keys
def test_what_a_revoked_key_has_open_ends(node: Node, alice: Person) -> None:
    """Streams with goodbye and a clean end and waiting polls with 401, on each node; what the user has open by a token
    goes on. A new key of this name does not bring the former back. PROTOCOL 2.7.5, 2.7.6, 2.6.1, 2.6.2"""
    name = f"shop of {alice.id}".replace(" ", "-")
    shop, person = Keyed(node, node.makes_key(name)), node.person(name)
    cursor, answers = shop.head(), list[Any]()
    polls = [
        threading.Thread(target=lambda: answers.append(shop.gets("/events/me", cursor=cursor, wait=25)))
        for _ in range(2)
    ]
    streams = [shop.opens_stream().live() for _ in range(4)]
    with person.opens_stream().live() as bystander:
        for poll in polls:
            poll.start()
        node.operates("key", "revoke", name)
        for stream in streams:
            assert "token_expired" == stream.until("goodbye").data["reason"]
            stream.to_end()
            assert "clean" == stream.ended
        for poll in polls:
            poll.join()
        for answer in answers:
            refused(answer, 401, "unauthorized")
        node.makes_key(name)
        for _ in range(4):
            refused(shop.gets("/inbox/me"), 401, "unauthorized")
            refused(shop.gets("/sse/me"), 401, "unauthorized")
            refused(shop.posts("/send", {"recipientId": alice.id, "text": "x"}), 401, "unauthorized")
        alice.sends(name, "still here?")
        assert "still here?" == bystander.until("new_message").data["text"]
    wait_for(lambda: f"service keys revoked: {name}" in node.stderr)
    assert KEYS_KEPT_S + REVOKE_GOODBYE_MAX_S < 1, "the second of 2.7.5 and 2.7.6"
