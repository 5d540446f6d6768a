"""The name and the picture in a verified token are believed only as far as they are what they should be."""

from __future__ import annotations

import pytest

from tidings.server.identity.claims import NAME_LENGTH_MAX, read_profile
from tidings.server.store import TokenProfile

PICTURE = "https://pictures.example/ada.png?size=96"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("Ada Lovelace", "Ada Lovelace"),
        ("  Ada  ", "Ada"),
        ("Zoë 🦊‍👩 مريم", "Zoë 🦊‍👩 مريم"),
        ("a" * NAME_LENGTH_MAX, "a" * NAME_LENGTH_MAX),
        ("a" * (NAME_LENGTH_MAX + 1), None),
        ("", None),
        (" \t ", None),
        ("Ada\nBen", None),
        ("Ada\x00", None),
        ("Ada\x9f", None),
        ("Ada\u2028Ben", None),
        ("\ud83e", None),
        (7, None),
        (True, None),
        (["Ada"], None),
        ({"given": "Ada"}, None),
    ],
)
def test_a_name_is_short_text_in_one_line(value: object, name: str | None) -> None:
    """Anything else is ignored, and the picture beside it counts."""
    profile = read_profile({"name": value, "picture": PICTURE}, "name", "picture")
    assert TokenProfile(name, PICTURE) == profile


@pytest.mark.parametrize(
    "value",
    [
        "http://pictures.example/ada.png",
        "//pictures.example/ada.png",
        "data:image/png;base64,AAAA",
        "javascript:alert(1)",
        "https:",
        "https://",
        "https:///ada.png",
        "https://user:secret@pictures.example/ada.png",
        "https://pictures.example:port/ada.png",
        "https://pictures.example/a b.png",
        "https://pictures.example/\n.png",
        'https://pictures.example/".png',
        "https://pictures.example\\@evil.example/",
        "https://[pictures/ada.png",
        "https://bücher.example/ada.png",
        "https://pictures.example/" + "a" * 2048,
        7,
        None,
    ],
)
def test_a_picture_is_an_https_address_that_all_read_alike(value: object) -> None:
    """Anything else is ignored, and the name beside it counts."""
    assert TokenProfile("Ada", None) == read_profile({"name": "Ada", "picture": value}, "name", "picture")


def test_a_token_that_says_neither_says_nothing() -> None:
    """So it takes nothing away that another one said; other claims are asked where the settings name them."""
    assert read_profile({"sub": "ada"}, "name", "picture") is None
    claims = {"nickname": "ada", "name": "Ada", "avatar": PICTURE}
    assert TokenProfile("ada", PICTURE) == read_profile(claims, "nickname", "avatar")
