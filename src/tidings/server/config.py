"""Every setting and limit, with its unit, default and the reason for the default.

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
CLIENT_VARIABLES = {"TIDINGS_URL", "TIDINGS_TOKEN"}  # of the commands that talk to a server; no settings of one
LOG_FORMATS = ("text", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")

# What Kubernetes puts into the environment of every container near a service that is called tidings.
_OF_A_CLUSTER = re.compile(r"TIDINGS_(?:SERVICE_HOST|SERVICE_PORT\w*|PORT|PORT_\d+_\w+)")

_COOKIE_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token: RFC 6265 4.1.1

# Limits that nobody needs to set. Their reasons stand beside them, as with the settings below.
HISTORY_PAGE_DEFAULT, HISTORY_PAGE_MAX = 50, 200  # messages; two screens, and what one answer may cost
EVENTS_PAGE_DEFAULT, EVENTS_PAGE_MAX = 200, 500  # events of one catch-up page
PAGE_SIZE_MAX_BYTES = 1 << 20  # of text in one page read from the store; bounds what a reader can make us hold
FRAME_BATCH_MAX_BYTES = 1 << 16  # written at once while catching up; one socket buffer's worth
EPHEMERAL_WAITING_MAX = 16  # typing and presence frames that wait for a server's send; a user watches ten people
RING_EVENTS_MAX = 64  # recent events kept per connected user; a short hiccup is served without the store
CLIENT_ID_LENGTH_MAX = 64  # characters; a UUID with room
TAB_LENGTH_MAX = 64  # characters
TOKEN_CACHE_MAX = 40_000  # tokens checked before: twice streams_max, who all may come back at once; 90 us saved each
TOKEN_SIZE_MAX_BYTES = 8192  # longer ones are refused unread; proxies cut headers near there
TOKEN_LEEWAY_S = 30  # clocks differ
KEYS_FRESH_S = 600.0  # public keys are fetched anew after this, beside the requests; a withdrawn key is refused then
KEYS_FETCH_MAX_S = 5.0  # one fetch, discovery included; also the longest that a request waits for a key
KEYS_SIZE_MAX_BYTES = 1 << 18  # of a key server's answer; real ones have some thousand
KEYS_MAX = 100  # keys of a set that are kept; providers publish two to ten
KEY_FETCHES_BURST, KEY_FETCHES_PER_S = 3, 0.1  # fetches that unknown key ids cause: a rotation at once, a storm not
KEY_ABSENT_S = 10.0  # a key id that a fetch did not bring is refused for so long without another
KEY_ABSENT_IDS_MAX = 1000  # such ids remembered
KEY_WAITERS_MAX = 1000  # requests that wait for one fetch; beyond, 503
KEY_BACKOFF_MAX_S = 30.0  # between fetches while the key server fails; the first pause is a second
REVOKED_USERS_MAX = 100_000  # revocations remembered; beyond, the oldest is forgotten
REVOKE_GOODBYE_MAX_S = 0.5  # a stream that has not taken its goodbye by then is cut: revoked means within a second
REPLACED_GOODBYE_MAX_S = 0.5  # likewise one whose place another stream of its user waits for
PLACE_WAIT_MAX_S = 5.0  # for such a place; a server that does not let go of what we cut is somebody else's
STREAM_OPENINGS_BURST_TIMES = 3  # a user may open all their streams so often at once: a network that comes and goes
PREFLIGHT_MAX_AGE_S = 7200  # how long a browser may keep a preflight's answer; browsers cap it near there
GOODBYE_RETRY_MS = (250, 1500)  # after max_age and token_expired: soon, but not all at once
REPLACED_RETRY_MS = (30_000, 45_000)  # two tabs that replace each other must not chase each other
CONNECTED_RETRY_MS = (500, 1500)  # reconnection time of a browser's own EventSource; spreads a restart
HEARTBEAT_JITTER = 0.1  # so that streams opened together do not beat together
STREAM_AGE_JITTER = 0.2  # so that streams opened together do not end together
WRITER_QUEUE_MAX = 10_000  # writes waiting for the disk: about 1 s of work; beyond, 503
WRITER_BATCH_MAX = 256  # writes in one transaction; more gains nothing and delays the first
FOLD_ABOVE_BYTES = 4 << 20  # of the write-ahead log, which is then folded into the file; SQLite itself does so there
COMMIT_WAIT_MAX_S = 10.0  # a write not answered by the disk within this is reported as unknown (503)
READ_WAIT_MAX_S = 10.0  # likewise a read
HEAD_SIZE_MAX_BYTES = 1 << 16  # of a request's line and fields; a token has 8 KiB at most, and proxies cut near 32
HEADER_FIELDS_MAX = 100  # of a head and of what follows a chunked body; browsers and proxies send thirty at most
PATH_SIZE_MAX_BYTES = 4096  # percent-encoded; of the longest user id it has 1,536
QUERY_SIZE_MAX_BYTES = 12_288  # a token and two cursors
PARAMETERS_MAX = 20  # of a query; no route knows more than five
BODY_CHUNKS_MAX = 1000  # of one body; each costs a call, and 64 bytes of the longest body
FORWARDED_ADDRESSES_MAX = 16  # of X-Forwarded-For that are looked at, from its end; as many trusted proxies in a row
BODY_GRACE_S = 2.0  # a body that is late is answered (408) before its connection is cut
ANSWER_RATE_MIN_BYTES_PER_S = 8192  # slower readers of an answer are cut; half of what the slowest phones do
UNTAKEN_PER_USER_MAX_BYTES = 8 << 20  # of answers and streams that a user's readers do not take; eight whole pages
UNTAKEN_PER_ADDRESS_MAX_BYTES = 32 << 20  # likewise of an address; an office at once
UNTAKEN_BY_PROXIES_MAX_BYTES = 256 << 20  # likewise of all trusted proxies together; most take at once whatever comes
PIPELINED_MAX = 16  # requests that wait behind one on the same connection; browsers and proxies send none
HOST_CALL_MAX_S = 5.0  # user(), may_send() and people() of the host; slower is a refusal, or ids for names
DRAIN_MARGIN_S = 1.0  # beyond the window: a busy machine closes its listener late, and who comes before gets a 503
TCP_USER_TIMEOUT_MS = 35_000  # a vanished peer is noticed two heartbeats after its last sign, and not in 15 minutes
UNSENT_SIZE_MAX_BYTES = 32_768  # a peer that does not read would have the kernel hold 4 MB for it
DETACH_TEST_MAX_S = 2.0  # one request over the loopback at the start takes a millisecond
CHECK_INTERVAL_S = 1.0  # a file that is not in its place is noticed within it, and an erasure by another process
CHECK_KEPT_S = 0.9  # who asks for readiness within it gets the answer of before: no stranger makes work for the disk
RESCUE_RETRY_S = 5.0  # until another try to save what only this process has; room may have been made
DATABASE_LOCK_WAIT_S = 10.0  # a reloading server's predecessor needs a moment to go
RECEIPTS_PER_REQUEST_MAX = (
    100  # conversations; a first visit acknowledges hundreds, within the rate and one commit each
)
TYPING_FRAME_GAP_S = 1.0  # a typing signal to the same person within this adds nothing
PRESENCE_WATCH_S = 60  # how long changes of somebody's presence are told without being asked for again
PRESENCE_WATCHES_MAX = 10  # people whose presence one user watches: an open conversation in each of some windows
PRESENCE_TICK_S = 0.25  # changes within it are told as one
PRESENCE_TOLD_AT_ONCE = 250  # frames in one tick: about a millisecond, and 1000 a second when a crowd comes back
REPORTS_PER_H = 10  # reports of one user; a person reads each of them
STRANGER_PROFILES_PER_H = 60  # of strangers, for one user where they are told at all: to find a few, and not everybody
REFUSAL_LINES_PER_S, REFUSAL_LINES_BURST = 0.1, 5  # of one user or address: enough to see who and why
REFUSAL_LINES_OF_ALL_PER_S, REFUSAL_LINES_OF_ALL_BURST = 10.0, 100  # of all: a flood fills no disk, 200 MB a day
REPORT_REASON_LENGTH_MAX = 1000  # characters
REPORT_MESSAGES_MAX = 20  # messages copied as evidence: what was said before is part of it
LOG_LINES_WAITING_MAX = 50_000  # for whoever reads the log: a storm of streams_max has two each; some 20 MB
LOG_LINES_PER_S, LOG_LINES_BURST = 200, 50_000  # of level info: 2 GB a day at most; streams_max in a storm, and more
LOG_WARNINGS_PER_S, LOG_WARNINGS_BURST = 20, 1000  # of warnings and errors, which may have a traceback each
RATE_USERS_MAX = 50_000  # users or addresses whose rates are remembered; an older one starts with a full bucket
SLOW_TIMER_TICK_S = (
    0.0625  # of heartbeats, ages, write limits; one tick's work holds up all else; 1/16 is exact in binary
)
TRIM_FIRST_AFTER_S = 2.0  # retention begins so soon after the start: a node that restarts often must trim all the same
TRIM_INTERVAL_S = 3600.0  # and comes again; logs grow by days
TRIM_SLICE_EVENTS = 1000  # events removed in one transaction: some milliseconds that a send may wait
TRIM_USERS_AT_ONCE = 500  # logs looked at in one read
TRIM_PAUSE_S = 0.02  # between two slices, and while writes are queued: retention is never in a hurry
TRIM_PAUSES_MAX = 100  # a node that is never idle is trimmed all the same, a slice every two seconds
SCRUB_WAIT_MAX_S, SCRUB_PAUSE_S = 60.0, 0.1  # for readers of a database whose log is to be emptied after an erasure
FORGET_WAIT_MAX_S, FORGET_PAUSE_S = 15.0, 0.1  # for a server to say that it has nothing erased in memory any more
ERASE_SLICE_ROWS = 1000  # messages looked at in one transaction of an erasure


def setting(default: Any, unit: str, reason: str, *, is_secret: bool = False, least: int | None = None) -> Any:
    """A field of ``Config`` with what docs/run/configuration.md says about it; a secret is not in the ``repr``."""
    return field(default=default, metadata={"unit": unit, "reason": reason, "least": least}, repr=not is_secret)


@dataclass(frozen=True)
class Config:
    """The settings of one server."""

    db: str = setting("sqlite:///tidings.db", "URL", "A file beside the process needs no service", is_secret=True)
    secret: str = setting(
        "",
        "text",
        "Signs tokens (HS256), at least 32 bytes; without it, an issuer or a user() function we refuse",
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
    session_cookie: str = setting("", "cookie name", "Takes the token from this cookie too; a header wins")
    cors_origins: tuple[str, ...] = setting(
        (), "origins", "Who else may call, such as `https://app.example.org`, `capacitor://localhost`; no wildcard"
    )
    query_token: bool = setting(False, "yes/no", "A token in an address ends in logs; a browser's EventSource needs it")
    message_types: tuple[str, ...] = setting((), "names", "Types that clients may send besides text; system never")
    text_bytes_max: int = setting(
        16_384, "bytes of UTF-8", "A long letter; however it is escaped, its frame stays under 64 KiB"
    )
    body_bytes_max: int = setting(65_536, "bytes", "The longest text fits with its escapes; nothing larger is read")
    heartbeat_interval_s: float = setting(15.0, "seconds", "Proxies cut silent connections at 29 s and more")
    stream_age_max_s: float = setting(600.0, "seconds", "Every stream resumes now and then, so resuming always works")
    streams_per_user_max: int = setting(20, "streams", "More tabs and devices than a person has open")
    stream_openings_per_s: float = setting(
        2.0,
        "per second and user",
        "Twenty streams that a proxy cuts every ten seconds; each opening is two lines of the log",
    )
    streams_max: int = setting(18_000, "streams", "Below the usual limit of 20,000 descriptors per process")
    write_blocked_max_s: float = setting(20.0, "seconds", "A reader that takes nothing for so long is gone")
    drain_window_s: float = setting(5.0, "seconds", "Reconnections after a restart spread over it, at most")
    drain_streams_per_s: float = setting(
        400.0, "streams a second", "So many come back at once; one stream's restart is over in a moment, 2,000 take 5 s"
    )
    poll_wait_max_s: float = setting(25.0, "seconds", "Below the shortest idle limit of common proxies (29 s)")
    sends_per_s: float = setting(30.0, "per second and user", "Faster than anyone types; a bot's pace")
    sends_burst: int = setting(60, "messages", "An outbox that empties after a tunnel")
    signals_per_s: float = setting(
        10.0, "per second and user", "Receipts and typing are coalesced by clients to 1/s each"
    )
    request_wait_max_s: float = setting(
        10.0, "seconds", "A head, or a body, that trickles in slower only holds a place (408, or the end)"
    )
    connections_per_address_max: int = setting(
        1000, "connections", "One address may be a whole office; not one that takes all the descriptors"
    )
    refused_tokens_per_s: float = setting(
        10.0,
        "per second and address",
        "A whole office that comes with dead tokens passes; one who tries tokens does not",
    )
    refused_tokens_burst: int = setting(
        200, "tokens", "Everybody of an office, in the minute after a secret was changed"
    )
    trusted_proxies: tuple[str, ...] = setting(
        ("127.0.0.1", "::1"),
        "addresses, networks",
        "Only they are believed in `X-Forwarded-For`, and they are not limited as an address",
    )
    presence: bool = setting(True, "yes/no", "People expect to see who is there; off, it is unknown to everybody")
    presence_grace_s: float = setting(30.0, "seconds", "A reconnection or a reload is no absence")
    stranger_receipts: bool = setting(
        False, "yes/no", "Delivered and read tell that somebody is there: off, only whom they have written to is told"
    )
    stranger_profiles: bool = setting(
        False,
        "yes/no",
        "Names and pictures by counting ids: off, a conversation shows them; on, `may_send` does too, at a rate",
    )
    stranger_recipients: bool = setting(
        False, "yes/no", "A mistyped id is nobody: off, a conversation begins only with whom `people` knows"
    )
    new_conversations_per_h: int = setting(20, "per hour and user", "Slows one who writes to everybody")
    log_keep_days: float = setting(30.0, "days", "A client that was away longer reloads; history stays whole")
    log_events_max: int = setting(20_000, "events per user", "Catching up with more costs more than reloading")
    detached_streams: bool = setting(
        True, "yes/no", "An idle stream costs 2 KiB instead of 12; off, uvicorn serves streams to their end"
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
