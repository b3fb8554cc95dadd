"""Layers as two programs around attention: the same numbers for many tokens at once."""

import shutil
from copy import deepcopy

import pytest
import tiny
import torch
import torch.nn.functional as F
from refusal import said

from companion import KVCache, LlamaDecoderLayer, fast, generate
from companion.attention import scaled_dot_product_attention
from companion.fast.compiled.decode import OnCPU
from companion.fast.compiled.pieces import AfterAttention, BeforeAttention
from companion.fast.compiled.prefill import CompiledDecoderLayer, Pieces
from companion.fast.compiled.programs import Program, traits
from companion.fast.linear import DenseLinear
from companion.fast.quantized import Int4Linear, Int8Linear

USABLE = shutil.which("g++") and " " not in torch.__file__
GENERATED = "inductor" if USABLE else "aot_eager"
SIZES = {"hidden_size": 32, "intermediate_size": 64}
FORMS = {
    "float32": (torch.float32, lambda model: model, 1e-5),
    "bfloat16": (torch.bfloat16, lambda model: model, 0.05),
    "int8": (torch.float32, fast.int8, 1e-5),
    "int4": (torch.float32, fast.int4, 1e-5),
}
# (batch, length): one token of each, two in all, more, and as many as in the examples
CASES = (1, 1), (1, 2), (2, 1), (3, 2), (1, 6), (2, 17)


def small(dtype=torch.float32, **changes):
    return tiny.model(dtype, std=0.2, **SIZES, **changes)


def compiled(model, attend=scaled_dot_product_attention):
    return fast.compile_prefill(model, attend, "aot_eager")


@pytest.fixture
def products(monkeypatch):
    """Have a processor that multiplies faster in float32, or one that does not."""

    def faster_widened(is_faster):
        monkeypatch.setattr(
            "companion.fast.compiled.prefill.is_faster_widened",
            lambda dtype: is_faster and dtype != torch.float32,
        )

    return faster_widened


@pytest.fixture(autouse=True)
def of_the_tests(programs):
    """The store of the tests, and code for two cores."""


def check_logits(model, other, off):
    """The logits of all tokens, and what is cached, in one go and behind a cache."""
    for batch, length in CASES:
        ids = tiny.ids(batch, length + 3)
        mask = torch.ones_like(ids)
        mask[1::2, 0] = 0
        caches = [
            KVCache(model.config, batch, length + 3, dtype=model.dtype) for _ in "ab"
        ]
        for each in (slice(0, length), slice(length, length + 3)):
            found, expected = (
                x(ids[:, each], mask[:, : each.stop], past_key_values=cache)
                for x, cache in zip((other, model), caches, strict=True)
            )
            torch.testing.assert_close(found, expected, rtol=0, atol=off)
        torch.testing.assert_close(caches[0].keys, caches[1].keys, rtol=0, atol=off)
        torch.testing.assert_close(caches[0].values, caches[1].values, rtol=0, atol=off)
        torch.testing.assert_close(other(ids), model(ids), rtol=0, atol=off)


@pytest.mark.parametrize("widened", [True, False])
@pytest.mark.parametrize("name", FORMS)
def test_the_graphs_give_the_logits(name, widened, products):
    products(widened)
    dtype, form, off = FORMS[name]
    model = form(small(dtype, attention_bias=True))
    check_logits(model, compiled(model), off)


def test_generated_code_gives_the_logits(products):
    """In one layer of every kind of matrix, widened; float32 alone writes in test_smollm2."""
    products(True)
    model = small(torch.bfloat16, attention_bias=True, num_hidden_layers=1)
    mlp = model.model.layers[0].mlp
    mlp.up_proj, mlp.down_proj = Int8Linear(mlp.up_proj), Int4Linear(mlp.down_proj)
    other = fast.compile_prefill(model, backend=GENERATED)
    check_logits(model, other, 0.05)
    x = torch.randn(1, 9, 32).bfloat16()[:, ::2]  # which is not contiguous
    found, expected = (each.model.layers[0](x) for each in (other, model))
    torch.testing.assert_close(found, expected, rtol=0, atol=0.05)


def test_two_programs_serve_every_batch_and_length(monkeypatch):
    exported = []
    export = Program.exported
    monkeypatch.setattr(
        Program, "exported", lambda self: exported.append(self) or export(self)
    )
    other = compiled(small())
    for shape in ((1, 3), (2, 3), (1, 30), (4, 2)):
        other(tiny.ids(*shape))
    assert [type(each.module) for each in exported] == [BeforeAttention, AfterAttention]


def test_layers_that_differ_have_programs_of_their_own():
    model = small()
    model.model.layers[1].input_layernorm.eps = 0.5
    model.model.layers[0].post_attention_layernorm.eps = 0.25
    other, ids = compiled(model), tiny.ids(2, 5)
    torch.testing.assert_close(other(ids), model(ids), rtol=0, atol=1e-5)
    assert len(other.model.layers[0].pieces.runs) == 4


@pytest.mark.parametrize("name", [name for name in fast.attention if name != "triton"])
def test_any_attention(name):
    model, ids = small(), tiny.ids(2, 9)
    other = compiled(model, attend=fast.attention[name])
    torch.testing.assert_close(other(ids), model(ids), rtol=0, atol=1e-5)


def test_attention_is_asked(products):
    products(True)
    model, seen = small(torch.bfloat16), []

    def attend(query, *args, **options):
        seen.append(query.dtype)
        return 2 * scaled_dot_product_attention(query, *args, **options)

    ids = tiny.ids(1, 5)
    found = compiled(model, attend=attend)(ids)
    assert seen == [torch.float32] * 2
    for layer in model.model.layers:
        layer.self_attn.attend = attend
    torch.testing.assert_close(found, model(ids), rtol=0, atol=0.1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_mask_that_is_added(dtype, products):
    products(True)
    model = small(dtype)
    layer, plain = compiled(model).model.layers[0], model.model.layers[0]
    x, mask = torch.randn(2, 5, 32).to(dtype), torch.randn(2, 1, 5, 5).to(dtype)
    torch.testing.assert_close(layer(x, mask), plain(x, mask), rtol=0.02, atol=0.02)


def test_widened_products_are_float32_s(monkeypatch):
    linear = torch.nn.Linear(8, 3, dtype=torch.bfloat16).requires_grad_(False)
    x, product, seen = torch.randn(2, 8).bfloat16(), F.linear, []

    def seeing(*given):
        seen.append({each.dtype for each in given})
        return product(*given)

    monkeypatch.setattr(F, "linear", seeing)
    for widened, dtype in ((True, torch.float32), (False, torch.bfloat16)):
        found = DenseLinear(linear, widened)(x)
        assert found.dtype == torch.bfloat16
        assert seen.pop() == {dtype}
        torch.testing.assert_close(found, product(x, linear.weight, linear.bias))
    assert traits(DenseLinear(linear, True)) != traits(DenseLinear(linear, False))


def test_generate_and_a_compiled_step():
    model, ids = small(), tiny.ids(2, 6)
    other, expected = compiled(model), generate(model, ids, 8)
    assert torch.equal(generate(other, ids, 8), expected)
    step = fast.compile_decode(other, "aot_eager")
    assert torch.equal(generate(other, ids, 8, decode=step), expected)


def test_its_step_is_that_of_the_model():
    model = small()
    steps = [OnCPU(x, "aot_eager") for x in (model, compiled(model))]
    assert list(steps[0].programs(True)) == list(steps[1].programs(True))


def ran(model, monkeypatch):
    """Which pieces run from now on."""
    pieces, run = [], Pieces.run
    monkeypatch.setattr(
        Pieces, "run", lambda self, *a: pieces.append(a[0]) or run(self, *a)
    )
    return pieces


def test_what_autograd_follows_is_the_plain_layer(monkeypatch):
    model = small()
    other, pieces = compiled(model), ran(model, monkeypatch)
    layer, plain = other.model.layers[0], model.model.layers[0]
    x = torch.randn(1, 4, 32, requires_grad=True)
    (found,) = torch.autograd.grad(layer(x).square().sum(), x)
    (expected,) = torch.autograd.grad(plain(x).square().sum(), x)
    assert torch.equal(found, expected)
    weight = layer.mlp.up_proj.weight.requires_grad_()
    layer(x.detach()).sum().backward()
    assert weight.grad is not None
    with torch.no_grad():
        assert not pieces
        layer(x)
    assert len(pieces) == 2


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (0, 4), (1, 0)])
def test_one_token_and_none_are_the_plain_layer(shape, monkeypatch):
    model = small()
    other, pieces = compiled(model), ran(model, monkeypatch)
    x = torch.randn(*shape, 32)
    layers = other.model.layers[0], model.model.layers[0]
    assert torch.equal(*(layer(x) for layer in layers))
    assert not pieces


def test_angles_of_another_dtype_are_for_the_plain_layer(monkeypatch):
    model = small(torch.bfloat16)
    other, pieces = compiled(model), ran(model, monkeypatch)
    x = torch.randn(1, 4, 32)
    angles = model.model.rotary_emb(x, torch.arange(4)[None])
    layers = other.model.layers[0], model.model.layers[0]
    found, expected = (
        layer(x.bfloat16(), position_embeddings=angles) for layer in layers
    )
    assert torch.equal(found, expected)
    assert not pieces


def test_in_training_and_in_a_compiler_it_is_the_plain_layer(monkeypatch):
    model = small(attention_dropout=0.5)
    other, pieces = compiled(model), ran(model, monkeypatch)
    layer, plain, x = (
        other.model.layers[0],
        model.model.layers[0],
        torch.randn(1, 4, 32),
    )
    assert torch.equal(
        torch.compile(layer, backend="eager", fullgraph=True)(x), plain(x)
    )
    seeded = []
    for each in (layer.train(), plain.train()):
        torch.manual_seed(0)
        seeded.append(each(x))
    assert torch.equal(*seeded)
    assert not pieces


def test_weights_are_shared_and_a_copy_has_its_own():
    model, ids = small(), tiny.ids(1, 4)
    other = compiled(model)
    copied = deepcopy(other)
    before = other(ids)
    for layer in model.model.layers:
        layer.mlp.down_proj.weight.mul_(-1)
    torch.testing.assert_close(other(ids), model(ids), rtol=0, atol=1e-5)
    torch.testing.assert_close(copied(ids), before, rtol=0, atol=1e-5)
    assert not torch.allclose(other(ids), before)


@pytest.mark.parametrize("make", [fast.int8, fast.int4, fast.packed])
def test_other_matrices_take_the_programs_away(make):
    model, ids = small(), tiny.ids(1, 4)
    other = make(compiled(model, attend=scaled_dot_product_attention))
    assert {type(layer) for layer in other.model.layers} == {LlamaDecoderLayer}
    assert torch.equal(other(ids), make(model)(ids))


def test_a_layer_says_what_a_plain_one_says(monkeypatch):
    layers = compiled(small()).model.layers[0], small().model.layers[0]
    pieces = ran(None, monkeypatch)
    x = torch.randn(1, 3, 32)
    wrong = (
        {"hidden_states": x[..., :5]},
        {"hidden_states": x, "attention_mask": torch.ones(1, 9, dtype=torch.bool)},
        {"hidden_states": x, "position_embeddings": (x, x)},
        {"hidden_states": x, "position_embeddings": 3},
        {"hidden_states": x, "past_key_values": ()},
    )
    for arguments in wrong:
        messages = []
        for layer in layers:
            with pytest.raises(ValueError, match=r"must|takes|needs|two axes") as error:
                layer(**arguments)
            messages.append(str(error.value))
        assert messages[0] == messages[1]
    assert not pieces


# ---- what is refused


def test_a_packed_model():
    with pytest.raises(ValueError, match=said("PackedLinear", "torch.compile")):
        fast.compile_prefill(fast.packed(small()))


def test_layers_of_another_kind():
    other = compiled(small())
    with pytest.raises(
        ValueError, match=said("layers.0", CompiledDecoderLayer.__name__)
    ):
        fast.compile_prefill(other)
    model = small()

    class Own(LlamaDecoderLayer):
        pass

    model.model.layers[1].__class__ = Own
    with pytest.raises(ValueError, match=said("layers.1", "Own", "LlamaDecoderLayers")):
        fast.compile_prefill(model)


def test_kernels_are_not_put_between_the_programs():
    quotes = ("with_kernels", "the model that compile_prefill was given")
    with pytest.raises(ValueError, match=said(*quotes)):
        fast.with_kernels(compiled(small()))


def test_another_device():
    with torch.device("meta"):
        model = small()
    with pytest.raises(ValueError, match=said("meta", "CPUs", "with_kernels(model)")):
        fast.compile_prefill(model)


def test_another_backend_and_no_model():
    with pytest.raises(ValueError, match=said("'eager'", "inductor, aot_eager")):
        fast.compile_prefill(small(), backend="eager")
    with pytest.raises(ValueError, match=said("companion.LlamaForCausalLM")):
        fast.compile_prefill(None)


def test_a_model_whose_dtype_changed_after_it_was_compiled():
    other = compiled(small())
    other(tiny.ids(1, 3))
    other.to(torch.bfloat16)
    layer = other.model.layers[0]
    # hidden states of the old dtype, as nothing else reaches the programs
    with pytest.raises(ValueError, match=said("torch.bfloat16", "compile_prefill")):
        layer(torch.randn(1, 3, 32))


def test_kernels_do_not_replace_a_norm_that_does_more():
    model = small()
    norm = model.model.layers[1].post_attention_layernorm
    norm.register_forward_hook(lambda module, given, out: out * 2)
    with pytest.raises(ValueError, match=said("layers.1.post_attention_layernorm")):
        fast.with_kernels(model)
