"""The limits that every store keeps, whatever its database."""

from __future__ import annotations

WRITER_QUEUE_MAX = 10_000  # writes waiting for the disk: about 1 s of work; beyond, 503
READ_WAIT_MAX_S = 10.0  # a read not answered by the database within this is refused (503)
CHECK_KEPT_S = 0.9  # who asks for readiness within it gets the answer of before: no stranger makes work for the disk
TRIM_SLICE_EVENTS = 1000  # events removed in one transaction: some milliseconds that a send may wait
TRIM_USERS_AT_ONCE = 500  # logs looked at in one read
TRIM_PAUSE_S = 0.02  # between two slices, and while writes are queued: retention is never in a hurry
TRIM_PAUSES_MAX = 100  # a node that is never idle is trimmed all the same, a slice every two seconds
ERASE_SLICE_ROWS = 1000  # messages looked at in one transaction of an erasure
FORGET_WAIT_MAX_S, FORGET_PAUSE_S = 15.0, 0.1  # for a server to say that it has nothing erased in memory any more
SERVICE_KEYS_MAX = 1000  # a node reads all of them at once; an application has some, one for each program
