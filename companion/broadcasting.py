"""The rules of torch.matmul, one step at a time.

Source: the documentation of torch.matmul, "The behavior depends on the dimensionality
of the tensors".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from math import prod

Shape = tuple[int, ...]


@dataclass(frozen=True)
class MatmulExplanation:
    """What torch.matmul makes of two shapes: `shape`, the `steps` to it, and `flops`.

    `aligned` holds the three shapes as rows of equal width, blank where a shape has
    no axis.
    """

    a_shape: Shape
    b_shape: Shape
    shape: Shape
    steps: tuple[str, ...]
    flops: int
    aligned: tuple[tuple[str, tuple[str, ...]], ...]

    def __repr__(self) -> str:
        width = max(len(cell) for _, cells in self.aligned for cell in cells)
        rows = [
            f"{name:>6}  " + "  ".join(f"{cell:>{width}}" for cell in cells)
            for name, cells in self.aligned
        ]
        return "\n".join(
            rows + [f"{number}. {step}" for number, step in enumerate(self.steps, 1)]
        )

    def _repr_html_(self) -> str:
        rows = "".join(self.row_html(name, cells) for name, cells in self.aligned)
        batch = len(self.aligned[0][1]) - 2
        over = f'<th scope="colgroup" colspan="{batch}">batch</th>' if batch else ""
        head = f'<tr><td></td>{over}<th scope="colgroup" colspan="2">matrix</th></tr>'
        inside = f"<thead>{head}</thead><tbody>{rows}</tbody>"
        steps = "".join(f"<li>{step}</li>" for step in self.steps)
        table = f'<table class="companion-ledger companion-shapes">{inside}</table>'
        return f"{table}<ol>{steps}</ol>"

    def row_html(self, name: str, cells: Sequence[str]) -> str:
        """A shape as a row in a page, with what happens to each of its sizes."""
        (_, result), last = self.aligned[-1], len(cells)
        summed = {"a": last - 1, "b": last - 2}.get(name)
        drawn = [f'<th scope="row">{name}</th>']
        for place, (size, becomes) in enumerate(zip(cells, result, strict=True)):
            how = "matrix" if place >= last - 2 else ""
            if place == summed:
                how = "matrix summed"
            elif place < last - 2 and size not in ("", becomes):
                how = "stretched"
            shown = f"<span>{size}</span>" if size else ""
            drawn.append(
                f'<td class="{how}">{shown}</td>' if how else f"<td>{shown}</td>"
            )
        return f"<tr>{''.join(drawn)}</tr>"


def explain_matmul(a_shape: Sequence[int], b_shape: Sequence[int]) -> MatmulExplanation:
    """Work out `torch.matmul(a, b).shape` from the two shapes alone, and say how.

    Costs nothing whatever the sizes are. `flops` counts a multiply and an add as two.

    Raises: ValueError exactly where torch.matmul refuses the shapes, saying which
    axes clash.
    """
    a, b = as_shape("a", a_shape), as_shape("b", b_shape)
    steps = [f"{a} @ {b}: {case(len(a), len(b))}"]
    a_full = (1, *a) if len(a) == 1 else a
    b_full = (*b, 1) if len(b) == 1 else b
    if len(a) == 1:
        steps.append(f"a has one axis: it becomes the row {a_full}")
    if len(b) == 1:
        steps.append(f"b has one axis: it becomes the column {b_full}")
    (rows, inner), (b_inner, columns) = a_full[-2:], b_full[-2:]
    if inner != b_inner:
        raise ValueError(
            f"the last axis of a {a} is {inner} and the "
            f"{'only' if len(b) == 1 else 'second-to-last'} axis of b {b} is "
            f"{b_inner}: they are summed over and must be "
            f"equal{'; b.mT would fit' if len(b) > 1 and inner == columns else ''}"
        )
    steps.append(
        f"matrices: ({rows}, {inner}) @ ({inner}, {columns}) sums over {inner} and "
        f"gives ({rows}, {columns})"
    )
    batch = broadcast(a_full[:-2], b_full[:-2], steps)
    full = (*batch, rows, columns)
    shape = (
        *batch,
        *((rows,) if len(a) > 1 else ()),
        *((columns,) if len(b) > 1 else ()),
    )
    if shape != full:
        steps.append(
            f"the axis added to make a matrix is removed again: {full} becomes {shape}"
        )
    flops = 2 * prod(full) * inner
    aligned = align(("a", a_full), ("b", b_full), ("result", full))
    return MatmulExplanation(a, b, shape, tuple(steps), flops, aligned)


def broadcast(a_batch: Shape, b_batch: Shape, steps: list[str]) -> Shape:
    """Broadcast the axes before the matrices, and record it in `steps`."""
    if not (a_batch or b_batch):
        return ()
    result: list[int] = []
    for place, (x, y) in enumerate(
        zip_longest(reversed(a_batch), reversed(b_batch), fillvalue=1)
    ):
        if x != y and 1 not in (x, y):
            raise ValueError(
                f"batch axis {-3 - place} is {x} in a and {y} in b (batch axes "
                f"{a_batch} and {b_batch}): they must be equal, or one of them 1 or "
                "missing"
            )
        result.insert(0, y if x == 1 else x)
    shape = tuple(result)
    steps.append(
        f"batch axes: {a_batch} and {b_batch}, aligned at the right, broadcast to "
        f"{shape}"
    )
    return shape


def case(a_axes: int, b_axes: int) -> str:
    """The name of the case in torch's documentation."""
    names = {
        (1, 1): "dot product of two vectors",
        (2, 2): "matrix product",
        (1, 2): "vector times matrix",
        (2, 1): "matrix times vector",
    }
    return names.get((a_axes, b_axes), "batched matrix product")


def align(*rows: tuple[str, Shape]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Shapes under one another, flush right, as torch compares them."""
    width = max(len(shape) for _, shape in rows)
    return tuple(
        (name, ("",) * (width - len(shape)) + tuple(map(str, shape)))
        for name, shape in rows
    )


def as_shape(name: str, shape: Sequence[int]) -> Shape:
    """A shape as a tuple of sizes, refused where torch.matmul would refuse it."""
    sizes = tuple(int(size) for size in shape)
    if not sizes:
        raise ValueError(
            f"{name} has no axes: torch.matmul needs at least one; multiply by a "
            "scalar with *"
        )
    if any(size < 0 for size in sizes):
        raise ValueError(f"{name} is {sizes}: a size cannot be negative")
    return sizes
