from dataclasses import FrozenInstanceError

import pytest
import tiny
import tiny_files

from companion import LlamaConfig


def test_sizes_that_follow_from_others():
    config = LlamaConfig(hidden_size=48, num_attention_heads=4)
    assert (config.num_key_value_heads, config.head_dim) == (4, 12)
    grouped = LlamaConfig(hidden_size=48, num_attention_heads=4, num_key_value_heads=2)
    assert (grouped.num_key_value_heads, grouped.head_dim) == (2, 12)


def test_defaults_are_those_of_llama():
    config = LlamaConfig()
    assert (config.hidden_size, config.num_hidden_layers, config.head_dim) == (
        4096,
        32,
        128,
    )
    assert (config.rms_norm_eps, config.rope_theta) == (1e-6, 10000.0)
    assert not any((config.attention_bias, config.mlp_bias, config.tie_word_embeddings))


def test_sizes_given_are_kept():
    config = LlamaConfig(
        hidden_size=50, num_attention_heads=4, num_key_value_heads=2, head_dim=8
    )
    assert (config.num_key_value_heads, config.head_dim) == (2, 8)


def test_is_frozen_and_comparable():
    config = tiny.config()
    assert config == tiny.config()
    assert len({config, tiny.config()}) == 1
    with pytest.raises(FrozenInstanceError):
        config.hidden_size = 1  # type: ignore[misc]


def test_from_hf_reads_back_every_field():
    config = tiny.config(
        rope_theta=5e5,
        rms_norm_eps=1e-5,
        attention_bias=True,
        mlp_bias=True,
        tie_word_embeddings=True,
    )
    assert LlamaConfig.from_hf(tiny_files.hf_dict(config)) == config


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_theta": 1e5},
        {"rope_parameters": {"rope_theta": 1e5, "rope_type": "default"}},
        {"rope_theta": 1e5, "rope_scaling": None},
        {"rope_theta": 1e5, "rope_scaling": {"type": "default"}},
        {"rope_theta": 1.0, "rope_parameters": {"rope_theta": 1e5}},
    ],
    ids=str,
)
def test_from_hf_finds_rope_theta(rope):
    assert LlamaConfig.from_hf(rope).rope_theta == 1e5


def test_from_hf_passes_over_what_changes_nothing():
    harmless = {
        "architectures": ["LlamaForCausalLM"],
        "bos_token_id": 1,
        "torch_dtype": "bfloat16",
        "use_cache": True,
    }
    assert LlamaConfig.from_hf(harmless) == LlamaConfig()


def test_from_hf_takes_null_for_the_default():
    empty = {
        "head_dim": None,
        "num_key_value_heads": None,
        "pretraining_tp": None,
        "rope_parameters": None,
    }
    assert LlamaConfig.from_hf(empty) == LlamaConfig()


def test_from_hf_takes_options_set_to_what_is_computed_here():
    same = {
        "model_type": "llama",
        "hidden_act": "silu",
        "pretraining_tp": 1,
        "partial_rotary_factor": 1.0,
    }
    assert LlamaConfig.from_hf(same) == LlamaConfig()
