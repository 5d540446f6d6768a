"""Pictures of every state of the page, for the eye: two devices, light and dark, both directions of writing.

``make screenshots``, or ``python -m tests.browser.screenshots OUTDIR [STATE ...]``, which writes
OUTDIR/STATE-DEVICE-SCHEME-DIRECTION.png. The tests assert their contents; whether they look right is for people.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

from playwright.sync_api import Error, expect

from lab.browser.chromium import launched
from tests.browser.states import SIZES, SLOW, STATES, Scene, Studio, Tour

PATIENCE_MS = 20_000
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


TURN = """direction => {
    for (const part of [document.documentElement, ...document.querySelectorAll(".tidings[dir]")]) part.dir = direction;
}"""
"""The page, and the parts of it that say their own direction, as those in a chosen language do."""


ARRIVE = """() => {
    const ends = (each) => each.effect.getComputedTiming().endTime !== Infinity;
    const roots = [document, ...[...document.querySelectorAll("*")].flatMap((each) => each.shadowRoot ?? [])];
    roots.flatMap((root) => root.getAnimations()).filter(ends).forEach((each) => each.finish());
}"""
"""What glides into its colour or its place is there."""


def shoot(scene: Scene, folder: Path) -> None:
    """Four pictures of this window as it is."""
    page = scene.window.page
    for direction in ("ltr", "rtl"):
        page.evaluate(TURN, direction)
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            scene.refresh()
            page.evaluate(ARRIVE)
            page.screenshot(path=folder / f"{scene.name}-{scene.device}-{scheme}-{direction}.png", caret="initial")


def main(folder: Path, names: list[str]) -> int:
    """Take all pictures; 1 when a state could not be reached."""
    folder.mkdir(parents=True, exist_ok=True)
    failed = 0
    with tempfile.TemporaryDirectory() as scratch, launched() as browser:
        expect.set_options(timeout=PATIENCE_MS)
        for device in SIZES:
            with Studio(browser, Path(scratch) / device) as studio:
                tour = Tour(studio, device)
                tour.begin(names)
                for name in sorted(names, key=SLOW.__contains__):
                    before, trouble = time.monotonic(), ""
                    try:
                        with tour.state(name) as scene:
                            shoot(scene, folder)
                    except (AssertionError, Error) as error:  # the others are taken all the same
                        trouble = str(error)
                    failed += trouble != ""
                    print(f"{time.monotonic() - before:5.1f} s  {name} {device} {trouble}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    if len(sys.argv) < 2 or not set(sys.argv[2:]) <= set(STATES):
        raise SystemExit(f"usage: python -m tests.browser.screenshots OUTDIR [STATE ...]\nstates: {' '.join(STATES)}")
    raise SystemExit(main(Path(sys.argv[1]), sys.argv[2:] or list(STATES)))
