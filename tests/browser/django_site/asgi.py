"""The project under ASGI: the chat has streams."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

from django.core.asgi import get_asgi_application

django = get_asgi_application()

from urls import messages  # type: ignore[import-not-found]  # noqa: E402  # beside this file

application = messages.asgi(django, "/messages/api")
