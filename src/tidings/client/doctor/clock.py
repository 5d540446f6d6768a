"""The server's clock beside this machine's: tokens expire early or late where the two differ."""

from __future__ import annotations

from collections.abc import Iterator

from tidings.client.doctor import limits
from tidings.client.doctor.finding import Finding


def skew(server_time: float, our_time: float, *, coarse_s: float) -> Iterator[Finding]:
    """The difference of the clocks, if it matters; ``coarse_s`` of it may be due to how it was measured."""
    difference_s = server_time - our_time
    if abs(difference_s) > limits.SKEW_MAX_S + coarse_s:
        direction = "ahead of" if difference_s > 0 else "behind"
        text = (
            f"the server's clock is {abs(difference_s):.0f} s {direction} this machine's: tokens expire early or late"
        )
        yield Finding("fault", "clock", text, "set both clocks by NTP")
    else:
        yield Finding("ok", "clock", f"within {abs(difference_s) + coarse_s:.0f} s of this machine's")
