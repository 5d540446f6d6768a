"""The part of the wire on which both sides agree. Pure: no asyncio, no clock, no socket, no randomness of its own."""
