"""As many applications on sse-starlette are: a queue in memory for each open stream, and a POST that fills it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

streams: defaultdict[str, set[asyncio.Queue[str]]] = defaultdict(set)


async def events(request: Request) -> EventSourceResponse:
    user = request.path_params["user"]

    async def follow() -> AsyncIterator[dict[str, str]]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        streams[user].add(queue)
        try:
            while True:
                yield {"data": await queue.get()}
        finally:
            streams[user].discard(queue)

    return EventSourceResponse(follow())


async def send(request: Request) -> JSONResponse:
    text = (await request.json())["text"]
    for queue in streams[request.path_params["user"]]:
        queue.put_nowait(text)
    return JSONResponse({"status": "sent"})


app = Starlette(routes=[Route("/events/{user}", events), Route("/send/{user}", send, methods=["POST"])])
