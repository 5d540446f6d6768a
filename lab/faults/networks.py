"""Networks that break between our own clients and a node: one writes, two devices of another read.

The writer and one device are the Python client, the other device is the package for JavaScript, in Node. All of them
go through the tests' proxy. Nothing is sent or read around it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from lab.faults.rounds import Outcome
from lab.javascript import JavaScript
from lab.node import Node
from lab.process import wait_for
from lab.proxy import Proxy
from tidings.client import Client, ConnectionState
from tidings.errors import ProtocolViolation, ServerProblem, StreamLost

WRITE_EVERY_S = 0.03
BACK_WITHIN_S = 60.0
BEFORE, AFTER = 15, 15  # messages that arrive before it breaks, and after it is well again

JAVASCRIPT = """
    import { RealtimeService } from "./index.js";
    const tell = (said) => process.stdout.write(JSON.stringify(said) + "\\n");
    const service = new RealtimeService({
      url: process.env.API_URL, getToken: () => process.env.TOKEN, storage: "memory", shareStream: false,
    });
    service.on("connected", () => tell({ state: "connected" }));
    service.on("reconnecting", ({ reason }) => tell({ state: "reconnecting", reason }));
    service.on("connection_failed", () => tell({ state: "connection_failed" }));
    service.on("message", ({ text }) => tell({ text }));
    service.connect("ben");
"""


class Device:
    """A reader: the texts that it was given, in order, and when it first noticed that something broke."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.is_connected = threading.Event()
        self.noticed_at: list[float] = []

    def last(self) -> int:
        """The highest number that came."""
        return max(map(int, list(self.texts)), default=-1)


class PythonDevice(Device):
    """`Client.events` in a thread."""

    def __init__(self, url: str, token: str, cursor: str) -> None:
        super().__init__()
        self._client = Client(url, token)
        self._feed = self._client.events(cursor, on_state=self._told)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._feed.close()
        self._thread.join(20)
        self._client.close()

    def _told(self, state: ConnectionState) -> None:
        if state.status == "connected":
            self.is_connected.set()
        elif state.status == "waiting":
            self.noticed_at.append(time.monotonic())

    def _read(self) -> None:
        for event in self._feed:
            if event.message is not None:
                self.texts.append(event.message.text)
            elif event.type == "reset":
                self.texts.append("-1")  # is out of order: nothing has trimmed or restored


class JavaScriptDevice(Device):
    """`RealtimeService` in a process of Node."""

    def __init__(self, url: str, token: str, build: Path) -> None:
        super().__init__()
        self._program = JavaScript(build, JAVASCRIPT, {"API_URL": f"{url}/api/message", "TOKEN": token}, self._told)

    def close(self) -> None:
        self._program.close()

    def _told(self, told: dict[str, str]) -> None:
        if "text" in told:
            self.texts.append(told["text"])
        elif told["state"] == "connected":
            self.is_connected.set()
        elif told["state"] == "reconnecting":
            self.noticed_at.append(time.monotonic())


class Writer:
    """Sends 0, 1, 2 ... one after the other, each until it is acknowledged; a number is never given up."""

    def __init__(self, url: str, token: str) -> None:
        self.acknowledged = 0  # all numbers below are
        self.errors: list[str] = []
        self._client = Client(url, token, deadline_s=5)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._is_over.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), "the writer did not end"
        self._client.close()

    def _write(self) -> None:
        while not self._is_over.is_set():
            number = self.acknowledged
            try:
                self._client.send("ben", str(number), client_id=f"n{number}")
            except StreamLost:
                self.errors.append("StreamLost")
            except ServerProblem as problem:
                self.errors.append(f"{problem.status} {problem.code}")
            except ProtocolViolation as violation:  # something in between answered
                self.errors.append(f"ProtocolViolation: {violation}")
            else:
                self.acknowledged += 1
            self._is_over.wait(WRITE_EVERY_S)


def broken_network(node: Node, build: Path, name: str, breaks: Callable[[Proxy], None], hold_s: float) -> Outcome:
    """Break the network so, hold it so long, and restore it: what the clients made of it.

    The node must be running, with a heartbeat of about a second.
    """
    with Proxy(node.address) as proxy:
        return watched(node, proxy.url, build, f"network: {name}", lambda: breaks(proxy), proxy.restore, hold_s=hold_s)


def watched(
    node: Node,
    url: str,
    build: Path,
    name: str,
    breaks: Callable[[], None],
    restores: Callable[[], None],
    *,
    hold_s: float,
) -> Outcome:
    """Return the results of the clients, which reach the node at `url`, while something breaks and is restored."""
    outcome = Outcome(name, rounds=1)
    with ExitStack() as closing:
        ben = node.person("ben")
        token, start = str(ben.token), ben.head()
        devices: dict[str, PythonDevice | JavaScriptDevice] = {
            "python": PythonDevice(url, token, start),
            "javascript": JavaScriptDevice(url, token, build),
        }
        for device in devices.values():
            closing.callback(device.close)
        for device in devices.values():
            assert device.is_connected.wait(30)
        writer = Writer(url, str(node.person("ada").token))
        closing.callback(writer.close)
        wait_for(lambda: all(each.last() >= BEFORE for each in devices.values()), 60, "messages before it breaks")
        broke_at, acknowledged = time.monotonic(), writer.acknowledged
        breaks()
        time.sleep(hold_s)  # the fault itself
        outcome.figures["acknowledged_meanwhile"] = writer.acknowledged - acknowledged
        for kind, device in devices.items():
            outcome.figures[f"{kind}_got_meanwhile"] = max(0, device.last() + 1 - acknowledged)
        restored_at, goal = time.monotonic(), writer.acknowledged + AFTER
        restores()
        left = dict(devices)
        while left:
            for kind in [kind for kind, device in left.items() if device.last() >= goal]:
                outcome.figures[f"{kind}_back_s"] = round(time.monotonic() - restored_at, 2)
                del left[kind]
            assert time.monotonic() < restored_at + BACK_WITHIN_S, f"{list(left)} did not come back"
            time.sleep(0.01)
        outcome.recovery_s.append(time.monotonic() - restored_at)
        writer.close()
        for kind, device in devices.items():
            wait_for(partial(_has, device, writer.acknowledged - 1), 60, "the last message")
            noticed = [at - broke_at for at in device.noticed_at if at > broke_at]
            outcome.figures[f"{kind}_noticed_s"] = round(noticed[0], 2) if noticed else None
            came = [int(text) for text in device.texts]
            outcome.lost += len(set(range(writer.acknowledged)) - set(came))
            outcome.doubled += len(came) - len(set(came))
            outcome.out_of_order += list(dict.fromkeys(came)) != sorted(set(came))
        outcome.acknowledged = writer.acknowledged
        outcome.errors.update(writer.errors)
    return outcome


def _has(device: Device, number: int) -> bool:
    return device.last() >= number


def _hold_streams(proxy: Proxy) -> None:
    proxy.hold_streams()
    proxy.end_open()


FAULTS: dict[str, tuple[Callable[[Proxy], None], float]] = {
    "cut (FIN in the middle)": (lambda proxy: proxy.end_open("close"), 3),
    "reset (RST)": (lambda proxy: proxy.end_open("reset"), 3),
    "refused": (lambda proxy: proxy.refuse(), 5),
    "stalled both ways": (lambda proxy: proxy.stall(), 12),
    "stalled down": (lambda proxy: proxy.stall(up=False), 12),
    "stalled up": (lambda proxy: proxy.stall(down=False), 12),
    "half-open for good, new connections pass": (lambda proxy: proxy.strand_open(), 12),
    "one byte at a time": (lambda proxy: proxy.trickle(1), 5),
    "2 KB a second": (lambda proxy: proxy.trickle(200, 0.1), 10),
    "streams held until they close": (_hold_streams, 20),
    "replies to POST lost": (lambda proxy: proxy.lose_post_replies(), 5),
}
"""By name: what breaks, and for how many seconds."""
