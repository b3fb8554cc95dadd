"""The still picture of a kernel's program: which tiles of the scores each program computes,
and what one of them has in each memory.
"""

from collections.abc import Sequence

from companion.show.figures.frames import box, frame, masked, tensor_box
from companion.show.figures.lines import side
from companion.show.figures.svg import svg, text
from companion.show.kernels import chip
from companion.show.kernels.loads import Load, loads
from companion.show.kernels.watch import ProgramStep
from companion.show.look.palette import MUTED

CELL, HIGH, LEFT, TOP = 52, 32, 84, 58
WIDE, LINE = 340, 20
Drawn = tuple[str, str]  # a panel, and what it shows in words


def score_map(
    programs: Sequence[Sequence[ProgramStep]], head: int, block: int, chosen: int
) -> Drawn:
    """The tiles of one head's scores, a row of them for each program: the order in which it
    computes them, and a stroke through those that it never does.
    """
    mine = {
        n: steps for n, steps in enumerate(programs) if number(steps, "head") == head
    }
    ordered = sorted(mine, key=lambda n: number(mine[n], "block"))
    body, words = [text(LEFT, 8, f"head {head}", anchor="start")], []
    across = len(ordered) * CELL
    body.append(side(LEFT, TOP - 2, across, "kv_len", len(ordered) * block))
    for row, n in enumerate(ordered):
        y = TOP + row * HIGH
        body.append(text(LEFT - 8, y + HIGH / 2, f"program {n}", size=12, anchor="end"))
        read = [x.rows[0] // block for x in loads(mine[n], 1) if x.matrix == "key"]
        for tile in range(len(ordered)):
            place = LEFT + tile * CELL, y, CELL, HIGH
            if tile in read:
                body.append(box(*place, tint=0.2 if n == chosen else 0.06))
                label = str(read.index(tile))
                body.append(text(place[0] + CELL / 2, y + HIGH / 2, label, size=13))
            else:
                body.append(masked(*place))
        if n == chosen:
            body.append(frame(LEFT, y, across, HIGH))
        words.append(f"program {n} computes {len(read)} of {len(ordered)} tiles")
    for tile in range(len(ordered)):
        keys = f"{tile * block}–{(tile + 1) * block - 1}"
        body.append(
            text(LEFT + (tile + 0.5) * CELL, TOP - 12 - 14, keys, size=12, ink=MUTED)
        )
    alt = f"head {head}: {', '.join(words)}"
    return svg(
        LEFT + across + 2, TOP + len(ordered) * HIGH + 2, "".join(body), alt
    ), alt


def number(steps: Sequence[ProgramStep], name: str) -> int:
    """A number that a program assigned."""
    return next(int(s.value) for s in steps if s.name == name and s.value is not None)


def memories(steps: Sequence[ProgramStep], read: Sequence[Load], width: int) -> Drawn:
    """What a program has in each memory, and how many bytes it read."""
    shapes = {step.name: step.shape for step in steps}
    kept = ", ".join(f"{name} {shapes[name]}" for name in ("row_max", "row_sum", "acc"))
    counts = {m: sum(x.matrix == m for x in read) for m in ("query", "key", "value")}
    tiles = ", ".join(f"{n} of {matrix}" for matrix, n in counts.items())
    lines = (
        (*chip.ON_EACH, chip.BESIDE),
        (
            (kept, f"a tile of scores and weights {shapes['weights']}"),
            (f"tiles {shapes['query']}, one at a time:", tiles),
            (
                f"{sum(x.bytes for x in read)} bytes read of query, key, value",
                "no scores",
            ),
        ),
    )
    body, words, top = [], [], 2
    for memory, holds in zip(*lines, strict=True):
        body.append(tensor_box(1, top, WIDE - 2, 76, "activations"))
        body.append(
            text(12, top + 16, memory.name, anchor="start", extra='font-weight="600"')
        )
        body.append(text(WIDE - 12, top + 16, memory.size, anchor="end", size=12))
        for row, line in enumerate(holds):
            body.append(
                text(12, top + 38 + LINE * row, line, anchor="start", size=12.5)
            )
        words.append(f"{memory.name}: {'; '.join(holds)}")
        top += 88
    alt = ". ".join(words)
    return svg(WIDE, top, "".join(body), alt), alt
