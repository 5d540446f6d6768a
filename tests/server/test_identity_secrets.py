"""Secrets are in no log, no answer and no sentence: tokens, secrets, and what stands in addresses."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import plain_http
from lab.host import Host
from lab.key_server import JWKS_PATH, KeyServer
from lab.node import SECRET, Node, Person
from lab.process import wait_for
from tidings import Config
from tidings.errors import ConfigurationError
from tidings.protocol.shown_url import shown_url
from tidings.server.identity.access_log import ACCESS_LOGS, hide_tokens_in_access_log
from tidings.server.store.open import open_store

PRIVATE = ("p4ssw0rd", "k3y", "operator")


def secretive(provider: KeyServer) -> str:
    """The address of a key server with a user, a password and a key in it."""
    return f"http://operator:p4ssw0rd@127.0.0.1:{provider.port}{JWKS_PATH}?apikey=k3y"


def tells_nothing(text: str) -> None:
    for private in PRIVATE:
        assert private not in text, text


# shows: security/passwords
@pytest.mark.parametrize("level", ["info", "debug"])
def test_a_key_server_is_shown_without_what_opens_it(start_node: Callable[..., Node], level: str) -> None:
    """In the log, also of the HTTP client, and in readyz, which anybody may read; which server it is, is said."""
    with KeyServer() as provider:
        provider.add("k1")
        settings = {"secret": "", "jwks_url": secretive(provider), "issuer": provider.issuer, "audience": "chat"}
        node = start_node(log_level=level, **settings)
        assert 200 == Person(node, "ada", provider.token("k1", aud="chat", sub="ada")).gets("/inbox/me").status_code
        provider.status = 500
        Person(node, "ada", provider.token("k2", aud="chat", sub="ada")).gets("/inbox/me")
        told = plain_http.get(f"{node.url}/readyz").text
        assert f"127.0.0.1:{provider.port}" in told
        assert "it answered 500" in told
        wait_for(lambda: "keys not fetched" in node.stderr)
        tells_nothing(told + node.output)


@pytest.mark.parametrize("is_embedded", [False, True])
def test_the_words_of_a_key_server_are_in_no_log_of_a_library(
    start_node: Callable[..., Node], tmp_path: Path, is_embedded: bool
) -> None:
    """Where it sends on to, its cookies, and what was asked: neither at level debug, nor in a host's own log."""
    with KeyServer() as provider:
        provider.add("k1")
        provider.fields = {"Location": f"{secretive(provider)}&again=1", "Set-Cookie": "session=p4ssw0rd"}
        settings: dict[str, object] = {
            "secret": SECRET,
            "jwks_url": secretive(provider),
            "issuer": provider.issuer,
            "audience": "chat",
        }
        if is_embedded:
            provider.status = 302
            settings |= {"db": f"sqlite:///{tmp_path}/host.db", "audience": ["chat"]}
            done = subprocess.run(
                [sys.executable, "-c", EMBEDS, json.dumps(settings)],
                capture_output=True, text=True, timeout=60, check=True,
            )  # fmt: skip
            said = done.stderr
            assert "the host's own line" in said
        else:
            node = start_node(log_level="debug", **settings)
            provider.status = 302
            Person(node, "ada", provider.token("k2", aud="chat", sub="ada")).gets("/inbox/me")
            wait_for(lambda: "keys not fetched" in node.stderr)
            said = node.output
    assert "it sends on to" in said
    tells_nothing(said)


EMBEDS = """
import asyncio, json, logging, sys

logging.basicConfig(level=logging.DEBUG)
from tidings import Config, Tidings

async def main():
    tidings = Tidings(Config(**json.loads(sys.argv[1])))
    told = asyncio.Event()
    ours = logging.Handler()
    ours.emit = lambda record: told.set() if record.getMessage().startswith("keys not fetched") else None
    logging.getLogger("tidings.keys").addHandler(ours)
    async with tidings.lifespan(), asyncio.timeout(30):
        await told.wait()
    logging.getLogger("httpcore2.http11").debug("the host's own line")

asyncio.run(main())
"""


# shows: security/passwords
@pytest.mark.parametrize(
    "settings",
    [
        {"TIDINGS_JWKS_URL": "http://operator:p4ssw0rd@127.0.0.1:9/jwks?apikey=k3y", "TIDINGS_AUDIENCE": "chat"},
        {"TIDINGS_JWKS_URL": "ldap://operator:p4ss/w0rd@p4ssw0rd@127.0.0.1/jwks?apikey=k3y", "TIDINGS_AUDIENCE": "x"},
        {"TIDINGS_ISSUER": "http://operator:p4ssw0rd@127.0.0.1:9?apikey=k3y", "TIDINGS_AUDIENCE": "chat"},
        {"TIDINGS_ISSUER": "operator:p4ssw0rd@127.0.0.1", "TIDINGS_AUDIENCE": "chat"},
        {"TIDINGS_SECRET": SECRET, "TIDINGS_DB": "postgresql://operator:p4ssw0rd@127.0.0.1:port/chat?sslkey=k3y"},
    ],
    ids=["keys that cannot be had", "another scheme", "an issuer", "an issuer without a scheme", "a database"],
)
def test_a_sentence_at_the_start_shows_no_password(settings: dict[str, str], tmp_path: Path) -> None:
    """It names the setting."""
    done = subprocess.run(
        [Path(sys.executable).with_name("tidings"), "serve", "--port", "0"],
        env={"TIDINGS_DB": f"sqlite:///{tmp_path}/t.db", "PATH": "/usr/bin:/bin", **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert any(name in done.stderr for name in settings), done.stderr
    tells_nothing(done.stdout + done.stderr)


def test_the_settings_show_no_secret() -> None:
    """As they are printed, in a traceback with locals for instance."""
    config = Config(
        db="mysql://operator:p4ssw0rd@db.example.org/chat",
        secret="k3y" * 20,
        former_secrets=("p4ssw0rd" * 5,),
        jwks_url="https://operator:p4ssw0rd@keys.example.org",
    )
    tells_nothing(repr(config))
    with pytest.raises(ConfigurationError) as refusal:
        open_store(config.db, lambda _events: None)
    tells_nothing(str(refusal.value))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://keys.example.org:8443/a/b", "https://keys.example.org:8443/a/b"),
        ("https://u:p@keys.example.org/a?key=k#f", "https://keys.example.org/a"),
        ("https://u@h", "https://h"),
        ("postgresql://u:p@ss@w/ord@db.example.org:5432/chat?x=y", "postgresql://db.example.org:5432/chat"),
        ("https://h#token=x", "https://h"),
        ("bad: 'socks5://u:p@h', then https://h?k", "bad: 'socks5://h', then https://h"),
        ("operator:secret@host", "host"),
        ("sqlite:///tidings.db", "sqlite:///tidings.db"),
        ("no address at all: 1 @ 2", "no address at all: 1 @ 2"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_user_password_query_and_fragment(url: str, shown: str) -> None:
    """Also several in a sentence, and such as cannot be parsed."""
    assert shown == shown_url(url)


@contextmanager
def access_log(name: str) -> Iterator[list[str]]:
    """The access log of a server."""
    printed: list[str] = []

    class Printer(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            printed.append(record.getMessage())

    logger, printer = logging.getLogger(name), Printer()
    level = logger.level
    logger.addHandler(printer)
    logger.setLevel(logging.INFO)
    yield printed
    logger.removeHandler(printer)
    logger.setLevel(level)


class Atoms(dict[str, str]):
    """Fields of a line as hypercorn and gunicorn have them: looked up when the line is made."""

    def __getitem__(self, name: str) -> str:
        return self.get(name, "-")


@pytest.mark.parametrize("name", ACCESS_LOGS)
def test_the_access_log_of_a_host_s_server_shows_no_token(name: str) -> None:
    """Whichever of the two ways it has to hand over the fields."""
    hide_tokens_in_access_log()
    hide_tokens_in_access_log()
    address = "/api/message/sse/me?cursor=7&token=eyJ.a.b&tab=1&access_token=eyJ.c.d"
    shown = "/api/message/sse/me?cursor=7&token=hidden&tab=1&access_token=hidden"
    logger = logging.getLogger(name)
    with access_log(name) as printed:
        logger.info('%s - "%s %s HTTP/%s" %d', "127.0.0.1:4711", "GET", address, "1.1", 401)
        logger.info('%(h)s "%(R)s" %(s)s %({x}i)s', Atoms(h="127.0.0.1", R=f"GET {address} 1.1", s="401"))
        logger.info(f"GET {address}")
        logger.info("no address: %s", 7)
    assert [
        f'127.0.0.1:4711 - "GET {shown} HTTP/1.1" 401',
        f'127.0.0.1 "GET {shown} 1.1" 401 -',
        f"GET {shown}",
        "no address: 7",
    ] == printed


# shows: security/access-log
@pytest.mark.parametrize("application", ["mounted", "fast"])
def test_embedded_no_token_of_an_address_is_in_the_access_log(
    start_host: Callable[..., Host], application: str
) -> None:
    """Where it is not configured, too: that it is refused does not make it a bad one. PROTOCOL 2.1.5"""
    host = start_host(application)
    plain_http.get(f"{host.url}/api/message/sse/me?token=a-good-token")
    wait_for(lambda: "token=hidden" in host.output)
    assert "a-good-token" not in host.output
