"""Readers that never read: what one of them costs the server and its kernel, and whether anybody else notices."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from lab.crowd import Follower, Letter, metric, until_acknowledged
from lab.faults.rounds import Outcome, judge
from lab.node import API, Node, Person
from lab.process import wait_for

COST_MAX_KIB = 256
RECEIVE_BUFFER_BYTES = 4_096  # theirs: what a kernel of another machine would hold is not the server's cost


def never_reads(directory: Path, readers: int, *, messages: int, text_bytes: int = 4_096, **limits: Any) -> Outcome:
    """So many streams of one user are opened and not read while as much comes for them; another stream of the user is.

    The same flood goes to a node without them first: the database's page cache grows with what is written.
    """
    outcome = Outcome(f"{readers} readers that never read", rounds=1)
    grown_kib = kernel_kib = 0.0
    for count in (0, readers):
        more = {"streams_per_user_max": readers + 10, "write_blocked_max_s": 300, **limits}
        with Node(directory / str(count), **more) as node:
            ada, ben = node.person("ada"), node.person("ben")
            start = {"ada": ada.head(), "ben": ben.head()}
            reader = Follower(ben, start["ben"]).open()
            stuck = [unread(ben) for _ in range(count)]
            wait_for_streams(node, count + 1)
            before = resident_kib(node)
            letters = [Letter(ada, ben, f"{number} {'x' * text_bytes}", f"{number}") for number in range(messages)]
            begun = time.monotonic()
            until_acknowledged(letters, deadline_s=120)
            reader.wait_at_head(60)
            took_s = time.monotonic() - begun
            grown_kib, without_kib = resident_kib(node) - before, grown_kib
            kernel_kib = kernel_memory_kib(node)
            if count:
                each_kib = (max(0.0, grown_kib - without_kib) + kernel_kib) / count
                outcome.figures |= {"flood_s_with_them": round(took_s, 2), "kib_of_each": round(each_kib, 1)}
                outcome.figures |= {"kib_of_each_in_the_kernel": round(kernel_kib / count, 1)}
                outcome.expects(each_kib <= COST_MAX_KIB, f"each costs {each_kib:.0f} KiB")
                outcome.adds(judge(letters, start, [reader]))
                open_now = metric(node.url, "tidings_streams_open")
                outcome.expects(open_now == count + 1, "one was let go before the measurement")
            else:
                outcome.figures["flood_s_without"] = round(took_s, 2)
            for each in stuck:
                each.close()
            node.kill()
    return outcome


def wait_for_streams(node: Node, count: int) -> None:
    """Wait until so many are open."""
    wait_for(lambda: metric(node.url, "tidings_streams_open") == count, 20, f"{count} streams")


def unread(person: Person) -> socket.socket:
    """A client that asks for its stream and reads nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    client.connect(person.address)
    client.sendall(f"GET {API}/sse/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {person.token}\r\n\r\n".encode())
    return client


def resident_kib(node: Node) -> float:
    """RSS of the node's process."""
    assert node.process is not None
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{node.process.pid}/status").read_text())
    assert found
    return float(found[1])


def kernel_memory_kib(node: Node) -> float:
    """Return the kernel's memory for the node's connections, with its own overhead where `ss` tells it."""
    if shutil.which("ss") is None:
        return queued_kib(node)
    command = ["ss", "-tmnH", "state", "established", "sport", "=", f":{node.port}"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout
    held = re.findall(r"skmem:\(r(\d+),\S*?,f(\d+),w(\d+)", listed)
    assert held, f"ss shows no memory of sockets: {listed[:300]}"
    return max(queued_kib(node), sum(sum(map(int, parts)) for parts in held) / 1024)


def queued_kib(node: Node) -> float:
    """The bytes that the node wrote to its connections and the other side has not taken, from /proc/net/tcp."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ours = [fields[4] for fields in lines if int(fields[1].split(":")[1], 16) == node.port]
    return sum(int(queues.split(":")[0], 16) for queues in ours) / 1024
