"""Run ``tidings`` and write down, every four milliseconds of CPU that it uses, which Python functions were running.

The kernel sends SIGPROF to the thread whose CPU time made the timer expire, and faulthandler answers there and then,
without waiting for the interpreter: so a sample is where the CPU was used, also in native code and in system calls, and
threads that wait have none. Its price: in the midst of a call there may be no stack to read, and the process dies of
it, once in some thousand samples. Nobody but profile_server.py runs this.

py-spy answers another question: it counts a thread that waits for the disk as well. A thread that did nothing but write
and sync was in 247 of 300 samples and used 2 % of a CPU; in a server under load the writer had half of all samples and
a fifth of the CPU. With ``--gil`` native code that runs beside the interpreter is missing: the writer had 4 %.

usage: sampled.py FILE serve ...
"""

from __future__ import annotations

import faulthandler
import signal
import sys
from pathlib import Path

from tidings.cli import main

EVERY_S = 0.004

if __name__ == "__main__":
    with Path(sys.argv[1]).open("wb") as samples:
        faulthandler.register(signal.SIGPROF, file=samples, all_threads=False)
        signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)
        try:
            status = main(sys.argv[2:])
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)  # faulthandler goes before the process does
    sys.exit(status)
