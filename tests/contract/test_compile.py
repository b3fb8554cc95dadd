"""What torch.compile makes of our functions computes the same, without a break in the graph."""

import shutil

import pytest
import tiny
import torch

from companion import KVCache, LlamaDecoderLayer, causal_mask, scaled_dot_product_attention

BACKEND = "inductor" if shutil.which("g++") or torch.cuda.is_available() else "aot_eager"


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()


def compiled(function):
    return torch.compile(function, fullgraph=True, backend=BACKEND)


@pytest.mark.parametrize(
    "options",
    [{}, {"is_causal": True}, {"attn_mask": causal_mask(5)}, {"attn_mask": torch.randn(5, 5), "scale": 0.3}],
    ids=["plain", "causal", "bool mask", "float mask"],
)
def test_attention(options, device):
    query = torch.randn(2, 4, 5, 8, device=device)
    key, value = (torch.randn(2, 2, 5, 8, device=device) for _ in range(2))
    options = {name: x.to(device) if isinstance(x, torch.Tensor) else x for name, x in options.items()}
    output = compiled(scaled_dot_product_attention)(query, key, value, enable_gqa=True, **options)
    expected = scaled_dot_product_attention(query, key, value, enable_gqa=True, **options)
    torch.testing.assert_close(output, expected, atol=1e-6, rtol=1e-5)


def test_row_with_nothing_allowed(device):
    query, key, value = (torch.randn(2, 3, 8, device=device) for _ in range(3))
    attn_mask = torch.tensor([[True, False, True], [False] * 3, [True] * 3], device=device)
    output = compiled(scaled_dot_product_attention)(query, key, value, attn_mask=attn_mask)
    assert output[:, 1].eq(0).all()
    torch.testing.assert_close(output, scaled_dot_product_attention(query, key, value, attn_mask=attn_mask))


def test_layer(device):
    layer = LlamaDecoderLayer(tiny.config(), 0).to(device).requires_grad_(False)
    x = torch.randn(2, 6, 16, device=device)
    torch.testing.assert_close(compiled(layer)(x), layer(x), atol=1e-6, rtol=1e-5)


def test_layer_with_a_cache(device):
    layer = LlamaDecoderLayer(tiny.config(), 0).to(device).requires_grad_(False)
    x = torch.randn(2, 6, 16, device=device)
    cache = KVCache(tiny.config(), 2, 6, device=device)
    run = compiled(layer)
    outputs = []
    for chunk in x.split([5, 1], dim=1):
        outputs.append(run(chunk, past_key_values=cache))
        cache.advance(chunk.shape[1])
    torch.testing.assert_close(torch.cat(outputs, dim=1), layer(x), atol=1e-6, rtol=1e-5)


def test_model(device):
    model, ids = tiny.model(std=0.2).to(device), tiny.ids(2, 6).to(device)
    torch.testing.assert_close(compiled(model)(ids), model(ids), atol=1e-5, rtol=1e-5)
