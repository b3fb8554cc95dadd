"""What softmax(q kᵀ · scale) v says of scores and values, for every form."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    NEGATIVE_INFINITY,
    NOT_CAUSAL,
    assert_close,
    calls,
    each_form,
    normal,
    seeds,
)


@each_form
@given(data=st.data(), seed=seeds)
def test_a_constant_added_to_a_query_s_scores_changes_nothing(form, data, seed):
    """softmax(x + c) = softmax(x), and each query has its own c."""
    call = data.draw(calls(form, NOT_CAUSAL))
    mask, constant = call.full_mask(), 30 * normal(seed, *call.scores_shape[:3], 1)
    if mask is None or mask.dtype == torch.bool:
        hidden = ~call.allowed()
        mask = torch.zeros(call.scores_shape).masked_fill(hidden, NEGATIVE_INFINITY)
    assert_close(call.by(form, attn_mask=mask + constant), call.by(form))


@each_form
@given(data=st.data())
def test_a_bool_mask_is_a_float_mask_of_zero_and_minus_infinity(form, data):
    call = data.draw(calls(form, ["is_causal", "bool"]))
    hidden, as_bool = ~call.allowed(), call.by(form)
    added = torch.zeros_like(hidden, dtype=torch.float64)
    added = added.masked_fill(hidden, NEGATIVE_INFINITY)
    for mask in (~hidden, added):
        assert_close(call.by(form, attn_mask=mask, is_causal=False), as_bool)


@each_form
@given(data=st.data(), factor=st.sampled_from([0.25, 3.0, 40.0]))
def test_the_scale_multiplies_the_scores(form, data, factor):
    """It is 1/√head_dim unless given, and may as well multiply the queries."""
    call = data.draw(calls(form))
    scale = call.query.shape[-1] ** -0.5 if call.scale is None else call.scale
    moved = call.by(form, query=call.query * scale / factor, scale=factor)
    assert_close(moved, call.by(form))


@each_form
@given(data=st.data(), seed=seeds)
def test_queries_and_keys_may_be_turned_together(form, data, seed):
    """A score is a dot product, which rotations and reflections keep: so RoPE is possible."""
    call = data.draw(calls(form))
    turn, _ = torch.linalg.qr(normal(seed, *[call.query.shape[-1]] * 2))
    turned = call.by(form, query=call.query @ turn, key=call.key @ turn)
    assert_close(turned, call.by(form))


@each_form
@given(data=st.data())
def test_outputs_lie_between_the_values_that_are_allowed(form, data):
    """In their convex hull: no feature is above their largest or below their smallest."""
    call = data.draw(calls(form))
    hidden = ~call.allowed()[..., None]
    values = call.value.repeat_interleave(call.group, dim=1)[:, :, None]
    highest = values.masked_fill(hidden, NEGATIVE_INFINITY).amax(dim=-2)
    lowest = values.masked_fill(hidden, -NEGATIVE_INFINITY).amin(dim=-2)
    some = ~hidden.all(dim=-2)[..., 0]
    output = call.by(form)
    assert (output <= highest + 1e-12)[some].all()
    assert (output >= lowest - 1e-12)[some].all()


@each_form
@given(data=st.data(), seed=seeds)
def test_outputs_are_linear_in_the_values(form, data, seed):
    call = data.draw(calls(form))
    other = normal(seed, *call.value.shape)
    both = 3 * call.by(form) - 0.5 * call.by(form, value=other)
    assert_close(call.by(form, value=3 * call.value - 0.5 * other), both)


@each_form
@given(data=st.data())
def test_every_key_twice_with_its_value_changes_nothing(form, data):
    """Each copy gets half of the weight."""
    call = data.draw(calls(form, NOT_CAUSAL))
    mask = call.full_mask()
    twice = call.by(
        form,
        key=call.key.repeat(1, 1, 2, 1),
        value=call.value.repeat(1, 1, 2, 1),
        attn_mask=None if mask is None else mask.repeat(1, 1, 1, 2),
    )
    assert_close(twice, call.by(form))
