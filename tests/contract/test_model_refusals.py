import re

import pytest
import tiny
import tiny_files
import torch
import transformers
from refusal import said

from companion import (
    KVCache,
    LlamaDecoderLayer,
    generate,
    generate_stream,
    next_token_probabilities,
)
from companion.fast import compile_decode
from companion.hugging_face import from_hugging_face

# ---- the cache


@pytest.mark.parametrize(("batch", "length"), [(0, 5), (1, 0), (-1, 5)])
def test_cache_without_room(batch, length):
    with pytest.raises(
        ValueError,
        match=said(f"batch_size is {batch}", f"max_length {length}", "at least 1"),
    ):
        KVCache(tiny.config(), batch, length)


def test_full_cache():
    cache = KVCache(tiny.config(), 1, 5)
    cache.lengths = [4, 4]
    quotes = said("holds 4", "at most 5", "2 more", "max_length 6")
    with pytest.raises(ValueError, match=quotes):
        tiny.model()(tiny.ids(1, 2), past_key_values=cache)
    with pytest.raises(ValueError, match=quotes):
        cache.update(torch.zeros(1, 2, 2, 4), torch.zeros(1, 2, 2, 4), 0)
    assert cache.length == 4


@pytest.mark.parametrize("length", [5, -1])
def test_crop_to_tokens_that_are_not_there(length):
    cache = KVCache(tiny.config(), 1, 8)
    cache.lengths = [4, 4]
    with pytest.raises(ValueError, match=said("holds 4", f"to {length}", "0 to 4")):
        cache.crop(length)
    assert cache.length == 4


@pytest.mark.parametrize(("held", "length"), [(4, 3), (0, 0)])
def test_resized_without_room(held, length):
    cache = KVCache(tiny.config(), 1, 8)
    cache.lengths = [held, held]
    quotes = said(f"holds {held}", f"max_length is {length}", f"least {max(held, 1)}")
    with pytest.raises(ValueError, match=quotes):
        cache.resized(length)


@pytest.mark.parametrize("wrong", [2.5, 20.0, "2", True, None])
def test_sizes_of_a_cache_that_are_no_integers(wrong):
    with pytest.raises(ValueError, match=said(f"max_length {wrong!r}", "integers")):
        KVCache(tiny.config(), 2, wrong)
    with pytest.raises(ValueError, match=said(f"batch_size is {wrong!r}", "integers")):
        KVCache(tiny.config(), wrong, 20)
    cache = KVCache(tiny.config(), 1, 8)
    cache.lengths = [4, 4]
    for refused, quote in (
        (cache.crop, f"to {wrong!r}"),
        (cache.resized, f"max_length is {wrong!r}"),
    ):
        with pytest.raises(ValueError, match=said(quote, "integer")):
            refused(wrong)
    assert cache.length == 4


def test_mask_of_other_keys_leaves_the_cache_as_it_was():
    layer, x = LlamaDecoderLayer(tiny.config(), 0), torch.randn(1, 2, 16)
    cache = KVCache(tiny.config(), 1, 8)
    layer(x, past_key_values=cache)
    before = cache.keys.clone()
    for mask in (torch.ones(1, 1, 2, 2).bool(), torch.zeros(1, 3, 2, 4)):
        quotes = said(tuple(mask.shape), "(1, 4, 2, 4)", "broadcast")
        with pytest.raises(ValueError, match=quotes):
            layer(x, mask, past_key_values=cache)
    assert cache.lengths == [2, 0]
    assert torch.equal(cache.keys, before)


def test_layers_that_are_ahead():
    cache = KVCache(tiny.config(num_hidden_layers=4), 1, 5)
    cache.lengths = [5, 3, 3, 3]
    with pytest.raises(ValueError, match=said("5 tokens in 1 of its 4 layers and 3")):
        cache.resized(9)


def test_step_that_failed_midway():
    """Its lengths are named by whatever comes next, with a remedy that works."""
    model, ids = tiny.model(), tiny.ids(1, 5)
    expected = model(ids)
    cache = KVCache(model.config, 1, 5)
    model(ids[:, :3], past_key_values=cache)
    hook = model.model.layers[1].register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model(ids[:, 3:], past_key_values=cache)
    hook.remove()
    assert (cache.lengths, cache.length) == ([5, 3], 3)
    quotes = said("holds 5 tokens in 1 of its 2 layers and 3", "crop(3)")
    for refused in (
        lambda: model(ids[:, 3:], past_key_values=cache),
        lambda: generate_stream(model, ids, 1, past_key_values=cache),
        lambda: cache.resized(9),
        lambda: compile_decode(model, "aot_eager")(model, ids[:, 3], ids[:, :4], cache),
    ):
        with pytest.raises(ValueError, match=quotes):
            refused()
    cache.crop(3)
    torch.testing.assert_close(
        model(ids[:, 3:], past_key_values=cache), expected[:, 3:]
    )


@pytest.mark.parametrize(
    "dtype", [torch.int8, torch.bool, torch.complex64, torch.float8_e4m3fn, "bfloat16"]
)
def test_cache_of_no_floats(dtype):
    with pytest.raises(ValueError, match=said(f"dtype is {dtype!r}", "floating point")):
        KVCache(tiny.config(), 1, 8, dtype=dtype)


@pytest.mark.parametrize(
    "shape",
    [
        (2, 2, 3, 4),
        (1, 4, 3, 4),
        (1, 1, 3, 4),
        (1, 2, 3, 8),
        (1, 2, 3, 2),
        (2, 3, 4),
        (1, 2, 3, 4, 1),
    ],
)
@pytest.mark.parametrize("wrong", ["key", "value"])
def test_cache_of_another_shape(shape, wrong):
    good, bad = torch.zeros(1, 2, 3, 4), torch.zeros(shape)
    key, value = (bad, good) if wrong == "key" else (good, bad)
    with pytest.raises(
        ValueError,
        match=said(f"{wrong} is {shape}", "batch 1", "kv_heads 2", "head_dim 4"),
    ):
        KVCache(tiny.config(), 1, 5).update(key, value, 0)


@pytest.mark.parametrize("lengths", [(3, 2), (2, 3)])
def test_key_and_value_of_other_lengths(lengths):
    key, value = (torch.zeros(1, 2, length, 4) for length in lengths)
    with pytest.raises(
        ValueError, match=said(f"key is {(*key.shape,)}", f"value {(*value.shape,)}")
    ):
        KVCache(tiny.config(), 1, 5).update(key, value, 0)


def test_cache_of_another_dtype():
    key = torch.zeros(1, 2, 3, 4)
    with pytest.raises(
        ValueError, match=said("torch.float32", "torch.bfloat16", "dtype")
    ):
        KVCache(tiny.config(), 1, 5, dtype=torch.bfloat16).update(key, key, 0)


def test_cache_on_another_device():
    key = torch.zeros(1, 2, 3, 4)
    with pytest.raises(ValueError, match=said("on cpu", "on meta", "device")):
        KVCache(tiny.config(), 1, 5, device="meta").update(key, key, 0)


@pytest.mark.parametrize("layer", [2, -1])
def test_layer_that_the_cache_has_not(layer):
    key = torch.zeros(1, 2, 3, 4)
    with pytest.raises(ValueError, match=said(f"layer_idx is {layer}", "2 layers")):
        KVCache(tiny.config(), 1, 5).update(key, key, layer)


# ---- the layer


@pytest.mark.parametrize("shape", [(3, 16), (16,), (1, 2, 3, 16)])
def test_layer_input_of_other_axes(shape):
    with pytest.raises(
        ValueError,
        match=said(shape, "batch, length, hidden_size", "hidden_states[None]"),
    ):
        LlamaDecoderLayer(tiny.config(), 0)(torch.zeros(shape))


def test_layer_input_of_another_hidden_size():
    with pytest.raises(ValueError, match=said("(1, 3, 12)", "hidden_size is 16")):
        LlamaDecoderLayer(tiny.config(), 0)(torch.zeros(1, 3, 12))


@pytest.mark.parametrize("shape", [(1, 4), (3, 3), (1, 2)])
def test_positions_for_other_tokens(shape):
    layer, positions = (
        LlamaDecoderLayer(tiny.config(), 0),
        torch.zeros(shape, dtype=torch.long),
    )
    with pytest.raises(ValueError, match=said(shape, "(2, 3, 16)", "(2, 3) or (1, 3)")):
        layer(torch.zeros(2, 3, 16), position_ids=positions)
    with pytest.raises(ValueError, match=said(shape, "(2, 3, 16)", "(2, 3) or (1, 3)")):
        layer(
            torch.zeros(2, 3, 16),
            position_embeddings=layer.rotary_emb(torch.zeros(1), positions),
        )


TURNED = (2, 3, 4)  # batch, length, head_dim


@pytest.mark.parametrize(
    "cos",
    [(3, 4), (1, 3), (2, 3, 4, 1), (2, 2, 4), (2, 4, 4), (3, 3, 4)],
    ids=str,
)
def test_angles_for_other_tokens(cos):
    angles = torch.zeros(cos), torch.zeros(TURNED)
    with pytest.raises(ValueError, match=said(f"(batch, length) = {cos[:-1]}")):
        LlamaDecoderLayer(tiny.config(), 0)(
            torch.zeros(2, 3, 16), position_embeddings=angles
        )


@pytest.mark.parametrize(
    ("cos", "sin"),
    [
        (TURNED, (2, 3, 2)),
        (TURNED, (2, 3, 6)),
        (TURNED, (1, 3, 4)),
        ((2, 3, 2), (2, 3, 2)),
        ((2, 3, 6), (2, 3, 6)),
    ],
    ids=str,
)
def test_angles_for_other_heads(cos, sin):
    with pytest.raises(ValueError, match=said(f"cos is {cos}", f"sin {sin}")):
        LlamaDecoderLayer(tiny.config(), 0)(
            torch.zeros(2, 3, 16),
            position_embeddings=(torch.zeros(cos), torch.zeros(sin)),
        )


@pytest.mark.parametrize(("kind", "count"), [(tuple, 1), (tuple, 3), (list, 2)])
def test_angles_that_are_no_pair(kind, count):
    angles = kind([torch.zeros(TURNED)] * count)
    with pytest.raises(ValueError, match=said(f"a {kind.__name__}", "(cos, sin)")):
        LlamaDecoderLayer(tiny.config(), 0)(
            torch.zeros(2, 3, 16), position_embeddings=angles
        )


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_mask_of_two_axes_with_other_rows(rows):
    mask = torch.ones(rows, 3, dtype=torch.bool)
    with pytest.raises(
        ValueError, match=said(f"({rows}, 3)", "3 queries", "(3, kv_len)")
    ):
        LlamaDecoderLayer(tiny.config(), 0)(torch.zeros(2, 3, 16), mask)


def test_mask_of_one_axis_is_of_keys():
    layer, x = LlamaDecoderLayer(tiny.config(), 0), torch.randn(2, 3, 16)
    for seen in (torch.tensor([False, True, True]), torch.tensor([True])):
        assert torch.equal(layer(x, seen), layer(x, seen.expand(3, 3)))


def test_positions_without_a_batch():
    with pytest.raises(ValueError, match=said("(3,)", "(2, 3, 16)", "(1, 3)")):
        LlamaDecoderLayer(tiny.config(), 0)(
            torch.zeros(2, 3, 16), position_ids=torch.arange(3)
        )


@pytest.mark.parametrize(
    "mask",
    [torch.ones(3, 4, dtype=torch.bool), torch.ones(2, 2, 3, 3), torch.ones(2, 3, 3)],
)
def test_layer_mask_that_does_not_broadcast(mask):
    with pytest.raises(ValueError, match=said(tuple(mask.shape), "(2, 4, 3, 3)")):
        LlamaDecoderLayer(tiny.config(), 0)(torch.zeros(2, 3, 16), mask)


def test_layer_mask_of_integers():
    with pytest.raises(ValueError, match=said(torch.int64, "attn_mask.bool()")):
        LlamaDecoderLayer(tiny.config(), 0)(
            torch.zeros(2, 3, 16), torch.ones(3, 3, dtype=torch.long)
        )


# ---- the model


@pytest.mark.parametrize("wrong", [-1, len(tiny_files.TOKENS), 10**6, -(10**6)])
def test_id_outside_the_vocabulary(model, wrong):
    ids = torch.tensor([[0, 1, wrong, 2]])
    with pytest.raises(
        ValueError,
        match=said(
            f"contains {wrong}", f"{len(tiny_files.TOKENS)} tokens", f"0 to {tiny.END}"
        ),
    ):
        model(ids)
    with pytest.raises(
        ValueError, match=said(f"contains {wrong}", f"{len(tiny_files.TOKENS)} tokens")
    ):
        generate(model, ids, 1)


@pytest.mark.parametrize("shape", [(2, 4), (1, 5), (2, 6)])
def test_attention_mask_of_another_width(model, shape):
    with pytest.raises(
        ValueError, match=said(shape, "2 sequences of 5 tokens", "(2, 5)")
    ):
        model(tiny.ids(2, 5), torch.ones(shape, dtype=torch.long))


def test_attention_mask_that_leaves_out_the_cache(model):
    cache = KVCache(model.config, 2, 10)
    model(tiny.ids(2, 4), past_key_values=cache)
    with pytest.raises(
        ValueError, match=said("(2, 1)", "5 tokens", "4 of them cached", "(2, 5)")
    ):
        model(tiny.ids(2, 1), torch.ones(2, 1, dtype=torch.long), past_key_values=cache)


@pytest.mark.parametrize(
    "mask", [torch.full((1, 3), 2), torch.ones(1, 3), torch.tensor([[0, -1, 1]])]
)
def test_attention_mask_of_other_values(model, mask):
    with pytest.raises(ValueError, match=said(mask.dtype, "0 and 1")):
        model(tiny.ids(1, 3), mask)


@pytest.mark.parametrize("shape", [(3,), (2, 1, 3), (1, 1, 3, 3)], ids=str)
def test_attention_mask_of_other_axes(model, shape):
    with pytest.raises(ValueError, match=said(shape, "1 for a real token")):
        model(tiny.ids(1, 3), torch.ones(shape, dtype=torch.long))


def test_model_positions_for_other_tokens(model):
    with pytest.raises(
        ValueError, match=said("(1, 4)", "(2, 5, 16)", "(2, 5) or (1, 5)")
    ):
        model(tiny.ids(2, 5), position_ids=torch.arange(4)[None])


@pytest.mark.parametrize(
    ("cache", "quotes"),
    [
        ({"max_length": 4}, ("holds 0", "at most 4", "5 more", "max_length 5")),
        ({"batch_size": 1}, ("key is (2, 2, 5, 4)", "batch 1")),
        ({"dtype": torch.float64}, ("torch.float32", "torch.float64")),
    ],
    ids=str,
)
def test_cache_that_does_not_fit_the_model(model, cache, quotes):
    made = KVCache(model.config, **{"batch_size": 2, "max_length": 5, **cache})
    with pytest.raises(ValueError, match=said(*quotes)):
        model(tiny.ids(2, 5), past_key_values=made)
    assert made.length == 0


def test_refused_call_leaves_the_cache_as_it_was(model):
    cache = KVCache(model.config, 1, 6)
    ids = tiny.ids(1, 6)
    model(ids[:, :4], past_key_values=cache)
    keys = cache.keys.clone()
    for bad in (
        {"input_ids": ids},
        {"input_ids": ids[:, 4:], "attention_mask": torch.ones(1, 3, dtype=torch.long)},
    ):
        with pytest.raises(ValueError, match=said("4", "6")):
            model(**bad, past_key_values=cache)
    assert cache.length == 4
    assert torch.equal(cache.keys, keys)


# ---- generation


def zeros(*shape):
    return torch.zeros(shape, dtype=torch.long)


RIGHT_PADDED = torch.tensor([[1, 1, 1], [1, 1, 0]])
REQUESTS = {
    "list": ([1, 2, 3], 5, {}, ("list", "torch.tensor([ids])")),
    "floats": (torch.zeros(1, 3), 5, {}, ("torch.float32", "(1, 3)", "integers")),
    "empty prompt": (zeros(1, 0), 5, {}, ("(1, 0)", "at least one token")),
    "no prompts": (zeros(0, 3), 5, {}, ("(0, 3)", "at least one token")),
    "negative count": (zeros(1, 3), -1, {}, ("max_new_tokens is -1", "negative")),
    "negative temperature": (
        zeros(1, 3), 5, {"temperature": -0.5},
        ("temperature is -0.5", "negative"),
    ),
    "temperature that is no number": (
        zeros(1, 3), 5, {"temperature": float("nan")},
        ("temperature is nan", "must be a number"),
    ),
    "infinite temperature": (
        zeros(1, 3), 5, {"temperature": float("inf")},
        ("temperature is inf", "must be a number"),
    ),
    "temperature as text": (
        zeros(1, 3), 5, {"temperature": "0.5"},
        ("temperature is '0.5'", "must be a number"),
    ),
    "temperature as bool": (
        zeros(1, 3), 5, {"temperature": True},
        ("temperature is True", "must be a number"),
    ),
    "top_k below 0": (
        zeros(1, 3), 5, {"temperature": 1.0, "top_k": -1},
        ("top_k is -1", "0 or None to keep every token"),
    ),
    "top_k as a share": (
        zeros(1, 3), 5, {"temperature": 1.0, "top_k": 0.9},
        ("top_k is 0.9", "integer"),
    ),
    "top_p of 0": (
        zeros(1, 3), 5, {"temperature": 1.0, "top_p": 0.0},
        ("top_p is 0.0", "above 0", "at most 1"),
    ),
    "top_p above 1": (
        zeros(1, 3), 5, {"temperature": 1.0, "top_p": 1.5},
        ("top_p is 1.5", "at most 1"),
    ),
    "top_p that is no number": (
        zeros(1, 3), 5, {"temperature": 1.0, "top_p": float("nan")},
        ("top_p is nan", "at most 1"),
    ),
    "top_k that greedy would ignore": (
        zeros(1, 3), 5, {"top_k": 5},
        ("temperature is 0", "top_k (5)", "above 0"),
    ),
    "top_p that greedy would ignore": (
        zeros(1, 3), 5, {"top_p": 0.9},
        ("temperature is 0", "top_p (0.9)", "above 0"),
    ),
    "count as a float": (zeros(1, 3), 5.0, {}, ("max_new_tokens is 5.0", "integer")),
    "count as a bool": (zeros(1, 3), True, {}, ("max_new_tokens is True", "integer")),
    "one stop token": (
        zeros(1, 3), 5, {"stop_tokens": 2},
        ("stop_tokens is 2", "list of token ids"),
    ),
    "stop tokens as text": (
        zeros(1, 3), 5, {"stop_tokens": "</s>"},
        ("stop_tokens is '</s>'", "list of token ids"),
    ),
    "stop tokens by name": (
        zeros(1, 3), 5, {"stop_tokens": ["</s>"]},
        ("stop_tokens is ['</s>']", "list of token ids"),
    ),
    "seed as a float": (zeros(1, 3), 5, {"seed": 1.5}, ("seed is 1.5", "integer")),
    "seed as a bool": (zeros(1, 3), 5, {"seed": True}, ("seed is True", "integer")),
    "seed too large": (zeros(1, 3), 5, {"seed": 2**64}, (f"seed is {2**64}", "2**64 - 1")),
    "seed too small": (
        zeros(1, 3), 5, {"seed": -(2**63) - 1},
        (f"seed is {-(2**63) - 1}", "from -2**63"),
    ),
    "mask as a list": (
        zeros(1, 3), 5, {"attention_mask": [[1, 1, 1]]},
        ("attention_mask is a list", "(batch, length)"),
    ),
    "another kind of cache": (
        zeros(1, 3), 5, {"past_key_values": ((),)},
        ("past_key_values is a tuple", "KVCache(model.config, batch_size, max_length)"),
    ),
    "too many tokens": (zeros(1, 100), 29, {}, ("100 tokens", "29 new", "128 positions", "for 28")),
    "too long a prompt": (zeros(1, 129), 0, {}, ("129 tokens", "128 positions", "ask for 0")),
    "mask of another width": (
        zeros(2, 3), 5, {"attention_mask": zeros(2, 4)},
        ("(2, 4)", "(2, 3)", "must be equal"),
    ),
    "mask of fewer tokens": (
        zeros(2, 3), 5, {"attention_mask": zeros(2, 2)},
        ("(2, 2)", "(2, 3)", "must be equal"),
    ),
    "padding on the right": (
        zeros(2, 3), 5, {"attention_mask": RIGHT_PADDED},
        ("ends in 0", "left"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("run", [generate, generate_stream])
@pytest.mark.parametrize(
    ("ids", "count", "options", "quotes"), REQUESTS.values(), ids=REQUESTS
)
def test_request_is_refused_before_anything_is_computed(
    model, run, ids, count, options, quotes
):
    with pytest.raises(ValueError, match=said(*quotes)):
        run(model, ids, count, **options)


@pytest.mark.parametrize("mask", [torch.tensor([[0, 2, 1]]), torch.ones(1, 3)])
@pytest.mark.parametrize("run", [generate, generate_stream])
def test_generation_mask_of_other_values(model, run, mask):
    with pytest.raises(ValueError, match=said(mask.dtype, "0 and 1")):
        run(model, tiny.ids(1, 3), 2, attention_mask=mask)


@pytest.mark.parametrize(
    ("made", "held", "count", "quotes"),
    [
        ({}, 5, 2, ("holds 5 tokens", "input_ids has 5", "crop(4)")),
        ({}, 7, 2, ("holds 7 tokens", "input_ids has 5", "crop(4)")),
        ({"max_length": 6}, 3, 3, ("room for 6", "5 with 3", "resized(7)")),
        ({"max_length": 4}, 3, 0, ("room for 4", "5 with 0", "resized(5)")),
        (
            {"batch_size": 2},
            0,
            2,
            ("(2, 2, 2, 9, 4)", "(2, 1, 2, 9, 4)", "KVCache(model.config, 1, 9"),
        ),
        ({"dtype": torch.float64}, 0, 2, ("torch.float64", "torch.float32")),
        ({"device": "meta"}, 0, 2, ("meta", "cpu")),
        ({"head_dim": 8}, 0, 2, ("(2, 1, 2, 9, 8)", "(2, 1, 2, 9, 4)")),
    ],
    ids=str,
)
@pytest.mark.parametrize("run", [generate, generate_stream])
def test_cache_that_does_not_fit_the_text(model, run, made, held, count, quotes):
    options = {"batch_size": 1, "max_length": 9, **made}
    made_for = tiny.config(head_dim=options.pop("head_dim", 4))
    cache = KVCache(made_for, **options)
    cache.lengths = [held] * len(cache.lengths)
    with pytest.raises(
        ValueError, match="(?s)" + "".join(f"(?=.*{re.escape(q)})" for q in quotes)
    ):
        run(model, zeros(1, 5), count, past_key_values=cache)
    assert cache.length == held


@pytest.mark.parametrize(
    "cache", [object(), "cache", ()], ids=["object", "str", "tuple"]
)
def test_model_takes_its_own_cache_alone(model, cache):
    with pytest.raises(ValueError, match=said(type(cache).__name__, "KVCache")):
        model(tiny.ids(1, 3), past_key_values=cache)


@pytest.mark.parametrize(
    "ids",
    [[[1, 2]], None, torch.ones(1, 3, dtype=torch.bool), torch.ones(1, 3).short()],
)
def test_ids_that_an_embedding_does_not_take(model, ids):
    with pytest.raises(ValueError, match=said("input_ids", "(batch, length)")):
        model(ids)


def test_mask_that_is_a_list(model):
    with pytest.raises(ValueError, match=said("attention_mask is a list", "tensor")):
        model(tiny.ids(1, 3), [[1, 1, 1]])


@pytest.mark.parametrize("seed", [-(2**63), 2**64 - 1])
def test_first_and_last_seed(model, seed):
    assert generate(model, zeros(1, 3), 1, temperature=1.0, seed=seed).shape == (1, 4)


@pytest.mark.parametrize("run", [generate, generate_stream])
@pytest.mark.parametrize("tied", [False, True])
def test_model_of_another_class(run, tied):
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    other = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=9, num_attention_heads=2, tie_word_embeddings=tied, **sizes
        )
    )
    name = "transformers.models.llama.modeling_llama.LlamaForCausalLM"
    remedies = "from_hugging_face(hf_model)", "hf_model.generate"
    with pytest.raises(ValueError, match=said(f"model is a {name}", *remedies)):
        run(other, zeros(1, 3), 2)
    written = generate(from_hugging_face(other), zeros(1, 3), 2)
    assert written.shape == (1, 5)
    with pytest.raises(ValueError, match=said("NoneType", *remedies)):
        run(None, zeros(1, 3), 2)


def test_model_that_torch_compile_has_wrapped(model):
    ids = tiny.ids(1, 3)
    assert torch.equal(generate(torch.compile(model), ids, 2), generate(model, ids, 2))


# ---- a cache that someone else changes


def changed(held, expected):
    return said("past_key_values was changed", f"holds {held}", f"expects {expected}")


def test_two_streams_with_one_cache(model):
    cache = KVCache(model.config, 1, 20)
    first, second = (
        generate_stream(model, zeros(1, 5), 4, past_key_values=cache) for _ in range(2)
    )
    next(first)
    with pytest.raises(ValueError, match=changed(5, 0)):
        next(second)
    assert len(list(first)) == 3


@pytest.mark.parametrize("taken", [1, 3])
@pytest.mark.parametrize("change", [-1, 1])
def test_cache_changed_while_a_stream_uses_it(model, taken, change):
    cache = KVCache(model.config, 1, 20)
    stream = generate_stream(model, zeros(1, 5), 8, past_key_values=cache)
    for _ in range(taken):
        next(stream)
    cache.lengths = [length + change for length in cache.lengths]
    held = 4 + taken
    with pytest.raises(ValueError, match=changed(held + change, held)):
        next(stream)


def test_cache_changed_before_a_stream_is_read(model):
    cache = KVCache(model.config, 1, 20)
    model(zeros(1, 3), past_key_values=cache)
    stream = generate_stream(model, zeros(1, 5), 4, past_key_values=cache)
    cache.crop(2)
    with pytest.raises(ValueError, match=changed(2, 3)):
        next(stream)


@pytest.mark.parametrize("shape", [(7,), (2, 3, 7)])
def test_logits_of_other_axes(shape):
    with pytest.raises(
        ValueError, match=said(str(shape), "(batch, vocab)", "logits[:, -1]")
    ):
        next_token_probabilities(torch.zeros(shape))
