"""Paths that try to leave the folder of the page's files, or that two readers read differently."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx2
import pytest
from node import API, Node, Person
from starlette.routing import Mount, Router
from wire import Wire

from tidings.server.page import _Assets

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


@pytest.mark.parametrize("path", OUTSIDE, ids=[ascii(path)[:40] for path in OUTSIDE])
def test_no_path_leaves_the_folder_of_the_page(node: Node, path: str) -> None:
    """404 as for any address that is none, byte for byte as it was written. PROTOCOL 3.0.1"""
    with Wire(node.address) as wire:
        wire.writes(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()).ends()
    assert wire.statuses in ([404], [400])
    for leak in (b"import", b"root:", b"Traceback", b"/src/", b"<!doctype", b"SQLite"):
        assert leak not in wire.received


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
