"""SVG in the book's look: the parts that figures are made of.

Colors are the variables of `companion.show.look`, so that a drawing follows the page it
stands in from light to dark.
"""

import html
from dataclasses import dataclass

from companion.show.look.chips import chip
from companion.show.look.code import look_once
from companion.show.look.palette import TEXT, Ink

Number = int | float

MONO = 'font-family="ui-monospace, SFMono-Regular, Menlo, monospace"'


@dataclass(frozen=True)
class Figure:
    """SVG panels side by side (under one another on a phone), a text that says what they
    show, and a caption, which may name axes in backticks. Below all is the legend.
    """

    panels: tuple[str, ...]
    alt: str
    caption: str
    legend: str = ""  # of the scale that its panels share

    def __repr__(self) -> str:
        return f"Figure: {self.alt}"

    def _repr_html_(self) -> str:
        panels = "".join(self.panels)
        return look_once() + figure(panels, self.alt, self.caption, self.legend)


def figure(panels: str, alt: str, caption: str, after: str = "") -> str:
    """The figure's HTML: panels, and the caption below them."""
    return (
        '<figure class="companion-figure" role="group" '
        f'aria-label="{html.escape(alt, quote=True)}"><div class="panels">{panels}</div>'
        f"{after}<figcaption>{worded(caption)}</figcaption></figure>"
    )


def worded(caption: str) -> str:
    """A caption in HTML: what stands in backticks is code, and an axis a chip."""
    parts = caption.split("`")
    return "".join(
        f"<code>{chip(part, part)}</code>" if number % 2 else html.escape(part)
        for number, part in enumerate(parts)
    )


def svg(width: Number, height: Number, body: str, alt: str) -> str:
    """An SVG of that size in pixels, shrinking with the page, named for screen
    readers.
    """
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" style="max-width:100%;height:auto" '
        f'role="img" aria-label="{html.escape(alt, quote=True)}" '
        f'font-family="system-ui, sans-serif" font-size="14" fill="{TEXT}">{body}</svg>'
    )


def text(
    x: Number,
    y: Number,
    content: str,
    *,
    anchor: str = "middle",
    size: Number = 14,
    ink: Ink | None = None,
    extra: str = "",
) -> str:
    """One line of text, centered at its point unless `anchor` says otherwise."""
    fill = f'fill="{ink}" ' if ink else ""
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size:g}" '
        f'dominant-baseline="central" {fill}{extra}>{html.escape(content)}</text>'
    )
