"""The store on a PostgreSQL database: any number of nodes have it at once, each with a few connections."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from tidings.errors import DatabaseAway, TidingsError, TooManyRequests, Unavailable
from tidings.protocol.cursor import Cursor
from tidings.protocol.encoding import encode_json
from tidings.protocol.events import LogEvent
from tidings.protocol.shapes import Watermarks
from tidings.protocol.user_id import UserId
from tidings.server.config import COMMIT_WAIT_MAX_S, PAGE_SIZE_MAX_BYTES, REVOKED_USERS_MAX
from tidings.server.store import (
    Appended,
    BlockedPage,
    CheckWaiting,
    HistoryPage,
    InboxPage,
    NewMessage,
    OnCommit,
    OnMissed,
    OnMoved,
    OnNewEpoch,
    Relation,
    Report,
    ServiceKey,
    StartPosition,
    TokenProfile,
    Trimmed,
    limits,
)
from tidings.server.store.figures import Figures
from tidings.server.store.limits import (
    CHECK_KEPT_S,
    TRIM_PAUSE_S,
    TRIM_PAUSES_MAX,
    TRIM_SLICE_EVENTS,
)
from tidings.server.store.postgres import reads
from tidings.server.store.postgres.address import Address
from tidings.server.store.postgres.driver import Failure, connect
from tidings.server.store.postgres.mover import Mover
from tidings.server.store.postgres.operations import Advance, Append, Block, Operation
from tidings.server.store.postgres.readers import Readers
from tidings.server.store.postgres.reads import Of
from tidings.server.store.postgres.schema import check_server, migrate
from tidings.server.store.postgres.sentences import nameless_text, refusal
from tidings.server.store.postgres.writer import Writer, unavailable

T = TypeVar("T")

NODE_SIZE_BYTES = 8
NODE_SEEN_MS = 5_000  # a node looks each second; one that was killed is counted for so long
NODES = "SELECT count(*) FROM TIDINGS.nodes n WHERE n.seen_ms > TIDINGS.now_ms_1() - $1"
NOT_KNOWN_DETAIL = "The message is not known to be stored; send it again with the same client_id."
START_WAIT_MAX_S = 90.0  # another node may migrate meanwhile
CHECK_WAIT_MAX_S = 4.0  # whoever asks for readiness waits for 5 s, as a rule
SIZE_KEPT_S = 60.0  # the size of the tables is asked for so often: a metric, and a look at each file of them


class PostgresStore:
    """One node's view of a database that others have as well."""

    def __init__(self, address: Address, on_commit: OnCommit) -> None:
        self._address = address
        self._on_commit = on_commit
        self._node = secrets.token_hex(NODE_SIZE_BYTES)
        self._writer: Writer | None = None
        self._readers: Readers | None = None
        self._epoch = ""
        self._on_missed: OnMissed = _nobody_listens
        self._on_new_epoch: OnNewEpoch = _nobody_listens
        self._checking: asyncio.Task[int] | None = None
        self._check_begun = 0.0
        self._size_bytes = 0
        self._size_asked = float("-inf")

    @property
    def epoch(self) -> str:
        """Identity of the database's history, as it was last seen: another node may begin a new one."""
        return self._epoch

    async def start(self) -> None:
        """Migrate the schema where that is needed, and connect; see ``Store.start``."""
        writer = Writer(self._address, self._on_commit, self._missed, self._begin_epoch)
        try:
            async with asyncio.timeout(START_WAIT_MAX_S):
                connection = await connect(self._address)
                try:
                    async with connection.transaction():
                        await check_server(connection, self._address)
                    await migrate(connection, self._address)
                finally:
                    connection.terminate()
                await writer.start()
        except (*Failure, ValueError) as failure:
            raise refusal(self._address, failure) from failure
        self._writer, self._readers = writer, Readers(self._address)
        try:
            await self.check()
        except Unavailable as failure:
            await self.close()
            if isinstance(failure.__cause__, TidingsError):
                raise failure.__cause__ from failure
            if failure.__cause__ is not None:  # a connection that there is not
                raise refusal(self._address, failure.__cause__) from failure
            raise DatabaseAway(
                f"db (TIDINGS_DB): {self._address.shown} takes no writes now: {failure.detail.rstrip('.')}"
            ) from failure

    def listen(self, missed: OnMissed, began_anew: OnNewEpoch) -> None:
        self._on_missed, self._on_new_epoch = missed, began_anew

    async def close(self) -> None:
        """Finish what was accepted, and let go of the database."""
        if self._writer is None or self._readers is None:
            return
        writer, readers = self._writer, self._readers
        if self._checking is not None:
            await asyncio.wait([self._checking])
        gone = writer.call("DELETE FROM TIDINGS.nodes WHERE node = $1", self._node)
        gone.add_done_callback(asyncio.Future.exception)  # it is forgotten by itself when it is not seen any more
        self._writer = self._readers = None
        await writer.close()
        await readers.close()

    async def check(self) -> int:
        """See ``Store.check``: a write, but one for all who ask within CHECK_KEPT_S."""
        now = asyncio.get_running_loop().time()
        if self._checking is None or (self._checking.done() and now - self._check_begun > CHECK_KEPT_S):
            self._check_begun = now
            self._checking = asyncio.get_running_loop().create_task(self._check())
            self._checking.add_done_callback(_mark_retrieved)
        return await asyncio.shield(self._checking)

    async def _check(self) -> int:
        writer = self._running()
        looked = writer.call("SELECT * FROM TIDINGS.check_1($1)", self._node)
        try:
            ((epoch, erasures),) = await _within(looked, CHECK_WAIT_MAX_S, "The database did not answer in time.")
        except Unavailable:
            if writer.away is None:
                raise
            raise unavailable(nameless_text(self._address, writer.away)) from writer.away
        writer.note_erasures(erasures)
        writer.learn_epoch(epoch)
        now = asyncio.get_running_loop().time()
        if now - self._size_asked > SIZE_KEPT_S:
            self._size_asked = now
            self._size_bytes = await reads.size_bytes(self._fetch)
        return int(erasures)

    async def nodes(self) -> int:
        """See ``Store.nodes``."""
        ((count,),) = await self._fetch(NODES, NODE_SEEN_MS)
        return int(count)

    async def note_forgotten(self, erasures: int) -> None:
        """See ``Store.note_forgotten``."""
        await self._call("UPDATE TIDINGS.nodes SET forgotten = $2 WHERE node = $1", self._node, erasures)

    async def failed(self) -> bool:
        """See ``Store.failed``: never, since another process would meet the same database."""
        await asyncio.Event().wait()
        return False

    @property
    def is_lost(self) -> bool:
        """See ``Store.is_lost``."""
        return False

    async def append(self, message: NewMessage) -> Appended:
        return await self._write(Append(message))  # type: ignore[no-any-return]

    async def advance(
        self, reader: UserId, peer: UserId, delivered_upto: int, read_upto: int, *, tells_strangers: bool = True
    ) -> Watermarks:
        rising = Advance(reader, peer, delivered_upto, read_upto, tells_strangers=tells_strangers)
        return await self._write(rising)  # type: ignore[no-any-return]

    async def block(self, user: UserId, peer: UserId) -> None:
        await self._write(Block(user, peer))

    async def unblock(self, user: UserId, peer: UserId) -> None:
        await self._write(Block(user, peer, is_taken_back=True))

    async def start_position(self, user: UserId, cursor: Cursor | None) -> StartPosition:
        return await self._read(reads.start_position, user, cursor)

    async def read_after(
        self, user: UserId, position: int, limit: int, size_max_bytes: int = PAGE_SIZE_MAX_BYTES
    ) -> list[LogEvent]:
        """See ``Store.read_after``."""
        return await reads.read_after(self._fetch, user, position, limit, size_max_bytes)

    async def heads(self, users: Sequence[UserId]) -> dict[UserId, int]:
        return await self._read(reads.heads, users)

    async def history(
        self, user: UserId, peer: UserId, *, before: int | None, after: int | None, limit: int
    ) -> HistoryPage:
        return await self._read(reads.history, user, peer, before, after, limit)

    async def inbox(self, user: UserId, *, before: int | None, limit: int) -> InboxPage:
        return await self._read(reads.inbox, user, before, limit)

    async def unread(self, user: UserId) -> int:
        return await reads.unread(self._fetch, user)

    async def relation(self, user: UserId, peer: UserId) -> Relation:
        return await reads.relation(self._fetch, user, peer)

    async def blocked(self, user: UserId, *, before: int | None, limit: int) -> BlockedPage:
        return await reads.blocked(self._fetch, user, before, limit)

    async def take_hourly(self, what: str, user: UserId, most: int) -> None:
        """See ``Store.take_hourly``."""
        ((wait_ms,),) = await self._call("SELECT TIDINGS.hourly_1($1, $2, $3)", what, user, most)
        if wait_ms > 0:
            raise TooManyRequests.after(wait_ms / 1000)

    async def add_report(self, report: Report) -> None:
        """See ``Store.add_report``."""
        await self._call(
            "INSERT INTO TIDINGS.reports(reporter, reported, reason, seq, messages, ts)"
            " VALUES ($1, $2, $3, $4, $5, TIDINGS.now_ms_1())",
            *(report.reporter, report.reported, report.reason, report.seq, encode_json(report.messages).decode()),
        )

    async def revoke(self, user: UserId, until: float) -> None:
        await self._call("SELECT TIDINGS.revoke_1($1, $2, $3)", user, until, REVOKED_USERS_MAX)

    async def revocations(self, since: float = 0.0) -> dict[UserId, float]:
        return await reads.revocations(self._fetch, since)

    async def service_keys(self) -> list[ServiceKey]:
        return await reads.service_keys(self._fetch)

    async def note_key_used(self, digest: bytes, day: int) -> None:
        await self._call(
            "UPDATE TIDINGS.service_keys SET used_day = $2 WHERE digest = $1 AND (used_day IS NULL OR used_day < $2)",
            *(digest, day),
        )

    async def keep_profile(self, user: UserId, profile: TokenProfile) -> None:
        """See ``Store.keep_profile``."""
        await self._call(
            'INSERT INTO TIDINGS.profiles("user", name, picture) VALUES ($1, $2, $3)'
            ' ON CONFLICT ("user") DO UPDATE SET name = excluded.name, picture = excluded.picture',
            *(user, *profile),
        )

    async def profiles(self, users: Sequence[UserId]) -> dict[UserId, TokenProfile]:
        return await reads.profiles(self._fetch, users)

    async def move_outbox(self, check: CheckWaiting, moved: OnMoved) -> None:
        """See ``Store.move_outbox``."""
        await Mover(self._address, self._running(), check, moved).run()

    async def trim(self, older_than_ms: int, events_max: int, *, not_within_s: float = 0) -> Trimmed:
        """See ``Store.trim``: slice by slice, with all other nodes that do so now."""

        async def cut(uid: int, wanted: int) -> int:
            await self._give_way()
            ((gone,),) = await self._call("SELECT TIDINGS.cut_1($1, $2, $3)", uid, wanted, TRIM_SLICE_EVENTS)
            return int(gone)

        logs = events = 0
        kept_here = None
        while True:
            of = (kept_here, int(not_within_s * 1000), limits.TRIM_USERS_AT_ONCE)
            ((after_uid, kept),) = await self._call("SELECT * FROM TIDINGS.retain_1($1, $2, $3)", *of)
            if after_uid is None:
                return Trimmed(logs, events, kept)
            done, _ = await trim_slice(self._fetch, cut, after_uid, older_than_ms, events_max)
            logs, events, kept_here = logs + done.logs, events + done.events, done.kept

    @property
    def write_queue(self) -> int:
        """See ``Store.write_queue``."""
        return 0 if self._writer is None else self._writer.queued

    @property
    def figures(self) -> Figures | None:
        """See ``Store.figures``."""
        return None if self._writer is None else self._writer.figures

    @property
    def size_bytes(self) -> int:
        """See ``Store.size_bytes``: of the tables, at the last look."""
        return self._size_bytes

    def _missed(self, users: Sequence[UserId]) -> None:
        self._on_missed(users)

    def _begin_epoch(self, epoch: str) -> None:
        is_another = bool(self._epoch)
        self._epoch = epoch
        if is_another:
            self._on_new_epoch()

    async def _give_way(self) -> None:
        """Return when nobody wants to write, or after TRIM_PAUSES_MAX pauses in which others might."""
        for _ in range(TRIM_PAUSES_MAX):
            await asyncio.sleep(TRIM_PAUSE_S)
            if self.write_queue == 0:
                return

    async def _write(self, operation: Operation) -> Any:
        return await _within(self._running().submit(operation))

    async def _call(self, sql: str, *values: Any) -> list[Any]:
        return await _within(self._running().call(sql, *values))

    async def _fetch(self, sql: str, *values: Any) -> list[Any]:
        if self._readers is None:
            raise _not_running()
        return await self._readers.fetch(sql, *values)

    async def _read(self, read: Callable[..., Awaitable[Of[T]]], *of: Any) -> T:
        """The result of a read of the epoch that holds when this returns."""
        while True:
            before = self._epoch
            epoch, found = await read(self._fetch, *of)
            if self._epoch == before:
                self._running().learn_epoch(epoch)
            if self._epoch == epoch:  # else it is of before another one began
                return found

    def _running(self) -> Writer:
        if self._writer is None:
            raise _not_running()
        return self._writer


async def trim_slice(
    fetch: reads.Fetch,
    cut: Callable[[int, int], Awaitable[int]] | None,
    after_uid: int,
    older_than_ms: int,
    events_max: int,
) -> tuple[Trimmed, int | None]:
    """Cut the next TRIM_USERS_AT_ONCE logs, or without ``cut`` only count, and the last one's uid if there are more."""
    logs = events = kept = 0
    found = await fetch(
        "SELECT * FROM TIDINGS.find_cuts_1($1, $2, $3, $4)",
        *(after_uid, older_than_ms, events_max, limits.TRIM_USERS_AT_ONCE),
    )
    for uid, head, floor, wanted in found:
        kept += head - max(floor, wanted)
        if wanted <= floor:
            continue
        logs += 1
        if cut is None:
            events += wanted - floor
        else:
            while gone := await cut(uid, wanted):
                events += gone
    return Trimmed(logs, events, kept), found[-1][0] if len(found) == limits.TRIM_USERS_AT_ONCE else None


def _nobody_listens(_users: Sequence[UserId] = ()) -> None:
    pass


def _not_running() -> Unavailable:
    return Unavailable("unavailable", "The server is starting or stopping.", retry_after_s=2)


def _mark_retrieved(done: asyncio.Task[int]) -> None:
    if not done.cancelled():
        done.exception()


async def _within(
    answer: asyncio.Future[T], wait_max_s: float = COMMIT_WAIT_MAX_S, otherwise: str = NOT_KNOWN_DETAIL
) -> T:
    """The answer, or ``Unavailable``. A timer by hand: asyncio.timeout costs 3 us more."""
    timer = answer.get_loop().call_later(wait_max_s, _give_up, answer, otherwise)
    try:
        return await answer
    finally:
        timer.cancel()


def _give_up(answer: asyncio.Future[Any], detail: str) -> None:
    if not answer.done():
        answer.set_exception(Unavailable("unavailable", detail, retry_after_s=2))
