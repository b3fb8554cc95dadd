import math
from dataclasses import FrozenInstanceError

import pytest
import tiny
import tiny_files

from companion import DynamicNTKScaling, LinearScaling, LlamaConfig, YarnScaling


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
        {"rope_theta": 100000},
        {"rope_theta": 1e5, "rope_scaling": {}},
        {"rope_theta": 1e5, "rope_scaling": {"rope_type": "default", "factor": 8.0}},
        {"rope_theta": 1e5, "rope_scaling": {"type": None, "rope_type": "default"}},
    ],
    ids=str,
)
def test_from_hf_finds_rope_theta(rope):
    assert LlamaConfig.from_hf(rope).rope_theta == 1e5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("architectures", ["LlamaForCausalLM"]),
        ("auto_map", {"AutoModelForCausalLM": "modeling_flash_llama.LlamaForCausalLM"}),
        ("bos_token_id", 1),
        ("dtype", "bfloat16"),
        ("torch_dtype", "float16"),
        ("initializer_range", 0.02),
        ("max_sequence_length", 16384),
        ("max_window_layers", 28),
        (
            "pretraining_tp",
            2,
        ),  # slices of the same product, and gone from transformers 5
        ("unsloth_version", "2024.9"),
        ("use_cache", True),
        ("_attn_implementation", "flash_attention_2"),
        ("invented_tomorrow", 1),
    ],
)
def test_from_hf_passes_over_what_changes_nothing(name, value):
    assert LlamaConfig.from_hf({name: value}) == LlamaConfig()


def test_from_hf_takes_whole_numbers_with_a_point():
    sizes = {
        "vocab_size": 32000.0,
        "hidden_size": 4096.0,
        "num_key_value_heads": 8.0,
        "head_dim": 128.0,
        "max_position_embeddings": 8192.0,
    }
    read = LlamaConfig.from_hf(sizes)
    assert read == LlamaConfig(num_key_value_heads=8, max_position_embeddings=8192)
    assert type(read.vocab_size) is type(read.head_dim) is int
    assert type(LlamaConfig.from_hf({"rope_theta": 1000000}).rope_theta) is float
    rope = {"type": "yarn", "factor": 4, "original_max_position_embeddings": 8192.0}
    for place in ({"rope_scaling": rope}, {"rope_parameters": rope}):
        assert LlamaConfig.from_hf(place).rope_scaling == YarnScaling(4.0, 8192)


def scaling(rope, **config):
    return LlamaConfig.from_hf({"rope_scaling": rope, **config}).rope_scaling


def test_from_hf_takes_2048_positions_where_none_are_said():
    dynamic = {"rope_type": "dynamic", "factor": 2.0}
    assert scaling(dynamic) == DynamicNTKScaling(2.0, 2048)


def test_from_hf_keeps_an_original_length_that_is_longer():
    lengths = {"max_position_embeddings": 32, "original_max_position_embeddings": 64}
    assert scaling({"type": "linear", "factor": 4.0}, **lengths) == LinearScaling(
        4.0, 64
    )
    assert scaling({"type": "yarn"}, **lengths) == YarnScaling(0.5, 64)


@pytest.mark.parametrize(
    ("given", "magnitude"),
    [
        ({"attention_factor": 1.5, "mscale": 2.0, "mscale_all_dim": 1.0}, 1.5),
        ({"mscale_all_dim": 2.0}, 0.1 * math.log(4) + 1),
        ({"mscale": 2.0}, 0.1 * math.log(4) + 1),
        (
            {"mscale": 2.0, "mscale_all_dim": 1.0},
            (0.2 * math.log(4) + 1) / (0.1 * math.log(4) + 1),
        ),
    ],
    ids=str,
)
def test_from_hf_reads_yarns_magnitude(given, magnitude):
    yarn = scaling({"type": "yarn", "factor": 4.0, **given})
    assert yarn.magnitude == pytest.approx(magnitude)


def test_from_hf_takes_null_for_the_default():
    empty = {
        "head_dim": None,
        "num_key_value_heads": None,
        "pretraining_tp": None,
        "rope_parameters": None,
    }
    assert LlamaConfig.from_hf(empty) == LlamaConfig()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model_type", "llama"),
        ("hidden_act", "silu"),
        ("hidden_act", "swish"),  # another name of the same function
        ("is_causal", True),
        ("pretraining_tp", 1),
        ("partial_rotary_factor", 1),
        ("rotary_pct", 1.0),
        ("layer_types", ["full_attention"] * 32),
        ("no_rope_layers", [1] * 32),
        ("mlp_bias", False),
        ("qk_norm", False),
        ("num_experts", 0),
        ("logit_scale", 1.0),
        ("pruned_heads", {}),
        ("position_embedding_type", "rope"),
        ("sliding_window", None),
        ("attn_logit_softcapping", None),
        ("quantization_config", None),
    ],
)
def test_from_hf_takes_options_set_to_what_is_computed_here(name, value):
    assert LlamaConfig.from_hf({name: value}) == LlamaConfig()


LLAMA_3 = {"rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LENGTHS = {
    "plain": (4096, None, 4096),
    "linear by hand, as vicuna-7b-v1.5-16k": (
        4096,
        {"type": "linear", "factor": 4.0},
        16384,
    ),
    "linear, with the length it is stretched from": (
        16384,
        {"type": "linear", "factor": 4.0, "original_max_position_embeddings": 4096},
        16384,
    ),
    "linear that shortens": (4096, {"type": "linear", "factor": 0.5}, 4096),
    "dynamic by hand": (4096, {"type": "dynamic", "factor": 2.0}, 8192),
    "YaRN by hand": (32768, {"type": "yarn", "factor": 4.0}, 131072),
    "YaRN by hand, with the length": (
        32768,
        {
            "rope_type": "yarn",
            "factor": 4.0,
            "original_max_position_embeddings": 32768,
        },
        131072,
    ),
    "YaRN by hand, from a length below": (
        40960,
        {
            "rope_type": "yarn",
            "factor": 4.0,
            "original_max_position_embeddings": 32768,
        },
        131072,
    ),
    "YaRN stretched already, as Yarn-Llama-2-7b-64k": (
        65536,
        {
            "type": "yarn",
            "factor": 16.0,
            "original_max_position_embeddings": 4096,
            "finetuned": True,
        },
        65536,
    ),
    "YaRN, whose config says more": (
        131072,
        {"type": "yarn", "factor": 2.0, "original_max_position_embeddings": 4096},
        131072,
    ),
    "Llama 3.1": (
        131072,
        {**LLAMA_3, "factor": 8.0, "original_max_position_embeddings": 8192},
        131072,
    ),
    "Llama 3.2": (
        131072,
        {**LLAMA_3, "factor": 32.0, "original_max_position_embeddings": 8192},
        131072,
    ),
    "Llama 3's by hand": (
        8192,
        {**LLAMA_3, "factor": 8.0, "original_max_position_embeddings": 8192},
        65536,
    ),
    "Llama 3's by hand, without the length": (
        8192,
        {**LLAMA_3, "factor": 8.0},
        65536,
    ),
}


@pytest.mark.parametrize(("longest", "rope", "tokens"), LENGTHS.values(), ids=LENGTHS)
def test_how_long_a_text_may_be(longest, rope, tokens):
    said = {"max_position_embeddings": longest, "rope_scaling": rope}
    assert LlamaConfig.from_hf(said).max_positions == tokens
