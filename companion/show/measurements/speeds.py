"""Tokens per second of several forms, with their spread, from a benchmark's raw file."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from companion.show.figures.frames import box, frame
from companion.show.figures.legends import TINTS
from companion.show.figures.svg import Figure, Number, svg, text
from companion.show.look.palette import TEXT

WHOSE = dict(zip(("companion", "hugging face", "llama.cpp"), TINTS[1:], strict=True))
WIDTH, ROW, BAR = 340, 40, 14


@dataclass(frozen=True)
class Speed:
    """Tokens per second of one form: the median of its rounds, the least and the most,
    and what it cannot exceed, where that is known.
    """

    name: str
    median: Number
    least: Number
    most: Number
    bound: Number | None = None


def speeds(
    raw: Mapping[str, Any],
    phase: str = "decode",
    bound: Callable[[str], Number] | None = None,
) -> list[Speed]:
    """The forms of one phase in the file's order, each with the bound of its name.

    Raises: ValueError when the phase was not measured, or a form not once.
    """
    if phase not in raw:
        raise ValueError(f"no {phase!r} in this raw file: it has {', '.join(raw)}")
    found = []
    for name, seconds in raw[phase]["seconds"].items():
        if not seconds:
            raise ValueError(f"{name!r} has no rounds in {phase!r}")
        paces = [raw[phase]["count"] / each for each in seconds]
        most = bound(name) if bound else None
        median = statistics.median(paces)
        found.append(Speed(name, median, min(paces), max(paces), most))
    return found


def machine_of(raw: Mapping[str, Any]) -> str:
    """Where and when a raw file was made, in one line."""
    return f"{raw['date']} · {raw['cpu']} · {raw['threads']} threads · torch {raw['torch']}"


def speeds_figure(panels: Mapping[str, Sequence[Speed]], caption: str) -> Figure:
    """A panel of horizontal bars for each name, with a scale of its own. A thin line
    from the slowest round to the fastest crosses the end of each bar, and a high one
    stands at the form's bound. The package's own have a thick frame.

    Raises: ValueError for a form of nobody in `WHOSE`.
    """
    every = [speed for found in panels.values() for speed in found]
    if strange := [speed.name for speed in every if owner(speed.name) is None]:
        raise ValueError(f"{strange[0]!r} begins with none of {', '.join(WHOSE)}")
    drawn = tuple(panel(name, found) for name, found in panels.items())
    alt = "; ".join(in_words(name, found) for name, found in panels.items())
    return Figure(drawn, alt, caption)


def panel(name: str, found: Sequence[Speed]) -> str:
    """The bars of one panel under its name."""
    scale = WIDTH / max(max(speed.most, speed.bound or 0) for speed in found)
    body = [text(0, 10, name, anchor="start", extra='font-weight="600"')]
    for i, speed in enumerate(found):
        top, whose = 34 + i * ROW, str(owner(speed.name))
        body.append(text(0, top, speed.name, anchor="start", size=12))
        body.append(text(WIDTH, top, written(speed), anchor="end", size=12))
        width = round(speed.median * scale, 1)
        body.append(box(1, top + 9, width, BAR, tint=WHOSE[whose]))
        if whose == "companion":
            body.append(frame(1, top + 9, width, BAR))
        body.append(
            line(1 + speed.least * scale, top + 16, 1 + speed.most * scale, top + 16)
        )
        if speed.bound:
            x = 1 + speed.bound * scale
            body.append(line(x, top + 8, x, top + 26, width=2))
    height = 34 + len(found) * ROW
    return svg(WIDTH + 3, height, "".join(body), in_words(name, found))


def line(x1: Number, y1: Number, x2: Number, y2: Number, width: Number = 1.2) -> str:
    """A line in the page's text color."""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="{TEXT}" stroke-width="{width:g}"/>'
    )


def owner(name: str) -> str | None:
    """Whose form it is: the beginning of its name."""
    return next((each for each in WHOSE if name.startswith(each)), None)


def written(speed: Speed) -> str:
    """The median, the spread in parentheses, and the share of the bound."""
    share = f", {speed.median / speed.bound:.0%}" if speed.bound else ""
    return f"{speed.median:.1f} ({speed.least:.1f}–{speed.most:.1f}){share}"


def in_words(name: str, found: Sequence[Speed]) -> str:
    """A panel in words."""
    parts = [
        f"{speed.name} {speed.median:.1f}"
        + (f" of at most {speed.bound:.1f}" if speed.bound else "")
        for speed in found
    ]
    return f"tokens per second, {name}: {', '.join(parts)}"
