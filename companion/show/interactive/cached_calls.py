"""The calls of a model with a cache and without: what each is given, stores and costs."""

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

ROOM = 12  # tokens that the cache is made for


@dataclass(frozen=True)
class Call:
    """What one call of a model was given and has stored: the positions of its tokens, the
    keys that each query used, and the length of the cache after it.
    """

    positions: list[int]
    used: Bool[Tensor, "q_len kv_len"]
    length: int


class Recorder:
    """What a call of the running example's model tells its parts."""

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
    """The calls of the running example's model: the prompt in chunks, then one token at a
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
