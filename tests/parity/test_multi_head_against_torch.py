import pytest
import torch
from torch import nn

from companion import MultiHeadAttention


def both(hidden_size, num_heads, bias):
    """torch's module, and ours with its weights: torch stacks those of q, k and v."""
    theirs = nn.MultiheadAttention(
        hidden_size, num_heads, bias=bias, batch_first=True
    ).requires_grad_(False)
    ours = MultiHeadAttention(hidden_size, num_heads, bias=bias).requires_grad_(False)
    weights = {"o_proj.weight": theirs.out_proj.weight}
    for name, weight in zip("qkv", theirs.in_proj_weight.chunk(3), strict=True):
        weights[f"{name}_proj.weight"] = weight
    if bias:
        nn.init.normal_(theirs.in_proj_bias)
        nn.init.normal_(theirs.out_proj.bias)
        weights["o_proj.bias"] = theirs.out_proj.bias
        for name, offset in zip("qkv", theirs.in_proj_bias.chunk(3), strict=True):
            weights[f"{name}_proj.bias"] = offset
    ours.load_state_dict(weights)
    return ours, theirs


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("hidden_size", "num_heads"), [(8, 1), (8, 2), (8, 8), (60, 5)]
)
def test_without_a_mask(hidden_size, num_heads, bias):
    ours, theirs = both(hidden_size, num_heads, bias)
    x = torch.randn(3, 7, hidden_size)
    torch.testing.assert_close(ours(x), theirs(x, x, x)[0], atol=1e-6, rtol=1e-5)


def test_causal():
    ours, theirs = both(8, 2, True)
    x = torch.randn(3, 7, 8)
    # torch's module says True for "hidden"
    hidden = ~torch.ones(7, 7, dtype=torch.bool).tril()
    expected, _ = theirs(x, x, x, attn_mask=hidden)
    torch.testing.assert_close(ours(x, is_causal=True), expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(ours(x, ~hidden), expected, atol=1e-6, rtol=1e-5)


def test_padding():
    ours, theirs = both(8, 2, True)
    x, real = torch.randn(3, 7, 8), torch.arange(7) < torch.tensor([[7], [4], [1]])
    expected, _ = theirs(x, x, x, key_padding_mask=~real)
    torch.testing.assert_close(
        ours(x, real[:, None, None]), expected, atol=1e-6, rtol=1e-5
    )


def test_float_mask():
    ours, theirs = both(8, 2, False)
    x, mask = torch.randn(3, 7, 8), torch.randn(7, 7)
    torch.testing.assert_close(
        ours(x, mask), theirs(x, x, x, attn_mask=mask)[0], atol=1e-6, rtol=1e-5
    )
