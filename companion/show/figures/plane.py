"""A plane with an axis across and one up, for curves and dots by their values: what
`interactive/plane.js` draws, as a still picture.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count, takewhile

from companion.show.figures.svg import Number, svg, text
from companion.show.look.palette import RULE, TEXT

LEFT, RIGHT, TOP, BOTTOM = 50, 10, 22, 40


@dataclass(frozen=True)
class Scale:
    """From one value to another, in powers of ten where it is logarithmic; `write` makes
    the words at its ticks.
    """

    low: Number
    high: Number
    label: str
    log: bool = False
    write: Callable[[Number], str] = "{:,g}".format

    def part(self, value: Number) -> Number:
        """How far along the scale a value is, from 0 to 1."""
        low, high, at = map(self.measure, (self.low, self.high, value))
        return (at - low) / (high - low)

    def measure(self, value: Number) -> Number:
        """The value, or its logarithm."""
        return math.log10(value) if self.log else value

    def ticks(self) -> list[Number]:
        """Powers of ten, or round steps, at most seven."""
        low, high = self.measure(self.low), self.measure(self.high)
        size = 10.0 ** math.floor(math.log10((high - low) / 6))
        step = next(n * size for n in (1, 2, 5, 10) if n * size >= (high - low) / 6)
        by = max(round(step), 1) if self.log else step
        steps = (i * by for i in count(math.ceil(low / by - 1e-9)))
        found = takewhile(lambda value: value <= high + 1e-9 * by, steps)
        return [10.0**value if self.log else round(value, 12) for value in found]


@dataclass
class Plane:
    """The axes with their ticks, and what is drawn into them."""

    x: Scale
    y: Scale
    width: int = 358
    height: int = 220
    parts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for value in self.x.ticks():
            self.line([(value, self.y.low), (value, self.y.high)], ink=RULE, weight=1)
            left, _ = self.place(value, self.y.low)
            self.words(left, self.height - BOTTOM + 12, self.x.write(value))
        for value in self.y.ticks():
            self.line([(self.x.low, value), (self.x.high, value)], ink=RULE, weight=1)
            _, top = self.place(self.x.low, value)
            self.words(LEFT - 6, top, self.y.write(value), "end")
        middle = (LEFT + self.width - RIGHT) / 2
        self.words(middle, self.height - 8, self.x.label)
        self.words(0, 6, self.y.label, "start")

    def place(self, x: Number, y: Number) -> tuple[Number, Number]:
        """Two values in pixels."""
        across = LEFT + self.x.part(x) * (self.width - LEFT - RIGHT)
        down = self.height - BOTTOM - self.y.part(y) * (self.height - TOP - BOTTOM)
        return round(across, 1), round(down, 1)

    def line(
        self,
        points: Iterable[Sequence[Number]],
        *,
        ink: object = TEXT,
        weight: Number = 2,
        dash: str = "",
    ) -> None:
        """A curve through points."""
        path = "L".join("{:g} {:g}".format(*self.place(x, y)) for x, y in points)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<path d="M{path}" fill="none" stroke="{ink}" stroke-width="{weight}"{dashed}/>'
        )

    def dot(self, x: Number, y: Number) -> None:
        """A dot at two values."""
        across, down = self.place(x, y)
        self.parts.append(f'<circle cx="{across}" cy="{down}" r="5" fill="{TEXT}"/>')

    def words(
        self, left: Number, top: Number, content: str, anchor: str = "middle"
    ) -> None:
        """Words at a place in pixels."""
        self.parts.append(text(left, top, content, anchor=anchor, size=13))

    def svg(self, alt: str) -> str:
        """All of it."""
        return svg(self.width, self.height, "".join(self.parts), alt)
