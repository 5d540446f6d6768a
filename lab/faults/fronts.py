"""Our clients, and curl over HTTP/2, behind nginx and Caddy as we ship them, while the node is drained and killed."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from lab.crowd import UNLIMITED
from lab.faults.networks import watched
from lab.faults.rounds import Outcome
from lab.front import Front
from lab.node import API, Node
from lab.process import wait_for


class Curl:
    """An event stream over HTTP/2, read by curl; its frames as they come."""

    def __init__(self, front: Front, user: str, cursor: str | None = None) -> None:
        self.frames: list[dict[str, Any]] = []
        self.version = ""
        resumed = [] if cursor is None else ["--header", f"Last-Event-ID: {cursor}"]
        self.process = subprocess.Popen(
            [
                *("curl", "--silent", "--no-buffer", "--http2", "--cacert", str(front.certificate)),
                *("--header", f"Authorization: Bearer {front.node.token(user)}", *resumed),
                *("--write-out", "\\nversion %{http_version}\\n", f"{front.url}{API}/sse/me"),
            ],
            stdout=subprocess.PIPE,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def types(self) -> list[str]:
        """Of the frames that came."""
        return [frame["type"] for frame in list(self.frames)]

    def ends(self) -> int:
        """Wait for its end: curl's exit code, 0 for a whole body."""
        code = self.process.wait(20)
        self._thread.join(10)
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._thread.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(b"data: "):
                self.frames.append(json.loads(line[6:]))
            elif line.startswith(b"version "):
                self.version = line.split()[1].decode()


def behind_a_front(kind: str, directory: Path, build: Path, *, kill: bool) -> Outcome:
    """The node is drained, or killed, and started again behind the proxy: its clients come back with everything."""
    with Node(directory / "node", heartbeat_interval_s=1, **UNLIMITED | {"drain_window_s": 2}) as node:
        (directory / "front").mkdir()
        with Front(kind, node, directory / "front") as front:
            trusted = {"SSL_CERT_FILE": str(front.certificate), "NODE_EXTRA_CA_CERTS": str(front.certificate)}
            with patch.dict(os.environ, trusted):
                return watched(
                    node,
                    front.url,
                    build,
                    f"{'SIGKILL' if kill else 'drain'} and restart behind {kind}",
                    node.kill if kill else node.stop,
                    node.restart,
                    hold_s=3,
                )


def _messages(curl: Curl, count: int) -> bool:
    return curl.types().count("new_message") == count


def http2_stream(front: Front) -> Outcome:
    """Over HTTP/2: frames at once, heartbeats, goodbye, and a whole end when the node drains.

    The node's heartbeat should be about a second; it is stopped by this.
    """
    outcome = Outcome(f"HTTP/2 stream behind {front.kind}", rounds=1)
    node = front.node
    ada, ben = node.person("ada"), node.person("ben")
    curl = Curl(front, "ben")
    try:
        wait_for(lambda: "caught_up" in curl.types(), what="a stream over HTTP/2")
        for number in range(20):
            before = curl.types().count("heartbeat")
            ada.sends(ben, str(number))
            wait_for(partial(_messages, curl, number + 1), what="the message")
            outcome.figures["waited_for_a_heartbeat"] = (
                outcome.figures.get("waited_for_a_heartbeat", 0) + (curl.types().count("heartbeat") > before)
            )  # fmt: skip
        wait_for(lambda: "heartbeat" in curl.types(), what="a heartbeat through the proxy")
        outcome.acknowledged = 20
        texts = [frame["data"]["text"] for frame in curl.frames if frame["type"] == "new_message"]
        outcome.lost = 20 - len(set(texts))
        outcome.doubled = len(texts) - len(set(texts))
        outcome.out_of_order = int(texts != sorted(texts, key=int))
        node.stop()
        code = curl.ends()
        outcome.errors[f"goodbye {curl.frames[-1]['data'].get('reason')}"] += 1
        outcome.expects(code == 0, f"curl ended with {code}")
        outcome.expects(curl.version == "2", f"HTTP/{curl.version}")
        outcome.expects(curl.frames[-1]["type"] == "goodbye", f"the last frame is {curl.frames[-1]['type']}")
        outcome.expects(outcome.figures["waited_for_a_heartbeat"] < 20, "frames are held until more comes")
    finally:
        curl.close()
    return outcome
