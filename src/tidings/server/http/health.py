"""The answers of ``serve`` to those who operate it, beside the API: health, readiness and metrics."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp

from tidings.server.api.answer import not_found
from tidings.server.api.health import look
from tidings.server.node import Node


def health_routes(node: Node) -> list[BaseRoute]:
    """Routes for supervisors, load balancers and, where these have no port of their own, collectors of metrics."""

    async def check(_request: Request) -> Response:
        # HAProxy's plain check, which asks OPTIONS of the first path; it is to look elsewhere while we drain.
        return Response(status_code=503 if node.hub.is_draining else 204, headers={"Allow": "GET, HEAD, OPTIONS"})

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        health = await look(node)
        return JSONResponse(health.body(), 200 if health.is_ready else 503)

    return [
        Route("/", check, methods=["OPTIONS"]),
        Route("/healthz", healthz, methods=["GET", "OPTIONS"]),
        Route("/readyz", readyz, methods=["GET", "OPTIONS"]),
        *([] if node.config.metrics_port else [_metrics_route(node)]),
    ]


def metrics_app(node: Node) -> ASGIApp:
    """The metrics, and nothing else, for a port of their own."""
    return Router([_metrics_route(node)], redirect_slashes=False, default=not_found)


def _metrics_route(node: Node) -> Route:
    async def metrics(request: Request) -> Response:
        # In a thread: it lists the process's open files, 30 ms for 10,000, and looks at the database's.
        text, content_type = await asyncio.to_thread(node.metrics.render, request.headers.get("accept", ""))
        return Response(text, headers={"Content-Type": content_type})

    return Route("/metrics", metrics)
