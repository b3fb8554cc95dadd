"""One program of the attention kernel, line by line: what it loads, holds and skips, as
Triton's interpreter ran it.
"""

import ast
import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from companion.show import example
from companion.show.figures.svg import Figure
from companion.show.interactive.element import Interactive
from companion.show.interactive.gpu_still import memories, score_map
from companion.show.kernels import chip
from companion.show.kernels.line_for_line import body_of, named
from companion.show.kernels.loads import LOADER, loaded, loads, statements
from companion.show.kernels.passes import passes_of, shown
from companion.show.kernels.programs import program_steps
from companion.show.kernels.watch import ProgramStep
from companion.show.tables import table

BLOCK = 2  # queries, and keys, of a tile
KERNEL, LOOP = "attention_forward", "attend_to_blocks"
FORMS = {"causal": True, "all keys": False}

Programs = list[list[ProgramStep]]
Line = tuple[str, str]  # the function that it stands in, and its source


def gpu_tile(caption: str, *, program: int = 2) -> Interactive:
    """A program of the forward kernel over the words of the running example, in tiles of 2 by 2: its lines
    one after the other, its tiles in a GPU's memories, the tiles that it skips.

    Raises: ValueError for a program that is not in the grid.
    Source: Dao 2023, "FlashAttention-2", algorithm 1.
    """
    query, key, value = carried_text()
    _, heads, length, width = query.shape
    if program not in range(count := heads * length // BLOCK):
        raise ValueError(
            f"program is {program}: the grid has programs 0 to {count - 1}"
        )
    runs = recorded(query, key, value)
    causal = runs["causal"]
    mine = list(loads(causal[program], width))
    maps = [score_map(causal, head, BLOCK, program) for head in (0, 1)]
    panels = [*maps, memories(causal[program], mine, width)]
    alt = "; ".join(words for _, words in panels)
    loop = [step for step in causal[program] if step.function == LOOP]
    keys = [f"{x.rows[0]} to {x.rows[-1]}" for x in mine if x.matrix == "key"]
    rows = [
        (
            name,
            step.source,
            step.name,
            shown(step.value, {16: width}).replace("\xa0", " "),
        )
        for name, tile in zip(keys, passes_of(loop), strict=True)
        for step in tile
    ]
    return Interactive(
        "gpu-tile",
        {"program": program, **traced(runs, width)},
        Figure(tuple(drawn for drawn, _ in panels), alt, caption),
        table(("keys", "line", "name", "values"), rows),
    )


def carried_text() -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value (1, 2, 8, 3) of the words of the running example, in both heads."""
    x = example.model().model.embed_tokens.weight
    heads = example.weights(), example.second_head()
    query, key, value = (
        torch.stack([x @ weights[i] for weights in heads])[None] for i in range(3)
    )
    return query, key, value


def recorded(query: Tensor, key: Tensor, value: Tensor) -> dict[str, Programs]:
    """The steps of each program of the grid, in the order of their numbers, in each form."""
    functions = KERNEL, LOOP, LOADER
    steps = program_steps(
        launched, query, key, value, functions=functions, program=None
    )
    programs = [list(same) for _, same in groupby(steps, lambda step: step.program)]
    count = len(programs) // len(FORMS)
    return {form: programs[i * count :][:count] for i, form in enumerate(FORMS)}


def launched(query: Tensor, key: Tensor, value: Tensor) -> None:
    """The kernel in one form after the other, for one Python to run."""
    from companion.fast import kernels

    for is_causal in FORMS.values():
        kernels.attention(
            query, key, value, is_causal=is_causal, q_block=BLOCK, kv_block=BLOCK
        )


def traced(runs: Mapping[str, Programs], width: int) -> dict[str, Any]:
    """All programs as plain data: of each the lines that ran, by their numbers, with what
    they assigned and loaded.
    """
    lines, shapes = lines_of(runs), {}
    for same in (
        same for each in runs.values() for x in each for same in statements(x)
    ):
        shapes[line_of(same)] = {step.name: step.shape for step in same}
    return {
        "tokens": example.VOCABULARY,
        "block": BLOCK,
        "width": width,
        "memories": [[m.name, m.size] for m in (*chip.ON_EACH, chip.BESIDE)],
        "lines": [[line[0] == LOOP, line[1], shapes.get(line, {})] for line in lines],
        "runs": {
            form: [program_of(steps, lines, width) for steps in programs]
            for form, programs in runs.items()
        },
    }


def line_of(same: Sequence[ProgramStep]) -> Line:
    """The line that these steps are of."""
    return same[0].function, same[0].source


def lines_of(runs: Mapping[str, Programs]) -> list[Line]:
    """Every line that a program ran, the loop's where the kernel first calls it. Two assign
    nothing and are in no recording: the loop's head, and the last, which stores the output.
    """
    from companion.fast.kernels import forward

    ran = (
        line_of(same)
        for programs in runs.values()
        for steps in programs
        for same in statements(steps)
    )
    lines = [*dict.fromkeys(ran)]
    first = next(i for i, (function, _) in enumerate(lines) if function == LOOP)
    [head] = (
        x for _, x in named(body_of(forward.attend_to_blocks)) if x.startswith("for ")
    )
    last = ast.unparse(body_of(forward.attention_forward)[-1])
    return [*lines[:first], ("", head), *lines[first:], (KERNEL, last)]


def program_of(
    steps: Sequence[ProgramStep], lines: Sequence[Line], width: int
) -> list[list[Any]]:
    """Of each line that ran its number, the values that it assigned, and what it loaded
    (matrix, first row, bytes); at last the line that stores.
    """
    reads, found = loads(steps, width), []
    for same in statements(steps):
        entry = [lines.index(line_of(same)), [values(x.value, width) for x in same]]
        if loaded(same[0]):
            read = next(reads)
            entry.append([read.matrix, read.rows[0], read.bytes])
        found.append(entry)
    return [*found, [len(lines) - 1, []]]


def values(tile: Tensor | None, width: int) -> Any:
    """The numbers of a tile without its padding, four digits each; -inf as text, as JSON has
    no number for it.
    """
    if tile is None:
        return None
    if tile.ndim:
        return [values(x, width) for x in (tile if tile.ndim == 2 else tile[:width])]
    x = float(f"{tile.item():.4g}")
    return str(x) if math.isinf(x) else int(x) if x.is_integer() else x
