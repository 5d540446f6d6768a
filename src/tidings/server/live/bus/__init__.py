"""The bus between the nodes of one database: what it carries are hints (I3), and the log is the truth.

Rules
1. A parcel is published after its commit, and after the node's own streams have it.
2. A bus may lose, double, delay and reorder. Parcels are numbered by the node that publishes them, and a beat each
   second carries the number: a hole, a new neighbour, a parcel that cannot be read or a bus that comes back means one
   sweep.
3. A bus never waits and never raises where something is published; it drops and counts, and the number tells.
4. Nodes of this version and of the next one share a bus: a later version adds members at the end of an array, and
   kinds of what is told, and changes nothing that is there. An earlier one passes over them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Protocol

import msgspec

_NUMBER_MAX = (1 << 53) - 1  # of positions and parcels; a stranger's number is none that costs us anything


class Hint(msgspec.Struct, array_like=True, frozen=True):
    """An event of a log, as its node rendered it; without ``type`` only that there is one."""

    user: str
    position: Annotated[int, msgspec.Meta(ge=1, le=_NUMBER_MAX)]
    tag: Annotated[int, msgspec.Meta(ge=0, le=_NUMBER_MAX)]
    type: str | None
    data: msgspec.Raw


Told = tuple[str, str, str]  # a kind of told.py, the user (or node) that it is for, and what it is about


class Parcel(msgspec.Struct, array_like=True, frozen=True):
    """The hints of one commit, and what is in no log. A beat has neither, and the number of the parcel before it.

    Attributes:
        at: When it was published, in seconds of a clock of its node that only counts on.
        is_away: The database is away for its node.
    """

    node: str
    number: Annotated[int, msgspec.Meta(ge=0, le=_NUMBER_MAX)]
    epoch: str
    hints: list[Hint] = []
    told: list[Told] = []
    at: float = 0.0
    is_away: bool = False


encode = msgspec.json.encode
_decode = msgspec.json.Decoder(Parcel).decode


def decode(body: bytes) -> Parcel:
    """The parcel.

    Raises:
        ValueError: These bytes are none.
    """
    try:
        return _decode(body)
    except RecursionError:
        raise ValueError("it is too deep") from None


class Bus(Protocol):
    """A way to every other node of the database."""

    body_size_max_bytes: int

    @property
    def trouble(self) -> str:
        """Return why no hints of other nodes come, for an operator; empty when they do."""

    @property
    def dropped(self) -> int:
        """Parcels that were published and not carried."""

    async def run(self, heard: Callable[[bytes], None], came_back: Callable[[], None]) -> None:
        """Carry until cancelled, and then bring away what was published.

        ``heard`` gets each body, perhaps the own ones too; ``came_back`` says that some may be lost.
        """

    def publish(self, body: bytes) -> None:
        """Hand a parcel to the bus."""


class Alone:
    """The bus of nodes that cannot reach each other: each looks into the database by itself."""

    body_size_max_bytes = 1

    def __init__(self, trouble: str) -> None:
        self.trouble = trouble
        self.dropped = 0

    async def run(self, heard: Callable[[bytes], None], came_back: Callable[[], None]) -> None:
        """Nothing is to be carried."""

    def publish(self, body: bytes) -> None:
        """Nobody can be told."""
