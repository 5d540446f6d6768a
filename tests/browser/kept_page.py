"""The page without its server, as a cache or a host's own server would give it, to be loaded while cut off."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import httpx2
from playwright.sync_api import BrowserContext, Route

from lab import plain_http


@dataclass(frozen=True)
class KeptPage:
    """Document, `page.json` and assets of a node, by path; everything else goes over the network."""

    answers: dict[str, httpx2.Response]

    @classmethod
    def of(cls, url: str) -> KeptPage:
        with plain_http.client(base_url=url) as http:
            document = http.get("/")
            assets = re.findall(r'(?:src|href)="\.?(/assets/[^"]+)"', document.text)
            assert assets, document.text
            return cls({path: http.get(path) for path in ("/", "/page.json", *assets)})

    def stands_in(self, browser: BrowserContext) -> None:
        """Answer in place of the network, in every tab of this browser from now on."""
        for path, answer in self.answers.items():
            assert answer.status_code == 200
            pattern = re.compile(rf"^http://[^/]+{re.escape(path)}(\?.*)?(#.*)?$")
            browser.route(pattern, _giving(answer))


def _giving(kept: httpx2.Response) -> Callable[[Route], None]:
    dropped = ("content-length", "content-encoding", "transfer-encoding")
    headers = {name: value for name, value in kept.headers.items() if name not in dropped}
    return lambda route: route.fulfill(status=200, headers=headers, body=kept.content)
