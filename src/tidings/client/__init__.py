"""The Python client.

::

    with Client("http://127.0.0.1:8000", token) as client:
        client.send("ben", "Hello!")
        for event in client.events():
            ...

    async with AsyncClient("http://127.0.0.1:8000", token) as client:
        await client.send("ben", "Hello!")
        async for event in client.events():
            ...

Without input or output: ``call`` (one call of the API), ``core`` (following a stream) and ``following`` (what lies
between it and the consumer). ``client`` and ``feed`` drive them with threads, ``async_client`` and ``async_feed`` with
tasks.
"""

from tidings.client.async_client import AsyncClient
from tidings.client.async_feed import AsyncFeed
from tidings.client.client import Client
from tidings.client.core import Event
from tidings.client.feed import Feed
from tidings.client.following import ConnectionState
from tidings.client.outbox import Outbox, Unsent
from tidings.client.token import AsyncToken, Token
from tidings.protocol.shapes import (
    Blocked,
    BlockedPage,
    Conversation,
    FoundPerson,
    HistoryPage,
    InboxPage,
    Message,
    Person,
    Watermarks,
)

__all__ = [
    "AsyncClient",
    "AsyncFeed",
    "AsyncToken",
    "Blocked",
    "BlockedPage",
    "Client",
    "ConnectionState",
    "Conversation",
    "Event",
    "Feed",
    "FoundPerson",
    "HistoryPage",
    "InboxPage",
    "Message",
    "Outbox",
    "Person",
    "Token",
    "Unsent",
    "Watermarks",
]
