"""``tidings serve --workers N``: several processes on one port, and this one, which keeps them.

Rules
1. Each worker is a node of its own with a socket of its own on the port (SO_REUSEPORT), and the kernel spreads new
   connections over them. Of one socket that all share, a worker that is idle takes nearly all streams.
2. The first one starts alone: it migrates the schema, and where a setting is wrong there is one sentence.
3. A worker that ends is started again, at once and then after pauses that grow. One that cannot start for a setting
   ends all where none serves; while others do, it is tried again as any other.
4. SIGTERM and SIGINT drain all. SIGHUP replaces one after the other, each by a new process that serves before the
   former drains; where there is a terminal it says that this has gone, and drains.
5. A worker ends with its supervisor, however that ended (parent.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import sys
import tempfile

import msgspec

from tidings.errors import ConfigurationError, NotNow
from tidings.server.config import Config
from tidings.server.http.listen import METRICS_PORT_SETTING, reserve, shown_url
from tidings.server.http.stopping import Said, Stopping
from tidings.server.logs import Line, configure, flush, say

COMMAND = (sys.executable, "-m", "tidings.server.http.worker")
NOT_NOW, WRONG = 1, 2  # a worker's exit code: trying again may help, or will not
RESTART_PAUSE_MIN_S, RESTART_PAUSE_MAX_S = 0.1, 30.0
SERVED_WELL_S = 60.0  # a worker that ends later is no worker that cannot live: the pauses begin anew
END_WAIT_MAX_S = 30.0  # beyond the window of a drain: what is being sent has 10 s, and one that hangs ends nothing

log = logging.getLogger("tidings.workers")


class Orders(msgspec.Struct):
    """How a worker serves; all other settings are in its environment."""

    host: str
    port: int
    db: str | None
    number: int
    directory: str
    supervisor: int


class Ready(msgspec.Struct, tag=True):
    """It serves."""


class Refused(msgspec.Struct, tag=True):
    """It does not, and why."""

    sentence: str
    is_temporary: bool


def ready_line(url: str) -> str:
    """The line on standard output that tells that ``tidings serve`` serves."""
    return f"Tidings serves {url}"


def serve_with_workers(config: Config, *, host: str, port: int, db: str | None) -> int:
    """Serve with ``config.workers`` processes until told to stop; the exit status.

    Raises:
        ConfigurationError: A setting is wrong; no worker serves any more.
        NotNow: They cannot start now; starting again may help.
    """
    if not config.db.startswith(("postgresql://", "postgres://")):
        raise ConfigurationError(
            f"workers (TIDINGS_WORKERS) is {config.workers}, and an SQLite file belongs to one process; name a"
            " PostgreSQL database: set db (TIDINGS_DB) to postgresql://user@host/database"
        )
    configure(config.log_format, config.log_level)
    kept = reserve(host, port)
    url = shown_url(host, kept[0])
    if config.metrics_port:
        kept += reserve(host, config.metrics_port, METRICS_PORT_SETTING)
    # A socket's path is 107 bytes at most, and a folder for temporary files may be longer.
    directory = tempfile.mkdtemp(prefix="tidings-", dir="/tmp" if len(tempfile.gettempdir()) > 80 else None)
    orders = Orders(host, kept[0].getsockname()[1], db, 0, directory, os.getpid())
    try:
        return asyncio.run(_Supervisor(config, orders).run(ready_line(url)))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        for each in kept:
            each.close()
        flush()


class _Worker:
    """One process of ours."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def began(self) -> Refused | None:
        """Wait until it serves; the reason where it does not."""
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()  # without a limit: a migration may take long
        if not line:
            code = await self.process.wait()
            return Refused(f"a worker ended with {code} before it served", is_temporary=True)
        word = msgspec.json.decode(line, type=Ready | Refused)
        return word if isinstance(word, Refused) else None

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def end(self, number: signal.Signals, wait_max_s: float) -> None:
        """Tell it to end, and kill it if it does not."""
        self.tell(number)
        try:
            async with asyncio.timeout(wait_max_s):
                await self.process.wait()
        except TimeoutError:
            log.error(Line("worker is killed: it did not end", process=self.process.pid))  # noqa: TRY400
            self.tell(signal.SIGKILL)
            await self.process.wait()


class _Supervisor:
    def __init__(self, config: Config, orders: Orders) -> None:
        self._count = config.workers
        self._end_wait_max_s = config.drain_window_s + END_WAIT_MAX_S
        self._orders = orders
        self._started: list[_Worker] = []
        self._serving: dict[int, _Worker] = {}
        self._locks = [asyncio.Lock() for _ in range(self._count)]  # who starts a worker of this number
        self._all_serve, self._renewal = asyncio.Event(), asyncio.Event()
        self._stopping = Stopping()
        self._exit_code = 0

    async def run(self, text: str) -> int:
        """Start all, say ``text``, and keep them until told to stop; the exit status."""
        loop = asyncio.get_running_loop()
        self._end: asyncio.Future[Refused | None] = loop.create_future()
        # With a terminal SIGHUP says that this has gone; nohup ignores it.
        ends = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            if _has_terminal():
                ends.append(signal.SIGHUP)
            else:
                loop.add_signal_handler(signal.SIGHUP, self._renewal.set)
        for number in ends:
            loop.add_signal_handler(number, self._told, number)
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(self._keep_all(text))
            refused = await self._end
            keeping.cancel()
        left = [worker for worker in self._started if worker.process.returncode is None]
        await asyncio.gather(*(worker.end(signal.SIGTERM, self._end_wait_max_s) for worker in left))
        if refused is not None:
            raise (NotNow if refused.is_temporary else ConfigurationError)(refused.sentence)
        return self._exit_code

    def _told(self, number: signal.Signals) -> None:
        """The first signal drains all, a second one ends them."""
        said = self._stopping.take(number, asyncio.get_running_loop().time())
        if said is Said.STOP:
            log.info("%s: draining", number.name)
            if not self._end.done():
                self._end.set_result(None)
        if said is not Said.AT_ONCE:
            return
        log.warning("second signal, %s: ending at once", number.name)
        self._exit_code = 128 + number
        for worker in self._started:
            worker.tell(signal.SIGKILL)

    def _give_up(self, refused: Refused) -> None:
        if not self._end.done():
            self._end.set_result(refused)

    async def _keep_all(self, text: str) -> None:
        refused = await self._start(0)
        if refused is not None:
            return self._give_up(refused)
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._count):
                tasks.create_task(self._keep(number))
            await self._all_serve.wait()
            say(text)
            while True:
                await self._renewal.wait()
                self._renewal.clear()
                await self._renew()

    async def _keep(self, number: int) -> None:
        """Have a worker of this number that serves."""
        loop = asyncio.get_running_loop()
        pause_s, since = RESTART_PAUSE_MIN_S, loop.time()
        while True:
            async with self._locks[number]:
                refused = None if number in self._serving else await self._start(number)
            if refused is None:
                since, worker = loop.time(), self._serving[number]
                code = await worker.process.wait()
                if self._serving[number] is not worker:  # another one has its place
                    continue
                del self._serving[number]
                log.error(Line("worker ended; starting another", worker=number, code=code))
                if loop.time() - since > SERVED_WELL_S:
                    pause_s = RESTART_PAUSE_MIN_S
            elif refused.is_temporary or self._serving:
                log.error(Line("worker does not start", worker=number, reason=refused.sentence))
            else:
                return self._give_up(refused)
            await asyncio.sleep(pause_s)
            pause_s = min(RESTART_PAUSE_MAX_S, 2 * pause_s)

    async def _renew(self) -> None:
        """Replace one worker after the other; stop where a new one does not serve."""
        log.info("SIGHUP: replacing the workers one after the other")
        for number in range(self._count):
            async with self._locks[number]:
                former = self._serving.get(number)
                if former is None:  # it is being started anyway
                    continue
                refused = await self._start(number)
            if refused is not None:
                log.error(Line("worker is not replaced", worker=number, reason=refused.sentence))
                return
            await former.end(signal.SIGHUP, self._end_wait_max_s)

    async def _start(self, number: int) -> Refused | None:
        """Start a worker of this number and wait until it serves; the reason where it does not."""
        # A session of its own: Ctrl-C reaches us alone, and we decide in which order things end.
        process = await asyncio.create_subprocess_exec(
            *COMMAND, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True
        )
        worker = _Worker(process)
        self._started = [each for each in self._started if each.process.returncode is None]
        self._started.append(worker)
        assert process.stdin is not None
        orders = msgspec.structs.replace(self._orders, number=number)
        process.stdin.write(msgspec.json.encode(orders) + b"\n")  # stays open: its end is our end
        refused = await worker.began()
        if refused is None:
            self._serving[number] = worker
            log.info(Line("worker serves", worker=number, process=process.pid))
            if len(self._serving) == self._count:
                self._all_serve.set()
        return refused


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
