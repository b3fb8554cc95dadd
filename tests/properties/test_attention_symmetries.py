"""What attention leaves as it is, whatever the numbers are: each of these is a theorem, for every form."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    NOT_CAUSAL,
    assert_close,
    calls,
    each_form,
    normal,
    permutation,
    seeds,
)

# ---- who has no influence


@each_form
@given(data=st.data(), seed=seeds)
def test_a_later_token_never_changes_an_earlier_output(form, data, seed):
    """Exactly: `is_causal` weighs what comes after a query with 0."""
    call = data.draw(calls(form, ["is_causal"]))
    seen = data.draw(st.integers(0, call.key.shape[2] - 1))
    key, value = call.key.clone(), call.value.clone()
    key[:, :, seen:] += 100 * normal(seed, *key[:, :, seen:].shape)
    value[:, :, seen:] -= 1e6
    output = call.by(form, key=key, value=value)
    assert torch.equal(output[:, :, :seen], call.by(form)[:, :, :seen])


@each_form
@given(data=st.data(), seed=seeds)
def test_a_hidden_key_never_changes_the_output(form, data, seed):
    """Exactly, whatever the mask's kind and axes: of one query at a time."""
    call = data.draw(calls(form))
    row = data.draw(st.integers(0, call.query.shape[2] - 1))
    hidden = ~call.allowed()[:, :, row].unflatten(1, (-1, call.group)).any(dim=2)
    key = torch.where(hidden[..., None], 100 * normal(seed, 1), call.key)
    value = torch.where(hidden[..., None], 1e6, call.value)
    output = call.by(form, key=key, value=value)
    assert torch.equal(output[:, :, row], call.by(form)[:, :, row])


@each_form
@given(data=st.data())
def test_a_key_hidden_from_all_queries_may_be_left_out(form, data):
    call = data.draw(calls(form))
    seen = call.allowed().flatten(0, 2).any(dim=0)
    mask = call.full_mask()
    shorter = {
        "key": call.key[:, :, seen],
        "value": call.value[:, :, seen],
        "attn_mask": None if mask is None else mask[..., seen],
    }
    assert_close(call.by(form, **shorter), call.by(form))


@each_form
@given(data=st.data())
def test_a_query_that_may_attend_to_nothing_gets_zeros(form, data):
    """Exactly, and no other does; nowhere is there NaN."""
    call = data.draw(calls(form))
    output, empty = call.by(form), ~call.allowed().any(dim=-1)
    assert output.isfinite().all()
    assert output[empty].eq(0).all()
    assert output[~empty].ne(0).any(dim=-1).all()


@each_form
@given(data=st.data())
def test_a_query_that_may_attend_to_one_key_gets_its_value(form, data):
    """Exactly: e^0 / e^0 of it and 0 of the others."""
    call = data.draw(calls(form, ["none"]))
    q_len, kv_len = call.scores_shape[2:]
    only = data.draw(
        st.lists(st.integers(0, kv_len - 1), min_size=q_len, max_size=q_len)
    )
    mask = torch.nn.functional.one_hot(torch.tensor(only), kv_len).bool()
    expected = call.value[:, :, only].repeat_interleave(call.group, dim=1)
    assert torch.equal(call.by(form, attn_mask=mask), expected)


# ---- what order does


@each_form
@given(data=st.data(), seed=seeds)
def test_keys_and_values_have_no_order(form, data, seed):
    """Permuted together, and the mask's columns with them, they give the same."""
    call = data.draw(calls(form, NOT_CAUSAL))
    order = permutation(seed, call.key.shape[2])
    mask = call.full_mask()
    permuted = call.by(
        form,
        key=call.key[:, :, order],
        value=call.value[:, :, order],
        attn_mask=None if mask is None else mask[..., order],
    )
    assert_close(permuted, call.by(form))


@each_form
@given(data=st.data(), seed=seeds)
def test_permuted_queries_give_permuted_outputs(form, data, seed):
    call = data.draw(calls(form, NOT_CAUSAL))
    order = permutation(seed, call.query.shape[2])
    mask = call.full_mask()
    permuted = call.by(
        form,
        query=call.query[:, :, order],
        attn_mask=None if mask is None else mask[:, :, order],
    )
    assert_close(permuted, call.by(form)[:, :, order])


@each_form
@given(data=st.data(), seed=seeds)
def test_permuted_heads_give_permuted_outputs(form, data, seed):
    """Key/value heads among themselves, each with its whole group of query heads."""
    call = data.draw(calls(form))
    heads = permutation(seed, call.key.shape[1])
    grouped = torch.arange(call.query.shape[1]).view(-1, call.group)[heads].flatten()
    mask = call.full_mask()
    permuted = call.by(
        form,
        query=call.query[:, grouped],
        key=call.key[:, heads],
        value=call.value[:, heads],
        attn_mask=None if mask is None else mask[:, grouped],
    )
    assert_close(permuted, call.by(form)[:, grouped])


@each_form
@given(data=st.data())
def test_each_head_of_each_sequence_is_computed_by_itself(form, data):
    """Alone, it gives what it gives among the others."""
    call = data.draw(calls(form))
    row = data.draw(st.integers(0, call.query.shape[0] - 1))
    head = data.draw(st.integers(0, call.query.shape[1] - 1))
    kv_head = head // call.group
    mask = call.full_mask()
    alone = call.by(
        form,
        query=call.query[row, head][None, None],
        key=call.key[row, kv_head][None, None],
        value=call.value[row, kv_head][None, None],
        attn_mask=None if mask is None else mask[row, head],
    )
    assert_close(alone[0, 0], call.by(form)[row, head])
