"""A link between two network namespaces that loses, delays, doubles and swallows packets, as it is told.

Run as a program it makes two namespaces, each with one end of the link (a TUN device) and nothing else, prints the
descriptors by which others enter them, and passes IP packets from one to the other. Each line on its stdin is a JSON
object with new settings. Kernels without netem have no other way to lose packets; TCP on both sides is the real one.

    loss       0..1, of each packet, either way          delay_s    that each takes
    jitter_s   at most so much more, by chance: so they overtake each other
    double     0..1, of each packet                      hole       nothing passes
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import struct
import subprocess
import sys
import time
from typing import Any

SERVER_ADDRESS, CLIENT_ADDRESS = "10.77.0.1", "10.77.0.2"
CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
PACKET_SIZE_MAX_BYTES = 65536
WELL: dict[str, Any] = {"loss": 0.0, "delay_s": 0.0, "jitter_s": 0.0, "double": 0.0, "hole": False}


class Link:
    """The program, started, and told."""

    def __init__(self) -> None:
        command = [sys.executable, __file__]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        said = self._process.stdout.readline().split()
        if not said:
            raise OSError("no link: it needs root, or user namespaces, and /dev/net/tun")
        server, client = (f"/proc/{self._process.pid}/fd/{int(number)}" for number in said)
        self.under = ["nsenter", f"--net={server}"]
        self._client = client

    def enter(self) -> None:
        """Go to the client's side, with all threads and processes that are started from now on."""
        with open(self._client) as namespace:
            check(ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET))

    def told(self, **settings: object) -> None:
        """From now on."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(WELL | settings).encode() + b"\n")
        self._process.stdin.flush()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


def check(result: int) -> None:
    """Raise what the C library says went wrong."""
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def make_side(address: str) -> tuple[int, int]:
    """Move to a new namespace with one end of the link: descriptors of the namespace and of the end."""
    check(ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET))
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", b"wire0", IFF_TUN | IFF_NO_PI))
    for command in (
        "link set lo up",
        f"addr add {address}/24 dev wire0",
        "link set wire0 up",
    ):
        subprocess.run(["ip", *command.split()], check=True)
    return os.open("/proc/self/ns/net", os.O_RDONLY), end


def pass_packets(ends: tuple[int, int]) -> None:
    """For ever, or until stdin ends."""
    rng = random.Random(1)
    settings = dict(WELL)
    waiting: list[tuple[float, int, int, bytes]] = []  # when, a number for ties, to which end, what
    count = 0
    while True:
        timeout_s = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        ready, _, _ = select.select([*ends, 0], [], [], timeout_s)
        if 0 in ready:
            line = sys.stdin.readline()
            if not line:
                return
            settings = json.loads(line)
        for end in ends:
            if end not in ready:
                continue
            packet = os.read(end, PACKET_SIZE_MAX_BYTES)
            if settings["hole"] or rng.random() < settings["loss"]:
                continue
            for _ in range(1 + (rng.random() < settings["double"])):
                count += 1
                at = time.monotonic() + settings["delay_s"] + rng.random() * settings["jitter_s"]
                heapq.heappush(waiting, (at, count, ends[1 - ends.index(end)], packet))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, end, packet = heapq.heappop(waiting)
            os.write(end, packet)


if __name__ == "__main__":
    server, server_end = make_side(SERVER_ADDRESS)
    client, client_end = make_side(CLIENT_ADDRESS)
    print(server, client, flush=True)
    pass_packets((server_end, client_end))
