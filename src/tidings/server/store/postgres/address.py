"""A ``postgresql:`` URL names a database, a schema of ours in it, and whether a pooler is before it."""

from __future__ import annotations

import difflib
import re
from functools import cache
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from tidings.errors import ConfigurationError

SCHEMA_DEFAULT = "tidings"

# Safe between double quotes and between single ones; as long as the name of a channel of it may be (63 bytes).
_SCHEMA_NAME = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,39}")
_PLACEHOLDER = "TIDINGS."

# Those of libpq that asyncpg has, which would hand any other one to the server as a setting of it.
_OPTIONS = frozenset({
    *("schema", "bouncer", "target_session_attrs", "host", "port", "dbname", "database", "user", "password"),
    *("passfile", "sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "krbsrvname", "gsslib", "service"),
    *("options", "application_name"),
})  # fmt: skip
_OF_LIBPQ_ALONE = frozenset({
    *("connect_timeout", "channel_binding", "client_encoding", "fallback_application_name", "gssencmode", "hostaddr"),
    *("gssdelegation", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
    *("load_balance_hosts", "replication"),
    *("require_auth", "requirepeer", "requiressl", "sslcertmode", "sslcompression", "sslcrldir"),
    *("sslsni", "tcp_user_timeout"),
})  # fmt: skip


class Address(NamedTuple):
    """A database, and the schema in it that is ours.

    Attributes:
        dsn: The URL without our own options; it may have a password.
        shown: It, as a sentence may show it.
        role: The user whom it names; None: whoever the driver takes.
        is_pooled: A pooler gives each transaction another connection, so that none keeps a setting or a statement.
    """

    dsn: str
    shown: str
    schema: str
    is_pooled: bool
    role: str | None

    def sql(self, text: str) -> str:
        """A statement in which ``TIDINGS.`` stands for the schema."""
        return _in_schema(text, self.schema)


@cache
def _in_schema(text: str, schema: str) -> str:
    return text.replace(_PLACEHOLDER, f'"{schema}".')


def read_address(url: str) -> Address:
    """Read a URL: libpq's, and ``schema=NAME`` and ``bouncer=1`` among its options.

    Raises:
        ConfigurationError: It cannot be read. The sentence shows nothing of it: a password may be anywhere.
    """
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise _unreadable() from None
    if "@" in parts.path or parts.fragment or any(character.isspace() for character in url):
        raise _unreadable("a special character of the password is written in percent, such as %40 for @")
    for name in options.keys() - _OPTIONS:
        raise _unknown(name)
    schema = options.pop("schema", SCHEMA_DEFAULT)
    if not _SCHEMA_NAME.fullmatch(schema):
        raise _unreadable("schema is 1..40 small letters, digits and underscores, and begins with no digit and no pg_")
    bouncer = options.pop("bouncer", "0")
    if bouncer not in ("0", "1"):
        raise _unreadable("bouncer is 1 where a pooler is before the database, and else left out")
    shown = f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"
    dsn = urlunsplit(parts._replace(query=urlencode(options)))
    role = options.get("user", unquote(parts.username or "")) or None
    return Address(dsn, shown, schema, bouncer == "1", role)


def _unknown(name: str) -> ConfigurationError:
    """The sentence for an option that there is not; a name that is like none may be a part of a password."""
    alike = difflib.get_close_matches(name, _OPTIONS, n=1)
    if name in _OF_LIBPQ_ALONE:
        said = f"an option {name}, which only libpq has"
    else:
        said = f"an option {name}; did you mean {alike[0]}?" if alike else "an option that is not known"
    return ConfigurationError(
        f"db (TIDINGS_DB): the postgresql URL has {said}{'' if said.endswith('?') else '.'} Known are"
        f" {', '.join(sorted(_OPTIONS))}; a setting of the server is written options=-c%20name=value"
    )


def _unreadable(advice: str = "write postgresql://user@host:5432/database") -> ConfigurationError:
    return ConfigurationError(f"db (TIDINGS_DB): the postgresql URL cannot be read; {advice}")
