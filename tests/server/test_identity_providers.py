"""Tokens of identity providers, as Clerk, Auth0, Supabase and Keycloak document them: PROTOCOL.md 2.1."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from lab.key_server import DISCOVERY_PATH, JWKS_PATH, KeyServer, public_pem, signed
from lab.node import SECRET, Node, Person, refused
from lab.process import wait_for
from tidings import Config, create_app
from tidings.errors import ConfigurationError


class At(int):
    """A time, in seconds from when the token is made."""


# Claims and headers as in the providers' own documentation; {issuer} is where the keys are.
PROVIDERS: dict[str, dict[str, Any]] = {
    "Clerk": {
        "algorithm": "RS256",
        "settings": {"authorized_parties": "https://app.example.org,http://localhost:5173"},
        "header": {"cat": "cl_B7d4PD111AAA"},
        "user": "user_2NNEqL2nrIRdJ194ndJqAHwEfxC",
        "claims": {
            "azp": "http://localhost:5173",
            "fva": [5, -1],
            "iss": "{issuer}",
            "nbf": At(-10),
            "iat": At(0),
            "exp": At(60),
            "sid": "sess_2Ho7N5aXa5pkeFbtTyR0D1lS9Qx",
            "sts": "active",
            "v": 2,
        },
    },
    "Auth0": {
        "algorithm": "RS256",
        "settings": {"audience": "https://chat.example.org/api"},
        "header": {"typ": "at+jwt"},
        "user": "auth0|6553da60a54af58e29493993",
        "claims": {
            "iss": "{issuer}/",
            "aud": ["https://chat.example.org/api", "https://my-tenant.auth0.com/userinfo"],
            "iat": At(0),
            "exp": At(86400),
            "azp": "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja",
            "scope": "openid profile",
        },
    },
    "Supabase": {
        "algorithm": "ES256",
        "settings": {"audience": "authenticated"},
        "header": {},
        "user": "123e4567-e89b-12d3-a456-426614174000",
        "claims": {
            "iss": "{issuer}/auth/v1",
            "aud": "authenticated",
            "exp": At(3600),
            "iat": At(0),
            "role": "authenticated",
            "aal": "aal1",
            "session_id": "5f9ad0c8-6d0c-4d0c-8b5e-0d4f3c2b1a00",
            "email": "ada@example.org",
            "phone": "",
            "is_anonymous": False,
            "app_metadata": {"provider": "email", "providers": ["email"]},
            "user_metadata": {},
            "amr": [{"method": "password", "timestamp": At(0)}],
        },
    },
    "Keycloak": {
        "algorithm": "RS256",
        "settings": {"authorized_parties": "chat-page"},
        "header": {},
        "user": "f3d1a2b4-0c5e-4f6a-9b7c-8d9e0f1a2b3c",
        "claims": {
            "exp": At(300),
            "iat": At(0),
            "auth_time": At(-100),
            "jti": "onrtac:0b7e2a1c-7d6f-4f9a-8a35-2f1d0c9b8e7f",
            "iss": "{issuer}/realms/people",
            "aud": "account",
            "typ": "Bearer",
            "azp": "chat-page",
            "sid": "c1f0a3d2-4b5c-4d6e-8f7a-9b0c1d2e3f4a",
            "acr": "1",
            "allowed-origins": ["http://localhost:5173"],
            "realm_access": {"roles": ["offline_access", "uma_authorization"]},
            "resource_access": {"account": {"roles": ["view-profile"]}},
            "scope": "openid email profile",
            "preferred_username": "ada",
        },
    },
}


@pytest.fixture(scope="module")
def provider() -> Iterator[KeyServer]:
    """A provider with a key of each kind, and one for encryption as Keycloak publishes it."""
    with KeyServer() as provider:
        provider.keys = []
        provider.add("enc", alg="RSA-OAEP", use="enc")
        provider.add("rsa")
        provider.add("ec", "ES256")
        yield provider


@pytest.fixture(scope="module")
def node(provider: KeyServer, start_node: Callable[..., Node]) -> Node:
    """A node that takes this provider's tokens, for one audience and two parties, and none of a secret."""
    return start_node(
        drain_window_s=0.05,
        secret="",
        jwks_url=provider.url,
        issuer=provider.issuer,
        audience="chat,other",
        authorized_parties="page,app",
    )


def with_token(node: Node, token: str) -> Person:
    return Person(node, "ada", token)


def good(provider: KeyServer, **claims: Any) -> dict[str, Any]:
    """Claims that the node takes; one given as None is left out."""
    now = int(time.time())
    whole = {"iss": provider.issuer, "aud": "chat", "azp": "page", "sub": "ada", "iat": now, "exp": now + 600, **claims}
    return timed({name: value for name, value in whole.items() if value is not None})


def timed(claims: dict[str, Any]) -> dict[str, Any]:
    """The claims as of now."""
    now = int(time.time())
    return {name: now + value if isinstance(value, At) else value for name, value in claims.items()}


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_token_as_this_provider_documents_it_names_the_caller(
    name: str, provider: KeyServer, start_node: Callable[..., Node]
) -> None:
    """The user is `sub`; a stream and a send work with it. A token for somebody else's page or service is none.
    PROTOCOL 2.1.6, 2.1.9, 2.1.11"""
    shape = PROVIDERS[name]
    kid = "rsa" if shape["algorithm"] == "RS256" else "ec"
    claims = timed({**shape["claims"], "sub": shape["user"]})
    claims["iss"] = claims["iss"].format(issuer=provider.issuer)
    node = start_node(drain_window_s=0.05, secret="", jwks_url=provider.url, issuer=claims["iss"], **shape["settings"])
    user = Person(node, shape["user"], signed(kid, claims, shape["algorithm"], **shape["header"]))

    with user.opens_stream() as stream:
        assert shape["user"] == stream.next().data["user_id"]
        user.sends("ben", "hello")
        assert "hello" == stream.until("new_message").data["text"]

    claim = "azp" if "authorized_parties" in shape["settings"] else "aud"
    for other in ("https://evil.example", None):
        foreign = signed(kid, {**claims, claim: other}, shape["algorithm"])
        refused(with_token(node, foreign).gets("/inbox/me"), 401, "unauthorized")


def test_the_issuer_alone_finds_the_keys(provider: KeyServer, start_node: Callable[..., Node]) -> None:
    """OpenID Connect Discovery: the document names the key set."""
    node = start_node(drain_window_s=0.05, secret="", issuer=provider.issuer, audience="chat")

    assert 200 == with_token(node, signed("rsa", good(provider))).gets("/inbox/me").status_code
    assert [DISCOVERY_PATH, JWKS_PATH] == provider.asked[-2:]


BAD_CLAIMS: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://evil.example"},
    "no issuer": {"iss": None},
    "issuers as a list": {"iss": ["x"]},
    "another audience": {"aud": "mail"},
    "no audience": {"aud": None},
    "an audience that is no text": {"aud": {"chat": 1}},
    "another party": {"azp": "evil"},
    "no party": {"azp": None},
    "expired": {"exp": At(-31)},
    "no exp": {"exp": None},
    "exp as text": {"exp": "9999999999"},
    "exp true": {"exp": True},
    "exp beyond numbers": {"exp": 10**400},
    "not valid yet": {"nbf": At(600)},
    "issued in the future": {"iat": At(600)},
    "no sub": {"sub": None},
    "sub is a number": {"sub": 42},
    "sub is no user id": {"sub": "a/b"},
}


@pytest.mark.parametrize("claims", BAD_CLAIMS.values(), ids=BAD_CLAIMS.keys())
def test_a_token_that_does_not_say_what_it_must_is_refused(
    claims: dict[str, Any], node: Node, provider: KeyServer
) -> None:
    """However well it is signed. PROTOCOL 2.1.7, 2.1.8, 2.1.9, 2.1.11, 2.1.12"""
    token = signed("rsa", good(provider, **claims))
    assert 200 == with_token(node, signed("rsa", good(provider))).gets("/inbox/me").status_code

    refused(with_token(node, token).gets("/inbox/me"), 401, "unauthorized")
    refused(with_token(node, token).gets("/sse/me"), 401, "unauthorized")


def test_claims_that_a_token_may_have(node: Node, provider: KeyServer) -> None:
    """One of several audiences, `client_id` for `azp` (RFC 9068), clocks that differ by 20 s, fractions of a second.
    PROTOCOL 2.1.8, 2.1.11, 2.1.12"""
    now = time.time()
    for claims in (
        {"aud": ["mail", "other"]},
        {"azp": None, "client_id": "app"},
        {"exp": int(now) - 20},
        {"iat": int(now) + 20, "nbf": int(now) + 20},
        {"exp": now + 60.5},
    ):
        answer = with_token(node, signed("ec", good(provider, **claims), "ES256")).gets("/inbox/me")
        assert 200 == answer.status_code, (claims, answer.text)


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def with_public_key_as_secret(provider: KeyServer) -> str:
    """The classic: HS256 over the text of the public key, which everybody knows."""
    content = f"{part({'alg': 'HS256', 'kid': 'rsa', 'typ': 'JWT'})}.{part(good(provider))}"
    mac = hmac.new(public_pem("rsa"), content.encode(), hashlib.sha256).digest()
    return f"{content}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


BAD_SIGNATURES: dict[str, Callable[[KeyServer], str]] = {
    "HS256 with the public key as secret": with_public_key_as_secret,
    "HS256 with some secret": lambda it: jwt.encode(good(it), SECRET, "HS256", headers={"kid": "rsa"}),
    "alg none": lambda it: jwt.encode(good(it), "", "none", headers={"kid": "rsa"}),
    "another key under this id": lambda it: signed("stranger", good(it), kid="rsa"),
    "RS512 with the right key": lambda it: signed("rsa", good(it), "RS512"),
    "PS256 with the right key": lambda it: signed("rsa", good(it), "PS256"),
    "ES256 under the id of an RSA key": lambda it: signed("ec", good(it), "ES256", kid="rsa"),
    "RS256 under the id of an EC key": lambda it: signed("rsa", good(it), kid="ec"),
    "an extension that is critical": lambda it: signed("rsa", good(it), crit=["odd"], odd=1),
    "the encryption key": lambda it: signed("enc", good(it)),
    "no key id among several keys": lambda it: signed("rsa", good(it), kid=None),
}


# shows: security/wrong-algorithm
@pytest.mark.parametrize("make", BAD_SIGNATURES.values(), ids=BAD_SIGNATURES.keys())
def test_a_token_of_another_key_or_algorithm_is_refused(
    make: Callable[[KeyServer], str], node: Node, provider: KeyServer
) -> None:
    """The token's own words decide nothing. PROTOCOL 2.1.6"""
    refused(with_token(node, make(provider)).gets("/inbox/me"), 401, "unauthorized")


def test_beside_a_provider_the_secret_counts_too(provider: KeyServer, start_node: Callable[..., Node]) -> None:
    """Each kind of key with its own algorithm; issuer and audience are asked of both. PROTOCOL 2.1.6, 2.1.11"""
    node = start_node(jwks_url=provider.url, issuer=provider.issuer, audience="chat")
    ours = jwt.encode(good(provider), SECRET, "HS256")

    assert 200 == with_token(node, ours).gets("/inbox/me").status_code
    assert 200 == with_token(node, signed("rsa", good(provider))).gets("/inbox/me").status_code
    refused(
        with_token(node, jwt.encode(good(provider, aud="x"), SECRET, "HS256")).gets("/inbox/me"), 401, "unauthorized"
    )
    refused(with_token(node, with_public_key_as_secret(provider)).gets("/inbox/me"), 401, "unauthorized")


def test_the_command_prints_a_token_that_says_what_the_server_asks_for(start_node: Callable[..., Node]) -> None:
    """`tidings token` reads the same variables as the server. PROTOCOL 2.1.11"""
    node = start_node(issuer="https://us.example", audience="chat,other", authorized_parties="page", user_claim="uid")
    printed = subprocess.run(
        [str(Path(sys.executable).with_name("tidings")), "token", "ada"],
        env=node.environment(), capture_output=True, text=True, check=True, timeout=30,
    ).stdout.strip()  # fmt: skip

    assert 200 == with_token(node, printed).gets("/inbox/ada").status_code


def test_the_user_may_stand_in_another_claim(provider: KeyServer, start_node: Callable[..., Node]) -> None:
    """Where the provider's subject is not the application's user id. PROTOCOL 2.1.9"""
    node = start_node(
        drain_window_s=0.05,
        secret="",
        jwks_url=provider.url,
        issuer=provider.issuer,
        user_claim="https://x.example/user",
    )
    token = signed("rsa", good(provider, **{"https://x.example/user": "u-7"}))

    assert 200 == with_token(node, token).gets("/inbox/u-7").status_code
    refused(with_token(node, signed("rsa", good(provider))).gets("/inbox/me"), 401, "unauthorized")


def test_a_stream_ends_when_the_providers_token_does(node: Node, provider: KeyServer) -> None:
    """With `goodbye`, at `exp` and 30 s. PROTOCOL 7.9.5"""
    token = signed("rsa", good(provider, exp=int(time.time()) - 26))
    with with_token(node, token).opens_stream() as stream:
        goodbye = stream.until("goodbye")
    assert "token_expired" == goodbye.data["reason"]


def test_no_token_is_in_the_log(node: Node, provider: KeyServer) -> None:
    """Neither one that was taken nor one that was refused. PROTOCOL 2.1.5"""
    tokens = [signed("rsa", good(provider)), signed("rsa", good(provider, aud="mail")), signed("who", good(provider))]
    for token in tokens:
        with_token(node, token).gets("/inbox/me")
        with node.exchange(f"GET /api/message/sse/me?token={token} HTTP/1.1\r\nHost: x\r\n\r\n".encode()):
            pass
    for token in tokens:
        assert token.split(".")[1] not in node.output
        assert token.split(".")[2] not in node.output


def serve(directory: Path, **settings: str) -> tuple[int, str]:
    """`tidings serve` with these settings and no others: its exit code, and what it says."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TIDINGS_")}
    done = subprocess.run(
        [str(Path(sys.executable).with_name("tidings")), "serve", "--port", "0", "--db", f"sqlite:///{directory}/t.db"],
        env=inherited | {f"TIDINGS_{name.upper()}": value for name, value in settings.items()},
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    return done.returncode, done.stderr


def test_a_server_that_cannot_know_anybody_does_not_start(tmp_path: Path, provider: KeyServer) -> None:
    """One sentence says what to set: nothing is configured (2), or a key server has no keys for us, or none yet (1)."""
    nobody = "http://127.0.0.1:9/jwks.json"
    cases: list[tuple[dict[str, str], str]] = [
        (
            {},
            "set secret (TIDINGS_SECRET; make one with: openssl rand -hex 32) for tokens of your own, or issuer"
            " (TIDINGS_ISSUER)",
        ),
        ({"jwks_url": nobody, "issuer": "x", "audience": "y"}, f"no keys from {nobody}"),
        ({"jwks_url": provider.issuer + DISCOVERY_PATH, "issuer": "x", "audience": "y"}, "no key for RS256 or ES256"),
        ({"issuer": provider.issuer + "/", "audience": "y"}, "issuer (TIDINGS_ISSUER) is"),
    ]
    for settings, said in cases:
        code, stderr = serve(tmp_path, **settings)
        assert (1 if settings else 2) == code
        assert said in stderr.splitlines()[-1], stderr
        assert "Traceback" not in stderr


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"jwks_url": "https://x.example/keys"},
            "set issuer (TIDINGS_ISSUER), and audience (TIDINGS_AUDIENCE) or authorized_parties"
            " (TIDINGS_AUTHORIZED_PARTIES)",
        ),
        (
            {"jwks_url": "ftp://x/keys", "issuer": "x"},
            "jwks_url (TIDINGS_JWKS_URL) leads to 'ftp://x/keys', which is no",
        ),
        ({"issuer": "people"}, "issuer (TIDINGS_ISSUER) leads to"),
        ({"jwks_url": "https://", "issuer": "x"}, "is no http or https address"),
        ({"former_secrets": (SECRET,)}, "nobody could sign in"),
        ({"secret": public_pem("rsa").decode()}, "looks like the public key"),
        ({"secret": SECRET, "former_secrets": ("short",)}, "former_secrets (TIDINGS_FORMER_SECRETS) is under 32 bytes"),
        ({"secret": SECRET, "cors_origins": ("*",)}, "there is no wildcard"),
        ({"secret": SECRET, "cors_origins": ("https://*.example.org",)}, "there is no wildcard"),
        ({"secret": SECRET, "cors_origins": ("https://example.org/",)}, "is not an origin as a browser writes it"),
        ({"secret": SECRET, "cors_origins": ("https://example.org:443",)}, "is not an origin as a browser writes it"),
        ({"secret": SECRET, "cors_origins": ("https://Example.org",)}, "is not an origin as a browser writes it"),
        *(
            ({"secret": SECRET, "cors_origins": (origin,)}, "is not an origin as a browser writes it")
            for origin in ("null", "file://", "https://", "https://a@b.example", "https://a.example:0", "https://a b.c")
        ),
        (
            {"secret": SECRET, "cors_origins": "https://app.example.org"},
            "cors_origins (TIDINGS_CORS_ORIGINS) is a tuple of texts",
        ),
        ({"secret": SECRET, "cors_origins": (b"x",)}, "cors_origins (TIDINGS_CORS_ORIGINS) is a tuple of texts"),
        ({"secret": SECRET.encode()}, "secret (TIDINGS_SECRET) is a text (text), not of the type bytes"),
        ({"secret": SECRET, "heartbeat_interval_s": "15"}, "heartbeat_interval_s (TIDINGS_HEARTBEAT_INTERVAL_S) is a"),
        ({"secret": SECRET, "heartbeat_interval_s": True}, "heartbeat_interval_s (TIDINGS_HEARTBEAT_INTERVAL_S) is a"),
        ({"secret": SECRET, "drain_window_s": float("inf")}, "drain_window_s (TIDINGS_DRAIN_WINDOW_S) is a number"),
        ({"secret": SECRET, "streams_max": 20.0}, "streams_max (TIDINGS_STREAMS_MAX) is a whole number"),
        ({"secret": SECRET, "presence": "no"}, "presence (TIDINGS_PRESENCE) is True or False"),
        ({"secret": SECRET, "db": Path("x.db")}, "db (TIDINGS_DB) is a text"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused_at_start(settings: dict[str, Any], said: str) -> None:
    """With the name of the setting and what is wrong with it."""
    with pytest.raises(ConfigurationError) as refusal:
        create_app(Config(**settings))
    assert said in str(refusal.value)


def test_the_keys_are_counted(node: Node) -> None:
    """The operator of the server sees whether its keys come."""
    wait_for(lambda: 'tidings_key_fetches_total{result="done"}' in node.http.get(f"{node.url}/metrics").text)
