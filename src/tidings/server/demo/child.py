"""A node of the demo, in a process of its own: what ``serve`` serves, and a token for whoever one says to be.

Rules of this file:

- It listens on loopback and answers to loopback names only: a page of somebody else's that points a name of its own at
  127.0.0.1 is refused.
- The parent says how (``Orders``), and the server ends with it: ``http/parent.py``.
- Standard output is one line for the parent: ``ready URL``, or ``failed SENTENCE``.
"""

from __future__ import annotations

import time
from typing import Any

import jwt
import msgspec
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tidings.errors import MethodNotAllowed, Problem, TidingsError
from tidings.protocol.encoding import encode_json
from tidings.server.api.answer import Answer, problem_answer
from tidings.server.api.request import read_json, read_user_id, require
from tidings.server.config import Config
from tidings.server.demo.limits import DRAIN_WINDOW_S, TOKEN_TTL_S
from tidings.server.demo.people import PEOPLE, fill_if_empty
from tidings.server.demo.tied import FAILED, READY
from tidings.server.http.parent import read_orders
from tidings.server.http.serve import run, served
from tidings.server.identity.cross_site import refuse_cross_site
from tidings.server.node import Node

HOSTS = ["127.0.0.1", "localhost"]
FAILED_EXIT_CODE = 2


class ControlAddress(msgspec.Struct):
    """Where a page finds the control, by what key, and of which origins it has to be: reached otherwise it has none."""

    url: str
    key: str
    origins: list[str]


class Orders(msgspec.Struct):
    """The parent's orders: the database's URL, the secret of the tokens, and what the page is told of the control."""

    db: str
    secret: str
    control: ControlAddress


def main() -> int:
    """Serve until told to stop, or until the parent has gone; the process's exit status."""
    orders = read_orders(Orders)
    # Whoever opens the demo is all of its people, and none of them a stranger; more may come under any name.
    config = Config(
        db=orders.db,
        secret=orders.secret,
        drain_window_s=DRAIN_WINDOW_S,
        stranger_receipts=True,
        stranger_profiles=True,
        stranger_recipients=True,
    )
    node = Node(config, people=lambda _ids: PEOPLE, owns_process=True)
    settings: dict[str, Any] = {
        "sign_in": "demo",
        "raw_ids": True,
        "people": [{"id": user, **profile} for user, profile in PEOPLE.items()],
        "control": msgspec.to_builtins(orders.control),
    }
    extra = [Route("/demo/token", _TokenEndpoint(config))]
    app = served(node, settings, extra, page_connects_to=orders.control.url)
    guarded = TrustedHostMiddleware(app, allowed_hosts=HOSTS, www_redirect=False)
    try:
        return run(
            node,
            guarded,
            host=HOSTS[0],
            port=0,
            prepare=fill_if_empty,
            ready_text=lambda url: f"{READY}{url}",
        )
    except (TidingsError, OSError) as failure:
        print(f"{FAILED}{failure}", flush=True)
        return FAILED_EXIT_CODE


class _TokenEndpoint:
    """``POST /demo/token`` with ``{"as": user}``: a token for whoever one says to be."""

    def __init__(self, config: Config) -> None:
        self._config = config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(scope, receive)
        except Problem as problem:
            answer = problem_answer(problem)
        await answer.write(scope, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        if scope["method"] != "POST":
            raise MethodNotAllowed("POST")
        refuse_cross_site(scope, frozenset())  # there is no other proof of who asks
        body = await read_json(scope, receive, self._config, None)
        require(body, **{"as": str})
        claims = {"sub": read_user_id(body["as"]), "exp": int(time.time()) + TOKEN_TTL_S}
        return Answer(200, encode_json({"token": jwt.encode(claims, self._config.secret, algorithm="HS256")}))


if __name__ == "__main__":
    raise SystemExit(main())
