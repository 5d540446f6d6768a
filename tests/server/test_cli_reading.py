"""`tidings inbox`, `history`, `tail --last` and `send -`, with a token or with what a browser sends."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.host import Host
from lab.node import SECRET, Node, Person
from tests.server.shell import PROGRAM, Tail, assert_fails, environment, of, tidings
from tidings.client import AsyncClient

CLI_PAGE = Path(__file__).parents[2] / "docs" / "run" / "cli.md"


def pipes(text: bytes, *arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command with this on its standard input."""
    done = subprocess.run([PROGRAM, *arguments], env=env, input=text, capture_output=True, timeout=30)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_inbox_prints_a_line_for_each_conversation(alice: Person, bob: Person, carol: Person) -> None:
    """With whom, how much is unread, and the last message; as JSON each is what the API answers."""
    bob.sends(alice, "one")
    bob.sends(alice, "two\nlines\u202e")
    alice.sends(carol, "and you?")

    first, second = tidings("inbox", env=of(alice)).stdout.splitlines()
    assert first.startswith(f"{carol.id}: ")
    assert first.endswith(f" me → {carol.id}: and you?")
    assert second.startswith(f"{bob.id}, 2 unread: ")
    assert second.endswith(f" {bob.id} → me: two\\nlines\\u202e")
    done = tidings("inbox", "--json", "--limit", "1", env=of(alice))
    assert alice.inbox(limit=1)["conversations"] == [json.loads(line) for line in done.stdout.splitlines()]
    assert done.stderr == "there are more conversations: --limit 2\n"
    assert ("", "there are no conversations\n", 0) == (
        (empty := tidings("inbox", env=of(carol.node.person("nobody-yet")))).stdout, empty.stderr, empty.returncode
    )  # fmt: skip


def test_history_prints_the_last_messages_of_a_conversation(alice: Person, bob: Person, tmp_path: Path) -> None:
    """Oldest first, by pages where a page is not enough, and what comes before by the number that is told."""
    past = {"sender_id": alice.id, "recipient_id": bob.id, "createdAt": "2020-05-01T08:00:00Z"}
    older = tmp_path / "older.jsonl"
    older.write_text("".join(json.dumps(past | {"text": f"{number}"}) + "\n" for number in range(205)))
    assert "imported 205 messages in 1 conversations; 0 were there before\n" == alice.node.operates(
        "import", str(older)
    )
    texts = [f"{number}" for number in range(205)]

    last = tidings("history", bob.id, env=of(alice))
    assert texts[-50:] == [line.split(": ", 1)[1] for line in last.stdout.splitlines()]
    assert last.stderr == "there are older messages: --before 156\n"
    before = tidings("history", bob.id, "--before", "156", "--limit", "1000", "--json", env=of(alice))
    assert texts[:155] == [json.loads(line)["text"] for line in before.stdout.splitlines()]
    assert before.stderr == ""
    every = tidings("history", alice.id, "--limit", "203", "--json", env=of(bob))
    assert texts[2:] == [json.loads(line)["text"] for line in every.stdout.splitlines()]
    nobody = tidings("history", "nobody", env=of(alice))
    assert ("", "there are no messages with nobody\n", 0) == (nobody.stdout, nobody.stderr, nobody.returncode)


def test_tail_begins_with_the_last_messages_of_all_conversations(
    alice: Person, bob: Person, carol: Person, tails: Callable[..., Tail]
) -> None:
    """In the order of time, and without a gap to what comes."""
    for text, sender, recipient in (
        ("1", bob, alice), ("2", alice, carol), ("3", bob, alice), ("4", carol, alice), ("5", alice, bob)
    ):  # fmt: skip
        sender.sends(recipient, text)
    tail = tails(of(alice), "--last", "4")
    as_json = tails(of(alice), "--last", "100", "--json")
    for each in (tail, as_json):
        each.is_connected()
    bob.sends(alice, "6")
    tail.has(5)
    assert ["2", "3", "4", "5", "6"] == tail.texts
    assert tail.lines[0].endswith(f"Z me → {carol.id}: 2")
    as_json.has(6)
    events = [json.loads(line) for line in as_json.lines]
    assert ["1", "2", "3", "4", "5", "6"] == [event["data"]["text"] for event in events]
    assert [True] * 5 + [False] == [event["id"] is None for event in events]
    assert events[-1]["id"] == as_json.interrupts()


def test_send_reads_a_text_from_standard_input(alice: Person, bob: Person) -> None:
    """Without the line break at its end; what no message can be is not sent, and said in a sentence."""
    for text in (b"two\nlines\n", "é".encode() * 8192 + b"\n"):
        assert 0 == pipes(text, "send", bob.id, "-", env=of(alice)).returncode
    assert ["two\nlines", "é" * 8192] == [each["text"] for each in bob.history(alice)["messages"]]

    for text, said in ((b"x" * 16_385, "longer than 16384 bytes"), (b"\xff", "not UTF-8")):
        assert_fails(pipes(text, "send", bob.id, "-", env=of(alice)), 2, "standard input is", said, "nothing was sent")
    with open("/dev/zero", "rb") as endless:
        done = subprocess.run(
            [PROGRAM, "send", bob.id, "-"], env=of(alice), stdin=endless, capture_output=True, timeout=30
        )
    assert (2, b"") == (done.returncode, done.stdout)
    assert_fails(tidings("send", bob.id, "-", env=of(alice)), 1, "The text is empty")  # standard input is /dev/null
    assert 2 == len(bob.history(alice)["messages"])


def snippet(beginning: str) -> str:
    """The commands of docs/run/cli.md that begin so."""
    (found,) = re.findall(rf"^```sh\n({re.escape(beginning)}.*?)^```", CLI_PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_commands_of_the_page_do_what_it_says(node: Node, tmp_path: Path, tails: Callable[..., Tail]) -> None:
    """docs/run/cli.md, as they stand there but for addresses and names: to write, to read, and to import."""
    ada, ben = (f"{name}-{tmp_path.name}" for name in ("ada", "ben"))
    commands = snippet("export TIDINGS_URL").replace("http://127.0.0.1:8000", node.url)
    commands = re.sub(r"\bada\b", ada, re.sub(r"\bben\b", ben, commands))
    *before, tail = commands.splitlines()
    assert "tidings tail --last 10" == tail
    (tmp_path / "letter.txt").write_text("Dear Ben\n")
    env = environment(TIDINGS_SECRET=SECRET, PATH=f"{Path(PROGRAM).parent}:{os.environ['PATH']}")
    done = subprocess.run(
        ["sh", "-ec", "\n".join(before)], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
    )
    assert (0, "") == (done.returncode, done.stderr)
    _, _, first, second, inbox = done.stdout.splitlines()
    assert [True, True] == [first.endswith(f" me → {ben}: See you at eight"), second.endswith(f" me → {ben}: Dear Ben")]
    assert f"{ben}: {second}" == inbox
    last = tails(of(node.person(ada)), *tail.split()[2:])
    last.has(2)
    assert ["See you at eight", "Dear Ben"] == last.texts

    (tmp_path / "old-messages.jsonl").write_text(snippet_of_a_line())
    commands = snippet("tidings migrate --db").replace(
        "postgresql://tidings@db.internal/messages", f"sqlite:///{ada}.db"
    )
    commands = f"tidings migrate --db sqlite:///{ada}.db\n{commands}"
    done = subprocess.run(["sh", "-ec", commands], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert (0, "") == (done.returncode, done.stderr)
    assert 2 * ["imported 1 messages in 1 conversations; 0 were there before"] == done.stdout.splitlines()[2:]


def snippet_of_a_line() -> str:
    (found,) = re.findall(r"^```json\n(.*?)^```", CLI_PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return str(found)


def test_a_list_ends_when_its_reader_goes_away(alice: Person, bob: Person) -> None:
    """As in `tidings history ben | head -1`: exit code 141, and not a word."""
    for number in range(3):
        bob.sends(alice, f"{number} " + "long " * 3000)
    read, write = os.pipe()
    os.close(read)
    for command in (["inbox"], ["history", bob.id], ["export", "--user", alice.id, "--db", alice.node.db]):
        done = subprocess.run([PROGRAM, *command], env=of(alice), stdout=write, stderr=subprocess.PIPE, timeout=30)
        assert (141, b"") == (done.returncode, done.stderr)
    os.close(write)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """An application whose own sign-in knows people by a cookie, with its messages under /dm."""
    with Host(tmp_path_factory.mktemp("guarded"), "hosts:guarded") as host:
        yield host


async def last_text(url: str, headers: dict[str, str]) -> str:
    """Read by the Python client, which shows no more than these fields."""
    async with AsyncClient(url, headers=headers) as client:
        return (await client.history("ben")).messages[-1].text


def test_an_application_s_own_sign_in_is_enough(guarded: Host, tmp_path: Path, tails: Callable[..., Tail]) -> None:
    """A cookie or a field, from an option, a file or a variable; none of their values is printed, or in `ps`."""
    cookies, headers = tmp_path / "cookies.txt", tmp_path / "headers.txt"
    cookies.write_text("theme=dark\nsession=good\n")
    headers.write_text("X-Team: blue\nCookie: session=good\n")
    url = f"{guarded.url}/dm"
    env = environment(TIDINGS_URL=url)
    tail = tails(env, "--cookie", f"@{cookies}")
    tail.is_connected()
    assert 0 == tidings("send", "ben", "from the shell", "--cookie", "session=good", env=env).returncode
    tail.has(1)
    assert ["from the shell"] == tail.texts
    assert "good" not in Path(f"/proc/{tail.process.pid}/cmdline").read_text()
    ways: tuple[tuple[list[str], dict[str, str]], ...] = (
        (["--header", f"@{headers}"], {}),
        ([], {"TIDINGS_COOKIE": "theme=dark\nsession=good"}),
        ([], {"TIDINGS_HEADER": "Cookie: session=good"}),
    )
    for options, variables in ways:
        done = tidings("history", "ben", *options, env=env | variables)
        assert (0, "") == (done.returncode, done.stderr)
        assert done.stdout.endswith(" me → ben: from the shell\n")
    assert "from the shell" == asyncio.run(last_text(url, {"Cookie": "session=good"}))
    doctor = tidings("doctor", url, "--cookie", f"@{cookies}", env=environment())
    assert 0 == doctor.returncode, doctor.stdout
    assert "ok    stream:" in doctor.stdout
    assert "good" not in doctor.stdout + doctor.stderr

    for command in (["inbox"], ["tail"], ["send", "ben", "x"]):
        refused = tidings(*command, "--cookie", "session=k3v9-old", env=env, timeout_s=60)
        assert_fails(refused, 1, "303")
        assert "k3v9-old" not in refused.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--cookie", "@/missing/cookies"], "--cookie /missing/cookies cannot be read: No such file or directory"),
        (["--header", "k3v9"], "--header takes a field as it is sent"),
        (["--header", "@/dev/zero"], "--header /dev/zero has more than 65536 bytes"),
        (["--cookie", ""], "--cookie: it is empty"),
        (["--cookie", "@/dev/null"], "--cookie /dev/null is empty"),
        ([], "TIDINGS_TOKEN is not set"),
    ],
)
def test_wrong_credentials_are_one_sentence_that_does_not_repeat_them(options: list[str], said: str) -> None:
    """Exit code 2."""
    failed = tidings("inbox", *options, env=environment(TIDINGS_URL="http://127.0.0.1:9"))
    assert_fails(failed, 2, said)
    assert "k3v9" not in failed.stderr.replace("'X-Api-Key: k3v9'", "")
