"""The cache's faults do what they say, and nothing else."""

import dataclasses
import re

import pytest
import torch
from grades import accepts, rejects

from companion import KVCache, causal_mask, show
from companion.exercises import check_decode_step, check_decoding, kv_cache
from companion.exercises.kv_cache import one_by_one, small_model, through_layers

IDS = torch.tensor([[1, 5, 2, 7, 3]])


@pytest.fixture
def model():
    return small_model().double()


def test_the_loop_without_a_mistake_is_right(model):
    def step(model, token, cache):
        def run(layer, x, cos_sin):
            return layer(x, past_key_values=cache, position_embeddings=cos_sin)

        return through_layers(model, token, cache.length, run)

    torch.testing.assert_close(one_by_one(model, IDS, step), model(IDS))


def test_positions_from_zero_and_keys_rotated_late_both_make_every_distance_zero(model):
    zero = torch.zeros_like(IDS)
    expected = model(IDS, position_ids=zero)
    for wrong in (kv_cache.decode_from_zero, kv_cache.decode_rope_after_cache):
        torch.testing.assert_close(wrong(model, IDS), expected, atol=1e-5, rtol=0)


def test_without_a_cache_that_stays_every_token_is_alone(model):
    alone = torch.cat([model(token) for token in IDS.split(1, dim=1)], dim=1)
    torch.testing.assert_close(kv_cache.decode_cache_forgotten(model, IDS), alone)


def test_a_top_left_step_reads_the_first_key_alone(model):
    wrong = kv_cache.decode_top_left(model, IDS)
    changed = IDS.clone()
    changed[0, 2] = 9
    apart = (kv_cache.decode_top_left(model, changed) - wrong).abs().amax(-1)[0]
    assert (apart > 0).tolist() == [False, False, True, False, False]


def test_one_layer_idx_leaves_a_model_of_one_layer_right(model):
    """The first layer of the first token still finds everything in its place."""
    wrong = kv_cache.decode_same_layer_idx(model, IDS)
    assert (wrong[:, 0] - model(IDS)[:, 0]).abs().max() > 1e-3
    model.config = dataclasses.replace(model.config, num_hidden_layers=1)
    model.model.layers = model.model.layers[:1]
    torch.testing.assert_close(kv_cache.decode_same_layer_idx(model, IDS), model(IDS))


def test_the_model_names_a_cache_whose_layers_were_given_one_number(model):
    for layer in model.model.layers:
        layer.self_attn.layer_idx = 0
    cache = KVCache(model.config, 1, 16, dtype=torch.float64)
    model(IDS, past_key_values=cache)
    with pytest.raises(ValueError, match=r"10 tokens in 1 of its 2 layers and 0"):
        model(IDS[:, :1], past_key_values=cache)


def test_the_figure_counts_the_cells_that_each_run_computes():
    masks = [causal_mask(2), causal_mask(2, 4), causal_mask(1, 5)]
    figure = show.calls_figure([("prompt", masks), ("whole", [causal_mask(5)])], "")
    assert figure.alt == (
        "prompt: 17 cells computed, calls made: 3; "
        "whole: 25 cells computed, calls made: 1"
    )
    first, whole = figure.panels
    places = re.findall(r'<rect x="(\d+)" y="(\d+)"', first)
    assert len(places) == len(set(places)) == 17
    assert max(places, key=lambda place: int(place[1]))[1] == str(42 + 4 * 30)
    assert [first.count(f">{number}<") for number in (1, 2, 3)] == [3, 7, 5]
    crossed_out = re.compile(r'<path d="M\d+ \d+L\d+ \d+" stroke="var\(--look-edge')
    assert len(crossed_out.findall(first)) == 2
    assert len(crossed_out.findall(whole)) == 10


def decode_step(model, token, cache):
    return model(token, past_key_values=cache)[:, -1]


def without_cache(model, token, cache):
    return model(token)[:, -1]


def without_positions(model, token, cache):
    zero = torch.zeros_like(token)
    return model(token, position_ids=zero, past_key_values=cache)[:, -1]


test_accepts = accepts(check_decode_step, decode_step)

test_rejects = rejects(
    check_decode_step,
    (without_cache, "holds 4 tokens"),
    (without_positions, "position 4"),
    (lambda m, token, c: m(token, past_key_values=c), "has shape"),
)  # fmt: skip


def prompt_then_steps(model, input_ids):
    cache = KVCache(model.config, len(input_ids), 8)
    logits = [model(input_ids[:, :1], past_key_values=cache)]
    for place in range(1, input_ids.shape[1]):
        token = input_ids[:, place : place + 1]
        logits.append(model(token, past_key_values=cache))
    return torch.cat(logits, dim=1)


test_accepts_decoding = accepts(
    check_decoding, prompt_then_steps, lambda model, ids: model(ids)
)

test_rejects_decoding = rejects(
    check_decoding,
    (
        kv_cache.decode_from_zero,
        "^with five tokens: Each token is decoded at position 0",
    ),
    (kv_cache.decode_top_left, "sees the first key alone"),
    (kv_cache.decode_cache_forgotten, "gets a new cache"),
    (kv_cache.decode_same_layer_idx, "^with one token: Every layer has layer_idx 0"),
    (kv_cache.decode_rope_after_cache, "rotated by the newest token's angle"),
    (
        lambda model, ids: prompt_then_steps(model, ids[:1]).expand(len(ids), -1, -1),
        "^with two rows",
    ),
    (lambda model, ids: model(ids)[:, -1:], "has shape"),
)
