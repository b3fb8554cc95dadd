"""The KV cache call by call: what is stored, which scores are computed, what it saves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Bool
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from companion.attention import attention_weights
from companion.cache import KVCache
from companion.config import LlamaConfig
from companion.decoder import LlamaDecoderLayer
from companion.gqa import repeat_kv
from companion.show import example
from companion.show.figures.svg import (
    Figure,
    box,
    masked,
    side,
    svg,
    tensor_box,
    text,
)
from companion.show.interactive.element import Interactive
from companion.show.tables import Table, amount, table

ROOM = 12  # tokens that the cache is made for
START = 6, 4, 3  # tokens of the prompt, of a chunk, and calls that decode
CELL, LEFT, TOP = 24, 58, 84


@dataclass(frozen=True)
class Call:
    """What one call of a model was given and has stored: the positions of its tokens, the
    keys that each query used, and the length of the cache after it.
    """

    positions: list[int]
    used: Bool[Tensor, "q_len kv_len"]
    length: int


def cache_film(config: LlamaConfig, caption: str) -> Interactive:
    """Prefill, chunked prefill and decode, a call at a time: the slots of the cache, the
    scores that are computed, and FLOPs with and without a cache.

    Calls are recorded from the carried example's model; bytes and FLOPs are those of a
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


class Recorder:
    """What a call of the carried example's model tells its parts."""

    def __init__(self) -> None:
        self.model = example.model()
        self.positions: list[int] = []
        self.used = torch.zeros(0, 0, dtype=torch.bool)
        layer = cast(LlamaDecoderLayer, self.model.model.layers[0])
        layer.self_attn.attend = self.attend
        self.model.model.rotary_emb.register_forward_pre_hook(self.rotate)

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        *,
        is_causal: bool = False,
        **options: object,
    ) -> Tensor:
        """Attention that keeps which key each query used."""
        group = query.shape[1] // key.shape[1]
        weights = attention_weights(query, repeat_kv(key, group), attn_mask, is_causal)
        self.used = weights[0, 0] > 0
        return weights @ repeat_kv(value, group)

    def rotate(self, module: nn.Module, arguments: tuple[Tensor, Tensor]) -> None:
        """Keep the positions that RoPE is given."""
        self.positions = arguments[1][0].tolist()


def run(prompt: int, chunk: int, decodes: int, *, keep: bool = True) -> list[Call]:
    """The calls of the carried example's model: the prompt in chunks, then one token at a
    time; without a cache each call takes all tokens from the first.
    """
    recorder, calls, end = Recorder(), [], 0
    ids = torch.arange(prompt + decodes)[None] % len(example.VOCABULARY)
    cache = KVCache(recorder.model.config, 1, ROOM)
    for part in (*ids[:, :prompt].split(chunk, 1), *ids[:, prompt:].T[..., None]):
        end += part.shape[1]
        if keep:
            recorder.model(part, past_key_values=cache)
        else:
            recorder.model(ids[:, :end])
        calls.append(Call(recorder.positions, recorder.used, cache.length))
    return calls


def flops(config: LlamaConfig) -> dict[str, int]:
    """FLOPs of all layers for each token and for each score, from two counted calls of one
    layer; the output head is not in it.
    """
    with torch.device("meta"):
        layer, rows = (
            LlamaDecoderLayer(config, 0),
            torch.zeros(1, 2, config.hidden_size),
        )
    counted = []
    for length in (1, 2):
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            layer(rows[:, :length])
        counted.append(counter.get_total_flops())
    score = (counted[1] - 2 * counted[0]) // 2  # (2t + 4s) - 2(t + s) = 2s
    layers = config.num_hidden_layers
    return {"token": layers * (counted[0] - score), "score": layers * score}


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
