"""One of the processes of ``tidings serve --workers N``; see workers.py for how they are kept.

Standard output is one line for the supervisor: ``Ready``, or ``Refused`` with the sentence why it does not serve.
"""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import msgspec

from tidings.errors import NotNow, TidingsError
from tidings.extra import TO_SERVE, needs
from tidings.server.config import Config
from tidings.server.http.parent import read_orders
from tidings.server.http.workers import NOT_NOW, WRONG, Orders, Ready, Refused
from tidings.server.logs import say


def main() -> int:
    """Serve until told to stop, or until the supervisor has gone; the process's exit status."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # until it serves there is nothing to finish
        signal.signal(number, lambda _number, _frame: os._exit(0))
    orders = read_orders(Orders)
    directory = Path(orders.directory)
    try:
        with needs(*TO_SERVE):
            from tidings.server.http.serve import PAGE_SETTINGS, run, served
            from tidings.server.http.siblings import SharedMetrics
            from tidings.server.node import Node

        metrics = SharedMetrics(directory, orders.number)
        node = Node(Config.from_environment(os.environ, db=orders.db), owns_process=True, metrics=metrics)
        return run(
            node,
            served(node, PAGE_SETTINGS),
            host=orders.host,
            port=orders.port,
            ready_text=lambda _url: _line(Ready()),
            prepare=lambda _node: metrics.answer_siblings(),
            worker=orders.number,
        )
    except (TidingsError, OSError) as failure:
        is_temporary = isinstance(failure, (NotNow, OSError))
        say(_line(Refused(str(failure), is_temporary=is_temporary)))
        return NOT_NOW if is_temporary else WRONG
    finally:
        if os.getppid() != orders.supervisor:  # which would have removed it
            shutil.rmtree(directory, ignore_errors=True)


def _line(word: Ready | Refused) -> str:
    return msgspec.json.encode(word).decode()


if __name__ == "__main__":
    raise SystemExit(main())
