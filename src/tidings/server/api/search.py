"""``GET /people?q=``: people whom the host's search finds, so that a user writes to a name and not to an id.

Rules
1. The search is the host's: it gets the caller, and whom it leaves out is not found. Where it gave none there is none.
2. A block changes nothing in what is found: else a search would tell the blocked one of it.
3. Without ``q`` this is the history with a user who is called people.
"""

from __future__ import annotations

import unicodedata

from starlette.types import Receive, Scope

from tidings.errors import NotFound, Unprocessable
from tidings.protocol.encoding import encode_json
from tidings.protocol.shapes import FoundPeople
from tidings.server.api.answer import Answer
from tidings.server.api.history import history_with
from tidings.server.api.request import last_segment, read_query
from tidings.server.host.functions import find_people
from tidings.server.node import Node

SEARCH_TEXT_LENGTH_MAX = 64  # characters: longer than the part of a name that anybody types


async def get_people(node: Node, scope: Scope, _receive: Receive) -> Answer:
    """The people whom the host finds for the caller."""
    caller = await node.identity.identify(scope)
    query = read_query(scope)
    if "q" not in query:
        return await history_with(node, caller.user, last_segment(scope), query)
    if node.search_people is None:
        raise NotFound("no_people_search", "People cannot be searched for here.")
    text = _read_text(query["q"])
    caller.take(node.rates.people_searches)
    people = await find_people(node.search_people, caller.user, text)
    return Answer(200, encode_json(FoundPeople(q=text, people=people)))


def _read_text(given: str) -> str:
    text = unicodedata.normalize("NFC", given.strip())
    if not 1 <= len(text) <= SEARCH_TEXT_LENGTH_MAX:
        raise Unprocessable("bad_query", f"q has 1 to {SEARCH_TEXT_LENGTH_MAX} characters besides space around them.")
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise Unprocessable("bad_query", "q has no control characters.")
    return text
