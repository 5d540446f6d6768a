"""The command line as somebody at a shell meets it: results, one sentence on stderr, exit codes (docs/run/cli.md)."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jwt
import pytest

from lab.node import SECRET, Node, Person
from lab.process import PATIENCE_S, START_DEADLINE_S, wait_for
from tests.server.shell import PROGRAM, Tail, assert_fails, environment, of, tidings
from tidings.cli import main

NOWHERE = "http://127.0.0.1:9"
"""Port 9 (discard) is not served by anybody here."""


# token


def test_a_printed_token_is_one_that_the_server_takes(node: Node) -> None:
    """`tidings token USER` needs only the server's secret."""
    result = tidings("token", "dora the |explorer|", env=environment(TIDINGS_SECRET=SECRET))
    assert (0, "") == (result.returncode, result.stderr)
    dora = Person(node, "dora the |explorer|", result.stdout.strip())
    assert [] == dora.inbox()["conversations"]


def test_a_token_lives_an_hour_or_as_long_as_asked() -> None:
    """`--ttl` in seconds."""
    for options, ttl_s in (((), 3600), (("--ttl", "60"), 60)):
        result = tidings("token", "dora", *options, env=environment(TIDINGS_SECRET=SECRET))
        claims = jwt.decode(result.stdout.strip(), SECRET, ["HS256"])
        assert ("dora", ttl_s) == (claims["sub"], claims["exp"] - claims["iat"])
        assert abs(claims["iat"] - time.time()) < 60


def test_a_printed_token_tells_the_name_and_the_picture_that_others_see(node: Node) -> None:
    """`--name` and `--picture`, for the person with whom one writes."""
    env = environment(TIDINGS_SECRET=SECRET)
    picture = "https://example.org/dora.png"
    result = tidings("token", "named-dora", "--name", "Dora, the explorer", "--picture", picture, env=env)
    assert (0, "") == (result.returncode, result.stderr)
    dora, reader = Person(node, "named-dora", result.stdout.strip()), node.person("reader-of-dora")
    dora.sends(reader.id, "hi")
    (conversation,) = reader.inbox()["conversations"]
    assert {"id": dora.id, "name": "Dora, the explorer", "avatar_url": picture, "online": None} == conversation["user"]


def test_a_name_goes_where_the_settings_look_for_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claims are those of the server; one that says something else is not overwritten."""
    monkeypatch.setenv("TIDINGS_SECRET", SECRET)
    monkeypatch.setenv("TIDINGS_NAME_CLAIM", "nickname")
    assert 0 == main(["token", "dora", "--name", "Dora"])
    claims = jwt.decode(capsys.readouterr().out.strip(), SECRET, ["HS256"])
    assert {"sub": "dora", "nickname": "Dora"} == {name: claims[name] for name in claims.keys() - {"iat", "exp"}}
    for taken in ("sub", "exp"):
        monkeypatch.setenv("TIDINGS_NAME_CLAIM", taken)
        assert 2 == main(["token", "dora", "--name", "Dora"])
        out, said = capsys.readouterr()
        assert ("", True) == (out, f"TIDINGS_NAME_CLAIM is '{taken}'" in said)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--name", "two\nlines"),
        ("--name", " "),
        ("--name", "x" * 129),
        ("--picture", "http://example.org/a.png"),
        ("--picture", "https://example.org/" + "a" * 2048),
    ],
)
def test_what_the_server_would_not_show_of_somebody_is_refused(
    option: str, value: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be ignored without a word, and the id would stand there."""
    monkeypatch.setenv("TIDINGS_SECRET", SECRET)
    assert 2 == main(["token", "dora", option, value])
    out, said = capsys.readouterr()
    assert ("", True) == (out, said.startswith(f"tidings: {option} is nothing that the server shows: it takes "))


@pytest.mark.parametrize("user", ["", "me", ".", "..", "a/b", "a\\b", "a\nb", "x" * 129, "e\u0301"])
def test_a_token_for_what_is_no_user_id_is_not_made(user: str) -> None:
    """The server would refuse it."""
    assert_fails(tidings("token", user, env=environment(TIDINGS_SECRET=SECRET)), 2)


@pytest.mark.parametrize("secret", [None, "", "thirty-one bytes are not enough"])
def test_without_a_good_secret_no_token_is_made(secret: str | None) -> None:
    """It says how to make one."""
    assert_fails(tidings("token", "dora", env=environment(TIDINGS_SECRET=secret)), 2, "TIDINGS_SECRET", "openssl rand")


# send


def test_send_prints_the_id_of_the_committed_message(alice: Person, bob: Person) -> None:
    """Exit 0 means committed: both have it."""
    result = tidings("send", bob.id, "Grüße, 世界\nand a second line", env=of(alice))
    assert (0, "") == (result.returncode, result.stderr)
    for messages in (alice.history(bob)["messages"], bob.history(alice)["messages"]):
        assert [(result.stdout.strip(), "Grüße, 世界\nand a second line")] == [(m["_id"], m["text"]) for m in messages]


def test_send_takes_the_api_s_whole_address(alice: Person, bob: Person) -> None:
    """TIDINGS_URL is the origin or the address of the API."""
    for ending in ("/", "/api/message", "/api/message/"):
        env = of(alice) | {"TIDINGS_URL": alice.node.url + ending}
        assert 0 == tidings("send", bob.id, "hi", env=env).returncode


def test_the_same_key_sends_once(alice: Person, bob: Person) -> None:
    """`--id KEY` makes a command safe to repeat, and not usable for another message."""
    first = tidings("send", bob.id, "hi", "--id", "parcel-1", env=of(alice))
    again = tidings("send", "--id", "parcel-1", "--", bob.id, "hi", env=of(alice))
    assert (0, first.stdout) == (again.returncode, again.stdout)
    assert 1 == len(bob.history(alice)["messages"])
    assert_fails(tidings("send", bob.id, "other", "--id", "parcel-1", env=of(alice)), 1, "409")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ben", ""), "422"),
        (("ben", "\x1b[31m"), "control characters"),
        (("me", "hi"), "422"),
        (("ben", "hi", "--id", "x" * 65), "client_id"),
        (("ben", "x" * 16_385), "422"),
    ],
)
def test_a_refusal_of_the_server_is_exit_1_with_its_reason(
    alice: Person, arguments: tuple[str, ...], said: str
) -> None:
    """Trying again will not help."""
    assert_fails(tidings("send", *arguments, env=of(alice)), 1, said)


def test_a_dead_token_is_exit_1(alice: Person, bob: Person) -> None:
    """It is tried once: nobody can renew it."""
    env = of(alice) | {"TIDINGS_TOKEN": alice.node.token(alice.id, ttl_s=-3600)}
    assert_fails(tidings("send", bob.id, "hi", env=env, timeout_s=10), 1, "401", "expired")
    assert_fails(tidings("tail", env=env, timeout_s=10), 1, "401", "expired")


def test_no_server_is_exit_3_and_says_how_to_repeat() -> None:
    """Not known to be committed; the key makes repeating safe."""
    env = environment(TIDINGS_URL=NOWHERE, TIDINGS_TOKEN="x")
    assert_fails(tidings("send", "ben", "hi", "--deadline", "1", env=env), 3, "cannot be reached", "--id ")
    assert_fails(tidings("send", "ben", "hi", "--id", "k7", "--deadline", "1", env=env), 3, "--id k7")


def test_a_message_sent_while_the_server_is_away_arrives_once(tmp_path: Path) -> None:
    """`send` tries until the server is back, under one client_id (I1)."""
    with Node(tmp_path) as node:
        alice, bob = node.person("alice"), node.person("bob")
        node.kill()
        process = subprocess.Popen([PROGRAM, "send", "bob", "hi"], env=of(alice), stdout=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.5)
        node.restart()
        printed, _ = process.communicate(timeout=30)
        assert 0 == process.returncode
        assert [printed.decode().strip()] == [message["_id"] for message in bob.history(alice)["messages"]]


def test_ctrl_c_while_sending_says_how_to_repeat() -> None:
    """Exit 130, no traceback. It sends as soon as it has connected; it is never answered."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(START_DEADLINE_S)
        env = environment(TIDINGS_URL=f"http://127.0.0.1:{silent.getsockname()[1]}", TIDINGS_TOKEN="x")
        process = subprocess.Popen([PROGRAM, "send", "ben", "hi"], env=env, stderr=subprocess.PIPE)
        with silent.accept()[0] as connection:
            assert connection.recv(1)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=PATIENCE_S)
    assert 130 == process.returncode
    assert 1 == len(said.splitlines())
    assert b"--id " in said


# tail


def test_tail_prints_a_line_for_each_message(alice: Person, bob: Person, tails: Callable[..., Tail]) -> None:
    """Time, sender, recipient, text; one's own messages from other devices too."""
    tail = tails(of(bob))
    tail.is_connected()
    alice.sends(bob, "hi")
    bob.sends(alice, "hello: you")
    alice.receipts(bob, read_upto=2)
    alice.sends(bob, "bye")
    tail.has(3)
    lines = [re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", "<time> ", line) for line in tail.lines]
    assert [
        f"<time> {alice.id} → me: hi",
        f"<time> me → {alice.id}: hello: you",
        f"<time> {alice.id} → me: bye",
    ] == lines
    assert [f"connected as {bob.id}"] == tail.notes


# shows: security/terminal
def test_tail_prints_nothing_that_could_steer_a_terminal(
    alice: Person, bob: Person, tails: Callable[..., Tail]
) -> None:
    """One message is one line, whatever is in it; nothing reorders it."""
    tail = tails(of(bob))
    tail.is_connected()
    alice.sends(bob, "a\nb\tc\rd\u0085e\u2028f\u202eg\x7fh\u009b31mi 👩‍💻 שלום")
    tail.has(1)
    assert [r"a\nb\tc\rd\x85e\u2028f\u202eg\x7fh\x9b31mi 👩‍💻 שלום"] == tail.texts


def test_tail_as_json_prints_every_event(alice: Person, bob: Person, tails: Callable[..., Tail]) -> None:
    """The objects of the log, `id` included, in ASCII."""
    tail = tails(of(bob), "--json")
    tail.is_connected()
    sent = alice.sends(bob, "Grüße\u009b")
    bob.receipts(alice, read_upto=1)
    tail.has(2)
    events: list[dict[str, Any]] = [json.loads(line) for line in tail.lines]
    assert ["new_message", "message_read"] == [event["type"] for event in events]
    assert sent["_id"] == events[0]["data"]["_id"]
    assert bob.head() == events[1]["id"]
    assert all(line.isascii() for line in tail.lines)


def test_ctrl_c_prints_the_cursor_and_tail_goes_on_from_there(
    alice: Person, bob: Person, tails: Callable[..., Tail]
) -> None:
    """Messages that came in between are printed once, printed ones are not printed again."""
    first = tails(of(bob))
    first.is_connected()
    alice.sends(bob, "1")
    first.has(1)
    cursor = first.interrupts()
    assert bob.head() == cursor
    for text in ("2", "3"):
        alice.sends(bob, text)
    second = tails(of(bob), "--cursor", cursor)
    second.has(2)
    alice.sends(bob, "4")
    second.has(3)
    assert (["1"], ["2", "3", "4"]) == (first.texts, second.texts)
    assert bob.head() == second.interrupts()


def test_a_tail_that_saw_no_event_knows_its_cursor(alice: Person, bob: Person, tails: Callable[..., Tail]) -> None:
    """The connected frame tells it: a quiet tail can be resumed, too."""
    first = tails(of(bob))
    first.is_connected()
    cursor = first.interrupts()
    alice.sends(bob, "1")
    second = tails(of(bob), "--cursor", cursor)
    second.has(1)
    assert ["1"] == second.texts


def test_tail_says_when_events_are_missing(alice: Person, bob: Person, tails: Callable[..., Tail]) -> None:
    """A cursor that cannot be served is a note, as JSON an event; then it follows from now."""
    plain, as_json = tails(of(bob), "--cursor", "zzz-5-1"), tails(of(bob), "--json", "--cursor", "zzz-5-1")
    plain.waits_for(lambda: any("events are missing" in note for note in plain.notes))
    as_json.has(1)
    alice.sends(bob, "hi")
    plain.has(1)
    as_json.has(2)
    assert ["reset", "new_message"] == [json.loads(line)["type"] for line in as_json.lines]


def test_a_tail_across_a_kill_and_a_restart_prints_everything_once(tmp_path: Path, tails: Callable[..., Tail]) -> None:
    """Killed in the middle of sends: the senders repeat, tail resumes, each message comes once and in order."""
    with Node(tmp_path, sends_per_s=10_000, sends_burst=10_000) as node:
        alice, bob = node.person("alice"), node.person("bob")
        tail = tails(of(bob))
        tail.is_connected()
        alice.sends(bob, "before")
        count = 600

        def send_all() -> None:
            from tidings.client import Client

            assert alice.token is not None
            with Client(node.url, alice.token) as client:
                for number in range(count):
                    client.send("bob", str(number))

        sender = threading.Thread(target=send_all)
        sender.start()
        for restart in (1, 2):
            tail.has(150 * restart)
            node.kill()
            node.restart()
        sender.join(60)
        assert not sender.is_alive()
        tail.has(count + 1)
        alice.sends(bob, "after")
        tail.has(count + 2)
        assert ["before", *map(str, range(count)), "after"] == tail.texts
        assert any(note.startswith("no stream (") for note in tail.notes)
        assert "connected again as bob" in tail.notes


def test_a_server_that_falls_silent_is_left_and_found_again(tmp_path: Path, tails: Callable[..., Tail]) -> None:
    """Two heartbeats and five seconds without a byte end a stream; no FIN or RST is needed."""
    with Node(tmp_path, heartbeat_interval_s=0.5) as node:
        alice, bob = node.person("alice"), node.person("bob")
        tail = tails(of(bob))
        tail.is_connected()
        assert node.process is not None
        node.process.send_signal(signal.SIGSTOP)
        try:
            tail.waits_for(lambda: any("(timeout)" in note for note in tail.notes), 15)
        finally:
            node.process.send_signal(signal.SIGCONT)
        alice.sends(bob, "hi")
        tail.waits_for(lambda: tail.texts == ["hi"], 20)


def test_tail_ends_when_its_reader_goes_away(alice: Person, bob: Person) -> None:
    """Like `tidings tail | head -1`: exit 141, no traceback, and the cursor before what was not read."""
    before = bob.head()
    process = subprocess.Popen([PROGRAM, "tail"], env=of(bob), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    assert f"connected as {bob.id}\n" == process.stderr.readline().decode()
    process.stdout.close()
    alice.sends(bob, "hi")
    assert 141 == process.wait(PATIENCE_S)
    assert f"cursor: {before}\n" == process.stderr.read().decode()
    process.stderr.close()


# usage and configuration


@pytest.mark.parametrize("command", [("send", "ben", "hi"), ("tail",)])
@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"TIDINGS_TOKEN": "x"}, "TIDINGS_URL is not set"),
        ({"TIDINGS_URL": NOWHERE}, "TIDINGS_TOKEN is not set"),
        ({"TIDINGS_URL": "127.0.0.1:8000", "TIDINGS_TOKEN": "x"}, "http://"),
        ({"TIDINGS_URL": NOWHERE, "TIDINGS_TOKEN": "never\nshown"}, "the token"),
    ],
)
def test_a_missing_or_wrong_variable_is_named(command: tuple[str, ...], variables: dict[str, str], said: str) -> None:
    """Exit 2; a token is not repeated."""
    result = tidings(*command, env=environment(**variables))
    assert_fails(result, 2, said)
    assert "never" not in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("dance",),
        ("send", "ben"),
        ("send", "ben", b"\xff"),
        ("send", "ben", "hi", "--deadline", "0"),
        ("token",),
        ("token", "dora", "--ttl", "-5"),
        ("token", "dora", "--ttl", "1h"),
        ("serve", "--port", "65536"),
        ("tail", "--cursor", "a\nb"),
        ("tail", "--cursor", ""),
        ("send", "ben", "hi", "--id", ""),
        ("send", "", "hi"),
        ("serve", "--db", ""),
        ("demo", "--db", ""),
        ("migrate", "--db", ""),
        ("backup", ""),
        ("restore", ""),
        ("export", "--user", ""),
        ("erase", "--user", ""),
        ("chat", ""),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(arguments: tuple[str | bytes, ...]) -> None:
    """The line says where to read on, or what is wrong."""
    result = subprocess.run(
        [PROGRAM, *arguments],
        env=environment(TIDINGS_URL=NOWHERE, TIDINGS_TOKEN="x"),
        capture_output=True,
        timeout=10,
        check=False,
    )
    assert (2, b"") == (result.returncode, result.stdout)
    assert 1 == len(result.stderr.splitlines()), result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        *(
            (arguments.split(), "it is -, which is standard input in the place of a text and no user id")
            for arguments in (
                *("send - hi", "chat -", "history -", "token -", "export --user -", "erase --user -"),
                *("send ben hi --as -", "key create shop --as -"),
            )
        ),
        *((arguments.split(), "it is -, and a copy is a file of its own") for arguments in ("backup -", "restore -")),
        (["serve", "--host", ""], "it is empty"),
    ],
)
def test_a_dash_is_standard_input_where_that_is_read_and_nothing_else(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, in the words of the argument: no message to somebody called -, no file of that name; an empty address is
    not every one."""
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("command", [(), ("serve",), ("demo",), ("token",), ("send",), ("tail",)])
def test_help_tells_the_exit_codes(command: tuple[str, ...]) -> None:
    """`--help` of every command, and the document, have the same codes."""
    result = tidings(*command, "--help")
    assert 0 == result.returncode
    told = re.findall(r"^  (\d+)  ", result.stdout, re.MULTILINE)
    document = (Path(__file__).parents[2] / "docs" / "run" / "cli.md").read_text(encoding="utf-8")
    assert ["0", "1", "2", "3", "130", "141"] == told == re.findall(r"^\| (\d+) \|", document, re.MULTILINE)


def test_the_version_is_printed() -> None:
    """That of the installed distribution, on standard output."""
    result = tidings("--version")
    assert (0, f"tidings {version('tidings')}\n", "") == (result.returncode, result.stdout, result.stderr)


def test_python_dash_m_is_the_same_command() -> None:
    """Where scripts are not on the path."""
    result = subprocess.run([sys.executable, "-m", "tidings", "--help"], capture_output=True, check=True)
    assert tidings("--help").stdout.encode() == result.stdout


# serve


def test_serve_refuses_to_start_without_a_secret(tmp_path: Path) -> None:
    """Exit 2 with the sentence that says what to set."""
    result = tidings("serve", "--port", "0", "--db", f"sqlite:///{tmp_path}/x.db")
    assert 2 == result.returncode
    assert "TIDINGS_SECRET" in result.stderr
    assert "Traceback" not in result.stderr


def test_serve_says_that_a_port_is_taken(tmp_path: Path) -> None:
    """Exit 1, for that passes: whoever started it tries again; not a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        env = environment(TIDINGS_SECRET=SECRET)
        result = tidings("serve", "--port", port, "--db", f"sqlite:///{tmp_path}/x.db", env=env)
    assert 1 == result.returncode
    assert port in result.stderr
    assert "Traceback" not in result.stderr


def test_serve_listens_on_every_address_of_a_host(tmp_path: Path) -> None:
    """Of IPv4 and of IPv6, as names such as localhost may have both; those that this machine lacks are left out."""
    node = Node(tmp_path)
    node.host = "*"
    with node:
        for here in ("127.0.0.1", *(["::1"] if has_address("::1") else [])):
            with socket.create_connection((here, node.port), 5) as client:
                client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert client.recv(64).startswith(b"HTTP/1.1 200")


def has_address(address: str) -> bool:
    """Whether this machine has this address of IPv6."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind((address, 0))
        return True
    return False


def test_serve_may_not_take_what_it_will_never_have(tmp_path: Path) -> None:
    """An address that this machine does not have yet passes (exit 1); a database in no directory does not (exit 2)."""
    env = environment(TIDINGS_SECRET=SECRET)
    elsewhere = tidings("serve", "--host", "192.0.2.1", "--port", "0", "--db", f"sqlite:///{tmp_path}/x.db", env=env)
    assert_fails(elsewhere, 1, "cannot listen on 192.0.2.1")
    assert_fails(tidings("serve", "--port", "0", "--db", f"sqlite:///{tmp_path}/no/x.db", env=env), 2, "TIDINGS_DB")


def test_serve_names_the_setting_that_is_wrong(tmp_path: Path) -> None:
    """A wrong value fails at start."""
    env = environment(TIDINGS_SECRET=SECRET, TIDINGS_HEARTBEAT_INTERVAL_S="often")
    assert_fails(tidings("serve", "--db", f"sqlite:///{tmp_path}/x.db", env=env), 2, "TIDINGS_HEARTBEAT_INTERVAL_S")


def test_serve_refuses_a_setting_that_does_not_exist(tmp_path: Path) -> None:
    """A misspelt name would leave the default in place without a word; it is told which one may be meant."""
    db = f"sqlite:///{tmp_path}/x.db"
    misspelt = environment(TIDINGS_SECRET=SECRET, TIDINGS_HEARTBEAT_S="5")
    assert_fails(tidings("serve", "--db", db, env=misspelt), 2, "no setting", "mean TIDINGS_HEARTBEAT_INTERVAL_S?")


def test_a_variable_of_a_cluster_s_service_is_no_misspelt_setting(tmp_path: Path) -> None:
    """Kubernetes names addresses of a service `tidings` so; and the commands have variables of their own."""
    env = environment(
        TIDINGS_SECRET=SECRET,
        TIDINGS_URL=NOWHERE,
        TIDINGS_SERVICE_HOST="10.0.0.1",
        TIDINGS_SERVICE_PORT="80",
        TIDINGS_PORT="tcp://10.0.0.1:80",
        TIDINGS_PORT_80_TCP_ADDR="10.0.0.1",
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = tidings("serve", "--port", port, "--db", f"sqlite:///{tmp_path}/x.db", env=env)
    assert_fails(result, 1, "cannot listen")


def test_serve_says_that_a_database_cannot_be_written() -> None:
    """Exit 2 and what to do."""
    env = environment(TIDINGS_SECRET=SECRET)
    result = tidings("serve", "--port", "0", "--db", "sqlite:////nowhere/at/all.db", env=env)
    assert_fails(result, 2, "/nowhere/at/all.db cannot be opened: No such file or directory", "--db")


def test_serve_names_no_file_that_no_start_will_open(tmp_path: Path) -> None:
    """A link that leads to itself, and a name that is too long, are a wrong configuration: exit 2."""
    env = environment(TIDINGS_SECRET=SECRET)
    (tmp_path / "x.db").symlink_to("y.db")
    (tmp_path / "y.db").symlink_to("x.db")
    for name in ("x.db", "x.db/z.db", "x" * 300):
        result = tidings("serve", "--port", "0", "--db", f"sqlite:///{tmp_path}/{name}", env=env)
        assert_fails(result, 2, "cannot be opened", "--db")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIDINGS_SESSION_COOKIE", "a b;"),
        ("TIDINGS_SESSION_COOKIE", "é"),
        ("TIDINGS_SENDS_PER_S", "\uff11"),
        ("TIDINGS_SENDS_BURST", "\u0661\u0660"),
    ],
)
def test_serve_refuses_what_only_looks_like_a_value(tmp_path: Path, name: str, value: str) -> None:
    """A cookie of no such name ever comes (RFC 6265 4.1.1); digits are those of ASCII."""
    env = environment(TIDINGS_SECRET=SECRET, **{name: value})
    assert_fails(tidings("serve", "--db", f"sqlite:///{tmp_path}/no/x.db", env=env), 2, name)


def test_serve_suggests_only_what_is_near(tmp_path: Path) -> None:
    """The beginning that all settings share makes none of them near."""
    db = f"sqlite:///{tmp_path}/x.db"
    far = tidings("serve", "--db", db, env=environment(TIDINGS_SECRET=SECRET, TIDINGS_FOO="1"))
    assert_fails(far, 2, "TIDINGS_FOO is no setting", "docs/run/configuration.md")
    assert "did you mean" not in far.stderr
    near = tidings("serve", "--db", db, env=environment(TIDINGS_SEKRET=SECRET))
    assert_fails(near, 2, "did you mean TIDINGS_SECRET?")


CLOSED = {"<&-": (0,), ">&-": (1,), "2>&-": (2,), ">&- 2>&-": (1, 2), "<&- >&- 2>&-": (0, 1, 2)}


@pytest.mark.parametrize(("closing", "closed"), CLOSED.items(), ids=CLOSED.keys())
def test_serve_started_with_closed_standard_files_ends_when_it_is_told(
    tmp_path: Path, closing: str, closed: tuple[int, ...]
) -> None:
    """As some start a service: nothing of the server gets their numbers, where its own lines would be written."""
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        port = chosen.getsockname()[1]
    serve = f'exec "$0" serve --port {port} --db sqlite:///{tmp_path}/x.db {closing}'
    process = subprocess.Popen(
        ["sh", "-c", serve, PROGRAM],
        env=environment(TIDINGS_SECRET=SECRET), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip

    def listens() -> bool:
        assert process.poll() is None, process.communicate()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    try:
        wait_for(listens, PATIENCE_S, "it listens")
        assert [os.devnull] * len(closed) == [os.readlink(f"/proc/{process.pid}/fd/{number}") for number in closed]
        process.terminate()
        _stdout, stderr = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    assert 0 == process.returncode, stderr
    assert "Traceback" not in stderr


def test_a_command_with_closed_standard_files_ends_as_ever() -> None:
    """Not with a traceback that nobody sees."""
    for arguments, code in (("token ada", 0), ("token a/b", 2), ("--help", 0), ("nothing", 2)):
        for closing in CLOSED:
            line = f'exec "$0" {arguments} {closing}'
            done = subprocess.run(
                ["sh", "-c", line, PROGRAM], env=environment(TIDINGS_SECRET=SECRET), capture_output=True, check=False
            )
            assert (code, False) == (done.returncode, b"Traceback" in done.stderr), (line, done.stderr)
