"""One query's softmax in tiles of keys: what is kept of each tile, and what is rescaled."""

from collections.abc import Callable
from typing import Any

import torch

from companion.attention import scaled_dot_product_attention
from companion.fast.tiled import tiled
from companion.show import example
from companion.show.figures.frames import value_cell
from companion.show.figures.matrices import number
from companion.show.figures.svg import Figure, svg, text
from companion.show.interactive.element import Interactive
from companion.show.ledgers.ledger import ledger
from companion.show.ledgers.live import peak_bytes
from companion.show.look.palette import MUTED
from companion.show.tables import table

SENTENCE = "on mat and on mat sat . the cat sat on a mat . and the"
TEXT = SENTENCE.split()
WIDTHS = (1, 2, 3, 4, 8, 16)  # of a tile, to choose from
KEPT = "row_max", "rescale", "row_sum"
CELL, ROW = 47, 20


def online_softmax_film(caption: str, *, kv_block: int = 2) -> Interactive:
    """The last query of a text of the words of the running example meets its keys tile by tile: each step
    of `companion.fast.tiled` with `row_max`, `row_sum` and `acc`, beside plain softmax.

    Raises: ValueError for a tile that is not to choose from.
    Source: Milakov and Gimelshein 2018, algorithm 3.
    """
    if kv_block not in WIDTHS:
        raise ValueError(f"kv_block is {kv_block}: choose one of {WIDTHS}")
    query, key, value = carried_text()
    tiles, output = run(kv_block)
    plain = scaled_dot_product_attention(query, key, value)[0].tolist()
    largest = max(abs(score) for tile in tiles for score in tile["scores"])
    drawn = [panel(i, tile, kv_block, largest) for i, tile in enumerate(tiles)]
    drawn.append(ending(output, plain))
    alt = (
        f"{len(TEXT)} scores of one query in tiles of {kv_block}; after each tile row_max, "
        "row_sum and acc, at last acc / row_sum, which is plain softmax's output"
    )
    rows = [
        (f"{i}: {' '.join(TEXT[i * kv_block : (i + 1) * kv_block])}", *in_words(tile))
        for i, tile in enumerate(tiles)
    ]
    rows.append(("acc / row_sum", "", "", "", "", listed(output)))
    return Interactive(
        "online-softmax",
        start(tiles, kv_block),
        Figure(tuple(drawn), alt, caption),
        table(("tile", "scores", *KEPT, "acc"), rows),
    )


def carried_text() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The query of the text's last token, and all keys and values, of the running example's head."""
    words = [example.VOCABULARY.index(word) for word in TEXT]
    x = example.model().model.embed_tokens.weight[words]
    query, key, value = (x @ weight for weight in example.weights())
    return query[-1:], key, value


def run(kv_block: int) -> tuple[list[dict[str, Any]], list[float]]:
    """What `tiled` holds after each tile of keys, by its own names, and its output."""
    made = ledger(tiled, *carried_text(), kv_block=kv_block, depth=1)
    tiles: list[dict[str, Any]] = []
    for step in made.steps:
        if step.function != "attend_to_blocks" or not step.name:
            continue
        if step.name == "scores" and step.source.startswith("scores = rows_times"):
            tiles.append({})
        if tiles:  # what is set before the loop is nothing yet
            tiles[-1][step.name] = step.value.flatten().tolist()
    return tiles, made.result[0].tolist()


def start(tiles: list[dict[str, Any]], kv_block: int) -> dict[str, Any]:
    """What the figure starts from: scores and values, the tile, and the bytes that attention
    holds in tiles of each width over four times the text, and whole.
    """
    return {
        "tokens": TEXT,
        "scores": [score for tile in tiles for score in tile["scores"]],
        "values": carried_text()[2].tolist(),
        "width": kv_block,
        "widths": WIDTHS,
        "held": {width: held(tiled, 4, kv_block=width) for width in WIDTHS},
        "plain": {
            times * len(TEXT): held(scaled_dot_product_attention, times)
            for times in (1, 4)
        },
    }


def held(attend: Callable[..., torch.Tensor], times: int, **options: int) -> int:
    """Bytes that attention over so many times the text holds at most, beyond the inputs."""
    query, key, value = carried_text()
    longer = key.repeat(times, 1), value.repeat(times, 1)
    return peak_bytes(attend, query, *longer, **options)


def in_words(tile: dict[str, Any]) -> list[str]:
    """A tile's scores, what is kept, and the factor, two digits after the point."""
    return [listed(tile[name]) for name in ("scores", *KEPT, "acc")]


def listed(values: list[float]) -> str:
    """Numbers with commas between them."""
    return ", ".join(map(number, values))


def panel(place: int, tile: dict[str, Any], kv_block: int, largest: float) -> str:
    """A tile in the still picture: its keys and scores, and what is held after it."""
    scores, first = tile["scores"], place * kv_block
    wide = max(len(scores), 2) * CELL
    body = [text(wide / 2, 8, f"tile {place}", size=12, ink=MUTED)]
    for i, score in enumerate(scores):
        body.append(text((i + 0.5) * CELL, 28, TEXT[first + i], size=12))
        cell = i * CELL, 38, CELL, 26
        body.append(value_cell(*cell, score, largest, number(score), size=13))
    lines = [(name, tile[name][0]) for name in KEPT]
    lines += [("acc" if not i else "", x) for i, x in enumerate(tile["acc"])]
    return stacked(wide, 80, body, lines, f"tile {place}: {listed(scores)}")


def ending(output: list[float], plain: list[float]) -> str:
    """The last panel: the output, and how far plain softmax is from it."""
    title = text(0, 8, "acc / row_sum", size=12, ink=MUTED, anchor="start")
    lines = [(f"[{i}]", x) for i, x in enumerate(output)]
    off = max(abs(a - b) for a, b in zip(output, plain, strict=True))
    words = "as plain softmax" if off < 1e-5 else f"off by {off:.2g}"
    body = [title, text(0, 124, words, size=12, anchor="start")]
    return stacked(2 * CELL, 46, body, lines, f"output {listed(output)}, {words}")


def stacked(
    wide: float, top: float, body: list[str], lines: list[tuple[str, float]], alt: str
) -> str:
    """Names and numbers under what has been drawn."""
    for row, (name, value) in enumerate(lines):
        y = top + row * ROW
        body.append(text(0, y, name, size=12, anchor="start", ink=MUTED))
        body.append(text(wide - 3, y, number(value), size=12, anchor="end"))
    return svg(wide + 1, max(top + len(lines) * ROW, 130), "".join(body), alt)
