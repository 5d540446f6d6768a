"""The same application, where it has asked for the lines of level info."""

from __future__ import annotations

import logging

from log_host import quiet

logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
logging.getLogger("tidings").setLevel(logging.INFO)

talkative = quiet
