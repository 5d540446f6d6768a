"""The types of the command line's arguments: each type says what it takes."""

from __future__ import annotations

import argparse
import unicodedata
from typing import NoReturn

from tidings.cli.outcome import MISUSED, complain


class Parser(argparse.ArgumentParser):
    """Complains in one line."""

    def error(self, message: str) -> NoReturn:
        complain(f"{message}; see: {self.prog} --help")
        raise SystemExit(MISUSED)


def port(text: str) -> int:
    """A port of TCP; 0: any."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"it takes a port from 0 to 65535, not {text!r}")
    return int(text)


def seconds(text: str) -> int:
    """A time in whole seconds."""
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"it takes a whole number of seconds above 0, not {text!r}")
    return int(text)


def count(text: str) -> int:
    """A number of things."""
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"it takes a whole number above 0, not {text!r}")
    return int(text)


def days(text: str) -> float:
    """An age, as days."""
    number, unit = text[:-1], text[-1:]
    if unit not in ("d", "h") or not (number.isascii() and number.isdigit() and len(number) <= 5 and int(number) > 0):
        raise argparse.ArgumentTypeError(f"it takes an age in days or hours, such as 30d or 12h, not {text!r}")
    return int(number) / (24 if unit == "h" else 1)


def given(what: str) -> str:
    """A text that is not empty."""
    # Empty is what a shell makes of a variable that is not set: it must not mean that nothing was given.
    if not what:
        raise argparse.ArgumentTypeError("it is empty")
    return text(what)


def person(text: str) -> str:
    """A user id; the server decides which there are."""
    if text == "-":
        raise argparse.ArgumentTypeError("it is -, which is standard input in the place of a text and no user id")
    return given(text)


def file(text: str) -> str:
    """The name of a file that must be one."""
    if text == "-":
        raise argparse.ArgumentTypeError("it is -, and a copy is a file of its own: name one")
    return given(text)


def text(given: str) -> str:
    """A text that can be sent."""
    # What is not UTF-8 on the command line arrives as lone surrogates, which cannot be sent.
    if any(unicodedata.category(character) == "Cs" for character in given):
        raise argparse.ArgumentTypeError("it is not UTF-8")
    return given
