"""The asynchronous client against a real node: what `await` and cancellation add to `test_client.py`."""

from __future__ import annotations

import asyncio
import functools
import gc
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from lab.node import Node, Person
from lab.process import PATIENCE_S
from lab.proxy import Proxy
from tidings.client import AsyncClient, AsyncFeed, ConnectionState
from tidings.errors import ServerProblem, StreamLost


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test in an event loop of its own; a task of the client's that it leaves behind fails it."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        async def whole() -> None:
            async with asyncio.timeout(60):
                await test(*arguments, **named)
            assert [] == [task for task in asyncio.all_tasks() if task.get_name().startswith("tidings")]

        asyncio.run(whole())

    return run


def client_of(person: Person, *, deadline_s: float = 20) -> AsyncClient:
    assert person.token is not None
    return AsyncClient(person.node.url, person.token, deadline_s=deadline_s)


async def texts(feed: AsyncFeed, count: int) -> list[str]:
    """The texts of the next messages."""
    async with asyncio.timeout(PATIENCE_S):
        events = [await anext(feed) for _ in range(count)]
    return [event.message.text for event in events if event.message]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  # conditions of a server's, too, which sets no event here
            await asyncio.sleep(0.01)


@in_loop
async def test_all_calls_have_the_names_of_the_client_for_threads(alice: Person, bob: Person) -> None:
    """Send, history, inbox, receipts, typing, blocks and reports."""
    async with client_of(alice) as a, client_of(bob) as b, b.events() as feed:
        waiting = asyncio.create_task(texts(feed, 1))
        await until(lambda: feed.user_id == bob.id)
        message = await a.send(bob.id, "hi", client_id="k1")
        assert message == await a.send(bob.id, "hi", client_id="k1")
        assert ["hi"] == await waiting
        assert ["hi"] == [each.text for each in (await b.history(alice.id)).messages]
        assert [1] == [each.unread for each in (await b.inbox()).conversations]
        assert 1 == (await b.mark_delivered(alice.id, 1)).delivered_upto
        assert 1 == (await b.mark_read(alice.id, 1)).read_upto
        await b.send(alice.id, "hello")
        await a.typing(bob.id)
        events = [await anext(feed) for _ in range(3)]
        assert ["message_read", "new_message", "typing"] == [event.type for event in events]
        await a.report(bob.id, "He says hello.", seq=2)
        await a.block(bob.id)
        assert [bob.id] == [each.user.id for each in (await a.blocked()).blocked]
        await a.unblock(bob.id)
        assert not (await a.history(bob.id)).blocked


@in_loop
async def test_a_feed_resumes_after_a_restart(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A drain and a kill are pauses; each message comes once."""
    with Node(tmp_path_factory.mktemp("restart")) as node:
        states: list[ConnectionState] = []
        async with client_of(node.person("bob")) as client, client.events(on_state=states.append) as feed:
            first = asyncio.create_task(texts(feed, 1))
            await until(lambda: any(state.status == "connected" for state in states))
            node.person("alice").sends("bob", "1")
            assert ["1"] == await first
            for number, end in enumerate((node.stop, node.kill), 2):
                waiting = asyncio.create_task(texts(feed, 1))
                await asyncio.to_thread(end)
                await asyncio.to_thread(node.restart)
                node.person("alice").sends("bob", f"{number}")
                assert [f"{number}"] == await waiting
        assert {"draining"} < {state.reason for state in states}


# shows: reliability/once
@in_loop
async def test_cuts_on_the_way_cost_no_event_and_double_none(alice: Person, bob: Person) -> None:
    """In the middle of frames, with and without an answer to a send that was committed."""
    start = bob.head()
    for number in range(60):
        alice.sends(bob, f"{number}")
    with Proxy(bob.node.address) as proxy:
        assert bob.token is not None
        async with AsyncClient(proxy.url, bob.token) as client, client.events(start) as feed:
            proxy.cut_after(8_000)
            cut = [text for _ in range(30) for text in await texts(feed, 1)]
            proxy.cut_after(None)
            assert [f"{number}" for number in range(60)] == cut + await texts(feed, 30)
            assert proxy.accepted > 1
            proxy.lose_post_replies()
            sending = asyncio.create_task(client.send(alice.id, "once"))
            await until(lambda: proxy.lost_replies > 0)
            proxy.restore()
            assert "once" == (await sending).text
            assert ["once"] == await texts(feed, 1)
    assert 1 == [message["text"] for message in alice.history(bob)["messages"]].count("once")


@in_loop
async def test_a_consumer_that_waits_for_an_event_may_be_cancelled_and_come_back(alice: Person, bob: Person) -> None:
    """A timeout around each event costs no event and no second connection."""
    states: list[ConnectionState] = []
    async with client_of(bob) as client, client.events(on_state=states.append) as feed:
        for _ in range(20):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(feed), 0.02)
        await until(lambda: any(state.status == "connected" for state in states))
        alice.sends(bob, "1")
        alice.sends(bob, "2")
        assert ["1", "2"] == await texts(feed, 2)
        assert ["connecting", "connected"] == [state.status for state in states]


@pytest.mark.parametrize("port_is_open", [True, False])
@in_loop
async def test_closing_ends_an_iteration_at_once_in_whatever_it_waits_for(port_is_open: bool) -> None:
    """In the middle of an attempt and between two."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1] if port_is_open else 9
        states: list[ConnectionState] = []
        async with AsyncClient(f"http://127.0.0.1:{port}", "x") as client:
            feed = client.events(on_state=states.append)

            async def follow() -> list[str]:
                return [event.type async for event in feed]

            following = asyncio.create_task(follow())
            await until(lambda: bool(states) and (port_is_open or states[-1].status == "waiting"))
            began = time.monotonic()
            await feed.aclose()
            assert [] == await following
            assert time.monotonic() - began < 1


@in_loop
async def test_a_cancelled_call_leaves_nothing_behind(alice: Person, bob: Person) -> None:
    """The client works on, and the connection that was cut is not used again."""
    async with client_of(alice) as client:
        sends = [asyncio.create_task(client.send(bob.id, f"{number}", client_id=f"k{number}")) for number in range(20)]
        await asyncio.wait(sends, return_when=asyncio.FIRST_COMPLETED)
        for task in sends:
            task.cancel()
        await asyncio.wait(sends)
        for number in range(20):
            await client.send(bob.id, f"{number}", client_id=f"k{number}")
    assert {f"{number}" for number in range(20)} == {message["text"] for message in bob.history(alice)["messages"]}


@in_loop
async def test_a_call_that_is_cancelled_while_tls_begins_closes_its_connection() -> None:
    """At once, and not when the memory is tidied up: the other side would keep it as long."""
    ended = asyncio.Event()
    begun = asyncio.Event()

    async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        begun.set()
        while await reader.read(65536):
            pass
        ended.set()
        writer.close()

    gc.disable()
    try:
        async with (
            await asyncio.start_server(says_nothing, "127.0.0.1", 0) as server,
            AsyncClient(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", "x") as client,
        ):
            call = asyncio.create_task(client.send("bob", "hi"))
            await asyncio.wait_for(begun.wait(), PATIENCE_S)
            call.cancel()
            await asyncio.wait([call])
            await asyncio.wait_for(ended.wait(), PATIENCE_S)
            assert call.cancelled()
    finally:
        gc.enable()


@in_loop
async def test_without_a_server_it_is_tried_until_the_deadline() -> None:
    """Then it is StreamLost; typing is tried once, and what is lost of it is no error."""
    began = time.monotonic()
    async with AsyncClient("http://127.0.0.1:9", "x", deadline_s=1.5) as client:
        with pytest.raises(StreamLost):
            await client.send("bob", "hi")
        assert time.monotonic() - began < 2
        await client.typing("bob")


@in_loop
async def test_a_refusal_is_raised_with_the_server_s_words(alice: Person) -> None:
    """Status and code of the problem body, of a call and of a stream."""
    async with client_of(alice) as client:
        with pytest.raises(ServerProblem) as raised:
            await client.send(alice.id, "hi")
        assert (422, "to_oneself") == (raised.value.status, raised.value.code)
        with pytest.raises(ServerProblem, match="somebody else"):
            await client.typing(alice.id)
    async with AsyncClient(alice.node.url, "no-token-at-all") as client, client.events() as feed:
        with pytest.raises(ServerProblem) as raised:
            await anext(feed)
        assert 401 == raised.value.status


@pytest.mark.parametrize("is_async", [True, False])
@in_loop
async def test_a_token_function_may_be_async_or_not(alice: Person, bob: Person, is_async: bool) -> None:
    """It is asked once, and again when its token is rejected, also by twenty calls at a time."""
    tokens = [alice.node.token(alice.id, ttl_s=-3600), alice.token]
    asked = 0

    def fetch() -> str:
        nonlocal asked
        asked += 1
        token = tokens[min(asked, 2) - 1]
        assert token is not None
        return token

    async def fetch_later() -> str:
        await asyncio.sleep(0)
        return fetch()

    token: Callable[[], str] | Callable[[], Awaitable[str]] = fetch_later if is_async else fetch
    async with AsyncClient(alice.node.url, token) as client:
        await client.send(bob.id, "1")
        assert 2 == asked
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(client.send(bob.id, f"{number}"))
        assert 2 == asked


@in_loop
async def test_a_token_function_that_fails_is_the_caller_s_matter_and_iteration_may_go_on(
    alice: Person, bob: Person
) -> None:
    """Its exception comes out; the next attempt asks again."""
    answers = iter([LookupError("signed out"), alice.token])

    async def fetch() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        assert answer is not None
        return answer

    cursor = alice.head()
    bob.sends(alice, "hi")
    async with AsyncClient(alice.node.url, fetch) as client, client.events(cursor) as feed:
        with pytest.raises(LookupError):
            await anext(feed)
        assert ["hi"] == await texts(feed, 1)
