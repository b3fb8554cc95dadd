"""A GPU's memories, from the registers to the memory beside the chip, and what of
attention lives in each.
"""

from dataclasses import dataclass

from companion.show.figures.frames import box
from companion.show.figures.legends import TINTS
from companion.show.figures.lines import arrow
from companion.show.figures.svg import Figure, Number, svg, text

WIDTH, HIGH, GAP, EDGE = 340, 76, 26, 12


@dataclass(frozen=True)
class Memory:
    """One kind of memory: how much of it, and what of attention is in it."""

    name: str
    size: str
    holds: tuple[str, ...]


# H100 SXM5. Source: NVIDIA 2022, "NVIDIA H100 Tensor Core GPU Architecture" and "Tuning
# CUDA Applications for Hopper GPU Architecture".
MULTIPROCESSORS = 132
REGISTERS, SHARED = 256 * 1024, 228 * 1024  # bytes of each multiprocessor
ON_EACH = (
    Memory(
        "registers",
        f"{REGISTERS // 1024} KB",
        ("acc, row_max, row_sum", "scores and weights of one tile"),
    ),
    Memory(
        "shared memory",
        f"{SHARED // 1024} KB",
        ("tiles of query, key and value,", "the next ones already under way"),
    ),
)
FOR_ALL = Memory(
    "L2 cache", "50 MB", ("keys and values that the programs", "of a group read again")
)
BESIDE = Memory(
    "HBM", "80 GB, 3.35 TB/s", ("query, key, value, output, the cache;", "no scores")
)


def chip_figure(caption: str) -> Figure:
    """The memories of an H100: a program's own on top, that of the whole GPU below; the
    nearer to the arithmetic, the darker.
    """
    inner, left = WIDTH - 4 * EDGE, 2 * EDGE
    top = 78
    body = [text(EDGE + 4, 34, "the chip", anchor="start", size=13)]
    title = f"multiprocessor, {MULTIPROCESSORS} of them"
    body.append(text(left + 4, 62, title, anchor="start", size=13))
    for level in ON_EACH:
        body.append(drawn(level, left + EDGE, top, inner - 2 * EDGE, TINTS[2]))
        top += HIGH + GAP
    ends = top - GAP + EDGE
    body.append(frame(left, 48, inner, ends - 48))
    l2 = ends + GAP
    body.append(drawn(FOR_ALL, left, l2, inner, TINTS[3]))
    chip_ends = l2 + HIGH + EDGE
    body.append(frame(EDGE, 20, WIDTH - 2 * EDGE, chip_ends - 20))
    hbm = chip_ends + GAP
    body.append(drawn(BESIDE, EDGE, hbm, WIDTH - 2 * EDGE, 0))
    body += [
        both_ways(78 + HIGH, 78 + HIGH + GAP),
        both_ways(ends, l2),
        both_ways(chip_ends, hbm),
    ]
    levels = (*ON_EACH, FOR_ALL, BESIDE)
    alt = "; ".join(f"{x.name} {x.size}: {' '.join(x.holds)}" for x in levels)
    alt = f"{MULTIPROCESSORS} multiprocessors, each with registers and shared memory. {alt}"
    return Figure((svg(WIDTH, hbm + HIGH + 2, "".join(body), alt),), alt, caption)


def drawn(level: Memory, left: int, top: int, width: int, tint: Number) -> str:
    """A memory: its name and size in a line, below them what it holds."""
    parts = [
        box(left, top, width, HIGH, tint=tint, radius=6),
        text(
            left + 10, top + 16, level.name, anchor="start", extra='font-weight="600"'
        ),
        text(left + width - 10, top + 16, level.size, anchor="end", size=13),
    ]
    for i, line in enumerate(level.holds):
        parts.append(text(left + 10, top + 39 + 19 * i, line, anchor="start", size=13))
    return "".join(parts)


def frame(left: int, top: int, width: int, height: int) -> str:
    """What several memories are parts of."""
    return box(left, top, width, height, radius=8)


def both_ways(start: int, end: int) -> str:
    """Arrows down and up between two memories."""
    return arrow(WIDTH / 2 - 9, start, end) + arrow(WIDTH / 2 + 9, end, start)
