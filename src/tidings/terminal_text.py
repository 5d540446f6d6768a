"""Other people's text in a terminal, where it must not steer anything."""

from __future__ import annotations

import unicodedata
from typing import Final

_REORDERING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that reorder the text around them: a line could show another sender than it has."""


def harmless(text: str, *, keep: str = "") -> str:
    """The text with everything escaped that ends lines, steers terminals or reorders what is shown.

    Args:
        keep: Characters that the caller handles itself, such as line feeds.
    """
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if character not in keep
        and (unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _REORDERING)
        else character
        for character in text
    )
