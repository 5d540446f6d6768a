"""``doctor`` and ``bench``: a server, looked at from outside."""

from __future__ import annotations

import argparse
import json
import os
import uuid
from collections.abc import Callable

from tidings.cli.arguments import Parser, count, field, name_and_value, seconds, text
from tidings.cli.outcome import DONE, NOT_KNOWN, REFUSED
from tidings.cli.serve import TOKEN_TTL_DEFAULT_S, mint
from tidings.terminal_text import harmless


def add(command: Callable[..., Parser]) -> None:
    """Add these commands."""
    doctor = command(
        "doctor",
        _doctor,
        "look at a server from outside and name what is in the way",
        "Reads TIDINGS_TOKEN. --cookie and --header are for applications with a sign-in of their own; other users of"
        " this machine can see what is on a command line.",
    )
    doctor.add_argument(
        "url", metavar="URL", type=text, help="of the server, or of its API, such as https://example.org"
    )
    doctor.add_argument("--idle", metavar="S", type=seconds, default=0, help="hold a silent stream for so many seconds")
    doctor.add_argument(
        "--cookie",
        metavar="C",
        type=field,
        action="append",
        default=[],
        help="such as sessionid=k3v9, as a browser sends it",
    )
    doctor.add_argument(
        "--header", metavar="H", type=field, action="append", default=[], help="such as 'X-Api-Key: k3v9'"
    )
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

    headers = [name_and_value(each) for each in options.header]
    if options.cookie:
        headers.append(("Cookie", "; ".join(options.cookie)))
    kinds = set()
    token = os.environ.get("TIDINGS_TOKEN", "").strip() or None
    for found in examine(options.url, token, headers=headers, idle_s=options.idle):
        kinds.add(found.kind)
        shown = {"ok": "ok", "note": "note"}.get(found.kind, "FAULT")
        print(harmless(f"{shown:<6}{found.name}: {found.text}" + (f". Do: {found.do}" if found.do else "")), flush=True)
    return NOT_KNOWN if "unreachable" in kinds else REFUSED if "fault" in kinds else DONE


def _bench(options: argparse.Namespace) -> int:
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
