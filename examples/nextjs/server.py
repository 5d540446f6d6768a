import os

from starlette.applications import Starlette

from tidings import Config, Tidings

NAMES = {"ada": "Ada Lovelace", "ben": "Ben Okri"}  # your database


def people(ids: list[str]) -> dict[str, dict[str, str | None]]:
    return {id: {"name": NAMES[id], "avatar_url": None} for id in ids if id in NAMES}


def search_people(user: str, text: str) -> list[dict[str, str | None]]:
    return [{"id": id, "name": name} for id, name in NAMES.items() if text.lower() in name.lower()]


config = Config(db="sqlite:///messages.db", secret=os.environ["TIDINGS_SECRET"])  # who is signed in, the token says
tidings = Tidings(config, people=people, search_people=search_people)
app = Starlette(routes=tidings.routes("/api/message"), lifespan=tidings.lifespan)
