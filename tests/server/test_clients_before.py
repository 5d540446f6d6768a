"""The clients of before talk with this server: both as they were when a rule of protocol 1 was last added before 0.1.0.

``clients_before`` has their code as it was: the Python client with what it stands on, and the compiled core of the npm
package. No version was released then; each release puts the packages of the one before it there.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from lab.javascript import JavaScript
from lab.node import Node
from lab.process import wait_for
from lab.proxy import Proxy

BEFORE = Path(__file__).parent / "clients_before"

PYTHON = """
import sys
folder, url, ada_id, ada_token, ben_id, ben_token = sys.argv[1:]
sys.path.insert(0, folder)
import tidings.client
from tidings.client import Client
from tidings.errors import ServerProblem

assert tidings.client.__file__.startswith(folder)
with Client(url, ada_token) as ada, Client(url, ben_token) as ben:
    start = ben.inbox().cursor
    first = ada.send(ben_id, "one", client_id="k1")
    assert first == ada.send(ben_id, "one", client_id="k1")
    with ben.events(start) as feed:
        event = next(event for event in feed if event.message)
    print("streamed", event.message.text)
    ada.send(ben_id, "two")
    ben.send(ada_id, "three")
    with ben.events(event.cursor) as feed:
        texts = (event.message.text for event in feed if event.message)
        print("resumed", next(texts), next(texts))
    print("history", *[message.text for message in ben.history(ada_id).messages])
    (conversation,) = ben.inbox().conversations
    print("unread", conversation.unread)
    ben.mark_read(ada_id, conversation.last_message.seq)
    print("read", ada.history(ben_id).messages[0].read)
    ben.block(ada_id)
    try:
        ada.send(ben_id, "four")
    except ServerProblem as problem:
        print("refused", problem.status, problem.code)
    print("blocked", *[blocked.user.id for blocked in ben.blocked().blocked])
"""

JAVASCRIPT = """
    import { RealtimeService } from "./index.js";
    const tell = (said) => process.stdout.write(JSON.stringify(said) + "\\n");
    const { API_URL: url, TOKEN: token, ME: me, PEER: peer, SAY: text } = process.env;
    const service = new RealtimeService({ url, getToken: () => token, storage: "memory", shareStream: false });
    service.on("connected", () => tell({ is: "connected" }));
    service.on("message", (message) => tell({ is: "message", text: message.text }));
    service.connect(me);
    const conversation = service.conversation(peer);
    conversation.subscribe(() => {
      const { messages, pending } = conversation.getSnapshot();
      tell({ is: "shown", texts: messages.map(({ text }) => text), pending: pending.length });
    });
    await conversation.load();
    if (text) conversation.send(text);
"""


def unpacked(name: str, directory: Path) -> Path:
    """The code of a client of before."""
    subprocess.run(["tar", "-xf", BEFORE / name, "-C", directory], check=True, timeout=30)
    return directory


# shows: compatibility/python
def test_the_python_client_of_before_does_all_it_did(node: Node, tmp_path: Path) -> None:
    """Send, send again, follow, resume, history, inbox, receipts, block: nothing was taken away. PROTOCOL 1.1.3"""
    ada, ben = node.person("before-ada"), node.person("before-ben")
    folder = unpacked("python.tar.xz", tmp_path)
    people = [ada.id, str(ada.token), ben.id, str(ben.token)]
    ran = subprocess.run(
        [sys.executable, "-c", PYTHON, str(folder), node.url, *people],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert (0, "") == (ran.returncode, ran.stderr)
    assert [
        "streamed one", "resumed two three", "history one two three", "unread 2", "read True",
        "refused 403 not_allowed", f"blocked {ada.id}",
    ] == ran.stdout.splitlines()  # fmt: skip


def came(told: list[dict[str, Any]]) -> list[str]:
    """The texts of the messages that the program told of, in the order of telling."""
    return [each["text"] for each in list(told) if each["is"] == "message"]


# shows: compatibility/browser
def test_the_browser_client_of_before_goes_on_after_a_cut(node: Node, tmp_path: Path) -> None:
    """Its stream is cut while messages come and one of its own waits: each is there once, on both sides, in order."""
    ada, ben = node.person("before-cut-ada"), node.person("before-cut-ben")
    folder = unpacked("npm.tar.xz", tmp_path)
    told: list[dict[str, Any]] = []
    with Proxy(node.address) as proxy:
        variables = {"API_URL": f"{proxy.url}/api/message", "TOKEN": str(ben.token), "ME": ben.id, "PEER": ada.id}
        program = JavaScript(folder, JAVASCRIPT, {**variables, "SAY": "from ben"}, told.append)
        try:
            wait_for(
                lambda: {"is": "connected"} in told and ada.history(ben)["messages"],
                what="it is connected, and has sent",
            )
            proxy.refuse()
            ada.sends(ben, "one")
            ada.sends(ben, "two")
            proxy.restore()
            whole = ["from ben", "one", "two"]
            wait_for(lambda: {"is": "shown", "texts": whole, "pending": 0} in list(told), what="all of it is shown")
            # It shows a message before it tells of it, so that the program could be ended between the two.
            wait_for(lambda: "two" in came(told), what="it has told of the last one")
        finally:
            program.close()

    assert ["one", "two"] == [text for text in came(told) if text != "from ben"]
