"""PROTOCOL.md and the tests that cite it agree.

A rule is a list item `- **4.1.2** sentence`. A test cites it in a docstring as `PROTOCOL 4.1.2`; several in a row as
`PROTOCOL 4.1.2, 4.1.3`. Only tests that talk to a running server count for a MUST.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec

from tidings.errors import Problem
from tidings.protocol import shapes
from tidings.protocol.events import EVENTS, LOG_EVENT_TYPES

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "PROTOCOL.md").read_text()
RULE = re.compile(r"^- \*\*(\d+\.\d+\.\d+)\*\* (.+)$", re.MULTILINE)
HEADING = re.compile(r"^##+ (\d+(?:\.\d+)?)\.? ", re.MULTILINE)
CITATION = re.compile(r"PROTOCOL(?:\.md)? (\d+(?:\.\d+)*(?:,\s+\d+(?:\.\d+)*)*)")
KEYWORD = re.compile(r"\b(MUST NOT|MUST|SHOULD NOT|SHOULD|MAY)\b")
RUNNING = ("contract", "server", "fault", "browser", "attack", "wide")

RULES = RULE.findall(DOCUMENT)
SHAPES: list[type[msgspec.Struct]] = [
    each
    for each in vars(shapes).values()
    if isinstance(each, type) and issubclass(each, msgspec.Struct) and each.__module__ == shapes.__name__
]
PROBLEMS: list[type[Problem]] = [Problem, *Problem.__subclasses__()]


def cited_in(*folders: str) -> Iterator[tuple[str, str]]:
    """Every (file, number) that is cited below these folders of the repository."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".ts", ".tsx"):
                for numbers in CITATION.findall(path.read_text()):
                    for number in re.split(r",\s+", numbers):
                        yield str(path.relative_to(ROOT)), number


def test_every_must_is_cited_by_a_test_that_talks_to_a_running_server() -> None:
    """A rule that nobody tests is a wish."""
    cited = {number for _, number in cited_in(*(f"tests/{folder}" for folder in RUNNING))}
    untested = [f"{number} {sentence}" for number, sentence in RULES if "MUST" in sentence and number not in cited]
    assert untested == []


def test_every_citation_names_a_rule_or_section_that_exists() -> None:
    """A renumbered document would otherwise leave tests and code that cite something else."""
    known = {number for number, _ in RULES} | set(HEADING.findall(DOCUMENT))
    dangling = [(path, number) for path, number in cited_in("src", "tests", "examples") if number not in known]
    assert dangling == []


def test_every_rule_has_exactly_one_keyword() -> None:
    """A sentence with two MUSTs could be half tested."""
    wrong = [number for number, sentence in RULES if len(KEYWORD.findall(sentence)) != 1]
    assert wrong == []


def test_every_must_outside_the_conventions_is_numbered() -> None:
    """A sentence without a number explains and binds nobody."""
    introduction, _, rules = DOCUMENT.partition("## 1. Conventions")
    assert introduction
    loose = [line for line in rules.splitlines() if KEYWORD.search(line) and not RULE.match(line)]
    assert loose == []


def test_numbers_are_unique_and_rise_within_their_section() -> None:
    """A number names one rule for good."""
    numbers = [tuple(int(part) for part in number.split(".")) for number, _ in RULES]
    assert numbers == sorted(set(numbers))


def test_every_rule_stands_under_the_heading_of_its_number() -> None:
    """A reader finds rule 7.3.2 in section 7.3."""
    heading = ""
    for line in DOCUMENT.splitlines():
        if found := HEADING.match(line):
            heading = found[1]
        if found := RULE.match(line):
            section, sub, _ = found[1].split(".")
            assert heading == (section if sub == "0" else f"{section}.{sub}"), line


def test_every_problem_code_is_documented_and_every_documented_one_exists() -> None:
    """docs/run/problems.md has a section for each code of PROTOCOL.md 5, under its status."""
    table = re.findall(r"^\| (\d{3}) \| (.+) \|$", DOCUMENT, re.MULTILINE)
    in_protocol = {(status, code) for status, codes in table for code in re.findall(r"`(\w+)`", codes)}
    in_problems = set()
    status = ""
    for line in (ROOT / "docs" / "run" / "problems.md").read_text().splitlines():
        if found := re.match(r"## (\d{3}): ", line):
            status = found[1]
        if found := re.match(r"### (\w+)$", line):
            in_problems.add((status, found[1]))
    assert in_protocol == in_problems


def test_every_code_that_the_server_answers_is_in_the_protocol() -> None:
    """A new refusal begins with a line of PROTOCOL.md 5."""
    kinds = "|".join(kind.__name__ for kind in PROBLEMS)
    raised = set()
    for path in (ROOT / "src" / "tidings").rglob("*.py"):
        raised |= set(re.findall(rf'\b(?:{kinds})\(\s*"([a-z_]+)"', path.read_text()))
    assert raised - set(re.findall(r"`(\w+)`", DOCUMENT)) == set()


def form(shape: type[msgspec.Struct]) -> str:
    """The shape as the document lists it: ``recipientId, text, message_type?, client_id?``."""
    is_request = shape.__name__.endswith("Body")
    return ", ".join(
        field.encode_name
        + ("?" if (not field.required if is_request else msgspec.UnsetType in get_args(field.type)) else "")
        for field in msgspec.structs.fields(shape)
    )


def listed_forms() -> Iterator[str]:
    """Every ``{a, b?, c: [{d}]}`` of the document, without what stands after the names; inner ones for themselves."""
    for code in re.findall(r"`(\{[^`]*\}[^`]*)`", DOCUMENT.replace("{me}", "me")):
        while found := re.search(r"\{([^{}]*)\}", code):
            names = [each.partition(":")[0].strip() for each in found[1].split(",")]
            yield ", ".join(names)
            code = code.replace(found[0], "").replace(", ...", "")


def shown_forms() -> Iterator[str]:
    """The forms of the examples in JSON, and of the problem, whose members 5.0.1 names."""

    def forms(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield ", ".join(value)
            for each in value.values():
                yield from forms(each)

    message = re.search(r"```json\n(\{.*?\})\n```", DOCUMENT, re.DOTALL)
    connected = re.search(r'^data: (\{"type":"connected".*\})$', DOCUMENT, re.MULTILINE)
    assert message
    assert connected
    yield from forms(json.loads(message[1]))
    yield from forms(json.loads(connected[1])["data"])
    yield ", ".join(re.findall(r"`(\w+)`", dict(RULES)["5.0.1"]))


def test_the_document_lists_the_fields_that_the_shapes_have() -> None:
    """A field that one of both does not have would be promised and not sent, or sent and not promised."""
    told = {"chatUserId, watermarks", "chatUserId, code"}  # of ReceiptTold, one or the other

    assert "chatUserId, watermarks?, code?" == form(shapes.ReceiptTold)
    assert {form(each) for each in SHAPES if each is not shapes.ReceiptTold} | told == {*listed_forms(), *shown_forms()}


def test_the_table_of_the_events_of_the_log_is_that_of_the_registry() -> None:
    """The types, the fields of their data, and whose logs have them."""
    rows = re.findall(r"^\| `(\w+)` \| (?:a (\w+)|`\{(.*)\}`) \| (.+) \|$", DOCUMENT, re.MULTILINE)
    logs = {"both participants": "both", "the sender of the messages": "other"}
    listed = {
        name: (form(getattr(shapes, shape)) if shape else fields, logs[whose]) for name, shape, fields, whose in rows
    }

    assert {name: (form(EVENTS[name].data), EVENTS[name].log) for name in LOG_EVENT_TYPES} == listed


def test_the_document_names_the_types_of_all_frames() -> None:
    """Those without an id are in 7.2.9, the first two have sections, and the others are in the table of the log."""
    without_id = set(re.findall(r"`(\w+)`", dict(RULES)["7.2.9"])) - {"id"}

    assert set(EVENTS) == without_id | LOG_EVENT_TYPES | {"connected", "reset"}
