"""The outbox beside the requests: what transactions of the application enqueued goes into the logs.

A message is checked as any send of the application's own code, and counted. A line tells of one that is refused, but
not its text.
"""

from __future__ import annotations

import logging
from functools import partial

from tidings.errors import Unprocessable
from tidings.protocol.user_id import UserId, check_user_id
from tidings.server.config import Config
from tidings.server.logs import Line
from tidings.server.metrics import Metrics
from tidings.server.store import Moved, NewMessage, Store, Waiting
from tidings.server.store.rules import check_message

log = logging.getLogger("tidings.outbox")


async def move_for_ever(config: Config, store: Store, metrics: Metrics) -> None:
    """Move messages out of the outbox, until cancelled; nothing where the store has none."""
    await store.move_outbox(partial(_check, config), partial(_count, metrics))


def _check(config: Config, waiting: Waiting) -> NewMessage:
    content = (waiting.text, waiting.message_type, waiting.client_id)
    return check_message(
        config, _user_id(waiting.sender), _user_id(waiting.recipient), *content, opening_limit_per_h=None
    )


def _user_id(text: str) -> UserId:
    try:
        return check_user_id(text)
    except ValueError as wrong:
        raise Unprocessable("bad_user_id", str(wrong)) from None


def _count(metrics: Metrics, moved: Moved) -> None:
    metrics.messages_accepted.inc(moved.stored)
    metrics.messages_deduplicated.inc(moved.repeated)
    metrics.outbox_moved.inc(moved.stored + moved.repeated)
    for waiting, why in moved.refused:
        metrics.outbox_refused.labels(why).inc()
        told = {"id": waiting.id, "sender": waiting.sender[:128], "recipient": waiting.recipient[:128]}
        log.warning(Line("a message of the outbox was refused", why=why, **told))
