"""Under torch.autocast a model computes what Hugging Face's does, through a cache too."""

import pytest
import tiny
import torch
import transformers

from companion import KVCache, fast, generate, generate_stream
from companion.cache import key_dtype
from companion.hugging_face import from_hugging_face

SIZES = {
    "vocab_size": tiny.VOCAB_SIZE,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,
}
NARROW = torch.bfloat16, torch.float16


def both(dtype=torch.float32):
    config = transformers.LlamaConfig(**SIZES)
    theirs = transformers.LlamaForCausalLM._from_config(
        config, attn_implementation="eager", dtype=dtype
    )
    theirs = theirs.eval().requires_grad_(False)
    return theirs, from_hugging_face(theirs)


@pytest.mark.parametrize("narrow", NARROW)
def test_logits_and_tokens_are_theirs(narrow):
    theirs, ours = both()
    ids, mask = tiny.ids(2, 6), torch.ones(2, 6, dtype=torch.long)
    mask[1, :2] = 0
    options = {"attention_mask": mask, "max_new_tokens": 8}
    with torch.autocast("cpu", dtype=narrow), torch.inference_mode():
        expected = theirs(ids, attention_mask=mask).logits
        found = ours(ids, mask)
        tokens = theirs.generate(ids, do_sample=False, pad_token_id=0, **options)
        assert torch.equal(generate(ours, ids, **options), tokens)
    assert found.dtype == expected.dtype == narrow
    real = mask.bool()
    assert torch.equal(found[real], expected[real])


@pytest.mark.parametrize("narrow", NARROW)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_a_cache_loses_nothing(dtype, narrow):
    _, ours = both(dtype)
    ids = tiny.ids(2, 9)
    with torch.autocast("cpu", dtype=narrow), torch.inference_mode():
        held = key_dtype(ours.dtype, ours.device)
        cache = KVCache(ours.config, 2, 9, dtype=held)
        first = ours(ids[:, :4], past_key_values=cache)
        rest = ours(ids[:, 4:], past_key_values=cache)
        expected = ours(ids)
    torch.testing.assert_close(
        torch.cat([first, rest], dim=1), expected, rtol=0, atol=1e-13
    )


@pytest.mark.parametrize("given", [torch.float32, torch.bfloat16])
def test_a_cache_of_either_dtype_is_taken(given):
    _, ours = both()
    ids, cache = tiny.ids(1, 5), KVCache(both()[1].config, 1, 12, dtype=given)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = generate(ours, ids, 7, past_key_values=cache)
        assert torch.equal(found, generate(ours, ids, 7))


def test_a_stream_may_leave_autocast_in_the_middle():
    _, ours = both()
    ids = tiny.ids(1, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = generate(ours, ids, 1)
        stream = generate_stream(ours, ids, 4)
        first = next(stream)
    assert torch.equal(first, expected[0, 5:])
    assert len(list(stream)) == 3


def test_a_key_that_a_cache_would_round_is_refused():
    _, ours = both()
    cache = KVCache(ours.config, 1, 12, dtype=torch.bfloat16)
    with (
        torch.autocast("cpu", dtype=torch.float16),
        pytest.raises(
            ValueError, match=r"key of layer 0 is torch.float16.*dtype=torch"
        ),
    ):
        ours(tiny.ids(1, 3), past_key_values=cache)


@pytest.mark.parametrize("name", ["tiled", "blocks", "sdpa"])
def test_each_form_of_attention(name):
    _, ours = both()
    ids = tiny.ids(2, 9)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode():
        expected = ours(ids)
        for layer in ours.model.layers:
            layer.self_attn.attend = fast.attention[name]
        found = ours(ids)
    exact = ours.double()(ids)
    assert found.dtype == torch.bfloat16
    error, plain = ((x - exact).abs().max() for x in (found, expected))
    assert 0 < error <= 2 * plain


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_packed_computes_what_the_model_does(dtype):
    _, ours = both(dtype)
    ids, packed = tiny.ids(2, 5), fast.packed(ours)
    for narrow in NARROW:
        with torch.autocast("cpu", dtype=narrow), torch.inference_mode():
            assert torch.equal(packed(ids), ours(ids))


def test_compiled_programs_compute_in_the_weights_dtype():
    _, ours = both()
    ids = tiny.ids(2, 6)
    expected = generate(ours, ids, 8)
    prefill = fast.compile_prefill(ours, fast.attention["plain"], "aot_eager")
    step = fast.compile_decode(prefill, "aot_eager")
    with torch.autocast("cpu", dtype=torch.bfloat16):  # traced under it, too
        found = generate(prefill, ids, 8, decode=step)
    assert torch.equal(found[:, :7], expected[:, :7])
    assert torch.equal(generate(prefill, ids, 8, decode=step), expected)


def test_gradients_flow_behind_a_generation():
    ours = both()[1].requires_grad_()
    ids = tiny.ids(1, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        text = generate(ours, ids, 3)
        ours(text).float().square().mean().backward()
    assert all(x.grad is not None and x.grad.any() for x in ours.parameters())
