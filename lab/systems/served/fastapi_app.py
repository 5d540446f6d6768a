"""FastAPI's own event streams, as its documentation shows them, with a queue for each open stream."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterable

from fastapi import FastAPI
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel

app = FastAPI()
streams: defaultdict[str, set[asyncio.Queue[str]]] = defaultdict(set)


class New(BaseModel):
    """A message."""

    text: str


@app.get("/events/{user}", response_class=EventSourceResponse)
async def events(user: str) -> AsyncIterable[ServerSentEvent]:
    """A stream."""
    queue: asyncio.Queue[str] = asyncio.Queue()
    streams[user].add(queue)
    try:
        while True:
            yield ServerSentEvent(data=await queue.get())
    finally:
        streams[user].discard(queue)


@app.post("/send/{user}")
async def send(user: str, new: New) -> dict[str, str]:
    """To all streams of one user."""
    for queue in streams[user]:
        queue.put_nowait(new.text)
    return {"status": "sent"}
