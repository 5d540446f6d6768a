"""A key server as identity providers have it: a JWK set over HTTP, keys that sign tokens, and its bad days.

    with KeyServer() as provider:
        provider.add("k1")
        token = provider.token("k1", sub="ada")

Its keys are made once for a run: RSA keys take their time.
"""

from __future__ import annotations

import contextlib
import functools
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

JWKS_PATH = "/jwks.json"
DISCOVERY_PATH = "/.well-known/openid-configuration"


@functools.cache
def private_key(kid: str, algorithm: str) -> Any:
    """The key of this id, the same for a whole run."""
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1() if algorithm == "ES256" else ec.SECP384R1())


def public_pem(kid: str, algorithm: str = "RS256") -> bytes:
    pem: bytes = private_key(kid, algorithm).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def public_jwk(kid: str, algorithm: str = "RS256", **fields: Any) -> dict[str, Any]:
    """The key as providers publish it; a field given as None is left out."""
    kind = jwt.algorithms.RSAAlgorithm if algorithm == "RS256" else jwt.algorithms.ECAlgorithm
    found: dict[str, Any] = kind.to_jwk(private_key(kid, algorithm).public_key(), as_dict=True)
    found.pop("key_ops", None)
    whole = {**found, "kid": kid, "use": "sig", "alg": algorithm, **fields}
    return {name: value for name, value in whole.items() if value is not None}


def signed(kid: str, claims: dict[str, Any], algorithm: str = "RS256", /, **header: Any) -> str:
    """A token signed by this key, whatever it says; a header given as None is left out."""
    whole = {"typ": "JWT", "kid": kid, **header}
    return jwt.PyJWS().encode(
        json.dumps(claims, separators=(",", ":")).encode(),
        private_key(kid, "RS256" if algorithm[:2] in ("RS", "PS") else algorithm),
        algorithm,
        headers={name: value for name, value in whole.items() if value is not None},
    )


class KeyServer:
    """HTTP on a free port of this machine.

    Attributes:
        keys: The JWKs that it answers with.
        status, body: Answers that it gives instead, where they are set.
        fields: Fields of its answers, beside the length.
        is_hanging: It takes requests and does not answer until this is unset.
        asked: The paths that it was asked for, in order.
    """

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.status = 200
        self.body: bytes | None = None
        self.fields: dict[str, str] = {}
        self.discovery: dict[str, Any] = {}
        self.is_hanging = False
        self.asked: list[str] = []
        self._may_answer = threading.Condition()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.start()

    def __enter__(self) -> KeyServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{JWKS_PATH}"

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen; again on the same port after `stop`."""
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked.append(self.path)
                with provider._may_answer:
                    provider._may_answer.wait_for(lambda: not provider.is_hanging, 60)
                status, body = provider._answer(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                for name, value in provider.fields.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

            def handle(self) -> None:
                with contextlib.suppress(ConnectionError):  # who asked has gone
                    super().handle()

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Nobody listens any more."""
        self.answers_again()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answers_again(self) -> None:
        """No longer hanging; what waited is answered."""
        with self._may_answer:
            self.is_hanging = False
            self._may_answer.notify_all()

    def add(self, kid: str, algorithm: str = "RS256", **fields: Any) -> None:
        """Publish a key."""
        self.keys.append(public_jwk(kid, algorithm, **fields))

    def token(self, kid: str, algorithm: str = "RS256", *, ttl_s: float = 3600, **claims: Any) -> str:
        """A token of this issuer; a claim given as None is left out."""
        now = int(time.time())
        whole = {"iss": self.issuer, "iat": now, "exp": int(now + ttl_s), **claims}
        return signed(kid, {name: value for name, value in whole.items() if value is not None}, algorithm)

    def _answer(self, path: str) -> tuple[int, bytes]:
        if self.body is not None or self.status != 200:
            return self.status, self.body or b"{}"
        if path.startswith(DISCOVERY_PATH):
            return 200, json.dumps({"issuer": self.issuer, "jwks_uri": self.url, **self.discovery}).encode()
        return 200, json.dumps({"keys": self.keys}).encode()
