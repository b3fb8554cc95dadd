"""Hugging Face's Llama with our layers compiles, as it does with theirs."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, StaticCache

from companion.hugging_face import LlamaDecoderLayer


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()


def test_decoding_step_with_a_static_cache_in_one_graph():
    config = LlamaConfig(
        vocab_size=97,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.2,
    )
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    ids = torch.randint(97, (2, 9))
    expected = model(ids).logits
    for index, old in enumerate(model.model.layers):
        model.model.layers[index] = LlamaDecoderLayer(config, index).eval()
        model.model.layers[index].load_state_dict(old.state_dict())
    cache = StaticCache(config=config, max_cache_len=16)
    with torch.no_grad():
        prefilled = model(ids[:, :8], past_key_values=cache).logits
        step = torch.compile(model.forward, fullgraph=True, backend="aot_eager")
        decoded = step(ids[:, 8:], past_key_values=cache).logits
    logits = torch.cat([prefilled, decoded], dim=1)
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)
