"""Addresses as logs, answers and sentences may show them: without what lets somebody in.

A user and a password before the host, a query and a fragment are left out; scheme, host, port and path stay, since they
say which server is meant.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\s'\"<>]+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/{1,3}")


def shown_url(text: str) -> str:
    """The same text with each URL in it cut to what may be shown; also one that is none in every respect."""
    return _WORD.sub(lambda found: _shown(found[0]), text)


def _shown(word: str) -> str:
    scheme = _SCHEME.match(word)
    if scheme is None:  # user:password@host, where a scheme was forgotten
        before, _, host = word.rpartition("@")
        return host if ":" in before else word
    rest = word[scheme.end() :].partition("?")[0].partition("#")[0]
    return scheme[0] + rest.rpartition("@")[2]  # the last one: a password may have any character, also a slash
