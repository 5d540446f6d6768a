"""The systems on the board, one adapter a file, each with the client that its documentation gives."""

from __future__ import annotations

from lab.systems import django_eventstream, guide, nchan, sse_starlette, tidings, tidings_nodes
from lab.systems.system import Row

ROWS: tuple[Row, ...] = (
    *tidings.ROWS, *tidings_nodes.ROWS, *guide.ROWS, *sse_starlette.ROWS, *django_eventstream.ROWS, *nchan.ROWS,
)  # fmt: skip
