"""From one key/value head to as many as query heads: who reads which, and the cache."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from companion.cache import KVCache
from companion.config import LlamaConfig
from companion.gqa import repeat_kv
from companion.show.figures.svg import Figure
from companion.show.interactive.element import Interactive
from companion.show.llama.heads import head_sharing
from companion.show.tables import amount, table

TOKENS = 8192


def gqa_slider(models: Mapping[str, LlamaConfig], caption: str) -> Interactive:
    """For each model by its name: which key/value head each query head reads, and what a
    token takes in the cache (bfloat16), for every number of key/value heads that fits.

    Source: Ainslie et al. 2023, figure 2.
    """
    kept = {name: per_token(config) for name, config in models.items()}
    sizes = {
        name: {
            "layers": config.num_hidden_layers,
            "heads": config.num_attention_heads,
            "head_dim": config.head_dim,
            "kv_heads": config.num_key_value_heads,
            "kept": kept[name],
        }
        for name, config in models.items()
    }
    name = min(models, key=lambda each: models[each].num_attention_heads)
    heads = models[name].num_attention_heads
    maps = {f"{name}, KV heads: {count}": reads(heads, count) for count in kept[name]}
    still = head_sharing(maps, caption)
    rows = [
        (
            each,
            count,
            models[each].num_attention_heads // count,
            nbytes,
            amount(TOKENS * nbytes, "B"),
        )
        for each, counts in kept.items()
        for count, nbytes in counts.items()
    ]
    head = ("model", "KV heads", "n_rep", "bytes a token", f"{TOKENS:,} tokens")
    return Interactive(
        "gqa-slider",
        {"tokens": TOKENS, "models": sizes},
        Figure(still.panels, still.alt, caption),
        table(head, rows),
    )


def per_token(config: LlamaConfig) -> dict[int, int]:
    """Bytes of one token in the cache for each number of key/value heads that divides the
    query heads.
    """
    heads, kept = config.num_attention_heads, {}
    for count in range(1, heads + 1):
        if heads % count == 0:
            shared = replace(config, num_key_value_heads=count)
            cache = KVCache(shared, 1, 1, dtype=torch.bfloat16, device="meta")
            kept[count] = cache.nbytes
    return kept


def reads(heads: int, kv_heads: int) -> Tensor:
    """The number of the key/value head that each query head reads, by `repeat_kv`."""
    numbered = torch.arange(float(kv_heads)).reshape(1, -1, 1, 1)
    return repeat_kv(numbered, heads // kv_heads).flatten()
