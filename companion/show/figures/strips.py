"""Hidden states, step below step, and the words that come out: the still of a model."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from companion.show.figures.frames import box
from companion.show.figures.ink import ink_scale, inked
from companion.show.figures.lines import side
from companion.show.figures.svg import Number, svg, text

LEFT, TOP, TOKEN, ROW = 76, 42, 56, 8  # all of it as wide as a phone
BAR, SIZE = 178, 12


@runtime_checkable
class Words(Protocol):
    """What has the likeliest words with their shares."""

    def likeliest(self) -> list[tuple[str, float]]: ...  # noqa: D102


def strips(
    tokens: Sequence[str],
    names: Sequence[str],
    cells: Tensor,
    hidden: int,
    full: Number,
) -> str:
    """The tokens beside each other, and below them what leaves each step, in levels; a few
    steps are named.
    """
    wide, high = TOKEN * len(tokens), ROW * len(names)
    parts = [side(LEFT, 14, wide, "q_len", len(tokens))]
    parts.append(inked(LEFT, TOP, wide, high, cells))
    for i, token in enumerate(tokens):
        left = LEFT + i * TOKEN
        parts.append(text(left + TOKEN / 2, TOP - 14, token, size=SIZE))
        parts.append(box(left, TOP, TOKEN, high))
    for i in sorted({0, 11, 21, len(names) - 1} & set(range(len(names)))):
        middle = TOP + (i + 0.5) * ROW
        parts.append(text(LEFT - 8, middle, names[i], anchor="end", size=SIZE))
    foot = TOP + high + 22
    parts.append(side(LEFT, foot - 2, TOKEN, "hidden", hidden))
    parts.append(ink_scale(LEFT + TOKEN + 18, foot - 3, full, "root mean square"))
    alt = f"Values at {len(names)} steps, from {names[0]} to {names[-1]}, of {len(tokens)} tokens"
    return svg(LEFT + wide + 2, foot + 8, "".join(parts), alt)


def bars(last: str, read: Words) -> str:
    """The likeliest words after the last token, and their shares."""
    words, title = read.likeliest(), f"the head, after {last}"
    parts = [text(0, 10, title, anchor="start", size=SIZE)]
    for i, (word, share) in enumerate(words):
        top = 44 + 44 * i
        parts.append(text(0, top, word, anchor="start", size=SIZE))
        parts.append(text(BAR, top, f"{share:.1%}", anchor="end", size=SIZE))
        parts.append(box(0, top + 11, max(BAR * share, 1), 12, tint=0.42))
    alt = ", ".join(f"{word} {share:.1%}" for word, share in words)
    return svg(BAR + 2, 30 + 44 * len(words), "".join(parts), f"{title}: {alt}")
