"""Copies of a model: what converts, moves or saves one leaves the model as it was, and what
someone has put around a Linear stays around it.
"""

import io
import pickle
from copy import deepcopy

import pytest
import tiny
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize
from weekly import mostly

from companion import KVCache, fast
from companion.fast.compiled.programs import traits
from companion.fast.copies import plain_linears
from companion.fast.onednn import PackedLinear
from companion.generate import decode

SIZES = {"hidden_size": 32, "intermediate_size": 64, "tie_word_embeddings": False}


def prefill(model):
    return fast.compile_prefill(model, fast.attention["plain"], "aot_eager")


MAKE = {"packed": fast.packed, "int8": fast.int8, "int4": fast.int4, "prefill": prefill}
every_copy = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)


def small(dtype=torch.float32, **changes):
    return tiny.model(dtype, std=0.2, **{**SIZES, **changes})


def look(model):
    return [(x.dtype, x.device, x.requires_grad) for x in model.parameters()]


# ---- conversions

CONVERSIONS = {
    "float16": (lambda x: x.half(), torch.float16, 0.02),
    "bfloat16": (lambda x: x.bfloat16(), torch.bfloat16, 0.1),
    "float64": (lambda x: x.to(torch.float64), torch.float64, 1e-5),
    "there and back": (lambda x: x.half().float(), torch.float32, 0.02),
    "gradients": (lambda x: x.to(torch.float64).train(), torch.float64, 1e-5),
    "shared": (lambda x: x.share_memory(), torch.float32, 0.0),
}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", CONVERSIONS)
@every_copy
def test_a_conversion_is_of_the_copy_alone(make, name, tied):
    convert, dtype, off = CONVERSIONS[name]
    model, ids = small(tie_word_embeddings=tied), tiny.ids(2, 5)
    before, looked, other = model(ids), look(model), make(model)
    expected = other(ids)
    found = convert(other)(ids)
    assert found.dtype == dtype
    torch.testing.assert_close(found, expected.to(dtype), rtol=0, atol=off)
    assert look(model) == looked
    assert torch.equal(model(ids), before)


@every_copy
def test_a_copy_that_moves_or_is_emptied(make):
    for move in (lambda x: x.to("meta"), lambda x: x.to_empty(device="cpu")):
        model, ids = small(), tiny.ids(2, 5)
        before, looked = model(ids), look(model)
        move(make(model))
        assert look(model) == looked
        assert torch.equal(model(ids), before)


def test_packed_is_an_ordinary_linear_where_there_are_no_blocks():
    kinds = [
        type(fast.packed(small()).to(to).lm_head)
        for to in (torch.bfloat16, torch.float16, torch.float64, "meta")
    ]
    assert kinds == [PackedLinear, nn.Linear, nn.Linear, nn.Linear]


def stored(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize(
    "copy", [deepcopy, stored, lambda x: pickle.loads(pickle.dumps(x))]
)
@every_copy
def test_a_copy_of_a_copy_computes_the_same_by_itself(make, copy):
    other, ids = make(small()), tiny.ids(2, 5)
    before = other(ids)
    again = copy(other)
    assert torch.equal(again(ids), before)
    again.to(torch.float64)
    for parameter in again.parameters():
        parameter.data.zero_()
    assert torch.equal(other(ids), before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
def test_a_packed_state_is_that_of_the_model(dtype, bias):
    model, other = small(dtype, attention_bias=bias), small(dtype, attention_bias=bias)
    packed, ids = fast.packed(model), tiny.ids(2, 5)
    state, expected = packed.state_dict(), model.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], expected[key]) for key in state)
    second = fast.packed(other)
    second.load_state_dict(state)
    assert torch.equal(second(ids), packed(ids))
    with pytest.raises(RuntimeError, match=r"lm_head.weight"):
        second.load_state_dict(
            {k: x for k, x in state.items() if k != "lm_head.weight"}
        )
    with pytest.raises(RuntimeError, match=r"lm_head.weight is \(2, 2\)"):
        second.load_state_dict({**state, "lm_head.weight": torch.zeros(2, 2)})


def test_packed_gives_gradients():
    layer, x = nn.Linear(8, 5), torch.randn(3, 8, requires_grad=True)
    found, expected = (
        torch.autograd.grad(each(x).square().sum(), x)[0]
        for each in (PackedLinear(layer), layer)
    )
    torch.testing.assert_close(found, expected)


# ---- what someone has put around a Linear


class Adapter(nn.Module):
    """A low-rank addition, with its scale in a dict, as PEFT has it."""

    def __init__(self, linear, scale):
        super().__init__()
        self.base, self.scaling = linear, {"default": scale}
        self.down = nn.Linear(linear.weight.shape[1], 4, bias=False)
        self.up = nn.Linear(4, linear.weight.shape[0], bias=False)
        self.requires_grad_(False)

    def forward(self, x):
        return self.base(x) + self.up(self.down(x)) * self.scaling["default"]


class Shifted(nn.Module):
    """A buffer is added, and the weight read without a call."""

    def __init__(self, linear, shift):
        super().__init__()
        self.base = linear
        self.register_buffer("shift", torch.full(linear.weight.shape[:1], shift))

    def forward(self, x):
        return nn.functional.linear(x, self.base.weight) + self.shift


class Derived(nn.Linear):
    def forward(self, x):
        return super().forward(x) + self.scale * x.mean(dim=-1, keepdim=True)


class Scaled(nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def forward(self, weight):
        return weight * self.scale


def derived(parent, name, scale):
    each = getattr(parent, name)
    each.__class__, each.scale = Derived, scale


def own_forward(parent, name, scale):
    each = getattr(parent, name)
    ordinary = each.forward
    each.forward = lambda x: ordinary(x) * scale


def normed(parent, name, scale):
    each = parametrizations.weight_norm(getattr(parent, name))
    each.parametrizations.weight.original0.data.mul_(scale)


def on(parent, name):
    return getattr(parent, name)


WRAPPED = {
    "adapter": lambda p, n, s: setattr(p, n, Adapter(on(p, n), s)),
    "buffer": lambda p, n, s: setattr(p, n, Shifted(on(p, n), s)),
    "sequence": lambda p, n, s: setattr(p, n, nn.Sequential(on(p, n), Scaled(s))),
    "subclass": derived,
    "forward": own_forward,
    "hook": lambda p, n, s: on(p, n).register_forward_hook(lambda m, a, o: o * s),
    "pre-hook": lambda p, n, s: on(p, n).register_forward_pre_hook(
        lambda m, a: (a[0] * s,)
    ),
    "parametrized": lambda p, n, s: parametrize.register_parametrization(
        on(p, n), "weight", Scaled(s)
    ),
    "weight norm": normed,
}


def wrapped(name):
    """A model in which other layers have other scales, and what it computes without."""
    torch.manual_seed(0)
    model, ids = small(), tiny.ids(2, 6)
    before = model(ids)
    for i, layer in enumerate(model.model.layers, 2):
        WRAPPED[name](layer.self_attn, "q_proj", 0.5 * i)
        WRAPPED[name](layer.mlp, "down_proj", 0.75 * i)
    WRAPPED[name](model, "lm_head", 3.0)
    model.requires_grad_(False)
    assert (model(ids) - before).abs().max() > 0.2
    return model, ids


@pytest.mark.parametrize("name", WRAPPED)
def test_it_stays_around_the_linear(name):
    model, ids = wrapped(name)
    expected = model(ids)
    for make, off in ((fast.packed, 1e-5), (prefill, 1e-5), (fast.int8, 0.08)):
        torch.testing.assert_close(make(model)(ids), expected, rtol=0, atol=off)
    quantized = fast.int4(model)
    assert not {"lm_head", "model.layers.0.mlp.down_proj"} & {
        path for path, _ in plain_linears(quantized)
    }


@pytest.mark.parametrize("name", mostly(WRAPPED, "adapter", "parametrized"))
def test_it_is_in_a_compiled_step(name):
    model, ids = wrapped(name)
    logits = []
    for step in (fast.compile_decode(model, "aot_eager"), decode):
        cache = KVCache(model.config, 2, 7)
        with torch.inference_mode():
            model(ids[:, :5], past_key_values=cache)
            logits.append(step(model, ids[:, 5], torch.ones(2, 6).long(), cache))
    torch.testing.assert_close(*logits, rtol=0, atol=1e-5)


def test_buffers_are_constants_of_a_program():
    one, two = nn.BatchNorm1d(4), nn.BatchNorm1d(4)
    assert traits(one) == traits(one) != traits(two)
    assert traits(nn.LayerNorm(4)) == traits(nn.LayerNorm(4))


def test_a_hook_that_no_compiled_model_would_call():
    def double(module, arguments, output):
        return output * 2

    for place, make in (("model", fast.compile_decode), ("model", prefill)):
        model = small()
        model.get_submodule(place).register_forward_hook(double)
        with pytest.raises(ValueError, match=r"model\.model has a hook"):
            make(model)
    model = small()
    model.model.layers[1].self_attn.register_forward_hook(double)
    with pytest.raises(ValueError, match=r"layers\.1\.self_attn has a hook"):
        prefill(model)
