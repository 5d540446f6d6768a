"""How a command ends: its exit code, and what it says of it on standard error."""

from __future__ import annotations

import sys
from typing import Final

from tidings.errors import DatabaseAway, NotNow, ProtocolViolation, ServerProblem, StreamLost
from tidings.terminal_text import harmless

DONE: Final = 0
REFUSED: Final = 1
MISUSED: Final = 2
NOT_KNOWN: Final = 3
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it
READER_GONE: Final = 141  # 128 + SIGPIPE

EXIT_CODES: Final = """\
exit codes:
  0    done; for send: the message is committed
  1    the server refused, or a check found a fault; trying again will not help.
       For serve: it cannot start, or go on, now; starting it again may help
  2    wrong usage or configuration; nothing was done
  3    the server or the database could not be reached, or gave no clear answer;
       for send: not known to be committed
  130  interrupted by Ctrl-C (tail has printed its cursor)
  141  the reader of the output went away
"""


def note(text: str) -> None:
    """Say something beside the result."""
    print(harmless(text), file=sys.stderr, flush=True)


def complain(text: str) -> None:
    """Say why it failed, and what to do."""
    note(f"tidings: {text}")


def exit_code(error: Exception) -> int:
    """The code of docs/run/cli.md for what went wrong."""
    from tidings.protocol.retry import is_temporary

    match error:
        case ServerProblem():
            return NOT_KNOWN if is_temporary(error.status) else REFUSED
        case StreamLost() | ProtocolViolation() | DatabaseAway():
            return NOT_KNOWN
        case NotNow():
            return REFUSED
        case _:
            return MISUSED
