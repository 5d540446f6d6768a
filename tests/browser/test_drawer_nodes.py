"""The drawer of `tidings demo --nodes 3`: a node is killed under two people who write, and they go on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from lab.demo import EXIT_DEADLINE_S, Demo
from lab.process import is_gone, wait_for
from tests.browser.test_drawer import Drawer
from tests.browser.window import Window


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Three nodes, on a PostgreSQL server that the demo starts for itself."""
    with Demo(tmp_path_factory.mktemp("demo"), nodes=3) as demo:
        yield demo


# shows: demo/nodes
def test_a_node_is_killed_and_the_conversation_goes_on_over_the_others(
    nodes: Demo, profile: Callable[[], BrowserContext]
) -> None:
    """The drawer says which node has whose stream. When that one is killed another has it: 0 lost, 0 doubled."""
    nodes.sends("ada", "ben", "hello")
    nodes.orders("count")
    browser = profile()
    ada, ben = Window.in_demo(browser, nodes.url, "ada", "ben"), Window.in_demo(browser, nodes.url, "ben", "ada")
    drawer = Drawer(ada).open()
    panel = drawer.panel
    expect(panel.get_by_role("heading", name="The nodes")).to_be_visible()
    mine = panel.locator(".demo-row").filter(has_text="It has the stream of").filter(has_text="Ada").first
    kill = mine.get_by_role("button", name="Kill node")
    number = int((kill.text_content() or "").removeprefix("Kill node "))
    ada.says("before")
    expect(ben.message("before")).to_be_visible()

    kill.click()

    row = panel.locator(".demo-row").filter(has=ada.page.get_by_role("button", name=f"Start node {number}"))
    expect(row).to_contain_text("Dead.")
    for window, other, text in ((ada, ben, "over another node"), (ben, ada, "and back")):
        window.says(text)
        expect(other.message(text)).to_be_visible()
    ada.is_waiting_for(
        lambda: any("ada" in node["streams"] for node in nodes.state["nodes"] if node["number"] != number),
        "another node has the stream",
    )
    assert [number] == [node["number"] for node in nodes.state["nodes"] if node["state"] == "dead"]
    row.get_by_role("button", name=f"Start node {number}").click()
    expect(panel.get_by_role("button", name=f"Kill node {number}")).to_be_visible()

    assert {"sent": 3, "acknowledged": 3, "received": 3, "lost": 0, "doubled": 0} == drawer.reconciles(3)
    expect(ada.page.get_by_role("status").filter(has_text="Nothing is broken.")).to_be_attached()
    for window in (ada, ben):
        assert 3 == len([text for text in window.texts if text in ("before", "over another node", "and back")])


# shows: demo/no-database-left
def test_no_database_is_left_when_the_demo_of_several_nodes_is_killed(nodes: Demo) -> None:
    """Nodes and PostgreSQL notice that the demo has gone, and its temporary folder goes with it."""

    def children(process_id: int) -> list[int]:
        return [int(id) for id in Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()]

    def command(process_id: int) -> str:
        return Path(f"/proc/{process_id}/cmdline").read_text().replace("\0", " ")

    ours = children(nodes.pid)
    [database] = [id for each in ours for id in children(each) if "postgres" in command(id)]
    [data] = re.findall(r"-D (\S+)", command(database))
    assert Path(data).is_dir()
    assert nodes.process is not None
    nodes.process.kill()
    nodes.process.wait()

    wait_for(
        lambda: all(is_gone(id) for id in (*ours, database)) and not Path(data).parent.exists(),
        EXIT_DEADLINE_S,
        "all have ended, and the folder is gone",
    )
