"""Somebody who asks a server for something small at a steady pace, while it has much else to do: how long it waits.

A process of its own, so that the load's own pauses are not taken for the server's. The moment counts at which the
kernel received the answer, not the one at which this process came to read it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

COUNTER = b"-00000000"  # in a request: becomes the number of the request
ANSWER_MAX_S = 30.0
_SO_TIMESTAMPNS = 35  # socket(7); has no name in Python's module
_TIMESPEC = struct.Struct("qq")


class Waited(NamedTuple):
    """How long answers took, in milliseconds, and how many there were."""

    answers: int
    p99_ms: float
    worst_ms: float


class Probe:
    """A running probe; asks every ``interval_s`` until it is stopped."""

    def __init__(self, port: int, request: bytes, interval_s: float) -> None:
        task = {"port": port, "request": request.decode("latin-1"), "interval_s": interval_s}
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), json.dumps(task)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()  # it has its first answer

    def stop(self) -> Waited:
        """End it; what it saw."""
        self._process.send_signal(signal.SIGTERM)
        said, _ = self._process.communicate(timeout=2 * ANSWER_MAX_S)
        if self._process.returncode:
            raise SystemExit("the probe was not answered")
        return Waited(**json.loads(said))


def ask_until_told(port: int, request: bytes, interval_s: float) -> Waited:
    """Ask, one request at a time, until SIGTERM."""
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: told.append(number))
    with suppress(PermissionError):  # before the load on the same CPU; it does next to nothing
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    waits: list[int] = []
    with socket.create_connection(("127.0.0.1", port), ANSWER_MAX_S) as connection:
        connection.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        due, number = time.monotonic(), 0
        while not told:
            number += 1
            began = time.time_ns()
            connection.sendall(request.replace(COUNTER, b"-%08d" % number))
            waits.append(_answered(connection) - began)
            if number == 1:
                print("ready", flush=True)
                waits.clear()  # the first one made a conversation, and met a cold server
                due = time.monotonic()
            due = max(due + interval_s, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
    in_order = sorted(waits)
    return Waited(len(waits), in_order[round(0.99 * (len(waits) - 1))] / 1e6, in_order[-1] / 1e6)


def _answered(connection: socket.socket) -> int:
    """When the answer's last bytes came, in nanoseconds since 1970."""
    received = b""
    while True:
        data, notes, _, _ = connection.recvmsg(65536, 256)
        if not data:
            raise ConnectionError("the connection was closed")
        received += data
        head, end, body = received.partition(b"\r\n\r\n")
        fields = head.lower().partition(b"content-length:")[2]
        if end and (len(body) >= int(fields.split()[0]) if fields else body.endswith(b"0\r\n\r\n")):
            for level, kind, value in notes:
                if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                    seconds, nanoseconds = _TIMESPEC.unpack(value)
                    return int(seconds * 1_000_000_000 + nanoseconds)
            return time.time_ns()


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    print(json.dumps(ask_until_told(given["port"], given["request"].encode("latin-1"), given["interval_s"])._asdict()))
