"""A schema-driven fuzzer on the OpenAPI document that a FastAPI host serves: python -m lab.fuzz.api SECONDS.

Schemathesis makes requests that the document allows, and such that it does not, and judges each answer: no 5xx, a
status and a media type that are documented, a body of that shape. The stream is left out: it has no end to wait for.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from lab.host import Host

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
PROGRAM = str(Path(sys.executable).with_name("schemathesis"))


def main(seconds: int) -> int:
    """Serve the host on a free port and fuzz it; the exit status of the fuzzer, and 1 if it came to nothing."""
    with tempfile.TemporaryDirectory(prefix="tidings-fuzz-") as folder:
        with Host(Path(folder), "api_host:app", "--no-access-log", source=Path(__file__).parent) as host:
            command = [PROGRAM, "run", f"{host.url}/openapi.json", "--checks", CHECKS, "--max-time", str(seconds)]
            options = ["--exclude-path-regex", "/sse/", "--phases", "examples,coverage,fuzzing", "--no-color"]
            limits = ["--request-timeout", "20", "--max-failures", "5", "--warnings", "off"]
            done = subprocess.run(
                [*command, *options, *limits], cwd=folder, stdout=subprocess.PIPE, text=True, check=False
            )
        print(done.stdout, flush=True)
        tested = re.search(r"Tested: +(\d+)", done.stdout)
        if tested is None or tested[1] == "0":
            print("nothing was tested: give it more seconds")
            return 1
        return done.returncode


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1])))
