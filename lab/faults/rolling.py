"""Nodes that are replaced one after the other under load: the same version again, or the next one."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import tidings
from lab.faults.baddisk import library
from lab.faults.cluster import Cluster, played
from lab.faults.rounds import Outcome
from lab.front import DEPLOY
from lab.node import Node
from lab.postgres import Postgres

HOUR_S = 3600
STARTS = 3
TOGETHER_S = 2.0
NEXT_VERSION = """
ALTER TABLE TIDINGS.messages ADD COLUMN of_the_next_version text;
ALTER TABLE TIDINGS.users ADD COLUMN of_the_next_version int NOT NULL DEFAULT 0;
CREATE TABLE TIDINGS.of_the_next_version(one bigint PRIMARY KEY);
UPDATE TIDINGS.meta SET version = {number};
"""


def restarts_each_node(cluster: Cluster) -> None:
    """One after the other, by the script that operators have."""
    with Restarter(cluster.nodes) as restarter:
        environment = {**os.environ, "RESTART": restarter.command, "WAIT_S": "60"}
        names = [str(node.port) for node in cluster.nodes]
        done = subprocess.run(
            [str(DEPLOY / "rolling-restart.sh"), *names], env=environment, capture_output=True, text=True, timeout=180
        )
    assert (0, [f"{name} is ready" for name in names]) == (done.returncode, done.stdout.splitlines()), done.stderr


def upgrades_each_node(cluster: Cluster) -> None:
    """One after the other becomes the next version; the first of them migrates the database, and only adds to it."""
    source = cluster.directory / "next"
    shutil.copytree(Path(tidings.__file__).parent, source / "tidings")
    migrations = source / "tidings" / "server" / "store" / "postgres" / "migrations"
    number = len(list(migrations.glob("*.sql"))) + 1
    (migrations / f"{number:04}_test.sql").write_text(NEXT_VERSION.format(number=number), encoding="utf-8")
    for node in cluster.nodes:
        node.stop()
        node.variables = {"PYTHONPATH": str(source)}
        node.restart()
        assert str(number) == cluster.database.run("SELECT version FROM tidings.meta")
        time.sleep(TOGETHER_S)  # in which both versions serve


def starts_on_nothing(directory: Path) -> Outcome:
    """Three nodes in the same moment on a database that has nothing of ours, again and again; each time all serve."""
    outcome = Outcome("nodes: three start at once on nothing")
    with Cluster(directory, Postgres()) as cluster:
        while True:
            found = played(cluster, outcome.fault, lambda _: None, before_s=1, after_s=1)
            cluster.ends_well(found)
            outcome.takes(found)
            if outcome.rounds == STARTS:
                return outcome
            cluster.database.run("DROP SCHEMA tidings CASCADE")
            cluster.all_at_once(lambda node: node.restart())


def clock_ahead(directory: Path) -> Outcome:
    """The clock of one node: tokens live by it, and no message has its time."""
    database = Postgres()
    cluster = Cluster(directory, database)
    cluster.nodes[0].variables = {"LD_PRELOAD": str(library("ahead.c")), "AHEAD_S": str(HOUR_S)}
    with cluster:
        begun = time.time()
        outcome = played(cluster, "nodes: the clock of a node one hour ahead", lambda _: None)
        latest = int(database.run("SELECT max(ts) FROM tidings.messages")) / 1000
        outcome.expects(begun - 60 < latest < time.time() + 60, f"a message is of {latest - time.time():g} s from now")
        written = next(line for line in cluster.nodes[0].output.splitlines() if line.startswith("20"))
        at = datetime.strptime(written[:19], "%Y-%m-%d %H:%M:%S").timestamp()
        outcome.expects(at > begun + HOUR_S / 2, "the clock of the node was not ahead: nothing was shown")
        cluster.ends_well(outcome)
    return outcome


class Restarter:
    """Stands for systemd: `command`, with a port at its end, stops the node of it by SIGTERM and starts it."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        by_port = {str(node.port): node for node in nodes}

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                node = by_port[self.path.rpartition("/")[2]]
                node.stop()
                threading.Thread(target=node.restart, daemon=True).start()
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.command = f"curl -fsS -X POST --noproxy * http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> Restarter:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
