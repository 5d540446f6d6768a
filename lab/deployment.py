"""The deployments that a test may have: a database, a bus, and so many nodes of one database.

The tests of the wire hold on each of them. Nothing here imports the product.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from lab import nats, postgres


class Deployment(NamedTuple):
    """One way to run Tidings.

    Attributes:
        db: From the path at which a test would have its file to the URL of its database.
        bus: The URL of the bus; empty where the database is it.
        nodes: Of one database; with two each request goes to the other one than the request before.
    """

    name: str
    db: Callable[[Path], str]
    bus: Callable[[], str]
    nodes: int


def _file(path: Path) -> str:
    return f"sqlite:///{path.absolute()}"


def _schema(path: Path) -> str:
    """A schema of its own in the server of this run."""
    return postgres.shared().url(schema="d_" + hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:16])


def _no_other_service() -> str:
    return ""


def _nats() -> str:
    return nats.shared().url()


SQLITE = Deployment("sqlite", _file, _no_other_service, nodes=1)
DEPLOYMENTS = {
    each.name: each
    for each in (
        SQLITE,
        Deployment("postgres", _schema, _no_other_service, nodes=1),
        Deployment("nats", _schema, _nats, nodes=1),
        Deployment("two-nodes", _schema, _no_other_service, nodes=2),
        Deployment("two-nodes-nats", _schema, _nats, nodes=2),
    )
}
ON_POSTGRES = tuple(each.name for each in DEPLOYMENTS.values() if each is not SQLITE)
OF_SEVERAL_NODES = tuple(each.name for each in DEPLOYMENTS.values() if each.nodes > 1)


def rows(db: str, query: str) -> list[dict[str, Any]]:
    """The rows of a query that an operator would ask the database of this URL."""
    if db.startswith("sqlite:///"):
        with closing(sqlite3.connect(f"file:{db.removeprefix('sqlite:///')}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query)]
    (schema,) = parse_qs(urlsplit(db).query)["schema"]
    as_json = f"SELECT coalesce(json_agg(each), '[]') FROM ({query.strip().rstrip(';')}) each"
    found: list[dict[str, Any]] = json.loads(postgres.shared().run(f"SET search_path TO {schema}; {as_json}"))
    return found
