"""A FastAPI application with a session of its own, which serves the web chat, and whose people are found by name."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import unquote

from fastapi import FastAPI, Request

from tidings import Config
from tidings.fastapi import DirectMessages

BROKEN = "break it"  # somebody who types this finds a search that fails
GUEST = "Ada"  # everybody with this in the id is there, and found by nobody
ABOUT = {
    "Mira Castellanos": "Ceramics master class",
    "Chloé Marchand": "Team Lyon",
    "Amara Boateng": "Accounts",
    "Marek Kowal": "Workshop, ground floor",
    "Matilda Ost": "Pottery course, Thursdays",
    "Imani Mwangi": "Team Nairobi",
    "مريم الصالح": "Maryam Al-Saleh",
}
PEOPLE: dict[str, dict[str, str | None]] = {
    f"u{number}": {"name": name, "avatar_url": None, "about": about}
    for number, (name, about) in enumerate(ABOUT.items(), 1)
}


def search_people(_user: str, text: str) -> list[dict[str, Any]]:
    """The people who have this in the name, or in what is told of them."""
    if text == BROKEN:
        raise RuntimeError(BROKEN)
    wanted = text.casefold()
    told = ((user, profile, f"{profile['name']}\n{profile['about']}") for user, profile in PEOPLE.items())
    return [{"id": user, **profile} for user, profile, words in told if wanted in words.casefold()]


def people(ids: list[str]) -> dict[str, dict[str, str | None]]:
    """Names of those who are there."""
    return {user: PEOPLE.get(user, {"name": GUEST}) for user in ids if user in PEOPLE or GUEST in user}


def current_user(request: Request) -> str | None:
    """The session, which is the id here; nobody is None."""
    return unquote(request.cookies.get("session", "")) or None


config = Config(db=os.environ.get("HOST_DB", "sqlite:///people.db"))
messages = DirectMessages(config, user=current_user, people=people, search_people=search_people)
app = FastAPI(lifespan=messages.lifespan, routes=messages.page("/messages", sign_in="/login"))
app.include_router(messages.router, prefix="/api/message")
