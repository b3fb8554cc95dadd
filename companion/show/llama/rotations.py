"""Pairs of features as arrows in a plane, one circle for each pair."""

import math
from collections.abc import Sequence

from torch import Tensor

from companion.show.figures.svg import Figure, Number, svg, text
from companion.show.look.palette import ACTIVATIONS, EDGE, TEXT

RADIUS, MARGIN = 62, 24
NEAR = 0.25  # in radii


def rotation_figure(
    pairs: Sequence[tuple[str, Tensor]], positions: Sequence[int], caption: str
) -> Figure:
    """A circle for each pair (positions, 2), an arrow in it for each position.

    The first position's arrow is dashed, with an empty end; later ones are stronger. Arrows
    that end too near to a numbered one have no number.
    """
    panels = []
    for name, points in pairs:
        longest = points.double().norm(dim=-1).max().item()
        body = [circle(), text(RADIUS + MARGIN, 10, name, size=13)]
        numbered: list[tuple[float, float]] = []
        for i, (position, point) in enumerate(
            zip(positions, points.double().tolist(), strict=True)
        ):
            strength = 0.6 + 0.4 * i / max(len(positions) - 1, 1)
            x, y = (value / longest for value in point)
            label = str(position)
            if any(math.dist((x, y), other) < NEAR for other in numbered):
                label = ""
            else:
                numbered.append((x, y))
            body.append(arrow(x, y, 0 if i == 0 else strength, label))
        where = ", ".join(
            f"position {position} at ({x:.2f}, {y:.2f})"
            for position, (x, y) in zip(positions, points.tolist(), strict=True)
        )
        size = 2 * (RADIUS + MARGIN)
        panels.append(svg(size, size + 20, "".join(body), f"{name}: {where}"))
    names = ", ".join(name for name, _ in pairs)
    return Figure(tuple(panels), f"Rotated pairs: {names}", caption)


def circle() -> str:
    """The circle that all rotated pairs of one length end on, and its axes."""
    middle, down = RADIUS + MARGIN, RADIUS + MARGIN + 20
    faint = f'stroke="{EDGE}"'
    return (
        f'<circle cx="{middle}" cy="{down}" r="{RADIUS}" fill="none" {faint}/>'
        f'<path d="M{middle - RADIUS} {down}h{2 * RADIUS}'
        f'M{middle} {down - RADIUS}v{2 * RADIUS}" {faint}/>'
    )


def arrow(x: Number, y: Number, strength: Number, label: str) -> str:
    """An arrow from the middle to (x, y), both from -1 to 1, y upwards, with a label;
    dashed where its strength is 0.
    """
    middle, down = RADIUS + MARGIN, RADIUS + MARGIN + 20
    end_x, end_y = middle + x * RADIUS, down - y * RADIUS
    look = f'stroke-opacity="{strength:.2f}"' if strength else 'stroke-dasharray="5 3"'
    end = f'fill="{TEXT}" fill-opacity="{strength:.2f}"'
    if not strength:
        end = f'fill="{ACTIVATIONS}" stroke="{TEXT}" stroke-width="1.5"'
    return (
        f'<path d="M{middle} {down}L{end_x:.1f} {end_y:.1f}" stroke="{TEXT}" '
        f'stroke-width="2" {look}/>'
        f'<circle cx="{end_x:.1f}" cy="{end_y:.1f}" r="3.5" {end}/>'
        + text(
            round(middle + 1.22 * x * RADIUS, 1),
            round(down - 1.22 * y * RADIUS, 1),
            label,
            size=12,
        )
    )
