"""Tidings in a Django project: whoever Django's middleware has signed in is the user.

::

    messages = DirectMessages(Config(db="sqlite:///messages.db"))
    urlpatterns = [path("messages/", messages.page_urls), ...]             # urls.py: the web chat, and its API
    application = messages.asgi(get_asgi_application(), "/messages/api")  # asgi.py: the same API with streams

Without the page, ``path("api/message/", messages.urls)`` and ``messages.asgi(..., "/api/message")``.

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

import inspect
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from io import BytesIO
from typing import Any, Final, TypeVar, cast
from urllib.parse import parse_qsl, quote, urlencode

from tidings.extra import needs

with needs("tidings.django needs Django", "django"):
    from asgiref.sync import ThreadSensitiveContext, async_to_sync, iscoroutinefunction, sync_to_async
    from django.conf import settings
    from django.contrib.auth import REDIRECT_FIELD_NAME, get_user_model
    from django.core import signals
    from django.core.exceptions import ValidationError
    from django.core.handlers.asgi import ASGIHandler, get_script_prefix
    from django.db import connections
    from django.http import HttpRequest, HttpResponse
    from django.shortcuts import resolve_url
    from django.template import Context, Library
    from django.urls import ResolverMatch, path, re_path, set_script_prefix
    from django.utils.functional import SimpleLazyObject
    from starlette.requests import HTTPConnection
    from starlette.routing import Router
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from tidings.errors import ConfigurationError, Problem, Unavailable
    from tidings.protocol.user_id import UserId
    from tidings.server.api.answer import not_found, problem_answer
    from tidings.server.app import Tidings
    from tidings.server.config import Config
    from tidings.server.host.functions import MaySend, People, Profile, SearchPeople, TakeReport
    from tidings.server.identity.cross_site import refuse_cross_site
    from tidings.server.identity.service_keys import service_key_of
    from tidings.server.page import page_routes

__all__ = ["DirectMessages", "model_people", "session_user"]

_USER: Final = "tidings.user"  # in the scope: the user id

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


def _name_of(user: Any) -> str:
    """The full name, else the short one, else the user name; "" where that is an address of e-mail, or there is none.

    A user model of the project's own has no names unless it says so.
    """
    for told in ("get_full_name", "get_short_name"):
        if name := getattr(user, told, str)():
            return str(name)
    is_address = user.USERNAME_FIELD == getattr(user, "EMAIL_FIELD", "email")
    return "" if is_address else str(user.get_username())


async def model_people(ids: Sequence[str]) -> dict[str, Profile]:
    """The names of the users with these primary keys; an address of e-mail, by which some sign in, is none.

    An id that no user is signed in as is nobody: one that cannot be a key of the model, and another spelling of a key
    (``01``, a UUID in capitals). A message to it would reach no user.
    """

    def load() -> dict[str, Profile]:
        model = get_user_model()
        by_key = {}
        for user_id in ids:
            try:
                key = model._meta.pk.to_python(user_id)
                model._meta.pk.run_validators(key)  # a number beyond those of the database would fail in it
            except ValidationError:
                continue
            if str(key) == user_id:
                by_key[key] = user_id
        users = model._default_manager.filter(pk__in=by_key)
        return {by_key[user.pk]: {"name": name} if (name := _name_of(user)) else {} for user in users}

    return await _with_database(load)


class DirectMessages(Tidings):
    """Direct messages for a Django project: ``asgi`` for all of it, ``urls`` under WSGI."""

    def __init__(
        self,
        config: Config | None = None,
        *,
        user: Callable[[HttpRequest], Any] = session_user,
        may_send: MaySend | None = None,
        people: People | None = model_people,
        search_people: SearchPeople | None = None,
        report: TakeReport | None = None,
    ) -> None:
        """
        Args:
            user: From a request, after all middleware, to the user's id, or None for nobody (401). Sync, which may
                use the ORM, or async.
            may_send: See ``Tidings``; async where it uses the ORM.
            people: See ``Tidings``; without it names come from the user model, with None ids are names.
            search_people: See ``Tidings``. Sync, which may use the ORM, or async.
            report: See ``Tidings``; async where it uses the ORM.
        """
        config = config or Config()
        super().__init__(
            config,
            user=_identified_user,
            may_send=may_send,
            people=people,
            search_people=search_people and _off_the_loop(search_people),
            report=report,
        )
        # The ids of a user= of the project's need not be keys of the model, in which it looks by default.
        self._node.takes_any_recipient |= people is model_people and user is not session_user
        self._identify_user = user

    def asgi(self, django: ASGIApp, *prefixes: str) -> ASGIApp:
        """The project's ASGI application: below each of ``prefixes`` are our routes, all else is Django's."""
        routes = [route for prefix in prefixes for route in self.routes("/" + prefix.strip("/"))]
        ours = Router(routes, redirect_slashes=False, default=not_found, lifespan=self.lifespan)
        beginnings = tuple(f"/{prefix.strip('/')}/" for prefix in prefixes)
        doorkeeper = _Doorkeeper(self._identify)

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            self._threads.note_loop()
            if scope["type"] == "http" and scope["path"].startswith(beginnings):
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

    @property
    def page_urls(self) -> tuple[list[Any], str, str]:
        """For ``path("messages/", messages.page_urls)``: the web chat, and ``urls`` for it below ``api/``.

        Its sign-in is ``LOGIN_URL``, unless ``Config`` says another. ``{% url "tidings-chat:page" %}`` is its address.

        Raises:
            ConfigurationError: An address or an origin in ``Config`` is none.
        """
        page_routes(self._node, "/", api="api")  # what is wrong is told at the start

        def page(request: HttpRequest, path: str = "") -> HttpResponse:
            response = self._answer(self._page, request, path)
            response.xframe_options_exempt = True  # the page's own policy says who frames it
            return response

        patterns = [
            path("api/", self.urls),
            path("", _open_view(page), name="page"),
            re_path("^(?P<path>.+)$", _open_view(page)),
        ]
        return patterns, "tidings-chat", "tidings-chat"

    def context(self, request: HttpRequest) -> dict[str, Any]:
        """A context processor: ``{{ unread_badge }}`` is ``badge`` of whoever is signed in, if a template shows it."""
        return {"unread_badge": SimpleLazyObject(lambda: self._badge_of(request))}

    @cached_property
    def tags(self) -> Library:
        """Template tags: ``{% unread_badge %}``, the same text, where there is no context processor.

        ``register = messages.tags`` in a module that ``TEMPLATES`` names among its ``libraries``.
        """
        library = Library()

        @library.simple_tag(takes_context=True)  # type: ignore[untyped-decorator]  # Django has no types
        def unread_badge(context: Context) -> str:
            request = getattr(context, "request", None)
            return "" if request is None else self._badge_of(request)

        return library

    def _badge_of(self, request: HttpRequest) -> str:
        """The badge of whoever is signed in; one request asks once, however often its templates show it."""
        user = self._user_of(request)
        badges: dict[tuple[DirectMessages, str | None], str] = request.__dict__.setdefault("tidings_badges", {})
        if (self, user) not in badges:
            badges[self, user] = self.badge_now(user)
        return badges[self, user]

    def _user_of(self, request: HttpRequest) -> str | None:
        """The user's id by the project's function; None is nobody."""
        told = self._identify_user(request)
        user: str | None = async_to_sync(_awaited)(told) if inspect.isawaitable(told) else told
        return user

    @cached_property
    def _page(self) -> ASGIApp:
        """The page; made when it is asked for, since the project's addresses are not known before."""
        config = self._node.config
        sign_in = config.sign_in_url or resolve_url(settings.LOGIN_URL) + f"?{REDIRECT_FIELD_NAME}={{here}}"
        return Router(
            page_routes(self._node, "/", api="api", sign_in=sign_in), redirect_slashes=False, default=not_found
        )

    def _identify(self, request: HttpRequest) -> HttpResponse | None:
        """Note on the request who asks; a refusal if it was not that user who sent it."""
        scope = _scope(request, "/")
        if service_key_of(scope) is not None:  # it is a program of the host's, and nobody's session
            request.tidings_user = None
            return None
        try:
            if request.COOKIES:
                refuse_cross_site(scope, self._node.trusted_origins)
        except Problem as problem:
            answer = problem_answer(problem)
            return HttpResponse(answer.body, status=answer.status, content_type=answer.media_type.decode())
        request.tidings_user = self._user_of(request)
        return None

    def _answer(self, app: ASGIApp, request: HttpRequest, path: str) -> HttpResponse:
        """Answer a request by our routes, from a thread."""
        if path.startswith("sse/") and request.method == "GET":
            answer = problem_answer(
                Unavailable(
                    "no_streams",
                    "There are no streams under WSGI, nor without messages.asgi(): read /events.",
                    retry_after_s=STREAM_RETRY_AFTER_S,
                )
            )
            status, headers, body = answer.status, [*answer.headers, (b"content-type", answer.media_type)], answer.body
        else:
            scope = _scope(request, "/" + path)
            scope[_USER] = getattr(request, "tidings_user", None)  # whoever asks for the page may be nobody
            status, headers, body = self._threads.run(_collect(app, scope, request.body))
        response = HttpResponse(body, status=status)
        for name, value in headers:
            response[name.decode("latin-1")] = value.decode("latin-1")
        return response


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


async def _with_database(work: Callable[[], T]) -> T:
    """The result of work that uses the ORM, done in a thread of its own."""

    def done() -> T:
        try:
            return work()
        finally:
            connections.close_all()  # those of this thread, which ends with this call

    async with ThreadSensitiveContext():
        return await sync_to_async(done)()


def _off_the_loop(search: SearchPeople) -> SearchPeople:
    """The search in a thread of its own, where it may wait for the database."""
    if iscoroutinefunction(search) or iscoroutinefunction(getattr(search, "__call__", None)):  # noqa: B004
        return search

    plain = cast("Callable[[UserId, str], Sequence[Profile]]", search)

    async def search_people(user: UserId, text: str) -> Sequence[Profile]:
        return await _with_database(lambda: plain(user, text))

    return search_people


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
        "asgi": {"version": "3.0", "spec_version": "2.4"},  # else a file is cut when nothing more is to be received
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
