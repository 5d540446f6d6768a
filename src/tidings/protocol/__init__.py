"""What both sides of the wire agree on. Pure: no asyncio, no clock, no socket, no randomness of its own."""
