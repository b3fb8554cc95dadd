"""A model's answer does not depend on how its prompt is cut, padded, or put beside others."""

from functools import cache
from itertools import pairwise

import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import assert_close, each_form, fewer, generator, permutation, seeds

from companion import (
    KVCache,
    LlamaForCausalLM,
    fast,
    generate,
    position_ids_from_mask,
)

lengths = st.integers(1, 9)
batches = st.integers(1, 3)


@cache
def model(form="plain"):
    """The same weights for every form."""
    torch.manual_seed(0)
    weights = tiny.model(torch.float64).state_dict()
    made = LlamaForCausalLM(tiny.config(), fast.attention[form])
    made.load_state_dict(weights, assign=True)
    return made.requires_grad_(False).eval()


def ids(seed, batch, length):
    size = {"high": tiny.VOCAB_SIZE, "size": (batch, length)}
    return torch.randint(**size, generator=generator(seed))


def new_cache(batch, max_length):
    return KVCache(tiny.config(), batch, max_length, dtype=torch.float64)


@st.composite
def chunks(draw, length):
    """Where each chunk starts, and the end: from all at once to one token at a time."""
    cuts = draw(st.sets(st.integers(1, length - 1))) if length > 1 else ()
    return list(pairwise([0, *sorted(cuts), length]))


@st.composite
def padded(draw, lengths=lengths):
    """attention_masks with at least one real token each, padding left, right and between."""
    length, batch = draw(lengths), draw(batches)
    marks = st.lists(st.integers(0, 1), min_size=length, max_size=length).filter(any)
    return torch.tensor(draw(st.lists(marks, min_size=batch, max_size=batch)))


@each_form
@given(data=st.data(), length=lengths, batch=batches, seed=seeds)
def test_a_prompt_in_any_chunks_gives_what_it_gives_at_once(
    form, data, length, batch, seed
):
    """Through a cache, with room left or none."""
    input_ids = ids(seed, batch, length)
    held = new_cache(batch, length + data.draw(st.integers(0, 2)))
    outputs = [
        model(form)(input_ids[:, start:end], past_key_values=held)
        for start, end in data.draw(chunks(length))
    ]
    assert_close(torch.cat(outputs, dim=1), model()(input_ids))


@each_form
@given(data=st.data(), mask=padded(), seed=seeds)
def test_a_padded_prompt_in_any_chunks_gives_what_it_gives_at_once(
    form, data, mask, seed
):
    """The mask counts what is cached; padding may be anywhere, in a chunk of its own too."""
    input_ids, positions = ids(seed, *mask.shape), position_ids_from_mask(mask)
    held = new_cache(*mask.shape)
    outputs = [
        model(form)(
            input_ids[:, start:end], mask[:, :end], positions[:, start:end], held
        )
        for start, end in data.draw(chunks(mask.shape[1]))
    ]
    at_once = model()(input_ids, mask, positions)
    assert_close(torch.cat(outputs, dim=1), at_once)
    assert at_once.isfinite().all()


@each_form
@given(mask=padded(), seed=seeds)
def test_a_padded_batch_gives_what_each_text_gives_alone(form, mask, seed):
    """At its real tokens, with padding at the left, at the right and in the middle."""
    input_ids = ids(seed, *mask.shape)
    output = model(form)(input_ids, mask, position_ids_from_mask(mask))
    for tokens, real, ours in zip(input_ids, mask == 1, output, strict=True):
        assert_close(ours[real], model()(tokens[real][None])[0])


@each_form
@given(mask=padded(), seed=seeds)
def test_what_padding_holds_changes_no_real_token(form, mask, seed):
    """Exactly: whatever ids are there."""
    real, positions = mask == 1, position_ids_from_mask(mask)
    first = ids(seed, *mask.shape)
    second = torch.where(real, first, ids(seed + 1, *mask.shape))
    outputs = [model(form)(each, mask, positions)[real] for each in (first, second)]
    assert torch.equal(*outputs)


@each_form
@given(data=st.data(), length=lengths, seed=seeds)
def test_a_later_token_never_changes_an_earlier_logit(form, data, length, seed):
    """Exactly, in the whole model."""
    seen = data.draw(st.integers(0, length))
    first = ids(seed, 2, length)
    second = torch.cat([first[:, :seen], ids(seed + 1, 2, length - seen)], dim=1)
    outputs = [model(form)(each)[:, :seen] for each in (first, second)]
    assert torch.equal(*outputs)


@given(length=lengths, batch=batches, shift=st.integers(0, 60), seed=seeds)
@fewer(2)
def test_only_distances_of_positions_matter_to_a_model(length, batch, shift, seed):
    """RoPE's angles are float32, and so is what is left of a shift."""
    input_ids, positions = ids(seed, batch, length), torch.arange(length)[None]
    shifted = model()(input_ids, position_ids=positions + shift)
    assert_close(shifted, model()(input_ids), 1e-3)


@given(length=lengths, batch=batches, seed=seeds)
@fewer(2)
def test_texts_of_a_batch_have_no_order(length, batch, seed):
    input_ids, order = ids(seed, batch, length), permutation(seed, batch)
    assert_close(model()(input_ids[order]), model()(input_ids)[order])


@given(data=st.data(), length=lengths, seed=seeds)
@fewer(2)
def test_what_was_cropped_was_never_there(data, length, seed):
    """Back to any length and on with other tokens: drafts that were refused leave nothing."""
    kept = data.draw(st.integers(0, length))
    input_ids, draft = ids(seed, 2, length + 3), ids(seed + 1, 2, length)
    held = new_cache(2, length + 3)
    model()(torch.cat([input_ids[:, :kept], draft[:, kept:]], 1), past_key_values=held)
    held.crop(kept)
    output = model()(input_ids[:, kept:], past_key_values=held)
    assert_close(output, model()(input_ids)[:, kept:])


@given(data=st.data(), batch=batches, length=st.integers(1, 6), seed=seeds)
@fewer(4)
def test_a_batch_writes_what_each_text_writes_alone(data, batch, length, seed):
    """Padded at the left; and gaps between real tokens change nothing."""
    mask = data.draw(padded(st.just(length)))
    mask[:, -1] = 1  # generate refuses padding at the right
    input_ids = ids(seed, *mask.shape)
    together = generate(model(), input_ids, 4, attention_mask=mask)[:, length:]
    for tokens, real, written in zip(input_ids, mask == 1, together, strict=True):
        alone = generate(model(), tokens[real][None], 4)[0, -4:]
        assert torch.equal(written, alone)
