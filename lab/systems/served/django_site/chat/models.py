"""A message of a room."""

from django.db import models


class Message(models.Model):
    room = models.CharField(max_length=128, db_index=True)
    user = models.CharField(max_length=128)
    text = models.TextField()
    date = models.DateTimeField(auto_now_add=True)
