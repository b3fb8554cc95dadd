"""One query a head: the keys are split among programs, so that a GPU has work for its
multiprocessors, and a second kernel merges what the parts leave.
"""

from jaxtyping import Float
from torch import Tensor

from companion.fast.kernels.launch.arguments import splits_for
from companion.show.figures.frames import box, tensor_box
from companion.show.figures.legends import TINTS, legend
from companion.show.figures.lines import arrow, side
from companion.show.figures.shapes import shape_text
from companion.show.figures.svg import Figure, Number, svg, text
from companion.show.kernels.chip import MULTIPROCESSORS
from companion.show.kernels.decode_work import DecodeWork, counted, decode_work
from companion.show.look.palette import RULE
from companion.show.tables import amount

WIDTH, COLUMNS = 356, 33  # of multiprocessors in a line
PITCH = WIDTH / COLUMNS
LEFT, WIDE = 66, 288  # where a group's keys are
# Down from the keys: the middles of what is below each part, and how high each is.
PROGRAM, LEAVES = 42, {"row_max": (64, 6), "row_sum": (80, 6), "acc": (104, 26)}
MERGE, HIGH = 148, 46
OURS, OTHERS = TINTS[:2]


def splits_figure(
    query: Float[Tensor, "batch heads q_len head_dim"],
    key: Float[Tensor, "batch kv_heads kv_len head_dim"],
    caption: str,
    *,
    multiprocessors: int = MULTIPROCESSORS,
) -> Figure:
    """The keys of one query a head in one part, and in as many as the kernel makes for
    that many multiprocessors (an H100's): which of these have a program, what those of
    one group read and leave, and the merge.

    Raises: ValueError for more than one query, for heads that do not share their keys
    evenly, and for keys that the kernel leaves in one part.
    """
    whole = decode_work(query, key, 1, multiprocessors)
    splits = splits_for(whole.groups, whole.kv_len, multiprocessors)
    if splits == 1:
        raise ValueError(
            f"{counted(whole.kv_len, 'key')} of {counted(whole.groups, 'group')} on "
            f"{counted(multiprocessors, 'multiprocessor')} stay in one part: more keys, "
            "or fewer texts?"
        )
    both = whole, decode_work(query, key, splits, multiprocessors)
    alt = f"{'; '.join(map(told, both))}; merge_splits brings the parts together"
    panels = tuple(map(panel, both))
    return Figure(panels, alt, caption, programs_legend(whole.groups))


def told(work: DecodeWork) -> str:
    """All in words."""
    return ", ".join(work.words())


def panel(work: DecodeWork) -> str:
    """The multiprocessors, and below them one group's keys and what becomes of them."""
    cut, busy, reads = work.words()
    body = [
        text(0, 10, cut, anchor="start", size=13.5, extra='font-weight="600"'),
        text(0, 30, busy, anchor="start", size=13),
    ]
    top = 44
    body += [multiprocessor(work, i, top) for i in range(work.multiprocessors)]
    top += round(PITCH * -(-work.multiprocessors // COLUMNS)) + 16
    body.append(text(0, top, reads, anchor="start", size=13))
    top += 36
    body += [group(work, top), merge(work, top + MERGE)]
    return svg(WIDTH, top + MERGE + HIGH + 36, "".join(body), told(work))


def multiprocessor(work: DecodeWork, number: int, top: Number) -> str:
    """One of them, filled by its programs, which are handed out in order, the groups in
    turn. One without a program is small and empty.
    """
    row, column = divmod(number, COLUMNS)
    x, y, size = column * PITCH + 1, top + row * PITCH, PITCH - 2
    programs = range(number, work.programs, work.multiprocessors)
    if not programs:
        return box(x + size / 4, y + size / 4, size / 2, size / 2)
    wide = size / len(programs)
    return "".join(
        box(x + i * wide, y, wide, size, tint=OTHERS if each % work.groups else OURS)
        for i, each in enumerate(programs)
    )


def group(work: DecodeWork, top: Number) -> str:
    """The keys of a group in their parts, and what is below each of them."""
    rows = {"K, V": 10, "programs": PROGRAM} | {n: y for n, (y, _) in LEAVES.items()}
    names = [text(0, top + y, n, anchor="start", size=12.5) for n, y in rows.items()]
    line = side(LEFT, top - 4, WIDE, "kv_len", work.kv_len)
    pixel = WIDE / work.kv_len
    parts = [
        part(LEFT + keys.start * pixel, top, len(keys) * pixel) for keys in work.parts
    ]
    return "".join([*names, line, *parts])


def part(x: Number, top: Number, wide: Number) -> str:
    """Keys and values, the program that reads them, and what it leaves for a head."""
    middle, size = x + wide / 2, min(PITCH - 2, 0.8 * wide)
    above, down = top + PROGRAM - size / 2, size / 2
    reads = f"M{x:g} {top + 22:g}h{wide:g}L{middle + down:g} {above:g}h{-size:g}z"
    cell = min(6, size)
    return (
        tensor_box(x, top, wide, 20, "cached")
        + f'<path d="{reads}" fill="{RULE}"/>'
        + box(middle - down, above, size, size, tint=OURS)
        + "".join(
            tensor_box(middle - cell / 2, top + y - high / 2, cell, high, "activations")
            for y, high in LEAVES.values()
        )
    )


def merge(work: DecodeWork, top: Number) -> str:
    """The second kernel, which reads what the parts left, and the output."""
    middle, half = LEFT + WIDE / 2, 140
    across = WIDE * (1 - 1 / work.splits) / 2 + 4  # to the last part's middle
    low = min(across, half)
    right = f"h{2 * across:g}L{middle + low:g} {top}"
    beam = f"M{middle - across:g} {top - 24}{right}h{-2 * low:g}z"
    reads = "reads" if work.group == 1 else "read"
    many = f"{counted(work.group, 'program')} {reads} {amount(work.left_bytes, 'B')}"
    sizes, axes = (work.group, work.head_dim), ("heads", "head_dim")
    end = top + HIGH
    return (
        f'<path d="{beam}" fill="{RULE}"/>'
        + tensor_box(middle - half, top, 2 * half, HIGH, "activations")
        + text(middle, top + 15, f"merge_splits: {many}", size=12.5)
        + text(middle, top + 32, "rescaled to the largest row_max, added", size=12.5)
        + arrow(middle, end + 2, end + 18)
        + shape_text(middle, end + 27, sizes, axes, before="output", anchor="middle")
    )


def programs_legend(groups: int) -> str:
    """What the squares say."""
    names = {"a program of group 0": OURS, "of another": OTHERS, "no program": 0}
    if groups == 1:
        del names["of another"]
    drawn = legend([*names], [*names.values()])
    return f'<div class="scale">{svg(WIDTH, 20, drawn, "; ".join(names))}</div>'
