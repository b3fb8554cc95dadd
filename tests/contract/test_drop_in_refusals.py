import subprocess
import sys

import pytest
import tiny
import torch
import transformers
from refusal import said
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

import companion
from companion import KVCache, scaled_dot_product_attention
from companion.hugging_face import (
    LlamaAttention,
    LlamaDecoderLayer,
    as_attention_interface,
    attention_interface,
    from_hugging_face,
)
from companion.hugging_face.attention import attention_and_weights

X = torch.zeros(2, 3, 16)
SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
SIZES |= {"num_attention_heads": 4, "num_key_value_heads": 2}


@pytest.fixture
def layer():
    return LlamaDecoderLayer(transformers.LlamaConfig(**SIZES), 0)


@pytest.fixture
def angles():
    return companion.LlamaRotaryEmbedding(tiny.config())(X, torch.arange(3)[None])


# ---- the layer


@pytest.mark.parametrize(
    ("option", "quotes"),
    [
        ({"attention_maks": torch.ones(3, 3)}, ("attention_maks", "a tensor (3, 3)")),
        ({"is_causal": False}, ("is_causal = False", "attention_mask")),
        ({"softcap": 50.0}, ("softcap = 50.0", "own layer")),
        ({"sliding_window": 4}, ("sliding_window = 4",)),
        ({"cache": "paged"}, ("cache = 'paged'",)),
    ],
    ids=str,
)
def test_option_that_is_not_computed(layer, angles, option, quotes):
    cache = KVCache(tiny.config(), 2, 3)
    for refused in (
        lambda: layer(X, None, None, cache, position_embeddings=angles, **option),
        lambda: layer.self_attn(X, angles, past_key_values=cache, **option),
    ):
        with pytest.raises(ValueError, match=said(*quotes, "does not compute it")):
            refused()
    assert cache.keys.eq(0).all()


@pytest.mark.parametrize("old", [(torch.zeros(1),), []], ids=["tuple", "list"])
def test_old_caches(layer, old):
    with pytest.raises(ValueError, match=said(type(old).__name__, "DynamicCache")):
        layer(X, past_key_values=old)


@pytest.mark.parametrize("kind", [LlamaAttention, companion.LlamaAttention])
def test_attention_by_itself_refuses_what_the_layer_does(kind, angles):
    attention, (cos, sin) = kind(transformers.LlamaConfig(**SIZES), 0), angles
    for arguments, quotes in (
        ((X, None), ("position_embeddings", "NoneType", "(cos, sin)")),
        ((X[0], angles), ("(3, 16)", "hidden_states[None]")),
        ((X[..., :8], angles), ("(2, 3, 8)", "16")),
        ((X, (cos[:, :2], sin[:, :2])), ("(1, 2)", "(2, 3)")),
        ((X, (cos, sin[:, :2])), ("cos", "(1, 3, 4)", "(1, 2, 4)")),
        ((X, (cos[..., :2], sin[..., :2])), ("(1, 3, 2)", "head_dim 4")),
    ):
        with pytest.raises(ValueError, match=said(*quotes)):
            attention(*arguments)


def test_options_that_change_nothing_pass(layer, angles):
    x, given = torch.randn(2, 3, 16), {"position_embeddings": angles}
    options = {"cache_position": torch.arange(3), "num_items_in_batch": 6}
    options |= {"output_hidden_states": True, "softcap": None, "is_causal": True}
    assert torch.equal(layer(x, use_cache=True, **given, **options), layer(x, **given))


def test_the_plain_layer_takes_no_option():
    layer = companion.LlamaDecoderLayer(tiny.config(), 0)
    for name in ("use_cache", "cache_position", "attention_maks"):
        with pytest.raises(TypeError, match=name):
            layer(X, **{name: None})


@pytest.mark.parametrize("shape", [(1, 3), (2, 3)])
def test_mask_of_real_tokens(layer, angles, shape):
    quotes = said(shape, "(3, kv_len)", "goes to the model", "causal_mask")
    for mask in (torch.ones(shape, dtype=torch.bool), torch.zeros(shape)):
        with pytest.raises(ValueError, match=quotes):
            layer(X, mask, position_embeddings=angles)


def test_mask_of_flex_attention(layer, angles):
    from torch.nn.attention.flex_attention import create_block_mask

    mask = create_block_mask(
        lambda batch, head, query, key: key <= query, 2, None, 3, 3, device="cpu"
    )
    with pytest.raises(ValueError, match=said("BlockMask", "'sdpa' or 'eager'")):
        layer(X, mask, position_embeddings=angles)


@pytest.mark.parametrize(
    "made", [companion.LlamaDecoderLayer, companion.LlamaAttention, LlamaAttention]
)
def test_config_of_another_kind(made):
    with pytest.raises(ValueError, match=said("config is a dict", "from_hf")):
        made({"hidden_size": 16}, 0)
    with pytest.raises(ValueError, match=said("hidden_act = 'gelu'", "'silu'")):
        made(transformers.LlamaConfig(hidden_act="gelu"), 0)


# ---- the attention function


def call(interface=attention_interface, **options):
    query, key = torch.zeros(1, 4, 3, 8), torch.zeros(1, 2, 6, 8)
    mask = options.pop("mask", None)
    return interface(torch.nn.Module(), query, key, key, mask, **options)


@pytest.mark.parametrize(
    ("option", "quotes"),
    [
        ({"softcap": 50.0}, ("softcap = 50.0",)),
        ({"s_aux": torch.zeros(4)}, ("s_aux = a tensor (4,)",)),
        ({"position_bias": torch.zeros(1, 4, 3, 6)}, ("position_bias = a tensor",)),
        ({"cache": "paged"}, ("cache = 'paged'",)),
    ],
    ids=str,
)
def test_attention_option_that_is_not_computed(option, quotes):
    with pytest.raises(
        ValueError, match=said(*quotes, "does not compute it", "attn_implementation")
    ):
        call(**option)


def test_sliding_window_without_its_mask():
    quotes = said("sliding_window = 5", "6 keys", "sdpa_mask", "AttentionMaskInterface")
    with pytest.raises(ValueError, match=quotes):
        call(sliding_window=5)
    call(sliding_window=6)
    call(sliding_window=5, mask=torch.ones(3, 6, dtype=torch.bool))


def test_attention_weights_that_are_not_returned():
    with pytest.raises(
        ValueError,
        match=said(
            "returns no weights",
            "AttentionInterface.register(name, companion.hugging_face.attention_interface)",
        ),
    ):
        call(
            as_attention_interface(scaled_dot_product_attention), output_attentions=True
        )
    assert call(output_attentions=True)[1].shape == (1, 4, 3, 6)


def test_dropout_that_is_no_probability():
    x = torch.zeros(1, 2, 3, 4)
    for wrong in (-0.1, 1.5):
        with pytest.raises(ValueError, match=str(wrong)):
            attention_and_weights(x, x, x, dropout_p=wrong)


REFUSED = {
    "GptOssForCausalLM": ({"num_local_experts": 2, "head_dim": 8}, "s_aux"),
    "Gemma2ForCausalLM": ({"head_dim": 8}, "softcap = 50.0"),
    "T5EncoderModel": (
        {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 1, "num_heads": 4},
        "position_bias",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_their_model_that_needs_more(name):
    AttentionInterface.register("companion", attention_interface)
    AttentionMaskInterface.register("companion", sdpa_mask)
    options, quote = REFUSED[name]
    sizes = {"vocab_size": 97, "hidden_size": 32, "intermediate_size": 48}
    sizes |= {"num_hidden_layers": 1, "num_attention_heads": 4}
    sizes |= {"num_key_value_heads": 2, "pad_token_id": 0}
    if name.startswith("T5"):
        sizes = {"vocab_size": 97}
    made = getattr(transformers, name)
    model = made(made.config_class(**sizes, **options)).eval()
    model.set_attn_implementation("companion")
    with pytest.raises(ValueError, match=said(quote, "does not compute it")):
        model(torch.ones(1, 5, dtype=torch.long))


def test_model_without_a_head():
    base = transformers.LlamaModel(transformers.LlamaConfig(vocab_size=9, **SIZES))
    with pytest.raises(ValueError, match=said("a LlamaModel", "lm_head")):
        from_hugging_face(base)


def test_head_that_is_not_tied_where_the_config_says_so():
    config = transformers.LlamaConfig(vocab_size=9, tie_word_embeddings=True, **SIZES)
    model = transformers.LlamaForCausalLM(config)
    model.lm_head.weight = torch.nn.Parameter(torch.randn(9, 16))
    with pytest.raises(ValueError, match=said("tie_word_embeddings", "tie_weights()")):
        from_hugging_face(model)
    model.tie_weights()
    from_hugging_face(model)


def test_the_layer_without_transformers():
    script = (
        "import sys; sys.modules['transformers'] = None\n"
        "from companion.hugging_face import attention_interface\n"
        "from companion.hugging_face import LlamaDecoderLayer"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "ImportError: companion.hugging_face.LlamaDecoderLayer" in run.stderr
    assert "pip install 'transformers>=5.23'" in run.stderr
