"""The operator's commands on a database: migrate, backup, restore, export, erase, retention.

The command line calls these. They take the URL of a database, and say what they did in values.

Whether a server may run meanwhile: for ``backup``, ``export`` and ``migrate --check`` yes, they only read; for
``erase`` and ``retention`` yes, they write in slices of milliseconds, between which the server's writer has its turn
(SQLite's own lock keeps the two apart, and each slice is a whole transaction); for ``restore`` and ``migrate`` no,
they take the lock that a server holds.
"""
