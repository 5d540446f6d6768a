"""``serve``, ``demo`` and ``token``: a server, and who may use it."""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Callable
from typing import Final

from tidings.cli.arguments import Parser, given, port, seconds
from tidings.cli.outcome import DONE
from tidings.errors import ConfigurationError, NotNow

TOKEN_TTL_DEFAULT_S: Final = 3600


def add(command: Callable[..., Parser]) -> None:
    """Add these commands."""
    serve = command("serve", _serve, "serve users until SIGTERM or Ctrl-C", "Settings: TIDINGS_* in the environment.")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=port, default=8000, help="0 takes a free one (default: %(default)s)")
    serve.add_argument(
        "--db", metavar="URL", type=given, help="such as sqlite:///tidings.db (default: TIDINGS_DB, or that)"
    )

    demo = command("demo", _demo, "serve a demo with a few people on this machine only")
    demo.add_argument("--port", type=port, default=8787, help="(default: %(default)s)")
    demo.add_argument("--db", metavar="URL", type=given, help="another database than the demo's own")

    token = command("token", _token, "print a token for a user", "Reads TIDINGS_SECRET, the server's own.")
    token.add_argument("user", metavar="USER", help="user id")
    token.add_argument(
        "--ttl", metavar="S", type=seconds, default=TOKEN_TTL_DEFAULT_S, help="seconds it lives (default: %(default)s)"
    )


def _serve(options: argparse.Namespace) -> int:
    # Until it serves there is nothing to finish. A container's first process would not even hear SIGTERM.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: os._exit(DONE))

    from tidings.server.config import Config
    from tidings.server.http.serve import serve

    config = Config.from_environment(os.environ, db=options.db)
    try:
        return serve(config, host=options.host, port=options.port) or DONE
    except OSError as failure:  # what a restart does not mend has a sentence of its own
        raise NotNow(str(failure)) from failure


def _demo(options: argparse.Namespace) -> int:
    from tidings.server.demo.run import run_demo

    return run_demo(port=options.port, db=options.db) or DONE


def _token(options: argparse.Namespace) -> int:
    print(mint()(options.user, options.ttl))
    return DONE


def mint() -> Callable[[str, int], str]:
    """Return the function that makes a token for a user, of so many seconds, with the server's own secret."""
    import jwt

    from tidings.protocol.user_id import check_user_id
    from tidings.server.config import Config

    names = ("SECRET", "ISSUER", "AUDIENCE", "AUTHORIZED_PARTIES", "USER_CLAIM")
    config = Config.from_environment({f"TIDINGS_{name}": os.environ.get(f"TIDINGS_{name}", "") for name in names})
    if not config.secret:
        raise ConfigurationError(
            "TIDINGS_SECRET is not set: set it to the secret of the server; make one with: openssl rand -hex 32"
        )
    shared: dict[str, object] = {}
    if config.issuer:
        shared["iss"] = config.issuer
    if config.audience:
        shared["aud"] = config.audience[0]
    if config.authorized_parties:
        shared["azp"] = config.authorized_parties[0]

    def mint(user: str, ttl_s: int) -> str:
        now = int(time.time())
        claims = {config.user_claim: check_user_id(user), "iat": now, "exp": now + ttl_s, **shared}
        return jwt.encode(claims, config.secret, algorithm="HS256")

    return mint
