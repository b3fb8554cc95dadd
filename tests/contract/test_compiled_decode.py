"""A compiled decode step writes the same tokens in one graph, for every position."""

import shutil
from functools import partial

import pytest
import tiny
import torch
import torch.nn.functional as F
from refusal import said
from weekly import mostly

from companion import KVCache, fast, generate
from companion.attention import scaled_dot_product_attention
from companion.fast.compiled.programs import LastStep, LayerStep, Program
from companion.generate import decode, prefill

USABLE = shutil.which("g++") and " " not in torch.__file__
GENERATED = "inductor" if USABLE else "aot_eager"
SIZES = {"hidden_size": 32, "intermediate_size": 64}


def small(dtype=torch.float32, **changes):
    return tiny.model(dtype, std=0.2, **SIZES, **changes)


def compiled(model):
    return fast.compile_decode(model, backend="aot_eager")


def with_attend(model, attend):
    for layer in model.model.layers:
        layer.self_attn.attend = attend
    return model


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", [name for name in fast.attention if name != "triton"])
def test_tokens_are_those_of_the_ordinary_loop(name, tied):
    model = small(tie_word_embeddings=tied)
    ids = tiny.ids(1, 6)
    expected = generate(model, ids, 12)
    with_attend(model, fast.attention[name])
    assert torch.equal(generate(model, ids, 12, decode=compiled(model)), expected)


ATTENTIONS = [
    partial(fast.tiled, q_block=16, kv_block=4),
    partial(fast.blocks, q_block=2),
    partial(scaled_dot_product_attention, scale=0.5),
    F.scaled_dot_product_attention,
    lambda *given, **options: fast.sdpa(*given, **options),
]


@pytest.mark.parametrize("attend", mostly(ATTENTIONS, ATTENTIONS[0], ATTENTIONS[3]))
def test_any_attention(attend):
    model = with_attend(small(), attend)
    ids = tiny.ids(2, 6)
    found = generate(model, ids, 12, decode=compiled(model))
    assert torch.equal(found, generate(model, ids, 12))


def test_attention_that_cannot_be_traced():
    def attend(query, *given, **options):
        sign = 1 if query.sum() > 0 else -1  # as a number, which a graph has not
        return sign * scaled_dot_product_attention(query, *given, **options)

    model = with_attend(small(), attend)
    with pytest.raises(
        ValueError, match=said("could not be traced", "ordinary decode")
    ):
        generate(model, tiny.ids(1, 3), 3, decode=compiled(model))


@pytest.mark.parametrize("make", [fast.int8, fast.int4])
def test_tokens_of_a_quantized_model_are_its_own(make):
    model = make(small())
    ids = tiny.ids(1, 6)
    found = generate(model, ids, 8, decode=compiled(model))
    assert torch.equal(found, generate(model, ids, 8))


@pytest.fixture(autouse=True)
def of_the_tests(programs):
    """The store of the tests, and code for two cores."""


# (batch, length, room): the first token, a cache that is full, groups of four and less.
CASES = (1, 5, 9), (1, 1, 3), (1, 6, 6), (2, 4, 4), (4, 3, 9), (5, 3, 9), (8, 2, 2)


def check_logits(model, step, off, cases=CASES):
    """A step's logits, and what it writes to the cache, are the ordinary one's."""
    for batch, length, room in cases:
        ids = tiny.ids(batch, length)
        # a view, whose rows do not follow each other in memory
        mask = torch.ones(batch, room + 1, dtype=torch.bool)[:, :length]
        mask[1::2, : length - 2] = False
        caches = [KVCache(model.config, batch, room, dtype=model.dtype) for _ in "ab"]
        with torch.inference_mode():
            if length > 1:
                for cache in caches:
                    prefill(model, ids[:, :-1], mask[:, :-1], cache)
            found = step(model, ids[:, -1], mask, caches[0])
            expected = decode(model, ids[:, -1], mask, caches[1])
        torch.testing.assert_close(found, expected, rtol=0, atol=off)
        for name in ("keys", "values"):
            stored = [getattr(cache, name) for cache in caches]
            torch.testing.assert_close(*stored, rtol=0, atol=off)
        assert caches[0].length == caches[1].length == length


FORMS = {
    "float32": (torch.float32, lambda model: model, 1e-5),
    "bfloat16": (torch.bfloat16, lambda model: model, 0.03),
    "int8": (torch.float32, fast.int8, 1e-5),
    "int4": (torch.float32, fast.int4, 1e-5),
}


@pytest.mark.parametrize("name", FORMS)
def test_the_graph_gives_the_logits(name):
    dtype, form, off = FORMS[name]
    model = form(small(dtype, attention_bias=True))
    check_logits(model, compiled(model), off)


@pytest.mark.weekly  # of one text it writes in test_smollm2 every time
def test_generated_code_gives_the_logits():
    model = small(attention_bias=True)
    check_logits(model, fast.compile_decode(model, backend=GENERATED), 1e-5)


def test_generated_code_of_fewer_bits_gives_the_logits():
    """A layer in bfloat16, one in int8, one in int4: for batches the same code around the
    sums as float32 has.
    """
    model = small(torch.bfloat16, attention_bias=True, num_hidden_layers=3)
    for i, make in ((1, fast.int8), (2, fast.int4)):
        layer = make(small(torch.bfloat16, attention_bias=True)).model.layers[1]
        layer.self_attn.layer_idx = i
        model.model.layers[i] = layer
    step = fast.compile_decode(model, backend=GENERATED)
    check_logits(model, step, 0.05, CASES[:3])


def test_two_programs_serve_every_length_room_and_batch(monkeypatch):
    exported = []
    export = Program.exported
    monkeypatch.setattr(
        Program, "exported", lambda self: exported.append(self) or export(self)
    )
    model = small()
    step = compiled(model)
    for length, new in ((1, 2), (4, 3), (2, 20), (5, 1), (9, 2)):
        generate(model, tiny.ids(1, length), new, decode=step)
    assert [type(each.module) for each in exported] == [LayerStep, LastStep]
    for batch in (2, 3, 4, 5, 9):
        ids = tiny.ids(batch, 3)
        found = generate(model, ids, 4, decode=step)
        assert torch.equal(found, generate(model, ids, 4))
    assert len(exported) == 4


def test_layers_that_differ_have_programs_of_their_own():
    model, ids = small(), tiny.ids(1, 5)
    last = model.model.layers[1].self_attn
    last.attend = lambda *a, **k: scaled_dot_product_attention(*a, **k) * 2
    found = generate(model, ids, 6, decode=compiled(model))
    assert torch.equal(found, generate(model, ids, 6))


def test_layers_that_differ_in_a_number_have_too():
    model, ids = small(), tiny.ids(1, 5)
    model.model.layers[1].input_layernorm.eps = 0.5
    model.model.layers[1].post_attention_layernorm.eps = 0.25
    step = compiled(model)
    found = generate(model, ids, 6, decode=step)
    assert torch.equal(found, generate(model, ids, 6))
    assert len(set(step.args[0].runs[True][0])) == 2


@pytest.mark.parametrize("filled", [0, 1, 7])
def test_from_an_empty_cache_to_a_full_one(filled):
    model, ids = small(), tiny.ids(1, 8)
    step, cache = compiled(model), KVCache(model.config, 1, 8)
    if filled:
        prefill(model, ids[:, :filled], torch.ones_like(ids[:, :filled]), cache)
    for i in range(filled, 8):
        mask = torch.ones(1, i + 1, dtype=torch.long)
        logits = step(model, ids[:, i], mask, cache)
    expected = model(ids)[:, -1]
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5)


def test_two_compiled_models_do_not_meet():
    one, ids = small(), tiny.ids(1, 4)
    two = with_attend(
        small(), lambda *a, **k: scaled_dot_product_attention(*a, **k) * 2
    )
    for model in (one, fast.int8(one), fast.int4(one), two):
        found = generate(model, ids, 6, decode=compiled(model))
        assert torch.equal(found, generate(model, ids, 6))


def test_a_padded_batch():
    model, ids = small(), tiny.ids(2, 5)
    mask = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1]])
    options = {"attention_mask": mask}
    found = generate(model, ids, 6, decode=compiled(model), **options)
    assert torch.equal(found, generate(model, ids, 6, **options))
    alone = generate(model, ids[1:, 2:], 6)
    assert torch.equal(found[1:, 2:], alone)


def test_padding_has_no_position():
    model, ids = small(), tiny.ids(2, 7)
    mask = torch.ones(2, 7, dtype=torch.long)
    mask[1, :4] = 0
    logits = []
    for step in (compiled(model), decode):
        cache = KVCache(model.config, 2, 9)
        prefill(model, ids[:, :6], mask[:, :6], cache)
        logits.append(step(model, ids[:, 6], mask, cache))
    torch.testing.assert_close(*logits, rtol=0, atol=1e-5)


def test_a_cache_is_gone_on_with_and_its_empty_places_do_not_count():
    model, ids = small(), tiny.ids(1, 5)
    cache = KVCache(model.config, 1, 40)
    cache.keys.fill_(50.0), cache.values.fill_(50.0)
    step = compiled(model)
    first = generate(model, ids, 4, past_key_values=cache, decode=step)
    both = generate(model, first, 4, past_key_values=cache, decode=step)
    assert torch.equal(both, generate(model, ids, 8))


def test_it_reads_the_cache_as_far_as_it_is_filled():
    model, cache = small(), None
    step, ids = compiled(model), tiny.ids(1, 5)
    cache = KVCache(model.config, 1, 40)
    prefill(model, ids[:, :4], torch.ones(1, 4, dtype=torch.long), cache)
    cache.keys[..., 5:, :] = cache.values[..., 5:, :] = torch.nan
    logits = step(model, ids[:, 4], torch.ones(1, 5, dtype=torch.long), cache)
    torch.testing.assert_close(logits, model(ids)[:, -1], rtol=0, atol=1e-5)


def test_weights_are_shared():
    model, ids = small(), tiny.ids(1, 4)
    step = compiled(model)
    before = generate(model, ids, 6, decode=step)
    model.load_state_dict(small(tie_word_embeddings=True).state_dict(), strict=False)
    for name, weight in model.named_parameters():
        if "o_proj" in name:
            weight.mul_(-1)
    found = generate(model, ids, 6, decode=step)
    assert torch.equal(found, generate(model, ids, 6))
    assert not torch.equal(found, before)


# ---- what is refused


def test_a_packed_model():
    with pytest.raises(ValueError, match=said("PackedLinear", "torch.compile")):
        fast.compile_decode(fast.packed(small()))


@pytest.mark.parametrize("model", [None, torch.nn.Linear(2, 2)])
def test_no_model_of_ours(model):
    for make in (fast.compile_decode, fast.packed, fast.int8, fast.int4):
        with pytest.raises(ValueError, match=said("companion.LlamaForCausalLM")):
            make(model)


def test_another_model_than_the_one_compiled():
    model, other = small(), small()
    with pytest.raises(ValueError, match=said("another model", "compile_decode")):
        generate(other, tiny.ids(1, 2), 3, decode=compiled(model))


def test_a_mask_or_cache_that_does_not_fit():
    model = small()
    step, token = compiled(model), torch.tensor([1])
    cache = KVCache(model.config, 1, 2)
    with pytest.raises(ValueError, match=said("(1, 5)", "(1, 1)")):
        step(model, token, torch.ones(1, 5, dtype=torch.long), cache)
    cache.lengths = [2] * len(cache.lengths)
    with pytest.raises(ValueError, match=said("2 of at most 2", "1 more")):
        step(model, token, torch.ones(1, 3, dtype=torch.long), cache)
    with pytest.raises(ValueError, match=said("companion.KVCache")):
        step(model, token, torch.ones(1, 3, dtype=torch.long), object())
    assert cache.length == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"batch_size": 2}, "(2, 2, 2, 9, 8)"),
        ({"dtype": torch.bfloat16}, "torch.bfloat16"),
    ],
)
def test_a_cache_that_compiled_code_would_write_beyond(change, told):
    model = small()
    cache = KVCache(model.config, **{"batch_size": 1, "max_length": 9, **change})
    with pytest.raises(ValueError, match=said(told, "make it")):
        compiled(model)(model, torch.tensor([1]), torch.ones(1, 1).long(), cache)
    assert cache.length == 0


def test_a_model_whose_dtype_changed_after_it_was_compiled():
    model = small()
    step = compiled(model)
    generate(model, tiny.ids(1, 2), 2, decode=step)
    model.to(torch.bfloat16)
    with pytest.raises(ValueError, match=said("torch.bfloat16", "compile_decode")):
        generate(model, tiny.ids(1, 2), 2, decode=step)


def test_a_token_that_is_none():
    model = small()
    cache, mask = KVCache(model.config, 1, 3), torch.ones(1, 1, dtype=torch.long)
    for token in (torch.tensor([[1]]), torch.tensor([1.0]), torch.tensor([999])):
        with pytest.raises(ValueError, match=r"token is|input_ids contains 999"):
            compiled(model)(model, token, mask, cache)


def test_another_backend():
    with pytest.raises(ValueError, match=said("'eager'", "inductor, aot_eager")):
        fast.compile_decode(small(), backend="eager")


@pytest.mark.parametrize("first", [fast.packed, fast.int8, fast.int4])
@pytest.mark.parametrize("second", [fast.packed, fast.int8, fast.int4])
def test_a_model_whose_weights_were_changed_already(first, second):
    with pytest.raises(ValueError, match=said("layers.0", second.__name__)):
        second(first(small()))


def test_packed_in_float16_or_float64():
    for dtype in (torch.float16, torch.float64):
        with pytest.raises(ValueError, match=said(dtype, "torch.bfloat16")):
            fast.packed(small(dtype))


def test_packed_elsewhere_than_on_a_cpu():
    with torch.device("meta"):
        model = small()
    with pytest.raises(ValueError, match=said("meta", "CPUs")):
        fast.packed(model)


def test_rows_that_are_no_whole_groups():
    model = tiny.model(hidden_size=32, intermediate_size=48)
    with pytest.raises(ValueError, match=said("in_features 48", 32, "int8")):
        fast.int4(model)
