"""Two shapes, typed, and what torch.matmul makes of them: which axes meet, which stretch,
what comes out, or why nothing does.
"""

import math

from companion.broadcasting import MatmulExplanation, Shape, explain_matmul
from companion.show.figures.legends import DASHES
from companion.show.figures.svg import Figure, Number, svg, text
from companion.show.interactive.element import Interactive
from companion.show.look.palette import EDGE, TEXT
from companion.show.tables import amount, table

# The first is what the figure starts with; the last one torch refuses.
EXAMPLES: tuple[tuple[Shape, Shape], ...] = (
    ((2, 1, 4, 4), (3, 4, 4)),
    ((2, 4), (4, 3)),
    ((1, 9, 5, 64), (1, 9, 64, 5)),
    ((5, 2, 3), (3,)),
    ((2, 9, 5, 64), (2, 3, 64, 5)),
)
COLUMN, BAR, LONGEST = 58, 40, 84


def matmul_explorer(caption: str) -> Interactive:
    """Shapes can be typed or chosen; axes align at the right, ones stretch, and the rules
    of `explain_matmul` say what follows.

    Source: the documentation of torch.matmul.
    """
    first = explain_matmul(*EXAMPLES[0])
    start, *_ = examples = [[str(a), str(b)] for a, b in EXAMPLES]
    alt = f"{start[0]} @ {start[1]} is {first.shape}: " + "; ".join(first.steps[1:])
    return Interactive(
        "matmul-explorer",
        {"start": start, "examples": examples},
        Figure((aligned(first), scheme(first)), alt, caption),
        table(("a", "b", "a @ b", "FLOPs", "why"), [row(*pair) for pair in EXAMPLES]),
    )


def row(a: Shape, b: Shape) -> tuple[object, ...]:
    """One product in words."""
    try:
        found = explain_matmul(a, b)
    except ValueError as error:
        return a, b, "ValueError", "", str(error)
    return a, b, found.shape, amount(found.flops), "; ".join(found.steps[1:])


def aligned(found: MatmulExplanation) -> str:
    """The shapes under one another, flush right, a bar for each size; where a 1 or nothing
    stretches, the bar is dashed.
    """
    named = dict(found.aligned)
    largest = math.log2(max(int(n) for n in named["result"] if n) + 1)
    body, left = [], 54
    for i in range(len(named["result"])):
        right = left + (i + 1) * COLUMN - 6
        label = f"−{len(named['result']) - i}"
        body.append(text(right, 10, label, anchor="end", size=13))
    for number, (name, cells) in enumerate(found.aligned):
        y = 34 + 34 * number
        body.append(text(0, y, name, anchor="start"))
        for i, (cell, whole) in enumerate(zip(cells, named["result"], strict=True)):
            batch = i < len(cells) - 2
            stretches = batch and cell in ("", "1") and whole != "1"
            size = f"{cell}→{whole}" if stretches else cell
            length = BAR * math.log2(int(whole if stretches else cell) + 1) / largest
            right = left + (i + 1) * COLUMN - 6
            body.append(text(right, y, size, anchor="end"))
            body.append(bar(right, y + 12, length, stretches))
    cost = f"{found.shape}: {amount(found.flops, 'FLOPs')}"
    body.append(text(0, 146, cost, anchor="start"))
    width = left + len(named["result"]) * COLUMN
    return svg(width, 156, "".join(body), "The axes, aligned at the right")


def bar(right: Number, y: Number, length: Number, dashed: bool) -> str:
    """A size as a line that ends at the right."""
    dash = f'stroke-dasharray="{DASHES[2]}" ' if dashed else ""
    return (
        f'<path d="M{right - length:.1f} {y:g}H{right:g}" stroke="{TEXT}" '
        f'stroke-width="4" {dash}/>'
    )


def scheme(found: MatmulExplanation) -> str:
    """The result with a beside it and b above, sides on a logarithmic scale: what is summed over
    meets in a quarter circle.
    """
    a, b, result = ([int(n) for n in cells if n] for _, cells in found.aligned)
    (rows, inner), columns, many = a[-2:], b[-1], math.prod(result[:-2])
    unit = min(18, LONGEST / max(1, *(math.log2(n) for n in (rows, inner, columns))))
    down, meet, across = (
        round(18 + unit * math.log2(n), 1) for n in (rows, inner, columns)
    )
    x, y = max(meet, 40) + 40, meet + 44
    arc = f"M{x - meet:g} {y:g}A{meet:g} {meet:g} 0 0 1 {x:g} {y - meet:g}"
    body = [
        text(0, 8, f"one of {many} matrix products", anchor="start"),
        f'<path d="{arc}" fill="none" stroke="{EDGE}" stroke-width="2"/>',
        rectangle(x - meet, y, meet, down, "a"),
        rectangle(x, y - meet, across, meet, "b"),
        rectangle(x, y, across, down, ""),
        text(x + across + 6, y + down / 2, "a @ b", anchor="start"),
        text(x - meet - 6, y + down / 2, str(rows), anchor="end"),
        text(x + across / 2, y - meet - 10, str(columns)),
        text(x - meet / 2, y + down + 12, str(inner)),
        text(x + across + 6, y - meet / 2, str(inner), anchor="start"),
    ]
    alt = f"({rows}, {inner}) @ ({inner}, {columns}) is ({rows}, {columns})"
    return svg(x + max(across + 60, 110), y + down + 26, "".join(body), alt)


def rectangle(x: Number, y: Number, width: Number, height: Number, name: str) -> str:
    """A matrix as a rectangle with its name in it."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="4" '
        f'fill="none" stroke="{TEXT}"/>' + text(x + width / 2, y + height / 2, name)
    )
