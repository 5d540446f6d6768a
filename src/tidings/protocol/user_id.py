"""The form of a user id: 1..128 characters, NFC, no control characters, no ``/`` or ``\\``, not ``.``, ``..``, ``me``.

Percent signs, emoji, spaces, ``|``, ``@`` and ``:`` are legal. Source: PROTOCOL.md, User ids.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import NewType

UserId = NewType("UserId", str)

USER_ID_LENGTH_MAX = 128  # characters; longer than any identity provider's subject that we know of
RESERVED_USER_IDS = frozenset({".", "..", "me"})  # path segments, and the alias for the caller


ERASED_ID_PREFIX = "erased-"  # what stands for a user who was erased begins so, and goes on in hexadecimal digits
ERASED_ID_DIGITS = 16  # nobody guesses one, and two are never alike
_ERASED_ID = re.compile(f"{ERASED_ID_PREFIX}[0-9a-f]{{{ERASED_ID_DIGITS}}}")


def check_user_id(text: str) -> UserId:
    """The same text as a user id.

    Raises:
        ValueError: With a sentence that says which rule it breaks.
    """
    if not text:
        raise ValueError("A user id has at least one character.")
    if len(text) > USER_ID_LENGTH_MAX:
        raise ValueError(f"A user id has at most {USER_ID_LENGTH_MAX} characters.")
    if text in RESERVED_USER_IDS:
        raise ValueError(f"{text!r} is reserved and cannot be a user id.")
    if "/" in text or "\\" in text:
        raise ValueError("A user id contains no slash and no backslash.")
    if text.isascii():
        if not text.isprintable():
            raise ValueError("A user id contains no control characters.")
        return UserId(text)
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise ValueError("A user id contains no control characters.")
    if not unicodedata.is_normalized("NFC", text):
        raise ValueError("A user id is in Unicode normal form C (NFC).")
    return UserId(text)


def is_erased_id(user: UserId) -> bool:
    """Whether this is an id that stands for somebody who was erased: nobody may come under it."""
    return user.startswith(ERASED_ID_PREFIX) and _ERASED_ID.fullmatch(user) is not None


def hidden_id(user: UserId) -> UserId:
    """Return a text that can be compared with a user's id and does not tell it; no user has such an id."""
    return UserId("/" + hashlib.blake2b(user.encode(), digest_size=16).hexdigest())
