"""Settings, routes and application of a small Django site with django-eventstream and its storage on."""

import os

SECRET_KEY = "of a site that serves the scoreboard"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["daphne", "django_eventstream", "chat"]
ROOT_URLCONF = "chat.views"
EVENTSTREAM_STORAGE_CLASS = "django_eventstream.storage.DjangoModelStorage"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["DATABASE_FILE"],
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": "PRAGMA journal_mode=WAL"},
    }
}

from django.core.asgi import get_asgi_application  # noqa: E402 - the settings come first

application = get_asgi_application()
