"""Is there an API of Tidings, and does it answer a signed-in user and no stranger?

An application that embeds Tidings may refuse strangers in its own way, before Tidings is asked: by a page, a redirect
to its sign-in, a 403. That is no fault. With what a signed-in user sends (a token, a cookie, header fields) the answer
to *that* is what counts.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Generator, Iterator
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from tidings.client.doctor.clock import skew
from tidings.client.doctor.finding import Ended, Finding, ms
from tidings.client.doctor.reach import unreachable
from tidings.client.doctor.server import Answer, Server


def as_stranger(server: Server) -> Iterator[Finding]:
    """Without a token: is it a Tidings server at all, and what time is it there?"""
    try:
        answer = server.get(f"{server.api}/events/me", with_token=False)
    except (OSError, http.client.HTTPException) as failure:
        yield unreachable(server, failure)
        raise Ended from None
    code = answer.problem.get("code")
    if answer.status == 401 and code == "unauthorized":
        yield Finding("ok", "api", f"{server.api} answers in {ms(answer.took_s)}")
    elif _page_cursor(answer) is not None:
        text = "strangers are let in: without token or cookie somebody's events are answered"
        yield Finding("fault", "api", text, "check the function that says who asks: it must return None for strangers")
        raise Ended
    elif not _is_refusal_of_strangers(server, answer):
        yield _no_api(server, answer, code)
        raise Ended
    else:
        where = f", to {answer.headers['Location']}" if answer.headers.get("Location") else ""
        text = f"strangers get {answer.status}{where}, from the application or a proxy; not from Tidings"
        do = "nothing, if that is the application's own sign-in; else see what stands in between"
        yield Finding("note", "api", text, do)
    date = answer.headers.get("Date")
    if date is not None:
        with contextlib.suppress(ValueError, TypeError):
            yield from skew(parsedate_to_datetime(date).timestamp(), time.time(), coarse_s=1.0)


_MENDS = {
    "database": "see the database: sends are answered 503 until it is back, and streams stay open",
    "bus": "see the bus of the nodes: until it is back, a message takes up to a second to readers on another one",
    "keys": "check that the server reaches that address: new keys of the provider are not known",
}


def readiness(server: Server) -> Iterator[Finding]:
    """Does the server itself say that something is wrong?"""
    try:
        answer = server.get("/readyz", with_token=False)
    except (OSError, http.client.HTTPException):
        return
    try:
        told = dict(json.loads(answer.body))
    except (ValueError, TypeError):  # not the server's answer: it is not passed to the public
        return
    if answer.status == 503:
        text = str(told.get("detail") or told.get("status"))
        yield Finding("fault", "ready", text, "see the server's log")
    elif isinstance(troubles := told.get("trouble"), dict):
        for name, text in troubles.items():
            if name in _MENDS:
                yield Finding("fault", name, str(text), _MENDS[name])


def poll(server: Server) -> Generator[Finding, None, tuple[Answer, str]]:
    """As somebody who is signed in: the short way. Returns the answer and its cursor."""
    try:
        answer = server.get(f"{server.api}/events/me")
    except (OSError, http.client.HTTPException) as failure:
        yield unreachable(server, failure)
        raise Ended from None
    cursor = _page_cursor(answer)
    if cursor is not None:
        yield Finding("ok", "token", f"accepted; a poll takes {ms(answer.took_s)}")
        return answer, cursor
    detail = answer.problem.get("detail", "")
    code = answer.problem.get("code")
    if answer.status == 401 and answer.problem:
        do = "get a new token; with a right one: the secret or issuer of the server is another, or a clock is wrong"
        yield Finding("fault", "token", f"401: {detail}", do)
    elif answer.status in (401, 403) and not answer.problem:
        text = f"{answer.status}, and not from Tidings: what was given is not taken"
        do = "give what a signed-in user of the application sends; a proxy passes Authorization and Cookie on"
        yield Finding("fault", "token", text, do)
    elif 300 <= answer.status < 400 and _is_refusal_of_strangers(server, answer):
        text = f"what was given is not taken: {answer.status} to {answer.headers.get('Location', 'somewhere')}"
        yield Finding("fault", "token", text, "give the cookie or token of somebody who is signed in now")
    elif answer.problem and answer.status not in (404, 503):
        yield Finding("fault", "poll", f"{answer.status} {detail}".strip(), "see docs/run/problems.md for its code")
    else:
        yield _no_api(server, answer, code)
    raise Ended


def _is_refusal_of_strangers(server: Server, answer: Answer) -> bool:
    """Whether those who sign in may be answered otherwise: only asking as one of them can tell."""
    if 300 <= answer.status < 400:
        # The same path at another place (of HTTPS, say) is no sign-in but a wrong address.
        return urlsplit(answer.headers.get("Location", "")).path.rstrip("/") != f"{server.api}/events/me"
    return answer.status in (401, 403) or (answer.status == 404 and bool(server.credentials))


def _no_api(server: Server, answer: Answer, code: object) -> Finding:
    status, where = answer.status, server.api
    if 300 <= status < 400:
        to = answer.headers.get("Location", "somewhere")
        return Finding("fault", "redirect", f"{where} redirects to {to}", "use the address that it redirects to")
    if status in (502, 504) or (status == 503 and code is None):
        text = f"something answers {status} in the server's place"
        return Finding("fault", "proxy", text, "start the server, and check the address that the proxy passes to")
    if status == 503:
        detail = answer.problem.get("detail", "")
        return Finding("fault", "server", f"503 {code}: {detail}", "see its log; if it is restarting, try again")
    text = f"there is no Tidings API at {where} ({status})"
    return Finding("fault", "prefix", text, "name the address of the API, such as https://example.org/api/message")


def _page_cursor(answer: Answer) -> str | None:
    """The cursor of an answer that is a page of somebody's events."""
    if answer.status != 200:
        return None
    try:
        cursor = json.loads(answer.body)["cursor"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return cursor if isinstance(cursor, str) and cursor.isascii() and cursor.isprintable() else None
