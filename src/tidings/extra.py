"""The extras of the package: a part whose packages are not installed says in one sentence which extra brings them."""

from __future__ import annotations

from types import TracebackType
from typing import Final

from tidings.errors import ExtraMissing

TO_SERVE: Final = ("tidings serve needs uvicorn", "server")
"""The sentence and the extra of a server of one's own, for the command and for its workers."""


class needs:
    """Imports within that are there only with an extra.

    ``sentence`` says which part needs what. A module of ours that is missing is a fault, and no extra mends it.

    Raises:
        ExtraMissing: A package of others is not installed.
    """

    def __init__(self, sentence: str, extra: str) -> None:
        self._sentence = sentence
        self._extra = extra

    def __enter__(self) -> None:
        """Nothing is done before."""

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Put the sentence in the place of what the interpreter says."""
        if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] != "tidings":
            raise ExtraMissing(self._sentence, self._extra) from error
