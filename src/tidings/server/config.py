"""Every setting, with its unit, default and the reason for the default.

Sources, later ones win: the defaults here, ``TIDINGS_*`` in the environment, what the command line or the host's
code passes. A wrong value fails at start with the setting's name. docs/run/configuration.md lists them all.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, Self

from tidings.errors import ConfigurationError

SECRET_SIZE_MIN_BYTES = 32  # RFC 7518 3.2: an HS256 key is at least as long as the hash
ENVIRONMENT_PREFIX = "TIDINGS_"
# Of the commands that talk to a server; no settings of one.
CLIENT_VARIABLES = {
    "TIDINGS_URL",
    "TIDINGS_TOKEN",
    "TIDINGS_KEY",
    "TIDINGS_USER",
    "TIDINGS_COOKIE",
    "TIDINGS_HEADER",
}
LOG_FORMATS = ("text", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")

# What Kubernetes puts into the environment of every container near a service that is called tidings.
_OF_A_CLUSTER = re.compile(r"TIDINGS_(?:SERVICE_HOST|SERVICE_PORT\w*|PORT|PORT_\d+_\w+)")

_COOKIE_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token: RFC 6265 4.1.1

# Limits that nobody needs to set and several modules keep. What one keeps stands there, with its reason.
EVENTS_PAGE_DEFAULT, EVENTS_PAGE_MAX = 200, 500  # events of one catch-up page
PAGE_SIZE_MAX_BYTES = 1 << 20  # of text in one page read from the store; bounds what a reader can make us hold
REVOKED_USERS_MAX = 100_000  # revocations remembered; beyond, the oldest is forgotten
COMMIT_WAIT_MAX_S = 10.0  # a write not answered by the disk within this is reported as unknown (503)
WORKERS_MAX = 64  # processes of one serve: some hundred connections of the database; a slip of 1000 takes the machine
PATH_SIZE_MAX_BYTES = 4096  # percent-encoded; of the longest user id it has 1,536
QUERY_SIZE_MAX_BYTES = 12_288  # a token and two cursors


def setting(default: Any, unit: str, reason: str, *, is_secret: bool = False, least: int | None = None) -> Any:
    """A field of ``Config`` with what docs/run/configuration.md says about it; a secret is not in the ``repr``."""
    return field(default=default, metadata={"unit": unit, "reason": reason, "least": least}, repr=not is_secret)


@dataclass(frozen=True)
class Config:
    """The settings of one server."""

    db: str = setting("sqlite:///tidings.db", "URL", "A file beside the process needs no service", is_secret=True)
    bus: str = setting(
        "",
        "URLs",
        "Between the nodes of a PostgreSQL database. Empty, it is the database itself, and no other service is needed;"
        " `nats://a,nats://b` carries more",
        is_secret=True,
    )
    migrate: bool = setting(
        True,
        "yes/no",
        "Off where others run `tidings migrate`, or its script: a start only looks whether they have",
    )
    secret: str = setting(
        "",
        "text",
        "Signs tokens (HS256), at least 32 bytes. Tidings does not start unless this, an issuer or a `user()` function"
        " is set",
        is_secret=True,
    )
    former_secrets: tuple[str, ...] = setting(
        (), "texts", "Checked after the secret, never signed with: a secret changes without a sign-out", is_secret=True
    )
    issuer: str = setting(
        "", "URL or text", "`iss` of every token; alone it finds the key server (OpenID Connect Discovery)"
    )
    jwks_url: str = setting(
        "",
        "URL",
        "Public keys (RS256, ES256) of an identity provider, where it is not discovered",
        is_secret=True,  # some have a password or a key in it
    )
    audience: tuple[str, ...] = setting((), "texts", "`aud` has one of these: a token for another service is refused")
    authorized_parties: tuple[str, ...] = setting(
        (), "texts", "`azp` (or `client_id`) is one of these: a token made by another page or client is refused"
    )
    user_claim: str = setting("sub", "claim", "Where the user id stands, if the provider's own is not yours")
    name_claim: str = setting(
        "name",
        "claim",
        "The name that others see, where no `people` function tells it; at many providers users choose it",
    )
    picture_claim: str = setting("picture", "claim", "Likewise the picture: an https address")
    session_cookie: str = setting("", "cookie name", "Takes the token from this cookie too; a header wins")
    cors_origins: tuple[str, ...] = setting(
        (),
        "origins",
        "Pages of these origins may call, such as `https://app.example.org`, `capacitor://localhost`; no wildcard",
    )
    frame_ancestors: tuple[str, ...] = setting(
        (),
        "origins",
        "Pages of these origins may frame the web chat; `self` is its own. Else none: clicks are stolen so",
    )
    sign_in_url: str = setting(
        "", "address", "Where the web chat sends somebody who is not signed in; `{here}` in it is the page's address"
    )
    sign_out_url: str = setting("", "address", "Where the web chat signs out, if your application can by a link")
    query_token: bool = setting(False, "yes/no", "A token in an address ends in logs; a browser's EventSource needs it")
    message_types: tuple[str, ...] = setting((), "names", "Types that clients may send besides text; system never")
    text_bytes_max: int = setting(
        16_384, "bytes of UTF-8", "A long letter; however it is escaped, its frame stays under 64 KiB"
    )
    heartbeat_interval_s: float = setting(15.0, "seconds", "Proxies cut silent connections at 29 s and more")
    stream_age_max_s: float = setting(
        600.0,
        "seconds",
        "Streams resume now and then, so resuming always works; less where a proxy ends them earlier",
    )
    streams_per_user_max: int = setting(20, "streams", "More tabs and devices than a person has open")
    stream_openings_per_s: float = setting(
        2.0,
        "per second and user",
        "Twenty streams that a proxy cuts every ten seconds; each opening is two lines of the log",
    )
    streams_max: int = setting(18_000, "streams", "Below the usual limit of 20,000 descriptors per process")
    write_blocked_max_s: float = setting(
        20.0, "seconds", "A reader that takes nothing for so long is gone; more where networks stall for longer"
    )
    drain_window_s: float = setting(5.0, "seconds", "Reconnections after a restart spread over it, at most")
    drain_streams_per_s: float = setting(
        400.0, "streams a second", "So many come back at once; one stream's restart is over in a moment, 2,000 take 5 s"
    )
    poll_wait_max_s: float = setting(
        25.0, "seconds", "Below the shortest idle limit of common proxies (29 s); less where yours is shorter"
    )
    sends_per_s: float = setting(30.0, "per second and user", "Faster than anyone types; a bot's pace")
    sends_burst: int = setting(60, "messages", "An outbox that empties after a tunnel")
    signals_per_s: float = setting(
        10.0,
        "per second and user",
        "Clients send receipts and typing once a second at most; more for a program that acts as one",
    )
    request_wait_max_s: float = setting(
        10.0,
        "seconds",
        "A head or body that trickles in slower holds a place (408, or the end); more for slow links",
    )
    connections_per_address_max: int = setting(
        1000, "connections", "One address may be a whole office; not one that takes all the descriptors"
    )
    refused_tokens_per_s: float = setting(
        10.0,
        "per second and address",
        "A whole office that comes with dead tokens passes; a guesser of tokens does not",
    )
    refused_tokens_burst: int = setting(
        200, "tokens", "Everybody of an office, in the minute after a secret was changed"
    )
    service_key_requests_per_s: float = setting(
        100.0,
        "per second and key",
        "Of all that a program with a service key asks, in place of its users' rates: a job that tells ten thousand"
        " people takes two minutes, and no node notices it",
    )
    trusted_proxies: tuple[str, ...] = setting(
        ("127.0.0.1", "::1"),
        "addresses, networks",
        "Only they are believed in `X-Forwarded-For`, and they are not limited as an address",
    )
    presence: bool = setting(True, "yes/no", "People expect to see who is there; off, it is unknown to everybody")
    presence_grace_s: float = setting(30.0, "seconds", "A reconnection or a reload is no absence")
    stranger_receipts: bool = setting(
        False, "yes/no", "Delivered and read tell that somebody is there: off, only people to whom they wrote are told"
    )
    stranger_profiles: bool = setting(
        False,
        "yes/no",
        "Names and pictures by counting ids: off, a conversation shows them; on, `may_send` does too, at a rate",
    )
    stranger_recipients: bool = setting(
        False, "yes/no", "A mistyped id is nobody: off, a conversation begins only with people that `people` knows"
    )
    people_searches_per_min: int = setting(
        60,
        "per minute and user",
        "With `search_people`: a picker asks with each pause of typing; less slows a user who lists everybody",
    )
    new_conversations_per_h: int = setting(20, "per hour and user", "Slows a user who writes to everybody")
    log_keep_days: float = setting(30.0, "days", "A client that was away longer reloads; history stays whole")
    log_events_max: int = setting(20_000, "events per user", "Catching up with more costs more than reloading")
    detached_streams: bool = setting(
        True, "yes/no", "An idle stream costs 2 KiB instead of 12; off, uvicorn serves streams to their end"
    )
    workers: int = setting(
        1,
        "processes",
        "Of `tidings serve`, on one port; one for each core, with PostgreSQL. SQLite belongs to one process",
    )
    metrics_port: int = setting(
        0, "port", "0: `/metrics` is on the port of everything else; on its own it is not routed by mistake", least=0
    )
    log_format: str = setting("text", "text or json", "People read the one, collectors of logs the other")
    log_level: str = setting("info", "debug, info, warning, error", "info: a line per stream, none per message")

    def __post_init__(self) -> None:
        for each in fields(self):
            object.__setattr__(self, each.name, _checked(each, getattr(self, each.name)))
        for name, secret in [("secret", self.secret), *(("former_secrets", former) for former in self.former_secrets)]:
            if secret and len(secret.encode()) < SECRET_SIZE_MIN_BYTES:
                raise ConfigurationError(
                    f"{name} ({environment_name(name)}) is under {SECRET_SIZE_MIN_BYTES} bytes;"
                    " make one with: openssl rand -hex 32"
                )
        for each in fields(self):
            value = getattr(self, each.name)
            if each.metadata["least"] == 0 and value == 0:
                continue
            if type(each.default) in (int, float) and not value > 0:
                raise ConfigurationError(f"{each.name} ({environment_name(each.name)}) must be above 0, not {value}")
        for name in self.message_types:
            if not (name.isascii() and name.isidentifier() and len(name) <= 32):
                raise ConfigurationError(
                    f"message_types (TIDINGS_MESSAGE_TYPES): {name!r} is not 1..32 letters, digits and underscores"
                )
            if name == "system":
                raise ConfigurationError(
                    "message_types (TIDINGS_MESSAGE_TYPES): system is reserved for the host's own code"
                )
            if name == "deleted":
                raise ConfigurationError(
                    "message_types (TIDINGS_MESSAGE_TYPES): deleted is reserved for messages of erased users"
                )
        if self.session_cookie and not _COOKIE_NAME.fullmatch(self.session_cookie):
            raise ConfigurationError(
                f"session_cookie (TIDINGS_SESSION_COOKIE): {self.session_cookie!r} is no name of a cookie,"
                " which has letters, digits, - and _"
            )
        if self.metrics_port > 65535:
            raise ConfigurationError(f"metrics_port (TIDINGS_METRICS_PORT) is at most 65535, not {self.metrics_port}")
        if self.workers > WORKERS_MAX:
            raise ConfigurationError(
                f"workers (TIDINGS_WORKERS) is at most {WORKERS_MAX}, not {self.workers}; one for each core is enough"
            )
        for name, allowed in (("log_format", LOG_FORMATS), ("log_level", LOG_LEVELS)):
            if getattr(self, name) not in allowed:
                raise ConfigurationError(f"{name} ({environment_name(name)}) is one of: {', '.join(allowed)}")
        # JSON makes at most three bytes of one here (U+0085), and a frame with its envelope ends at 64 KiB.
        if self.text_bytes_max > 16_384:
            raise ConfigurationError("text_bytes_max (TIDINGS_TEXT_BYTES_MAX) is at most 16384: frames end at 64 KiB")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], **overrides: Any) -> Self:
        """The settings from ``TIDINGS_*`` variables; ``overrides`` that are not None win.

        Raises:
            ConfigurationError: A value cannot be read, or there is no such setting; the text names the variable.
        """
        known = {environment_name(each.name) for each in fields(cls)} | CLIENT_VARIABLES
        for name in environment:
            if name.startswith(ENVIRONMENT_PREFIX) and name not in known and not _OF_A_CLUSTER.fullmatch(name):
                # Without the beginning, in which all are alike.
                rest = [each.removeprefix(ENVIRONMENT_PREFIX) for each in known]
                near = difflib.get_close_matches(name.removeprefix(ENVIRONMENT_PREFIX), rest, n=1)
                perhaps = (
                    f"did you mean {ENVIRONMENT_PREFIX}{near[0]}?" if near else "docs/run/configuration.md lists them"
                )
                raise ConfigurationError(f"{name} is no setting; {perhaps}")
        values: dict[str, Any] = {}
        for each in fields(cls):
            raw = environment.get(environment_name(each.name))
            if raw is not None and raw != "":
                values[each.name] = _read(each, raw)
        values.update({name: value for name, value in overrides.items() if value is not None})
        return cls(**values)


def environment_name(setting_name: str) -> str:
    """The environment variable of a setting."""
    return ENVIRONMENT_PREFIX + setting_name.upper()


def _checked(each: Field[Any], value: Any) -> Any:
    """The value, if it is of the setting's type; a list becomes a tuple. A text is no list, though it has parts."""
    match each.default:
        case bool():
            is_right, wanted = isinstance(value, bool), "True or False"
        case int():
            is_right, wanted = type(value) is int, "a whole number"
        case float():
            is_right, wanted = type(value) in (int, float) and math.isfinite(value), "a number"
        case tuple():
            is_right = isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value)
            value, wanted = tuple(value) if is_right else value, "a tuple of texts"
        case _:
            is_right, wanted = isinstance(value, str), "a text"
    if not is_right:
        shown = value if type(value) is float else f"of the type {type(value).__name__}"  # it may be a secret
        raise ConfigurationError(
            f"{each.name} ({environment_name(each.name)}) is {wanted} ({each.metadata['unit']}), not {shown}"
        )
    return value


def _read(each: Field[Any], raw: str) -> Any:
    name = environment_name(each.name)
    kind: Any = type(each.default)
    if kind is bool:
        if raw.lower() in ("1", "true", "yes", "on"):
            return True
        if raw.lower() in ("0", "false", "no", "off"):
            return False
        raise ConfigurationError(f"{name} is 1 or 0, not {raw!r}")
    if kind is tuple:
        return tuple(part.strip() for part in raw.split(",") if part.strip())
    if kind is str:
        return raw
    try:
        if not raw.isascii():  # Python reads the digits of every script
            raise ValueError(raw)
        return kind(raw)
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
        raise ConfigurationError(f"{name} is {wanted} ({each.metadata['unit']}), not {raw!r}") from None
