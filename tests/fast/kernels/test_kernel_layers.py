"""A Llama on kernels: the tokens and logits of the plain one, which is left as it was."""

import pytest
import tiny
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from companion import KVCache, LlamaDecoderLayer, LlamaRMSNorm, fast, generate
from companion.fast import kernels
from companion.fast.kernels.layers import (
    KernelAttention,
    KernelDecoderLayer,
    KernelMLP,
    KernelRMSNorm,
    has_kernels,
    with_kernels_if_possible,
)
from companion.generate import decode, generate_stream, prefill

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
VARIANTS = {
    "grouped": {},
    "tied": {"tie_word_embeddings": True},
    "biases": {"attention_bias": True, "mlp_bias": True},
    "three of one": {"num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 6},
}


def plain(device, dtype=torch.float32, **changes):
    return tiny.model(dtype, std=0.2, **changes).to(device)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_same_tokens_and_logits(changes, device):
    model = plain(device, **changes)
    other = fast.with_kernels(model)
    ids = tiny.ids(2, 7).to(device)
    torch.testing.assert_close(other(ids), model(ids), rtol=0, atol=1e-5)
    assert torch.equal(generate(other, ids, 5), generate(model, ids, 5))


@pytest.mark.parametrize("dtype", DTYPES[1:])
def test_narrow_logits_are_as_near_to_float32_as_the_plain_ones(dtype, device):
    model = plain(device)
    narrow = plain(device, dtype)
    narrow.load_state_dict(model.state_dict())
    model.load_state_dict(narrow.state_dict())  # the same, rounded, numbers
    ids = tiny.ids(2, 7).to(device)
    exact = model(ids)
    error = (fast.with_kernels(narrow)(ids).float() - exact).abs().max()
    assert error <= 2 * (narrow(ids).float() - exact).abs().max()


def test_left_padding(device):
    model = plain(device)
    other, ids = fast.with_kernels(model), tiny.ids(2, 6).to(device)
    mask = torch.ones_like(ids)
    mask[0, :3] = 0
    options = {"attention_mask": mask}
    assert torch.equal(
        generate(other, ids, 5, **options), generate(model, ids, 5, **options)
    )


def test_several_tokens_behind_a_cache(device):
    model = plain(device)
    other, ids = fast.with_kernels(model), tiny.ids(1, 9).to(device)
    expected = model(ids)
    cache = KVCache(model.config, 1, 9, device=device)
    parts = [
        other(part, past_key_values=cache) for part in ids.split([4, 3, 1, 1], dim=1)
    ]
    torch.testing.assert_close(torch.cat(parts, dim=1), expected, rtol=0, atol=1e-5)


def test_a_cache_needs_no_mask_tensor(device, monkeypatch):
    """The kernel is told how many tokens came before."""
    seen = []

    def attend(*tensors, **options):
        seen.append(options)
        return kernels.attention(*tensors, **options)

    other = fast.with_kernels(plain(device), attend)
    cache = KVCache(other.config, 1, 9, device=device)
    for part in tiny.ids(1, 6).to(device).split([4, 2], dim=1):
        other(part, past_key_values=cache)
    assert all("attn_mask" not in options for options in seen)
    assert [options["past"] for options in seen] == [0, 0, 4, 4]


def test_the_decode_step(device):
    """On a GPU one CUDA graph, here the same step by launches."""
    model = plain(device)
    other, ids = fast.with_kernels(model), tiny.ids(2, 4).to(device)
    mask = torch.ones_like(ids)
    mask[1, :2] = 0
    options = {"attention_mask": mask}
    expected = generate(model, ids, 6, **options)
    step = fast.compile_decode(other)
    assert torch.equal(generate(other, ids, 6, **options, decode=step), expected)
    assert torch.equal(generate(other, ids, 6, **options, decode=step), expected)


def test_the_compiled_step_gives_the_logits_of_decode(device):
    other = fast.with_kernels(plain(device))
    ids, mask = tiny.ids(1, 5).to(device), torch.ones(1, 5, dtype=torch.long).to(device)
    step, logits = fast.compile_decode(other), []
    for each in (step, decode):
        cache = KVCache(other.config, 1, 9, device=device)
        with torch.inference_mode():
            prefill(other, ids[:, :4], mask[:, :4], cache)
            logits.append(each(other, ids[:, 4], mask, cache))
    torch.testing.assert_close(*logits, rtol=0, atol=1e-5)


class Operators(TorchDispatchMode):
    """The names of torch's operators that run."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.name().split("::")[1].split(".")[0])
        return func(*args, **(kwargs or {}))


def test_nothing_is_left_to_torch_but_products_and_the_last_addition(device):
    model = fast.with_kernels(plain(device))
    layer, x = model.model.layers[0], torch.randn(1, 5, 16, device=device)
    angles = model.model.rotary_emb(x, torch.arange(5, device=device)[None])
    with torch.inference_mode(), Operators() as operators:
        layer(x, position_embeddings=angles)
    computed = {"mm", "addmm", "bmm", "add", "mul", "pow", "mean", "rsqrt", "silu"}
    computed |= {"_softmax", "neg", "cat", "_to_copy", "masked_fill", "linear"}
    names = [name for name in operators.names if name in computed]
    products = [name for name in names if name in ("mm", "addmm", "bmm", "linear")]
    assert len(products) == 7
    assert [name for name in names if name not in products] == ["add"]


def test_weights_are_shared_and_the_model_is_left_alone(device):
    model = plain(device)
    names = list(model.state_dict())
    other = fast.with_kernels(model)
    assert list(other.state_dict()) == names
    assert all(
        a.data_ptr() == b.data_ptr()
        for a, b in zip(model.parameters(), other.parameters(), strict=True)
    )
    layer = other.model.layers[0]
    assert [type(x) for x in (layer, layer.self_attn, layer.mlp, other.model.norm)] == [
        KernelDecoderLayer,
        KernelAttention,
        KernelMLP,
        KernelRMSNorm,
    ]
    assert type(model.model.layers[0]) is LlamaDecoderLayer
    assert type(model.model.norm) is LlamaRMSNorm
    assert has_kernels(other)
    assert not has_kernels(model)


def test_possible_means_a_dtype_that_kernels_take(device):
    wide = plain(device, torch.float64)
    assert with_kernels_if_possible(wide) is wide
    assert has_kernels(with_kernels_if_possible(plain(device)))


def test_refusals(device):
    model = plain(device)
    with pytest.raises(ValueError, match="has kernels already"):
        fast.with_kernels(fast.with_kernels(model))
    with pytest.raises(ValueError, match=r"torch\.float64.*as it is"):
        fast.with_kernels(plain(device, torch.float64))
    with pytest.raises(ValueError, match="Int8Linear"):
        fast.with_kernels(fast.int8(model))


def test_streams_on(device):
    """A stream's tokens arrive one by one, from the recorded step too."""
    other = fast.with_kernels(plain(device))
    ids = tiny.ids(1, 4).to(device)
    stream = generate_stream(other, ids, 4, decode=fast.compile_decode(other))
    tokens = torch.stack(list(stream), dim=1)
    assert torch.equal(torch.cat([ids, tokens], dim=1), generate(other, ids, 4))
