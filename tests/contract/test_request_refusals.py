"""What people bring to `generate` in place of ids, numbers and stop tokens: taken, or refused
with a remedy that works when it is followed to the letter.
"""

import re
from collections import UserDict
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch
from refusal import said

from companion import KVCache, generate, generate_stream
from companion.generate import decode

MODEL = tiny.model()
ROW = [3, 1, 4, 1, 5]
IDS = torch.tensor([ROW])
BATCH = UserDict(input_ids=IDS, attention_mask=torch.ones_like(IDS))  # as BatchEncoding

# what came, the remedy that is said, and the names in it
IN_PLACE_OF_IDS = {
    "1-d tensor": (IDS[0], "input_ids[None]"),
    "0-d tensor": (torch.tensor(3), "input_ids[None, None]"),
    "3-d tensor": (IDS[None], "input_ids.flatten(0, -2)"),
    "floats": (IDS.float(), "input_ids.long()"),
    "uint8": (IDS.to(torch.uint8), "input_ids.long()"),
    "int16, 1-d": (IDS[0].short(), "input_ids[None].long()"),
    "list": (ROW, "torch.tensor([ids])"),
    "list of rows": ([ROW], "torch.tensor(ids)"),
    "array": (np.array([ROW]), "torch.as_tensor(ids)"),
    "1-d array": (np.array(ROW), "torch.as_tensor(ids)[None]"),
    "3-d array": (np.array([[ROW]]), "torch.as_tensor(ids).flatten(0, -2)"),
    "0-d array": (np.array(3), "torch.as_tensor(ids)[None, None]"),
    "dict": (dict(BATCH), "inputs['input_ids']"),
    "BatchEncoding": (BATCH, "inputs['input_ids']"),
    "Encoding": (SimpleNamespace(ids=ROW), "torch.tensor([encoding.ids])"),
}


@pytest.mark.parametrize("name", IN_PLACE_OF_IDS)
def test_the_remedy_for_ids_works(name):
    given, remedy = IN_PLACE_OF_IDS[name]
    names = dict.fromkeys(("input_ids", "ids", "inputs", "encoding"), given)
    for run in (MODEL, lambda ids: generate(MODEL, ids, 2)):
        with pytest.raises(ValueError, match=said("input_ids is")) as refused:
            run(given)
        assert re.search(rf"{re.escape(remedy)}($|, )", str(refused.value))
        ids = eval(remedy, {"torch": torch}, names)
        assert torch.equal(run(ids), run(ids.long()))


def test_a_text_and_a_mask_are_no_ids():
    with pytest.raises(ValueError, match=said("str", "tokenizer.encode(text)")):
        generate(MODEL, "hello", 2)
    with pytest.raises(ValueError, match=said("torch.bool", "attention_mask")):
        generate(MODEL, IDS > 0, 2)


def test_positions_that_are_a_list():
    with pytest.raises(ValueError, match=said("position_ids is a list", "tensor")):
        MODEL(IDS, position_ids=[0, 1, 2, 3, 4])


# ---- numbers of numpy

INTEGERS = (np.int64, np.int32, np.uint8)
FLOATS = (np.float64, np.float32, np.float16)


@pytest.mark.parametrize("integer", INTEGERS)
def test_integers_of_numpy(integer):
    drawn = {"temperature": 1.0, "top_k": 7, "seed": 3}
    stop = [generate(MODEL, IDS, 9)[0, 7].item()]
    assert torch.equal(
        generate(MODEL, IDS, integer(9), stop_tokens=np.array(stop, integer)),
        generate(MODEL, IDS, 9, stop_tokens=stop),
    )
    given = {**drawn, "top_k": integer(7), "seed": integer(3)}
    expected = generate(MODEL, IDS, 9, **drawn)
    assert torch.equal(generate(MODEL, IDS, integer(9), **given), expected)
    cache = KVCache(MODEL.config, integer(1), integer(5)).resized(integer(20))
    generate(MODEL, IDS, 5, past_key_values=cache)
    cache.crop(integer(2))
    assert (cache.shape[1], cache.max_length, cache.length) == (1, 20, 2)
    assert cache.update(*cache.keys[:2, :, :, :1], integer(1))[0].shape[2] == 3


@pytest.mark.parametrize("floating", FLOATS)
def test_floats_of_numpy(floating):
    given = {"temperature": floating(1.5), "top_p": floating(0.5)}
    expected = generate(MODEL, IDS, 9, temperature=1.5, top_p=0.5, seed=1)
    assert torch.equal(generate(MODEL, IDS, 9, **given, seed=1), expected)


def test_small_integers_of_numpy_do_not_wrap_around():
    model = tiny.model(max_position_embeddings=300)
    ids = tiny.ids(1, 60)
    assert generate(model, ids, np.uint8(210)).shape == (1, 270)
    cache = KVCache(model.config, 1, 280)
    generate(model, ids, 200, past_key_values=cache)
    cache.crop(np.uint8(250))
    text = tiny.ids(1, 260)
    generate(model, text, 2, past_key_values=cache)
    assert cache.length == 261
    with pytest.raises(ValueError, match=said("300 positions", "ask for 240")):
        generate(model, ids, np.uint8(250))


@pytest.mark.parametrize("wrong", [True, np.True_, 3.0, "3", torch.tensor(3)])
def test_what_is_no_integer(wrong):
    with pytest.raises(ValueError, match=said("max_new_tokens is", "an integer")):
        generate(MODEL, IDS, wrong)
    with pytest.raises(ValueError, match=said("layer_idx is", "2 layers")):
        KVCache(MODEL.config, 1, 5).update(*torch.zeros(2, 1, 2, 1, 4), wrong)


@pytest.mark.parametrize("config", [None, {"num_hidden_layers": 2}, MODEL])
def test_cache_of_no_config(config):
    with pytest.raises(ValueError, match=said("config is a", "model.config")):
        KVCache(config, 1, 5)


# ---- stop tokens


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        (5, "[5]"),
        (np.int64(5), "[5]"),
        (torch.tensor(5), "stop_tokens.flatten().tolist()"),
        (torch.tensor([5]), "stop_tokens.flatten().tolist()"),
    ],
    ids=str,
)
def test_the_remedy_for_stop_tokens_works(given, remedy):
    with pytest.raises(ValueError, match=said("stop_tokens is", "list")) as refused:
        generate(MODEL, IDS, 2, stop_tokens=given)
    assert str(refused.value).endswith(remedy)
    assert eval(remedy, {"stop_tokens": given}) == [5]


@pytest.mark.parametrize("given", [None, "</s>", ["</s>"], [[5]], iter([5]), [True]])
def test_what_are_no_stop_tokens(given):
    with pytest.raises(ValueError, match=said("stop_tokens is", "tokenizer.stop_ids")):
        generate(MODEL, IDS, 2, stop_tokens=given)


# ---- limits beside temperature 0


@pytest.mark.parametrize(
    "limits", [{"top_p": 1.0}, {"top_p": 1}, {"top_k": 0}, {"top_k": tiny.VOCAB_SIZE}]
)
def test_what_limits_nothing_is_taken_beside_temperature_0(limits):
    assert torch.equal(generate(MODEL, IDS, 9, **limits), generate(MODEL, IDS, 9))


@pytest.mark.parametrize("limits", [{"top_p": 0.9}, {"top_k": 50}])
def test_what_limits_a_draw_is_not(limits):
    with pytest.raises(ValueError, match=said("temperature is 0", "leave them out")):
        generate(MODEL, IDS, 9, **limits)


# ---- logits that choose no token


def broken(value, dtype=torch.float32, form=lambda model: model):
    model = tiny.model(dtype, hidden_size=32, intermediate_size=64)
    model.model.norm.weight[3] = value
    return form(model)


@pytest.mark.parametrize("run", [generate, generate_stream])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_logits_that_are_no_numbers(run, temperature, value):
    quotes = ("NaN", "row 0 of 1", "torch.float32", "weights", "isfinite()")
    model = broken(value)
    with pytest.raises(ValueError, match=said(*quotes)):
        list(run(model, IDS, 2, temperature=temperature))
    where = eval(
        "[name for name, x in model.named_parameters() if not x.isfinite().all()]",
        {"model": model},
    )
    assert where == ["model.norm.weight"]


def test_logits_beyond_float16():
    model = tiny.model(torch.float16, hidden_size=32, intermediate_size=64)
    model.model.norm.weight.fill_(6e4)
    with pytest.raises(ValueError, match=said("float16", "65504", "torch.float32")):
        generate(model, IDS, 2)
    assert generate(model.to(torch.bfloat16), IDS, 2).shape == (1, 7)


def test_one_row_of_a_batch():
    model = tiny.model()
    model.model.embed_tokens.weight[7] = torch.nan
    model = tiny.model(tie_word_embeddings=False)
    model.model.embed_tokens.weight[7] = torch.nan
    with pytest.raises(ValueError, match=said("row 2 of 3", "nan")):
        generate(model, torch.tensor([[1], [2], [7]]), 2)


def test_a_step_that_makes_them():
    def step(model, *given):
        return decode(model, *given) * torch.nan

    stream = generate_stream(MODEL, IDS, 4, decode=step)
    next(stream)
    with pytest.raises(ValueError, match=said("nan", "no token")):
        next(stream)


# ---- a decode that does not keep the cache


@pytest.mark.parametrize("times", [0, 2])
def test_a_step_that_stores_another_number_of_tokens(times):
    def step(model, token, mask, cache):
        out = decode(model, token, mask, cache)
        cache.lengths = [cache.length - 1 + times] * len(cache.lengths)
        return out

    with pytest.raises(ValueError, match=said("decode has left", "6 have been run")):
        generate(MODEL, IDS, 4, decode=step)


# ---- float8


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_weights_in_float8(dtype):
    model = tiny.model().to(dtype)
    for run in (model, lambda ids: generate(model, ids, 2)):
        with pytest.raises(ValueError, match=said(dtype, "model.to(torch.bfloat16)")):
            run(IDS)
    assert generate(model.to(torch.bfloat16), IDS, 2).shape == (1, 7)
