"""The server's truth: read from its database, beside it, and whether it runs or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tidings.server.store.maintenance import Maintenance, Snapshot


@dataclass
class Truth:
    """Every message that was committed after the positions in question.

    Attributes:
        epoch: Of the database; cursors of another one say nothing about it.
        recipients: Message id → user id.
        logs: User id → message id → position in that user's log.
        earlier: Of the messages that were asked for, those that are there, but before those positions.
        doubled: Messages that the server has more than once: the same sender, the same ``client_id``.
    """

    epoch: str = ""
    recipients: dict[str, str] = field(default_factory=dict)
    logs: dict[str, dict[str, int]] = field(default_factory=dict)
    earlier: set[str] = field(default_factory=set)
    doubled: int = 0


def read_heads(database: Maintenance) -> dict[str, int]:
    """The head of each log."""
    with database.glance() as snapshot:
        return {str(user): head for user, head in snapshot.heads().items()}


def read_truth(database: Maintenance, after: Mapping[str, int], asked: Iterable[str] = ()) -> Truth:
    """Return every log after these positions, as one snapshot; a log that is not named from its beginning."""
    with database.glance() as snapshot:
        truth = _read(snapshot, after)
        truth.earlier = {id for id in set(asked) - truth.recipients.keys() if snapshot.has_message(id)}
        return truth


def _read(snapshot: Snapshot, after: Mapping[str, int]) -> Truth:
    truth = Truth(snapshot.epoch)
    keys: set[tuple[str, str]] = set()
    for user, head in snapshot.heads().items():
        since = after.get(user, 0)
        if head <= since:
            continue
        log = truth.logs.setdefault(user, {})
        for entry in snapshot.entries_after(user, since):
            log[entry.id] = entry.position
            if entry.sender != user:
                truth.recipients[entry.id] = user
                if entry.client_id is not None:
                    truth.doubled += (entry.sender, entry.client_id) in keys
                    keys.add((entry.sender, entry.client_id))
    return truth
