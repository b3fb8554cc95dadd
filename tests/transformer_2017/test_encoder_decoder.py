import math

import pytest
import torch
import torch.nn.functional as F

from companion import causal_mask, padding_mask, scaled_dot_product_attention
from companion.heads import merge_heads, split_heads
from companion.transformer_2017 import (
    CrossAttention,
    TransformerDecoderLayer,
    TransformerEncoderLayer,
    sinusoidal_positions,
    weights_from_torch,
)


def randomised(module, dtype=torch.float64):
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return module.to(dtype).eval().requires_grad_(False)


# ---- sinusoidal positions


def test_sinusoids_by_hand():
    [vector] = sinusoidal_positions(torch.tensor([3]), 4).tolist()
    expected = [math.sin(3), math.cos(3), math.sin(3 / 100), math.cos(3 / 100)]
    assert vector == pytest.approx(expected, abs=1e-6)


def test_sinusoids_by_the_formula():
    rows = sinusoidal_positions(torch.arange(50), 12)
    for position in range(50):
        for i in range(6):
            angle = position / 10000 ** (2 * i / 12)
            assert rows[position, 2 * i].item() == pytest.approx(
                math.sin(angle), abs=1e-5
            )
            assert rows[position, 2 * i + 1].item() == pytest.approx(
                math.cos(angle), abs=1e-5
            )


def test_position_zero_is_not_nothing():
    assert sinusoidal_positions(torch.tensor([0]), 6).tolist() == [[0, 1, 0, 1, 0, 1]]


@pytest.mark.parametrize("shape", [(5,), (1, 5), (3, 5), (2, 3, 5)])
def test_sinusoids_take_positions_as_data(shape, device):
    positions = torch.randint(0, 100, shape, device=device)
    made = sinusoidal_positions(positions, 8)
    assert made.shape == (*shape, 8)
    rows = sinusoidal_positions(torch.arange(100, device=device), 8)
    torch.testing.assert_close(made, rows[positions])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_sinusoids_are_made_in_float32_and_cast_last(dtype):
    positions = torch.tensor([1000, 1001])
    made = sinusoidal_positions(positions, 8, dtype)
    assert made.dtype == dtype
    assert torch.equal(made, sinusoidal_positions(positions, 8).to(dtype))


# ---- cross-attention


def test_cross_attention_by_its_formula(device):
    layer = randomised(CrossAttention(12, 3)).to(device)
    x = torch.randn(2, 4, 12, dtype=torch.float64, device=device)
    memory = torch.randn(2, 7, 12, dtype=torch.float64, device=device)
    query = x @ layer.q_proj.weight.T + layer.q_proj.bias
    key = memory @ layer.k_proj.weight.T + layer.k_proj.bias
    value = memory @ layer.v_proj.weight.T + layer.v_proj.bias
    heads = scaled_dot_product_attention(
        split_heads(query, 3), split_heads(key, 3), split_heads(value, 3)
    )
    expected = merge_heads(heads) @ layer.o_proj.weight.T + layer.o_proj.bias
    torch.testing.assert_close(layer(x, memory), expected)


def test_every_query_sees_the_whole_memory():
    layer = randomised(CrossAttention(12, 3))
    x, memory = (torch.randn(1, n, 12, dtype=torch.float64) for n in (3, 5))
    changed = memory.clone()
    changed[:, -1] += 1
    apart = (layer(x, memory) - layer(x, changed)).abs().amax(dim=-1)
    assert (apart > 1e-3).all()


def test_keys_and_values_are_reusable_for_each_new_query():
    layer = randomised(CrossAttention(12, 3))
    x, memory = (torch.randn(2, n, 12, dtype=torch.float64) for n in (4, 7))
    key, value = layer.keys_and_values(memory)
    assert key.shape == value.shape == (2, 3, 7, 4)
    rows = [layer.attend_to(row, key, value) for row in x.split(1, dim=1)]
    torch.testing.assert_close(torch.cat(rows, dim=1), layer(x, memory))


def test_masked_memory_is_as_good_as_absent():
    layer = randomised(CrossAttention(12, 3))
    x, memory = (torch.randn(1, n, 12, dtype=torch.float64) for n in (4, 7))
    mask = padding_mask(torch.tensor([[1, 1, 1, 1, 1, 0, 0]]))
    torch.testing.assert_close(layer(x, memory, mask), layer(x, memory[:, :5]))


# ---- layers


def test_encoder_layer_by_its_formula():
    layer = randomised(TransformerEncoderLayer(12, 3, 7))
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    x1 = layer.norm1(x + layer.self_attn(x))
    hidden = (x1 @ layer.linear1.weight.T + layer.linear1.bias).clamp(min=0)
    x2 = x1 + hidden @ layer.linear2.weight.T + layer.linear2.bias
    torch.testing.assert_close(layer(x), layer.norm2(x2))


def test_decoder_layer_by_its_formula():
    layer = randomised(TransformerDecoderLayer(12, 3, 7))
    x, memory = (torch.randn(2, n, 12, dtype=torch.float64) for n in (5, 3))
    x1 = layer.norm1(x + layer.self_attn(x, causal_mask(5)))
    x2 = layer.norm2(x1 + layer.cross_attn(x1, memory))
    x3 = x2 + layer.linear2(layer.linear1(x2).clamp(min=0))
    torch.testing.assert_close(layer(x, memory), layer.norm3(x3))


def test_what_comes_out_is_normed():
    """Post-norm: with a fresh norm each row has mean 0 and a variance of 1."""
    encoder, decoder = (
        TransformerEncoderLayer(12, 3, 7),
        TransformerDecoderLayer(12, 3, 7),
    )
    x = 100 * torch.randn(2, 5, 12)
    for out in (encoder(x), decoder(x, x)):
        torch.testing.assert_close(
            out.mean(dim=-1), torch.zeros(2, 5), atol=1e-5, rtol=0
        )
        torch.testing.assert_close(
            out.var(dim=-1, unbiased=False), torch.ones(2, 5), atol=1e-3, rtol=0
        )


def test_encoder_sees_both_ways_and_decoder_only_back():
    encoder = randomised(TransformerEncoderLayer(12, 3, 7))
    decoder = randomised(TransformerDecoderLayer(12, 3, 7))
    x, memory = (torch.randn(1, n, 12, dtype=torch.float64) for n in (5, 3))
    changed = x.clone()
    changed[:, 3] += 1
    both_ways = (encoder(x) - encoder(changed)).abs().amax(dim=-1)[0]
    assert (both_ways > 1e-6).all()
    back = (decoder(x, memory) - decoder(changed, memory)).abs().amax(dim=-1)[0]
    assert (back[:3] == 0).all()
    assert (back[3:] > 1e-6).all()


@pytest.mark.parametrize("leading", [(), (2,), (2, 3)])
def test_shape_that_goes_in_comes_out(leading, device):
    encoder = TransformerEncoderLayer(12, 3, 7).to(device)
    decoder = TransformerDecoderLayer(12, 3, 7).to(device)
    source = torch.randn(*leading, 4, 12, device=device)
    target = torch.randn(*leading, 5, 12, device=device)
    assert encoder(source).shape == source.shape
    assert decoder(target, encoder(source)).shape == target.shape


def test_attend_may_be_any_function_of_that_signature():
    decoder = randomised(TransformerDecoderLayer(12, 3, 7))
    other = TransformerDecoderLayer(12, 3, 7, attend=F.scaled_dot_product_attention)
    other.double().load_state_dict(decoder.state_dict())
    x, memory = (torch.randn(2, n, 12, dtype=torch.float64) for n in (5, 3))
    torch.testing.assert_close(decoder(x, memory), other(x, memory))


def test_padding_in_memory_changes_nothing_when_masked():
    decoder = randomised(TransformerDecoderLayer(12, 3, 7))
    x, memory = (torch.randn(1, n, 12, dtype=torch.float64) for n in (5, 3))
    padded = torch.cat([memory, 9 * torch.ones_like(memory)], dim=1)
    mask = padding_mask(torch.tensor([[1, 1, 1, 0, 0, 0]]))
    torch.testing.assert_close(decoder(x, padded, memory_mask=mask), decoder(x, memory))
    assert (decoder(x, padded) - decoder(x, memory)).abs().max() > 1e-3


# ---- torch's weights


def test_weights_from_torch_splits_the_packed_rows_in_the_order_q_k_v():
    packed = torch.arange(6.0)[:, None].expand(6, 2)
    made = weights_from_torch(
        {
            "self_attn.in_proj_weight": packed,
            "self_attn.in_proj_bias": packed[:, 0],
            "multihead_attn.in_proj_weight": packed,
            "multihead_attn.out_proj.bias": packed[:2, 0],
            "linear1.bias": packed[:, 0],
        }
    )
    assert made["self_attn.q_proj.weight"].tolist() == [[0, 0], [1, 1]]
    assert made["self_attn.k_proj.weight"].tolist() == [[2, 2], [3, 3]]
    assert made["self_attn.v_proj.bias"].tolist() == [4, 5]
    assert made["cross_attn.v_proj.weight"].tolist() == [[4, 4], [5, 5]]
    assert made["cross_attn.o_proj.bias"].tolist() == [0, 1]
    assert made["linear1.bias"].tolist() == [0, 1, 2, 3, 4, 5]
    assert len(made) == 11


@pytest.mark.parametrize("kind", ["Encoder", "Decoder"])
def test_every_weight_of_torch_has_a_place(kind):
    theirs = getattr(torch.nn, f"Transformer{kind}Layer")(12, 3, 7)
    ours = {"Encoder": TransformerEncoderLayer, "Decoder": TransformerDecoderLayer}[
        kind
    ]
    made = weights_from_torch(theirs.state_dict())
    layer = ours(12, 3, 7)
    layer.load_state_dict(made)
    assert sum(p.numel() for p in layer.parameters()) == sum(
        p.numel() for p in theirs.parameters()
    )
