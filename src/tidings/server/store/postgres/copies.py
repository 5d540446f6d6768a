"""Backup and restore by PostgreSQL's own tools: a whole copy, or none.

A copy is made of one snapshot, whose rows are counted, under another name, read through, and only then named as wished.
A restored schema has a new epoch, so that every client's cursor is answered with a reset; the former one is kept aside
under another name. No password is in the arguments of a tool, which all users of a machine can read.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from tidings.errors import ConfigurationError, DatabaseAway, TidingsError
from tidings.server.store.maintenance import Copied, Restored
from tidings.server.store.postgres.address import Address
from tidings.server.store.postgres.driver import Failure
from tidings.server.store.postgres.schema import MIGRATE_LOCK, deny, new_epoch, read_version
from tidings.server.store.postgres.session import Session
from tidings.server.store.postgres.snapshot import BEGIN

WHOLE = ("--format=custom", "--no-owner", "--no-privileges")
_AWAY = (  # in the words of the tools, which are told to speak no other language
    *("connection to server", "closed the connection", "terminating connection", "could not receive data"),
    *("could not send data", "no connection to the server"),
)
COUNTS = "SELECT (SELECT count(*) FROM TIDINGS.users), (SELECT count(*) FROM TIDINGS.messages)"


def backup(session: Session, target: str) -> Copied:
    """Copy the schema into a new file, also while nodes serve it.

    Raises:
        ConfigurationError: There is a file of this name, or a tool is missing or fails.
        DatabaseAway: A tool cannot reach the database.
    """
    _check(session, "pg_dump", f"--file={target}")
    target = os.path.abspath(target)
    if os.path.lexists(target):
        raise ConfigurationError(f"{target} is already there; choose another name")
    partial = f"{target}.partial-{os.getpid()}"
    session.execute(BEGIN)
    (snapshot,) = session.row("SELECT pg_export_snapshot()")
    users, messages = session.row(COUNTS)
    what = (*WHOLE, f"--schema={session.address.schema}")
    try:
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # pg_dump would let others read it
        _run("pg_dump", *what, f"--snapshot={snapshot}", f"--file={partial}", of=session.address)
        _run("pg_restore", f"--file={os.devnull}", partial)
        with open(partial, "rb") as written:
            os.fsync(written.fileno())
        os.link(partial, target)  # unlike a rename it replaces nothing
    except OSError as failure:
        raise ConfigurationError(f"{target} cannot be written: {failure.strerror}") from failure
    finally:
        Path(partial).unlink(missing_ok=True)
    return Copied(target, users, messages, os.path.getsize(target))


def restore(session: Session, source: str) -> Restored:
    """Put a copy in the place of the schema, which is kept aside; a node that would make one meanwhile waits.

    Raises:
        ConfigurationError: The copy is of another schema or cannot be read, or a tool is missing or fails.
        DatabaseAway: A tool cannot reach the database.
    """
    _check(session, "pg_restore", source)
    schema = session.address.schema
    if not os.path.isfile(source):
        raise ConfigurationError(f"there is no file {source}")
    if f"SCHEMA - {schema} " not in _run("pg_restore", "--list", source):
        raise ConfigurationError(f"{source} is not a copy of a schema {schema}")
    _check_rights(session)
    session.rows("SELECT pg_advisory_lock(hashtextextended($1, 0))", MIGRATE_LOCK + schema)
    aside = None
    if session.run(read_version(session.connection, session.address)):
        aside = f"{schema}_before_{time.strftime('%Y%m%dt%H%M%S', time.gmtime())}"
        session.execute(f'ALTER SCHEMA "{schema}" RENAME TO "{aside}"')
    try:
        how = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
        _run("pg_restore", *how, source, of=session.address)
    except TidingsError as failed:
        if aside is not None:
            _rename_back(session, aside, failed)
        raise
    session.run(deny(session.connection, session.address))
    session.execute("DELETE FROM TIDINGS.nodes")
    session.rows("SELECT TIDINGS.begin_epoch_1((SELECT epoch FROM TIDINGS.meta), $1)", new_epoch())
    users, messages = session.row(COUNTS)
    return Restored(users, messages, aside and f"the schema {aside}")


def _rename_back(session: Session, aside: str, failed: TidingsError) -> None:
    schema = session.address.schema
    try:
        session.execute(f'ALTER SCHEMA "{aside}" RENAME TO "{schema}"')
    except Failure as failure:
        raise DatabaseAway(
            f"{failed}; the former schema is left under another name: restore again, or take it back:"
            f" ALTER SCHEMA {aside} RENAME TO {schema}"
        ) from failure


def _check_rights(session: Session) -> None:
    """Return when the user may put another schema in the place of this one.

    Raises:
        ConfigurationError: The sentence says which right is missing, and what is needed after it.
    """
    schema = session.address.schema
    (may_create,) = session.row("SELECT has_database_privilege(current_database(), 'CREATE')")
    (is_owner,) = session.row(
        "SELECT coalesce(bool_and(pg_has_role(nspowner, 'USAGE')), true) FROM pg_namespace WHERE nspname = $1", schema
    )
    if not (may_create and is_owner):
        raise ConfigurationError(
            f"db (TIDINGS_DB): {session.address.shown}: a restore needs a user who owns the schema {schema} and has"
            " CREATE on the database. After one by another user than the nodes', give theirs its rights again:"
            " docs/run/postgresql.md, Backup"
        )


def _check(session: Session, tool: str, *arguments: str) -> None:
    """Return when a tool can do it, before anything was done.

    Raises:
        ConfigurationError: It is missing, or older than the server, or a pooler is in between.
    """
    address = session.address
    if address.is_pooled:  # what the tools set for their session would stay on connections of others
        raise ConfigurationError("db (TIDINGS_DB): a copy needs the database itself; name it without its pooler")
    version = session.row("SELECT current_setting('server_version_num')::int")[0] // 10_000
    elsewhere = " ".join(
        (tool, *WHOLE, f"--schema={address.schema}", *arguments) if tool == "pg_dump" else (tool, *arguments)
    )
    advice = f"install postgresql-client-{version}, or say where it is: {elsewhere} --dbname={address.shown}"
    if shutil.which(tool) is None:
        raise ConfigurationError(f"{tool}, PostgreSQL's own tool for copies, is missing; {advice}")
    found = re.search(r"\d+", _run(tool, "--version"))
    if found is None or int(found[0]) < version:
        raise ConfigurationError(
            f"{tool} is of PostgreSQL {found[0] if found else 'unknown'}, and the server of {version}; {advice}"
        )


def _run(tool: str, *arguments: str, of: Address | None = None) -> str:
    """The output of a tool of PostgreSQL, which works on the database if one is named."""
    environment = {name: value for name, value in os.environ.items() if name not in ("LC_ALL", "LANGUAGE")}
    environment["LC_MESSAGES"] = "C"
    if of is not None:
        dsn, password = _without_password(of.dsn)
        arguments = (f"--dbname={dsn}", *arguments)
        environment |= {"PGPASSWORD": password} if password else {}
    done = subprocess.run((tool, *arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"{tool} ended with {done.returncode}"]
        line = next((line for line in said if "error:" in line), said[-1])
        if of is not None and any(each in line for each in _AWAY):
            raise DatabaseAway(f"db (TIDINGS_DB): {of.shown} is away for {line}")
        raise ConfigurationError(line)
    return done.stdout


def _without_password(dsn: str) -> tuple[str, str]:
    parts = urlsplit(dsn)
    options = dict(parse_qsl(parts.query))
    in_options = options.pop("password", "")
    account, at, hosts = parts.netloc.rpartition("@")
    user, _, password = account.partition(":")
    shown = urlunsplit(parts._replace(netloc=f"{user}{at}{hosts}", query=urlencode(options)))
    return shown, unquote(password) or in_options
