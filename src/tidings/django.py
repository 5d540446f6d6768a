"""Tidings in a Django project: whoever Django's middleware has signed in is the user.

::

    messages = DirectMessages(Config(db="sqlite:///messages.db"))
    application = messages.asgi(get_asgi_application(), "/api/message")   # asgi.py: everything
    urlpatterns = [path("api/message/", messages.urls), ...]              # urls.py, under WSGI: no streams, polling

Rules of this file:

- Django's whole middleware runs for each of our requests, as for any view of the host's: sessions, users, allowed
  hosts. A request that Django refuses gets Django's answer. It is done, and its database connections are released,
  before our answer begins.
- A session is a cookie, which browsers send with requests that their owner did not make: what a page of another site
  sent is refused (``server/api/cors.py``), in place of Django's CSRF token.
- Under ASGI everything runs in the server's event loop. Under WSGI there is none, so one runs in a thread of ours;
  there a stream would hold a worker for ever, and is refused: clients poll.
"""

from __future__ import annotations

import asyncio
import atexit
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from io import BytesIO
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

try:
    from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async
    from django.contrib.auth import get_user_model
    from django.core import signals
    from django.core.exceptions import ValidationError
    from django.core.handlers.asgi import ASGIHandler, get_script_prefix
    from django.db import connections
    from django.http import HttpRequest, HttpResponse
    from django.urls import ResolverMatch, re_path, set_script_prefix
except ImportError as missing:
    raise ImportError("tidings.django needs Django; install it with: pip install 'tidings[django]'") from missing

from starlette.requests import HTTPConnection
from starlette.routing import Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidings.errors import ConfigurationError, Problem, Unavailable
from tidings.protocol.shapes import Message as ChatMessage
from tidings.server.api.answer import problem_answer
from tidings.server.app import Tidings, not_found
from tidings.server.config import Config
from tidings.server.host.functions import MaySend, People, Profile, TakeReport
from tidings.server.identity.cross_site import refuse_cross_site

_USER: Final = "tidings.user"  # in the scope: the user id

ANSWER_WAIT_MAX_S: Final = 30.0
"""Under WSGI a worker's thread waits so long for an answer; the store's own limits come before."""

STREAM_RETRY_AFTER_S: Final = 60
"""Under WSGI clients ask for a stream so often: somebody may have changed the server."""

T = TypeVar("T")


def session_user(request: HttpRequest) -> str | None:
    """The primary key of the user that Django's authentication found; none if nobody, or nobody active, is signed in.

    Raises:
        ConfigurationError: Django does not look for users.
    """
    user = getattr(request, "user", None)
    if user is None:
        raise ConfigurationError(
            "nobody could be signed in: MIDDLEWARE has no django.contrib.auth.middleware.AuthenticationMiddleware;"
            " add it, or pass user="
        )
    return str(user.pk) if user.is_authenticated and user.is_active and user.pk is not None else None


async def model_people(ids: Sequence[str]) -> dict[str, Profile]:
    """The full names, else the user names, of the users with these primary keys."""

    def load() -> dict[str, Profile]:
        model = get_user_model()
        by_key = {}
        for user_id in ids:
            try:
                key = model._meta.pk.to_python(user_id)
            except ValidationError:  # an id that is none of this model's: the host's own sender, for instance
                continue
            if str(key) == user_id:  # else it is another user, who has no name: 01 and +1 are read as 1
                by_key[key] = user_id
        try:
            users = model._default_manager.filter(pk__in=by_key)
            return {by_key[user.pk]: {"name": user.get_full_name() or user.get_username()} for user in users}
        finally:
            connections.close_all()  # those of this thread, which ends with this call

    async with ThreadSensitiveContext():
        return await sync_to_async(load)()


class DirectMessages(Tidings):
    """Direct messages for a Django project: ``asgi`` for all of it, ``urls`` under WSGI."""

    def __init__(
        self,
        config: Config | None = None,
        *,
        user: Callable[[HttpRequest], Any] = session_user,
        may_send: MaySend | None = None,
        people: People | None = model_people,
        report: TakeReport | None = None,
    ) -> None:
        """
        Args:
            user: From a request, after all middleware, to the user's id, or None for nobody (401). Sync, which may
                use the ORM, or async.
            may_send: See ``Tidings``; async where it uses the ORM.
            people: See ``Tidings``; without it names come from the user model, with None ids are names.
            report: See ``Tidings``; async where it uses the ORM.
        """
        config = config or Config()
        super().__init__(config, user=_identified_user, may_send=may_send, people=people, report=report)
        # Names alone come from the model by default: the ids of user= and of the project's own senders may be others.
        self._node.takes_any_recipient |= people is model_people
        self._identify_user = user
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting = threading.Lock()

    def asgi(self, django: ASGIApp, prefix: str) -> ASGIApp:
        """The project's ASGI application: below ``prefix`` are our routes, all else is Django's."""
        prefix = "/" + prefix.strip("/")
        ours = Router(self.routes(prefix), redirect_slashes=False, default=not_found, lifespan=self.lifespan)
        doorkeeper = _Doorkeeper(self._identify)

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            self._loop = asyncio.get_running_loop()
            if scope["type"] == "http" and scope["path"].startswith(prefix + "/"):
                if not await doorkeeper.lets_in(scope, send):
                    return
            elif scope["type"] != "lifespan":  # Django knows none
                await django(scope, receive, send)
                return
            await ours(scope, receive, send)

        return application

    @property
    def urls(self) -> tuple[list[Any], str, str]:
        """For ``path("api/message/", messages.urls)`` under WSGI: all but streams, which are refused with 503."""
        ours = Router(self.routes(), redirect_slashes=False, default=not_found)

        def view(request: HttpRequest, path: str) -> HttpResponse:
            refusal = self._identify(request)
            return refusal if refusal is not None else self._answer(ours, request, path)

        return [re_path("^(?P<path>.*)$", _open_view(view), name="messages")], "tidings", "tidings"

    def send_now(
        self, sender: str, recipient: str, text: str, *, type: str = "text", client_id: str | None = None
    ) -> ChatMessage:
        """``send`` for sync code, such as a view or a signal's receiver, in the process that serves the messages.

        Raises:
            Unprocessable, Conflict, Unavailable: As ``Tidings.send``.
        """
        return self._run(self.send(sender, recipient, text, type=type, client_id=client_id))

    def _identify(self, request: HttpRequest) -> HttpResponse | None:
        """Note on the request who asks; a refusal if it was not that user who sent it."""
        scope = _scope(request, "/")
        try:
            if request.COOKIES:
                refuse_cross_site(scope, self._node.trusted_origins)
        except Problem as problem:
            answer = problem_answer(problem)
            return HttpResponse(answer.body, status=answer.status, content_type=answer.media_type.decode())
        told = self._identify_user(request)
        request.tidings_user = async_to_sync(_awaited)(told) if inspect.isawaitable(told) else told
        return None

    def _answer(self, app: ASGIApp, request: HttpRequest, path: str) -> HttpResponse:
        """Answer a request by our routes, from a thread."""
        if path.startswith("sse/") and request.method == "GET":
            answer = problem_answer(
                Unavailable(
                    "too_many_streams",
                    "This application runs under WSGI, where there are no streams: read /events.",
                    retry_after_s=STREAM_RETRY_AFTER_S,
                )
            )
            status, headers, body = answer.status, [*answer.headers, (b"content-type", answer.media_type)], answer.body
        else:
            scope = _scope(request, "/" + path)
            scope[_USER] = request.tidings_user
            status, headers, body = self._run(_collect(app, scope, request.body))
        response = HttpResponse(body, status=status)
        for name, value in headers:
            response[name.decode("latin-1")] = value.decode("latin-1")
        return response

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it in the event loop of the messages; without a server's, in one of our own.

        Raises:
            TypeError: Called in an event loop, which would wait for itself.
        """
        with suppress(RuntimeError):  # there is none in this thread
            asyncio.get_running_loop()
            coroutine.close()
            raise TypeError("in async code: await messages.send(...)")
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="tidings", daemon=True).start()
                atexit.register(self._end_loop, self._loop)
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(ANSWER_WAIT_MAX_S)

    def _end_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.run_coroutine_threadsafe(self._node.stop(), loop).result(ANSWER_WAIT_MAX_S)
        loop.call_soon_threadsafe(loop.stop)


class _Doorkeeper(ASGIHandler):  # type: ignore[misc]  # Django has no types
    """Runs a request through the host's middleware, to a view of ours that finds out who it is."""

    def __init__(self, identify: Callable[[HttpRequest], HttpResponse | None]) -> None:
        self._view = _open_view(lambda request: identify(request) or HttpResponse())
        super().__init__()

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        """Every path is ours; see ``BaseHandler``."""
        match = ResolverMatch(self._view, (), {}, url_name="messages", app_names=["tidings"], namespaces=["tidings"])
        request.resolver_match = match
        return match

    async def lets_in(self, scope: Scope, send: Send) -> bool:
        """Note in the scope who asks; false if the request was answered."""
        async with ThreadSensitiveContext():
            set_script_prefix(get_script_prefix(scope))
            await signals.request_started.asend(sender=type(self), scope=scope)
            request, response = self.create_request(scope, BytesIO())
            if request is not None:
                response = await self.get_response_async(request)
            is_let_in = hasattr(request, "tidings_user") and response.status_code == 200
            if is_let_in:
                scope[_USER] = request.tidings_user
            else:
                await self.send_response(response, send)
            await sync_to_async(response.close)()  # and with it, by Django's signal, the database connections
        return is_let_in


async def _awaited(told: Awaitable[T]) -> T:
    return await told


def _identified_user(connection: HTTPConnection) -> str | None:
    user: str | None = connection.scope[_USER]
    return user


def _open_view(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A view that answers those who are not signed in itself, and protects itself."""
    view.csrf_exempt = True  # type: ignore[attr-defined]  # see the rules of this file
    view.login_required = False  # type: ignore[attr-defined]  # else LoginRequiredMiddleware sends to a page
    return view


def _scope(request: HttpRequest, path: str) -> Scope:
    """The request as our routes read it; nobody waits in a thread, so ``wait`` is left out."""
    query = [(name, value) for name, value in parse_qsl(request.META["QUERY_STRING"], True) if name != "wait"]
    return {
        "type": "http",
        "http_version": "1.1",
        "method": request.method,
        "path": path,
        "raw_path": quote(path).encode(),
        "query_string": urlencode(query).encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in request.headers.items()],
    }


async def _collect(app: ASGIApp, scope: Scope, body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of what an ASGI application answers to a request with this body."""
    requests = iter([{"type": "http.request", "body": body}])
    said: list[Message] = []

    async def receive() -> Message:
        return next(requests, {"type": "http.disconnect"})

    async def send(message: Message) -> None:
        said.append(message)

    await app(scope, receive, send)
    answered = b"".join(message.get("body", b"") for message in said[1:])
    return said[0]["status"], [(name, value) for name, value in said[0]["headers"]], answered
