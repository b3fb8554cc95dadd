"""What stands in a drawing: its rectangles and its words."""

import re
from itertools import combinations
from typing import NamedTuple

from companion.show.figures.frames import KINDS

NAME = r'([\w-]+)="([^"]*)"'


class Rect(NamedTuple):
    """A rectangle in pixels, and what it looks like."""

    x: float
    y: float
    width: float
    height: float
    look: dict[str, str]

    @property
    def kind(self) -> str:
        """What a tensor in it is, by its fill; nothing for a tint."""
        fills = {str(ground): kind for kind, (ground, _, _) in KINDS.items()}
        return fills.get(self.look["fill"], "")


def rects(drawing):
    found = [
        dict(re.findall(NAME, each)) for each in re.findall("<rect [^>]*", drawing)
    ]
    sides = ("x", "y", "width", "height")
    return [Rect(*(float(each.get(s, 0)) for s in sides), each) for each in found]


def words(drawing):
    """Each text with its x and y."""
    found = re.findall(r'<text x="([\d.]+)" y="([\d.]+)"[^>]*>(.*?)</text>', drawing)
    return [(float(x), float(y), re.sub("<[^>]*>", "", said)) for x, y, said in found]


def overlapping(boxes):
    """Pairs of boxes that cover a common place."""
    return [
        (a, b)
        for a, b in combinations(boxes, 2)
        if min(a.x + a.width, b.x + b.width) > max(a.x, b.x) + 1e-2
        and min(a.y + a.height, b.y + b.height) > max(a.y, b.y) + 1e-2
    ]


def outside(drawing):
    """The boxes that the drawing has no room for."""
    wide, high = map(float, re.search(r'viewBox="0 0 (\S+) (\S+)"', drawing).groups())
    return [
        box
        for box in rects(drawing)
        if box.x < 0
        or box.y < 0
        or box.x + box.width > wide
        or box.y + box.height > high
    ]
