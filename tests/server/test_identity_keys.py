"""An identity provider's keys over time: they change, and their server fails, hangs and comes back: PROTOCOL.md 2.1.

Times that would be long are those of a clock in hand; the key server and its HTTP are real.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import threading
import time
import zlib
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from lab.key_server import JWKS_PATH, KeyServer, public_jwk, signed
from lab.node import Node, Person, refused
from lab.process import wait_for
from tidings import Config
from tidings.errors import Unauthorized, Unavailable
from tidings.server.identity.jwks import (
    KEY_FETCHES_BURST,
    KEY_WAITERS_MAX,
    KEYS_FETCH_MAX_S,
    KEYS_FRESH_S,
    KEYS_SIZE_MAX_BYTES,
    KeySet,
    read_keys,
)
from tidings.server.identity.tokens import TokenIdentity
from tidings.server.metrics import Metrics


@pytest.fixture
def provider() -> Iterator[KeyServer]:
    with KeyServer() as provider:
        provider.add("k1")
        yield provider


def with_key(node: Node, provider: KeyServer, kid: str, **claims: Any) -> Person:
    return Person(node, "ada", provider.token(kid, aud="chat", sub="ada", **claims))


class World:
    """A key set whose clock is in hand."""

    def __init__(self, provider: KeyServer) -> None:
        self.now = 1000.0
        self.provider = provider
        self.keys = KeySet(url=provider.url, issuer="", metrics=Metrics(), clock=lambda: self.now)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        await self.keys.start(self.spawn, must_answer=True)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        return task

    async def settles(self) -> None:
        await asyncio.gather(*self._tasks)

    async def outcome(self, kid: str) -> str:
        try:
            await self.keys.find(kid)
        except Unauthorized:
            return "401"
        except Unavailable as unavailable:
            return "503" if 1 <= (unavailable.retry_after_s or 0) <= 30 else f"503 after {unavailable.retry_after_s}"
        return "key"

    @property
    def fetches(self) -> int:
        return len(self.provider.asked)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, ten seconds at most."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # what the key server saw is told by its own thread
            await asyncio.sleep(0.005)


def in_world(provider: KeyServer, play: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        world = World(provider)
        await world.start()
        await play(world)
        await world.settles()

    asyncio.run(run())


def test_a_new_key_is_taken_without_a_restart_and_an_old_one_lives_as_long_as_it_is_published(
    provider: KeyServer, start_node: Callable[..., Node]
) -> None:
    """Rotation: the first token of the new key brings it; a token of a withdrawn key is refused, though known by then.
    PROTOCOL 2.1.15"""
    node = start_node(drain_window_s=0.05, secret="", jwks_url=provider.url, issuer=provider.issuer, audience="chat")
    before = with_key(node, provider, "k1")
    assert 200 == before.gets("/inbox/me").status_code
    provider.add("k2", "ES256")
    after = Person(node, "ada", provider.token("k2", "ES256", aud="chat", sub="ada"))

    assert 200 == after.gets("/inbox/me").status_code
    assert 200 == before.gets("/inbox/me").status_code
    assert 2 == len(provider.asked)

    provider.keys = [public_jwk("k3")]
    assert 200 == with_key(node, provider, "k3").gets("/inbox/me").status_code
    refused(before.gets("/inbox/me"), 401, "unauthorized")


def test_while_the_key_server_is_down_known_keys_count_and_others_may_try_again(
    provider: KeyServer, start_node: Callable[..., Node]
) -> None:
    """503 and not 401: the token may be good. When the server is back, so are its keys. PROTOCOL 2.1.13, 2.1.14"""
    node = start_node(drain_window_s=0.05, secret="", jwks_url=provider.url, issuer=provider.issuer, audience="chat")
    ada, unknown = with_key(node, provider, "k1"), with_key(node, provider, "k2")
    provider.add("k2")
    provider.stop()

    answer = unknown.gets("/inbox/me")
    refused(answer, 503, "unavailable")
    assert 1 <= int(answer.headers["retry-after"]) <= 30
    refused(unknown.gets("/sse/me"), 503, "unavailable")
    assert 200 == with_key(node, provider, "k1", jti="another").gets("/inbox/me").status_code
    assert 200 == ada.gets("/inbox/me").status_code
    refused(with_key(node, provider, "k9", ttl_s=-40).gets("/inbox/me"), 401, "unauthorized")
    refused(with_key(node, provider, "k9", iss="https://evil.example").gets("/inbox/me"), 401, "unauthorized")

    provider.start()
    wait_for(lambda: unknown.gets("/inbox/me").status_code == 200)
    assert "keys not fetched" in node.output


def test_a_hanging_key_server_delays_nobody_else(provider: KeyServer, start_node: Callable[..., Node]) -> None:
    """Requests with known keys are served while others wait for theirs. PROTOCOL 2.1.13, 2.1.14"""
    node = start_node(drain_window_s=0.05, secret="", jwks_url=provider.url, issuer=provider.issuer, audience="chat")
    ada, unknown = with_key(node, provider, "k1"), with_key(node, provider, "k2")
    provider.is_hanging = True
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(unknown.gets("/inbox/me")))
    waiting.start()
    wait_for(lambda: len(provider.asked) == 2)

    begun = time.monotonic()
    assert 200 == ada.gets("/inbox/me").status_code
    ada.sends("ben", "still here")
    assert time.monotonic() - begun < KEYS_FETCH_MAX_S / 2
    assert not answers
    provider.answers_again()
    waiting.join(KEYS_FETCH_MAX_S)
    refused(answers[0], 401, "unauthorized")


def test_a_key_server_that_hangs_is_given_up(provider: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """After five seconds, here less. PROTOCOL 2.1.13"""

    async def play(world: World) -> None:
        monkeypatch.setattr("tidings.server.identity.jwks.KEYS_FETCH_MAX_S", 0.2)  # the first fetch may take its time
        provider.is_hanging = True
        assert ["503"] * 3 == await asyncio.gather(*(world.outcome("k2") for _ in range(3)))
        assert "key" == await world.outcome("k1")
        assert 2 == world.fetches

    in_world(provider, play)


def test_a_slow_key_server_is_waited_for(provider: KeyServer) -> None:
    """A caller that comes with a new key meanwhile waits for the same fetch."""

    async def play(world: World) -> None:
        provider.is_hanging = True
        waiting = [asyncio.create_task(world.outcome("k2")) for _ in range(20)]
        await until(lambda: world.fetches == 2)
        assert not any(each.done() for each in waiting)
        provider.add("k2")
        provider.answers_again()
        assert ["key"] * 20 == await asyncio.gather(*waiting)
        assert 2 == world.fetches

    in_world(provider, play)


def test_no_more_than_a_thousand_requests_wait_for_a_fetch(provider: KeyServer) -> None:
    """The others are told at once to come again."""

    async def play(world: World) -> None:
        provider.is_hanging = True
        waiting = [asyncio.create_task(world.outcome(f"x{number}")) for number in range(KEY_WAITERS_MAX + 50)]
        await until(lambda: sum(each.done() for each in waiting) >= 50)
        assert {"503"} == {each.result() for each in waiting if each.done()}
        provider.answers_again()
        assert {"401", "503"} == set(await asyncio.gather(*waiting))
        assert 2 == world.fetches

    in_world(provider, play)


def test_made_up_key_ids_cause_a_few_fetches(provider: KeyServer, start_node: Callable[..., Node]) -> None:
    """A storm of them is answered from memory, and whoever has a known key does not notice. PROTOCOL 2.1.16"""
    node = start_node(drain_window_s=0.05, secret="", jwks_url=provider.url, issuer=provider.issuer, audience="chat")
    begun, codes = time.monotonic(), set()
    for number in range(150):
        forged = signed("stranger", {"iss": provider.issuer, "aud": "chat", "sub": "ada", "exp": 9e9}, kid=f"x{number}")
        codes.add(Person(node, "ada", forged).gets("/inbox/me").status_code)
    seconds = time.monotonic() - begun

    assert {401, 503} == codes
    assert len(provider.asked) <= 1 + KEY_FETCHES_BURST + seconds / 10 + 1
    assert 200 == with_key(node, provider, "k1").gets("/inbox/me").status_code


def test_the_same_unknown_key_is_asked_for_once(provider: KeyServer) -> None:
    """Also by a hundred requests at once; after ten seconds again."""

    async def play(world: World) -> None:
        assert {"401"} == set(await asyncio.gather(*(world.outcome("x") for _ in range(100))))
        assert "401" == await world.outcome("x")
        assert 2 == world.fetches
        world.now += 10
        assert "401" == await world.outcome("x")
        assert 3 == world.fetches

    in_world(provider, play)


# shows: security/key-ids
def test_a_storm_of_key_ids_leaves_room_for_a_rotation(provider: KeyServer) -> None:
    """At most one fetch in ten seconds, and each of them brings whatever is new."""

    async def play(world: World) -> None:
        for second in range(100):
            for number in range(10):
                assert "key" != await world.outcome(f"x{second}-{number}")
            world.now += 1
        assert 1 + KEY_FETCHES_BURST + 8 <= world.fetches <= 1 + KEY_FETCHES_BURST + 10
        provider.add("k2")
        for _ in range(10):
            await world.outcome(f"y{world.now}")
            world.now += 1
        assert "key" == await world.outcome("k2")

    in_world(provider, play)


def test_after_failures_the_pauses_grow(provider: KeyServer) -> None:
    """1, 2, 4, 8, 16, then 30 s; the first success ends them."""

    async def play(world: World) -> None:
        provider.status = 500
        asked_at = []
        for _ in range(130):
            before = world.fetches
            assert "503" == await world.outcome("k2")
            if world.fetches > before:
                asked_at.append(world.now)
            world.now += 1
        assert [1, 2, 4, 8, 16, 30, 30] == [b - a for a, b in itertools.pairwise(asked_at)][:7]
        provider.status = 200
        provider.add("k2")
        world.now += 30
        assert "key" == await world.outcome("k2")

    in_world(provider, play)


def test_old_keys_are_fetched_anew_beside_the_requests(provider: KeyServer) -> None:
    """Nobody waits for it, and a withdrawn key is gone with the next answer."""

    async def play(world: World) -> None:
        world.now += KEYS_FRESH_S - 1
        assert "key" == await world.outcome("k1")
        assert 1 == world.fetches
        world.now += 1
        provider.is_hanging = True
        assert "key" == await world.outcome("k1")
        assert "key" == await world.outcome("k1")
        provider.keys = [public_jwk("k2")]
        provider.answers_again()
        await world.settles()
        assert 2 == world.fetches
        assert "key" == await world.outcome("k2")
        assert "401" == await world.outcome("k1")
        assert 1 == world.keys.withdrawn

    in_world(provider, play)


BAD_ANSWERS: dict[str, bytes] = {
    "not JSON": b"<html>",
    "not UTF-8": b'{"keys": "\xff"}',
    "no object": b"[]",
    "deep": b"[" * 100_000,
    "no keys": b'{"keys": []}',
    "keys of another shape": b'{"keys": {"kty": "RSA"}}',
    "too long": b" " * (KEYS_SIZE_MAX_BYTES + 1),
}


@pytest.mark.parametrize("body", BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
def test_a_bad_answer_leaves_the_known_keys(body: bytes, provider: KeyServer) -> None:
    """It counts as a failure of the key server."""

    async def play(world: World) -> None:
        provider.body = body
        assert "503" == await world.outcome("k2")
        assert "key" == await world.outcome("k1")

    in_world(provider, play)


def test_a_redirect_is_not_followed(provider: KeyServer) -> None:
    """Keys come from where the operator said; the sentence names the address that is to be set instead."""

    async def play(world: World) -> None:
        provider.status = 302
        provider.fields = {"Location": "/elsewhere?key=private"}
        assert "503" == await world.outcome("k2")
        assert [JWKS_PATH] == list(set(provider.asked))
        assert f"{provider.issuer}/elsewhere" in world.keys.trouble
        assert "TIDINGS_JWKS_URL" in world.keys.trouble
        assert "private" not in world.keys.trouble

    in_world(provider, play)


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "X-GZIP": gzip.compress,
}


@pytest.mark.parametrize("coding", CODINGS)
def test_keys_that_come_compressed_though_nobody_asked_are_read(coding: str, provider: KeyServer) -> None:
    """Some front servers compress whatever is asked for; what is limited is what it unpacks to."""

    async def play(world: World) -> None:
        provider.fields = {"Content-Encoding": coding}
        provider.body = CODINGS[coding](json.dumps({"keys": [public_jwk("k2")]}).encode())
        assert "key" == await world.outcome("k2")
        for wrong in (
            provider.body[:-5],
            CODINGS[coding](b" " * (KEYS_SIZE_MAX_BYTES + 1)),
            CODINGS[coding](b" " * 50_000_000),
            b"not packed",
        ):
            provider.body = wrong
            assert "503" == await world.outcome(f"of {len(wrong)}")
            world.now += 30

    in_world(provider, play)


def test_a_coding_that_is_not_known_is_named(provider: KeyServer) -> None:
    """Not "its answer is not JSON"."""

    async def play(world: World) -> None:
        provider.fields = {"Content-Encoding": "br"}
        assert "503" == await world.outcome("k2")
        assert "compressed (br)" in world.keys.trouble

    in_world(provider, play)


@pytest.mark.parametrize("proxy", ["socks5://user:private@127.0.0.1:9", "what://user:private@127.0.0.1:9", "http://["])
def test_a_proxy_of_the_environment_that_cannot_be_used_is_503(
    proxy: str, provider: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is so for every exception of the HTTP client: the tokens may be good. PROTOCOL 2.1.13"""

    async def play(world: World) -> None:
        monkeypatch.setenv("ALL_PROXY", proxy)
        assert "503" == await world.outcome("k2")
        assert world.keys.trouble
        assert "private" not in world.keys.trouble
        assert "key" == await world.outcome("k1")

    in_world(provider, play)


# shows: security/withdrawn-key
def test_a_withdrawn_key_is_noticed_by_tokens_that_are_known(
    provider: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody comes with a new token, or comes at all: the keys are fetched anew all the same. PROTOCOL 2.1.18"""
    monkeypatch.setattr("tidings.server.identity.jwks.KEYS_FRESH_S", 0.2)

    async def play() -> None:
        tasks: set[asyncio.Task[None]] = set()

        def spawn(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
            tasks.add(task := asyncio.create_task(work))
            return task

        config = Config(issuer=provider.issuer, jwks_url=provider.url, audience=("chat",))
        identity = TokenIdentity(config, KeySet(url=provider.url, issuer=provider.issuer, metrics=Metrics()))
        await identity.start(spawn, must_answer=True)
        token = provider.token("k1", aud="chat", sub="ada")
        scope = {"type": "http", "headers": [(b"authorization", b"Bearer " + token.encode())], "query_string": b""}
        assert "ada" == (await identity.identify(scope)).user
        provider.keys = [public_jwk("k2")]
        fetched = len(provider.asked)
        await until(lambda: len(provider.asked) >= fetched + 2)
        with pytest.raises(Unauthorized, match="does not have"):
            await identity.identify(scope)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    asyncio.run(play())


def test_only_keys_that_check_our_tokens_are_read() -> None:
    """RSA for RS256 and P-256 for ES256, public, for signatures, of a fair size; the others are passed over."""
    private = json.loads(json.dumps(public_jwk("k1"))) | {"d": "AQAB"}
    listed = [
        public_jwk("good-rsa"),
        public_jwk("good-ec", "ES256"),
        public_jwk("without-alg", alg=None, use=None),
        public_jwk("p384", "ES384"),
        public_jwk("p384-named-es256", "ES384", alg="ES256"),
        public_jwk("rs512", alg="RS512"),
        public_jwk("for-encryption", use="enc"),
        public_jwk("for-signing-only", key_ops=["sign"]),
        public_jwk("odd-operations", key_ops=5),
        private | {"kid": "private"},
        {"kty": "oct", "k": "c2VjcmV0" * 8, "kid": "shared-secret"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "tiny"},
        {"kty": "RSA", "n": "AQAB" * 100_000, "e": "AQAB", "kid": "huge"},
        public_jwk("even-exponent", e="Ag"),
        public_jwk("off-the-curve", "ES256", x="AQAB", y="AQAB"),
        {"kty": "RSA", "n": 5, "e": "AQAB", "kid": "n-is-a-number"},
        {"kty": ["RSA"], "kid": "kind-is-a-list"},
        {"kid": 7, "kty": "RSA"},
        "not an object",
    ]

    found = read_keys(json.dumps({"keys": listed}).encode())

    assert {"good-rsa": "RS256", "good-ec": "ES256", "without-alg": "RS256"} == {
        kid: key.algorithm for kid, key in found.items()
    }
