"""The config.json files that people bring, read as Hugging Face reads them."""

import pytest
import torch
import transformers
from transformers import AutoConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from companion import LlamaConfig
from companion.rope_scaling import RopeScaling

LLAMA = {
    "_name_or_path": "/fsx/models",
    "architectures": ["LlamaForCausalLM"],
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "initializer_range": 0.02,
    "model_type": "llama",
    "rms_norm_eps": 1e-05,
    "torch_dtype": "float16",
    "transformers_version": "4.31.0",
    "use_cache": True,
}
LLAMA_3 = {
    **LLAMA,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 128000,
    "eos_token_id": [128001, 128008, 128009],
    "max_position_embeddings": 131072,
    "mlp_bias": False,
    "num_key_value_heads": 8,
    "pretraining_tp": 1,
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
    "vocab_size": 128256,
}
MISTRAL = {
    **LLAMA,
    "architectures": ["MistralForCausalLM"],
    "attention_dropout": 0.0,
    "max_position_embeddings": 32768,
    "model_type": "mistral",
    "num_key_value_heads": 8,
    "rope_theta": 1000000.0,
    "sliding_window": None,
}


def sizes(hidden, heads, layers, inner, **others):
    return {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "intermediate_size": inner,
        **others,
    }


def llama3(factor):
    return {
        "factor": factor,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    }


YARN = {"type": "yarn", "factor": 16.0, "original_max_position_embeddings": 4096}
SEVEN = sizes(4096, 32, 32, 11008)
EIGHT = sizes(4096, 32, 32, 14336)

# name: (what its config.json says, tokens that a text may have)
KNOWN = {
    "Llama 7B": (
        {
            **LLAMA,
            **SEVEN,
            "rms_norm_eps": 1e-06,
            "pad_token_id": 0,
            "max_position_embeddings": 2048,
            "max_sequence_length": 2048,
            "tie_word_embeddings": False,
            "vocab_size": 32000,
        },
        2048,
    ),
    "Llama 2 70B": (
        {
            **LLAMA,
            **sizes(8192, 64, 80, 28672, num_key_value_heads=8),
            "max_position_embeddings": 4096,
            "pretraining_tp": 1,
            "rope_scaling": None,
            "vocab_size": 32000,
        },
        4096,
    ),
    "Llama 2 13B, sliced": (
        {
            **LLAMA,
            **sizes(5120, 40, 40, 13824, num_key_value_heads=40),
            "max_position_embeddings": 4096,
            "pretraining_tp": 2,
        },
        4096,
    ),
    "CodeLlama 7B": (
        {**LLAMA, **SEVEN, "max_position_embeddings": 16384, "rope_theta": 1000000},
        16384,
    ),
    "Llama 3 8B": (
        {**LLAMA_3, **EIGHT, "max_position_embeddings": 8192, "rope_scaling": None},
        8192,
    ),
    "Llama 3.1 8B": ({**LLAMA_3, **EIGHT, "rope_scaling": llama3(8.0)}, 131072),
    "Llama 3.2 1B": (
        {
            **LLAMA_3,
            **sizes(2048, 32, 16, 8192, head_dim=64),
            "rope_scaling": llama3(32.0),
            "tie_word_embeddings": True,
        },
        131072,
    ),
    "Llama 3.3 70B": (
        {
            **LLAMA_3,
            **sizes(8192, 64, 80, 28672, head_dim=128),
            "rope_scaling": llama3(8.0),
        },
        131072,
    ),
    "Llama 3.1 8B, saved by transformers 5": (
        {
            **{key: x for key, x in LLAMA_3.items() if key != "rope_theta"},
            **EIGHT,
            "dtype": "bfloat16",
            "rope_parameters": {**llama3(8.0), "rope_theta": 500000.0},
        },
        131072,
    ),
    "Minitron 4B": (
        {
            **LLAMA_3,
            **sizes(3072, 32, 32, 9216, head_dim=128),
            "rope_scaling": llama3(8.0),
        },
        131072,
    ),
    "TinyLlama 1.1B": (
        {
            **LLAMA,
            **sizes(2048, 32, 22, 5632, num_key_value_heads=4),
            "attention_bias": False,
            "max_position_embeddings": 2048,
            "rope_theta": 10000.0,
        },
        2048,
    ),
    "SmolLM2 135M": (
        {
            **LLAMA,
            **sizes(576, 9, 30, 1536, num_key_value_heads=3),
            "is_llama_config": True,
            "max_position_embeddings": 8192,
            "rope_interleaved": False,
            "rope_theta": 100000,
            "tie_word_embeddings": True,
            "transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16"}},
            "vocab_size": 49152,
        },
        8192,
    ),
    "Mistral 7B v0.2": ({**MISTRAL, **EIGHT}, 32768),
    "Mistral 7B v0.3": ({**MISTRAL, **EIGHT, "vocab_size": 32768}, 32768),
    "Mistral Nemo": (
        {
            **MISTRAL,
            **sizes(5120, 32, 40, 14336, head_dim=128),
            "max_position_embeddings": 1024000,
            "vocab_size": 131072,
        },
        1024000,
    ),
    "Yi 34B": (
        {
            **LLAMA,
            **sizes(7168, 56, 60, 20480, num_key_value_heads=8),
            "max_position_embeddings": 4096,
            "rope_theta": 5000000.0,
            "vocab_size": 64000,
        },
        4096,
    ),
    "Vicuna 7B v1.5 16k": (
        {
            **LLAMA,
            **SEVEN,
            "max_position_embeddings": 4096,
            "max_sequence_length": 16384,
            "rope_scaling": {"factor": 4.0, "type": "linear"},
        },
        16384,
    ),
    "OpenLLaMA 3B": (
        {
            **LLAMA,
            **sizes(3200, 32, 26, 8640),
            "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-06,
        },
        2048,
    ),
    "DeepSeek LLM 7B": (
        {
            **LLAMA,
            **sizes(4096, 32, 30, 11008, num_key_value_heads=32),
            "max_position_embeddings": 4096,
            "rms_norm_eps": 1e-06,
            "vocab_size": 102400,
        },
        4096,
    ),
    "Falcon3 7B": (
        {
            **LLAMA,
            **sizes(3072, 12, 28, 23040, head_dim=256, num_key_value_heads=4),
            "max_position_embeddings": 32768,
            "rope_theta": 1000042,
            "vocab_size": 131072,
        },
        32768,
    ),
    "Granite 3B Code": (
        {
            **LLAMA,
            **sizes(2560, 32, 32, 10240, num_key_value_heads=32),
            "attention_bias": True,
            "attention_dropout": 0.1,
            "max_position_embeddings": 2048,
            "mlp_bias": True,
            "rope_theta": 10000000,
            "tie_word_embeddings": True,
            "vocab_size": 49152,
        },
        2048,
    ),
    "Yarn Llama 2 7B 64k": (
        {
            **LLAMA,
            **SEVEN,
            "auto_map": {
                "AutoModelForCausalLM": "modeling_llama_yarn.LlamaForCausalLM"
            },
            "max_position_embeddings": 65536,
            "rope_scaling": {**YARN, "finetuned": True},
        },
        65536,
    ),
}


@pytest.mark.parametrize(("said", "tokens"), KNOWN.values(), ids=KNOWN)
def test_config_of_a_known_model(said, tokens):
    ours = LlamaConfig.from_hf(said)
    theirs = AutoConfig.for_model(**said)
    assert LlamaConfig.from_hf(theirs.to_dict()) == ours
    for name in ("hidden_size", "head_dim", "num_key_value_heads", "rms_norm_eps"):
        assert getattr(ours, name) == getattr(theirs, name)
    scaling, rope = ours.rope_scaling or RopeScaling(), LlamaRotaryEmbedding(theirs)
    torch.testing.assert_close(
        scaling.frequencies(ours.head_dim, ours.rope_theta, torch.arange(2)),
        rope.inv_freq,
    )
    assert scaling.magnitude == pytest.approx(rope.attention_scaling)
    assert ours.max_positions == tokens


def test_mistral_with_a_window_once_its_message_is_followed():
    """Mistral 7B v0.1, and what was made of it."""
    window = {**MISTRAL, **EIGHT, "sliding_window": 4096, "rope_theta": 10000.0}
    with pytest.raises(ValueError, match="set it to null, and max_position_embeddings"):
        LlamaConfig.from_hf(window)
    done = {**window, "sliding_window": None, "max_position_embeddings": 4096}
    assert LlamaConfig.from_hf(done).max_positions == 4096


def test_what_a_config_leaves_out_is_as_in_hugging_face():
    assert LlamaConfig.from_hf({}) == LlamaConfig.from_hf(
        transformers.LlamaConfig().to_dict()
    )
    theirs = transformers.MistralConfig(sliding_window=None).to_dict()
    ours = {"model_type": "mistral", "sliding_window": None}
    assert LlamaConfig.from_hf(ours) == LlamaConfig.from_hf(theirs)
