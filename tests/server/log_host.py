"""An application that configures no logging, and whose rule fails."""

from __future__ import annotations

import os

from starlette.applications import Starlette

from tidings import Config, Tidings


def may_send(sender: str, recipient: str) -> bool:
    raise RuntimeError("the host's own trouble")


tidings = Tidings(
    Config(db=os.environ.get("HOST_DB", "sqlite:///host.db")),
    user=lambda request: request.headers.get("authorization", "").removeprefix("Bearer ") or None,
    may_send=may_send,
)
quiet = Starlette(routes=tidings.routes("/api/message"))
