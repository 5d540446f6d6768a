"""A schema-driven fuzzer on the OpenAPI document that a FastAPI host serves: python -m lab.fuzz.api SECONDS.

Schemathesis makes requests that the document allows, and such that it does not, and judges each answer: no 5xx, a
status and a media type that are documented, a body of that shape. The stream is left out: it has no end to wait for.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
PROGRAM = str(Path(sys.executable).with_name("schemathesis"))


def main(seconds: int) -> int:
    """Serve the host on a free port and fuzz it; the exit status of the fuzzer, and 1 if it came to nothing."""
    with tempfile.TemporaryDirectory(prefix="tidings-fuzz-") as folder:
        host = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "api_host:app", "--port", "0", "--no-access-log"],
            cwd=Path(__file__).parent,
            env={**os.environ, "HOST_DB": f"sqlite:///{folder}/host.db"},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert host.stderr is not None
            url = next(found[1] for line in host.stderr if (found := re.search(r"running on (http://\S+)", line)))
            command = [PROGRAM, "run", f"{url}/openapi.json", "--checks", CHECKS, "--max-time", str(seconds)]
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
        finally:
            host.terminate()
            assert "Traceback" not in host.communicate(timeout=30)[1]


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1])))
