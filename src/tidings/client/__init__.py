"""The Python client.

::

    with Client("http://127.0.0.1:8000", token) as client:
        client.send("ben", "Hello!")
        for event in client.events():
            ...

``core`` follows a stream without input or output; ``feed`` drives it with threads and sockets.
"""

from tidings.client.client import Client, Conversation, HistoryPage, InboxPage
from tidings.client.core import Event
from tidings.client.feed import ConnectionState, Feed
from tidings.client.token import Token

__all__ = ["Client", "ConnectionState", "Conversation", "Event", "Feed", "HistoryPage", "InboxPage", "Token"]
