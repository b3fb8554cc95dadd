"""Where tensors lie in memory, and whether autograd watches, changes no output; no input is written to."""

from dataclasses import replace

import pytest
import torch
from attention_cases import exact
from hypothesis import given
from hypothesis import strategies as st
from layouts import LAYOUTS
from strategies import (
    FORMS,
    KINDS,
    assert_close,
    calls,
    each_form,
    normal,
    seeds,
)

DTYPES = torch.float64, torch.float32, torch.bfloat16
layouts = st.sampled_from(LAYOUTS)


@each_form
@given(data=st.data(), dtype=st.sampled_from(DTYPES))
def test_layouts_in_memory_change_nothing(form, data, dtype):
    """Transposed, cut out, expanded: what the same numbers give side by side. Scores of integers
    are exact, in whatever order they are summed; the last sum may round otherwise.
    """
    call = data.draw(calls(form, dtype=dtype))
    query, key = ((2 * x).round() for x in (call.query, call.key))
    call = replace(call, query=query, key=key, scale=0.25)
    names = ["query", "key", "value"]
    if call.attn_mask is not None and call.attn_mask.ndim > 1:
        names.append("attn_mask")
    laid_out = {name: data.draw(layouts)(getattr(call, name)) for name in names}
    before = {name: (x.clone(), x._version) for name, x in laid_out.items()}
    output = call.by(form, **laid_out)
    copies = {name: x.contiguous().clone() for name, x in laid_out.items()}
    within = (3 + call.key.shape[2]) * torch.finfo(dtype).eps
    assert_close(output, call.by(form, **copies), within)
    for name, (numbers, version) in before.items():
        assert torch.equal(laid_out[name], numbers)
        assert laid_out[name]._version == version


# in a row that has the lowest number throughout, torch's fused kernels take each weight for 1
# on the way back: beside such a number, the logarithm of the sum is lost
TRAINED = dict.fromkeys(FORMS, KINDS) | {"sdpa": KINDS[:-1]}


def leaves(call):
    return [x.detach().clone().requires_grad_() for x in call.inputs]


@each_form
@given(data=st.data(), dtype=st.sampled_from(DTYPES))
def test_inference_mode_no_grad_and_autograd_give_the_same_output(form, data, dtype):
    """Exactly, and on tensors that were made in inference mode too."""
    call = data.draw(calls(form, dtype=dtype))
    query, key, value = leaves(call)
    watched = call.by(form, query=query, key=key, value=value)
    assert watched.requires_grad
    with torch.no_grad():
        assert torch.equal(call.by(form, query=query, key=key, value=value), watched)
    with torch.inference_mode():
        inside = [x.clone() for x in call.inputs]
        assert torch.equal(call.by(form), watched)
    assert torch.equal(call.by(form), watched)
    names = dict(zip(("query", "key", "value"), inside, strict=True))
    assert torch.equal(call.by(form, **names), watched)


@each_form
@given(data=st.data(), seed=seeds)
def test_gradients_are_torch_s(form, data, seed):
    """Of queries, keys and values, in rows of nothing too, where they are 0 and not NaN."""
    call = data.draw(calls(form, TRAINED[form]))
    inputs = leaves(call)
    output = call.by(form, **dict(zip(("query", "key", "value"), inputs, strict=True)))
    weights = normal(seed, *output.shape)
    ours = torch.autograd.grad((output * weights).sum(), inputs)
    expected = exact(*inputs, **call.options)
    theirs = torch.autograd.grad((expected * weights).sum(), inputs)
    for our, their in zip(ours, theirs, strict=True):
        assert_close(our, their, 1e-9)


@pytest.mark.parametrize("form", [form for form in FORMS if form != "sdpa"])
@given(data=st.data(), seed=seeds)
def test_the_gradient_of_a_float_mask_is_torch_s(form, data, seed):
    """`sdpa` refuses such a mask: torch's fused kernels give it none."""
    call = data.draw(calls(form, ["float"]))
    mask = call.attn_mask.double().requires_grad_()
    output = call.by(form, attn_mask=mask)
    weights = normal(seed, *output.shape)
    (ours,) = torch.autograd.grad((output * weights).sum(), mask)
    expected = exact(*call.inputs, **(call.options | {"attn_mask": mask}))
    (theirs,) = torch.autograd.grad((expected * weights).sum(), mask)
    assert_close(ours, theirs, 1e-9)
