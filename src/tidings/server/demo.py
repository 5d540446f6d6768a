"""``tidings demo``: a server that needs nothing, with a few people who have already talked.

Identity is whoever the page says, so it listens on loopback only and answers to loopback names only: a page of
somebody else's that points a name of its own at 127.0.0.1 is refused.
"""

from __future__ import annotations

import secrets
import time

import jwt
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tidings.errors import MethodNotAllowed, Problem
from tidings.protocol.events import UserId, encode_json
from tidings.server.answer import Answer, problem_answer
from tidings.server.config import Config
from tidings.server.node import Node
from tidings.server.request import read_json, read_user_id, require
from tidings.server.run import run, served
from tidings.server.store import NewMessage

DEMO_DATABASE = "sqlite:///tidings-demo.db"
TOKEN_TTL_S = 300  # short, so that the demo shows renewal
DRAIN_WINDOW_S = 1.0  # somebody waits at a terminal
HOSTS = ["127.0.0.1", "localhost"]

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


def run_demo(*, port: int, db: str | None = None) -> int:
    """Serve the demo until told to stop; the process's exit status.

    Raises:
        TidingsError: It cannot start; the text says what to do.
    """
    config = Config(db=db or DEMO_DATABASE, secret=secrets.token_hex(32), drain_window_s=DRAIN_WINDOW_S)
    node = Node(config, people=lambda _ids: PEOPLE, owns_process=True)
    people = [{"id": user, **profile} for user, profile in PEOPLE.items()]
    app = served(node, {"sign_in": "demo", "people": people}, [Route("/demo/token", _TokenEndpoint(config))])
    guarded = TrustedHostMiddleware(app, allowed_hosts=HOSTS, www_redirect=False)
    return run(
        node,
        guarded,
        host="127.0.0.1",
        port=port,
        prepare=_fill_if_empty,
        ready_text=lambda url: (
            f"Tidings serves {url}\n\n  Ada   {url}/?as=ada\n  Ben   {url}/?as=ben\n\n"
            "Open both, in two windows of one browser, and write. Ctrl-C ends it;\n"
            f"the messages stay in {config.db.removeprefix('sqlite:///')}."
        ),
    )


class _TokenEndpoint:
    """``POST /demo/token`` with ``{"as": user}``: a token for whoever one says to be."""

    def __init__(self, config: Config) -> None:
        self._config = config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            answer = await self._answer(scope, receive)
        except Problem as problem:
            answer = problem_answer(problem)
        await answer.write(send)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        if scope["method"] != "POST":
            raise MethodNotAllowed("POST")
        body = await read_json(scope, receive, self._config)
        require(body, **{"as": str})
        claims = {"sub": read_user_id(body["as"]), "exp": int(time.time()) + TOKEN_TTL_S}
        return Answer(200, encode_json({"token": jwt.encode(claims, self._config.secret, algorithm="HS256")}))


async def _fill_if_empty(node: Node) -> None:
    """Let the people of the demo talk, the first time. Who answers has read what came before."""
    if await node.store.heads([UserId(user_id) for user_id in PEOPLE]):
        return
    for one, other, text in _TALKS:
        sender, recipient = UserId(one), UserId(other)
        appended = await node.store.append(NewMessage(sender, recipient, text, "text", None, None))
        await node.store.advance(sender, recipient, 0, appended.message.seq - 1)
