"""A Django project of somebody else, in one file: sessions, the user model, and a way to sign in.

``uvicorn django_host:application`` serves it under ASGI, ``python django_host.py PORT`` under WSGI, and ``python
django_host.py runserver PORT`` is its ``manage.py``.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIServer, make_server

import django
import msgspec
from django.conf import settings

EMBED = Path(__file__).parents[2] / "docs" / "embed"
BADGE = (EMBED / "django.md").read_text(encoding="utf-8").split("\n## A badge in your templates\n", 1)[1]
VARIABLE, TAG = re.findall(r"^```html django\n(.*?)^```$", BADGE, re.MULTILINE | re.DOTALL)[:2]
MEANWHILE = "{% if is_sent_to %}{{ one_more }}{% endif %}"

settings.configure(
    SECRET_KEY="a key of the tests",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "django.sqlite3"}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "context_processors": [f"{__name__}.unread_badge"],
                "libraries": {"tidings": __name__},
                "loaders": [
                    (
                        "django.template.loaders.locmem.Loader",
                        {"variable": VARIABLE, "tag": TAG, "all": VARIABLE + MEANWHILE + TAG + VARIABLE},
                    )
                ],
            },
        }
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ],
    USE_TZ=True,
)
django.setup()

from django.contrib.auth import authenticate, get_user_model, login, logout  # noqa: E402
from django.contrib.auth.decorators import login_not_required  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.management import call_command, execute_from_command_line  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, connections  # noqa: E402
from django.http import HttpRequest, HttpResponse, JsonResponse  # noqa: E402
from django.shortcuts import render  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402

from tidings import Config  # noqa: E402
from tidings.django import DirectMessages  # noqa: E402

call_command("migrate", verbosity=0)
connections.close_all()


async def header_user(request: HttpRequest) -> str | None:
    """Another way to know people: the name itself stands where a token would."""
    return request.headers.get("Authorization", "").removeprefix("Bearer ") or None


def recipe(document: str, heading: str) -> dict[str, Any]:
    """The names that the first Python snippet below this heading of a document defines."""
    text = (EMBED / document).read_text(encoding="utf-8")
    defined: dict[str, Any] = {}
    exec(text.split(f"\n{heading}\n", 1)[1].split("```python\n", 1)[1].split("```", 1)[0], defined)
    return defined


options: dict[str, Any] = {"user": header_user} if os.environ.get("HOST_USER") == "header" else {}
messages = DirectMessages(
    Config(
        db=os.environ.get("HOST_DB", "sqlite:///host.db"),
        heartbeat_interval_s=1,
        cors_origins=("https://app.example.org",),
    ),
    search_people=recipe("people.md", "## Django")["search_people"],
    **options,
)
exec(BADGE.split("```python\n", 1)[1].split("```", 1)[0].split("\n\n")[-1])  # with the messages of this project


@csrf_exempt
@login_not_required
def sign_in(request: HttpRequest, name: str) -> HttpResponse:
    """Make the user if need be, and sign them in: their primary key."""
    if not get_user_model().objects.filter(username=name).exists():
        get_user_model().objects.create_user(name, password="secret", first_name=name.title(), last_name="Example")
    login(request, authenticate(request, username=name, password="secret"))
    return HttpResponse(str(request.user.pk))


@csrf_exempt
def sign_out(request: HttpRequest) -> HttpResponse:
    """As a host has it."""
    logout(request)
    return HttpResponse()


def rename(request: HttpRequest, key: str, name: str) -> HttpResponse:
    """A page on which somebody gives another name."""
    get_user_model().objects.filter(pk=key).update(first_name=name)
    return HttpResponse()


def order(request: HttpRequest, buyer: str) -> JsonResponse:
    """A sync view of the host's whose code sends a message."""
    return JsonResponse({"_id": messages.send_now("shop", buyer, "Your parcel has left.", type="system").id})


async def order_later(request: HttpRequest, buyer: str) -> JsonResponse:
    """An async one."""
    message = await messages.send("shop", buyer, "Your parcel has left.", type="system")
    return JsonResponse({"_id": message.id})


async def order_in_a_hurry(request: HttpRequest, buyer: str) -> HttpResponse:
    """A mistake: it would wait for itself."""
    try:
        messages.send_now("shop", buyer, "never")
    except TypeError as error:
        return HttpResponse(str(error))
    return HttpResponse("sent")


def calls(request: HttpRequest, name: str) -> HttpResponse:
    """A sync view that makes any call of the messages."""
    called = getattr(messages, f"{name}_now")(**json.loads(request.body))
    return HttpResponse(msgspec.json.encode(list(called) if name == "export" else called))


async def calls_later(request: HttpRequest, name: str) -> HttpResponse:
    """An async one."""
    called = getattr(messages, name)(**json.loads(request.body))
    return HttpResponse(msgspec.json.encode([line async for line in called] if name == "export" else await called))


def badge(request: HttpRequest, template: str) -> HttpResponse:
    """A page with the badge; the one of all its forms sends a message to the reader while it is rendered."""
    reader = request.GET.get("is_sent_to", "")
    more = {"is_sent_to": reader, "one_more": lambda: messages.send_now("shop", reader, "meanwhile").text}
    return render(request, template, more)


async def badge_later(request: HttpRequest) -> HttpResponse:
    """An async view that renders in the event loop."""
    user = await request.auser()
    return render(request, "variable", {"unread_badge": await messages.badge(str(user.pk))})


async def badge_in_a_hurry(request: HttpRequest) -> HttpResponse:
    """A mistake: the template would wait for itself."""
    try:
        return render(request, "tag")
    except TypeError as error:
        return HttpResponse(str(error))


def connections_open(request: HttpRequest) -> JsonResponse:
    """How many connections to the database this process has open, by its file descriptors."""
    connection.close()
    open_files = [os.readlink(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd") if _is_open(number)]
    return JsonResponse({"open": sum(name.endswith("/django.sqlite3") for name in open_files)})


def _is_open(number: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{number}")


urlpatterns = [
    path("sign-in/<name>", sign_in),
    path("sign-out", sign_out),
    path("rename/<key>/<name>", login_not_required(rename)),
    path("order/<buyer>", login_not_required(order)),
    path("order-later/<buyer>", login_not_required(order_later)),
    path("order-in-a-hurry/<buyer>", login_not_required(order_in_a_hurry)),
    path("calls/<name>", login_not_required(csrf_exempt(calls))),
    path("calls-later/<name>", login_not_required(csrf_exempt(calls_later))),
    path("badge/<template>", login_not_required(badge)),
    path("badge-later", badge_later),
    path("badge-in-a-hurry", badge_in_a_hurry),
    path("connections", login_not_required(connections_open)),
    path("api/message/", messages.urls),
]

application = messages.asgi(get_asgi_application(), "/api/message")


class ThreadingServer(ThreadingMixIn, WSGIServer):
    """A worker of several threads."""

    daemon_threads = True


if __name__ == "__main__" and len(sys.argv) > 2:
    execute_from_command_line(sys.argv)
elif __name__ == "__main__":
    with make_server("127.0.0.1", int(sys.argv[1]), get_wsgi_application(), server_class=ThreadingServer) as server:
        server.serve_forever()
