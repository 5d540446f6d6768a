"""The bus on NATS: one subject for a database, nothing stored. nats-py reconnects by itself and tells of it here."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from tidings.errors import ConfigurationError
from tidings.extra import needs
from tidings.protocol.shown_url import shown_url
from tidings.server.live.bus.carrier import FAREWELL_WAIT_MAX_S, READ_KEY, Outgoing, Seal, State
from tidings.server.store.postgres.address import Address
from tidings.server.store.postgres.driver import LACKS_RIGHT, DriverFailure, Failure, code_of, connect
from tidings.server.store.postgres.link import fetch
from tidings.server.store.postgres.sentences import failure_text

with needs("bus (TIDINGS_BUS): NATS needs nats-py", "nats"):
    import nats.errors
    from nats.aio.client import Client
    from nats.aio.msg import Msg

CONNECT_WAIT_MAX_S = 2
RETRY_PAUSE_S = 0.5
PING_INTERVAL_S, PINGS_MAX = 1, 3  # a server that stands still is noticed before its nodes are taken for gone
UNSENT_SIZE_MAX_BYTES = 1 << 20  # in the library; while it is full, parcels are dropped
UNTAKEN_MAX, UNTAKEN_SIZE_MAX_BYTES = 16_384, 16 << 20  # that came and were not taken; beyond, the library drops
AT_ONCE_MAX = 100

_SCHEMES = ("nats", "tls")
_NO_TOKEN = re.compile(r"[^A-Za-z0-9_-]")  # what parts a subject, or means several
_FAILURES = (nats.errors.Error, OSError, TimeoutError)


class Servers(NamedTuple):
    """The addresses of a NATS, and what lets in: options of nats-py's ``connect``."""

    addresses: list[str]
    credentials: dict[str, Any]


def read_servers(urls: str) -> Servers:
    """Read addresses with commas between them: ``nats://`` or ``tls://``, user and password or a token, ``creds``.

    Raises:
        ConfigurationError: One cannot be read. The sentence shows nothing of it: a password may be anywhere.
    """
    addresses: list[str] = []
    credentials: list[dict[str, Any]] = []
    for url in filter(None, map(str.strip, urls.split(","))):
        try:
            parts = urlsplit(url)
            options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
            host, port = parts.hostname, parts.port or 4222
        except ValueError:
            raise _unreadable() from None
        if parts.scheme not in _SCHEMES or "://" not in url:
            raise ConfigurationError(
                "bus (TIDINGS_BUS): only nats://host and tls://host are known, several with commas between them;"
                " empty, it is the database itself"
            )
        if not host or parts.path.strip("/") or parts.fragment or any(each.isspace() for each in url):
            raise _unreadable()
        creds = options.pop("creds", None)
        if options:
            raise _unreadable("the only option is creds=/path/of/a/file")
        credentials.append(_credentials(parts.username, parts.password, creds))
        addresses.append(f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}")
    used = [each for each in credentials if each]
    if any(each != used[0] for each in used):
        raise ConfigurationError("bus (TIDINGS_BUS): all addresses are of one NATS and take the same user")
    if not addresses:
        raise _unreadable()
    return Servers(addresses, used[0] if used else {})


def _credentials(user: str | None, password: str | None, creds: str | None) -> dict[str, Any]:
    if creds is not None:
        if not Path(creds).is_file():
            raise ConfigurationError("bus (TIDINGS_BUS): creds names no file")
        if find_spec("nkeys") is None:  # which reads it
            raise ConfigurationError(
                "bus (TIDINGS_BUS): creds needs nkeys; install it with: pip install 'nats-py[nkeys]'"
            )
        return {"user_credentials": creds}
    if user is not None and password is not None:
        return {"user": unquote(user), "password": unquote(password)}
    return {} if user is None else {"token": unquote(user)}


def _unreadable(
    advice: str = "write nats://user:password@host:4222, special characters of the password in percent",
) -> ConfigurationError:
    return ConfigurationError(f"bus (TIDINGS_BUS): an address cannot be read; {advice}")


class Channel(NamedTuple):
    """The subject of a database, and the seal that its nodes share."""

    subject: str
    seal: Seal


class NatsBus:
    """The nodes of one database that reach a NATS."""

    body_size_max_bytes = 1 << 18  # any event, and a large commit in a few; a quarter of what servers take by default

    def __init__(self, servers: Servers, address: Address) -> None:
        self._servers = servers
        self._address = address
        self._outgoing = Outgoing()
        self._state = State()
        self._lost = 0

    @property
    def trouble(self) -> str:
        return self._state.trouble

    @property
    def dropped(self) -> int:
        return self._outgoing.dropped + self._lost

    def publish(self, body: bytes) -> None:
        self._outgoing.add(body)

    async def run(self, heard: Callable[[bytes], None], came_back: Callable[[], None]) -> None:
        while True:
            try:
                await self._connect(await channel_of(self._address), heard, came_back)
            except _FAILURES as failure:
                self._note(failure)
            except Failure as failure:  # the name of the subject is asked of the database
                self._state.note(failure_text(self._address, failure))
            await asyncio.sleep(RETRY_PAUSE_S)

    async def _connect(self, channel: Channel, heard: Callable[[bytes], None], came_back: Callable[[], None]) -> None:
        """Carry until the library gives up, as it does where its user is not let in any more."""
        client, gave_up, leaves = Client(), asyncio.Event(), False

        async def take(message: Msg) -> None:
            heard(channel.seal.open(message.data))

        async def failed(failure: Exception) -> None:
            if isinstance(failure, nats.errors.SlowConsumerError):  # we were; what came was dropped
                came_back()
            elif not client.is_connected:
                self._note(failure)

        async def lost() -> None:
            if not leaves:
                self._state.note("the connection to NATS ended")

        async def returned() -> None:
            self._state.note("")
            came_back()

        async def closed() -> None:
            gave_up.set()

        try:
            await client.connect(
                self._servers.addresses,
                name="tidings",
                no_echo=True,
                connect_timeout=CONNECT_WAIT_MAX_S,
                reconnect_time_wait=RETRY_PAUSE_S,  # type: ignore[arg-type]  # seconds, and it sleeps so long
                max_reconnect_attempts=-1,
                ping_interval=PING_INTERVAL_S,
                max_outstanding_pings=PINGS_MAX,
                pending_size=UNSENT_SIZE_MAX_BYTES,
                flush_timeout=CONNECT_WAIT_MAX_S,
                error_cb=failed,
                disconnected_cb=lost,
                reconnected_cb=returned,
                closed_cb=closed,
                **self._servers.credentials,
            )
            await client.subscribe(
                channel.subject, cb=take, pending_msgs_limit=UNTAKEN_MAX, pending_bytes_limit=UNTAKEN_SIZE_MAX_BYTES
            )
            await client.flush(CONNECT_WAIT_MAX_S)
            await returned()
            ended = asyncio.ensure_future(gave_up.wait())
            sending = asyncio.ensure_future(self._send_for_ever(client, channel))
            try:
                await asyncio.wait([ended, sending], return_when=asyncio.FIRST_COMPLETED)
            finally:
                ended.cancel()
                sending.cancel()
        finally:
            leaves = not gave_up.is_set()
            await self._take_leave(client, channel)

    async def _send_for_ever(self, client: Client, channel: Channel) -> None:
        while True:
            await self._send(client, channel, await self._outgoing.take(AT_ONCE_MAX))

    async def _send(self, client: Client, channel: Channel, bodies: list[bytes]) -> None:
        for body in bodies:
            if not client.is_connected:  # what is old when it arrives is worth nothing
                self._lost += 1
                continue
            try:
                await client.publish(channel.subject, channel.seal.close(body))
            except _FAILURES:
                self._lost += 1

    async def _take_leave(self, client: Client, channel: Channel) -> None:
        try:
            async with asyncio.timeout(FAREWELL_WAIT_MAX_S):
                await self._send(client, channel, self._outgoing.rest(AT_ONCE_MAX))
                await client.close()
        except _FAILURES:
            pass

    def _note(self, failure: Exception) -> None:
        self._state.note(shown_url(f"NATS: {failure or type(failure).__name__}"))


async def channel_of(address: Address) -> Channel:
    """The channel of a database: its name and the schema, to be known by, and what no other database has.

    Raises:
        Failure: The database cannot be asked.
    """
    connection = await connect(address)
    try:
        ((key,),) = await fetch(connection, address, READ_KEY)
        ((name,),) = await fetch(connection, address, "SELECT current_database()::text")
        try:
            ((cluster,),) = await fetch(connection, address, "SELECT system_identifier FROM pg_control_system()")
        except DriverFailure as failure:
            if code_of(failure) != LACKS_RIGHT:
                raise
            cluster = 0  # its owner keeps that to himself: name and schema must do
    finally:
        connection.terminate()
    digest = hashlib.blake2b(f"{cluster}/{name}/{address.schema}".encode(), digest_size=8).hexdigest()
    subject = f"tidings.{_NO_TOKEN.sub('_', name)}.{address.schema}.{digest}"
    return Channel(subject, Seal(key))
