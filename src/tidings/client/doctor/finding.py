"""One sentence to the user: a thing that was found, and what to do about it.

A check yields findings as it goes, and raises ``Ended`` after the one that makes further questions pointless.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["ok", "note", "fault", "unreachable"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found, and for all but ``ok`` what to do about it."""

    kind: Kind
    name: str
    text: str
    do: str = ""


class Ended(Exception):
    """There is no point in asking further."""


def ms(seconds: float) -> str:
    """A time, as it is shown."""
    return f"{seconds * 1000:.0f} ms"
