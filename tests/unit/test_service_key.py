"""The form of a service key: what programs that look for secrets find, and what a slip is told by."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tidings.protocol.service_key import SERVICE_KEY_SIZE_BYTES, format_service_key, is_service_key

numbers = st.binary(min_size=SERVICE_KEY_SIZE_BYTES, max_size=SERVICE_KEY_SIZE_BYTES)


@given(numbers, numbers)
def test_each_number_has_a_key_of_its_own_in_one_form(one: bytes, other: bytes) -> None:
    """That of SECURITY.md."""
    key = format_service_key(one)
    assert re.fullmatch("tsk_[0-9A-Za-z]{49}", key)
    assert is_service_key(key)
    assert (one == other) == (key == format_service_key(other))


@given(numbers, st.integers(0, 52), st.sampled_from("0aZ-_ \n\u00e9\u0660"))
def test_a_slip_of_one_character_is_no_key(number: bytes, place: int, character: str) -> None:
    """Nor one that is cut, or has more around it."""
    key = format_service_key(number)
    slipped = key[:place] + character + key[place + 1 :]
    assert (slipped == key) == is_service_key(slipped)
    for other in (key[:-1], key[1:], f"{key}{character}", f"{character}{key}", f"{key}\n"):
        assert not is_service_key(other)


def test_the_form_does_not_change() -> None:
    """Keys that are out there stay keys."""
    assert "tsk_0000000000000000000000000000000000000000000" == format_service_key(bytes(32))[:47]
    assert not is_service_key("tsk_" + "0" * 49)
