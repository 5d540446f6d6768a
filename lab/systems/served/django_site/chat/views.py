"""Rooms: a POST keeps a message and sends an event in one transaction; a GET tells where the stream stands."""

import django_eventstream
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.urls import include, path
from django_eventstream import get_current_event_id, send_event

from chat.models import Message


def messages(request: HttpRequest, room: str) -> JsonResponse:
    channel = f"room-{room}"
    if request.method != "POST":
        return JsonResponse({"last-event-id": get_current_event_id([channel])})
    with transaction.atomic():
        message = Message.objects.create(room=room, user=request.POST["from"], text=request.POST["text"])
        data = {"id": message.pk, "from": message.user, "text": message.text}
        send_event(channel, "message", data)
    return JsonResponse(data)


urlpatterns = [
    path("rooms/<room>/messages/", messages),
    path("rooms/<room>/events/", include(django_eventstream.urls), {"format-channels": ["room-{room}"]}),
]
