"""``doctor`` and ``bench``: a server, looked at from outside."""

from __future__ import annotations

import argparse
import json
import uuid
from collections.abc import Callable

from tidings.cli import credentials
from tidings.cli.arguments import Parser, count, seconds, text
from tidings.cli.outcome import DONE, NOT_KNOWN, REFUSED
from tidings.cli.serve import TOKEN_TTL_DEFAULT_S, mint
from tidings.extra import needs
from tidings.terminal_text import harmless


def add(command: Callable[..., Parser]) -> None:
    """Add these commands."""
    doctor = command(
        "doctor",
        _doctor,
        "look at a server from outside and name what is in the way",
        credentials.HELP,
    )
    doctor.add_argument(
        "url", metavar="URL", type=text, help="of the server, or of its API, such as https://example.org"
    )
    doctor.add_argument("--idle", metavar="S", type=seconds, default=0, help="hold a silent stream for so many seconds")
    credentials.add(doctor)
    bench = command(
        "bench", _bench, "load a server, and count what arrives", "Reads TIDINGS_SECRET. Its messages stay."
    )
    bench.add_argument("url", metavar="URL", type=text, help="of the server, or of its API")
    bench.add_argument(
        "--streams", metavar="N", type=count, default=1000, help="idle streams of users of their own (%(default)s)"
    )
    bench.add_argument(
        "--pairs", metavar="N", type=count, default=500, help="pairs of people, one writes to the other (%(default)s)"
    )
    bench.add_argument("--devices", metavar="N", type=count, default=1, help="streams of each of them (%(default)s)")
    bench.add_argument("--connections", metavar="N", type=count, default=64, help="connections that send (%(default)s)")
    bench.add_argument("--rate", metavar="R", type=count, default=0, help="messages a second; 0: as many as go")
    bench.add_argument("--seconds", metavar="S", type=seconds, default=10, help="how long (%(default)s)")
    bench.add_argument("--json", action="store_true", help="print one JSON object")


def _doctor(options: argparse.Namespace) -> int:
    from tidings.client.doctor import examine

    kinds = set()
    token, headers = credentials.token(), credentials.fields(options)
    for found in examine(options.url, token, headers=headers, idle_s=options.idle):
        kinds.add(found.kind)
        shown = {"ok": "ok", "note": "note"}.get(found.kind, "FAULT")
        end = "" if found.text.endswith((".", "!", "?")) else "."  # a server's sentence has its own
        said = f"{found.text}{end} Do: {found.do}" if found.do else found.text
        print(harmless(f"{shown:<6}{found.name}: {said}"), flush=True)
    return NOT_KNOWN if "unreachable" in kinds else REFUSED if "fault" in kinds else DONE


def _bench(options: argparse.Namespace) -> int:
    with needs("tidings bench needs uvloop", "server"):
        from tidings.bench.dialect import tidings
        from tidings.bench.run import Plan, is_whole, run, table
    from tidings.client.call import api_url

    token_for, url = mint(), api_url(options.url)
    plan = Plan(
        idle_streams=options.streams,
        pairs=options.pairs,
        devices=options.devices,
        connections=options.connections,
        rate=options.rate,
        seconds=options.seconds,
    )
    dialect = tidings(url, lambda user: token_for(user, TOKEN_TTL_DEFAULT_S))
    outcome = run(dialect, url, plan, name=f"bench-{uuid.uuid4().hex[:8]}")
    print(json.dumps(outcome._asdict()) if options.json else table(outcome))
    return DONE if is_whole(outcome) and not outcome.refused else REFUSED
