"""Remembering that what let a user in counts no more.

A revocation has a time; a token says by ``iat`` when it was issued. Of a token that does not say, nobody can tell
whether it came before, so it is refused. Revocations are asked for with every request, so they are in memory; the store
keeps them for the next start.
"""

from __future__ import annotations

from collections import OrderedDict

from tidings.errors import Unauthorized
from tidings.protocol.user_id import UserId, hidden_id, is_erased_id
from tidings.server.config import REVOKED_USERS_MAX
from tidings.server.identity.caller import Caller


class Revocations:
    """Until when each user's sign-ins were revoked."""

    def __init__(self) -> None:
        self._until: OrderedDict[UserId, float] = OrderedDict()
        self._has_hidden = False  # of erased users, without their names

    def add(self, user: UserId, until: float) -> None:
        """From now on refuse whoever is this user since ``until`` or before, in the time of ``Caller.known_at``.

        The user may be a ``hidden_id``, as the store keeps erased ones.
        """
        self._has_hidden = self._has_hidden or user.startswith("/")
        self._until[user] = max(until, self._until.pop(user, until))
        if len(self._until) > REVOKED_USERS_MAX:
            self._until.popitem(last=False)

    def check(self, caller: Caller) -> None:
        """Nothing, unless the caller was revoked.

        Raises:
            Unauthorized: The token is older than the revocation, or the id is that of an erased user.
        """
        if is_erased_id(caller.user):
            raise Unauthorized("unauthorized", "This user was erased.")
        until = self._until.get(caller.user)
        if until is None and self._has_hidden:
            until = self._until.get(hidden_id(caller.user))
        if until is not None and caller.known_at <= until:
            raise Unauthorized("unauthorized", "The sign-in of this user was ended; sign in again.")
