"""Splitting into heads is a matter of order; a group shares its key/value head as if it had copies."""

import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from layouts import LAYOUTS
from strategies import (
    FORMS,
    assert_close,
    calls,
    each_form,
    normal,
    permutation,
    seeds,
    sizes,
)

from companion import MultiHeadAttention, fast, merge_heads, repeat_kv, split_heads

batches = st.lists(st.integers(0, 3), max_size=2)


@given(batches, st.integers(0, 5), sizes, st.integers(0, 4), seeds)
def test_merge_undoes_split_and_split_undoes_merge(batch, length, heads, width, seed):
    """For any leading axes and sizes, of 0 too; head h holds features h·width to (h+1)·width."""
    x = normal(seed, *batch, length, heads * width)
    split = split_heads(x, heads)
    assert split.shape == (*batch, heads, length, width)
    assert torch.equal(merge_heads(split), x)
    assert torch.equal(split_heads(merge_heads(split), heads), split)
    for head, numbers in enumerate(split.unbind(-3)):
        assert torch.equal(numbers, x[..., head * width : (head + 1) * width])


@given(sizes, sizes, sizes, sizes, st.sampled_from(LAYOUTS), seeds)
def test_heads_are_split_and_merged_wherever_they_lie(
    batch, length, heads, width, layout, seed
):
    """Transposed, cut out or expanded; splitting never copies what it was given."""
    x = layout(normal(seed, batch, length, heads * width))
    split = split_heads(x, heads)
    assert torch.equal(split, split_heads(x.contiguous(), heads))
    assert split.data_ptr() == x.data_ptr()
    other = layout(normal(seed, batch, heads, length, width))
    assert torch.equal(merge_heads(other), merge_heads(other.contiguous()))


@given(sizes, sizes, sizes, sizes, sizes, seeds)
def test_splitting_further_splits_each_head(batch, length, heads, parts, width, seed):
    """heads · parts at once are the parts of each head, side by side."""
    x = normal(seed, batch, length, heads * parts * width)
    further = split_heads(split_heads(x, heads), parts).flatten(1, 2)
    assert torch.equal(split_heads(x, heads * parts), further)


@given(sizes, sizes, st.integers(0, 4), sizes, sizes, seeds)
def test_repeated_heads_are_neighbors(batch, kv_heads, length, width, group, seed):
    """Query head h belongs to key/value head h // group; groups of groups are groups."""
    x = normal(seed, batch, kv_heads, length, width)
    repeated = repeat_kv(x, group)
    for head in range(kv_heads * group):
        assert torch.equal(repeated[:, head], x[:, head // group])
    assert torch.equal(repeat_kv(repeated, 2), repeat_kv(x, 2 * group))


@each_form
@given(data=st.data())
def test_a_group_attends_as_if_each_query_head_had_its_own_copy(form, data):
    """`enable_gqa` is `repeat_kv` of keys and values, and what torch makes of it."""
    call = data.draw(calls(form))
    copies = call.by(
        form,
        key=repeat_kv(call.key, call.group),
        value=repeat_kv(call.value, call.group),
    )
    output = call.by(form)
    assert_close(output, copies)
    if call.attn_mask is None and (call.scale is None or call.scale > 0):
        assert_close(
            output,
            F.scaled_dot_product_attention(
                *call.inputs, **call.options, enable_gqa=True
            ),
        )


# ---- MultiHeadAttention


def multi_head(seed, heads, width, form):
    module = MultiHeadAttention(
        heads * width, heads, bias=True, attend=fast.attention[form]
    ).double()
    for number, parameter in enumerate(module.parameters()):
        parameter.data = normal(seed + number, *parameter.shape)
    return module.requires_grad_(False)


modules = st.builds(multi_head, seeds, sizes, sizes, st.sampled_from(FORMS))


@given(modules, sizes, sizes, seeds)
def test_multi_head_attention_knows_no_order_of_tokens(module, batch, length, seed):
    """Without positions or a mask, permuted tokens come out permuted."""
    x = normal(seed, batch, length, module.q_proj.in_features)
    order = permutation(seed, length)
    assert_close(module(x[:, order]), module(x)[:, order])


@given(modules, st.integers(1, 7), st.data(), seeds)
def test_multi_head_attention_is_causal_when_told(module, length, data, seed):
    """Exactly: by `is_causal`, a later token changes nothing before it."""
    seen = data.draw(st.integers(0, length))
    x = normal(seed, 2, length, module.q_proj.in_features)
    changed = torch.cat([x[:, :seen], 9 * x.flip(1)[:, seen:]], dim=1)
    assert torch.equal(
        module(changed, is_causal=True)[:, :seen], module(x, is_causal=True)[:, :seen]
    )


def one_head_of(module, head):
    """Its rows of W_q, W_k and W_v, and its columns of W_o, as attention of one head."""
    hidden, width = module.q_proj.in_features, module.q_proj.out_features
    width //= module.num_heads
    own = slice(head * width, (head + 1) * width)
    one = MultiHeadAttention(hidden, 1, head_dim=width, bias=True, attend=module.attend)
    one = one.double().requires_grad_(False)
    for name in ("q_proj", "k_proj", "v_proj"):
        getattr(one, name).weight.data = getattr(module, name).weight[own]
        getattr(one, name).bias.data = getattr(module, name).bias[own]
    one.o_proj.weight.data = module.o_proj.weight[:, own]
    one.o_proj.bias.data = torch.zeros_like(module.o_proj.bias)
    return one


@given(modules, sizes, st.booleans(), seeds)
def test_the_output_is_a_sum_over_heads(module, length, is_causal, seed):
    """Each by itself, from its own rows of the weights: W_o adds what they say."""
    x = normal(seed, 2, length, module.q_proj.in_features)
    heads = [one_head_of(module, head) for head in range(module.num_heads)]
    total = sum(head(x, is_causal=is_causal) for head in heads) + module.o_proj.bias
    assert_close(module(x, is_causal=is_causal), total, 1e-9)
