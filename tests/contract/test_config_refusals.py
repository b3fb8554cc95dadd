import pytest
import tiny
from refusal import said

from companion import LlamaConfig


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model_type", "mistral"),
        ("model_type", "llama4"),
        ("hidden_act", "gelu"),
        ("sliding_window", 4096),
        ("use_sliding_window", True),
        ("pretraining_tp", 2),
        ("num_local_experts", 8),
        ("quantization_config", {"bits": 4}),
        ("is_encoder_decoder", True),
        ("add_cross_attention", True),
        ("partial_rotary_factor", 0.5),
    ],
)
def test_option_that_is_not_computed(name, value):
    with pytest.raises(ValueError, match=said(f"{name} = {value!r}", "computes only")):
        LlamaConfig.from_hf(tiny.hf_dict(tiny.config(), **{name: value}))


@pytest.mark.parametrize("kind", ["llama3", "linear", "dynamic", "yarn", "longrope"])
@pytest.mark.parametrize("place", ["rope_scaling", "rope_parameters"])
@pytest.mark.parametrize("key", ["rope_type", "type"])
def test_scaled_rope(kind, place, key):
    scaling = {key: kind, "factor": 8.0}
    with pytest.raises(ValueError, match=said(f"rope_type = {kind!r}", "'default'")):
        LlamaConfig.from_hf(tiny.hf_dict(tiny.config(), **{place: scaling}))


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
