"""The matrices of a decoder layer as the ranks share them, drawn from what they hold."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from companion.show.figures.frames import box, tensor_box
from companion.show.figures.legends import check_tints, legend
from companion.show.figures.svg import Figure, Number, svg, text

WIDTH, WIDEST = 340, 176
SHARES = (0.34, 0.2, 0.06, 0)  # tints of the ranks, with numbers on them
HALVES = (
    ("self_attn", ("q_proj", "k_proj", "v_proj", "o_proj"), "input_layernorm"),
    ("mlp", ("gate_proj", "up_proj", "down_proj"), "post_attention_layernorm"),
)


@runtime_checkable
class Piece(Protocol):
    """A rank's part of a tensor, as `companion.parallel.pieces` has it: where in the whole
    it begins, its shape, the axis of the cut, which is None when a rank has all of it.
    """

    @property
    def whole(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def first(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def axis(self) -> int | None: ...  # noqa: D102


Pieces = Mapping[str, Piece]


def shares_figure(
    ranks: Sequence[Pieces], summed: Sequence[str], caption: str, layer: int = 0
) -> Figure:
    """A decoder layer's matrices as they are stored, (out, in), to one scale, each cut
    into what the ranks hold; and the sums over ranks, after the modules in `summed`.

    Raises: ValueError for more ranks than there are tints.
    """
    check_tints(len(ranks), "ranks")
    prefix = f"model.layers.{layer}."
    largest = max(max(piece.whole) for piece in named(ranks[0], prefix).values())
    body, words = [legend([f"rank {r}" for r in range(len(ranks))], SHARES)], []
    top: Number = 30
    for half, names, norm in HALVES:
        held = [
            {name: rank[f"{prefix}{half}.{name}.weight"] for name in names}
            for rank in ranks
        ]
        whole = ranks[0][f"{prefix}{norm}.weight"]
        body.append(strip(top, f"{norm} {whole.shape}: whole, on every rank"))
        words.append(f"{norm} {whole.shape} whole on every rank")
        drawn, deep = row(top + 36, names, held, WIDEST / largest)
        body.append(drawn)
        words += [in_words(name, [each[name] for each in held]) for name in names]
        top += 36 + deep + 10
        if f"{prefix}{half}.{names[-1]}" in summed:
            body.append(total(top, len(ranks), f"all-reduce after {names[-1]}"))
            words.append(f"a sum over the ranks after {names[-1]}")
            top += 44
    alt = "; ".join(words)
    return Figure((svg(WIDTH, top, "".join(body), alt),), alt, caption)


def named(pieces: Pieces, prefix: str) -> Pieces:
    """Those whose name begins so."""
    return {name: piece for name, piece in pieces.items() if name.startswith(prefix)}


def strip(top: Number, words: str) -> str:
    """What is not cut: a line of text in a thin frame."""
    frame = box(1, top, WIDTH - 2, 22, radius=5)
    return frame + text(WIDTH / 2, top + 11, words, size=12)


def total(top: Number, ranks: int, words: str) -> str:
    """A sum over ranks: a strip with a part of every rank's tint in it."""
    wide = (WIDTH - 2) / ranks
    parts = "".join(
        box(1 + r * wide, top, wide, 22, tint=SHARES[r]) for r in range(ranks)
    )
    return parts + text(WIDTH / 2, top + 11, f"Σ  {words}", size=12)


def row(
    top: Number, names: Sequence[str], held: Sequence[Pieces], scale: float
) -> tuple[str, Number]:
    """The matrices of one half side by side, and how deep they reach."""
    sizes = [held[0][name].whole for name in names]
    wide = [max(columns * scale, 58) for _, columns in sizes]
    gap = (WIDTH - 2 - sum(wide)) / (len(names) - 1)
    body, left = [], 1.0
    for name, width in zip(names, wide, strict=True):
        if name == names[-1]:  # what the others give a rank is its input
            body.append(text(left - gap / 2, top + 49, "→", size=13))
        body.append(matrix(left, top, name, [each[name] for each in held], scale))
        left += width + gap
    return "".join(body), 16 + max(rows for rows, _ in sizes) * scale + 20


def matrix(
    left: Number, top: Number, name: str, pieces: Sequence[Piece], scale: float
) -> str:
    """A stored matrix under its name, in the pieces of the ranks, over a piece's shape."""
    rows, columns = (n * scale for n in pieces[0].whole)
    body = [
        text(left, top + 6, name, anchor="start", size=12),
        tensor_box(left, top + 16, columns, rows, "weights"),
    ]
    for number, piece in enumerate(pieces):
        (y, x), (high, wide) = (
            [n * scale for n in each] for each in (piece.first, piece.shape)
        )
        body.append(box(left + x, top + 16 + y, wide, high, tint=SHARES[number]))
        if high >= 14:
            middle = left + x + wide / 2, top + 16 + y + high / 2
            body.append(text(*middle, str(number), size=12))
    shape = f"({pieces[0].shape[0]}, {pieces[0].shape[1]})"
    body.append(text(left, top + 16 + rows + 10, shape, anchor="start", size=12))
    return "".join(body)


def in_words(name: str, pieces: Sequence[Piece]) -> str:
    """How a matrix is cut."""
    axis = pieces[0].axis
    how = "whole on" if axis is None else f"by {('rows', 'columns')[axis]}, on"
    return f"{name} {pieces[0].whole} {how} each rank {pieces[0].shape}"
