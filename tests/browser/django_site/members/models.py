"""A user model of the project's own: known by a UUID, signed in by an address of e-mail, without Django's names."""

from __future__ import annotations

import uuid

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models


class Member(AbstractBaseUser):  # type: ignore[misc]  # Django has no types
    """Somebody who has signed up."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    email = models.EmailField(unique=True)
    nickname = models.TextField(default="")
    is_active = True

    objects = BaseUserManager()
    USERNAME_FIELD = "email"

    def get_short_name(self) -> str:
        """The name that others call them by; nothing for those who chose none."""
        return str(self.nickname)
