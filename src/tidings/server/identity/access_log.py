"""Keeping tokens of addresses (``?token=``) out of the access log of somebody else's server.

They are hidden whether they count or not: one that does not count here may be a good one all the same.
"""

from __future__ import annotations

import logging
import re

ACCESS_LOGS = ("uvicorn.access", "hypercorn.access", "gunicorn.access", "granian.access", "django.server")

_TOKEN = re.compile(r"(token=)[^&\s\"']+")


def hide_tokens_in_access_log() -> None:
    """Make the access logs of the servers that we know print ``token=hidden``: they print whole addresses."""
    for name in ACCESS_LOGS:
        access = logging.getLogger(name)
        if not any(isinstance(each, _TokenFilter) for each in access.filters):
            access.addFilter(_TokenFilter())


class _TokenFilter(logging.Filter):
    """Cuts ``token=`` values out of what a server logs."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record; let every record pass."""
        if isinstance(record.args, tuple) and record.args:
            record.args = tuple(_without_token(part) if isinstance(part, str) else part for part in record.args)
        elif "token=" in (line := record.getMessage()):  # fields that are looked up as the line is made, or none
            record.msg, record.args = _without_token(line), None
        return True


def _without_token(text: str) -> str:
    return _TOKEN.sub(r"\1hidden", text)
