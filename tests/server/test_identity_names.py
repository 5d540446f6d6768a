"""Names and pictures by verified tokens, where no host tells them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lab.node import Node, Person, refused
from lab.process import wait_for

PICTURE = "https://pictures.example/ada.png"


def comes(node: Node, user_id: str, **claims: Any) -> Person:
    """Somebody with a token that says so; it was seen."""
    person = Person(node, user_id, node.token(user_id, **claims))
    person.inbox()
    return person


def seen(person: Person, peer: str) -> tuple[Any, Any]:
    """The name and picture of the other one, in the conversation and in the list."""
    user = person.history(peer)["user"]
    (listed,) = [each["user"] for each in person.inbox()["conversations"] if each["user"]["id"] == peer]
    assert listed == user
    return user["name"], user["avatar_url"]


def test_a_user_is_known_by_the_name_in_their_token_to_those_of_their_conversations(
    start_node: Callable[..., Node],
) -> None:
    """And to themselves, and to nobody else; another token changes it, one without a name does not. It holds after a
    restart."""
    node = start_node()
    ada, ben = comes(node, "ada", name="Ada Lovelace", picture=PICTURE), comes(node, "ben", name="Ben")
    ada.sends(ben, "hi")

    assert ("Ada Lovelace", PICTURE) == seen(ben, "ada")
    assert ("Ben", None) == seen(ada, "ben")
    assert "Ada Lovelace" == ada.history("ada")["user"]["name"]
    assert "ada" == comes(node, "eve").history("ada")["user"]["name"]
    comes(node, "ada")
    comes(node, "ada", name="Ada\nOkri", picture="http://pictures.example/ada.png")
    assert ("Ada Lovelace", PICTURE) == seen(ben, "ada")
    comes(node, "ada", name="Ada King")
    assert ("Ada King", None) == seen(ben, "ada")

    def is_kept() -> bool:
        return '"name": "Ada King"' in node.operates("export", "--user", "ada")

    wait_for(is_kept, 10, "the name in the database")
    node.kill()
    node.restart()
    assert ("Ada King", None) == seen(node.person("ben"), "ada")


def test_a_token_that_is_not_good_names_nobody(start_node: Callable[..., Node]) -> None:
    """Signed by somebody else, or expired; and a claim is another one where a setting says so."""
    node = start_node(name_claim="nickname")
    ada, ben = comes(node, "ada", name="not asked", nickname="ada l."), node.person("ben")
    ada.sends(ben, "hi")
    bad: dict[str, Any]
    for bad in ({"secret": "another secret of thirty-two bytes or more"}, {"ttl_s": -99}):
        forged = Person(node, "ada", node.token("ada", nickname="Eve", **bad))
        refused(forged.gets("/inbox/me"), 401, "unauthorized")

    assert ("ada l.", None) == seen(ben, "ada")
    node.operates("erase", "--user", "ada")
    assert "" == node.operates("export", "--user", "ada")
