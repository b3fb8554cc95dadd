"""Attention at every size: axes of 0 and 1, leading axes that broadcast, blocks, queries in chunks."""

import pytest
import torch
import torch.nn.functional as F
from attention_cases import exact
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    assert_close,
    broadcastable,
    calls,
    each_form,
    masks,
    normal,
    seeds,
)
from torch.nn.attention import SDPBackend, sdpa_kernel

from companion import causal_mask, fast, scaled_dot_product_attention

KINDS = ["none", "is_causal", "bool", "float", "float with -inf"]


def by_torch(*inputs, **options):
    """Written out, without a fused kernel."""
    with sdpa_kernel(SDPBackend.MATH):
        return F.scaled_dot_product_attention(*inputs, **options)


@each_form
@given(data=st.data(), kind=st.sampled_from(KINDS), seed=seeds)
def test_axes_of_nothing_and_of_one_give_torch_s_shape(form, data, kind, seed):
    """And its numbers: zeros where there is no key, none where there is no query."""
    batch, heads, q_len, kv_len = (data.draw(st.integers(0, 2)) for _ in range(4))
    width = data.draw(st.integers(1, 2))
    inputs = [
        normal(seed + n, batch, heads, length, width)
        for n, length in enumerate((q_len, kv_len, kv_len))
    ]
    options = {"is_causal": kind == "is_causal"}
    if kind not in ("none", "is_causal"):
        mask = data.draw(masks((batch, heads, q_len, kv_len), kind))
        options["attn_mask"] = mask.double() if mask.is_floating_point() else mask
    output = fast.attention[form](*inputs, **options)
    if options.get("attn_mask") is not None and options["attn_mask"].ndim < 2:
        options["attn_mask"] = options["attn_mask"].expand(q_len, kv_len)
    expected = by_torch(*inputs, **options)
    assert output.shape == expected.shape
    assert_close(output, expected)
    if not kv_len:
        assert output.eq(0).all()


@st.composite
def leading_axes(draw, most, group):
    """Of query, key and value, each by itself; where there are groups, the last are heads."""
    full = draw(st.lists(st.integers(1, 3), max_size=most - (group > 1)))
    shapes, kv_heads = st.sampled_from(broadcastable(full)), draw(st.integers(1, 2))
    heads = [(group * kv_heads,), (kv_heads,), (kv_heads,)] if group > 1 else [()] * 3
    return [(*draw(shapes), *each) for each in heads]


@each_form
@given(data=st.data(), group=st.sampled_from([1, 2, 3]), seed=seeds)
def test_leading_axes_broadcast_as_in_torch(form, data, group, seed):
    """Up to three of them, of query, key, value and mask each by itself; `sdpa` takes two."""
    leading = data.draw(leading_axes(2 if form == "sdpa" else 3, group))
    q_len, kv_len = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5))
    shapes = zip(leading, (q_len, kv_len, kv_len), strict=True)
    inputs = [normal(seed + n, *axes, m, 3) for n, (axes, m) in enumerate(shapes)]
    kind, mask = data.draw(st.sampled_from(["none", "is_causal", "bool"])), None
    if kind == "bool":
        mask = data.draw(masks((*leading[0], q_len, kv_len), kind))
    options = {"is_causal": kind == "is_causal", "enable_gqa": group > 1}
    output = fast.attention[form](*inputs, attn_mask=mask, **options)
    if mask is not None and mask.ndim < 2:  # which torch does not take
        mask = mask.expand(q_len, kv_len)
    expected = by_torch(*inputs, attn_mask=mask, **options)
    assert output.shape == expected.shape
    assert_close(output, expected)


@pytest.mark.parametrize("form", ["tiled", "blocks"])
@given(data=st.data())
def test_any_size_of_a_block_gives_the_same_as_plain_attention(form, data):
    call = data.draw(calls(form))
    longest = max(call.scores_shape[2:]) + 3
    names = ("q_block", "kv_block") if form == "tiled" else ("q_block",)
    block = st.one_of(st.integers(1, longest), st.just(10**9))
    sizes = {form: {name: data.draw(block) for name in names}}
    assert_close(call.by(form, blocks=sizes), call.by("plain"))


@each_form
@given(data=st.data())
def test_queries_in_any_chunks_give_the_same_as_all_at_once(form, data):
    """The chunk that ends at key n sees keys 0 to n, by the lower right mask: chunked prefill."""
    call = data.draw(calls(form, ["none"]))
    length = min(call.scores_shape[2:])
    query, key, value = (x[:, :, :length] for x in call.inputs)
    cuts = data.draw(st.sets(st.integers(1, length)).map(sorted))
    starts = [0, *cuts]
    outputs = [
        call.by(
            form,
            query=query[:, :, start:end],
            key=key[:, :, :end],
            value=value[:, :, :end],
            attn_mask=causal_mask(end - start, end),
        )
        for start, end in zip(starts, [*cuts, length], strict=True)
    ]
    at_once = exact(query, key, value, is_causal=True, scale=call.scale)
    assert_close(torch.cat(outputs, dim=2), at_once)


@given(data=st.data())
def test_keys_in_two_parts_are_joined_by_the_sums_of_their_exponentials(data):
    """What `tiled` rests on: with l the log of a part's sum, its weight is e^l / (e^l1 + e^l2)."""
    call = data.draw(calls("plain", ["none"]))
    cut = data.draw(st.integers(0, call.key.shape[2]))
    scale = call.query.shape[-1] ** -0.5 if call.scale is None else call.scale
    key, value = (x.repeat_interleave(call.group, 1) for x in (call.key, call.value))
    parts, logs = [], []
    for part in (slice(None, cut), slice(cut, None)):
        keys, values = key[:, :, part], value[:, :, part]
        parts.append(
            scaled_dot_product_attention(call.query, keys, values, scale=scale)
        )
        logs.append((call.query @ keys.mT * scale).logsumexp(-1, keepdim=True))
    shares = torch.stack(logs).softmax(dim=0)
    assert_close((shares * torch.stack(parts)).sum(dim=0), call.by("plain"))
