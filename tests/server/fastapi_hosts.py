"""FastAPI applications of other people, whose own dependency tells who is signed in."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from tidings import Config
from tidings.fastapi import DirectMessages

PREFIX = "/api/message"
POOL_WAIT_S = 2.0

config = Config(db=os.environ.get("HOST_DB", "sqlite:///host.db"), heartbeat_interval_s=1)
bearer = HTTPBearer()
Credentials = Annotated[HTTPAuthorizationCredentials, Depends(bearer)]


@dataclass(frozen=True)
class Member:
    """A user as such an application has it."""

    id: str
    name: str


class Pool:
    """One database connection for everybody, as an application has when its pool is full."""

    def __init__(self) -> None:
        self.free = asyncio.Semaphore(1)
        self.taken = 0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Pool]:
        try:
            async with asyncio.timeout(POOL_WAIT_S):
                await self.free.acquire()
        except TimeoutError:
            raise HTTPException(503, "no connection is free") from None
        self.taken += 1
        try:
            yield self
        finally:
            self.free.release()


pool = Pool()


async def connection() -> AsyncIterator[Pool]:
    """A connection for one request."""
    async with pool.connection() as taken:
        yield taken


async def current_user(credentials: Credentials, db: Annotated[Pool, Depends(connection)]) -> Member:
    """Found in the database, by a security scheme and a sub-dependency with ``yield``."""
    assert db.free.locked()
    if credentials.credentials == "stranger":
        raise HTTPException(401, "You are not known here.", headers={"WWW-Authenticate": "Bearer"})
    return Member(credentials.credentials, "Somebody")


messages = DirectMessages(config, user=current_user)
app = FastAPI(lifespan=messages.lifespan)
app.include_router(messages.router, prefix=PREFIX)


@app.get("/pool")
async def show_pool(_db: Annotated[Pool, Depends(connection)]) -> dict[str, int]:
    """A route of the host's own that needs a connection."""
    return {"taken": pool.taken}


def session_user(request: Request) -> Iterator[str | None]:
    """Sync, with ``yield``, and without a word of protest: nobody is None."""
    yield request.headers.get("authorization", "").removeprefix("Bearer ").removeprefix("stranger") or None


of_sync = DirectMessages(config, user=session_user)
sync = FastAPI()
sync.include_router(of_sync.router, prefix=PREFIX)

of_mounted = DirectMessages(config, user=current_user, user_id=lambda member: member.id)
mounted = FastAPI()
mounted.mount(PREFIX, of_mounted.router)

of_middleware = DirectMessages(config, user=current_user)
behind_middleware = FastAPI()


@behind_middleware.middleware("http")
async def note(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """FastAPI's own kind of middleware, a BaseHTTPMiddleware."""
    response = await call_next(request)
    response.headers["x-noted"] = "yes"
    return response


behind_middleware.add_middleware(GZipMiddleware, minimum_size=1)
behind_middleware.add_middleware(CORSMiddleware, allow_origins=["https://example.org"])
behind_middleware.include_router(of_middleware.router, prefix=PREFIX)


def api_key(key: Annotated[str | None, Depends(APIKeyHeader(name="x-key", auto_error=False))]) -> None:
    """A second condition, given to ``include_router``."""
    if key != "open":
        raise HTTPException(403, "No key.")


of_locked = DirectMessages(config, user=current_user)
locked = FastAPI()
locked.include_router(of_locked.router, prefix=PREFIX, dependencies=[Depends(api_key)])
