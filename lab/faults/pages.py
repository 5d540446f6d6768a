"""The documents' part about the fault runs, from the entries of results.json (fault_results.py)."""

from __future__ import annotations

import re
import string
from typing import Any

NODES = "nodes_"  # begins the names of the scenes with several nodes


def of_one_node(scenes: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the scenes that have one node."""
    return {name: each for name, each in scenes.items() if not name.startswith(NODES)}


def of_nodes(scenes: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the scenes that have several."""
    return {name: each for name, each in scenes.items() if name.startswith(NODES)}


def table_of_nodes(scenes: dict[str, dict[str, Any]]) -> str:
    """A row for each scene with several nodes."""
    rows = ["| fault | acknowledged | sent again | lost, doubled, out of order | resets | longest gap | seen | back |"]
    rows.append("|---|---|---|---|---|---|---|---|")
    for each in scenes.values():
        figures, recovery = each["figures"], each["recovery_s"]["most"]
        rows.append(
            f"| {each['fault'].removeprefix('nodes: ')} | {each['acknowledged'] or '-'} |"
            f" {figures.get('sends_sent_again', '-')} | {_counts(each)} | {figures.get('resets', '-')} |"
            f" {figures.get('longest_gap_s', '-')} s | {_seen(each)} | {'-' if recovery is None else f'{recovery} s'} |"
        )
    return "\n".join(rows) + "\n"


def table(scenes: dict[str, dict[str, Any]]) -> str:
    """A row for each scene."""
    rows = ["| fault | rounds | acknowledged | in flight | lost, doubled, out of order | seen | back |"]
    rows.append("|---|---|---|---|---|---|---|")
    for each in scenes.values():
        recovery = each["recovery_s"]
        back = "-" if recovery["median"] is None else f"{recovery['median']} s"
        if each["rounds"] > 1 and recovery["most"] is not None:
            back += f", at most {recovery['most']} s"
        fault = each["fault"] + (" (control: has to lose)" if each["is_control"] else "")
        rows.append(
            f"| {fault} | {each['rounds']} | {each['acknowledged'] or '-'} | {each['in_flight'] or '-'} |"
            f" {_counts(each)} | {_seen(each)} | {back} |"
        )
    return "\n".join(rows) + "\n"


def _counts(outcome: dict[str, Any]) -> str:
    counts = ", ".join(str(outcome[kind]) for kind in ("lost", "doubled", "out_of_order"))
    return counts if outcome["holds"] else f"{counts}; **does not hold**"


def _seen(outcome: dict[str, Any]) -> str:
    told = (
        _told(error) if count == outcome["rounds"] else f"{_told(error)} ({count})"
        for error, count in outcome["errors"].items()
    )
    return ", ".join(told) or "-"


def _told(error: str) -> str:
    """Return our clients' name for it, in words."""
    return {"StreamLost": "no answer"}.get(error, re.sub(r"^(\d+) status_\1$", r"\1 of the proxy", error))


NOTES = {
    "kill": "{sends_sent_again} sends that were in flight when a process was killed were sent again.",
    "unread_streams": "A reader that never reads costs {kib_of_each} KiB, {kib_of_each_in_the_kernel} of them in the"
    " kernel (goal: 256). A flood of {acknowledged} messages to another device of the user took {flood_s_without} s"
    " without them, and {flood_s_with_them} s with them.",
    "catch_up": "The catch-up was on {devices} devices at once, in {pages_of_500} pages of 500; meanwhile"
    " {live_messages_meanwhile} messages to another user took {two_sends_and_their_frame_ms_median} ms in the median"
    " and {two_sends_and_their_frame_ms_most} ms at most, two sends and the frame of one together.",
    "reconnections": "Of the clients that came back at once, each with {backlog_each} messages missed, the median had"
    " all after {median_s} s and the last after {last_s} s.",
    "drain": "Drain in a window of {window_s} s: the process had ended after {exit_after_s} s; its streams come back"
    " after {come_back_after_ms} ms, at most {most_in_a_tenth_of_the_window} in any tenth of the window.",
    "network_streams held until they close": "While a proxy held all streams, {acknowledged_meanwhile} messages were"
    " acknowledged; the client for JavaScript had {javascript_got_meanwhile} of them by polling, the Python client"
    " {python_got_meanwhile} until the proxy let go.",
    "nodes_promotion of an asynchronous standby": "Of the messages that the primary had acknowledged, {gone_and_told}"
    " were not on the standby, which lagged by 3 s. The nodes noticed it: {people_told} of 40 people were told to read"
    " anew (reset), and nobody has kept a message that the database does not have.",
    "nodes_promotion of one, and the node that wrote is gone": "Where the only node that wrote went with the primary,"
    " {gone_and_told} messages were gone, and {people_told} of 40 people were told.",
    "soak_of_ten_minutes": "Soak: {memory_mib_at_first} MiB at first, {memory_mib_at_last} MiB after it, slope"
    " {memory_slope_mib} MiB (goal: 1). {streams_opened} streams came and went; descriptors {descriptors_before}"
    " before, {descriptors_after} after.",
}
"""What a scene measured besides, said with its figures; those that it did not come to are not said."""


def notes(scenes: dict[str, dict[str, Any]]) -> str:
    """Return the other measurements, and the notes by hand."""
    said = [_said(text, scenes[name]) for name, text in NOTES.items() if name in scenes]
    said += [_limits(scenes["limits"]["figures"])] if "limits" in scenes else []
    said += [_silence(scenes)]
    said += [f"{each['fault']}: {each['note']}" for each in scenes.values() if "note" in each]
    return "".join(f"- {text}\n" for text in said if text)


def _said(text: str, outcome: dict[str, Any]) -> str:
    known = {**outcome, **outcome["figures"]}
    names = {name for _, name, _, _ in string.Formatter().parse(text) if name}
    return text.format(**known) if names <= known.keys() else ""


def _limits(figures: dict[str, str]) -> str:
    passed = [f"{name.replace('_', ' ')} {value}" for name, value in figures.items() if not name.startswith("status")]
    answers = [
        f"{name.removeprefix('status_for_').replace('_', ' ')} gets {value.split(' of ')[0]}"
        for name, value in figures.items()
        if name.startswith("status")
    ]
    return f"Limits, seen and allowed: {', '.join(passed)}; {', '.join(answers)}." if figures else ""


def _silence(scenes: dict[str, dict[str, Any]]) -> str:
    silent = ("network_stalled both ways", "network_stalled down", "network_half-open for good, new connections pass")
    seconds = [
        noticed
        for name in silent
        if name in scenes
        for kind in ("python", "javascript")
        if (noticed := scenes[name]["figures"].get(f"{kind}_noticed_s")) is not None
    ]
    return (
        f"A connection that falls silent is noticed after {min(seconds)} to {max(seconds)} s at a heartbeat of 1 s (two"
        " heartbeats and 5 s), by either client."
        if seconds
        else ""
    )


def when_and_where(entries: list[dict[str, Any]]) -> str:
    """Of all entries together; and whether the machine did something else."""
    times = sorted(each["at"].replace("T", " ").removesuffix("Z") for each in entries)
    loads = sorted(each["load"] for each in entries)
    machines = sorted({each["machine"] for each in entries})
    began = f"at {times[0]}" if times[0] == times[-1] else f"between {times[0]} and {times[-1]}"
    load = f"{loads[0]}" if loads[0] == loads[-1] else f"{loads[0]} to {loads[-1]}, its own work included"
    text = f"Begun {began} UTC on {'; '.join(machines)}; load average before {load}."
    if loads[0] > entries[0]["cores"]:
        text += (
            " **The machine was busy with other work**: the counts hold, the seconds are upper bounds, and are not"
            " comparable with anything."
        )
    return text


def simulation(played: dict[str, Any], mutants: dict[str, Any]) -> str:
    """The last run of the seeds, and of the planted defects."""
    text = f"{_seeds(played)}\n" if played else "No run of 2,000 seeds is published yet.\n"
    return text + (f"\n{_planted(mutants)}\n" if mutants else "")


def simulation_of_nodes(played: dict[str, Any], mutants: dict[str, Any]) -> str:
    """Likewise of several nodes, with each kind of fault and each defect."""
    text = "No run of 1,000 seeds of several nodes is published yet.\n"
    if played:
        faults = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in played["faults_by_kind"].items())
        text = f"{_seeds(played)}\n\nFaults: {faults}.\n"
    if mutants:
        rows = [f"| {name} | {'-' if seed is None else seed} |" for name, seed in mutants["found_by_seed"].items()]
        text += "\n".join([f"\n{_planted(mutants)}\n", "| planted defect | found by seed |", "|---|---|", *rows, ""])
    return text


def _seeds(played: dict[str, Any]) -> str:
    return (
        f"The last run: {played['seeds']:,} seeds, all clean; {played['operations']:,} operations and"
        f" {played['faults']:,} faults, at least {played['operations_least']} and {played['faults_least']} in each;"
        f" {played['commits']:,} commits, {played['virtual_h']} hours of virtual time in {played['took_s']} s."
        f" {when_and_where([played])}"
    )


def _planted(mutants: dict[str, Any]) -> str:
    by = mutants["found_by_seed"]
    missed = [name for name, seed in by.items() if seed is None]
    found = [seed for seed in by.values() if seed is not None]
    return (
        f"Of {len(by)} planted defects {len(found)} were found: {found.count(0)} by the first seed, the last by"
        f" seed {max(found, default=0)}.{' **Not found**: ' + ', '.join(missed) + '.' if missed else ''}"
        f" {when_and_where([mutants])}"
    )


def verdict(scenes: dict[str, dict[str, Any]]) -> str:
    """All of them in a paragraph."""
    holding = sum(each["holds"] for each in scenes.values())
    wrong = sum(
        each["lost"] + each["doubled"] + each["out_of_order"] for each in scenes.values() if not each["is_control"]
    )
    counted = "Nothing acknowledged was lost, doubled or out of order" if wrong == 0 else f"**{wrong} were wrong**"
    has_control = any(each["is_control"] for each in scenes.values())
    gone = sum(each["figures"].get("gone_and_told", 0) for each in scenes.values())
    counted += f", but for {gone} messages that a standby did not have, and all were told of it" if gone else ""
    where = when_and_where([*scenes.values()])
    held = "all hold" if holding == len(scenes) else f"{holding} hold"
    text = f"The last run: {len(scenes)} lines, of which {held}. {counted}"
    text += f", but in the control, which has to lose. {where}\n" if has_control else f". {where}\n"
    return text + "".join(
        f"\n**Does not hold**, {each['fault']}: {'; '.join(each['failures'] or ['see its counts'])}.\n"
        for each in scenes.values()
        if not each["holds"]
    )
