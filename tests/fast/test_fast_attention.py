"""Every fast form of attention by one body: against torch in float64, and the plain form's error."""

import importlib
import math
from types import SimpleNamespace

import pytest
import tiny
import torch
import torch.nn.functional as F
from attention_cases import (
    AXES,
    KINDS,
    LONGER_THAN_A_BLOCK,
    SHAPES,
    assert_right,
    exact,
    masks,
    tensors,
)
from torch.utils._python_dispatch import TorchDispatchMode

from companion import (
    LlamaForCausalLM,
    attention_weights,
    causal_mask,
    fast,
    generate,
    scaled_dot_product_attention,
)

DTYPES = (torch.float64, torch.float32, torch.bfloat16)
# "triton" runs on a GPU or in Triton's interpreter only: tests/fast/kernels has the same of it
HERE = [name for name in fast.attention if name != "triton"]
FORMS = {
    "plain": (fast.attention["plain"], {}),
    "tiled": (fast.attention["tiled"], {}),
    "tiled 3 2": (fast.attention["tiled"], {"q_block": 3, "kv_block": 2}),
    "tiled 4 7": (fast.attention["tiled"], {"q_block": 4, "kv_block": 7}),
    "blocks": (fast.attention["blocks"], {}),
    "blocks 4": (fast.attention["blocks"], {"q_block": 4}),
    "sdpa": (fast.attention["sdpa"], {}),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_equals_torch(form, shape, kind, device):
    for dtype in DTYPES:
        query, key, value = tensors(shape, dtype, device)
        options = masks(query, key)
        if kind in options:
            assert_right(form, query, key, value, **options[kind])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", HERE)
def test_longer_than_a_block(name, kind, device):
    for dtype in DTYPES:
        query, key, value = tensors(LONGER_THAN_A_BLOCK, dtype, device)
        form = fast.attention[name], {}
        assert_right(form, query, key, value, **masks(query, key)[kind])


@pytest.mark.parametrize("scale", [0.0, 0.3, -2.0])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_scale(form, scale, device):
    query, key, value = tensors(SHAPES["square"], torch.float64, device)
    causal = causal_mask(11, device=device)
    assert_right(form, query, key, value, scale=scale, attn_mask=causal)
    if form[0] is not fast.sdpa or scale > 0:  # which sdpa refuses: torch gives NaN
        assert_right(form, query, key, value, scale=scale, is_causal=True)


NO_SDPA = {name: form for name, form in FORMS.items() if name != "sdpa"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", NO_SDPA.values(), ids=NO_SDPA)
def test_values_of_another_width(form, kind, device):
    query, key, value = tensors(SHAPES["square"], torch.float64, device, value_dim=5)
    assert_right(form, query, key, value, **masks(query, key)[kind])


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("axes", AXES.values(), ids=AXES)
def test_leading_axes_broadcast(form, axes, device):
    if form[0] is fast.sdpa and len(axes[0]) > 4:
        pytest.skip("sdpa refuses five axes")
    query, key, value = (torch.randn(s, device=device).double() for s in axes)
    mask = torch.rand(5, 7, device=device) < 0.7
    for options in ({}, {"is_causal": True}, {"attn_mask": mask}):
        output = form[0](query, key, value, **options, **form[1])
        torch.testing.assert_close(
            output, F.scaled_dot_product_attention(query, key, value, **options)
        )


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_gqa_with_three_axes(form, device):
    query, key, value = (x[0] for x in tensors((1, 6, 2, 5, 7), torch.float64, device))
    expected = exact(query[None], key[None], value[None])[0]
    output = form[0](query, key, value, enable_gqa=True, **form[1])
    torch.testing.assert_close(output, expected)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_strides_do_not_matter(form):
    query, key, value = tensors(SHAPES["square"], torch.float64)
    strided = [x.mT.contiguous().mT for x in (query, key, value)]
    split = [
        x.transpose(1, 2).contiguous().transpose(1, 2) for x in (query, key, value)
    ]
    expected = exact(query, key, value, is_causal=True)
    for given_ in (strided, split):
        output = form[0](*given_, is_causal=True, enable_gqa=True, **form[1])
        torch.testing.assert_close(output, expected)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_large_scores_do_not_overflow(form):
    query, key, value = tensors(SHAPES["square"], torch.float32)
    assert_right(form, 300 * query, 300 * key, value, is_causal=True)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_later_keys_have_no_influence(form):
    query, key, value = tensors(SHAPES["square"], torch.float64)
    attend, options = form
    options = {"is_causal": True, "enable_gqa": True, **options}
    expected = attend(query, key, value, **options)
    key[..., 6:, :], value[..., 6:, :] = 1e3, 1e6
    output = attend(query, key, value, **options)
    assert torch.equal(output[..., :6, :], expected[..., :6, :])
    assert not torch.allclose(output[..., 6:, :], expected[..., 6:, :])


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_inputs_are_left_as_they_are(form):
    inputs = tensors(SHAPES["square"], torch.float32)
    mask = torch.rand(11, 11) < 0.5
    copies = [x.clone() for x in (*inputs, mask)]
    form[0](*inputs, attn_mask=mask, enable_gqa=True, **form[1])
    form[0](*inputs, is_causal=True, enable_gqa=True, **form[1])
    assert all(map(torch.equal, (*inputs, mask), copies))


@pytest.mark.parametrize("kind", ["none", "is_causal", "bool", "float with -inf"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_gradients_equal_torch(form, kind):
    inputs = [x.requires_grad_() for x in tensors(SHAPES["square"], torch.float64)]
    options = masks(*inputs[:2])[kind]
    output = form[0](*inputs, enable_gqa=True, **options, **form[1])
    weights = torch.randn_like(output)
    ours = torch.autograd.grad((output * weights).sum(), inputs)
    theirs = torch.autograd.grad((exact(*inputs, **options) * weights).sum(), inputs)
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their)


# ---- what each does not do


class Largest(TorchDispatchMode):
    """Watches torch, and keeps the number of elements of the largest tensor made."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and not func.is_view:
            self.elements = max(self.elements, made.numel())
        return made


def largest(attend, length, **options):
    inputs = tensors((1, 2, 1, length, length), torch.float32)
    with Largest() as watch:
        attend(*inputs, is_causal=True, enable_gqa=True, **options)
    return watch.elements


def test_tiled_takes_memory_linear_in_the_length():
    sizes = {"q_block": 16, "kv_block": 16}
    assert largest(fast.tiled, 512, **sizes) == 2 * 512 * 8  # the output
    assert largest(fast.tiled, 64, **sizes) == 2 * 64 * 8
    assert largest(scaled_dot_product_attention, 512) == 2 * 512 * 512


def test_blocks_hold_the_scores_of_one_block():
    assert largest(fast.blocks, 512, q_block=16) == 2 * 16 * 512


class Products(TorchDispatchMode):
    """Counts the multiplications of each matrix product that torch is asked for."""

    def __init__(self):
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if func in (torch.ops.aten.bmm.default, torch.ops.aten.mm.default):
            self.flops += made.numel() * args[0].shape[-1]
        return made


@pytest.mark.parametrize(
    ("attend", "sizes"),
    [(fast.tiled, {"q_block": 8, "kv_block": 8}), (fast.blocks, {"q_block": 8})],
)
def test_keys_of_the_future_are_not_read(attend, sizes):
    inputs, counts = tensors((1, 2, 2, 64, 64), torch.float32), []
    for is_causal in (False, True):
        with Products() as count:
            attend(*inputs, is_causal=is_causal, **sizes)
        counts.append(count.flops)
    full, causal = counts
    assert full == 2 * 2 * 64 * 64 * 8
    assert causal == full * 9 // 16  # 1 + 2 + ... + 8 of 64 tiles


def test_blocks_do_not_read_keys_that_a_mask_hides():
    inputs, places = tensors((1, 2, 2, 64, 64), torch.float32), torch.arange(64)
    window = causal_mask(64) & (places > places[:, None] - 8)
    with Products() as count:
        fast.blocks(*inputs, attn_mask=window, q_block=8)
    assert count.flops == 2 * 2 * 8 * 8 * (8 + 7 * 15)


def test_keys_are_not_repeated():
    query, key, value = tensors((1, 8, 1, 1, 300), torch.float32)
    for attend in (fast.tiled, fast.blocks):
        with Largest() as watch:
            attend(query, key, value, enable_gqa=True)
        assert (
            watch.elements <= 8 * 300
        )  # the scores, where a repeated key has 8 · 300 · 8


def test_sdpa_stays_on_the_fused_kernel():
    class Fused(TorchDispatchMode):
        fused = False

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.fused |= "flash" in func.name()
            return func(*args, **(kwargs or {}))

    query, key, value = tensors((2, 4, 2, 6, 6), torch.float32)
    alone = [x[0, 0] for x in (query, key, value)]
    strided = [x.mT.contiguous().mT for x in (query, key, value)]
    mask = torch.ones(4, 6, 6, dtype=torch.bool)
    for inputs, options in (
        ((query, key, value), {"enable_gqa": True}),
        ((query, key, value), {"enable_gqa": True, "is_causal": True}),
        ((query, key, value), {"enable_gqa": True, "attn_mask": mask}),
        ((query, key[:1], value), {"enable_gqa": True}),
        (strided, {"enable_gqa": True}),
        (alone, {"is_causal": True}),
    ):
        with Fused() as watch:
            fast.sdpa(*inputs, **options)
        assert watch.fused


# ---- sdpa on a GPU, by a stand-in for torch's kernels there


def torch_on_a_gpu(query, key, value, attn_mask=None, **options):
    """torch's attention, with what it was seen to do on an H200 (torch 2.11)."""
    if not query.numel():
        return None
    if attn_mask is None:
        return F.scaled_dot_product_attention(query, key, value, **options)
    assert attn_mask.shape[-1] == key.shape[-2], "last dimension must be contiguous"
    assert attn_mask.stride(-1) == 1, "last dimension must be contiguous"
    empty = attn_mask == (False if attn_mask.dtype == torch.bool else -math.inf)
    if attn_mask.dtype != torch.bool:
        assert attn_mask.dtype == query.dtype, "the mask is misread"
        base_2 = attn_mask.to(torch.promote_types(query.dtype, torch.float32)) / 0.6931
        attn_mask = attn_mask.masked_fill(base_2.isinf(), -math.inf)
    output = F.scaled_dot_product_attention(query, key, value, attn_mask, **options)
    return output.masked_fill(empty.all(dim=-1, keepdim=True), math.nan)


@pytest.fixture
def sdpa_on_a_gpu(monkeypatch):
    """What `fast.sdpa` computes of tensors that are on a GPU, here on the CPU."""
    sdpa = importlib.import_module("companion.fast.sdpa")
    stand_in = SimpleNamespace(scaled_dot_product_attention=torch_on_a_gpu)

    def attend(query, key, value, attn_mask=None, **options):
        if attn_mask is not None:
            attn_mask = sdpa.four_axes(sdpa.as_wide(attn_mask, query))
        monkeypatch.setattr(sdpa, "F", stand_in)
        return sdpa.on_a_gpu(query, key, value, attn_mask, **options)

    return attend, {}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_sdpa_on_a_gpu_gives_what_it_gives_on_a_cpu(shape, kind, sdpa_on_a_gpu):
    for dtype in (*DTYPES, torch.float16):
        query, key, value = tensors(shape, dtype)
        options = masks(query, key)
        if kind in options:
            assert_right(sdpa_on_a_gpu, query, key, value, **options[kind])


@pytest.mark.parametrize("dtype", [torch.bool, torch.float32], ids=str)
def test_sdpa_and_a_mask_of_one_column(dtype, sdpa_on_a_gpu, device):
    query, key, value = tensors(SHAPES["more queries than keys"], torch.float32, device)
    mask = (torch.randn(9, 1, device=device) * 2).to(dtype)
    mask[3:6] = False
    form = (fast.sdpa, {}) if device == "cuda" else sdpa_on_a_gpu
    assert_right(form, query, key, value, attn_mask=mask)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_sdpa_takes_a_float32_mask_of_its_lowest_number(dtype, sdpa_on_a_gpu, device):
    """It hides a key where another is allowed, and none where all have it but for -inf."""
    query, key, value = tensors((1, 2, 2, 3, 5), dtype, device)
    lowest = torch.finfo(torch.float32).min
    mask = torch.full((3, 5), lowest, device=device)
    mask[1, :2], mask[2, :2] = 0, -math.inf
    attend = fast.sdpa if device == "cuda" else sdpa_on_a_gpu[0]
    output = attend(query, key, value, attn_mask=mask)
    assert output.isfinite().all()
    expected = attend(query[:, :, 1:2], key[:, :, :2], value[:, :, :2])
    torch.testing.assert_close(output[:, :, 1:2], expected, atol=2e-2, rtol=2e-2)
    # in float16 the scores beside its lowest number still count
    expected = attend(query[:, :, 2:], key[:, :, 2:], value[:, :, 2:])
    if dtype == torch.bfloat16:
        expected = value[:, :, 2:].float().mean(dim=2, keepdim=True).to(dtype)
        mean = value.float().mean(dim=2).to(dtype)
        torch.testing.assert_close(output[:, :, 0], mean, atol=2e-2, rtol=2e-2)
    torch.testing.assert_close(output[:, :, 2:], expected, atol=2e-2, rtol=2e-2)


# ---- in a model


def through(model, attend):
    """The same weights with another attention."""
    other = LlamaForCausalLM(model.config, attend)
    other.load_state_dict(model.state_dict(), assign=True)
    return other.eval()


@pytest.mark.parametrize("name", HERE)
def test_model_writes_the_same_tokens(name):
    model, ids = tiny.model(torch.float64, num_hidden_layers=3), tiny.ids(2, 9)
    mask = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1, 1], [1] * 9])
    other = through(model, fast.attention[name])
    for options in ({}, {"attention_mask": mask}):
        expected = generate(model, ids, 20, **options)
        assert torch.equal(generate(other, ids, 20, **options), expected)


@pytest.mark.parametrize("name", ["tiled", "blocks", "sdpa"])
def test_smollm2_writes_the_same_tokens(name, smollm2):
    model, ids, expected = smollm2
    other = through(model, fast.attention[name])
    assert torch.equal(generate(other, ids, 8), expected)


@pytest.fixture(scope="module")
def smollm2(bundled):
    model, tokenizer = bundled
    ids = torch.tensor([tokenizer.encode("The keys and values of earlier tokens")])
    return model, ids, generate(model, ids, 8)


# ---- mistakes that keep every shape


def forgets_to_rescale(query, key, value, is_causal=False, **options):
    """An online softmax whose sums are not brought to the new maximum."""
    weights = attention_weights(query, key, is_causal=is_causal)
    early = weights.clone()
    early[..., : weights.shape[-1] // 2] *= math.e
    return early / early.sum(-1, keepdim=True) @ value


def tiled_groups(query, key, value, enable_gqa=False, **options):
    """Key/value heads as 0 1 0 1 instead of 0 0 1 1."""
    group = query.shape[-3] // key.shape[-3]
    key, value = key.repeat(1, group, 1, 1), value.repeat(1, group, 1, 1)
    return scaled_dot_product_attention(query, key, value, **options)


def not_scaled(query, key, value, **options):
    return scaled_dot_product_attention(query, key, value, **{**options, "scale": 1.0})


def one_too_far(query, key, value, is_causal=False, attn_mask=None, **options):
    """A causal diagonal that lets the next key in."""
    if is_causal:
        shape = query.shape[-2], key.shape[-2]
        attn_mask = torch.ones(shape, dtype=torch.bool).tril(1)
    return scaled_dot_product_attention(query, key, value, attn_mask, **options)


def lower_right(query, key, value, is_causal=False, attn_mask=None, **options):
    """`is_causal` aligned with the last key instead of the first."""
    if is_causal:
        attn_mask = causal_mask(query.shape[-2], key.shape[-2])
    return scaled_dot_product_attention(query, key, value, attn_mask, **options)


FAULTS = {
    "forgets to rescale": (forgets_to_rescale, "group 1", "is_causal"),
    "GQA heads tiled": (tiled_groups, "square", "none"),
    "no scale": (not_scaled, "square", "none"),
    "one key too far": (one_too_far, "square", "is_causal"),
    "lower right": (lower_right, "behind a cache", "is_causal"),
}


@pytest.mark.parametrize(("fault", "shape", "kind"), FAULTS.values(), ids=FAULTS)
def test_fault_shows(fault, shape, kind):
    shape = {**SHAPES, "group 1": (1, 2, 2, 11, 11)}[shape]
    query, key, value = tensors(shape, torch.bfloat16)
    with pytest.raises(AssertionError):
        assert_right((fault, {}), query, key, value, **masks(query, key)[kind])
