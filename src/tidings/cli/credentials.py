"""The proof of who asks: a token, cookies and header fields, from the environment, from files or from options.

Rules of this file
1. A value is in nothing that a command prints, and in no sentence of an error.
2. Other users of a machine can read a command line: each option takes ``@FILE``, and has a variable.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from tidings.cli.arguments import Parser, given, person
from tidings.errors import ConfigurationError

C = TypeVar("C")

COOKIE_VARIABLE: Final = "TIDINGS_COOKIE"
HEADER_VARIABLE: Final = "TIDINGS_HEADER"
FILE_SIZE_MAX_BYTES: Final = 65_536  # of a file; no server takes more in a head

HELP: Final = (
    f"Reads TIDINGS_TOKEN, or for applications with a sign-in of their own {COOKIE_VARIABLE} and {HEADER_VARIABLE}."
)


def add(command: Parser) -> None:
    """Add the options ``--cookie`` and ``--header``."""
    for name, letter, what in (("--cookie", "C", "sessionid=k3v9"), ("--header", "H", "'X-Api-Key: k3v9'")):
        command.add_argument(
            name,
            metavar=letter,
            action="append",
            default=[],
            help=f"such as {what}, as a browser sends it; @FILE reads it from a file, where other users do not see it",
        )


def token() -> str | None:
    """The token of the environment."""
    return os.environ.get("TIDINGS_TOKEN", "").strip() or None


def fields(options: argparse.Namespace) -> list[tuple[str, str]]:
    """The header fields that were given, the cookies as the last one of them.

    Raises:
        ConfigurationError: One of them is no field, or a file cannot be read.
    """
    headers = [_name_and_value(line) for line in _lines(options.header, "--header", HEADER_VARIABLE)]
    cookies = list(_lines(options.cookie, "--cookie", COOKIE_VARIABLE))
    return [*headers, ("Cookie", "; ".join(cookies))] if cookies else headers


def add_with_keys(command: Parser) -> None:
    """These options, and those of a service key."""
    add(command)
    command.add_argument("--key-file", metavar="FILE", type=given, help="with a service key, in place of TIDINGS_KEY")
    command.add_argument(
        "--as", dest="user", metavar="USER", type=person, help="with a service key: in whose name, if it may be several"
    )


def open_client(kind: Callable[..., C], options: argparse.Namespace, *, deadline_s: float = 60) -> C:
    """A client of ``TIDINGS_URL`` that shows what was given.

    Raises:
        ConfigurationError: Something is missing, or cannot be sent.
    """
    url, key, user = (os.environ.get(f"TIDINGS_{name}", "").strip() for name in ("URL", "KEY", "USER"))
    shown = fields(options)
    if options.key_file is not None:
        key = _read(options.key_file, "--key-file").strip()
    if not url:
        raise ConfigurationError("TIDINGS_URL is not set: set it to the server, such as http://127.0.0.1:8000")
    if token() is None and not key and not shown:
        raise ConfigurationError(
            "TIDINGS_TOKEN is not set: set it to a token; make one with: tidings token USER. A program of yours has a"
            " service key: TIDINGS_KEY, --key-file. An application with a sign-in of its own takes what a browser"
            " sends: --cookie, --header"
        )
    if token() is not None and key:
        raise ConfigurationError("there are a token (TIDINGS_TOKEN) and a service key: unset one of them")
    if not key and options.user is not None:
        raise ConfigurationError("--as goes with a service key: a token says itself whose it is")
    headers: dict[str, str] = {}
    for name, value in shown:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    try:
        if key:
            return kind(url, key=key, user=options.user or user or None, headers=headers, deadline_s=deadline_s)
        return kind(url, token(), headers=headers, deadline_s=deadline_s)
    except ValueError as error:
        what = "the service key or TIDINGS_USER" if key else "TIDINGS_TOKEN"
        raise ConfigurationError(f"TIDINGS_URL or {what} is wrong: {error}") from None


def _lines(values: list[str], option: str, variable: str) -> Iterator[str]:
    """The values of an option, or else of its variable, one a line."""
    for each in values:
        yield from _checked(_read(each[1:], option).splitlines() if each.startswith("@") else [each], option)
    if not values:
        yield from _checked(os.environ.get(variable, "").splitlines(), variable)


def _read(path: str, option: str) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(FILE_SIZE_MAX_BYTES + 1)
        if len(content) > FILE_SIZE_MAX_BYTES:
            raise ConfigurationError(f"{option} {path} has more than {FILE_SIZE_MAX_BYTES} bytes")
        if not content.strip():
            raise ConfigurationError(f"{option} {path} is empty")
        return content.decode()
    except OSError as failure:
        raise ConfigurationError(f"{option} {path} cannot be read: {failure.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{option} {path} is not UTF-8") from None


def _checked(lines: list[str], source: str) -> Iterator[str]:
    """The lines that are not empty; each can be sent in a head."""
    for line in lines:
        if not line.isprintable() or (len(lines) == 1 and not line.strip()):  # a control character would end the field
            raise ConfigurationError(f"{source}: it is empty, or has characters that no header field has")
        if line.strip():
            yield line.strip()


def _name_and_value(field: str) -> tuple[str, str]:
    name, colon, value = field.partition(":")
    if not colon or not value.strip() or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
        raise ConfigurationError("--header takes a field as it is sent, such as 'X-Api-Key: k3v9'")
    return name, value.strip()
