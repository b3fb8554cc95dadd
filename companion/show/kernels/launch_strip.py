"""What two forms of a layer launch, side by side: one box a launch, in order."""

from collections.abc import Mapping

from companion.show.figures.frames import tensor_box
from companion.show.figures.legends import TINTS
from companion.show.figures.svg import Figure, Number, svg, text
from companion.show.kernels.launch_columns import (
    INSET,
    WIDTH,
    Columns,
    Form,
    blocks,
    check_forms,
    columns,
    cut,
    names,
    projects,
)
from companion.show.kernels.launches import Launch
from companion.show.look.palette import RULE, SURFACE, TEXT
from companion.show.tables import amount

TOP, ROW, HIGH, APART = 46, 21, 18, 7  # boxes: the first, from one to the next, each


def launches_figure(
    found: Mapping[str, Form], parts: Mapping[str, int], caption: str
) -> Figure:
    """What two forms launch, each under its name, a panel for each of `parts`, which
    says how many projections are in it. Launches that both have are side by side; on a
    shaded ground is what one has in place of the other's. Bars are bytes, on one scale.

    Raises: ValueError for other than two forms, for names that have no room side by
    side, for a part without a projection, and where a form has not as many as the parts.
    """
    check_forms(found, parts)
    places = columns([*found.values()])
    cuts = [cut(form, [*parts.values()]) for form in found.values()]
    panels, told = [], []
    for title, *forms in zip(parts, *cuts, strict=True):
        named = dict(zip(found, forms, strict=True))
        told.append(f"{title}: {', '.join(map(counted, named, forms))}")
        panels.append(panel(title, named, places))
    return Figure(tuple(panels), "; ".join(told), caption, boxes_legend(places))


def counted(name: str, form: Form) -> str:
    """How many launches a form has, and the bytes of all."""
    size = amount(sum(each.bytes_moved for each in form), "B")
    return f"{name} {len(form)} launches of {size}"


def panel(title: str, forms: Mapping[str, Form], places: Columns) -> str:
    """A part of the layer: a column for each form."""
    bold = 'font-weight="600"'
    body = [text(INSET, 10, title, anchor="start", size=13.5, extra=bold)]
    for x, (name, form) in zip(places.lefts, forms.items(), strict=True):
        words = f"{name}: {len(form)} launches"
        body.append(text(x, 31, words, anchor="start", size=12.5))
    top = TOP
    for block in blocks(*forms.values()):
        body.append(drawn(block, top, places))
        top += ROW * max(map(len, block)) + APART
    alt = "; ".join(
        f"{name}: {', '.join(each.name for each in form)}"
        for name, form in forms.items()
    )
    return svg(WIDTH, top - APART, "".join(body), f"{title}, {alt}")


def drawn(block: tuple[Form, Form], top: Number, places: Columns) -> str:
    """Launches of both forms, on a ground of their own where they differ."""
    high = ROW * max(map(len, block)) + 3
    left, right = map(names, block)
    ground = shade(0, top - 3, WIDTH, high) if left != right else ""
    cells = [
        cell(x, top + ROW * row, wide, each, places.bar(each.bytes_moved))
        for x, wide, form in zip(places.lefts, places.widths, block, strict=True)
        for row, each in enumerate(form)
    ]
    return "".join([ground, *cells])


def cell(x: Number, y: Number, wide: Number, launch: Launch, long: Number) -> str:
    """One launch: its name, its bytes in figures and as a bar, and Triton's mark."""
    size, middle = amount(launch.bytes_moved, "B"), y + 8
    return (
        tensor_box(x, y, wide, HIGH, "weights" if projects(launch) else "activations")
        + bar(x + 4, y + HIGH - 4, long)
        + (mark(x + 4, middle) if launch.triton else "")
        + text(x + 12, middle, launch.name, anchor="start", size=12)
        + text(x + wide - 6, middle, size, anchor="end", size=12)
    )


def bar(x: Number, y: Number, long: Number) -> str:
    """Bytes as a length."""
    place = f'x="{x:g}" y="{y:g}" width="{long:.2f}" height="2.5"'
    return f'<rect class="bytes" {place} fill="{TEXT}" fill-opacity="{TINTS[0]}"/>'


def mark(x: Number, y: Number) -> str:
    """What says that a launch is Triton's."""
    return f'<path class="triton" d="M{x:g} {y - 4:g}l6 4l-6 4z" fill="{TEXT}"/>'


def shade(x: Number, y: Number, wide: Number, high: Number) -> str:
    """The ground of launches that are in place of one another."""
    place = f'x="{x:g}" y="{y:g}" width="{wide:g}" height="{high:g}"'
    return f'<rect class="instead" {place} rx="4" fill="{SURFACE}" stroke="{RULE}"/>'


def boxes_legend(places: Columns) -> str:
    """What frames, mark, ground and bars say; a bar of a power of ten."""
    round_ = 10 ** (len(str(places.most)) - 1)
    body = [
        tensor_box(INSET, 3, 22, 14, "weights"),
        text(33, 10, "a projection", anchor="start", size=12),
        mark(130, 10),
        text(142, 10, "Triton's, the others torch's", anchor="start", size=12),
        bar(INSET, 31, places.bar(round_)),
        text(places.bar(round_) + 10, 32, amount(round_, "B"), anchor="start", size=12),
        shade(130, 25, 22, 14),
        text(158, 32, "in place of each other", anchor="start", size=12),
    ]
    words = "Projections are square on sand; a triangle marks Triton's; bars are bytes"
    return f'<div class="scale">{svg(WIDTH, 42, "".join(body), words)}</div>'
