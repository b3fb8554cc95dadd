"""Which key/value head each query head reads, as lines between two rows of heads."""

from collections.abc import Mapping

from torch import Tensor

from companion.show.figures.frames import box
from companion.show.figures.legends import DASHES, TINTS
from companion.show.figures.svg import Figure, Number, svg, text
from companion.show.look.palette import TEXT

HEAD, SIZE, DEEP = 36, 28, 128  # from head to head, a head's box, a panel
LEFT = 48


def head_sharing(maps: Mapping[str, Tensor], caption: str) -> Figure:
    """For each name a map of (q_heads,): the number of the key/value head that query
    head h reads. Query heads stand above, the key/value heads that they share below.

    Raises: ValueError when the maps have different numbers of query heads.
    """
    heads = {len(each) for each in maps.values()}
    if len(heads) != 1:
        raise ValueError(
            f"the maps have {sorted(heads)} query heads: one picture compares maps of "
            "the same query heads"
        )
    [q_heads] = heads
    body, words = [], []
    for number, (name, each) in enumerate(maps.items()):
        reads = [int(head) for head in each]
        body.append(panel(number * DEEP, name, reads))
        words.append(f"{name}: query heads 0 to {q_heads - 1} read {reads}")
    alt = "; ".join(words)
    drawn = svg(q_heads * HEAD + LEFT + 6, len(maps) * DEEP - 16, "".join(body), alt)
    return Figure((drawn,), alt, caption)


def panel(top: Number, name: str, reads: list[int]) -> str:
    """One map under its name."""
    kv_heads = max(reads) + 1
    apart = len(reads) * HEAD / kv_heads
    upper, lower = top + 24, top + 82
    parts = [
        text(LEFT, top + 8, name, anchor="start", size=13, extra='font-weight="600"')
    ]
    parts += [text(LEFT - 8, upper + SIZE / 2, "query", anchor="end", size=13)]
    parts += [text(LEFT - 8, lower + SIZE / 2, "KV", anchor="end", size=13)]
    for head, kv_head in enumerate(reads):
        middle, end = LEFT + (head + 0.5) * HEAD, LEFT + (kv_head + 0.5) * apart
        parts.append(
            f'<path d="M{middle:g} {upper + SIZE:g} L{end:g} {lower:g}" '
            f'stroke="{TEXT}" stroke-width="1.5" {dashes(kv_head)}fill="none"/>'
        )
        parts.append(one_head(middle, upper, head, kv_head))
    for kv_head in range(kv_heads):
        middle = LEFT + (kv_head + 0.5) * apart
        parts.append(one_head(middle, lower, kv_head, kv_head))
    return "".join(parts)


def one_head(middle: Number, top: Number, number: int, kv_head: int) -> str:
    """A head as a box with its number; neighboring key/value heads differ in their tint."""
    tint = TINTS[3] if kv_head % 2 else TINTS[2]
    frame = box(middle - SIZE / 2, top, SIZE, SIZE, tint=tint, radius=6)
    return frame + text(middle, top + SIZE / 2, str(number))


def dashes(kv_head: int) -> str:
    """Neighboring key/value heads differ in their lines."""
    return f'stroke-dasharray="{DASHES[1]}" ' if kv_head % 2 else ""
