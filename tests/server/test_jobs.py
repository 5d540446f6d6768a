"""The ways of docs/embed/jobs.md, as they stand there: other processes send with a service key, and double nothing."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.host import Host
from lab.node import Keyed, Node, Person, refused
from lab.process import wait_for
from tidings.client import AsyncClient, Client
from tidings.errors import ServerProblem

PAGE = (Path(__file__).parents[2] / "docs" / "embed" / "jobs.md").read_text(encoding="utf-8")
PROGRAM = str(Path(sys.executable).with_name("tidings"))


def snippet(heading: str) -> str:
    """The first snippet of Python below a heading of the page."""
    return PAGE.split(f"\n## {heading}\n", 1)[1].split("```py", 1)[1].split("\n", 1)[1].split("```", 1)[0]


def runs(
    command: list[str], folder: Path, variables: dict[str, str], *, code: int = 0
) -> subprocess.CompletedProcess[str]:
    """A command that ends with this code, in a folder, with these variables and no other of ours."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TIDINGS_")}
    done = subprocess.run(
        command, cwd=folder, env=inherited | variables, capture_output=True, text=True, timeout=60, check=False
    )
    assert code == done.returncode, done.stderr
    return done


@pytest.fixture(scope="module")
def shop(node: Node) -> dict[str, str]:
    """The variables of a program of the shop's."""
    return {"TIDINGS_URL": node.url, "TIDINGS_KEY": node.makes_key("the-shop", "--as", "shop", "--system")}


def test_a_management_command_of_django_sends(shop: dict[str, str], alice: Person, tmp_path: Path) -> None:
    """In a process of its own; run again it doubles nothing."""
    commands = tmp_path / "shop" / "management" / "commands"
    commands.mkdir(parents=True)
    for folder in (commands, commands.parent, commands.parent.parent):
        (folder / "__init__.py").touch()
    (commands / "remind.py").write_text(snippet("A management command of Django"))
    (tmp_path / "settings.py").write_text('INSTALLED_APPS = ["shop"]\nSECRET_KEY = "of a test"\n')
    command = [sys.executable, "-m", "django", "remind", alice.id, "--settings", "settings", "--pythonpath", "."]
    first, second = (runs(command, tmp_path, shop) for _ in range(2))
    (message,) = alice.history("shop")["messages"]
    assert "Your basket is waiting." == message["text"]
    assert f"{message['_id']}\n" == first.stdout == second.stdout


def test_a_second_application_sends(
    shop: dict[str, str], node: Node, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a key for anybody, in the name of one."""
    monkeypatch.setenv("TIDINGS_URL", shop["TIDINGS_URL"])
    monkeypatch.setenv("TIDINGS_KEY", node.makes_key("second-application", "--as", "any"))
    defined: dict[str, Any] = {}
    exec(snippet("A second application"), defined)
    asyncio.run(defined["welcome"](alice.id))
    asyncio.run(defined["welcome"](alice.id))
    assert ["Welcome!"] == [message["text"] for message in alice.history("shop")["messages"]]


def test_cron_sends_with_a_key_in_a_file(shop: dict[str, str], node: Node, alice: Person, tmp_path: Path) -> None:
    """As the application itself; the key stands on no command line and in no sentence."""
    (tmp_path / "shop.key").write_text(shop["TIDINGS_KEY"] + "\n")
    sends = [PROGRAM, "send", "--type", "system", "--id", "morning", alice.id, "Good morning"]
    url = {"TIDINGS_URL": node.url}
    by_file, by_variable = runs([*sends, "--key-file", "shop.key"], tmp_path, url), runs(sends, tmp_path, shop)
    (message,) = alice.history("shop")["messages"]
    assert ("system", f"{message['_id']}\n") == (message["message_type"], by_file.stdout)
    assert by_file.stdout == by_variable.stdout
    not_its = runs([*sends, "--as", "somebody"], tmp_path, shop, code=1)
    assert "This key stands for another user" in not_its.stderr
    assert shop["TIDINGS_KEY"] not in not_its.stderr


@pytest.mark.parametrize(
    ("options", "variables", "sentence"),
    [
        ([], {"TIDINGS_KEY": "tsk_not-one"}, "that is no service key"),
        ([], {"TIDINGS_KEY": "{key}", "TIDINGS_TOKEN": "x"}, "unset one of them"),
        ([], {"TIDINGS_KEY": "{key}", "TIDINGS_USER": "a/b"}, "no slash"),
        (["--as", "shop"], {"TIDINGS_TOKEN": "x"}, "--as goes with a service key"),
        (["--key-file", "away.key"], {}, "--key-file away.key cannot be read: No such file"),
        (["--key-file", "."], {}, "--key-file . cannot be read: Is a directory"),
        (["--key-file", "empty.key"], {}, "--key-file empty.key is empty"),
    ],
)
def test_a_key_that_cannot_be_is_a_sentence(
    shop: dict[str, str], tmp_path: Path, options: list[str], variables: dict[str, str], sentence: str
) -> None:
    """Exit 2, before anything is asked; it is not repeated."""
    (tmp_path / "empty.key").touch()
    given = {name: value.format(key=shop["TIDINGS_KEY"]) for name, value in variables.items()}
    done = runs(
        [PROGRAM, "send", "ada", "x", *options], tmp_path, {**given, "TIDINGS_URL": shop["TIDINGS_URL"]}, code=2
    )
    assert ("", 1) == (done.stdout, done.stderr.count("\n"))
    assert sentence in done.stderr
    assert "not-one" not in done.stderr
    assert shop["TIDINGS_KEY"] not in done.stderr


def test_a_client_with_a_key_reads_and_follows_as_its_user(node: Node, alice: Person) -> None:
    """Sync and async, with a name that a header cannot carry as it is; a key that is gone ends it."""
    bot = f"b\u00f6t of {alice.id}"
    key = node.makes_key("a-bot", "--as", "any")

    async def answers() -> list[str]:
        async with AsyncClient(node.url, key=key, user=bot) as client, client.events() as feed:
            waiting = asyncio.ensure_future(anext(feed))
            await asyncio.to_thread(wait_for, lambda: feed.user_id == bot)
            await asyncio.to_thread(alice.sends, bot, "hello?")
            event = await waiting
            assert event.message is not None
            await client.send(event.message.sender_id, "Hello!")
            return [each.last_message.text for each in (await client.inbox()).conversations if each.last_message]

    assert ["Hello!"] == asyncio.run(answers())
    with Client(node.url, key=key, user=bot) as client:
        assert ["hello?", "Hello!"] == [message.text for message in client.history(alice.id).messages]
        node.operates("key", "revoke", "a-bot")
        wait_for(lambda: Keyed(node, key, bot).gets("/inbox/me").status_code == 401)
        with pytest.raises(ServerProblem, match="401 unauthorized"):
            client.inbox()


@pytest.mark.parametrize(
    "given",
    [
        {}, {"token": "x", "key": "{key}"}, {"token": "x", "user": "shop"}, {"user": "shop"}, {"key": "tsk_x"},
        {"key": "{key}", "user": "a/b"}, {"key": ""},
    ],
)  # fmt: skip
def test_a_client_has_a_token_or_a_key(shop: dict[str, str], given: dict[str, str]) -> None:
    """One of them, and a name only with a key; the key is in no error."""
    whole: dict[str, Any] = {name: value.format(key=shop["TIDINGS_KEY"]) for name, value in given.items()}
    for kind in (Client, AsyncClient):
        with pytest.raises(ValueError, match=r"key|user id") as refusal:
            kind("http://127.0.0.1:9", **whole)
        assert shop["TIDINGS_KEY"] not in str(refusal.value)


@pytest.mark.parametrize("app", ["mounted", "fastapi_hosts:locked"])
def test_a_key_comes_beside_the_sign_in_of_an_application(start_host: Callable[..., Host], app: str) -> None:
    """Neither its function nor its dependencies are asked, but who may write to whom is: the application itself is not
    asked. One that is no key is the application's to refuse. PROTOCOL 2.7.1, 2.7.5, 9.0.24, 9.0.18"""
    host = start_host(app)
    person, headers = Person(host, "ben", "ben"), {"x-key": "open"}
    person.gets("/inbox/me", headers)  # the first request makes the database
    shop = Keyed(host, host.makes_key("shop", "--system"))
    assert "shop" == shop.sends("ben", "Your parcel has left.")["sender_id"]
    assert 1 == len(person.gets("/shop", headers).json()["messages"])
    with shop.opens_stream().live() as stream:
        assert 201 == person.posts("/send", {"recipientId": "shop", "text": "Thank you!"}, headers).status_code
        assert "Thank you!" == stream.until("new_message").data["text"]
        if app == "mounted":
            refused(shop.posts("/send", {"recipientId": "hermit", "text": "hello?"}), 403, "not_allowed")
        assert "system" == shop.sends("hermit", "hello?", message_type="system")["message_type"]
        refused(shop.gets("/inbox/ben"), 403, "not_yours")
        host.operates("key", "revoke", "shop")
        assert "token_expired" == stream.until("goodbye").data["reason"]
    refused(shop.gets("/inbox/me"), 401, "unauthorized")
    assert 200 == person.gets("/inbox/me", headers).status_code
