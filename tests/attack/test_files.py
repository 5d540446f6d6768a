"""Paths that try to leave the folder of the page's files, or that two readers read differently; names in a directory of
the service's user that lead whoever operates it elsewhere."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
import pytest
from starlette.routing import Mount, Router

from lab.node import API, Node, Person
from lab.wire import Wire
from tidings.cli import main
from tidings.server.page import _Assets

PROGRAM = str(Path(sys.executable).with_name("tidings"))
OUTSIDE = [
    "/assets/../page.py",
    "/assets/..%2f..%2ferrors.py",
    "/assets/%2e%2e/%2e%2e/errors.py",
    "/assets/%252e%252e/errors.py",
    "/assets/....//....//errors.py",
    "/assets/..\\..\\errors.py",
    "/assets/..%5c..%5cerrors.py",
    "/assets/%c0%ae%c0%ae/errors.py",
    "/assets/..;/errors.py",
    "/assets//etc/passwd",
    "/assets/%2fetc%2fpasswd",
    "/assets/file:///etc/passwd",
    "/assets/%00",
    "/assets/index.js%00.html",
    "/assets/",
    "/assets",
    "/assets/.",
    "/assets/..",
    "/assets/../index.html",
    "/assets/%2e%2e/index.html",
    "/assets/" + "a" * 4000,
    "/assets/" + "a/" * 2000,
    "/assets/CON",
    "/../../etc/passwd",
    "//etc/passwd",
    "/./assets/../../errors.py",
    "/static/index.html",
    "/.git/config",
    "/tidings.db",
    "/index.html",
]


# shows: security/page-folder
@pytest.mark.parametrize("path", OUTSIDE, ids=[ascii(path)[:40] for path in OUTSIDE])
def test_no_path_leaves_the_folder_of_the_page(node: Node, path: str) -> None:
    """404 as for any address that is none, byte for byte as it was written. PROTOCOL 3.0.1"""
    with Wire(node.address) as wire:
        wire.writes(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()).ends()
    assert wire.statuses in ([404], [400])
    for leak in (b"import", b"root:", b"Traceback", b"/src/", b"<!doctype", b"SQLite"):
        assert leak not in wire.received


# shows: security/page-folder
def test_a_link_in_the_folder_leads_nowhere_else(tmp_path: Path) -> None:
    """Neither to a file outside nor by a folder; what is inside is served."""
    folder = tmp_path / "assets"
    folder.mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "good.js").write_text("good")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "up").symlink_to(tmp_path)
    (tmp_path / "assets-beside").mkdir()
    (tmp_path / "assets-beside" / "x.txt").write_text("secret")
    app = Router([Mount("/assets", _Assets(directory=folder))], redirect_slashes=False)

    async def asked(path: str) -> httpx2.Response:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://x") as client:
            return await client.get(path)

    assert "good" == asyncio.run(asked("/assets/good.js")).text
    for path in ("/assets/link.txt", "/assets/up/secret.txt", "/assets/../assets-beside/x.txt", "/assets-beside/x.txt"):
        answer = asyncio.run(asked(path))
        assert answer.status_code in (404, 405), path
        assert "secret" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/inbox/{me}/",
        "//inbox/{me}",
        "/inbox//{me}",
        "/inbox/{me};x",
        "/inbox/./{me}",
        "/x/../inbox/{me}",
        "/INBOX/{me}",
    ],
)
def test_a_path_has_one_reading(alice: Person, bob: Person, path: str) -> None:
    """Nothing is collapsed, resolved or redirected: a proxy's rule for a path holds for what the server does.
    PROTOCOL 2.3.1, 3.0.1"""
    bob.sends(alice, "in the inbox")
    target = API + path.replace("{me}", alice.id)
    head = f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.token}\r\nConnection: close\r\n\r\n"
    with Wire(alice.node.address) as wire:
        wire.writes(head.encode()).ends()
    assert [200] != wire.statuses
    assert not re.search(rb"(?i)\r\nlocation:", wire.received)
    assert b"in the inbox" not in wire.received


def test_an_id_that_looks_like_a_path_is_one_segment(alice: Person) -> None:
    """An encoded slash is no separator, so it cannot turn one route into another. PROTOCOL 2.2.3, 2.3.1"""
    for path in ("/inbox%2fme", "/sse%2f" + alice.id, "/%2e%2e%2fhealthz", "/..%2f..%2fmetrics"):
        answer = alice.gets(path)
        assert answer.status_code in (404, 422), path
        assert "tidings_" not in answer.text


OPERATING = (
    ["migrate"],
    ["migrate", "--check"],
    ["retention"],
    ["export", "--user", "ada"],
    ["erase", "--user", "ada"],
    ["backup", "{folder}/new-copy.db"],
    ["restore", "{elsewhere}/copy.db"],
)


LINKED = (".lock", "-wal", "-shm", "-journal", "-wal -shm")


@pytest.mark.parametrize("linked", LINKED)
def test_no_name_beside_the_database_leads_a_server_of_root_s_elsewhere(tmp_path: Path, linked: str) -> None:
    """It is refused, or not used at all."""
    _try_to_mislead(tmp_path, ["serve", "--port", "0"], [f"tidings.db{ending}" for ending in linked.split()])


# shows: security/root-links
@pytest.mark.parametrize("words", OPERATING, ids=[" ".join(words[:2]) for words in OPERATING])
def test_no_name_in_the_service_s_directory_leads_root_elsewhere(tmp_path: Path, words: list[str]) -> None:
    """Nor a command of root's."""
    _try_to_mislead(tmp_path, words, ["tidings.db.lock", f"tidings.db.partial-{os.getpid()}", "new-copy.db-journal"])
    _try_to_mislead(tmp_path, words, ["tidings.db-wal"])


def _try_to_mislead(tmp_path: Path, words: list[str], links: list[str]) -> None:
    """The service's user puts links to a file of root's in the place of every name that a command of root opens there.
    It is neither written nor emptied nor given away, and nothing is made where a link that leads nowhere leads.
    """
    root_runs = os.geteuid() == 0
    with TemporaryDirectory(prefix="tidings-") as name:
        folder, precious, nothing = Path(name), tmp_path / "precious", tmp_path / "nothing-yet"
        precious.write_text("precious")
        precious.chmod(0o640)
        before = precious.stat()
        database = folder / "tidings.db"
        assert [0, 0] == [main(["migrate", "--db", f"sqlite:///{each}"]) for each in (database, tmp_path / "copy.db")]
        for link in links:
            (folder / link).unlink(missing_ok=True)
            (folder / link).symlink_to(precious)
        (folder / "new-copy.db-wal").symlink_to(nothing)
        if root_runs:
            os.chown(folder, 12345, 12345)
            os.chown(database, 12345, 12345)
        filled = [word.format(folder=folder, elsewhere=tmp_path) for word in words]
        command = subprocess.Popen(
            [PROGRAM, *filled, "--db", f"sqlite:///{database}"],
            env={**os.environ, "TIDINGS_SECRET": "x" * 64},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if words[0] == "serve":  # by root, in a directory of another's: it may serve or refuse
            assert command.stdout is not None
            command.stdout.readline()
            command.terminate()
        command.communicate(timeout=60)
        after = precious.stat()
        assert "precious" == precious.read_text()
        assert [before.st_uid, before.st_gid, before.st_mode] == [after.st_uid, after.st_gid, after.st_mode]
        assert not nothing.exists()


# shows: security/database-link
def test_a_database_that_is_a_link_is_used_with_the_rights_of_whose_the_link_is(tmp_path: Path) -> None:
    """Of a service's user, it reaches nothing that this user cannot reach: root's own database is not touched."""
    with TemporaryDirectory(prefix="tidings-") as name:
        folder, own = Path(name), tmp_path / "root" / "own.db"
        own.parent.mkdir(mode=0o700)
        tidings("migrate", db=own)
        before = own.read_bytes()
        (folder / "tidings.db").symlink_to(own)
        (folder / "new.db").symlink_to(tmp_path / "root" / "new.db")
        if os.geteuid() == 0:
            os.chown(folder, 12345, 12345)
            for words in (["erase", "--user", "ada"], ["export", "--user", "ada"], ["restore", own], ["migrate"]):
                tidings(*words, db=folder / "tidings.db", code=2)
            tidings("migrate", db=folder / "new.db", code=2)
        assert (before, ["own.db"]) == (own.read_bytes(), [path.name for path in own.parent.iterdir()])
        assert 0 == os.geteuid() or (folder / "tidings.db").is_symlink()
        assert os.geteuid() == os.getuid()  # whoever the command acted as, it is itself again


def tidings(*arguments: object, db: Path, code: int = 0) -> None:
    words = [PROGRAM, *map(str, arguments), "--db", f"sqlite:///{db}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (code, False) == (done.returncode, "Traceback" in done.stderr), done.stderr


WATCHED = """
import os, sys
def watch(event, arguments):
    if os.geteuid() != 0 and event == "import":
        sys.stderr.write(f"imported as another user: {arguments[0]}\\n")
        os._exit(99)
    own = sys.prefix, sys.base_prefix, sys.argv[1]
    if os.geteuid() != 0 and event == "open" and str(arguments[0]).startswith(own):
        sys.stderr.write(f"opened as another user: {arguments[0]}\\n")
        os._exit(99)
from tidings.cli import main
sys.addaudithook(watch)
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("words", OPERATING, ids=[" ".join(words[:2]) for words in OPERATING])
def test_a_command_of_root_s_needs_nothing_of_its_own_once_it_acts_as_another(tmp_path: Path, words: list[str]) -> None:
    """Its installation may be closed to the service's user: modules, codecs and files of its own are there before."""
    with TemporaryDirectory(prefix="tidings-") as name:
        folder = Path(name)
        database = folder / "tidings.db"
        assert [0, 0] == [main(["migrate", "--db", f"sqlite:///{each}"]) for each in (database, tmp_path / "copy.db")]
        if os.geteuid() == 0:
            for path in (folder, *folder.iterdir()):
                os.chown(path, 12345, 12345)
        filled = [word.format(folder=folder, elsewhere=tmp_path) for word in words]
        package = str(Path(sys.modules["tidings"].__file__ or "").parent)
        done = subprocess.run(
            [sys.executable, "-c", WATCHED, package, *filled, "--db", f"sqlite:///{database}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (True, "") == (done.returncode in (0, 1), done.stderr if "as another user" in done.stderr else "")
