"""HAProxy with the file that we ship: what holds behind nginx and Caddy (tests/server, tests/attack) does behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.front import Front
from lab.node import API, Node
from lab.process import wait_for
from tests.attack.test_behind_proxies import BURST, test_no_spelling_of_its_path_reaches_what_is_for_operators
from tests.attack.test_behind_proxies import (
    test_a_guesser_of_tokens_behind_a_proxy_is_known_by_address as test_clients_have_addresses,
)
from tests.server.test_deploy import (
    LIMITS,
    test_a_drain_passes_and_no_token_is_in_the_proxys_logs,
    test_a_message_passes_to_an_open_stream_at_once,
    test_a_page_of_ours_writes_with_its_cookie,
    test_a_request_has_one_id_in_both_logs,
    test_a_stream_over_http2_is_passed_on_frame_by_frame,
    test_an_answer_that_holds_a_stranger_s_text_is_not_compressed,
    test_browsers_are_told_to_guess_nothing_and_to_stay_with_tls,
    test_pages_for_operators_are_not_public,
    test_the_doctor_finds_no_fault_behind_the_shipped_proxy,
)
from tests.server.test_deploy_nodes import nodes, one_may_be_away

__all__ = [
    "nodes",
    "test_a_drain_passes_and_no_token_is_in_the_proxys_logs",
    "test_a_message_passes_to_an_open_stream_at_once",
    "test_a_page_of_ours_writes_with_its_cookie",
    "test_a_request_has_one_id_in_both_logs",
    "test_a_stream_over_http2_is_passed_on_frame_by_frame",
    "test_an_answer_that_holds_a_stranger_s_text_is_not_compressed",
    "test_browsers_are_told_to_guess_nothing_and_to_stay_with_tls",
    "test_clients_have_addresses",
    "test_no_spelling_of_its_path_reaches_what_is_for_operators",
    "test_pages_for_operators_are_not_public",
    "test_the_doctor_finds_no_fault_behind_the_shipped_proxy",
]

CHECKED_OFTEN = {"check inter 1s rise 1": "check inter 50ms fall 1 rise 1"}


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with (
        Node(tmp_path_factory.mktemp("node"), **LIMITS, refused_tokens_burst=BURST, refused_tokens_per_s=0.01) as node,
        Front("haproxy", node, tmp_path_factory.mktemp("front"), CHECKED_OFTEN) as front,
    ):
        yield front


def test_its_plain_check_finds_the_server_and_that_it_drains(tmp_path_factory: pytest.TempPathFactory) -> None:
    """``option httpchk`` asks ``OPTIONS /`` without a host: up, and down as soon as the server drains."""
    window: dict[str, Any] = {"drain_window_s": 10, "drain_streams_per_s": 0.1}
    with (
        Node(tmp_path_factory.mktemp("node"), **window) as node,
        Front("haproxy", node, tmp_path_factory.mktemp("front"), CHECKED_OFTEN) as front,
        node.person("ada").opens_stream().live(),
    ):
        headers = {"Authorization": f"Bearer {node.token('ada')}"}
        for _ in range(40):  # a check that fails would take the only server out within a twentieth of a second
            assert 200 == front.http.get(f"{front.url}{API}/inbox/me", headers=headers).status_code
        assert "DOWN" not in front.logs
        node.signal_stop()
        wait_for(lambda: "DOWN" in front.logs, what="a check that fails")
        node.kill()


# shows: nodes/proxies
def test_behind_haproxy_any_node_serves_anybody_and_one_may_be_away(nodes: list[Node], tmp_path: Path) -> None:
    """As behind nginx and Caddy (tests/server/test_deploy_nodes.py)."""
    with Front("haproxy", nodes[0], tmp_path, others=nodes[1:]) as front:
        one_may_be_away(front, nodes)
