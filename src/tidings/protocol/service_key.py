"""The form of a service key: ``tsk_``, a number of 256 bits in 43 digits and letters, and its checksum in 6.

A program that looks for secrets in code finds a key by this form, and a slip of one character is told without asking.
"""

from __future__ import annotations

import re
import zlib

SERVICE_KEY_PREFIX = "tsk_"
SERVICE_KEY_SIZE_BYTES = 32  # of the number: nobody guesses one, so that a plain hash keeps it

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_NUMBER_LENGTH, _CHECKSUM_LENGTH = 43, 6
_FORM = re.compile(rf"{SERVICE_KEY_PREFIX}([0-9A-Za-z]{{{_NUMBER_LENGTH}}})([0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})")


def format_service_key(number: bytes) -> str:
    """The key of a random number of SERVICE_KEY_SIZE_BYTES."""
    assert len(number) == SERVICE_KEY_SIZE_BYTES
    digits = _in_digits(int.from_bytes(number), _NUMBER_LENGTH)
    return f"{SERVICE_KEY_PREFIX}{digits}{_checksum(digits)}"


def is_service_key(text: str) -> bool:
    """Whether a text has the form of a key, its checksum included; only a server knows whether it is one."""
    found = _FORM.fullmatch(text)
    return found is not None and _checksum(found[1]) == found[2]


def _checksum(digits: str) -> str:
    return _in_digits(zlib.crc32(digits.encode()), _CHECKSUM_LENGTH)


def _in_digits(number: int, length: int) -> str:
    digits = ""
    while len(digits) < length:
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits
