"""A tally of lost and doubled messages: the texts that were written, against what each place has of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from lab.crowd import whole_history
from lab.node import Person
from tests.browser.window import Window


@dataclass(frozen=True)
class Tally:
    """Over all places together; written texts are all different."""

    lost: int
    doubled: int


NOTHING_LOST_OR_DOUBLED = Tally(lost=0, doubled=0)


def tally(written: Sequence[str], person: Person, peer: str, windows: Sequence[Window]) -> Tally:
    """Count in the server's history and in each of these windows, once all have as many as were written.

    Messages in another order than the server's have no number: it fails here.
    """

    def history() -> list[str]:
        return [message["text"] for message in whole_history(person, person.node.person(peer))]

    windows[0].is_waiting_for(lambda: len(history()) >= len(written), "the server has as many as were written")
    stored = history()
    places = [stored]
    for window in windows:
        window.is_waiting_for(partial(_shows, window, len(stored)), "as many as the server has")
        places.append(window.texts)
        assert stored == list(dict.fromkeys(places[-1])), "not in the server's order"
    counts = [Counter(place) for place in places]
    assert all(set(count) <= set(written) for count in counts), "there is something that nobody wrote"
    return Tally(
        lost=sum(text not in count for count in counts for text in written),
        doubled=sum(number - 1 for count in counts for number in count.values()),
    )


def _shows(window: Window, count: int) -> bool:
    return len(window.texts) >= count
