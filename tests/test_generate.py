import pytest
import tiny
import torch
import torch.nn.functional as F

from companion import DynamicNTKScaling, KVCache, generate, generate_stream
from companion.generate import choose, decode, prefill
from companion.sampling import next_token_probabilities


def greedy(model, ids, steps):
    """Greedy generation as it is defined: the whole text anew for every token."""
    for _ in range(steps):
        ids = torch.cat([ids, model(ids)[:, -1].argmax(-1, keepdim=True)], dim=1)
    return ids


def test_greedy_equals_its_definition(device):
    model, ids = tiny.model(torch.float64).to(device), tiny.ids(3, 5).to(device)
    output = generate(model, ids, 20)
    assert torch.equal(output, greedy(model, ids, 20))
    assert output.unique().numel() > 5


@pytest.mark.parametrize("length", [1, 2, 9])
def test_prompt_is_in_front(length):
    model, ids = tiny.model(), tiny.ids(2, length)
    output = generate(model, ids, 4)
    assert output.shape == (2, length + 4)
    assert torch.equal(output[:, :length], ids)


def test_no_new_tokens():
    ids = tiny.ids(2, 5)
    assert torch.equal(generate(tiny.model(), ids, 0), ids)


def test_more_tokens_begin_with_the_fewer():
    model, ids = tiny.model(), tiny.ids(2, 5)
    assert torch.equal(generate(model, ids, 12)[:, :9], generate(model, ids, 4))


def test_dynamic_scaling_goes_beyond_the_original_length():
    scaling = DynamicNTKScaling(2.0, 8)
    model = tiny.model(max_position_embeddings=8, rope_scaling=scaling, head_dim=8)
    assert generate(model, tiny.ids(1, 5), 11).shape == (1, 16)
    with pytest.raises(ValueError, match="16 positions"):
        generate(model, tiny.ids(1, 5), 12)


def test_can_use_every_position_of_the_model():
    model = tiny.model(max_position_embeddings=8)
    assert generate(model, tiny.ids(1, 3), 5).shape == (1, 8)


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_stream_yields_the_same_tokens(temperature, device):
    model, ids = tiny.model().to(device), tiny.ids(3, 5).to(device)
    options = {"temperature": temperature, "seed": 4}
    streamed = list(generate_stream(model, ids, 8, **options))
    assert all(token.shape == (3,) for token in streamed)
    assert torch.equal(
        torch.stack(streamed, dim=1), generate(model, ids, 8, **options)[:, 5:]
    )


def test_stream_computes_one_token_at_a_time():
    model, lengths = tiny.model(), []
    model.model.register_forward_pre_hook(
        lambda _, args: lengths.append(args[0].shape[1])
    )
    stream = generate_stream(model, tiny.ids(1, 5), 4)
    assert lengths == []
    next(stream)
    assert lengths == [5]
    next(stream)
    assert lengths == [5, 1]
    assert len(list(stream)) == 2
    assert lengths == [5, 1, 1, 1]


def test_stream_leaves_gradients_as_they_were():
    stream = generate_stream(tiny.model(), tiny.ids(1, 5), 3)
    for _ in stream:
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_ids_can_be_trained_on(temperature):
    model, ids = tiny.model().requires_grad_(), tiny.ids(1, 5)
    whole = generate(model, ids, 3, temperature=temperature)
    untouched = generate(model, ids, 0)
    tokens = [*generate_stream(model, ids, 3, temperature=temperature)]
    for made in (whole, untouched, torch.stack(tokens, dim=1)):
        assert not made.is_inference()
        model(made).sum().backward()
    assert not any(token.is_inference() for token in tokens)


def test_cache_can_be_gone_on_from_with_gradients():
    model, cache = tiny.model().requires_grad_(), KVCache(tiny.config(), 1, 20)
    text = generate(model, tiny.ids(1, 5), 3, past_key_values=cache)
    larger = cache.resized(30)
    for made in (cache, larger):
        assert not made.keys.is_inference()
        assert not made.values.is_inference()
    logits = model(text[:, larger.length :], past_key_values=larger)
    assert logits.requires_grad


# ---- padding


def test_left_padded_batch_equals_single_prompts(device):
    model = tiny.model(torch.float64).to(device)
    rows = [
        torch.randint(tiny.VOCAB_SIZE, (length,), device=device) for length in (6, 3, 1)
    ]
    ids = torch.stack([torch.nn.functional.pad(row, (6 - len(row), 0)) for row in rows])
    mask = torch.stack(
        [
            torch.nn.functional.pad(torch.ones_like(row), (6 - len(row), 0))
            for row in rows
        ]
    )
    output = generate(model, ids, 12, attention_mask=mask)
    for row, batched in zip(rows, output, strict=True):
        assert torch.equal(batched[6:], generate(model, row[None], 12)[0, len(row) :])


def test_mask_of_ones_changes_nothing():
    model, ids = tiny.model(), tiny.ids(2, 5)
    assert torch.equal(
        generate(model, ids, 6, attention_mask=torch.ones_like(ids)),
        generate(model, ids, 6),
    )


# ---- stop tokens


def test_ends_with_the_stop_token():
    model, ids = tiny.model(), tiny.ids(1, 5)
    free = generate(model, ids, 20)[0, 5:].tolist()
    stop = free[6]
    assert (
        generate(model, ids, 20, stop_tokens=[stop])[0, 5:].tolist()
        == free[: free.index(stop) + 1]
    )


@pytest.mark.parametrize("stop", [0, tiny.VOCAB_SIZE - 1])
def test_the_first_and_the_last_token_of_the_vocabulary_stop(stop):
    def chooses_it(*step):
        return F.one_hot(torch.tensor([stop]), decode(*step).shape[-1]).float()

    written = generate(
        tiny.model(), tiny.ids(1, 5), 9, stop_tokens=[stop], decode=chooses_it
    )
    assert written[0, 6:].tolist() == [stop]


@pytest.mark.parametrize("never", [[-1], [10**4], [2**40], [2**70], [-(2**70), -1]])
def test_stop_token_outside_the_vocabulary_is_never_produced(never):
    model, ids = tiny.model(), tiny.ids(1, 5)
    free = generate(model, ids, 12)
    assert torch.equal(generate(model, ids, 12, stop_tokens=never), free)
    stop = int(free[0, 9])
    assert torch.equal(
        generate(model, ids, 12, stop_tokens=[*never, stop]),
        generate(model, ids, 12, stop_tokens=[stop]),
    )


def test_any_of_several_stop_tokens_ends():
    model, ids = tiny.model(), tiny.ids(1, 5)
    free = generate(model, ids, 20)[0, 5:].tolist()
    output = generate(model, ids, 20, stop_tokens={free[9], free[4]})[0, 5:].tolist()
    assert output == free[: min(free.index(free[4]), free.index(free[9])) + 1]


def test_sequence_that_stopped_repeats_its_stop_token_until_all_have():
    model, ids = tiny.model(), tiny.ids(2, 5)
    first, second = generate(model, ids, 20)[:, 5:].tolist()
    stop = [first[2], second[10]]
    ends = [
        min(i for i, token in enumerate(row) if token in stop)
        for row in (first, second)
    ]
    output = generate(model, ids, 20, stop_tokens=stop)[:, 5:].tolist()
    for row, free, end in zip(output, (first, second), ends, strict=True):
        assert row == free[: end + 1] + [free[end]] * (max(ends) - end)


def test_stop_token_in_the_prompt_does_not_stop():
    model, ids = tiny.model(), tiny.ids(1, 5)
    free = generate(model, ids, 6)
    stop = next(token for token in ids[0].tolist() if token not in free[0, 5:].tolist())
    assert torch.equal(generate(model, ids, 6, stop_tokens=[stop]), free)


def test_without_stop_tokens_nothing_stops():
    assert generate(tiny.model(), tiny.ids(2, 5), 30).shape == (2, 35)


# ---- sampling


def test_seed_makes_sampling_repeatable(device):
    model, ids = tiny.model().to(device), tiny.ids(2, 5).to(device)
    outputs = [
        generate(model, ids, 20, temperature=2.0, seed=seed) for seed in (1, 1, 2)
    ]
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_sampling_with_a_seed_leaves_torchs_own_generator_alone():
    model, ids = tiny.model(), tiny.ids(1, 5)
    before = torch.get_rng_state()
    generate(model, ids, 5, temperature=1.0, seed=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_sampling_without_a_seed_uses_torchs_own_generator():
    model, ids = tiny.model(), tiny.ids(1, 5)
    outputs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outputs.append(generate(model, ids, 20, temperature=2.0))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_greedy_ignores_the_seed():
    model, ids = tiny.model(), tiny.ids(1, 5)
    assert torch.equal(generate(model, ids, 8, seed=1), generate(model, ids, 8, seed=2))


def test_low_temperature_is_nearly_greedy():
    model, ids = tiny.model(), tiny.ids(2, 5)
    assert torch.equal(
        generate(model, ids, 10, temperature=1e-4, seed=0), generate(model, ids, 10)
    )


def test_choose_takes_the_likeliest():
    assert choose(torch.tensor([[0.0, 2, 1], [3, -1, 0]]), 0.0).tolist() == [1, 0]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_choose_draws_by_softmax_of_logits_over_temperature(temperature):
    logits = torch.tensor([[0.0, 1.0, 2.0, -1.0]])
    drawn = choose(
        logits.expand(20000, 4), temperature, torch.Generator().manual_seed(0)
    )
    shares = drawn.bincount(minlength=4) / 20000
    torch.testing.assert_close(
        shares, torch.softmax(logits[0] / temperature, dim=-1), atol=0.015, rtol=0
    )


@pytest.mark.parametrize("limits", [{"top_k": 3}, {"top_p": 0.7}])
def test_generate_draws_within_the_limits(limits):
    model, ids = tiny.model(), tiny.ids(2, 5)
    output = generate(model, ids, 20, temperature=3.0, seed=1, **limits)
    assert not torch.equal(output, generate(model, ids, 20, temperature=3.0, seed=1))
    logits = model(output[:, :-1])[:, 4:]
    for row, tokens in zip(logits, output[:, 5:], strict=True):
        shares = next_token_probabilities(row, 3.0, **limits)
        assert (shares.gather(1, tokens[:, None]) > 0).all()


def test_top_k_of_one_is_greedy():
    model, ids = tiny.model(), tiny.ids(2, 5)
    options = {"temperature": 5.0, "top_k": 1}
    assert torch.equal(generate(model, ids, 8, **options), generate(model, ids, 8))


def test_sampled_stream_has_the_same_tokens():
    model, ids = tiny.model(), tiny.ids(2, 5)
    options = {"temperature": 1.5, "top_k": 20, "top_p": 0.9, "seed": 3}
    streamed = torch.stack(list(generate_stream(model, ids, 8, **options)), dim=1)
    assert torch.equal(streamed, generate(model, ids, 8, **options)[:, 5:])


# ---- a cache kept between calls


def padded(*lengths):
    """A batch of prompts padded on the left, and its mask."""
    longest = max(lengths)
    ids = tiny.ids(len(lengths), longest)
    mask = torch.arange(longest) >= longest - torch.tensor(lengths)[:, None]
    return ids * mask, mask.long()


def ones(like, count):
    return torch.ones(len(like), count, dtype=like.dtype)


@pytest.mark.parametrize("lengths", [(5,), (5, 2, 4)])
def test_continued_calls_equal_one(lengths):
    model, cache = (
        tiny.model(torch.float64),
        KVCache(tiny.config(), len(lengths), 30, dtype=torch.float64),
    )
    ids, mask = padded(*lengths)
    more = tiny.ids(len(lengths), 3)
    text = generate(model, ids, 6, attention_mask=mask, past_key_values=cache)
    assert torch.equal(text, generate(model, ids, 6, attention_mask=mask))
    assert cache.length == ids.shape[1] + 5
    text = torch.cat([text, more], dim=1)
    mask = torch.cat([mask, ones(mask, 9)], dim=1)
    whole = generate(model, text, 7, attention_mask=mask)
    again = generate(model, text, 7, attention_mask=mask, past_key_values=cache)
    assert torch.equal(again, whole)
    assert cache.length == text.shape[1] + 6


def test_continued_logits_are_those_of_one_run():
    model = tiny.model(torch.float64)
    cache = KVCache(model.config, 3, 20, dtype=torch.float64)
    ids, mask = padded(5, 2, 4)
    text = generate(model, ids, 6, attention_mask=mask, past_key_values=cache)
    mask = torch.cat([mask, ones(mask, 6)], dim=1)
    continued = prefill(model, text, mask, cache)
    fresh = KVCache(model.config, 3, 20, dtype=torch.float64)
    torch.testing.assert_close(
        continued, prefill(model, text, mask, fresh), atol=1e-12, rtol=0
    )


def test_continued_call_runs_only_what_is_new():
    model, lengths = tiny.model(), []
    model.model.register_forward_pre_hook(
        lambda _, args: lengths.append(args[0].shape[1])
    )
    cache = KVCache(model.config, 1, 30)
    text = generate(model, tiny.ids(1, 5), 3, past_key_values=cache)
    text = torch.cat([text, tiny.ids(1, 4)], dim=1)
    generate(model, text, 2, past_key_values=cache)
    assert lengths == [5, 1, 1, 5, 1]  # the last token chosen, and the four new ones


def test_cropped_cache_goes_another_way():
    model, cache = (
        tiny.model(torch.float64),
        KVCache(tiny.config(), 1, 30, dtype=torch.float64),
    )
    text = generate(model, tiny.ids(1, 5), 8, past_key_values=cache)
    cache.crop(6)
    other = torch.cat([text[:, :6], tiny.ids(1, 4)], dim=1)
    cache = cache.resized(40)
    assert torch.equal(
        generate(model, other, 9, past_key_values=cache), generate(model, other, 9)
    )


def test_cache_may_be_exactly_as_long_as_needed():
    model, cache = tiny.model(), KVCache(tiny.config(), 1, 8)
    generate(model, tiny.ids(1, 5), 4, past_key_values=cache)
    assert cache.length == cache.max_length == 8


def test_stream_that_is_left_can_be_gone_on_from():
    model, ids = tiny.model(torch.float64), tiny.ids(1, 5)
    cache = KVCache(model.config, 1, 30, dtype=torch.float64)
    stream = generate_stream(model, ids, 20, past_key_values=cache)
    text = torch.cat([ids, *(next(stream)[:, None] for _ in range(4))], dim=1)
    stream.close()
    assert cache.length == 8
    assert torch.equal(
        generate(model, text, 6, past_key_values=cache), generate(model, ids, 10)
    )


def test_bool_mask_is_the_mask_of_ones_and_zeros():
    model = tiny.model()
    ids, mask = padded(5, 2)
    assert torch.equal(
        generate(model, ids, 6, attention_mask=mask.bool()),
        generate(model, ids, 6, attention_mask=mask),
    )


# ---- the two steps


def test_prefill_and_decode_give_the_logits_of_the_last_token():
    model, ids = tiny.model(torch.float64), tiny.ids(2, 6)
    cache = KVCache(model.config, 2, 6, dtype=torch.float64)
    mask = torch.ones(2, 6, dtype=torch.long)
    after_prompt = prefill(model, ids[:, :5], mask[:, :5], cache)
    after_next = decode(model, ids[:, 5], mask, cache)
    full = model(ids)
    torch.testing.assert_close(after_prompt, full[:, 4], atol=5e-14, rtol=0)
    torch.testing.assert_close(after_next, full[:, 5], atol=5e-14, rtol=0)
    assert cache.length == 6
