"""What torch.compile makes of our functions computes the same, without a break in the graph."""

import shutil

import pytest
import tiny
import torch

from companion import (
    FrequencyFactors,
    KVCache,
    LlamaDecoderLayer,
    causal_mask,
    scaled_dot_product_attention,
)

# g++ compiles what is generated for the CPU. Without it, or with torch in a folder whose
# name has a space (which its build command splits), the graph is run as it was traced.
USABLE = shutil.which("g++") and " " not in torch.__file__
GENERATED = "inductor" if USABLE else "aot_eager"
TRACED = "aot_eager"


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()


def compiled(function, backend=TRACED):
    return torch.compile(function, fullgraph=True, backend=backend)


OPTIONS = {
    "plain": {},
    "causal": {"is_causal": True},
    "bool mask": {"attn_mask": causal_mask(5)},
    "row with nothing allowed": {
        "attn_mask": causal_mask(5) & (torch.arange(5) != 2)[:, None]
    },
    "float mask": {"attn_mask": torch.linspace(-1, 1, 25).view(5, 5), "scale": 0.3},
}


def assert_compiles(options, backend, device):
    query = torch.randn(2, 4, 5, 8, device=device)
    key, value = (torch.randn(2, 2, 5, 8, device=device) for _ in range(2))
    options = {
        name: x.to(device) if isinstance(x, torch.Tensor) else x
        for name, x in options.items()
    }
    output = compiled(scaled_dot_product_attention, backend)(
        query, key, value, enable_gqa=True, **options
    )
    expected = scaled_dot_product_attention(
        query, key, value, enable_gqa=True, **options
    )
    torch.testing.assert_close(output, expected, atol=1e-6, rtol=1e-5)


def test_factors_of_rope_traced():
    frequencies = FrequencyFactors((1.0, 2.0, 4.0, 32.0)).frequencies
    positions = torch.arange(3)
    assert torch.equal(
        compiled(frequencies)(8, 1e4, positions), frequencies(8, 1e4, positions)
    )


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_attention_traced(options, device):
    assert_compiles(options, TRACED, device)


def test_attention_generated(device):
    assert_compiles(OPTIONS["row with nothing allowed"], GENERATED, device)


def test_layer_generated(device):
    layer = LlamaDecoderLayer(tiny.config(), 0).to(device).requires_grad_(False)
    x = torch.randn(2, 6, 16, device=device)
    torch.testing.assert_close(
        compiled(layer, GENERATED)(x), layer(x), atol=1e-6, rtol=1e-5
    )


def test_layer_with_a_cache(device):
    layer = LlamaDecoderLayer(tiny.config(), 0).to(device).requires_grad_(False)
    x = torch.randn(2, 6, 16, device=device)
    cache = KVCache(tiny.config(), 2, 6, device=device)
    run = compiled(layer)
    outputs = []
    for chunk in x.split([4, 1, 1], dim=1):
        outputs.append(run(chunk, past_key_values=cache))
    torch.testing.assert_close(
        torch.cat(outputs, dim=1), layer(x), atol=1e-6, rtol=1e-5
    )


@pytest.mark.parametrize("padded", [False, True])
def test_model(device, padded):
    model, ids = tiny.model(std=0.2).to(device), tiny.ids(2, 6).to(device)
    mask = (torch.arange(6) >= torch.tensor([[0], [2]])).long().to(device)
    arguments = (ids, mask) if padded else (ids,)
    torch.testing.assert_close(
        compiled(model)(*arguments), model(*arguments), atol=1e-5, rtol=1e-5
    )
