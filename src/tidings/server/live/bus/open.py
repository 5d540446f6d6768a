"""From a database URL and the setting ``bus`` to the bus between the nodes of the database."""

from __future__ import annotations

from tidings.errors import ConfigurationError
from tidings.server.config import Config
from tidings.server.live.bus import Alone, Bus
from tidings.server.store.open import is_postgres


def open_bus(config: Config) -> Bus | None:
    """The bus that the nodes of a database share; None for a database that one process has.

    Raises:
        ConfigurationError: A URL cannot be read, or there is nothing for which this bus could be.
    """
    if not is_postgres(config.db):
        if config.bus:
            raise ConfigurationError(
                "bus (TIDINGS_BUS): a SQLite database is one process's and needs none; leave it empty, or name a"
                " PostgreSQL database"
            )
        return None
    from tidings.server.store.postgres.address import read_address

    address = read_address(config.db)
    if config.bus:
        from tidings.server.live.bus.nats import NatsBus, read_servers

        return NatsBus(read_servers(config.bus), address)
    if address.is_pooled:
        return Alone("a pooler hands no notification on; each node looks for itself, once a second, without a bus")
    from tidings.server.live.bus.notify import NotifyBus

    return NotifyBus(address)
