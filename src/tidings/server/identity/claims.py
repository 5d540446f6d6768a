"""The name and the picture in a verified token: believed only as far as they are what they should be.

At many providers users choose their own name, so it is text for the eyes of others: the id alone says who somebody is.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from tidings.server.store import TokenProfile

NAME_LENGTH_MAX: Final = 128  # characters; as long as an id, which stands in the same places
PICTURE_LENGTH_MAX: Final = 2048  # an address that browsers and proxies still take
_NOT_IN_NAMES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, halves of characters, ends of lines


def read_profile(claims: Mapping[str, Any], name_claim: str, picture_claim: str) -> TokenProfile | None:
    """The name and picture in these claims; None where there is neither that can be shown."""
    profile = TokenProfile(_name(claims.get(name_claim)), _picture(claims.get(picture_claim)))
    return profile if profile.name or profile.picture else None


def _name(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    name = value.strip()
    is_odd = len(name) > NAME_LENGTH_MAX or any(unicodedata.category(each) in _NOT_IN_NAMES for each in name)
    return None if is_odd or not name else name


def _picture(value: object) -> str | None:
    """An address that every browser takes alike, over https, and in which no password is."""
    if not isinstance(value, str) or len(value) > PICTURE_LENGTH_MAX or not value.isascii():
        return None
    if not value.isprintable() or any(each in value for each in ' "<>\\^`{|}'):
        return None
    try:
        parts = urlsplit(value)
        is_good = parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc
        _ = parts.port  # raises for one that is none
    except ValueError:
        return None
    return value if is_good else None
