"""Retention beside the requests: the logs are kept short, as the configuration says.

A log is for catching up. An event that is trimmed from it stays in the history; a reader that was away longer reloads.
"""

from __future__ import annotations

import asyncio
import logging

from tidings.errors import Unavailable
from tidings.server.config import Config
from tidings.server.logs import Line
from tidings.server.metrics import Metrics
from tidings.server.store import Store
from tidings.server.store.rules import DAY_MS

TRIM_FIRST_AFTER_S = 2.0  # retention begins so soon after the start: a node that restarts often must trim all the same
TRIM_INTERVAL_S = 3600.0  # and comes again; logs grow by days
TRIM_NOT_WITHIN_S = 3000.0  # after another node began: each comes by its own hour, and one of them is the first

log = logging.getLogger("tidings.retain")


async def retain_for_ever(config: Config, store: Store, metrics: Metrics) -> None:
    """Trim the logs soon after the start and then every hour, until cancelled."""
    older_than_ms = int(config.log_keep_days * DAY_MS)
    pause_s = TRIM_FIRST_AFTER_S
    while True:
        await asyncio.sleep(pause_s)
        pause_s = TRIM_INTERVAL_S
        try:
            trimmed = await store.trim(older_than_ms, config.log_events_max, not_within_s=TRIM_NOT_WITHIN_S)
        except Unavailable as failure:
            log.warning("retention did not come to its end and will be tried again: %s", failure.detail)
            continue
        metrics.log_events.set(trimmed.kept)
        if trimmed.events:
            metrics.events_trimmed.inc(trimmed.events)
            log.info(Line("retention removed events", events=trimmed.events, logs=trimmed.logs))
