"""nginx, Caddy and HAProxy as we ship their configurations, in front of a node: only names and ports are replaced."""

from __future__ import annotations

import os
import shutil
import ssl
from collections.abc import Sequence
from pathlib import Path

import httpx2

from lab.certificate import make_certificate
from lab.node import Node
from lab.process import PATIENCE_S, Program, accepts, free_port, wait_for

DEPLOY = Path(__file__).parents[1] / "deploy"


class Front(Program):
    """A private instance of a proxy with the shipped configuration, in front of a node; `replaced` in it by a test.

    `others` are further nodes beside it, each in the line that the file has for one.
    """

    def __init__(
        self,
        kind: str,
        node: Node,
        directory: Path,
        replaced: dict[str, str] | None = None,
        others: Sequence[Node] = (),
    ) -> None:
        super().__init__(directory)
        self._addresses = [f"127.0.0.1:{each.port}" for each in (node, *others)]
        self.replaced = replaced or {}
        self.kind, self.node = kind, node
        self.certificate = make_certificate(directory)
        self.port = free_port()
        self.url = f"https://localhost:{self.port}"
        self.http = httpx2.Client(
            verify=ssl.create_default_context(cafile=str(self.certificate)), trust_env=False, timeout=PATIENCE_S
        )

    def __enter__(self) -> Front:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        assert self.end() is not None, f"{self.kind} did not end"

    def command(self) -> list[str]:
        program = shutil.which(self.kind, path=os.environ["PATH"] + ":/usr/sbin")
        assert program is not None, f"{self.kind} is not installed: make test-programs wide-programs"
        configured = {"nginx": self._nginx, "caddy": self._caddy, "haproxy": self._haproxy}
        return [program, *configured[self.kind]()]

    def environment(self) -> dict[str, str]:
        return super().environment() | {"HOME": str(self.directory), "XDG_DATA_HOME": str(self.directory)}

    def serves(self) -> object:
        return accepts(self.port)

    def restarts_its_node(self) -> None:
        """Start the node that was stopped, and wait until the proxy has noticed."""
        self.node.restart()
        wait_for(
            lambda: self.http.get(f"{self.url}/healthz").status_code == 200, what=f"{self.kind} finds the node again"
        )

    @property
    def logs(self) -> str:
        """Return everything that it wrote anywhere."""
        return "".join(path.read_text(errors="replace") for path in self.directory.glob("*.log")) + self.output

    def _shipped(self, name: str, replaced: dict[str, str]) -> Path:
        text = (DEPLOY / name).read_text()
        for old, new in {**replaced, **self.replaced}.items():
            assert old in text, f"{name} has changed: {old}"
            text = text.replace(old, new)
        path = self.directory / name
        path.write_text(text)
        return path

    def _nginx(self) -> list[str]:
        block = self._shipped(
            "nginx.conf",
            {
                "    server 127.0.0.1:8000 max_fails=0;": "\n".join(
                    f"    server {address} max_fails=0;" for address in self._addresses
                ),
                "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
                "server_name chat.example.org": "server_name localhost",
                "/etc/ssl/chat.example.org.pem": str(self.certificate),
                "/etc/ssl/chat.example.org.key": str(self.certificate),
                "/var/log/nginx": str(self.directory),
            },
        )
        temporary = "\n".join(
            f"{kind}_temp_path {self.directory}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        main = self.directory / "main.conf"
        main.write_text(
            f"{'user root;' if os.geteuid() == 0 else ''}\ndaemon off;\nworker_processes 1;\n"
            f"pid {self.directory}/nginx.pid;\nerror_log {self.directory}/main.log;\n"
            f"events {{ worker_connections 512; }}\nhttp {{ gzip on; gzip_types *; {temporary}\ninclude {block}; }}\n"
        )
        return ["-e", f"{self.directory}/main.log", "-p", str(self.directory), "-c", str(main)]

    def _caddy(self) -> list[str]:
        certificate = f"{self.certificate} {self.certificate}"
        path = self._shipped(
            "Caddyfile",
            {
                "127.0.0.1:8000": " ".join(self._addresses),
                "chat.example.org {": f"{self.url} {{\n\tbind 127.0.0.1\n\ttls {certificate}",
                "\tlog default {": "\tadmin off\n\tauto_https disable_redirects\n\tlog default {",
                "/var/log/caddy": str(self.directory),
            },
        )
        return ["run", "--adapter", "caddyfile", "--config", str(path)]

    def _haproxy(self) -> list[str]:
        path = self._shipped(
            "haproxy.cfg",
            {
                "    server tidings 127.0.0.1:8000": "\n".join(
                    f"    server node{number} {address} check inter 1s rise 1"
                    if number
                    else f"    server node0 {address}"
                    for number, address in reversed(list(enumerate(self._addresses)))
                ),
                "bind :443": f"bind 127.0.0.1:{self.port}",
                "/etc/ssl/chat.example.org.pem": str(self.certificate),
                "log /dev/log": "log stdout format raw",
            },
        )
        return ["-db", "-f", str(path)]
