"""The legend of the look: one tensor with its axes, and what fills and frames say."""

from companion.show.figures.frames import masked, tensor_box
from companion.show.figures.legends import scale_legend
from companion.show.figures.lines import side
from companion.show.figures.svg import Figure, svg, text
from companion.show.look.palette import ACTIVATIONS, AXES, EDGE

SIZES = {
    "batch": 1,
    "heads": 9,
    "q_len": 5,
    "head_dim": 64,
}  # SmolLM2's query, five tokens
CAPTION = (
    "A query of SmolLM2, five tokens: each edge in the color and with the letter of its axis, "
    "here as in every picture, table and sentence of the book. A batch of one has no edge."
)
ROW, COLUMN = 22, 3  # px of a token's row, of a feature


def axes_figure() -> Figure:
    """SmolLM2's query of five tokens, (1, 9, 5, 64), with an edge for each axis; beside it
    what frames and fills say.
    """
    wide, high, back = SIZES["head_dim"] * COLUMN, SIZES["q_len"] * ROW, 7
    depth = back * (SIZES["heads"] - 1)
    left, top = 34, 30 + depth
    sheets = []
    for head in reversed(range(SIZES["heads"])):
        x, y = left + head * back, top - head * back
        sheets.append(
            f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" rx="4" '
            f'fill="{ACTIVATIONS}" stroke="{EDGE}"/>'
        )
    lines = "".join(
        f"M{left} {top + row * ROW}h{wide}" for row in range(1, SIZES["q_len"])
    )
    heads = AXES["heads"].ink
    end = left + wide
    body = [
        *sheets,
        f'<path d="{lines}" stroke="{EDGE}" stroke-opacity="0.5"/>',
        side(left, top, high, "q_len", SIZES["q_len"], down=True),
        f'<path d="M{end + 6} {top + high}l{depth} {-depth}" stroke="{heads}" stroke-width="3"/>',
        text(
            end + depth / 2 + 14,
            top + high - depth / 2 + 8,
            "9",
            anchor="start",
            size=12,
        ),
        f'<text x="{end + depth / 2 + 22}" y="{top + high - depth / 2 + 8}" font-size="12" '
        f'font-style="italic" font-weight="600" dominant-baseline="central" fill="{heads}">h</text>',
        f'<path d="M{left} {top + high + 6}h{wide}" stroke="{AXES["head_dim"].ink}" stroke-width="3"/>',
        text(left + wide / 2, top + high + 18, "64 d", size=12),
    ]
    alt = "A query of shape (1, 9, 5, 64): nine heads behind one another, five rows, 64 columns"
    drawn = svg(end + depth + 40, top + high + 30, "".join(body), alt)
    return Figure((drawn, marks()), alt, CAPTION)


def marks() -> str:
    """What frames and fills say, each beside its word."""
    kinds = (
        ("weights", "weights"),
        ("activations", "activations"),
        ("cached", "in the cache"),
    )
    parts = []
    for row, (kind, word) in enumerate(kinds):
        parts.append(tensor_box(2, 4 + 34 * row, 44, 26, kind))
        parts.append(text(56, 17 + 34 * row, word, anchor="start", size=13))
    parts.append(masked(2, 106, 44, 26))
    parts.append(text(56, 119, "may not be attended", anchor="start", size=13))
    parts.append(scale_legend(2, 146, 1))
    parts.append(text(130, 152, "sign and size", anchor="start", size=13))
    alt = "Frames: weights square on sand, activations round, cached hatched, masked struck out"
    return svg(230, 182, "".join(parts), alt)
