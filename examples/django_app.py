"""A Django project in one file, and direct messages. Run it: uvicorn django_app:application

Then open /messages/ as ada, whose primary key is 1, and in another browser, as ben, /messages/#/1.

In a project of several files the marked lines stand in ``chat.py``, ``asgi.py`` and ``urls.py``: see
docs/embed/django.md.
"""

from __future__ import annotations

import os

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="an example; yours comes from its environment",
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    LOGIN_URL="/sign-in/",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "django.sqlite3"}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
)
django.setup()

from django.contrib.auth import get_user_model, login  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect  # noqa: E402
from django.urls import path  # noqa: E402
from django.utils.http import url_has_allowed_host_and_scheme, urlencode  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402


@csrf_exempt  # type: ignore[untyped-decorator]  # Django has no types
def sign_in(request: HttpRequest, name: str) -> HttpResponse:
    """The name that somebody gives is that person: an example has no passwords. Answers the primary key."""
    user, _ = get_user_model().objects.get_or_create(username=name)
    login(request, user)
    next = request.GET.get("next", "")
    is_here = url_has_allowed_host_and_scheme(next, allowed_hosts=None)
    return HttpResponseRedirect(next) if is_here else HttpResponse(str(user.pk))


def choose(request: HttpRequest) -> HttpResponse:
    """Two people to choose from, and the way back to where somebody came from."""
    back = urlencode({"next": request.GET["next"]})
    forms = (f'<form method="post" action="{name}?{back}"><button>{name}</button></form>' for name in ("ada", "ben"))
    return HttpResponse("".join(forms))


urlpatterns = [path("sign-in/", choose), path("sign-in/<name>", sign_in)]

call_command("migrate", verbosity=0)
connections.close_all()

# direct messages
from tidings import Config  # noqa: E402
from tidings.django import DirectMessages  # noqa: E402

messages = DirectMessages(Config(db=os.environ.get("HOST_DB", "sqlite:///messages.db")))
urlpatterns.append(path("messages/", messages.page_urls))  # the web chat and its API
urlpatterns.append(path("api/message/", messages.urls))  # the API for a page of one's own
application = messages.asgi(get_asgi_application(), "/messages/api", "/api/message")  # both with streams
# end
