"""``serve``, ``demo`` and ``token``: a server, and who may use it."""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tidings.cli.arguments import Parser, count, given, person, port, seconds
from tidings.cli.outcome import DONE
from tidings.errors import ConfigurationError, DatabaseAway, NotNow
from tidings.extra import TO_SERVE, needs

if TYPE_CHECKING:
    from tidings.server.config import Config

TOKEN_TTL_DEFAULT_S: Final = 3600


def add(command: Callable[..., Parser]) -> None:
    """Add these commands."""
    serve = command("serve", _serve, "serve users until SIGTERM or Ctrl-C", "Settings: TIDINGS_* in the environment.")
    serve.add_argument(
        "--host", type=given, default="127.0.0.1", help="address to listen on, * for every one (default: %(default)s)"
    )
    serve.add_argument("--port", type=port, default=8000, help="0 takes a free one (default: %(default)s)")
    serve.add_argument(
        "--db", metavar="URL", type=given, help="such as sqlite:///tidings.db (default: TIDINGS_DB, or that)"
    )

    serve.add_argument(
        "--workers",
        metavar="N",
        type=count,
        help="processes on the port, with PostgreSQL (default: TIDINGS_WORKERS, or 1)",
    )

    demo = command("demo", _demo, "serve a demo with a few people on this machine only")
    demo.add_argument("--port", type=port, default=8787, help="(default: %(default)s)")
    demo.add_argument("--db", metavar="URL", type=given, help="another database than the demo's own")
    demo.add_argument(
        "--nodes", metavar="N", type=count, default=1,
        help="server processes, on a PostgreSQL server of the demo's own or on that of --db (default: %(default)s)",
    )  # fmt: skip

    token = command("token", _token, "print a token for a user", "Reads TIDINGS_SECRET, the server's own.")
    token.add_argument("user", metavar="USER", type=person, help="user id")
    token.add_argument(
        "--ttl", metavar="S", type=seconds, default=TOKEN_TTL_DEFAULT_S, help="seconds it lives (default: %(default)s)"
    )
    token.add_argument("--name", metavar="NAME", type=given, help="the name that others see (default: the user id)")
    token.add_argument("--picture", metavar="URL", type=given, help="their picture, an https address")


def _serve(options: argparse.Namespace) -> int:
    # Until it serves there is nothing to finish. A container's first process would not even hear SIGTERM.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: os._exit(DONE))

    from tidings.server.config import Config

    config = Config.from_environment(os.environ, db=options.db, workers=options.workers)
    try:
        if config.workers > 1:
            with needs(*TO_SERVE):  # its workers ask for the rest
                from tidings.server.http.workers import serve_with_workers

            return serve_with_workers(config, host=options.host, port=options.port, db=options.db) or DONE
        with needs(*TO_SERVE):
            from tidings.server.http.serve import serve

        return serve(config, host=options.host, port=options.port) or DONE
    except (OSError, DatabaseAway) as failure:  # what a restart does not mend has a sentence of its own
        raise NotNow(str(failure)) from failure


def _demo(options: argparse.Namespace) -> int:
    with needs("tidings demo needs uvicorn", "server"):
        from tidings.server.demo.run import run_demo

    return run_demo(port=options.port, db=options.db, nodes=options.nodes) or DONE


def _token(options: argparse.Namespace) -> int:
    print(mint(options.name, options.picture)(options.user, options.ttl))
    return DONE


def mint(name: str | None = None, picture: str | None = None) -> Callable[[str, int], str]:
    """Return the function that makes a token for a user, of so many seconds, with the server's own secret.

    Args:
        name: What the server shows instead of the user id.
        picture: The https address of what it shows beside it.
    """
    with needs("a token needs PyJWT", "server"):
        import jwt

    from tidings.protocol.user_id import check_user_id
    from tidings.server.config import Config

    names = ("SECRET", "ISSUER", "AUDIENCE", "AUTHORIZED_PARTIES", "USER_CLAIM", "NAME_CLAIM", "PICTURE_CLAIM")
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
    shared |= _profile(name, picture, config, taken={config.user_claim, "iat", "exp", *shared})

    def mint(user: str, ttl_s: int) -> str:
        now = int(time.time())
        claims = {config.user_claim: check_user_id(user), "iat": now, "exp": now + ttl_s, **shared}
        return jwt.encode(claims, config.secret, algorithm="HS256")

    return mint


def _profile(name: str | None, picture: str | None, config: Config, *, taken: set[str]) -> dict[str, str]:
    """The claims in which the server looks for a name and a picture. A value that it would ignore is refused here.

    Raises:
        ConfigurationError: The server would show neither this name nor this picture; the text says why.
    """
    from tidings.server.identity.claims import NAME_LENGTH_MAX, PICTURE_LENGTH_MAX, read_profile

    claims: dict[str, str] = {}
    for option, claim, value in (
        ("name", config.name_claim, name),
        ("picture", config.picture_claim, picture),
    ):
        if value is None:
            continue
        if claim in taken or claim in claims:
            raise ConfigurationError(
                f"--{option} has no place in the token: TIDINGS_{option.upper()}_CLAIM is {claim!r}, which says"
                " something else; name another claim, on the server too"
            )
        claims[claim] = value
    shown = read_profile(claims, config.name_claim, config.picture_claim)
    if name is not None and (shown is None or shown.name is None):
        raise ConfigurationError(
            f"--name is nothing that the server shows: it takes one line of 1 to {NAME_LENGTH_MAX} characters"
        )
    if picture is not None and (shown is None or shown.picture is None):
        raise ConfigurationError(
            "--picture is nothing that the server shows: it takes an address that begins with https://, without user,"
            f" blanks or quotes, of at most {PICTURE_LENGTH_MAX} ASCII characters"
        )
    return claims
