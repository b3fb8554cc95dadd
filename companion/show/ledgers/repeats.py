"""Steps that a loop repeats, taken together: thirty equal layers are one."""

from collections.abc import Sequence
from typing import Any

from companion.show.ledgers.recorder import Step


def together(steps: Sequence[Step]) -> list[tuple[int, Step]]:
    """Each step once, with how often it follows on itself, alike in source, shape,
    dtype and cost, and so in all that is inside.

    What is inside stands once, as one pass has it: its own numbers count within it.
    """
    blocks = with_inside(steps)
    keys = [tuple(map(alike, block)) for block in blocks]
    found, at = [], 0
    while at < len(blocks):
        length, times = repetition(keys, at)
        for step, *inside in blocks[at : at + length]:
            found += [(times, step), *together(inside)]
        at += length * times
    return found


def with_inside(steps: Sequence[Step]) -> list[list[Step]]:
    """The outermost steps, each with the deeper ones that follow it."""
    blocks: list[list[Step]] = []
    for step in steps:
        if not blocks or step.depth <= blocks[-1][0].depth:
            blocks.append([])
        blocks[-1].append(step)
    return blocks


def alike(step: Step) -> tuple[object, ...]:
    """What two steps must share to be shown as one."""
    return step.depth, step.source, step.shape, step.dtype, step.cost


def repetition(keys: Sequence[Any], at: int) -> tuple[int, int]:
    """The shortest run from `at` on that repeats itself at once: its length, how often."""
    for length in range(1, (len(keys) - at) // 2 + 1):
        run, times = keys[at : at + length], 1
        while keys[at + times * length : at + (times + 1) * length] == run:
            times += 1
        if times > 1:
            return length, times
    return 1, 1
