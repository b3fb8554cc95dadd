"""The KV cache call by call: what is stored, which scores are computed, what it saves."""

from collections.abc import Sequence

import torch

from companion.cache import KVCache
from companion.config import LlamaConfig
from companion.show.figures.frames import box, masked, tensor_box
from companion.show.figures.lines import side
from companion.show.figures.svg import Figure, svg, text
from companion.show.interactive.cached_calls import ROOM, Call, flops, run
from companion.show.interactive.element import Interactive
from companion.show.tables import Table, amount, table

START = 6, 4, 3  # tokens of the prompt, of a chunk, and calls that decode
CELL, LEFT, TOP = 24, 58, 84


def cache_film(config: LlamaConfig, caption: str) -> Interactive:
    """Prefill, chunked prefill and decode, a call at a time: the slots of the cache, the
    scores that are computed, and FLOPs with and without a cache.

    Calls are recorded from the running example's model; bytes and FLOPs are those of a
    model of this config in float32.
    """
    cached, uncached = run(*START), run(*START, keep=False)
    cache = KVCache(config, 1, ROOM, device="meta")
    trace = {
        "room": ROOM,
        "start": dict(zip(("prompt", "chunk", "decodes"), START, strict=True)),
        "nbytes": cache.nbytes,
        "sizes": {
            "layers": cache.shape[0],
            "kv_heads": cache.shape[2],
            "head_dim": cache.shape[4],
            "bytes": cache.keys.itemsize,
        },
        "flops": flops(config),
    }
    alt = (
        f"{len(cached)} calls. With the cache each score is computed once, by the call whose "
        f"number it holds; without it a score is computed up to {len(uncached)} times"
    )
    panels = (
        panel("with the cache: by which call", which_call(cached), cached),
        panel("without: how many times", how_often(uncached), None),
    )
    rows = ledger(cached, uncached, cache.nbytes // ROOM, **flops(config))
    return Interactive("cache-film", trace, Figure(panels, alt, caption), rows)


def which_call(calls: Sequence[Call]) -> list[list[str]]:
    """The number of the call that used each score, a stroke where it was masked."""
    length = calls[-1].used.shape[1]
    cells = [[""] * length for _ in range(length)]
    for number, call in enumerate(calls, start=1):
        for position, row in zip(call.positions, call.used.tolist(), strict=True):
            cells[position][: len(row)] = [str(number) if seen else "/" for seen in row]
    return cells


def how_often(calls: Sequence[Call]) -> list[list[str]]:
    """How many calls used each score, a stroke where all masked it."""
    length = calls[-1].used.shape[1]
    counts = torch.zeros(length, length, dtype=torch.int)
    for call in calls:
        counts[: len(call.used), : len(call.used)] += call.used
    return [[str(count) if count else "/" for count in row] for row in counts.tolist()]


def panel(title: str, cells: list[list[str]], calls: Sequence[Call] | None) -> str:
    """A score matrix with the slots of the cache above its columns."""
    length = len(cells)
    wide = length * CELL
    body = [text(0, 10, title, anchor="start", extra='font-weight="600"')]
    body.append(text(LEFT - 8, 44, "cache", anchor="end", size=13))
    for j in range(length):
        slot = LEFT + j * CELL, 30, CELL, 28
        body.append(tensor_box(*slot, "cached") if calls else box(*slot))
    body.append(side(LEFT, TOP, wide, "kv_len", length))
    body.append(side(LEFT, TOP, wide, "q_len", length, down=True))
    for i, row in enumerate(cells):
        for j, word in enumerate(row):
            place = LEFT + j * CELL, TOP + i * CELL, CELL, CELL
            body.append(one_score(*place, word))
    said = f"{title}: " + "; ".join(
        " ".join(word or "." for word in row) for row in cells
    )
    return svg(LEFT + wide + 4, TOP + wide + 4, "".join(body), said)


def one_score(x: int, y: int, width: int, height: int, word: str) -> str:
    """A cell of the score matrix: used, masked, or never computed."""
    if word == "/":
        return masked(x, y, width, height)
    drawn = box(x, y, width, height, tint=min(0.1 * int(word or 0), 0.6) * 0.8)
    return drawn + text(x + width / 2, y + height / 2, word, size=13)


def ledger(
    cached: Sequence[Call],
    uncached: Sequence[Call],
    each: int,
    token: int,
    score: int,
) -> Table:
    """A row for each call."""
    rows = []
    for number, (call, again) in enumerate(zip(cached, uncached, strict=True), start=1):
        costs = [
            amount(token * len(x.used) + score * x.used.numel(), "FLOPs")
            for x in (call, again)
        ]
        shape = tuple(call.used.shape)
        rows.append(
            (number, call.positions, shape, call.length, call.length * each, *costs)
        )
    head = ("call", "positions", "scores", "tokens cached", "bytes used")
    return table((*head, "with the cache", "without"), rows)
