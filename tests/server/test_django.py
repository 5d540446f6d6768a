"""Tidings in a Django project, under ASGI and under WSGI: Django's own sessions and users tell who asks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.host import HOSTS, Host
from lab.node import API, Person, refused


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
    body = {"recipientId": "x", "text": "hi"}
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        refused(ada.posts("/send", body, headers), 403, "cross_site")
    for headers in ({"Origin": project.url}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": "https://app.example.org"}):
        assert 201 == ada.posts("/send", body, headers).status_code
    asks = {"Origin": "https://app.example.org", "Access-Control-Request-Method": "POST"}
    assert 204 == project.http.request("OPTIONS", f"{project.url}{API}/send", headers=asks).status_code


def test_an_id_that_reads_like_another_s_key_has_not_its_name(project: Project) -> None:
    """``01`` and ``+1`` are users of their own, whom nobody is."""
    ada, ben = project.member("ada"), project.member("ben")
    for alias in (f"0{ada.id}", f"+{ada.id}"):
        ben.sends(alias, "is it you?")
        assert alias == ben.history(alias)["user"]["name"]
    ben.sends(ada, "it is")
    assert "Ada Example" == ben.history(ada)["user"]["name"]


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


@pytest.fixture(scope="module")
def asgi_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with Project(tmp_path_factory.mktemp("django"), "asgi") as project:
        yield project


def test_streams_under_asgi_hold_no_connection_of_django_s(asgi_project: Project) -> None:
    """Live, with the heartbeat, and resumed; five of them open, and no connection to Django's database is."""
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
    problem = refused(ben.gets("/sse/me"), 503, "too_many_streams")
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
        refused(ben.gets("/sse/me"), 503, "too_many_streams")
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
