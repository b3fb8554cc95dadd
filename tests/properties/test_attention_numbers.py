"""How exact attention is: in every dtype, and from 1e-45 to 1e38."""

import pytest
import torch
from attention_cases import assert_right, exact
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import (
    FORMS,
    assert_close,
    calls,
    each_form,
    fewer,
    integers,
    masks,
    normal,
    seeds,
    sizes,
)

from companion import attention_weights, fast, repeat_kv

LADDER = torch.float64, torch.float32, torch.bfloat16
# the fast forms refuse float16 on a CPU, where its products are slow
DTYPES = dict.fromkeys(FORMS, LADDER) | {"plain": (*LADDER, torch.float16)}
EACH = [(form, dtype) for form in FORMS for dtype in DTYPES[form]]


def each_dtype(a_property):
    """The property for each form of attention and each dtype that it takes."""
    return pytest.mark.parametrize(("form", "dtype"), EACH)(fewer(4)(a_property))


@each_dtype
@given(data=st.data())
def test_the_error_is_at_most_twice_that_of_the_formula_in_the_same_dtype(
    form, dtype, data
):
    """Against float64. Softmax is in float32 at least, and blocks change no digit that counts."""
    call = data.draw(calls(form, dtype=dtype))
    attend = fast.attention[form], call.blocks.get(form, {})
    assert_right(attend, *call.inputs, **call.options)


def unit(x):
    """The distance from 1 to the next number of the dtype of x."""
    return torch.finfo(x.dtype).eps


@each_dtype
@given(data=st.data())
def test_weights_of_a_query_sum_to_one_or_are_all_zero(form, dtype, data):
    """Values of 1 give the sums of the weights that a form uses; plain attention shows them."""
    call = data.draw(calls(form, dtype=dtype))
    expected = call.allowed().any(dim=-1, keepdim=True).to(dtype)
    output = call.by(form, value=torch.ones_like(call.value))
    within = unit(output) * (1 + call.key.shape[2] / 2)
    assert_close(output, expected.expand(output.shape), within)
    if form == "plain":
        key = repeat_kv(call.key, call.group)
        weights = attention_weights(call.query, key, **call.options)
        assert (weights >= 0).all()
        assert weights[~call.allowed()].eq(0).all()
        assert_close(weights.sum(dim=-1, keepdim=True), expected, within)


# roundings of a weight: where a form divides by the sum at the end, there is a second
ROUNDINGS = {"plain": 1, "blocks": 1, "tiled": 2, "sdpa": 2}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
@each_form
@given(q_len=sizes, kv_len=st.integers(1, 40), masked=st.booleans(), seed=seeds)
def test_softmax_is_in_float32_and_a_weight_is_rounded_once(
    form, dtype, q_len, kv_len, masked, seed
):
    """Values of an identity show the weights; scores of integers are exact in every dtype, and
    what a float32 mask adds to them in float32.
    """
    query = integers(seed, 1, 1, q_len, kv_len, reach=1).to(dtype)
    key = integers(seed + 1, 1, 1, kv_len, kv_len, reach=1).to(dtype)
    value = torch.eye(kv_len, dtype=dtype).expand(1, 1, -1, -1)
    mask = integers(seed + 2, q_len, kv_len).float() / 128 if masked else None
    blocks = {"kv_block": 16} if form == "tiled" else {}
    weights = fast.attention[form](query, key, value, mask, scale=0.5, **blocks)
    expected = exact(query, key, value, mask, scale=0.5)
    inside = 20 * torch.finfo(torch.float32).eps  # of exp and of the sum
    allowed = (0.5 * ROUNDINGS[form] * unit(weights) + inside) * expected
    assert ((weights - expected).abs() <= allowed).all()


@each_form
@given(data=st.data())
def test_the_output_is_weights_times_values(form, data):
    call = data.draw(calls(form))
    key, value = (repeat_kv(x, call.group) for x in (call.key, call.value))
    weights = attention_weights(call.query, key, **call.options)
    assert_close(call.by(form), weights @ value)


# ---- magnitudes: integers times powers of two, whose scores are exact in every dtype

TO_VALUES = st.one_of(st.integers(-149, 120), st.sampled_from([-140, -126, 0, 100]))


def tolerance(value, kv_len):
    """A rounding of each weight, of each sum and of the output; a processor may take what is
    subnormal for 0.
    """
    smallest = torch.finfo(value.dtype).smallest_normal
    return (3 + kv_len) * unit(value) * value.abs().max().item() + kv_len * smallest


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@each_form
@given(
    data=st.data(), seeds=st.tuples(seeds, seeds, seeds), q_len=sizes, kv_len=sizes,
    to_query=st.integers(-100, 100), to_key=st.integers(-100, 100),
    to_value=TO_VALUES, to_scale=st.sampled_from([-10, -2, 0, 4]),
    kind=st.sampled_from(["none", "is_causal", "bool"]),
)  # fmt: skip
def test_no_magnitude_of_finite_scores_loses_a_digit(
    form, dtype, data, seeds, q_len, kv_len, to_query, to_key, to_value, to_scale, kind
):
    """Queries and keys from 1e-30 to 1e30, values from subnormal to 1e37: finite, and right."""
    assume(to_query + to_key <= 100)
    query = integers(seeds[0], 2, 2, q_len, 5) * 2.0**to_query
    key = integers(seeds[1], 2, 2, kv_len, 5) * 2.0**to_key
    value = normal(seeds[2], 2, 2, kv_len, 5) * 2.0**to_value
    options = {"scale": 2.0**to_scale, "is_causal": kind == "is_causal"}
    if kind == "bool":
        options["attn_mask"] = data.draw(masks((2, 2, q_len, kv_len), kind))
    inputs = [x.to(dtype) for x in (query, key, value)]
    output = fast.attention[form](*inputs, **options)
    assert output.isfinite().all()
    error = (output - exact(*inputs, **options)).abs().max()
    assert error <= tolerance(inputs[2], kv_len)


@each_form
@given(data=st.data(), to_value=st.sampled_from([-1000, -140, 120, 1000]))
def test_values_of_any_size_are_weighed_alike(form, data, to_value):
    """In float64 as well: a power of two times the values is that times the output, exactly."""
    call = data.draw(calls(form))
    times = 2.0**to_value
    output = call.by(form, value=call.value * times)
    assert torch.equal(output, call.by(form) * times)
