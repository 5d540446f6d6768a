"""How long the doctor waits, how much it reads at once, and how great a difference it lets pass.

Several files keep the same limit, so each reads it here, as ``limits.NAME``, at the moment of use.
"""

from __future__ import annotations

from typing import Final

ANSWER_WITHIN_S: Final = 10.0
FIRST_FRAME_WITHIN_S: Final = 5.0
FIRST_FRAME_LATE_S: Final = 2.0
"""The first frame goes out with the headers: what takes so much longer than a poll was held on the way."""

SKEW_MAX_S: Final = 30.0
"""The leeway that servers give to tokens."""

HEARTBEAT_GRACE_S: Final = 2.0
READ_SIZE_BYTES: Final = 65536
