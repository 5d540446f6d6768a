"""The parts of `make release` and `make site` that are functions: notes, and pages as the site has them."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from lab.release.notes import changes
from lab.release.packages import version

ROOT = Path(__file__).parents[2]
SITE = runpy.run_path(str(ROOT / "docs" / "write_site.py"))
CHANGELOG = "# Changelog\n\n## Unreleased\n\n- new\n\n## 0.2.0 - 2027-01-01\n\n- second\n\n## 0.1.0\n\n- first\n"


def test_the_notes_of_a_version_are_its_section_of_the_changelog() -> None:
    """A version that has none yet takes what is not released; one without changes is refused."""
    assert ["- second", "- first", "- new"] == [changes(CHANGELOG, each) for each in ("0.2.0", "0.1.0", "0.3.0")]
    with pytest.raises(AssertionError, match=r"has no changes under 0\.3\.0"):
        changes("# Changelog\n\n## Unreleased\n", "0.3.0")


def test_the_packages_of_this_tree_have_one_version() -> None:
    """Python's and those of npm: `make release` refuses any others."""
    assert version()


def test_a_link_of_a_document_leads_to_a_page_of_the_site() -> None:
    """To a document as it stands, to a file through a page with its text, to a folder not at all; code stays code."""
    shown: set[Path] = set()
    text = (
        "[readme](../../README.md#react) [run](../run/cli.md) [`nginx`](../../deploy/nginx.conf)\n"
        "[deploy](../../deploy)\n"
        "[decisions](../understand/decisions) ![a](../pictures/bench-delay.svg) [else](https://example.org/a.md)\n"
        "```sh\n[readme](../../README.md)\n```\n```mermaid\na\n```\n"
    )

    assert (
        "[readme](../../index.md#react) [run](../run/cli.md) [`nginx`](../../files/deploy/nginx.conf.md)\n"
        "deploy\n"
        "[decisions](../understand/decisions/README.md) ![a](../pictures/bench-delay.svg) [else](https://example.org/a.md)\n"
        "```sh\n[readme](../../README.md)\n```\n```text\na\n```\n"
    ) == SITE["page"](ROOT / "docs" / "start" / "made-up.md", text, shown)
    assert {ROOT / "deploy/nginx.conf", ROOT / "docs/pictures/bench-delay.svg"} == shown


def test_a_page_that_asks_another_host_is_found() -> None:
    """A link may lead elsewhere; what a browser fetches by itself may not."""
    fetched = ['<script src="https://cdn.example.org/x.js">', '<link rel="stylesheet" href="//fonts.example.org/a">']
    own = ['<a href="https://example.org">', '<script src="../_static/x.js">', '<img src="_images/a.webp">']

    assert [True, True, False, False, False] == [bool(SITE["ELSEWHERE"].search(each)) for each in [*fetched, *own]]
    assert [True, False] == [bool(SITE["FETCHED"].search(each)) for each in ("url(https://a.org/f)", "url(a.woff2)")]
