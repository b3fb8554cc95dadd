"""What a fault's symptom says can be seen."""

import pytest
import torch

import companion.attention
from companion import apply_rope, repeat_kv, split_heads
from companion.exercises import FAULTS
from companion.rope import rope_cos_sin


def apart(name, *arguments):
    """How far wrong and right are apart for each token, the largest of all features."""
    fault = FAULTS[name]
    arguments = arguments or fault.arguments()
    off = (fault.wrong(*arguments) - fault.right(*arguments)).abs()
    return off.amax(dim=[d for d in range(off.ndim) if d != off.ndim - 2])


def row_sums(name):
    """What a query's weights sum to: the output for values of 1."""
    query, key, value, *rest = FAULTS[name].arguments()
    value = (value != 0).float()  # empty places of a cache stay 0
    return FAULTS[name].wrong(query, key, value, *rest)[0, 0, :, 0]


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("softmax_over_queries", 0.12, 2.52),
        ("mask_after_softmax", 0.09, 1.0),
        ("static_cache_unmasked", 0.6, 0.6),
        ("tiled_without_rescale", 1.0, 1.0),
        ("tiled_sum_not_rescaled", 0.88, 1.0),
        ("tiled_max_of_the_block", 1.0, 1.0),
        ("tiled_mask_after_exp", 0.15, 1.0),
        ("tiled_skips_the_diagonal", 1.0, 1.0),
    ],
)
def test_weights_sum_to_what_is_said(name, least, most):
    sums = row_sums(name)
    assert sums.min().item() == pytest.approx(least, abs=6e-3)
    assert sums.max().item() == pytest.approx(most, abs=6e-3)


@pytest.mark.parametrize(
    ("name", "right"),
    [
        *((name, [0]) for name in FAULTS if name.startswith("rope_")),
        ("layer_rope_on_value", [0]),
        ("layer_without_rope", [0]),
        ("layer_not_causal", [4]),
        ("decode_from_zero", [0]),
        ("decode_top_left", [0]),
        ("decode_same_layer_idx", []),
        ("cross_causal", [4]),
        ("decoder_sees_ahead", [4]),
        ("encoder_pre_norm", []),
    ],
)
def test_one_token_is_right_or_none(name, right):
    arguments = FAULTS[name].arguments()
    if name.startswith("rope_"):
        x = arguments[0]
        arguments = x, *rope_cos_sin(torch.arange(x.shape[-2])[None], 8, 10000.0)
    rows = apart(name, *arguments)
    assert (rows < 1e-5).nonzero().flatten().tolist() == right


def test_where_a_fault_is_none():
    one, four = torch.randn(1, 1, 3, 8), torch.randn(1, 4, 3, 8)
    tiled, by_view = FAULTS["kv_tiled"].wrong, FAULTS["heads_by_view"].wrong
    assert torch.equal(tiled(one, 4), repeat_kv(one, 4))
    assert torch.equal(tiled(four, 1), repeat_kv(four, 1))
    x = torch.randn(1, 1, 8)
    assert torch.equal(by_view(x, 2), split_heads(x, 2))
    assert not torch.equal(FAULTS["heads_interleaved"].wrong(x, 2), split_heads(x, 2))
    layer, x, positions = FAULTS["layer_norms_exchanged"].arguments()
    for norm in (layer.input_layernorm, layer.post_attention_layernorm):
        norm.weight.fill_(1.0)
    assert apart("layer_norms_exchanged", layer, x, positions).max() < 1e-5


def test_norms_are_off_as_far_as_is_said():
    wrong, right = FAULTS["norm_cast_late"].run()
    assert 0.2 < (wrong != right).float().mean() < 0.3
    wrong, right = FAULTS["norm_eps_outside"].run()
    assert 0.4 < ((wrong - right) / right).abs().mean() < 0.6
    x, weight, eps = FAULTS["norm_mean_subtracted"].arguments()
    assert apart("norm_eps_outside", x, weight, eps).max() < 1e-4
    assert not FAULTS["norm_not_widened"].run()[0].any()


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("int8_scale_of_columns", 0.32),
        ("int4_halves_swapped", 1.36),
        ("int4_halves_as_neighbors", 1.78),
        ("int4_minimum_once", 0.92),
    ],
)
def test_products_are_off_by_a_share_of_their_size(name, share):
    wrong, right = FAULTS[name].run()
    assert ((wrong - right).norm() / right.norm()).item() == pytest.approx(
        share, abs=0.02
    )


def test_the_source_does_not_count_where_cross_attention_has_no_memory():
    layer, x, memory = FAULTS["cross_without_memory"].arguments()
    wrong = FAULTS["cross_without_memory"].wrong
    assert torch.equal(wrong(layer, x, memory), wrong(layer, x, 2 * memory))


def test_a_rotation_backwards_turns_the_distance_around():
    """A key three tokens before counts as if it were three tokens after."""
    query, key = torch.randn(2, 1, 1, 1, 8)
    angles = {p: rope_cos_sin(torch.tensor([[p]]), 8, 10000.0) for p in (2, 5)}
    backwards = FAULTS["rope_backwards"].wrong
    wrong = backwards(query, *angles[5]) @ backwards(key, *angles[2]).mT
    after = apply_rope(query, *angles[2]) @ apply_rope(key, *angles[5]).mT
    torch.testing.assert_close(wrong, after)


@pytest.mark.parametrize(
    ("scale", "largest"), [(1 / 8, 0.8), (1.0, 0.97), (1 / 64, 0.4)]
)
def test_without_the_right_scale_weights_are_too_uneven_or_too_even(
    bundled, monkeypatch, scale, largest
):
    model, tokenizer = bundled
    right, found = companion.attention.attention_weights, []

    def weights(query, key, mask, is_causal, _):
        made = right(query, key, mask, is_causal, scale)
        found.append(made.amax(-1)[..., 1:].mean().item())  # of the first row it is 1
        return made

    monkeypatch.setattr("companion.attention.attention_weights", weights)
    with torch.inference_mode():
        model(torch.tensor([tokenizer.encode("The sun rises in the")]))
    assert sum(found) / len(found) == pytest.approx(largest, abs=6e-3)
