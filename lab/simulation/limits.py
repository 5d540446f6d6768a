"""The limits that differ from seed to seed: sizes small enough that their edges are met, and how unreliable hints
are."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from unittest.mock import patch

from lab.simulation.device import SECRET
from tidings.server.api import endpoint, history, poll
from tidings.server.config import Config
from tidings.server.live import hub, stream
from tidings.server.store.sqlite import threads, trim


@dataclass(frozen=True)
class Hints:
    """Shares of the hub's hints."""

    lost: float
    late: float
    doubled: float


class Limits:
    """One seed's sizes; ``applied`` puts them into the modules that read them."""

    def __init__(self, rng: random.Random) -> None:
        self.hints = Hints(rng.choice([0.0, 0.1, 0.5]), rng.choice([0.0, 0.2]), rng.choice([0.0, 0.1]))
        self.users = rng.randint(2, 4)
        self.devices_per_user = rng.randint(1, 3)
        self.log_events_max = rng.choice([8, 40, 20_000])
        page = rng.choice([2, 7, 200])
        self._constants: list[tuple[ModuleType | type, str, Any]] = [
            (stream, "EVENTS_PAGE_DEFAULT", page),
            (stream, "FRAME_BATCH_MAX_BYTES", rng.choice([700, 1 << 16])),
            (poll, "EVENTS_PAGE_DEFAULT", page),
            (hub, "EVENTS_PAGE_MAX", rng.choice([3, 500])),
            (hub, "RING_EVENTS_MAX", rng.choice([1, 3, 64])),
            (hub, "SWEEP_USERS_MAX", rng.choice([1, 1000])),
            (history, "HISTORY_PAGE_DEFAULT", rng.choice([5, 50])),
            (endpoint, "LIST_PAGE_DEFAULT", rng.choice([1, 30])),
            (threads, "WRITER_BATCH_MAX", rng.choice([1, 4, 256])),
            (trim, "TRIM_SLICE_EVENTS", rng.choice([2, 1000])),
            (trim, "TRIM_USERS_AT_ONCE", rng.choice([1, 500])),
        ]
        self._settings: dict[str, Any] = {
            "heartbeat_interval_s": rng.choice([3.0, 15.0]),
            "stream_age_max_s": rng.choice([40.0, 600.0]),
            "streams_per_user_max": rng.choice([2, 20]),
            "drain_window_s": rng.choice([1.0, 5.0]),
            "log_events_max": self.log_events_max,
        }

    def config(self, url: str) -> Config:
        """The server's settings."""
        return Config(db=url, secret=SECRET, **self._settings)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Scale the product's limits down; fails where one of them is no longer there."""
        with contextlib.ExitStack() as stack:
            for module, name, value in self._constants:
                stack.enter_context(patch.object(module, name, value))
            yield
