"""A messaging server that is bad on purpose: it loses, doubles and reorders by number, and says so to nobody.

    python bad_server.py PORT [HABIT ...]

``POST /send/{user}`` takes a text as its body, ``GET /events/{user}`` streams. Of every ten letters it loses the 3rd,
doubles the 5th, and sends the 8th after the 9th, by the habits ``lose``, ``double`` and ``delay``. It keeps nothing, a
stream has no ids, and a letter that is sent again is another one.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections import defaultdict

HABITS = sys.argv[2:]
LOST, DOUBLED, DELAYED = (
    digit if habit in HABITS else None for digit, habit in ((3, "lose"), (5, "double"), (8, "delay"))
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

streams: defaultdict[str, set[asyncio.StreamWriter]] = defaultdict(set)
delayed: defaultdict[str, list[bytes]] = defaultdict(list)


def frames(user: str, text: bytes) -> list[bytes]:
    """The frames for the streams of a user when this text was published."""
    found = re.match(rb"letter (\d+)", text)
    last_digit = int(found[1]) % 10 if found else 0
    frame = b"data: " + text + b"\n\n"
    if last_digit == LOST:
        return []
    if last_digit == DELAYED:
        delayed[user].append(frame)
        return []
    held, delayed[user] = delayed[user], []
    return [frame, *([frame] if last_digit == DOUBLED else []), *held]


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            user = head.split(b" ")[1].rsplit(b"/", 1)[1].decode()
            if head.startswith(b"GET"):
                writer.write(HEAD)
                streams[user].add(writer)
                await reader.read()
                return
            length = re.search(rb"(?i)content-length: (\d+)", head)
            text = await reader.readexactly(int(length[1]) if length else 0)
            for stream in streams[user]:
                stream.writelines(frames(user, text))
            writer.write(ANSWER)
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        for open_streams in streams.values():
            open_streams.discard(writer)
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
