"""The look at the store once a second: is it still where it was, and was anybody erased by another process?

The store itself says what it cannot do any more, in its log and to its callers. Here stands what a node has in memory,
and must not hand out once it is erased.
"""

from __future__ import annotations

import asyncio
import logging

from tidings.errors import Unavailable
from tidings.server.live.hub import Hub
from tidings.server.store import Store

CHECK_INTERVAL_S = 1.0  # a file that is not in its place is noticed within it, and an erasure by another process

log = logging.getLogger("tidings.watch")


async def watch_for_ever(store: Store, hub: Hub) -> None:
    """Check the store every CHECK_INTERVAL_S, until cancelled.

    An erased user is forgotten twice before that is said: a page that was read before the erasure may come after the
    first time.
    """
    noticed = forgotten = 0
    while True:
        await asyncio.sleep(CHECK_INTERVAL_S)
        try:
            erasures = await store.check()
            hub.store_trouble = ""
            if erasures != forgotten:
                await hub.forget_erased()
                if erasures == noticed:
                    await store.note_forgotten(erasures)
                    forgotten = erasures
                noticed = erasures
        except Unavailable as failure:
            hub.store_trouble = failure.detail
            log.debug("the store is not well: %s", failure.detail)
        except Exception:
            log.exception("a look at the store failed; the next one makes up for it")
