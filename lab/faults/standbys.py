"""A database that goes, and its standby that takes its place: one that had everything, and one that lags."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from lab.crowd import log_after, position
from lab.faults.cluster import AFTER_S, BEFORE_S, PEOPLE, SENDS_PER_S, Cluster, played
from lab.faults.rounds import Found, Outcome, judge
from lab.faults.traffic import Traffic
from lab.postgres import USER, Postgres, program
from lab.process import wait_for
from lab.proxy import Proxy

LAG_S, AWAY_S = 3.0, 10.0


class Standby(Postgres):
    """A copy of a database that runs, which follows it over a proxy."""

    def __init__(self, primary: Postgres, link: Proxy) -> None:
        self._copied_from = primary.port
        self._link = link
        super().__init__()

    def makes_data(self) -> list[str]:
        link = f"host=127.0.0.1 port={self._link.port} user={USER}"
        return [program("pg_basebackup"), "--write-recovery-conf", "--checkpoint=fast", "-D", self.data, "-d", link]

    def promote(self) -> None:
        """It takes writes from now on."""
        assert self.run("SELECT pg_promote(wait_seconds => 30)") == "t"


class Pair:
    """A primary and a standby of it, and the URL that names both."""

    def __init__(self, *, is_synchronous: bool) -> None:
        self._leaving = contextlib.ExitStack()
        with contextlib.ExitStack() as leaving:
            self.primary = Postgres()
            leaving.callback(self.primary.remove)
            self.primary.start()
            self.link = leaving.enter_context(Proxy(("127.0.0.1", self.primary.port)))
            self.standby = Standby(self.primary, self.link)
            leaving.callback(self.standby.remove)
            self.standby.start()
            if is_synchronous:
                self.primary.run("ALTER SYSTEM SET synchronous_standby_names = '*'")
                self.primary.run("SELECT pg_reload_conf()")
            state = "sync" if is_synchronous else "async"
            asked = f"SELECT sync_state = '{state}' AND state = 'streaming' FROM pg_stat_replication"
            wait_for(lambda: self.primary.run(asked) == "t", what="a standby that follows")
            self._leaving = leaving.pop_all()
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in (self.primary, self.standby))
        self.url = f"postgresql://{USER}@{hosts}/postgres?target_session_attrs=read-write"

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.close()

    def fails_over(self) -> None:
        """The primary crashes, and the standby takes its place."""
        self.primary.crash()
        self.standby.promote()


def synchronous(directory: Path) -> Outcome:
    """Commits waited for the standby: nothing is lost."""
    with Pair(is_synchronous=True) as pair, Cluster(directory, pair.primary, db=pair.url) as cluster:
        outcome = played(cluster, "nodes: promotion of a synchronous standby", lambda _: pair.fails_over())
        cluster.ends_well(outcome)
    return outcome


def lagging(directory: Path) -> Outcome:
    """The last seconds of the primary are gone with it. Nobody keeps a message that the database does not have without
    being told: who was told has a reset, and what is missing otherwise is lost.
    """
    outcome, traffic = loses_some(directory, "promotion of an asynchronous standby that lags by 3 s")
    told = outcome.figures["people_told"]
    outcome.expects(outcome.figures["gone_and_told"] > 0, "the standby did not lag: nothing was shown")
    outcome.expects(told == len(traffic.people), f"only {told} of {len(traffic.people)} were reset")
    return outcome


def lagging_with_its_node(directory: Path) -> Outcome:
    """Likewise, and the node that had written all of it is gone with the primary: no other misses its own commits."""
    outcome, _ = loses_some(directory, "the same, together with the only node that wrote", has_one_writer=True)
    outcome.expects(outcome.figures["gone_and_told"] > 0, "the standby did not lag: nothing was shown")
    return outcome


def synchronous_that_was_away(directory: Path) -> Outcome:
    """Commits waited for a standby that did not answer, longer than the database lets them; then it takes over. Nothing
    was acknowledged meanwhile. Nobody keeps a message that was seen on the primary and is not there.
    """
    name = "promotion of a synchronous standby that had been away for 10 s"
    outcome, _ = loses_some(directory, name, is_synchronous=True, lag_s=AWAY_S)
    outcome.expects(outcome.figures["gone_and_told"] == 0, f"{outcome.figures['gone_and_told']} were acknowledged")
    outcome.expects(outcome.errors["503 unavailable"] > 0, "no commit waited: nothing was shown")
    return outcome


def loses_some(
    directory: Path, name: str, *, is_synchronous: bool = False, has_one_writer: bool = False, lag_s: float = LAG_S
) -> tuple[Outcome, Traffic]:
    """A standby that lags takes the place of its primary; the judge knows who was told."""
    outcome = Outcome(f"nodes: {name}", rounds=1)
    with Pair(is_synchronous=is_synchronous) as pair, Cluster(directory, pair.primary, db=pair.url) as cluster:
        traffic = Traffic(cluster.nodes, PEOPLE, SENDS_PER_S)
        if has_one_writer:
            traffic.writes_to = cluster.nodes[-1:]
        with traffic.runs():
            time.sleep(BEFORE_S)  # the load before it
            pair.link.stall()
            time.sleep(lag_s)  # the fault itself
            if has_one_writer:
                cluster.nodes[-1].kill()
                traffic.writes_to = cluster.nodes[:-1]
            pair.fails_over()
            ended_at = time.monotonic()
            time.sleep(2 * AFTER_S)  # and after it
        traffic.note(outcome, ended_at)
        outcome.adds(judge_after_a_loss(traffic, outcome))
        if has_one_writer:
            cluster.nodes[-1].restart()
        cluster.ends_well(outcome)
    return outcome, traffic


def judge_after_a_loss(traffic: Traffic, outcome: Outcome) -> Found:
    """Compare what is there with what those have who were told, after that; and with all that others have."""
    epoch = traffic.people[0].head().partition("-")[0]
    starts = {name: cursor.replace(cursor.partition("-")[0], epoch) for name, cursor in traffic.starts.items()}
    logs = {person.id: log_after(person, starts[person.id]) for person in traffic.people}
    # By its text: in the new history another message may have its id.
    there = {each["data"]["text"] for log in logs.values() for each in log if each["type"] == "new_message"}
    acknowledged = [letter for letter in traffic.letters if letter.message is not None]
    gone = [letter for letter in acknowledged if letter.text not in there]
    told = {name for name, reader in traffic.readers.items() if reader.resets}
    outcome.figures |= {"gone_and_told": len(gone), "people_told": len(told)}
    untold = {letter.client_id for letter in gone if not {letter.sender.id, letter.recipient.id} <= told}
    kept = [letter for letter in acknowledged if letter not in gone]
    found = judge(kept, starts)
    lost, doubled, out_of_order = found.lost + len(untold), found.doubled, found.out_of_order
    for name, reader in traffic.readers.items():
        after = position(reader.began_at) if name in told else position(starts[name])
        wanted = [each["id"] for each in logs[name] if position(each["id"]) > after]
        got = [frame.id for frame in reader.events]
        lost += len(set(wanted) - set(got))
        doubled += len(got) - len(set(got))
        out_of_order += list(dict.fromkeys(got)) != [each for each in wanted if each in set(got)]
    return Found(len(acknowledged), lost, doubled, out_of_order)
