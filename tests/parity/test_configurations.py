"""Every kind of Llama configuration beside Hugging Face, on texts longer than the original length.

`pytest tests/parity/test_configurations.py -s` also prints the largest difference.
"""

import copy
from itertools import product

import pytest
import torch
from transformers import LlamaConfig as HFConfig
from transformers import LlamaForCausalLM as HFLlama
from transformers import MistralConfig, MistralForCausalLM

from companion import (
    DynamicNTKScaling,
    KVCache,
    LlamaConfig,
    LlamaForCausalLM,
    YarnScaling,
)

TOLERANCE = {"atol": 1e-4, "rtol": 0}
LENGTH, ORIGINAL = 64, 16
ROPES = {
    "default": {},
    "linear": {"factor": 4.0},
    "dynamic": {"factor": 4.0},
    "yarn": {"factor": 4.0, "original_max_position_embeddings": ORIGINAL},
    "yarn, mscale": {
        "factor": 4.0,
        "original_max_position_embeddings": ORIGINAL,
        "beta_fast": 8.0,
        "beta_slow": 0.5,
        "mscale": 1.0,
        "mscale_all_dim": 0.5,
        "truncate": False,
    },
    "yarn, attention_factor": {
        "factor": 4.0,
        "original_max_position_embeddings": ORIGINAL,
        "attention_factor": 1.3,
    },
    "llama3": {
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": ORIGINAL,
    },
}
KV_HEADS = (8, 4, 2, 1)
HEAD_DIMS = (8, 12)
BIASES = (False, True)
TIED = (False, True)
GRID = list(product(ROPES, KV_HEADS, HEAD_DIMS, BIASES, TIED))


def rope_parameters(name, theta=10000.0):
    kind = name.split(",")[0]
    return {"rope_type": kind, "rope_theta": theta, **ROPES[name]}


def options(rope, kv_heads=2, head_dim=8, bias=False, tied=False):
    """Hugging Face's options of one place in the grid."""
    longest = ORIGINAL if rope == "dynamic" else LENGTH
    return {
        "rope_parameters": rope_parameters(rope),
        "max_position_embeddings": longest,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "attention_bias": bias,
        "mlp_bias": bias,
        "tie_word_embeddings": tied,
    }


@pytest.fixture(scope="module")
def worst():
    """The differences seen, whose largest is printed when the module is done."""
    seen = []
    yield seen
    if seen:
        print(f"\n{len(seen)} configurations, largest difference {max(seen):.2g}")


@pytest.mark.parametrize(
    ("rope", "kv_heads", "head_dim", "bias", "tied"),
    GRID,
    ids=[
        f"{rope}-8:{kv}-head_dim {dim}{'-bias' * bias}{'-tied' * tied}"
        for rope, kv, dim, bias, tied in GRID
    ],
)
def test_logits(hf_llama, as_ours, worst, rope, kv_heads, head_dim, bias, tied):
    theirs = hf_llama(**options(rope, kv_heads, head_dim, bias, tied))
    ids = torch.randint(97, (2, LENGTH))
    logits, expected = as_ours(theirs)(ids), theirs(ids).logits
    torch.testing.assert_close(logits, expected, **TOLERANCE)
    assert logits.std() > 1
    worst.append((logits - expected).abs().max().item())


@pytest.mark.parametrize("rope", [name for name in ROPES if name != "default"])
def test_each_scaling_shows(hf_llama, as_ours, rope):
    theirs = hf_llama(**options(rope))
    plain = theirs.config.to_dict() | {"rope_parameters": {"rope_theta": 10000.0}}
    ours, ids = as_ours(theirs), torch.randint(97, (2, LENGTH))
    unscaled = type(ours)(LlamaConfig.from_hf(plain))
    unscaled.load_state_dict(ours.state_dict())
    assert (unscaled(ids) - ours(ids)).abs().max() > 5e-3


@pytest.mark.parametrize("rope", ROPES)
def test_old_spelling_is_the_new_one(hf_llama, rope):
    new = hf_llama(**options(rope)).config.to_dict()
    scaling = dict(new.pop("rope_parameters"))
    old = {**new, "rope_theta": scaling.pop("rope_theta")}
    old["rope_scaling"] = {"type": scaling.pop("rope_type"), **scaling}
    assert LlamaConfig.from_hf(old) == LlamaConfig.from_hf(
        {**new, "rope_parameters": rope_parameters(rope)}
    )


@pytest.mark.parametrize("chunks", [[24, 24, 16], [60, 1, 1, 1, 1]], ids=str)
def test_dynamic_scaling_through_both_caches(hf_llama, as_ours, chunks):
    # keys keep the frequencies of the length at which they were stored, here as there
    theirs = hf_llama(**options("dynamic"))
    ours, ids = as_ours(theirs), torch.randint(97, (2, LENGTH))
    cache, theirs_cache = KVCache(ours.config, 2, LENGTH), None
    for chunk in ids.split(chunks, dim=1):
        reference = theirs(chunk, past_key_values=theirs_cache, use_cache=True)
        theirs_cache = reference.past_key_values
        torch.testing.assert_close(
            ours(chunk, past_key_values=cache), reference.logits, **TOLERANCE
        )


def test_dynamic_scaling_forgets_a_longer_text(hf_llama, as_ours):
    # Hugging Face keeps the frequencies of the longest text until one fits the original
    # length; here a call depends on its own positions alone
    theirs = hf_llama(**options("dynamic"))
    ours, ids = as_ours(theirs), torch.randint(97, (1, LENGTH))
    fresh = ours(ids[:, :32])
    ours(ids)
    assert torch.equal(ours(ids[:, :32]), fresh)
    torch.testing.assert_close(fresh, theirs(ids[:, :32]).logits, **TOLERANCE)


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
DICTS = {
    "both spellings, the old one counts": {
        "rope_theta": 100.0,
        "rope_scaling": {"type": "linear", "factor": 4.0},
        "rope_parameters": {"rope_type": "default", "rope_theta": 50.0},
    },
    "length beside the parameters counts": {
        "original_max_position_embeddings": 64,
        "rope_theta": 100.0,
        "rope_scaling": YARN,
    },
    "truncate null": {"rope_theta": 100.0, "rope_scaling": {**YARN, "truncate": None}},
    "dynamic, whose original length is max_position_embeddings": {
        "rope_theta": 100.0,
        "rope_scaling": {**YARN, "rope_type": "dynamic"},
    },
    "finetuned": {"rope_theta": 100.0, "rope_scaling": {**YARN, "finetuned": True}},
    "a length with a point": {
        "rope_theta": 100.0,
        "rope_scaling": {**YARN, "original_max_position_embeddings": 16.0},
    },
    "factor as a whole number": {
        "rope_theta": 100,
        "rope_scaling": {"type": "linear", "factor": 4},
    },
    "linear, whose original length changes nothing": {
        "rope_theta": 100.0,
        "rope_scaling": {**YARN, "rope_type": "linear"},
    },
    "another name of silu": {"hidden_act": "swish"},
    "sliced products": {"pretraining_tp": 2},
    "null keys": {"rope_theta": 100.0, "rope_scaling": {**YARN, "beta_fast": None}},
}


@pytest.mark.parametrize("rope", DICTS.values(), ids=DICTS)
def test_dicts_of_real_files(as_ours, rope):
    sizes = {
        "vocab_size": 97,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": 128,
        "initializer_range": 0.2,
    }
    theirs = HFLlama(HFConfig(**sizes, **copy.deepcopy(rope))).eval()
    theirs.requires_grad_(False)
    ours = LlamaForCausalLM(LlamaConfig.from_hf({**sizes, **rope})).eval()
    ours.load_state_dict(theirs.state_dict())
    ids = torch.randint(97, (1, LENGTH))
    torch.testing.assert_close(ours(ids), theirs(ids).logits, **TOLERANCE)


def test_llama3_long_context(hf_llama, as_ours):
    # the constants of Llama 3.1 and a text far behind its original length
    theirs = hf_llama(
        num_hidden_layers=1,
        max_position_embeddings=131072,
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 500000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    )
    ids = torch.randint(97, (1, 32))
    positions = torch.arange(100_000, 100_032)[None]
    mask = torch.ones(1, 32, dtype=torch.long)
    torch.testing.assert_close(
        as_ours(theirs)(ids, position_ids=positions),
        theirs(ids, position_ids=positions, attention_mask=mask).logits,
        **TOLERANCE,
    )


def test_mistral_without_a_window(as_ours):
    config = MistralConfig(
        vocab_size=97,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=8,
        num_key_value_heads=2,
        sliding_window=None,
        initializer_range=0.2,
    )
    theirs = MistralForCausalLM(config).eval().requires_grad_(False)
    ids = torch.randint(97, (2, LENGTH))
    torch.testing.assert_close(as_ours(theirs)(ids), theirs(ids).logits, **TOLERANCE)


def test_attention_that_is_not_causal(hf_llama):
    """Hugging Face computes it, which moves the logits; here it is refused."""
    causal, other = (hf_llama(is_causal=value) for value in (True, False))
    other.load_state_dict(causal.state_dict())
    ids = torch.randint(97, (1, 16))
    assert (causal(ids).logits - other(ids).logits).abs().max() > 1
    with pytest.raises(ValueError, match="is_causal = False"):
        LlamaConfig.from_hf(other.config.to_dict())
    assert LlamaConfig.from_hf(causal.config.to_dict())


def test_lengths_that_follow():
    dynamic = LlamaConfig.from_hf(
        {
            "max_position_embeddings": 16,
            "rope_scaling": {"type": "dynamic", "factor": 4},
        }
    )
    assert dynamic.rope_scaling == DynamicNTKScaling(4.0, 16)
    assert (dynamic.max_position_embeddings, dynamic.max_positions) == (16, 64)
    yarn = LlamaConfig.from_hf(
        {
            "max_position_embeddings": 64,
            "original_max_position_embeddings": 16,
            "rope_parameters": {"rope_type": "yarn"},
        }
    )
    assert yarn.rope_scaling == YarnScaling(4.0, 16)
    assert yarn.max_positions == 64
