"""A reader: one person's client in front of a server, and what it showed.

A letter is shown when the client hands it to the application. ``noticed_at`` are the moments at which the client knew
that its connection was gone: what it can tell the user, and when.
"""

from __future__ import annotations

import abc
import asyncio
import re
import time
from collections.abc import Callable

NUMBER = re.compile(r"letter (\d+)\b")


def letter(number: int, size_bytes: int = 0) -> str:
    """The text of a letter; a reader knows it again by its number."""
    return f"letter {number} ".ljust(size_bytes, ".")


class Reader(abc.ABC):
    """One reader. Subclasses call `show` and `notice`.

    Attributes:
        numbers, times: Of the letters shown, in the order of showing; seconds of the monotonic clock.
        noticed_at: When the client noticed that its connection was gone.
        gave_up: Why the client will not come back by itself, or "".
    """

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.times: list[float] = []
        self.noticed_at: list[float] = []
        self.gave_up = ""

    @abc.abstractmethod
    async def open(self) -> None:
        """Start to follow, from now on."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Stop for good."""

    @abc.abstractmethod
    def pause(self) -> None:
        """Read nothing until `resume`: a program that is busy, a page that hangs."""

    @abc.abstractmethod
    def resume(self) -> None: ...

    def show(self, text: str) -> None:
        """The application was handed this text."""
        if found := NUMBER.match(text):
            self.numbers.append(int(found[1]))
            self.times.append(time.monotonic())

    def notice(self) -> None:
        self.noticed_at.append(time.monotonic())


class TaskReader(Reader):
    """A reader that follows in a task of this process."""

    def __init__(self) -> None:
        super().__init__()
        self._reads = asyncio.Event()
        self._reads.set()
        self._task: asyncio.Task[None] | None = None

    @abc.abstractmethod
    async def _follow(self) -> None:
        """Follow until cancelled or until the client gives up; wait for `_reads` before each read."""

    async def open(self) -> None:
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            if not self._task.cancelled():
                self._task.result()

    def pause(self) -> None:
        self._reads.clear()

    def resume(self) -> None:
        self._reads.set()


async def until(condition: Callable[[], bool], deadline_s: float, pause_s: float = 0.02) -> bool:
    """Wait until the condition holds; whether it did within the deadline."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() >= end:
            return False
        await asyncio.sleep(pause_s)
    return True
