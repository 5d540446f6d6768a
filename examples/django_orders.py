"""A shop on Django, which tells its customers of their orders. Run it: uvicorn django_orders:application

An order is paid, and its customer is told so, in one transaction: both, or neither.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

import django
from django.conf import settings

DATABASE = os.environ.get("HOST_DB", "postgresql://shop@127.0.0.1/shop")
_PARTS = urlsplit(DATABASE)

settings.configure(
    SECRET_KEY="an example; yours comes from its environment",
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": _PARTS.path.strip("/"),
            "USER": _PARTS.username,
            "HOST": _PARTS.hostname,
            "PORT": _PARTS.port or 5432,
        }
    },
)
django.setup()

from django.core.asgi import get_asgi_application  # noqa: E402
from django.db import connection, connections, models, transaction  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402

from tidings import Config  # noqa: E402
from tidings.django import DirectMessages  # noqa: E402


class Order(models.Model):  # type: ignore[misc]  # Django has no types
    """An order of the shop; the tables of Tidings are in a schema of their own."""

    number = models.IntegerField(primary_key=True)
    customer = models.TextField()
    is_paid = models.BooleanField(default=False)

    class Meta:
        app_label = "shop"
        db_table = "orders"


def current_user(request: HttpRequest) -> Any:
    """The name in a cookie is the customer: an example has no passwords."""
    return request.COOKIES.get("customer")


messages = DirectMessages(Config(db=DATABASE), user=current_user, people=None)


def order(request: HttpRequest, number: int) -> HttpResponse:
    """Place an order."""
    Order.objects.create(number=number, customer=request.GET["customer"])
    return HttpResponse()


def pay(request: HttpRequest, number: int) -> HttpResponse:
    """Pay an order; a card that is refused leaves everything as it was."""
    with transaction.atomic():
        found = Order.objects.select_for_update().get(number=number)
        found.is_paid = True
        found.save()
        text = f"Order {number} is paid."
        once = f"paid-{number}"  # however often somebody pays
        told = messages.send_now("shop", found.customer, text, type="system", client_id=once, connection=connection)
        if request.GET["card"] == "empty":
            transaction.set_rollback(True)
            return HttpResponse("The card was refused.", status=402)
    return HttpResponse(told)


urlpatterns = [path("orders/<int:number>", order), path("orders/<int:number>/pay", pay)]
application = messages.asgi(get_asgi_application(), "/api/message")

if "orders" not in connection.introspection.table_names():
    with connection.schema_editor() as editor:
        editor.create_model(Order)
connections.close_all()
