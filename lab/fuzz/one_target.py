"""One target under the coverage-guided fuzzer: python -m lab.fuzz.one_target NAME, and the arguments of libFuzzer."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["tidings"]):
    from lab.fuzz.targets import TARGETS

atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
atheris.Fuzz()
