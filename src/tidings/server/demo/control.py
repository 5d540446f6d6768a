"""The control channel: what the drawer in the page asks for, on a port of its own that no fault reaches.

Rules of this file:

- It listens on loopback and answers only to its own address (a page of somebody else's that points a name of its own at
  it is refused), to pages of the demo's own origin, and to whoever knows the key of this start. The page has the key
  from ``page.json``, which other sites cannot read.
- Every answer is the whole state, so that no page has to remember anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Literal

import msgspec
import uvicorn
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from tidings.errors import TidingsError
from tidings.server.demo.count import Count, Total
from tidings.server.demo.fault import Faults, Kind
from tidings.server.demo.limits import (
    BODY_MAX_BYTES,
    COUNT_EVERY_S,
    DELAY_MAX_MS,
    ENTRIES_MAX,
    PREFLIGHT_MAX_AGE_S,
)
from tidings.server.demo.proxy import Proxy
from tidings.server.demo.supervisor import Supervisor
from tidings.server.demo.traffic import Traffic
from tidings.server.demo.truth import read_heads, read_truth
from tidings.server.store.maintenance import Maintenance

KEY_HEADER = "tidings-demo-key"

log = logging.getLogger("tidings.demo")


class Report(msgspec.Struct):
    """A page's report on itself, about once a second; see ``count.Count.take``."""

    tab: str
    user: str
    run: int = 0
    since: int = 0
    entries: list[list[str]] = []
    base: str | None = None
    cursor: str | None = None
    closed: bool = False


class FaultOrder(msgspec.Struct):
    """Break or heal one thing, for one person or (``user`` null) for everybody."""

    kind: Kind
    on: bool
    user: str | None = None
    delay_ms: int = 0


class NodeOrder(msgspec.Struct):
    """Kill a node, or start it again; ``number`` counts from 1."""

    number: int
    do: Literal["kill", "start"]


class TrafficOrder(msgspec.Struct):
    """Let two people write to each other, so many messages a second each; 0 ends it."""

    per_second: int
    people: list[str] = []


class Control:
    """Answers the drawer. ``origins`` are those of the demo's page."""

    def __init__(
        self,
        key: str,
        host: str,
        origins: list[str],
        database: Maintenance,
        faults: Faults,
        nodes: Sequence[Supervisor],
        proxy: Proxy,
    ) -> None:
        self.app: ASGIApp = Guard(self._router(), host, origins, key)
        self._database = database
        self._faults = faults
        self._nodes = nodes
        self._proxy = proxy
        self._count = Count()
        self._traffic = Traffic()
        self._total = Total()
        self._counting = asyncio.Lock()
        self._counted_at = 0.0

    async def begin_count(self) -> None:
        """Count what is sent from now on."""
        self._count.begin(await asyncio.to_thread(read_heads, self._database))
        self._counted_at = 0.0

    def _router(self) -> Router:
        def order(path: str, handler: Callable[[bytes], Awaitable[dict[str, Any]]]) -> Route:
            return Route(path, _Endpoint(handler))

        return Router(
            [
                order("/report", self._report),
                order("/fault", self._fault),
                order("/restore", self._restore),
                order("/node", self._node),
                order("/traffic", self._order_traffic),
                order("/count", self._begin_count),
            ],
            redirect_slashes=False,
        )

    async def _report(self, body: bytes) -> dict[str, Any]:
        report = msgspec.json.decode(body, type=Report)
        have = 0
        if report.run == self._count.run:
            have = self._count.take(
                report.tab,
                report.user,
                since=report.since,
                entries=report.entries[:ENTRIES_MAX],
                base=report.base,
                cursor=report.cursor if len(report.entries) < ENTRIES_MAX else None,
                is_closed=report.closed,
            )
        state = await self._state()
        return {**state, "have": have, "writes": self._traffic.share(report.tab, report.user, self._count.tabs)}

    async def _fault(self, body: bytes) -> dict[str, Any]:
        order = msgspec.json.decode(body, type=FaultOrder)
        if order.kind == "refuse" and order.user is not None:
            raise ValueError("a port refuses everybody or nobody")
        if not order.on:
            self._faults.end(order.kind, order.user)
        else:
            if order.kind == "delay" and not 0 < order.delay_ms <= DELAY_MAX_MS:
                raise ValueError(f"delay_ms goes from 1 to {DELAY_MAX_MS}")
            self._faults.begin(order.kind, order.user, order.delay_ms if order.kind == "delay" else 0)
        return await self._state()

    async def _restore(self, _body: bytes) -> dict[str, Any]:
        self._faults.end_all()
        for node in self._nodes:
            node.start()
        return await self._state()

    async def _node(self, body: bytes) -> dict[str, Any]:
        order = msgspec.json.decode(body, type=NodeOrder)
        if not 0 < order.number <= len(self._nodes):
            raise ValueError(f"nodes are numbered from 1 to {len(self._nodes)}")
        node = self._nodes[order.number - 1]
        if order.do == "kill":
            await node.kill()
        else:
            node.start()
        return await self._state()

    async def _order_traffic(self, body: bytes) -> dict[str, Any]:
        order = msgspec.json.decode(body, type=TrafficOrder)
        self._traffic.order(order.per_second, order.people)
        return await self._state()

    async def _begin_count(self, _body: bytes) -> dict[str, Any]:
        await self.begin_count()
        return await self._state()

    async def _state(self) -> dict[str, Any]:
        await self._count_again()
        streams = self._proxy.streams()
        return {
            "run": self._count.run,
            "faults": [
                {"kind": fault.kind, "user": fault.user, "delay_ms": fault.delay_ms, "seconds_left": round(left, 1)}
                for fault, left in self._faults.held()
            ],
            "nodes": [
                {
                    "number": number,
                    "state": node.state,
                    "process_id": node.process_id,
                    "starts_in_s": node.starts_in_s,
                    "kills": node.kills,
                    "streams": sorted(streams.get(number, ())),
                }
                for number, node in enumerate(self._nodes, start=1)
            ],
            "traffic": self._traffic.state(),
            "open": sorted(self._count.open_users()),
            "count": self._total.as_dict(),
        }

    async def _count_again(self) -> None:
        loop = asyncio.get_running_loop()
        async with self._counting:
            if loop.time() - self._counted_at < COUNT_EVERY_S:
                return
            # In this order: what a page had acknowledged by now was committed before the database is read.
            acknowledged, run = self._count.acknowledged(), self._count.run
            try:
                truth = await asyncio.to_thread(
                    read_truth, self._database, self._count.heads, frozenset(acknowledged.values())
                )
            except TidingsError as failure:  # a database that is away is read when it is back
                return log.debug("the count waits: %s", failure)
            if run == self._count.run:
                self._total = self._count.total(acknowledged, truth)
                self._counted_at = loop.time()


def control_server(app: ASGIApp) -> uvicorn.Server:
    """An HTTP server for it that leaves signals to whoever runs it."""
    return _Server(
        uvicorn.Config(app, ws="none", lifespan="off", access_log=False, log_config=None, server_header=False)
    )


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield


class Guard:
    """Lets in who may control the demo, and tells browsers that the demo's own page may."""

    def __init__(self, app: ASGIApp, host: str, origins: list[str], key: str) -> None:
        self._app = app
        self._host = host.encode()
        self._origins = {origin.encode() for origin in origins}
        self._key = key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        assert scope["type"] == "http"
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        if headers.get(b"host") != self._host or (origin is not None and origin not in self._origins):
            return await _refusal(403)(scope, receive, send)
        shared = _cors(origin)
        if scope["method"] == "OPTIONS" and origin is not None:
            allowed = {
                "Access-Control-Allow-Methods": "POST",
                "Access-Control-Allow-Headers": f"Content-Type, {KEY_HEADER}",
                "Access-Control-Max-Age": str(PREFLIGHT_MAX_AGE_S),
            }
            return await Response(status_code=204, headers={**shared, **allowed})(scope, receive, send)
        if not secrets.compare_digest(headers.get(KEY_HEADER.encode(), b""), self._key):
            return await _refusal(403, shared)(scope, receive, send)
        scope["state"] = {"headers": shared}
        await self._app(scope, receive, send)


class _Endpoint:
    """One order: POST, JSON in, the state out."""

    def __init__(self, handler: Callable[[bytes], Awaitable[dict[str, Any]]]) -> None:
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = scope["state"]["headers"]
        if scope["method"] != "POST":
            return await _refusal(405, headers)(scope, receive, send)
        body = await _body(receive)
        if body is None:
            return await _refusal(413, headers)(scope, receive, send)
        try:
            answer = await self._handler(body)
        except ValueError as wrong:  # msgspec's errors are of this kind, too
            return await _refusal(422, headers, str(wrong))(scope, receive, send)
        response = Response(msgspec.json.encode(answer), media_type="application/json", headers=headers)
        await response(scope, receive, send)


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None when it is too large."""
    body = b""
    while len(body) <= BODY_MAX_BYTES:
        message = await receive()
        chunk: bytes = message.get("body", b"")
        body += chunk
        if not message.get("more_body", False):
            return body
    return None


def _cors(origin: bytes | None) -> dict[str, str]:
    shared = {"Cache-Control": "no-store", "Vary": "Origin"}
    return shared if origin is None else {**shared, "Access-Control-Allow-Origin": origin.decode("latin-1")}


def _refusal(status: int, headers: dict[str, str] | None = None, detail: str = "refused") -> Response:
    return Response(detail, status, headers=headers, media_type="text/plain")
