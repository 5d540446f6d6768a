"""The command line: parses, calls, prints.

Rules of this package:

- Every failure is one line on standard error that says what to do, and an exit code of ``docs/run/cli.md``.
- Standard output carries results only; what is printed of other people's text cannot steer a terminal.
- A command imports what it needs when it runs, so that ``send`` does not load a server.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import NoReturn

from tidings.cli import examine, key, operate, read, serve, talk
from tidings.cli.arguments import Parser
from tidings.cli.outcome import DONE, EXIT_CODES, INTERRUPTED, READER_GONE, complain, exit_code
from tidings.errors import TidingsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    _open_standard_files()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 gets escapes, not a traceback
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes once more at its end, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except (TidingsError, ValueError, OSError) as error:
        complain(str(error))
        return exit_code(error)
    return code


def _open_standard_files() -> None:
    """Open /dev/null in place of standard files that are closed, as some start a service: else what is opened next
    gets their numbers, the database for one, and our lines are written into it."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, "w" if descriptor else "r", encoding="utf-8", closefd=False))  # noqa: SIM115


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="tidings",
        description="Real-time direct messaging over Server-Sent Events.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print which Tidings this is")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], help: str, more: str = "") -> Parser:
        added: Parser = commands.add_parser(
            name,
            help=help,
            description=f"{help[0].upper()}{help[1:]}. {more}".strip(),
            epilog=EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        added.set_defaults(run=run)
        return added

    for each in (serve, talk, read, operate, key, examine):
        each.add(command)
    return parser


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, *_: object) -> NoReturn:
        print(f"tidings {version('tidings')}")
        raise SystemExit(DONE)
