"""The graders of the decoder layer: of a module's parts, and of tensors alone."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

from companion.attention import scaled_dot_product_attention
from companion.config import LlamaConfig
from companion.decoder import LlamaAttention
from companion.exercises.decoder_layer import layer_arguments, layer_forward
from companion.exercises.gallery import mistaken, random, with_random_weights
from companion.exercises.gqa import kv_tiled
from companion.exercises.graders.cases import Wrong, check_cases
from companion.exercises.graders.grading import check_numbers, check_tensor, graded
from companion.exercises.heads import heads_by_view
from companion.gqa import repeat_kv
from companion.heads import merge_heads, split_heads
from companion.rope import apply_rope, rope_cos_sin

Weights = Mapping[str, Tensor]
CAUSAL = partial(scaled_dot_product_attention, is_causal=True)


@graded
def check_decoder_layer(forward: Callable[..., Tensor]) -> str | None:
    """Grade `forward(layer, x, position_embeddings)`: what a LlamaDecoderLayer does,
    put together from its parts.
    """
    arguments = layer_arguments()
    expected, answer = layer_forward(*arguments), forward(*arguments)
    known = mistaken(layer_forward, *arguments)
    return check_tensor("the result", answer, expected) or check_numbers(
        answer, expected, known
    )


@graded
def check_layer_of_tensors(forward: Callable[..., Tensor]) -> str | None:
    """Grade `forward(x, weights, cos, sin, eps)`: a decoder layer without a cache, its
    nine weights by the names of `layer.state_dict()`.
    """
    layer, x, (cos, sin) = layer_arguments()
    for size, eps in ((1.0, 1e-6), (0.01, 1e-2)):  # where x is small, eps is seen
        layer.input_layernorm.eps = layer.post_attention_layernorm.eps = eps
        arguments = layer, size * x, (cos, sin)
        weights = {name: each.clone() for name, each in layer.state_dict().items()}
        answer = forward(size * x, dict(weights), cos, sin, eps)
        expected = layer_forward(*arguments)
        if problem := check_tensor("the result", answer, expected):
            return problem
        where = f"features near {size:g}, eps {eps:g}: "
        known = mistaken(layer_forward, *arguments)
        if problem := check_numbers(answer, expected, known):
            return where + problem
    return None


def self_attention(
    x: Tensor,
    weights: Weights,
    cos: Tensor,
    sin: Tensor,
    split: Callable[[Tensor, int], Tensor] = split_heads,
    rotated: str = "qk",
    repeated: Callable[[Tensor, int], Tensor] = repeat_kv,
    attend: Callable[..., Tensor] = CAUSAL,
) -> Tensor:
    """Causal attention of a Llama layer from its four weights, those in `rotated` turned."""
    parts = {}
    for name in "qkv":
        weight = weights[f"self_attn.{name}_proj.weight"]
        part = split(x @ weight.T, len(weight) // cos.shape[-1])
        parts[name] = apply_rope(part, cos, sin) if name in rotated else part
    group = parts["q"].shape[1] // parts["k"].shape[1]
    key, value = repeated(parts["k"], group), repeated(parts["v"], group)
    heads = attend(parts["q"], key, value)
    return merge_heads(heads) @ weights["self_attn.o_proj.weight"].T


ATTENDED_WRONGLY: Wrong = {
    "RoPE turns the values too, and should turn queries and keys alone": partial(
        self_attention, rotated="qkv"
    ),
    "RoPE turns the queries and not the keys": partial(self_attention, rotated="q"),
    "RoPE turns the keys and not the queries": partial(self_attention, rotated="k"),
    "RoPE turns backwards: check the signs": lambda x, weights, cos, sin: (
        self_attention(x, weights, cos, -sin)
    ),
    "RoPE is forgotten": partial(self_attention, rotated=""),
    "the mask is forgotten: each token sees those after it": partial(
        self_attention, attend=scaled_dot_product_attention
    ),
    "query head h reads KV head h // group, and here the KV heads are tiled, 0 1 0 1": (
        partial(self_attention, repeated=kv_tiled)
    ),
    "one reshape to (batch, heads, length, head_dim) mixes tokens and heads": partial(
        self_attention, split=heads_by_view
    ),
    "the scores are not divided by √head_dim": partial(
        self_attention,
        attend=partial(CAUSAL, scale=1.0),
    ),
    "x is added already: the layer adds it, once": lambda x, *rest: (
        x + self_attention(x, *rest)
    ),
}


@graded
def check_self_attention(attend: Callable[..., Tensor]) -> str | None:
    """Grade `attend(x, weights, cos, sin)`: attention of a Llama layer, causal and without
    a cache, on x that is normed already; weights as for a whole layer.
    """
    cases = {
        "4 query heads, 2 KV heads": attention_arguments(4, 2, torch.arange(5)[None]),
        "3 query heads, 1 KV head, positions 3 to 7": attention_arguments(
            3, 1, torch.arange(3, 8)[None]
        ),
        "as many KV heads, two positions in a batch": attention_arguments(
            2, 2, torch.tensor([[0, 1, 2], [0, 0, 1]])
        ),
    }
    return check_cases(attend, self_attention, cases, ATTENDED_WRONGLY)


def attention_arguments(
    heads: int, kv_heads: int, position_ids: Tensor
) -> tuple[Tensor, Weights, Tensor, Tensor]:
    """x, weights, cos and sin of attention whose heads together are wider than hidden."""
    config = LlamaConfig(
        hidden_size=16,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=10,
    )
    module = with_random_weights(LlamaAttention(config, layer_idx=0))
    weights = {f"self_attn.{name}": W for name, W in module.state_dict().items()}
    return (
        random(*position_ids.shape, 16),
        weights,
        *rope_cos_sin(position_ids, 10, 10000.0),
    )
