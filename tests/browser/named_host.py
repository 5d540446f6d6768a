"""The served page with people who have told hostile names and pictures, and a host that hands them on as they are."""

from __future__ import annotations

import os

from tidings import Config
from tidings.server.http.serve import served
from tidings.server.node import Node

SECRET = "a secret of this host, long enough for every token that it mints"
RUN = "document.title='pwned'"
NAMES = {
    "markup": f'<img src=x onerror="{RUN}">',
    "script": f'"><script>{RUN}</script>',
    "closing": f"</h2></li></ol></a><h1>Out of the list</h1><svg/onload={RUN}>",
    "override": "\u202enimda \u2067never closed",
    "template": "{{constructor.constructor('document.title=1')()}} ${document.title=1} %s",
}
PICTURES = {"script": f"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload=\"{RUN}\"/>"}

node = Node(
    Config(db=os.environ.get("HOST_DB", "sqlite:///named.db"), secret=SECRET),
    people=lambda ids: {id: {"name": NAMES.get(id, id), "avatar_url": PICTURES.get(id)} for id in ids},
)
app = served(node, {"sign_in": "token"})
