"""The examples under servers with four processes: people on each of them talk, and one process is killed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from lab import postgres
from lab.workers import Workers
from tests.server.test_embedded_workers import UVICORN, talk_over
from tests.server.test_examples import EXAMPLES, signs_in

GUNICORN = [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:{port}", "--workers", "{count}", "--timeout", "60"]
SERVERS = {
    "fastapi-uvicorn": UVICORN,
    "fastapi-gunicorn": [*GUNICORN, "--worker-class", "uvicorn_worker.UvicornWorker", "fastapi_app:app"],
    "fastapi-gunicorn-asgi": [*GUNICORN, "--worker-class", "asgi", "fastapi_app:app"],
    "django-gunicorn": [
        *GUNICORN,
        "--preload",
        "--worker-class",
        "uvicorn_worker.UvicornWorker",
        "django_app:application",
    ],
}


# shows: nodes/workers-wide
@pytest.mark.parametrize("name", SERVERS)
def test_four_processes_of_an_application_are_one_chat(name: str, tmp_path: Path) -> None:
    """A stream on each, messages between all, and a killed one is missed by nobody."""
    schema = f"w_{os.getpid()}_{name.replace('-', '_')}"
    with Workers(tmp_path, SERVERS[name], 4, source=EXAMPLES, db=postgres.shared().url(schema=schema)) as host:
        talk_over(host)


# shows: nodes/wsgi
def test_django_under_wsgi_polls_over_several_processes(tmp_path: Path) -> None:
    """Threads of two processes: what is sent to one is read from the other, and is read once."""
    server = [*GUNICORN, "--preload", "--worker-class", "gthread", "--threads", "4", "wsgi:application"]
    (tmp_path / "wsgi.py").write_text(
        "import django_app\nfrom django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n"
    )
    db = postgres.shared().url(schema=f"w_{os.getpid()}_wsgi")
    with Workers(tmp_path, server, 2, source=EXAMPLES, db=db) as host:
        ada, ben = signs_in(host, "ada"), signs_in(host, "ben")
        cursor = ben.head()
        for number in range(12):
            ada.sends(ben, f"{number}")
        assert [f"{number}" for number in range(12)] == [
            event["data"]["text"] for event in ben.events(cursor)["events"] if event["type"] == "new_message"
        ]
