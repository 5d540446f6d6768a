"""Every number of the demo, with its unit and its reason. A fault must heal, also when nobody is there any more."""

from __future__ import annotations

from typing import Final

TOKEN_TTL_S: Final = 300  # short, so that the demo shows renewal
DRAIN_WINDOW_S: Final = 1.0  # somebody waits at a terminal

HEAL_AFTER_S: Final = 60.0
"""A page that hears nothing gives its stream up after 35 s and polls 10 s later: one minute shows all of that."""
NODES_MAX: Final = 8
"""Each is a process with a database's connections; what nodes do can be watched with three."""
DEAD_FOR_S: Final = 20.0
"""A killed node is started again: long enough to type into the void, short enough to wait for it."""
RESTART_AFTER_S: Final = 1.0
"""A node that ended without having been told to must not be started in a tight loop."""
STOP_WAIT_S: Final = 10.0
"""How long a node may take to drain before it is killed: ten times its window."""
START_WAIT_S: Final = 60.0
"""A process that has not said within this that it is ready has a fault that waiting does not cure."""

DELAY_MAX_MS: Final = 5_000
"""A request takes twice this, and a page takes it for lost after 15 s."""
HEAD_MAX_BYTES: Final = 65_536
"""The head of a request is held back until it is known whose it is; a longer one passes as it comes."""
READ_SIZE_BYTES: Final = 65_536
PARTS_ON_THE_WAY_MAX: Final = 64
"""What a delay holds of one direction of one connection: 4 MiB at most."""
STREAM_HELD_MAX_BYTES: Final = 1_048_576
"""A buffering proxy has a buffer of some size, and passes on what is in it when it is full."""

BODY_MAX_BYTES: Final = 524_288
"""Of a request to the control channel; a report of a page is a tenth of it."""
ENTRIES_MAX: Final = 2_000
"""What a page reports at once; the rest comes with its next report."""
PREFLIGHT_MAX_AGE_S: Final = 600
TAB_SILENT_S: Final = 70.0
"""Browsers let a tab that nobody sees run once a minute; one that is silent for longer is closed."""
COUNT_EVERY_S: Final = 0.5
"""The database is read at most this often for the count, however many pages ask."""

TRAFFIC_RATE_MAX_PER_S: Final = 10
"""Per person: a third of what the server lets somebody send for long."""
TRAFFIC_FOR_S: Final = 60.0
"""Traffic ends by itself: nobody wants to find ten thousand messages after lunch."""
