"""Which signals are one reason to stop, and which a second one (PROTOCOL.md 15.0.7)."""

from __future__ import annotations

from signal import SIGHUP, SIGINT, SIGTERM, Signals

import pytest

from tidings.server.http.stopping import Said, Stopping

STOP, SAME, AT_ONCE = Said.STOP, Said.NOTHING_NEW, Said.AT_ONCE


@pytest.mark.parametrize(
    ("signals", "said"),
    [
        ([(SIGTERM, 0.0), (SIGTERM, 0.0)], [STOP, SAME]),  # timeout: to its child, and to the group
        ([(SIGTERM, 0.0), (SIGTERM, 0.4), (SIGTERM, 0.6)], [STOP, SAME, AT_ONCE]),
        ([(SIGTERM, 0.0), (SIGHUP, 0.01)], [STOP, SAME]),  # systemd with SendSIGHUP=
        ([(SIGHUP, 0.0), (SIGHUP, 0.3)], [STOP, SAME]),  # a terminal that goes, and its shell
        ([(SIGINT, 0.0), (SIGINT, 0.02), (SIGTERM, 0.3)], [STOP, SAME, SAME]),  # Ctrl-C, handed on by a parent
        ([(SIGINT, 0.0), (SIGINT, 0.15)], [STOP, AT_ONCE]),  # Ctrl-C, pressed twice as fast as fingers can
        ([(SIGINT, 0.0), (SIGINT, 0.02), (SIGINT, 0.2)], [STOP, SAME, AT_ONCE]),  # of which one came double
        ([(SIGTERM, 0.0), (SIGINT, 0.15)], [STOP, AT_ONCE]),
        ([(SIGTERM, 0.0), (SIGTERM, 60.0)], [STOP, AT_ONCE]),
    ],
)
def test_signals_that_come_together_are_one_reason_to_stop(
    signals: list[tuple[Signals, float]], said: list[Said]
) -> None:
    """A person who presses Ctrl-C twice is not waited for."""
    stopping = Stopping()
    assert said == [stopping.take(number, at_s) for number, at_s in signals]
