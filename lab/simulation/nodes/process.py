"""Processes in one event loop: each step belongs to one, so that it can be stopped for a while, or ended.

A task belongs to the process in which it was made, a timer or callback to the one that asked for it, also a callback of
a future that something else resolves. The steps of the database, the network and the devices belong to none.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections.abc import Callable, Iterator
from contextvars import Context, ContextVar, copy_context
from typing import Any
from weakref import WeakKeyDictionary

from lab.simulation.clock import Clock, VirtualLoop

_owner: ContextVar[Process | None] = ContextVar("owner")  # of the step in whose context something is asked for
_NOBODY = object()  # said nothing yet
TASKS_KEPT = 200  # of one process, before those that have ended are forgotten


class Process:
    """One process of a node, with a clock that is wrong by ``skew_s``."""

    def __init__(self, loop: ProcessLoop, name: str, skew_s: float) -> None:
        self._loop = loop
        self.name = name
        self.skew_s = skew_s
        self.is_paused = self.is_dead = False
        self.held: list[asyncio.Handle] = []
        self._tasks: dict[asyncio.Task[Any], None] = {}

    def own(self, task: asyncio.Task[Any]) -> None:
        """Note a task that was made here."""
        if len(self._tasks) > TASKS_KEPT:
            self._tasks = {each: None for each in self._tasks if not each.done()}
        self._tasks[task] = None

    def pause(self) -> None:
        """Take no step until ``go_on``, as after SIGSTOP."""
        self.is_paused = True

    def go_on(self) -> None:
        """Take what was due meanwhile, in its order."""
        self.is_paused = False
        held, self.held = self.held, []
        self._loop.resume(held)

    def die(self) -> list[asyncio.Task[Any]]:
        """End it between two instructions; its tasks, which are cancelled and reach nothing any more."""
        self.is_dead = True
        self.go_on()
        tasks = [task for task in self._tasks if not task.done()]
        for task in tasks:
            task.cancel()
        return tasks


class ProcessLoop(VirtualLoop):
    """The event loop of all processes."""

    def __init__(self, clock: ProcessClock) -> None:
        self.process: Process | None = None  # whose step this is
        self._owners: WeakKeyDictionary[asyncio.Task[Any], Process | None] = WeakKeyDictionary()
        super().__init__(clock)
        clock.loop = self
        self.set_task_factory(_make_task)

    def owned(self, task: asyncio.Task[Any]) -> None:
        """Give a new task to the process whose step this is."""
        self._owners[task] = self.process
        if self.process is not None:
            self.process.own(task)

    @contextlib.contextmanager
    def inside(self, process: Process | None) -> Iterator[None]:
        """Give the tasks and timers that begin in here to this process."""
        former, self.process = self.process, process
        try:
            yield
        finally:
            self.process = former

    def resume(self, handles: list[asyncio.Handle]) -> None:
        """Take these steps after those that are due already."""
        self._ready.extend(handles)  # type: ignore[attr-defined]

    def owner_of(self, callback: object, args: tuple[Any, ...] = (), context: Context | None = None) -> Process | None:
        """The process whose step this callback is."""
        task = getattr(callback, "__self__", None)
        if isinstance(task, asyncio.Task):
            return self._owners.get(task, self.process)
        is_called_back = context is not None and len(args) == 1 and isinstance(args[0], asyncio.Future)
        return context.get(_owner, self.process) if is_called_back else self.process  # type: ignore[union-attr]

    def _call_soon(self, callback: Callable[..., Any], args: Any, context: Any) -> asyncio.Handle:
        process = self.owner_of(callback, args, context)
        handle = _Handle(callback, args, self, _of(process, context))
        handle.process = process
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        process = self.owner_of(callback)
        timer = _Timer(when, callback, args, self, _of(process, context))
        timer.process = process
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer


class ProcessClock(Clock):
    """The clocks, each process's own wall clock among them."""

    loop: ProcessLoop

    def wall(self) -> float:
        process = self.loop.process
        return super().wall() + (0.0 if process is None else process.skew_s)


class _Step:
    """A handle that runs in its process."""

    __slots__ = ()

    def _run(self: Any) -> None:
        process, loop = self.process, self._loop
        if process is not None and process.is_paused:
            process.held.append(self)
            return
        loop.process = process
        try:
            super()._run()  # type: ignore[misc]
        finally:
            loop.process = None


class _Handle(_Step, asyncio.Handle):
    __slots__ = ("process",)
    process: Process | None


class _Timer(_Step, asyncio.TimerHandle):
    __slots__ = ("process",)
    process: Process | None


def _of(process: Process | None, context: Context | None) -> Context:
    """The context of a step, which says whose it is: what the step waits for calls back in a copy of it."""
    context = copy_context() if context is None else context
    if context.get(_owner, _NOBODY) is not process:
        context.run(_owner.set, process)
    return context


def _make_task(loop: asyncio.AbstractEventLoop, work: Any, context: Any = None) -> asyncio.Task[Any]:
    assert isinstance(loop, ProcessLoop)
    task = asyncio.Task(work, loop=loop, context=_of(loop.process, context))
    loop.owned(task)
    return task
