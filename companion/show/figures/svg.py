"""SVG that follows the page's text color: the parts that figures are made of."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

Number = int | float

ACCENT = "#2f7fd1"
SECOND = "#d9822b"
COLORS = (ACCENT, SECOND, "#3d9a50", "#a868c8")
MONO = 'font-family="ui-monospace, monospace"'
SIDE_BY_SIDE = (
    "display:flex;flex-wrap:wrap;gap:1rem;align-items:flex-start;justify-content:center"
)


@dataclass(frozen=True)
class Figure:
    """SVG panels side by side (under one another on a phone), a text that says
    what they show, and a caption.
    """

    panels: tuple[str, ...]
    alt: str
    caption: str

    def __repr__(self) -> str:
        return f"Figure: {self.alt}"

    def _repr_html_(self) -> str:
        body = "".join(self.panels)
        if len(self.panels) > 1:
            body = f'<div style="{SIDE_BY_SIDE}">{body}</div>'
        return (
            '<figure class="companion-figure" role="group" '
            f'aria-label="{html.escape(self.alt, quote=True)}">{body}'
            f"<figcaption>{html.escape(self.caption)}</figcaption></figure>"
        )


def svg(width: Number, height: Number, body: str, alt: str) -> str:
    """An SVG of that size in pixels, shrinking with the page, named for screen
    readers.
    """
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" '
        f'height="{height:g}" style="max-width:100%;height:auto" role="img" '
        f'aria-label="{html.escape(alt, quote=True)}" '
        'font-family="system-ui, sans-serif" font-size="14" '
        f'fill="currentColor">{body}</svg>'
    )


def text(
    x: Number,
    y: Number,
    content: str,
    *,
    anchor: str = "middle",
    size: Number = 14,
    extra: str = "",
) -> str:
    """One line of text, centered at its point unless `anchor` says otherwise."""
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size:g}" '
        f'dominant-baseline="central" {extra}>'
        f"{html.escape(content)}</text>"
    )


def box(
    x: Number,
    y: Number,
    width: Number,
    height: Number,
    *,
    opacity: Number = 0,
    color: str = ACCENT,
    radius: Number = 0,
) -> str:
    """A rectangle with a thin outline, filled as strongly as `opacity` says."""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" '
        f'rx="{radius:g}" '
        f'fill="{color}" '
        f'fill-opacity="{opacity:.2f}" stroke="currentColor" stroke-opacity="0.35"/>'
    )


def cell(
    x: Number,
    y: Number,
    width: Number,
    height: Number,
    label: str,
    *,
    opacity: Number,
    color: str = ACCENT,
    size: Number = 14,
) -> str:
    """A box with its label in the middle."""
    drawn = box(x, y, width, height, opacity=opacity, color=color)
    return drawn + text(x + width / 2, y + height / 2, label, size=size)


def arrow(x: Number, start: Number, end: Number) -> str:
    """An arrow straight down, or up where `end` is above `start`."""
    way = 1 if end > start else -1
    return (
        f'<path d="M{x:g} {start:g} V{end - 4 * way:g}" stroke="currentColor" '
        'stroke-opacity="0.6" fill="none"/>'
        f'<path d="M{x - 4:g} {end - 6 * way:g} L{x:g} {end:g} '
        f'L{x + 4:g} {end - 6 * way:g} Z" fill-opacity="0.6"/>'
    )


def legend(names: Sequence[str]) -> str:
    """Each name beside its color, in a line."""
    left, drawn = 0.0, []
    for name, color in zip(names, COLORS, strict=False):
        drawn.append(box(left, 4, 12, 12, opacity=0.55, color=color))
        drawn.append(text(left + 17, 10, name, anchor="start", size=12))
        left += 17 + 6.4 * len(name) + 14
    return "".join(drawn)


def check_colors(count: int, things: str) -> None:
    """Refuse more things in one picture than there are colors for."""
    if count > len(COLORS):
        raise ValueError(
            f"{count} {things}: one picture takes at most {len(COLORS)}, which can "
            "still be told apart"
        )
