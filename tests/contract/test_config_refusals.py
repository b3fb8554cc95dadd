import pytest
import tiny
import tiny_files
from refusal import said

from companion import (
    DynamicNTKScaling,
    FrequencyFactors,
    LinearScaling,
    Llama3Scaling,
    LlamaConfig,
    LlamaDecoderLayer,
    LlamaMLP,
    LlamaModel,
    LlamaRotaryEmbedding,
    YarnScaling,
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model_type", "llama4"),
        ("model_type", "qwen2"),
        ("model_type", "LLaMA"),
        ("hidden_act", "gelu"),
        ("hidden_activation", "gelu_pytorch_tanh"),
        ("is_causal", False),
        ("use_bidirectional_attention", True),
        ("sliding_window", 4096),
        ("sliding_window", 0),
        ("use_sliding_window", True),
        ("attention_chunk_size", 8192),
        ("attn_logit_softcapping", 50.0),
        ("final_logit_softcapping", 30.0),
        ("query_pre_attn_scalar", 256),
        ("attention_multiplier", 0.0078125),
        ("embedding_multiplier", 12.0),
        ("residual_multiplier", 0.22),
        ("logits_scaling", 8.0),
        ("logit_scale", 0.0625),
        ("scale_emb", 12),
        ("scale_depth", 1.4),
        ("qk_norm", True),
        ("use_qk_norm", True),
        ("qk_layernorm", True),
        ("qkv_bias", True),
        ("clip_qkv", 8.0),
        ("alibi", True),
        ("position_embedding_type", "alibi"),
        ("use_parallel_residual", True),
        ("rope_interleave", True),
        ("num_local_experts", 8),
        ("num_experts", 64),
        ("n_routed_experts", 160),
        ("quantization_config", {"bits": 4}),
        ("compression_config", {"format": "pack-quantized"}),
        ("quantization", {"group_size": 64, "bits": 4}),
        ("is_encoder_decoder", True),
        ("add_cross_attention", True),
        ("per_layer_config", {"0": {"intermediate_size": 16}}),
        ("pruned_heads", {"0": [1]}),
        ("partial_rotary_factor", 0.5),
        ("rotary_pct", 0.25),
        ("layer_types", ["full_attention", "sliding_attention"]),
        ("layer_types", "sliding_attention"),
        ("no_rope_layers", [1, 0]),
    ],
)
def test_option_that_is_not_computed(name, value):
    with pytest.raises(ValueError, match=said(f"{name} = {value!r}", "computes only")):
        LlamaConfig.from_hf(tiny_files.hf_dict(tiny.config(), **{name: value}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_act", "swish"),
        ("hidden_activation", "silu"),
        ("is_causal", True),
        ("position_embedding_type", "rotary"),
        ("partial_rotary_factor", 1.0),
        ("rotary_pct", 1.0),
        ("rotary_emb_fraction", 1.0),
        ("embedding_multiplier", 1.0),
        ("residual_multiplier", 1.0),
        ("lm_head_multiplier", 1.0),
        ("logits_scaling", 1.0),
        ("logit_scale", 1.0),
        ("scale_emb", 1),
        ("qk_norm", False),
        ("clip_qkv", None),
        ("attn_logit_softcapping", 0.0),
        ("num_experts", 0),
        ("pruned_heads", {}),
        ("quantization_config", None),
        ("layer_types", ["full_attention"] * 2),
        ("no_rope_layers", [1, 1]),
    ],
)
def test_option_that_leaves_a_llama_as_it_is(name, value):
    given = tiny_files.hf_dict(tiny.config(), **{name: value})
    assert LlamaConfig.from_hf(given) == tiny.config()


def test_what_is_computed_goes_by_the_name_that_a_llama_has():
    with pytest.raises(ValueError, match=said("computes only 'silu'")):
        LlamaConfig.from_hf({"hidden_act": "gelu"})


@pytest.mark.parametrize("name", ["attention_bias", "hidden_size", "vocab_size"])
def test_nothing_is_a_head_dim_alone(name):
    assert LlamaConfig(head_dim=None).head_dim == LlamaConfig().head_dim
    with pytest.raises(ValueError, match=said(f"{name} is None")):
        LlamaConfig(**{name: None})


@pytest.mark.parametrize("name", ["attention_bias", "mlp_bias"])
def test_biases_of_a_mistral(name):
    """Hugging Face's Mistral has none, and passes over those of a file."""
    options = {"model_type": "mistral", "sliding_window": None, name: True}
    with pytest.raises(ValueError, match=said(f"{name} = True", "without it")):
        LlamaConfig.from_hf(tiny_files.hf_dict(tiny.config(), **options))


@pytest.mark.parametrize("name", ["GemmaForCausalLM", "MistralForCausalLM"])
def test_architecture_without_a_model_type(name):
    """Gemma's tensors have the names of a Llama's."""
    with pytest.raises(ValueError, match=said(name, "no model_type", "'llama'")):
        LlamaConfig.from_hf({"architectures": [name]})
    assert LlamaConfig.from_hf({"architectures": ["LlamaForCausalLM"]}) == LlamaConfig()


@pytest.mark.parametrize("name", ["layer_norm_eps", "layer_norm_epsilon", "norm_eps"])
def test_eps_of_another_norm(name):
    with pytest.raises(ValueError, match=said(f"{name} = 1e-05", "no rms_norm_eps")):
        LlamaConfig.from_hf({name: 1e-5})
    both = LlamaConfig.from_hf({name: 1e-5, "rms_norm_eps": 1e-6})
    assert both == LlamaConfig(rms_norm_eps=1e-6)


def test_remedy_for_a_window():
    window = {"model_type": "mistral", "sliding_window": 4096}
    with pytest.raises(
        ValueError, match=said("set it to null, and max_position_embeddings")
    ):
        LlamaConfig.from_hf(window)
    done = {**window, "sliding_window": None, "max_position_embeddings": 4096}
    assert LlamaConfig.from_hf(done).max_positions == 4096


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rms_norm_eps", "1e-05"),
        ("rope_theta", "10000.0"),
        ("vocab_size", 32000.5),
        ("vocab_size", float("inf")),
        ("num_hidden_layers", True),
        ("attention_bias", 1),
        ("tie_word_embeddings", "true"),
    ],
)
def test_value_of_another_type(name, value):
    with pytest.raises(ValueError, match=said(f"{name} is {value!r}", "must be")):
        LlamaConfig.from_hf({name: value})


def test_mistral_with_a_window():
    # Hugging Face takes 4096 where the file is silent
    for window in ({"sliding_window": 4096}, {}):
        with pytest.raises(ValueError, match=said("sliding_window = 4096")):
            LlamaConfig.from_hf({"model_type": "mistral", **window})


@pytest.mark.parametrize("kind", ["longrope", "su", "mrope", "proportional", 3])
@pytest.mark.parametrize("place", ["rope_scaling", "rope_parameters"])
@pytest.mark.parametrize("key", ["rope_type", "type"])
def test_unknown_kind_of_rope(kind, place, key):
    scaling = {key: kind, "factor": 8.0}
    with pytest.raises(
        ValueError, match=said(f"rope_type = {kind!r}", "'linear'", "'llama3'")
    ):
        LlamaConfig.from_hf(tiny_files.hf_dict(tiny.config(), **{place: scaling}))


@pytest.mark.parametrize(
    ("rope", "words"),
    [
        ({"rope_type": "linear"}, ("'linear'", "lacks 'factor'")),
        ({"rope_type": "dynamic"}, ("'dynamic'", "lacks 'factor'")),
        ({"rope_type": "llama3", "factor": 8.0}, ("lacks 'low_freq_factor'",)),
        ({"rope_type": "linear", "factor": "2"}, ("factor = '2'", "int or float")),
        ({"rope_type": "linear", "factor": True}, ("factor = True",)),
        ({"rope_type": "linear", "factor": 0.0}, ("factor = 0.0", "greater than 0")),
        ({"rope_type": "linear", "factor": float("nan")}, ("factor = nan",)),
        ({"rope_type": "yarn", "factor": 2.0, "truncate": 1}, ("truncate = 1", "bool")),
        ({"rope_type": "longrope", "short_factor": [1.0]}, ("rope_type = 'longrope'",)),
        ({"type": "mrope", "mrope_section": [1]}, ("rope_type = 'mrope'", "'llama3'")),
        ({"rope_type": "yarn"}, ("'yarn'", "lacks 'factor'")),
        ({"factor": 8.0}, ("factor = 8.0", "no rope_type", "'linear'")),
        ({"low_freq_factor": 1.0}, ("low_freq_factor = 1.0", "no rope_type")),
        (
            {"rope_type": "llama3", "type": "yarn", "factor": 8.0},
            ("rope_type = 'llama3'", "type = 'yarn'", "keep the one"),
        ),
        (
            {"rope_type": "yarn", "type": "llama3", "factor": 8.0},
            ("rope_type = 'yarn'", "type = 'llama3'", "keep the one"),
        ),
        ({"type": "linear", "rope_type": "default"}, ("'default'", "'linear'")),
        ({"rope_type": "default", "mrope_section": [1]}, ("mrope_section", "knows")),
        ({"partial_rotary_factor": 0.5}, ("partial_rotary_factor = 0.5",)),
        ({"full_attention": {"rope_type": "default"}}, ("full_attention", "knows")),
    ],
    ids=str,
)
def test_rope_parameters_that_say_no_scaling(rope, words):
    with pytest.raises(ValueError, match=said(*words)):
        LlamaConfig.from_hf(tiny_files.hf_dict(tiny.config(), rope_parameters=rope))


@pytest.mark.parametrize(
    "config",
    [
        {"original_max_position_embeddings": "x"},
        {"max_position_embeddings": "x"},
        {"max_position_embeddings": 64.5},
    ],
    ids=str,
)
def test_length_that_is_no_number_beside_a_scaling(config):
    with pytest.raises(ValueError, match=r"max_position_embeddings = .* must be int"):
        LlamaConfig.from_hf({"rope_scaling": {"type": "yarn", "factor": 2.0}, **config})


def test_kinds_that_are_lists():
    with pytest.raises(ValueError, match=said("model_type = ['llama']")):
        LlamaConfig.from_hf({"model_type": ["llama"]})
    with pytest.raises(ValueError, match=said("rope_type = ['linear']")):
        LlamaConfig.from_hf({"rope_scaling": {"rope_type": ["linear"], "factor": 2.0}})


@pytest.mark.parametrize("name", ["rope_theta", "rms_norm_eps"])
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_constant_that_is_not_finite(name, value):
    with pytest.raises(ValueError, match=said(f"{name} is {value}", "finite")):
        tiny.config(**{name: value})


@pytest.mark.parametrize("value", ["4", None, True, 0.0, float("inf")])
def test_factor_that_is_no_number(value):
    with pytest.raises(ValueError, match=said(f"factor = {value!r}", "greater than 0")):
        LinearScaling(value)


def test_factors_in_a_list():
    with pytest.raises(ValueError, match=said("tuple", "list")):
        FrequencyFactors([1.0, 2.0])


@pytest.mark.parametrize("value", ["linear", 2, ["linear", 2.0]], ids=str)
def test_rope_parameters_that_are_no_dict(value):
    with pytest.raises(ValueError, match=said("rope_scaling", "must be a dict")):
        LlamaConfig.from_hf({"rope_scaling": value})


def test_ramp_that_runs_backwards():
    with pytest.raises(ValueError, match=said("beta_fast 1.0", "beta_slow 32.0")):
        YarnScaling(4.0, 16, beta_fast=1.0, beta_slow=32.0)
    with pytest.raises(ValueError, match=said("beta_fast 2.0", "beta_slow 2.0")):
        YarnScaling(4.0, 16, beta_fast=2.0, beta_slow=2.0)
    with pytest.raises(
        ValueError, match=said("high_freq_factor 4.0", "low_freq_factor 4.0")
    ):
        Llama3Scaling(8.0, 4.0, 4.0, 16)
    with pytest.raises(
        ValueError, match=said("high_freq_factor 1.0", "low_freq_factor 4.0")
    ):
        Llama3Scaling(8.0, 4.0, 1.0, 16)


def test_factors_that_do_not_fit():
    with pytest.raises(ValueError, match=said("0.0", "greater than 0")):
        FrequencyFactors((1.0, 0.0))
    with pytest.raises(ValueError, match=said("has -1.0")):
        FrequencyFactors((1.0, -1.0, float("inf")))
    with pytest.raises(ValueError, match=said("has inf", "finite")):
        FrequencyFactors((1.0, float("inf")))
    for factors in ((1.0, 2.0, 3.0), (1.0,)):
        quotes = said(f"{len(factors)} factors", "head_dim is 4", "2 pairs")
        with pytest.raises(ValueError, match=quotes):
            tiny.config(rope_scaling=FrequencyFactors(factors))


def test_scaling_that_the_heads_cannot_have():
    with pytest.raises(ValueError, match=said("head_dim above 2")):
        tiny.config(head_dim=2, rope_scaling=DynamicNTKScaling(2.0, 16))
    with pytest.raises(ValueError, match=said("rope_theta above 1", "1.0")):
        tiny.config(rope_theta=1.0, rope_scaling=YarnScaling(2.0, 16))
    assert tiny.config(rope_theta=1.5, rope_scaling=YarnScaling(2.0, 16))


def test_scaling_that_is_a_dict():
    with pytest.raises(ValueError, match=said("rope_scaling is {", "from_hf")):
        tiny.config(rope_scaling={"rope_type": "linear", "factor": 2.0})
    assert tiny.config(rope_scaling=LinearScaling(2.0))


@pytest.mark.parametrize("value", [-0.1, 1.0, "0.1", True])
def test_dropout_that_is_no_probability(value):
    with pytest.raises(ValueError, match=said("attention_dropout", repr(value))):
        tiny.config(attention_dropout=value)


@pytest.mark.parametrize(
    "made",
    [
        lambda config: LlamaDecoderLayer(config, 0),
        LlamaMLP,
        LlamaModel,
        LlamaRotaryEmbedding,
    ],
)
def test_parts_made_of_a_dict(made):
    with pytest.raises(ValueError, match=said("config is a dict", "from_hf")):
        made({"hidden_size": 16})


@pytest.mark.parametrize(
    "name",
    [
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "max_position_embeddings",
        "rms_norm_eps",
        "rope_theta",
    ],
)
@pytest.mark.parametrize("value", [0, -16])
def test_size_that_is_not_positive(name, value):
    with pytest.raises(ValueError, match=said(f"{name} is {value}", "greater than 0")):
        tiny.config(**{"head_dim": 4, name: value})


@pytest.mark.parametrize("value", ["64", [64]])
def test_size_that_is_no_number(value):
    with pytest.raises(ValueError, match=said("vocab_size is", repr(value), "number")):
        LlamaConfig.from_hf({"vocab_size": value})


def test_hidden_size_that_heads_do_not_divide():
    with pytest.raises(
        ValueError, match=said("hidden_size 18", "num_attention_heads 4", "head_dim")
    ):
        tiny.config(hidden_size=18)


def test_key_value_heads_that_do_not_divide():
    with pytest.raises(
        ValueError, match=said("num_attention_heads 4", "num_key_value_heads 3")
    ):
        tiny.config(num_key_value_heads=3)


def test_odd_head_dim():
    with pytest.raises(ValueError, match=said("head_dim is 5", "even")):
        tiny.config(head_dim=5)


def test_what_is_no_dict():
    with pytest.raises(ValueError, match=said("LlamaConfig", "config.to_dict()")):
        LlamaConfig.from_hf(tiny.config())
