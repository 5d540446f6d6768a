"""The served page with a host that knows its people: two, by numbers."""

from __future__ import annotations

import os

from tidings import Config
from tidings.server.http.serve import served
from tidings.server.node import Node

SECRET = "a secret of this host, long enough for every token that it mints"
NAMES = {"1": "Ada", "2": "Ben"}

node = Node(
    Config(db=os.environ.get("HOST_DB", "sqlite:///known.db"), secret=SECRET),
    people=lambda ids: {id: {"name": NAMES[id], "avatar_url": None} for id in ids if id in NAMES},
)
app = served(node, {"sign_in": "token", "raw_ids": True})
