"""The faults of a fast decode step do what they say, and nothing else."""

import torch

from companion.exercises import decode_mistakes as mistakes
from companion.exercises.decode_faults import (
    LENGTH,
    grouped_product,
    over_the_filled,
    product,
    product_of_groups,
    square_product,
    static_cache_arguments,
)
from companion.fast.quantized import quantize_groups, quantize_rows


def apart(a, b):
    return (a - b).abs().max()


def test_a_full_cache_needs_no_mask():
    query, keys, values, _ = static_cache_arguments()
    full = query, keys[..., :LENGTH, :], values[..., :LENGTH, :], LENGTH
    assert apart(mistakes.static_cache_unmasked(*full), over_the_filled(*full)) < 1e-6


def test_empty_places_take_weight_from_the_filled():
    query, keys, values, length = static_cache_arguments()
    ones = torch.where(values != 0, 1.0, 0.0)
    sums = mistakes.static_cache_unmasked(query, keys, ones, length)
    assert (sums < 0.9).all()


def test_without_the_mistake_8_bits_are_near():
    weight, x = square_product()
    quantized, scale = quantize_rows(weight)
    assert apart((quantized * x).sum(dim=-1) * scale, product(weight, x)) < 0.2


def test_scales_of_columns_are_right_where_all_are_equal():
    weight, x = square_product()
    weight = weight.sign()
    assert apart(mistakes.int8_scale_of_columns(weight, x), product(weight, x)) < 1e-4


def test_128_is_wrong_where_the_largest_weight_is_positive():
    weight, x = square_product()
    weight = 0.5 * weight / weight.abs().max()
    for largest, off in ((-1.0, 0.0), (1.0, 2.0)):
        weight[:, 0] = largest
        wrong = product(weight, x) - mistakes.int8_to_128(weight, x)
        assert (wrong - off * x[0]).abs().max() < 0.05


def test_the_order_of_halves_is_an_order_of_x():
    halves, scale, minimum, x = grouped_product()
    groups = x.view(-1, 32)
    low, high = groups[:, :16], groups[:, 16:]
    swapped = torch.cat((high, low), dim=-1).flatten()
    neighbors = torch.cat((groups[:, 0::2], groups[:, 1::2]), dim=-1).flatten()
    for wrong, order in (
        (mistakes.int4_halves_swapped, swapped),
        (mistakes.int4_halves_as_neighbors, neighbors),
    ):
        expected = product_of_groups(halves, scale, minimum, order)
        assert apart(wrong(halves, scale, minimum, x), expected) < 1e-4


def test_a_minimum_added_once_is_right_where_x_sums_to_one():
    *weight, x = grouped_product()
    groups = x.view(-1, 32)
    one = (groups + (1 - groups.sum(dim=-1, keepdim=True)) / 32).flatten()
    assert (
        apart(mistakes.int4_minimum_once(*weight, one), product_of_groups(*weight, one))
        < 1e-4
    )


def test_the_unpacked_weights_are_near_those_that_were_packed():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(8, 64, generator=generator)
    halves, scale, minimum = quantize_groups(weight)
    unit = torch.eye(64)
    back = torch.stack(
        [product_of_groups(halves, scale, minimum, x) for x in unit], dim=1
    )
    assert ((back - weight).abs() <= 0.51 * scale.repeat_interleave(32, dim=1)).all()
