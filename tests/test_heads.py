import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from companion import (
    MultiHeadAttention,
    merge_heads,
    scaled_dot_product_attention,
    split_heads,
)

sizes = st.integers(1, 4)


def attend_head_by_head(query, key, value, num_heads):
    """As the paper writes it: one head after the other, joined."""
    heads = (x.chunk(num_heads, dim=-1) for x in (query, key, value))
    return torch.cat(
        [scaled_dot_product_attention(*each) for each in zip(*heads, strict=True)], -1
    )


def test_split_by_hand():
    x = torch.tensor([[0.0, 1, 2, 3], [4, 5, 6, 7]])
    assert split_heads(x, 2).tolist() == [[[0, 1], [4, 5]], [[2, 3], [6, 7]]]


def test_split_is_not_a_view_with_the_axes_swapped():
    x = torch.arange(8.0).view(1, 2, 4)
    assert split_heads(x, 2).shape == x.view(1, 2, 2, 2).shape
    assert not torch.equal(split_heads(x, 2), x.view(1, 2, 2, 2))


def test_head_takes_its_columns_of_every_token():
    x = torch.randn(2, 5, 12)
    for head in range(3):
        assert torch.equal(split_heads(x, 3)[:, head], x[..., 4 * head : 4 * head + 4])


def test_split_computes_nothing():
    x = torch.randn(2, 5, 12)
    assert split_heads(x, 3).data_ptr() == x.data_ptr()


@given(st.lists(sizes, max_size=2), st.integers(0, 4), sizes, sizes)
def test_merge_undoes_split(batch, length, heads, head_dim):
    x = torch.randn(*batch, length, heads * head_dim)
    split = split_heads(x, heads)
    assert split.shape == (*batch, heads, length, head_dim)
    assert torch.equal(merge_heads(split), x)


@given(st.lists(sizes, max_size=2), sizes, sizes, sizes)
def test_split_undoes_merge(batch, heads, length, head_dim):
    x = torch.randn(*batch, heads, length, head_dim)
    merged = merge_heads(x)
    assert merged.shape == (*batch, length, heads * head_dim)
    assert torch.equal(split_heads(merged, heads), x)


@pytest.mark.parametrize("num_heads", [1, 2, 4, 8])
def test_all_heads_at_once_equal_one_after_the_other(num_heads):
    query, key, value = (
        torch.randn(2, length, 8, dtype=torch.float64) for length in (3, 5, 5)
    )
    at_once = scaled_dot_product_attention(
        *(split_heads(x, num_heads) for x in (query, key, value))
    )
    torch.testing.assert_close(
        attend_head_by_head(query, key, value, num_heads), merge_heads(at_once)
    )


# ---- MultiHeadAttention


def test_module_by_its_formula(device):
    module = MultiHeadAttention(12, 3).to(device)
    x = torch.randn(2, 5, 12, device=device)
    query, key, value = (
        x @ proj.weight.T for proj in (module.q_proj, module.k_proj, module.v_proj)
    )
    torch.testing.assert_close(
        module(x), attend_head_by_head(query, key, value, 3) @ module.o_proj.weight.T
    )


@pytest.mark.parametrize("shape", [(5, 12), (2, 5, 12), (2, 3, 5, 12)])
def test_shape_that_goes_in_comes_out(shape):
    assert MultiHeadAttention(12, 3)(torch.randn(shape)).shape == shape


def test_parameters():
    module = MultiHeadAttention(12, 3)
    assert {name: tuple(p.shape) for name, p in module.named_parameters()} == {
        f"{name}_proj.weight": (12, 12) for name in "qkvo"
    }
    with_bias = MultiHeadAttention(12, 3, bias=True)
    assert {
        tuple(p.shape)
        for name, p in with_bias.named_parameters()
        if name.endswith("bias")
    } == {(12,)}


def test_head_dim_may_differ_from_hidden_size_over_heads():
    module = MultiHeadAttention(10, 3, head_dim=4)
    assert module.q_proj.weight.shape == (12, 10)
    assert module.o_proj.weight.shape == (10, 12)
    assert module(torch.randn(2, 5, 10)).shape == (2, 5, 10)


def test_is_causal_hides_later_tokens():
    module, x = MultiHeadAttention(12, 3), torch.randn(1, 5, 12)
    changed = torch.cat([x[:, :3], torch.randn(1, 2, 12)], dim=1)
    assert torch.equal(
        module(x, is_causal=True)[:, :3], module(changed, is_causal=True)[:, :3]
    )
    assert not torch.equal(module(x)[:, :3], module(changed)[:, :3])


def test_mask_equals_is_causal():
    module, x = MultiHeadAttention(12, 3), torch.randn(2, 5, 12)
    allowed = torch.ones(5, 5, dtype=torch.bool).tril()
    added = torch.zeros(5, 5).masked_fill(~allowed, float("-inf"))
    for mask in (allowed, added, allowed[None, None].expand(2, 3, 5, 5)):
        torch.testing.assert_close(module(x, mask), module(x, is_causal=True))


def test_attend_may_be_any_function_of_that_signature():
    ours, theirs = (
        MultiHeadAttention(12, 3),
        MultiHeadAttention(12, 3, attend=F.scaled_dot_product_attention),
    )
    theirs.load_state_dict(ours.state_dict())
    x, mask = torch.randn(2, 5, 12), torch.rand(5, 5) < 0.7
    torch.testing.assert_close(ours(x, mask), theirs(x, mask), equal_nan=True)
    torch.testing.assert_close(ours(x, is_causal=True), theirs(x, is_causal=True))
