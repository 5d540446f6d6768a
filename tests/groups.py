"""The tests that a worker of pytest-xdist plays together, and those that begin first, under `--dist loadgroup`.

The marks of pytest-xdist 3.8 do not count with pytest 9.2: it writes the group into a field that pytest reads no more,
and plays each test wherever there is room. So the groups are told by the names of tests.
"""

from __future__ import annotations

WAITING = {f"tests/browser/test_{name}.py" for name in ("two_browsers", "chat_broken", "lifecycle", "tabs")}
"""These wait for real seconds, five minutes together, and take a third of a core: one worker plays them, one after the
other, while the others keep the processor busy."""
LONGEST = "tests/browser/test_look_states.py"
"""Two minutes. Begun last, it would run alone."""
ENGINES = "tests/wide/test_engines.py"
"""Each engine is a group, which waits out its long disconnect while the others do."""
APART = {"tests/wide/test_servers.py", "tests/wide/test_workers.py"}
"""Each test has a server of its own, and together they are the longest."""


def group_of(node_id: str) -> str:
    """The group of a test: the tests of a file share servers, applications and browsers."""
    file, _, test = node_id.partition("::")
    if file in WAITING:
        return "waiting"
    if file == ENGINES:
        return test.rpartition("[")[2]
    return node_id if file in APART else file


def place_of(node_id: str) -> int:
    """Where a test begins: what waits, then the longest, then all others as they come."""
    file = node_id.partition("::")[0]
    return 0 if file in WAITING else 1 if file == LONGEST else 2
