import pytest
import torch
from refusal import said

from companion.transformer_2017 import (
    CrossAttention,
    TransformerDecoderLayer,
    TransformerEncoderLayer,
    sinusoidal_positions,
    weights_from_torch,
)

ENCODER = TransformerEncoderLayer(8, 2, 5)
DECODER = TransformerDecoderLayer(8, 2, 5)
CROSS = CrossAttention(8, 2)


@pytest.mark.parametrize(
    "make",
    [
        CrossAttention,
        lambda hidden, heads: TransformerEncoderLayer(hidden, heads, 5),
        lambda hidden, heads: TransformerDecoderLayer(hidden, heads, 5),
    ],
)
@pytest.mark.parametrize(("hidden", "heads"), [(8, 3), (8, 0), (8, -2), (0, 1)])
def test_heads_that_do_not_divide(make, hidden, heads):
    with pytest.raises(
        ValueError,
        match=said(f"hidden_size is {hidden}", f"num_heads {heads}", "multiple"),
    ):
        make(hidden, heads)


def test_one_head_and_one_pair():
    assert CrossAttention(1, 1).num_heads == 1
    assert sinusoidal_positions(torch.arange(3), 2).shape == (3, 2)


@pytest.mark.parametrize("hidden_size", [7, 1, 0, -2])
def test_sinusoids_of_an_odd_hidden_size(hidden_size):
    with pytest.raises(
        ValueError, match=said(f"hidden_size is {hidden_size}", "even", "cosine")
    ):
        sinusoidal_positions(torch.arange(3), hidden_size)


@pytest.mark.parametrize("shape", [(2, 3, 7), (8,)])
def test_hidden_states_of_another_size(shape):
    x, memory = torch.zeros(shape), torch.zeros(2, 4, 8)
    for call in (
        lambda: ENCODER(x),
        lambda: DECODER(x, memory),
        lambda: CROSS(x, memory),
    ):
        with pytest.raises(ValueError, match=said(shape, "hidden_size is 8")):
            call()


@pytest.mark.parametrize("layer", [DECODER, CROSS])
@pytest.mark.parametrize(
    "shape", [(2, 4, 7), (2, 4, 9), (3, 4, 8), (1, 4, 8), (4, 8), (2, 1, 4, 8)]
)
def test_memory_of_another_hidden_size_or_batch(layer, shape):
    with pytest.raises(
        ValueError,
        match=said(
            f"memory is {shape}",
            "hidden_states (2, 3, 8)",
            "batch axes (2,)",
            "hidden_size 8",
        ),
    ):
        layer(torch.zeros(2, 3, 8), torch.zeros(shape))


@pytest.mark.parametrize("layer", [DECODER, CROSS])
@pytest.mark.parametrize(
    ("memory", "quotes"),
    [
        (torch.zeros(2, 4, 8, dtype=torch.float64), ("torch.float64", "torch.float32")),
        (torch.zeros(2, 4, 8, dtype=torch.long), ("memory is torch.int64",)),
        (torch.zeros(8), ("memory is (8,)", "length")),
        (torch.zeros(2, 4, 8, device="meta"), ("on meta", "on cpu")),
    ],
    ids=str,
)
def test_memory_of_another_kind(layer, memory, quotes):
    with pytest.raises(ValueError, match=said("memory", *quotes)):
        layer(torch.zeros(2, 3, 8), memory)


@pytest.mark.parametrize(
    "mask", [torch.ones(4, 4), torch.ones(3, 4), torch.ones(3, 1, 1, 3)]
)
def test_self_attention_mask_that_does_not_broadcast(mask):
    x, memory = torch.zeros(2, 3, 8), torch.zeros(2, 4, 8)
    for call in (
        lambda: ENCODER(x, mask.bool()),
        lambda: DECODER(x, memory, mask.bool()),
    ):
        with pytest.raises(ValueError, match=said(tuple(mask.shape), (2, 2, 3, 3))):
            call()


@pytest.mark.parametrize(
    "mask", [torch.ones(3, 3), torch.ones(4, 3), torch.ones(3, 1, 1, 4)]
)
def test_memory_mask_that_does_not_broadcast(mask):
    x, memory = torch.zeros(2, 3, 8), torch.zeros(2, 4, 8)
    for call in (
        lambda: CROSS(x, memory, mask.bool()),
        lambda: DECODER(x, memory, memory_mask=mask.bool()),
    ):
        with pytest.raises(ValueError, match=said(tuple(mask.shape), (2, 2, 3, 4))):
            call()


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8])
def test_masks_of_ones_and_zeros(dtype):
    x, memory = torch.zeros(2, 3, 8), torch.zeros(2, 4, 8)
    with pytest.raises(ValueError, match=said(dtype, "True = may attend")):
        ENCODER(x, torch.ones(3, 3, dtype=dtype))
    with pytest.raises(ValueError, match=said(dtype, "True = may attend")):
        DECODER(x, memory, memory_mask=torch.ones(3, 4, dtype=dtype))


@pytest.mark.parametrize(
    "name",
    [
        "encoder.layers.0.norm1.weight",
        "self_attn.q_proj_weight",
        "norm4.bias",
        "self_attn.bias_k",
        "linear1.weight_g",
    ],
)
def test_weights_that_no_layer_of_torch_has(name):
    with pytest.raises(ValueError, match=said(repr(name), "one layer")):
        weights_from_torch({name: torch.zeros(3)})
