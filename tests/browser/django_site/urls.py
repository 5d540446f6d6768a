"""Addresses of the project: its own sign-in, and the web chat with its API."""

from __future__ import annotations

import os
from html import escape

from django.contrib.auth import get_user_model, login
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse

from tidings import Config
from tidings.django import DirectMessages

messages = DirectMessages(Config(db=os.environ["HOST_DB"]))


@login_not_required  # type: ignore[untyped-decorator]  # Django has no types
def sign_in(request: HttpRequest) -> HttpResponse:
    """Give an address of e-mail, and come back; an example has no passwords."""
    if email := request.GET.get("email"):
        nickname = email.partition("@")[0].title() if "anonymous" not in email else ""
        member, _ = get_user_model().objects.get_or_create(email=email, defaults={"nickname": nickname})
        login(request, member)
        return HttpResponseRedirect(request.GET["next"])
    back = f'<input type="hidden" name="next" value="{escape(request.GET["next"])}">'
    return HttpResponse(f'<form>{back}<label>E-mail <input name="email"></label><button>Go on</button></form>')


def who(request: HttpRequest) -> HttpResponse:
    """The primary key of whoever is signed in, and the address of the chat."""
    return HttpResponse(f"{request.user.pk} {reverse('tidings-chat:page')}")


urlpatterns = [
    path("members/sign-in/", sign_in, name="sign-in"),
    path("who/", who),
    path("messages/", messages.page_urls),
]
