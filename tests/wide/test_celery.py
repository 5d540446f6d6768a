"""A task of docs/embed/jobs.md in a real worker of Celery, whose processes are forked after the client was made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lab.node import Node, Person
from lab.process import wait_for
from tests.server.test_jobs import runs, snippet


def test_a_task_of_celery_sends_once(node: Node, alice: Person, tmp_path: Path) -> None:
    """As the application itself, from two processes of the worker; a task that runs again doubles nothing."""
    (tmp_path / "tasks.py").write_text(snippet("Celery"))
    variables = {
        "TIDINGS_URL": node.url,
        "TIDINGS_KEY": node.makes_key("celery", "--as", "shop", "--system"),
        "CELERY_BROKER_URL": f"sqla+sqlite:///{tmp_path}/broker.db",
    }
    celery = [sys.executable, "-m", "celery", "-A", "tasks"]
    asks = (
        f"import tasks; [tasks.parcel_shipped.delay({alice.id!r}, each) for each in '4711 4712 4711 4713 4712'.split()]"
    )
    runs([sys.executable, "-c", asks], tmp_path, variables)
    log = tmp_path / "worker.log"
    with log.open("w") as output:
        worker = subprocess.Popen(
            [*celery, "worker", "--pool", "prefork", "--concurrency", "2", "--loglevel", "INFO"],
            cwd=tmp_path, env=node.environment() | variables, stdout=output, stderr=output,
        )  # fmt: skip
        try:
            wait_for(lambda: 5 == log.read_text().count(" succeeded in "), what="five tasks")
        finally:
            worker.terminate()
            worker.wait(30)
    messages = alice.history("shop")["messages"]
    assert {f"Parcel {parcel} is on its way." for parcel in ("4711", "4712", "4713")} == {
        message["text"] for message in messages
    }
    assert [(1, "system"), (2, "system"), (3, "system")] == [
        (message["seq"], message["message_type"]) for message in messages
    ]
