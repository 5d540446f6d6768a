"""Calm: everything is healed, and within bounded virtual time everybody must have everything, once, in order."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING

from lab.simulation.device import Device
from tidings.protocol.cursor import parse_cursor
from tidings.protocol.events import KIND_MESSAGE

if TYPE_CHECKING:
    from lab.simulation.world import World

CALM_WITHIN_S = 240  # the longest waits one after another: a request's deadline, a backoff, a replaced stream's pause
STILL_S = 3.0  # for what might come too much


async def calm(world: World) -> None:
    """Heal everything, wait until everybody has everything, and look at all of it."""
    world.trace("calm")
    await heal(world)
    # A commit that began on a slow disk may come when everybody has everything, and nobody asks any more.
    still_s = 0.0
    for _ in range(CALM_WITHIN_S):
        still_s = 0.0 if _waiting(world) else still_s + 1.0
        if still_s > STILL_S:
            break
        await asyncio.sleep(1.0)
    else:
        world.wrong(f"stuck {CALM_WITHIN_S} s after everything was healed: " + "; ".join(_waiting(world)))
        return
    check_database(world)
    check_sends(world)
    world.check()
    for device in world.devices:
        check_device(world, device)


async def heal(world: World) -> None:
    """No fault any more but lost hints."""
    await world.host.heal()
    for device in world.devices:
        device.link.heal()
        device.start()


def _waiting(world: World) -> list[str]:
    waiting = list(world.waiting())
    for device in world.devices:
        head = world.truth.head(device.user)
        cursor = parse_cursor(device.cursor or "")
        if device.asking:
            waiting.append(f"{device.name} waits for {device.asking} answers")
        if device.outbox.waiting():
            waiting.append(f"{device.name} has {len(device.outbox.waiting())} unsent")
        if not device.state.is_whole or device.position != head or device.state.epoch != world.truth.epoch:
            loaded = "" if device.state.is_whole else ", not loaded"
            waiting.append(f"{device.name} is at {device.position} of {head}{loaded}")
        elif cursor is None or cursor.tag != world.truth.tag(device.user, cursor.position):
            # A silent rollback took its events away, and the log has grown to its place again before it came back.
            waiting.append(f"{device.name} has not noticed that its place is gone")
    return waiting


def check_database(world: World) -> None:
    """The stored rows are those that were seen to be committed, and no others; the row at each head is there."""
    truth = world.truth
    with sqlite3.connect(f"file:{world.host.path}?mode=ro", uri=True) as connection:
        names = dict(connection.execute("SELECT uid, name FROM users"))
        stored: dict[str, list[tuple[int, ...]]] = {name: [] for name in names.values()}
        for uid, cur, kind, mid in connection.execute("SELECT uid, cur, kind, mid FROM feed ORDER BY uid, cur"):
            stored[names[uid]].append((cur, kind, mid))
        for user, rows in stored.items():
            floor, log = truth.floors[user], truth.logs[user]
            if rows != [(at, row.kind, row.mid) for at, row in enumerate(log, 1) if at > floor]:
                world.wrong(f"I2: the stored log of {user} is not what was committed")
        count = connection.execute("SELECT count(*) FROM messages").fetchone()[0]
        if count != len(truth.messages):
            world.wrong(f"{count} messages are stored, {len(truth.messages)} were committed")
    connection.close()


def check_sends(world: World) -> None:
    """Each message is stored once; one that was acknowledged is missing only if a restore took it away."""
    truth = world.truth
    counts: dict[str, int] = {}
    for sent in truth.messages.values():
        counts[sent.text] = counts.get(sent.text, 0) + 1
    for (user, client_id), (_peer, text) in world.said.items():
        count, is_lost = counts.get(text, 0), (user, client_id) in world.lost
        if count > 1 or (count == 0 and not is_lost):
            world.wrong(f"I1: {client_id} of {user} is stored {count} times")
    for (user, client_id), mid in world.acknowledged.items():
        if truth.by_client_id.get((user, client_id)) != mid:
            world.wrong(f"I1: {client_id} of {user} was acknowledged as {mid:x} and is not there")


def check_device(world: World, device: Device) -> None:
    """The state that snapshots and events made on a device is the committed one (I4)."""
    truth, me = world.truth, device.user
    peers = {row.peer for row in truth.logs.get(me, []) if row.kind == KIND_MESSAGE}
    for peer in peers | set(device.state.conversations):
        conversation = device.state.conversations.get(peer)
        if conversation is None:
            world.wrong(f"I4: {device.name} knows nothing of {peer}")
            continue
        mids = truth.conversations.get(frozenset((me, peer)), [])
        wanted = {truth.messages[mid].seq: (truth.message_id(mid), *_said(world, mid)) for mid in mids}
        if conversation.messages != wanted:
            different = sorted(seq for seq, _told in conversation.messages.items() ^ wanted.items())
            world.wrong(f"I4: {device.name} with {peer} differs at {different}")
        marks = (conversation.read_upto, conversation.peer_read_upto, conversation.peer_delivered_upto)
        if marks != (truth.marks(me, peer)[0], *truth.told(peer, me)):
            world.wrong(
                f"I4: {device.name} with {peer}: {marks}, not {truth.marks(me, peer)[0], *truth.told(peer, me)}"
            )


def _said(world: World, mid: int) -> tuple[str, str]:
    sent = world.truth.messages[mid]
    return sent.sender, sent.text
