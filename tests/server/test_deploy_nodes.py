"""The files of deploy/ with several nodes: nginx and Caddy as shipped, compose and the template unit as far as can be.

`make wide` has the same of HAProxy (tests/wide/test_haproxy.py).
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import postgres
from lab.front import DEPLOY, Front
from lab.nats import Nats
from lab.node import API, SECRET, Node
from lab.process import wait_for
from tests.server.test_deploy import PROGRAM, assert_is_accepted, stream_of


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    """Two nodes on one database."""
    db = postgres.shared().url(schema=f"deploy_{os.getpid()}")
    silent: dict[str, Any] = {"heartbeat_interval_s": 300}  # no heartbeat tells a proxy that its client has gone
    one, other = (Node(tmp_path_factory.mktemp("node"), db=db, **silent) for _ in range(2))
    with one, other:
        yield [one, other]


# shows: nodes/proxies
@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_behind_the_shipped_proxy_any_node_serves_anybody_and_one_may_be_away(
    kind: str, nodes: list[Node], tmp_path: Path
) -> None:
    """No sticky sessions: the two ends of a conversation are on two nodes, and requests go where there is room."""
    with Front(kind, nodes[0], tmp_path, others=nodes[1:]) as front:
        one_may_be_away(front, nodes)
        wait_for(lambda: not any(streams(node) for node in nodes), what="readers that have left have no stream")


def test_the_doctor_finds_no_fault_behind_a_balancer_over_two_nodes(nodes: list[Node], tmp_path: Path) -> None:
    """Its questions go to whichever node is free: a poll of one and a stream of the other agree."""
    with Front("nginx", nodes[0], tmp_path, others=nodes[1:]) as front:
        asked = r"tidings_http_requests_total{.*} (\d+)"
        before = [metric(node, asked) for node in nodes]
        variables = {"TIDINGS_TOKEN": front.node.token("dot"), "SSL_CERT_FILE": str(front.certificate)}
        result = subprocess.run(
            [PROGRAM, "doctor", front.url], env=os.environ | variables, capture_output=True, text=True, timeout=60
        )
        assert 0 == result.returncode, result.stdout + result.stderr
        assert "ok    stream: " in result.stdout
        assert all(metric(node, asked) > was for node, was in zip(nodes, before, strict=True)), "both were asked"


def one_may_be_away(front: Front, nodes: list[Node]) -> None:
    """Two people talk over two nodes; one node is killed, and its reader misses nothing and gets nothing twice."""
    ada, ben = f"ada of {front.kind}", f"ben of {front.kind}"
    with stream_of(front, ada) as hers:
        assert "connected" == next(hers)["type"]
        [has_hers] = wait_for(lambda: [node for node in nodes if streams(node)])
        with stream_of(front, ben) as his:
            assert "connected" == next(his)["type"]
            wait_for(lambda: [1, 1] == [streams(node) for node in nodes], what="each node has one of the streams")
            sends(front, ada, ben, "from one node")
            hears(his, "from one node")
            sends(front, ben, ada, "to the other")
            hears(hers, "to the other")
            cursor = asks(front, ada, "/events/me")["cursor"]
            has_hers.kill()
            for number in range(12):
                asks(front, ben, "/inbox/me")
                sends(front, ben, ada, f"{number}")
    with stream_of(front, ada, cursor) as again:
        texts = (frame["data"]["text"] for frame in again if frame["type"] == "new_message")
        assert [f"{number}" for number in range(12)] == list(itertools.islice(texts, 12))
    has_hers.restart()
    wait_for(lambda: asks(front, ben, "/inbox/me") and requests(has_hers), what="the node that is back has some")


def asks(front: Front, user: str, path: str) -> dict[str, Any]:
    """A question through the proxy, which must be answered: of questions each proxy asks another node by itself."""
    headers = {"Authorization": f"Bearer {front.node.token(user)}"}
    answer = front.http.get(f"{front.url}{API}{path}", headers=headers)
    assert answer.is_success, f"{answer.status_code} {answer.text}"
    found: dict[str, Any] = answer.json()
    return found


def sends(front: Front, sender: str, recipient: str, text: str) -> None:
    """As clients do it: what a proxy could not hand on goes again, under the same ``client_id``."""
    body = {"recipientId": recipient, "text": text, "client_id": str(uuid.uuid4())}
    headers = {"Authorization": f"Bearer {front.node.token(sender)}"}

    def sent() -> bool:
        status = front.http.post(f"{front.url}{API}/send", json=body, headers=headers).status_code
        assert status in (201, 502, 503)
        return status == 201

    wait_for(sent, what="a send that is acknowledged")


def hears(frames: Iterator[dict[str, Any]], text: str) -> None:
    """The next message of a stream."""
    frame = next(frame for frame in frames if frame["type"] == "new_message" and frame["data"]["text"] == text)
    assert text == frame["data"]["text"]


def streams(node: Node) -> int:
    return metric(node, r"tidings_streams_open (\d+)")


def requests(node: Node) -> int:
    return metric(node, r'tidings_http_requests_total\{[^}]*route="[^"]*inbox[^"]*"[^}]*\} (\d+)')


def metric(node: Node, pattern: str) -> int:
    return sum(int(value) for value in re.findall(pattern, node.http.get(f"{node.url}/metrics").text))


COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
NODES = ("tidings-1", "tidings-2", "tidings-3")


def filled(text: str, values: dict[str, str]) -> str:
    """A value as compose fills it in from the environment."""
    return re.sub(r"\$\{(\w+)(:\?[^}]*)?\}", lambda found: values[found[1]], text)


def test_the_nodes_of_the_compose_file_start_with_its_environment(tmp_path: Path) -> None:
    """With the command of the image and the options of its NATS; only names and ports are of this machine."""
    values = {"TIDINGS_SECRET": SECRET, "POSTGRES_PASSWORD": "p", "NATS_TOKEN": "t"}
    nats = Nats(*[filled(option, values) for option in COMPOSE["services"]["nats"]["command"]])
    server = postgres.shared()
    given = {name: filled(value, values) for name, value in COMPOSE["services"]["tidings-1"]["environment"].items()}
    assert given["TIDINGS_DB"] == "postgresql://tidings@postgres/tidings"
    assert given["TIDINGS_BUS"] == "nats://t@nats:4222"
    given["TIDINGS_BUS"] = given["TIDINGS_BUS"].replace("nats:4222", f"127.0.0.1:{nats.port}")
    nats.start()
    try:
        node = Node(tmp_path, db=server.url(schema=f"compose_{os.getpid()}"))
        node.variables = given
        with node:
            node.person("ada").sends("ben", "hi")
            wait_for(lambda: metric(node, r"tidings_bus_up (\d+)"), what="the bus of the file is up")
    finally:
        nats.remove()


def test_the_compose_file_has_three_nodes_a_secret_of_none_and_one_door() -> None:
    """Read as YAML: every secret is asked for and has no default; the public port is nginx's alone."""
    services = COMPOSE["services"]
    assert {*NODES, "postgres", "nats", "nginx"} == services.keys()
    for name in NODES:
        assert services[name]["build"] == {"context": "..", "dockerfile": "deploy/Containerfile"}
        assert all(port.startswith("127.0.0.1:") for port in services[name]["ports"])
    [network] = COMPOSE["networks"]["default"]["ipam"]["config"]
    own = {ip_address(services[name]["networks"]["default"]["ipv4_address"]) for name in NODES}
    assert 3 == len(own)
    assert own < set(ip_network(network["subnet"]).hosts()) - set(ip_network(network["ip_range"]))
    assert ["443:443"] == services["nginx"]["ports"]
    assert "ports" not in services["postgres"]
    assert "ports" not in services["nats"]
    for name, value in services["tidings-1"]["environment"].items():
        assert name == "TIDINGS_DB" or re.search(r"\$\{\w+:\?", value), name
    assert services["postgres"]["environment"]["POSTGRES_USER"] == "tidings"  # and a database of that name
    assert [*NODES] == services["nginx"]["depends_on"]


def test_the_command_of_the_compose_file_makes_three_nodes_of_one_line(tmp_path: Path) -> None:
    """The very script, in another directory; nginx takes what it makes but for the names of this machine."""
    shell, option, script = COMPOSE["services"]["nginx"]["command"]
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "nginx.conf").write_text("events {\n    worker_connections  1024;\n}\n")
    script = script.replace("/etc/tidings/nginx.conf", str(DEPLOY / "nginx.conf")).replace("/etc/nginx", str(tmp_path))
    [*commands, last] = script.strip().splitlines()
    assert "exec nginx -g 'daemon off;'" == last
    subprocess.run([shell, option, "\n".join(commands)], check=True)
    made, shipped = (tmp_path / "conf.d" / "default.conf").read_text(), (DEPLOY / "nginx.conf").read_text()
    for name in NODES[1:]:
        made = re.sub(rf"\n *server {name}:8000 .*", "", made, count=1)
    assert shipped == made.replace("tidings-1:8000", "127.0.0.1:8000")
    assert "worker_connections 20000;" in (tmp_path / "nginx.conf").read_text()


def test_the_template_unit_is_the_unit_of_one_node_with_a_port_for_its_name(tmp_path: Path) -> None:
    """systemd takes it, for an instance; all that fences the one in fences the others in."""
    one, several = ((DEPLOY / name).read_text() for name in ("tidings.service", "tidings@.service"))
    if (program := shutil.which("systemd-analyze")) is not None:
        path = tmp_path / "tidings@.service"
        path.write_text(several.replace("/opt/tidings/bin/tidings", PROGRAM))
        said = subprocess.run(
            [program, "verify", str(tmp_path / "tidings@8001.service")], capture_output=True, text=True
        )
        assert [] == [line for line in said.stderr.splitlines() if "tidings@" in line], said.stderr
    own = {"StateDirectory=tidings", "StateDirectoryMode=0700", "WorkingDirectory=/var/lib/tidings"}
    differs = ("#", "Description=", "After=", "RequiresMountsFor=", "ExecStart=", "Environment=TIDINGS_DB=")

    def settings(unit: str) -> set[str]:
        return {line for line in unit.splitlines() if line and not line.startswith(differs)}

    assert settings(one) - own == settings(several) - {"User=tidings"}
    [start] = re.findall(r"^ExecStart=(.+)$", several, re.MULTILINE)
    assert_is_accepted(start.replace("%i", "8001").split()[1:])
