"""Whether a node can serve: the answer of ``/readyz``, and of the host's own route."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tidings.errors import Problem
from tidings.server.node import Node


@dataclass(frozen=True)
class Health:
    """Whether requests should come here, and why not.

    Attributes:
        status: ``ok``; ``draining`` while it ends; ``unavailable``: it cannot start, or the database takes no writes.
        detail: Why it is ``unavailable``, for an operator.
        trouble: Faults that leave somebody served, a sentence by the name of each: ``database`` (away for every node),
            ``bus`` (no hints of other nodes come), ``keys`` (those of the identity provider cannot be fetched).
    """

    status: Literal["ok", "draining", "unavailable"]
    detail: str = ""
    trouble: dict[str, str] = field(default_factory=dict)

    @property
    def is_ready(self) -> bool:
        """Whether a load balancer should send requests here: 200, else 503."""
        return self.status == "ok"

    def body(self) -> dict[str, object]:
        """The body of ``/readyz``: ``status``, and ``detail`` and ``trouble`` where there is any."""
        told = {"detail": self.detail, "trouble": self.trouble}
        return {"status": self.status, **{name: value for name, value in told.items() if value}}


async def look(node: Node) -> Health:
    """How a node is that has started."""
    if node.hub.is_draining:
        return Health("draining")
    others, detail = node.hub.others, node.hub.store_trouble  # of the last look, a second ago at most
    if not detail:
        try:
            await node.store.check()
        except Problem as problem:
            detail = problem.detail
    if detail and not others.are_all_away:
        return Health("unavailable", detail)
    # Each of these leaves somebody served: no reason to take the node out. Without hints messages are later; who has a
    # token by a known key has no need of the provider. And where the database is away for all, no other node is better:
    # a client needs its 503 with Retry-After, and streams stay open.
    troubles = {
        "database": f"it is away for every node: {detail}" if detail else "",
        "bus": others.trouble,
        "keys": node.identity.trouble,
    }
    return Health("ok", trouble={name: text for name, text in troubles.items() if text})
