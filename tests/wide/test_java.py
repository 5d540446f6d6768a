"""Java's own HTTP client with its default settings: it asks for an upgrade to HTTP/2, also on a POST with a body."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.front import Front
from lab.node import API, Node
from lab.process import START_DEADLINE_S, wait_for
from tests.wide.servers import Served

SOURCE = Path(__file__).with_name("Person.java")


class JavaPerson:
    """A user of a node in a Java virtual machine; ``lines`` is what it has said."""

    def __init__(self, classes: Path, url: str, token: str, recipient: str, *options: str) -> None:
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            ["java", *options, "-cp", str(classes), "Person", url + API, token, recipient],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def sends(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()

    def says(self, word: str) -> str:
        """The first line that has this word, once there is one."""
        return wait_for(lambda: next((each for each in self.lines if word in each), ""), START_DEADLINE_S, word)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reading.join(10)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classes")
    subprocess.run(["javac", "-d", str(folder), str(SOURCE)], check=True, timeout=100)
    return folder


@pytest.fixture
def start(classes: Path) -> Iterator[Callable[..., JavaPerson]]:
    people: list[JavaPerson] = []

    def begin(url: str, token: str, recipient: str, *options: str) -> JavaPerson:
        people.append(JavaPerson(classes, url, token, recipient, *options))
        return people[-1]

    yield begin
    for each in people:
        each.close()


def test_java_s_client_sends_and_reads_with_its_default_settings(
    start: Callable[..., JavaPerson], tmp_path: Path
) -> None:
    """A request for HTTP/2 by ``Upgrade: h2c`` is passed over, and the body is read: messages go out, and come in."""
    with Node(tmp_path) as node:
        ada = start(node.url, node.token("ada"), "ben")
        ada.says('"caught_up"')
        ada.sends("hi from Java")
        assert "sent 201 HTTP_1_1" == ada.says("sent ")
        assert "hi from Java" in ada.says('"new_message"')
        assert ["hi from Java"] == [each["text"] for each in node.person("ben").history("ada")["messages"]]
        node.signal_stop()
        assert '"draining"' in ada.says('"goodbye"')
        assert "ended" == ada.says("ended")
        node.wait_exit()


def test_java_s_client_speaks_http_2_behind_a_proxy(start: Callable[..., JavaPerson], tmp_path: Path) -> None:
    """With TLS the protocol is agreed on before the first request."""
    (tmp_path / "front").mkdir()
    with Node(tmp_path / "node") as node, Front("nginx", node, tmp_path / "front") as front:
        store, public = tmp_path / "trusted.p12", tmp_path / "public.pem"
        _key, begin, certificate = front.certificate.read_text().partition("-----BEGIN CERTIFICATE-----")
        public.write_text(begin + certificate)
        keytool = ["keytool", "-importcert", "-noprompt", "-alias", "front", "-file", str(public)]
        subprocess.run([*keytool, "-keystore", str(store), "-storepass", "changeit"], check=True, capture_output=True)
        trusts = f"-Djavax.net.ssl.trustStore={store}"
        ada = start(front.url, node.token("ada"), "ben", trusts, "-Djavax.net.ssl.trustStorePassword=changeit")
        ada.says('"caught_up"')
        ada.sends("hi over HTTP/2")
        assert "sent 201 HTTP_2" == ada.says("sent ")
        assert "hi over HTTP/2" in ada.says('"new_message"')


@pytest.mark.parametrize("server", ["hypercorn", "granian", "gunicorn-asgi", "uvicorn --http h11"])
def test_java_s_client_sends_and_reads_where_an_application_embeds_tidings(
    start: Callable[..., JavaPerson], tmp_path: Path, server: str
) -> None:
    """One of these servers takes the upgrade, the others pass it over; uvicorn's other parser loses the body, and
    docs/embed/application.md says so.
    """
    name, *options = server.split()
    host = Served(name, tmp_path, "hosts:mounted", *options)
    host.start()
    try:
        ada = start(host.url, "ada", "ben")
        ada.says('"caught_up"')
        ada.sends("hi from Java")
        assert ada.says("sent ").startswith("sent 201 ")
        assert "hi from Java" in ada.says('"new_message"')
    finally:
        host.kill()
