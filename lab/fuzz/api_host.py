"""A host application for the fuzzer: whoever asks is ada, and no rate gets in the way."""

from __future__ import annotations

import os

from fastapi import FastAPI

from tidings import Config
from tidings.fastapi import DirectMessages


def signed_in() -> str:
    """The host's dependency."""
    return "ada"


messages = DirectMessages(
    Config(
        db=os.environ["HOST_DB"],
        sends_per_s=1e9,
        sends_burst=10**9,
        signals_per_s=1e9,
        new_conversations_per_h=10**9,
        poll_wait_max_s=0.01,
    ),
    user=signed_in,
)
app = FastAPI(lifespan=messages.lifespan)
app.include_router(messages.router, prefix="/api/message")
