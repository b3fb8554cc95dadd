"""Our attention function inside Hugging Face's models, those of other families too."""

import pytest
import torch
import transformers
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from companion.hugging_face.attention import (
    as_attention_interface,
    attention_and_weights,
    attention_interface,
)

SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GQA = {**SIZES, "num_key_value_heads": 2}
WINDOW = {**GQA, "head_dim": 8, "sliding_window": 5}
GPT2 = {
    "vocab_size": 97,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 64,
    "initializer_range": 0.3,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
MODELS = {
    "Llama": ("LlamaForCausalLM", GQA),
    "Mistral, sliding window": ("MistralForCausalLM", WINDOW),
    "Qwen2, biases": ("Qwen2ForCausalLM", GQA),
    "Qwen3, normed heads": ("Qwen3ForCausalLM", {**GQA, "head_dim": 8}),
    "Gemma 2, both": (
        "Gemma2ForCausalLM",
        {**WINDOW, "attn_logit_softcapping": None, "query_pre_attn_scalar": 20},
    ),
    "Gemma 3, both": ("Gemma3ForCausalLM", {**WINDOW, "query_pre_attn_scalar": 20}),
    "GPT-2, learned positions": ("GPT2LMHeadModel", GPT2),
    "BERT, both directions": ("BertModel", SIZES),
}
# their Gemma 2 leaves sdpa out, because of its softcap
PAIRS = [
    (name, theirs)
    for name in MODELS
    for theirs in ("eager", "sdpa")
    if (name, theirs) != ("Gemma 2, both", "sdpa")
]
LEFT = (torch.arange(12) >= torch.tensor([[0], [4], [9]])).long()


def make(name, attention="eager", **options):
    """A random model of that name; `options` go to its config."""
    kind, sizes = MODELS.get(name, (name, GQA))
    config_name = {"Gemma3ForCausalLM": "Gemma3TextConfig"}.get(kind)
    config_class = (
        getattr(transformers, config_name)
        if config_name
        else getattr(transformers, kind).config_class
    )
    model = getattr(transformers, kind)(config_class(**{**sizes, **options}))
    model.set_attn_implementation(attention)
    return model.eval().requires_grad_(False)


@pytest.fixture(autouse=True)
def registered():
    AttentionInterface.register("companion", attention_interface)
    AttentionMaskInterface.register("companion", sdpa_mask)


@pytest.mark.parametrize(("name", "theirs"), PAIRS)
def test_padded_and_not(name, theirs):
    model, ids = make(name, theirs), torch.randint(3, 97, (3, 12))
    expected = model(ids)[0], model(ids, attention_mask=LEFT)[0]
    model.set_attn_implementation("companion")
    plain, padded = model(ids)[0], model(ids, attention_mask=LEFT)[0]
    torch.testing.assert_close(plain, expected[0], atol=5e-5, rtol=0)
    real = LEFT.bool()
    torch.testing.assert_close(padded[real], expected[1][real], atol=5e-5, rtol=0)
    assert not torch.allclose(padded[real], plain[real], atol=1e-3)


CAUSAL = [name for name in MODELS if "BERT" not in name]


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("chunks", [[9, 1, 1, 1], [4, 4, 4]], ids=str)
@pytest.mark.parametrize("padded", [False, True], ids=["no mask", "padded left"])
def test_through_their_cache(name, chunks, padded):
    model, ids = make(name, "companion"), torch.randint(3, 97, (3, 12))
    mask = LEFT if padded else torch.ones_like(LEFT)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    whole = model(ids, attention_mask=mask, position_ids=positions).logits
    cache, outputs, stop = None, [], 0
    for chunk in ids.split(chunks, dim=1):
        start, stop = stop, stop + chunk.shape[1]
        output = model(
            chunk,
            attention_mask=mask[:, :stop] if padded else None,
            position_ids=positions[:, start:stop],
            past_key_values=cache,
            use_cache=True,
        )
        cache = output.past_key_values
        outputs.append(output.logits)
    in_parts = torch.cat(outputs, dim=1)[mask.bool()]
    torch.testing.assert_close(in_parts, whole[mask.bool()], atol=5e-5, rtol=0)


@pytest.mark.parametrize("cache", ["dynamic", "static"])
@pytest.mark.parametrize("name", CAUSAL)
def test_generation(name, cache):
    model, ids = make(name), torch.randint(3, 97, (3, 12))
    options = {"attention_mask": LEFT, "max_new_tokens": 8, "do_sample": False}
    options |= {"cache_implementation": cache, "disable_compile": True}
    options |= {"eos_token_id": None, "pad_token_id": 0}
    expected = model.generate(ids, **options)
    model.set_attn_implementation("companion")
    assert torch.equal(model.generate(ids, **options), expected)


def test_static_cache_without_a_mask():
    model, ids = make("Llama", "companion"), torch.randint(3, 97, (2, 12))
    cache = transformers.StaticCache(config=model.config, max_cache_len=20)
    masks = []
    AttentionInterface.register(
        "companion",
        lambda *given, **options: (
            masks.append(given[4]) or attention_interface(*given, **options)
        ),
    )
    through = model(ids, past_key_values=cache).logits
    assert masks == [None, None]
    torch.testing.assert_close(through, model(ids).logits, atol=5e-5, rtol=0)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_training(dropout):
    model = make("Llama", attention_dropout=dropout).double().train()
    model.requires_grad_(True)
    ids, losses, gradients = torch.randint(3, 97, (2, 12)), [], []
    for attention in ("eager", "companion"):
        model.set_attn_implementation(attention)
        model.zero_grad()
        torch.manual_seed(3)
        losses.append(model(ids, labels=ids).loss)
        losses[-1].backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    torch.testing.assert_close(*losses, atol=1e-6, rtol=0)
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-5)


def test_weights_of_any_function_that_gives_them():
    AttentionInterface.register(
        "with weights", as_attention_interface(attention_and_weights)
    )
    AttentionMaskInterface.register("with weights", sdpa_mask)
    model, ids = make("Qwen3, normed heads"), torch.randint(3, 97, (2, 12))
    expected = model(ids, output_attentions=True).attentions
    model.set_attn_implementation("with weights")
    weights = model(ids, output_attentions=True).attentions
    assert len(weights) == 2
    torch.testing.assert_close(weights, expected, atol=1e-5, rtol=0)


def test_is_causal_false_is_followed():
    model, ids = make("Llama", "sdpa", is_causal=False), torch.randint(3, 97, (2, 12))
    expected = model(ids, is_causal=False).logits
    model.set_attn_implementation("companion")
    both = model(ids, is_causal=False).logits
    torch.testing.assert_close(both, expected, atol=5e-5, rtol=0)
    model.config.is_causal = True
    assert not torch.allclose(model(ids).logits, both, atol=1e-2)
