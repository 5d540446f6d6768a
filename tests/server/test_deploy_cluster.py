"""The files of deploy/ for containers and for the night: Kubernetes, one node with compose, copies by a timer.

No engine runs them here. Each is read, compared with what the server says of itself, and its commands are run as they
are but for the places of files.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any

import yaml

from lab.front import DEPLOY
from lab.node import Node
from tests.server.test_deploy import PROGRAM
from tidings.server.config import COMMIT_WAIT_MAX_S, Config

OBJECTS: dict[str, list[dict[str, Any]]] = {}
for each in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()):
    OBJECTS.setdefault(each["kind"], []).append(each)
POD: dict[str, Any] = OBJECTS["Deployment"][0]["spec"]["template"]
[CONTAINER] = POD["spec"]["containers"]
DRAIN_MAX_S = Config().drain_window_s + COMMIT_WAIT_MAX_S + 1


def instructions(name: str) -> list[str]:
    """The values of one instruction in the container's file."""
    text = re.sub(r"\\\n", " ", (DEPLOY / "Containerfile").read_text())
    return re.findall(rf"^{name} (.*)$", text, re.MULTILINE)


def test_a_pod_has_the_time_that_a_drain_takes() -> None:
    """And the balancers theirs, before it: what they send meanwhile is served."""
    [_, pause_s] = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]
    assert POD["spec"]["terminationGracePeriodSeconds"] > int(pause_s) + DRAIN_MAX_S
    assert int(pause_s) >= 2 * CONTAINER["readinessProbe"]["periodSeconds"]


def test_the_probes_ask_what_the_server_answers(tmp_path: Path) -> None:
    """Liveness of the process alone, readiness of what it can do now; the metrics have the port that is collected."""
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    [serve] = instructions("CMD")[-1:]
    assert f'"--port", "{ports["http"]}"' in serve
    assert str(ports["metrics"]) == CONTAINER["env"][0]["value"] == POD["metadata"]["annotations"]["prometheus.io/port"]
    probes = {kind: CONTAINER[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert {"http"} == {probe["port"] for probe in probes.values()}
    assert ("/healthz", "/readyz") == (probes["liveness"]["path"], probes["readiness"]["path"])
    with Node(tmp_path) as node:
        assert {200} == {node.http.get(node.url + probe["path"]).status_code for probe in probes.values()}
    started = CONTAINER["startupProbe"]
    assert started["periodSeconds"] * started["failureThreshold"] > 60 + 30, "a database has 60 s to come"


def test_the_pod_has_no_privileges_and_its_secrets_are_in_no_file() -> None:
    """As the container's file wants it; the secret's names are settings, and the command in the file makes them."""
    assert instructions("USER")[-1] == str(POD["spec"]["securityContext"]["runAsUser"])
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    [secret] = CONTAINER["envFrom"]
    text = (DEPLOY / "kubernetes.yaml").read_text()
    assert f"create secret generic {secret['secretRef']['name']} " in text
    assert {"TIDINGS_SECRET", "TIDINGS_DB"} == set(re.findall(r"--from-literal=(\w+)=", text))
    assert "Secret" not in OBJECTS
    assert {"TIDINGS_METRICS_PORT"} == {each["name"] for each in CONTAINER["env"]}


def test_what_selects_the_nodes_finds_them_and_operators_pages_lead_nowhere() -> None:
    """The labels of all parts agree. One node may be away, and a new one is there before a former one goes."""
    labels = POD["metadata"]["labels"]
    [deployment], [budget] = OBJECTS["Deployment"], OBJECTS["PodDisruptionBudget"]
    services = {service["metadata"]["name"]: service["spec"] for service in OBJECTS["Service"]}
    assert labels == deployment["spec"]["selector"]["matchLabels"] == budget["spec"]["selector"]["matchLabels"]
    assert (labels, "http") == (services["tidings"]["selector"], services["tidings"]["ports"][0]["targetPort"])
    assert {"maxSurge": 1, "maxUnavailable": 0} == deployment["spec"]["strategy"]["rollingUpdate"]
    assert (1, True) == (budget["spec"]["maxUnavailable"], deployment["spec"]["replicas"] > 1)
    [rule] = OBJECTS["Ingress"][0]["spec"]["rules"]
    leads = {path["path"]: path["backend"]["service"]["name"] for path in rule["http"]["paths"]}
    assert {"/": "tidings", "/readyz": "nowhere", "/metrics": "nowhere"} == leads
    assert services["nowhere"]["selector"] != labels
    assert not services["nowhere"]["selector"].items() & labels.items()


def test_the_compose_file_of_one_node_makes_a_configuration_that_caddy_takes(tmp_path: Path) -> None:
    """Its very script, in another directory and for another name. Secrets are demanded, and only Caddy is public."""
    compose = yaml.safe_load((DEPLOY / "compose.one.yaml").read_text())
    services = compose["services"]
    assert {"tidings", "caddy"} == services.keys()
    assert "ports" not in services["tidings"]
    assert all(re.search(r"\$\{\w+:\?", value) for each in services.values() for value in each["environment"].values())
    assert services["tidings"]["volumes"] == [f"data:{instructions('VOLUME')[-1]}"]
    assert int(services["tidings"]["stop_grace_period"].rstrip("s")) > DRAIN_MAX_S
    shell, option, script = services["caddy"]["command"]
    script = script.replace("$$", "$").replace("/etc/tidings", str(DEPLOY)).replace("/etc/caddy", str(tmp_path))
    [*commands, last] = script.strip().splitlines()
    assert f"exec caddy run --config {tmp_path}/Caddyfile" == last
    environment = {**os.environ, "SITE": "chat.example.net", "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    subprocess.run([shell, option, "\n".join(commands)], check=True, env=environment)
    made, shipped = (tmp_path / "Caddyfile").read_text(), (DEPLOY / "Caddyfile").read_text()
    assert shipped == made.replace("chat.example.net", "chat.example.org").replace("tidings:8000", "127.0.0.1:8000")
    assert (1, 1) == (made.count("\nchat.example.net {"), made.count("tidings:8000"))
    (tmp_path / "Caddyfile").write_text(made.replace("/var/log/caddy", str(tmp_path)))
    adapted = subprocess.run(
        ["caddy", "validate", "--config", str(tmp_path / "Caddyfile")], capture_output=True, text=True, env=environment
    )
    assert 0 == adapted.returncode, adapted.stderr


def unit(name: str) -> dict[str, list[str]]:
    """The settings of a unit file of systemd."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / name).read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_the_nightly_copy_is_made_and_old_ones_go(tmp_path: Path) -> None:
    """Its commands, as systemd would run them; the copy is whole, and one of two weeks ago goes when there is another.
    Where no copy can be made nothing goes.
    """
    copies = tmp_path / "copies"
    settings = unit("tidings-backup.service")

    def run(name: str, db: str) -> int:
        [command] = settings[name]
        places = {"/var/backups/tidings": str(copies), "/opt/tidings/bin/tidings": PROGRAM}
        for ours, here in {"%%": "%", "$$": "$", **places}.items():
            command = command.replace(ours, here)
        return subprocess.run(["sh", "-fc", f"exec {command}"], env={**os.environ, "TIDINGS_DB": db}).returncode

    with Node(tmp_path / "node") as node:
        node.person("ada").sends("ben", "hi")
        assert 0 == run("ExecStartPre", node.db)
        assert 0o700 == copies.stat().st_mode & 0o777
        old, other = copies / "tidings-20260101T031700Z", copies / "notes"
        for each in (old, other):
            each.touch()
            os.utime(each, (time.time() - 20 * 86_400,) * 2)
        assert 2 == run("ExecStart", f"sqlite:///{tmp_path}/nothing/x.db")  # after which systemd runs no ExecStartPost
        assert old.exists()
        assert 0 == run("ExecStart", node.db)
        assert 0 == run("ExecStartPost", node.db)
    [copy] = set(copies.iterdir()) - {other}
    assert re.fullmatch(r"tidings-\d{8}T\d{6}Z", copy.name)
    assert 0o600 == copy.stat().st_mode & 0o777
    assert [("hi",)] == sqlite3.connect(copy).execute("SELECT body FROM messages").fetchall()


def test_systemd_takes_the_timer_and_its_service(tmp_path: Path) -> None:
    """They belong together by their names. A copy writes where the service's database and the copies are."""
    service, timer = unit("tidings-backup.service"), unit("tidings-backup.timer")
    assert (["oneshot"], ["true"], ["timers.target"]) == (service["Type"], timer["Persistent"], timer["WantedBy"])
    served = unit("tidings.service")
    assert served["EnvironmentFile"] == service["EnvironmentFile"]
    assert service["Environment"][0] in served["Environment"]
    assert "-/var/lib/private/tidings" in " ".join(service["ReadWritePaths"])  # where DynamicUser has it
    if (program := shutil.which("systemd-analyze")) is not None:
        for name in ("tidings-backup.service", "tidings-backup.timer"):
            text = (DEPLOY / name).read_text().replace("/opt/tidings/bin/tidings", PROGRAM)
            (tmp_path / name).write_text(text)
        said = subprocess.run(
            [program, "verify", str(tmp_path / "tidings-backup.timer"), str(tmp_path / "tidings-backup.service")],
            capture_output=True,
            text=True,
        )
        assert [] == [line for line in said.stderr.splitlines() if "tidings-backup" in line], said.stderr
