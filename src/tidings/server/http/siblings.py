"""The metrics of all workers of one port, on one page: whichever of them a collector reaches, it answers for all.

Each worker gives its own page to whoever connects to its socket in the supervisor's directory. The page of all has the
metrics of each with ``worker``, its number; one that did not answer is told by ``tidings_worker_up``.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from tidings.server.metrics import OPENMETRICS, Metrics, Page, render

ANSWER_WAIT_MAX_S = 2.0  # for the page of another worker, which takes milliseconds; collectors wait for 10 s
BLOCK_SIZE_BYTES = 65_536


class SharedMetrics(Metrics):
    """The metrics of one worker, and those of its siblings when it is asked."""

    def __init__(self, directory: Path, number: int) -> None:
        super().__init__()
        self._directory = directory
        self._number = number

    async def answer_siblings(self) -> None:
        """Give our own page to the others, until this process ends.

        A worker that takes our place while we drain takes the name of our socket, too.
        """
        path = self._directory / str(self._number)
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._give, path)  # which ends when nobody has it

    def render(self, accept: str) -> Page:
        """Every metric of all workers."""
        pages: dict[str, str | None] = {}
        for path in sorted(self._directory.iterdir()):
            is_ours = path.name == str(self._number)
            pages[path.name] = self._own() if is_ours else _ask(path)
        registry = CollectorRegistry()
        registry.register(_Pages(pages))
        return render(registry, accept)

    def _own(self) -> str:
        return super().render(OPENMETRICS)[0].decode()

    async def _give(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(ANSWER_WAIT_MAX_S):
                writer.write((await asyncio.to_thread(self._own)).encode())
                await writer.drain()
        writer.close()


class _Pages(Collector):
    """The metrics of several pages, each with the number of its worker."""

    def __init__(self, pages: dict[str, str | None]) -> None:
        self._pages = pages

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("tidings_worker_up", "Whether this worker gave its metrics.", labels=["worker"])
        families: dict[str, Metric] = {}
        for number, page in self._pages.items():
            up.add_metric([number], 0 if page is None else 1)
            for family in text_string_to_metric_families(page or "# EOF\n"):  # type: ignore[no-untyped-call]  # theirs
                merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                merged.samples += [
                    sample._replace(labels={**sample.labels, "worker": number}) for sample in family.samples
                ]
        yield from families.values()
        yield up


def _ask(path: Path) -> str | None:
    """The page of another worker; None where it gives none."""
    with socket.socket(socket.AF_UNIX) as asked, contextlib.suppress(OSError):
        asked.settimeout(ANSWER_WAIT_MAX_S)
        asked.connect(str(path))
        page = b"".join(iter(lambda: asked.recv(BLOCK_SIZE_BYTES), b"")).decode()
        return page if page.endswith("# EOF\n") else None
    return None
