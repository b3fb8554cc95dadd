"""The stations of the equality ledger as a chain, a mark for each claim."""

from collections.abc import Mapping

from companion.show.figures.frames import box
from companion.show.figures.svg import Figure, Number, svg, text
from companion.show.ledgers.equality import EqualityLedger
from companion.show.look.palette import EDGE, TEXT

HIGH, DOT, STEP = 58, 5, 15


def chain(stations: Mapping[str, EqualityLedger], caption: str) -> Figure:
    """A box for each station, in order: a filled dot for a claim that is exact, a ring for
    one that holds within a bound.
    """
    panels, told = [], []
    for number, (title, ledger) in enumerate(stations.items()):
        verdicts = [row[-1] == "exact" for row in ledger.rows]
        exact = sum(verdicts)
        told.append(f"{title}: {exact} exact, {len(verdicts) - exact} within a bound")
        width = max(7.4 * len(title), STEP * len(verdicts)) + 24
        left = 26 if number else 1
        dots = [dot(left + 16 + STEP * i, 40, each) for i, each in enumerate(verdicts)]
        link = "" if number == 0 else text(12, HIGH / 2, "=", size=18)
        title_at = text(left + 12, 18, title, anchor="start", size=13)
        body = [link, box(left, 1, width, HIGH - 2, radius=6), title_at, *dots]
        panels.append(svg(left + width + 1, HIGH, "".join(body), told[-1]))
    return Figure(tuple(panels), "; ".join(told), caption)


def dot(x: Number, y: Number, exact: bool) -> str:
    """A claim: filled where it is exact."""
    look = (
        f'fill="{TEXT}"' if exact else f'fill="none" stroke="{EDGE}" stroke-width="2"'
    )
    return f'<circle cx="{x:g}" cy="{y:g}" r="{DOT}" {look}/>'
