"""Three nodes on one PostgreSQL while one of them, the database or what is between them breaks (I1, I2).

The short forms of `make fault ONLY=nodes`, on one cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from lab.faults import nodes
from lab.faults.cluster import Breaks, Cluster, played
from lab.faults.rounds import Outcome
from lab.postgres import Postgres

PEOPLE = 10
SENDS_PER_S = 30.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes that were started in the same moment on a database that had nothing in it."""
    with Cluster(tmp_path_factory.mktemp("nodes"), Postgres(), has_proxies=True) as cluster:
        yield cluster
        ending = Outcome("the end of the nodes")
        cluster.ends_well(ending)
        assert ending.holds, ending


# shows: faults/nodes
@pytest.mark.parametrize(
    "breaks",
    [
        pytest.param(lambda _: None, id="three start on nothing"),
        pytest.param(partial(nodes.kills_a_node, away_s=0.5), id="a node is killed"),
        pytest.param(nodes.restarts_the_database, id="the database restarts"),
        pytest.param(partial(nodes.cuts_a_node_from_the_database, seconds=3), id="a node is cut from the database"),
        pytest.param(partial(nodes.locks_a_user, seconds=1), id="somebody locks a user"),
    ],
)
def test_nothing_acknowledged_is_lost_doubled_or_out_of_order_on_several_nodes(
    cluster: Cluster, breaks: Breaks
) -> None:
    """Everybody writes and reads on whichever node answers; no node ends by itself, or writes a traceback.
    PROTOCOL 9.0.1, 9.0.13, 9.0.16, 6.0.1, 6.0.2
    """
    outcome = played(cluster, "a fault", breaks, people=PEOPLE, sends_per_s=SENDS_PER_S, before_s=0.5, after_s=0.5)
    assert outcome.holds, outcome
    assert outcome.acknowledged > 0
    assert [] == [node.stderr for node in cluster.nodes if "Traceback" in node.stderr]
