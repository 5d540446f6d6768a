"""Keeping tokens of addresses (``?token=``) out of the access log of somebody else's server."""

from __future__ import annotations

import logging


def hide_tokens_in_access_log() -> None:
    """Make uvicorn's access log print ``token=hidden``: it prints whole addresses."""
    access = logging.getLogger("uvicorn.access")
    if not any(isinstance(each, _TokenFilter) for each in access.filters):
        access.addFilter(_TokenFilter())


class _TokenFilter(logging.Filter):
    """Cuts ``token=`` values out of a server's access log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record's arguments; let every record pass."""
        if isinstance(record.args, tuple):
            record.args = tuple(_without_token(part) if isinstance(part, str) else part for part in record.args)
        return True


def _without_token(text: str) -> str:
    before, found, rest = text.partition("token=")
    if not found:
        return text
    _token, separator, after = rest.partition("&")
    return f"{before}token=hidden{separator}{_without_token(after)}"
