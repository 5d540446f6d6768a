"""Tidings in a Django project, under ASGI and under WSGI: Django's own sessions and users tell who asks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.host import HOSTS, Host
from lab.node import API, Keyed, Person, Stream, refused
from lab.process import wait_for


class Project(Host):
    """The Django project under uvicorn, in a process that speaks WSGI, or under Django's own ``runserver``."""

    def __init__(self, directory: Path, interface: str) -> None:
        super().__init__(directory, "django_host:application")
        self.interface = interface

    def command(self) -> list[str]:
        if self.interface == "asgi":
            return super().command()
        command = [] if self.interface == "wsgi" else ["runserver"]
        return [sys.executable, str(HOSTS / "django_host.py"), *command, str(self.port)]

    def member(self, name: str) -> Member:
        """Somebody who has signed in in their browser."""
        answer = self.http.get(f"{self.url}/sign-in/{name}")
        assert answer.status_code == 200, answer.text
        self.http.cookies.clear()
        return Member(self, answer.text, answer.cookies["sessionid"])


class Member(Person):
    """A user of the project, known by the cookie of a session."""

    @property
    def headers(self) -> dict[str, str]:
        return {"Cookie": f"sessionid={self.token}"}


@pytest.fixture(scope="module", params=["asgi", "wsgi"])
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = Project(tmp_path_factory.mktemp("django"), request.param)
    project.start()
    yield project
    if request.param == "asgi":
        project.stop()
    else:
        project.kill()


def test_members_write_to_each_other(project: Project) -> None:
    """Sends, history, inbox, receipts and the log as pages; names come from the user model, ids are its keys."""
    ada, ben = project.member("ada"), project.member("ben")
    start = ben.head()
    message = ada.sends(ben, "hi", client_id="k1")
    assert (ada.id, ben.id) == (message["sender_id"], message["recipient_id"])
    assert message["_id"] == ada.sends(ben, "hi", client_id="k1")["_id"]
    assert ["hi"] == [each["text"] for each in ben.history(ada)["messages"]]
    assert ["Ada Example"] == [each["user"]["name"] for each in ben.inbox()["conversations"]]
    assert 1 == ben.receipts(ada, read_upto=1)["read_upto"]
    assert ["new_message", "message_read"] == [each["type"] for each in ben.events(start, wait=0)["events"]]
    assert "50% & more" == ada.history("50% & more")["user"]["name"]


def test_members_find_each_other_by_the_search_of_the_document(project: Project) -> None:
    """A function that uses the ORM and is not async, under both; the one who searches is not found.
    PROTOCOL 21.0.2"""
    ada, ben, zoe = (project.member(name) for name in ("ada", "ben", "zoe"))
    found = [{"id": zoe.id, "name": "Zoe Example", "avatar_url": None, "about": None}]
    assert found == ada.gets("/people", q="exam zo").json()["people"]
    names = {person["name"] for person in ada.gets("/people", q="example").json()["people"]}
    assert {"Ben Example", "Zoe Example"} <= names
    assert "Ada Example" not in names
    assert [] == ben.gets("/people", q="%").json()["people"]
    refused(Person(project, "nobody", None).gets("/people", q="zoe"), 401, "unauthorized")


def test_a_program_comes_by_a_service_key_beside_the_sessions(project: Project) -> None:
    """Without a session, under both; the project's middleware sees the request all the same. PROTOCOL 2.7.1, 2.7.3"""
    ada = project.member("ada")
    ada.inbox()
    shop = Keyed(project, project.makes_key("shop", "--as", "any", "--system"), "the sh\u00f6p")
    assert "the sh\u00f6p" == shop.sends(ada, "Your parcel has left.", message_type="system")["sender_id"]
    assert ["Your parcel has left."] == [each["text"] for each in ada.history("the sh\u00f6p")["messages"]]
    assert [ada.id] == [each["user"]["id"] for each in shop.inbox()["conversations"]]
    refused(Keyed(project, str(shop.token)).gets("/inbox/me"), 422, "bad_user_id")
    refused(shop.gets("/inbox/me", {"Origin": project.url}), 403, "cross_site")
    assert 400 == shop.gets("/inbox/me", {"Host": "elsewhere.example"}).status_code
    project.operates("key", "revoke", "shop")
    wait_for(lambda: shop.gets("/inbox/me").status_code == 401)


def test_nobody_is_refused_in_our_words(project: Project) -> None:
    """Without a session, with a dead one, and after signing out; not by a redirect to a page."""
    refused(Person(project, "nobody", None).gets("/inbox/me"), 401, "unauthorized")
    refused(Member(project, "nobody", "dead").gets("/inbox/me"), 401, "unauthorized")
    zoe = project.member("zoe")
    zoe.inbox()
    project.http.post(f"{project.url}/sign-out", headers=zoe.headers)
    refused(zoe.gets("/inbox/me"), 401, "unauthorized")
    refused(project.member("ada").gets(f"/inbox/{zoe.id}"), 403, "not_yours")


def test_a_page_of_another_site_cannot_use_the_session(project: Project) -> None:
    """In place of a CSRF token, which our clients do not know; a listed origin may."""
    ada = project.member("ada")
    body = {"recipientId": project.member("ben").id, "text": "hi"}
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        refused(ada.posts("/send", body, headers), 403, "cross_site")
    for headers in ({"Origin": project.url}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": "https://app.example.org"}):
        assert 201 == ada.posts("/send", body, headers).status_code
    asks = {"Origin": "https://app.example.org", "Access-Control-Request-Method": "POST"}
    assert 204 == project.http.request("OPTIONS", f"{project.url}{API}/send", headers=asks).status_code


def test_what_no_user_is_signed_in_as_is_nobody(project: Project) -> None:
    """``01`` and ``+1`` are read as 1, half a UUID is no key: a message would be lost. PROTOCOL 9.0.20"""
    ada, ben = project.member("ada"), project.member("ben")
    for alias in (f"0{ada.id}", f"+{ada.id}", "6f1c2a9e-1b7d", "shop"):
        refused(ben.posts("/send", {"recipientId": alias, "text": "is it you?"}), 404, "unknown_person")
    ben.sends(ada, "it is")
    assert "Ada Example" == ben.history(ada)["user"]["name"]


def test_a_first_message_to_a_primary_key_of_nobody_is_refused(project: Project) -> None:
    """A mistyped id is nobody. Senders of the project's own take nobody's name away, be they numbers beyond all those
    of the database, and are answered. PROTOCOL 9.0.20, 4.3.1"""
    ada, ben, beyond = project.member("ada"), project.member("ben"), "9" * 25
    for mistyped in ("987654", beyond):
        refused(ada.posts("/send", {"recipientId": mistyped, "text": "hi"}), 404, "unknown_person")
    key = project.makes_key("desk", "--as", "any")
    for sender in ("shop", beyond):
        Keyed(project, key, sender).sends(ada, "Your parcel has left.")
    for recipient in ("shop", beyond, ben.id):
        ada.sends(recipient, "hi")
    names = {each["user"]["id"]: each["user"]["name"] for each in ada.inbox()["conversations"]}
    assert {"shop": "shop", beyond: beyond, ben.id: "Ben Example"}.items() <= names.items()


def test_a_refusal_of_django_s_middleware_is_answered_as_it_answers(project: Project) -> None:
    """A host name that is not allowed, for instance."""
    answer = project.member("ada").gets("/inbox/me", {"Host": "elsewhere.example"})
    assert (400, True) == (answer.status_code, "text/html" in answer.headers["content-type"])


def test_the_project_s_own_code_sends(project: Project) -> None:
    """From sync and from async views, the first message of the process included."""
    buyer = project.member("buyer")
    first = project.http.get(f"{project.url}/order/{buyer.id}").json()["_id"]
    assert first == buyer.history("shop")["messages"][-1]["_id"]
    if project.interface == "asgi":
        refusal = project.http.get(f"{project.url}/order-in-a-hurry/{buyer.id}")
        assert "await messages.send" in refusal.text
        second = project.http.get(f"{project.url}/order-later/{buyer.id}").json()["_id"]
        assert second == buyer.history("shop")["messages"][-1]["_id"]


def test_the_project_s_own_code_asks(project: Project) -> None:
    """Each call, from sync views, and under ASGI from async ones too: a badge, pages, a copy, an erasure."""

    def asks(name: str, **arguments: object) -> Any:
        answer = project.http.post(f"{project.url}/{way}/{name}", json=arguments)
        assert 200 == answer.status_code, answer.text
        return answer.json() if answer.content else None

    for way in ("calls", "calls-later") if project.interface == "asgi" else ("calls",):
        ada, ben = project.member(f"ada-{way}"), project.member(f"ben-{way}")
        ada.sends(ben, "one")
        assert "two" == asks("send", sender=ada.id, recipient=ben.id, text="two")["text"]
        assert (2, 0) == (asks("unread", user=ben.id), asks("unread", user=ada.id))
        assert ben.inbox() == asks("inbox", user=ben.id)
        assert ben.history(ada) == asks("history", user=ben.id, peer=ada.id)
        asks("block", user=ben.id, peer=ada.id)
        assert (0, True) == (asks("unread", user=ben.id), ben.history(ada)["blocked"])
        asks("unblock", user=ben.id, peer=ada.id)
        assert ["user", "conversation", "message", "message"] == [each["type"] for each in asks("export", user=ben.id)]
        assert "ok" == asks("health")["status"]
        assert 0 == asks("revoke", user=ben.id)
        was_known, emptied, _events, left = asks("erase", user=ada.id)
        assert (True, 2, None) == (was_known, emptied, left)
        assert [] == asks("export", user=ada.id)


def test_the_templates_of_the_project_show_a_badge(project: Project) -> None:
    """By the variable and by the tag of the document; one page asks once, and nobody sees nothing."""

    def shown(page: str, reader: Member | None, **query: str) -> str:
        answer = project.http.get(
            f"{project.url}/{page}", headers=reader.headers if reader else {}, params=query, follow_redirects=False
        )
        assert 200 == answer.status_code, answer.text
        return answer.text.strip()

    ada, ben = project.member("ada-badge"), project.member("ben-badge")
    no_badge = '<a href="/messages/">Messages </a>'
    assert ("", no_badge) == (shown("badge/variable", ben), shown("badge/tag", ben))
    ada.sends(ben, "<b>one</b>")
    three = '<span class="badge">1</span>\nmeanwhile<a href="/messages/">Messages 1</a>\n<span class="badge">1</span>'
    assert three == shown("badge/all", ben, is_sent_to=ben.id)
    assert '<span class="badge">2</span>' == shown("badge/variable", ben)
    assert '<a href="/messages/">Messages 2</a>' == shown("badge/tag", ben)
    assert ("", no_badge) == (shown("badge/variable", None), shown("badge/tag", None))
    if project.interface == "asgi":
        assert '<span class="badge">2</span>' == shown("badge-later", ben)
        assert "in async code: await messages.badge(...)" == shown("badge-in-a-hurry", ben)


@pytest.fixture(scope="module")
def asgi_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with Project(tmp_path_factory.mktemp("django"), "asgi") as project:
        yield project


def told_of(stream: Stream) -> tuple[str, str]:
    """The user and the new name that the next frame of this kind tells."""
    data = stream.until("profile").data
    return data["chat_user_id"], data["name"]


def test_streams_under_asgi_hold_no_connection_of_django_s(asgi_project: Project) -> None:
    """Live, with the heartbeat, and resumed; five of them open, and no connection to Django's database is. A new name
    in the user model is told on them, by a sync and by an async view. PROTOCOL 7.10.1
    """
    ada, ben = asgi_project.member("ada"), asgi_project.member("ben")
    streams = [ben.opens_stream().live() for _ in range(5)]
    assert {"open": 0} == asgi_project.http.get(f"{asgi_project.url}/connections").json()
    ada.sends(ben, "hi")
    for stream in streams:
        assert "hi" == stream.until("new_message").data["text"]
    cursor = streams[0].frames[-1].id
    assert cursor == streams[0].until("heartbeat").data["cursor"]
    ada.sends(ben, "later")
    assert "later" == ben.opens_stream(last_event_id=cursor).until("new_message").data["text"]
    for way, name in (("calls", "Augusta"), ("calls-later", "Ada")):
        asgi_project.http.get(f"{asgi_project.url}/rename/{ada.id}/{name}")
        asgi_project.http.post(f"{asgi_project.url}/{way}/profile_changed", json={"user": ada.id})
        assert (ada.id, f"{name} Example") == told_of(streams[0])
    assert 401 == Person(asgi_project, "nobody", None).gets("/sse/me").status_code
    assert 404 == asgi_project.http.get(f"{asgi_project.url}/elsewhere").status_code


def test_a_django_server_told_to_stop_does_not_wait_for_streams(tmp_path: Path) -> None:
    """Each hears goodbye, and the process ends."""
    project = Project(tmp_path, "asgi")
    project.start()
    streams = [project.member("ben").opens_stream().live() for _ in range(5)]
    assert project.process is not None
    project.process.send_signal(signal.SIGTERM)
    for stream in streams:
        assert "draining" == stream.until("goodbye").data["reason"]
    project.wait_exit(8)


@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
def test_the_project_may_say_itself_who_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interface: str) -> None:
    """``user=``, after all middleware, which here would send strangers to a page; sync or async."""
    monkeypatch.setenv("HOST_USER", "header")
    project = Project(tmp_path, interface)
    project.start()
    ada, ben = project.person("ada"), project.person("ben")
    ada.sends(ben, "hi")
    assert ["hi"] == [each["text"] for each in ben.history(ada)["messages"]]
    assert "ada" == ben.history(ada)["user"]["name"]
    refused(Person(project, "nobody", None).gets("/inbox/me"), 401, "unauthorized")
    project.kill()


def test_under_wsgi_a_stream_is_refused_and_polling_goes_on(
    tmp_path: Path,
) -> None:
    """503 with Retry-After says so at once; the same log is read by /events, which does not make a worker wait."""
    project = Project(tmp_path, "wsgi")
    project.start()
    ada, ben = project.member("ada"), project.member("ben")
    problem = refused(ben.gets("/sse/me"), 503, "no_streams")
    assert "WSGI" in problem["detail"]
    cursor = ben.head()
    assert [] == ben.events(cursor, wait=25)["events"]
    ada.sends(ben, "hi")
    assert ["hi"] == [each["data"]["text"] for each in ben.events(cursor, wait=25)["events"]]
    assert project.process is not None
    project.process.send_signal(signal.SIGINT)
    project.process.wait(10)
    # The database was left in order, for the next process at once.
    project.process = None
    project.start()
    assert ["hi"] == [each["text"] for each in ben.history(ada)["messages"]]
    project.kill()


def test_the_server_of_development_serves_all_but_streams(tmp_path: Path) -> None:
    """``manage.py runserver``, with its reloader: where ``urls`` is among the project's, clients poll."""
    project = Project(tmp_path, "runserver")
    project.start()
    try:
        ada, ben = project.member("ada"), project.member("ben")
        cursor = ben.head()
        ada.sends(ben, "hi")
        assert ["hi"] == [each["data"]["text"] for each in ben.events(cursor)["events"]]
        refused(ben.gets("/sse/me"), 503, "no_streams")
    finally:
        project.kill()


def test_a_program_that_has_sent_ends_without_a_word(tmp_path: Path) -> None:
    """A command, or a worker under WSGI: no traceback at its end, and the database is left whole, in one file."""
    program = "import django_host; django_host.messages.send_now('shop', '1', 'Your parcel has left.')"
    environment = {**os.environ, "PYTHONPATH": str(HOSTS), "HOST_DB": f"sqlite:///{tmp_path}/host.db"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert (0, "") == (done.returncode, done.stderr)
    assert not (tmp_path / "host.db-wal").exists()
