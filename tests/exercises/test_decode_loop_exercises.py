"""The faults of a fast decode step do what they say, and nothing else."""

import torch
from grades import accepts, rejects

from companion.exercises import (
    check_int4_product,
    check_int8_product,
    check_quantize_groups,
    check_static_cache,
    decode_loop,
)
from companion.exercises.decode_loop import (
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
    assert (
        apart(decode_loop.static_cache_unmasked(*full), over_the_filled(*full)) < 1e-6
    )


def test_empty_places_take_weight_from_the_filled():
    query, keys, values, length = static_cache_arguments()
    ones = torch.where(values != 0, 1.0, 0.0)
    sums = decode_loop.static_cache_unmasked(query, keys, ones, length)
    assert (sums < 0.9).all()


def test_without_the_mistake_8_bits_are_near():
    weight, x = square_product()
    quantized, scale = quantize_rows(weight)
    assert apart((quantized * x).sum(dim=-1) * scale, product(weight, x)) < 0.2


def test_scales_of_columns_are_right_where_all_are_equal():
    weight, x = square_product()
    weight = weight.sign()
    assert (
        apart(decode_loop.int8_scale_of_columns(weight, x), product(weight, x)) < 1e-4
    )


def test_128_is_wrong_where_the_largest_weight_is_positive():
    weight, x = square_product()
    weight = 0.5 * weight / weight.abs().max()
    for largest, off in ((-1.0, 0.0), (1.0, 2.0)):
        weight[:, 0] = largest
        wrong = product(weight, x) - decode_loop.int8_to_128(weight, x)
        assert (wrong - off * x[0]).abs().max() < 0.05


def test_the_order_of_halves_is_an_order_of_x():
    halves, scale, minimum, x = grouped_product()
    groups = x.view(-1, 32)
    low, high = groups[:, :16], groups[:, 16:]
    swapped = torch.cat((high, low), dim=-1).flatten()
    neighbors = torch.cat((groups[:, 0::2], groups[:, 1::2]), dim=-1).flatten()
    for wrong, order in (
        (decode_loop.int4_halves_swapped, swapped),
        (decode_loop.int4_halves_as_neighbors, neighbors),
    ):
        expected = product_of_groups(halves, scale, minimum, order)
        assert apart(wrong(halves, scale, minimum, x), expected) < 1e-4


def test_a_minimum_added_once_is_right_where_x_sums_to_one():
    *weight, x = grouped_product()
    groups = x.view(-1, 32)
    one = (groups + (1 - groups.sum(dim=-1, keepdim=True)) / 32).flatten()
    assert (
        apart(
            decode_loop.int4_minimum_once(*weight, one), product_of_groups(*weight, one)
        )
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


def answer(weight, *, largest=None, top=127, turn=torch.round, tiny=1e-12):
    groups = weight.unflatten(-1, (-1, 32))
    size = (largest or (lambda g: g.abs().amax(dim=-1)))(groups)
    scale = (size / top).clamp(min=tiny) if tiny else size / top
    steps = turn(groups / scale[..., None]).clamp(-128, 127)
    return steps.nan_to_num(0).flatten(1).to(torch.int8), scale


def per_row(weight):
    scale = weight.abs().amax(dim=-1) / 127
    return (weight / scale[:, None]).round().to(torch.int8), scale


def steps_of(weight, order):
    quantized, scale = answer(weight)
    return order(quantized), scale


def of_row(groups):
    return groups.abs().amax(dim=(-1, -2))[:, None].expand(-1, groups.shape[1])


def of_matrix(groups):
    return groups.abs().amax().expand(groups.shape[:2])


def zeros_are_one(weight):
    quantized, scale = answer(weight)
    quantized[2, :32] = 1
    return quantized, scale


test_accepts = accepts(
    check_quantize_groups,
    answer,
    lambda w: answer(w, tiny=None),  # any scale of a group of zeros
    lambda w: answer(w, turn=lambda steps: (steps + 0.5).floor()),  # any way of a tie
)

test_rejects = rejects(
    check_quantize_groups,
    (lambda w: answer(w, largest=lambda g: g.amax(-1).abs()), "takes the largest number"),
    (lambda w: answer(w, largest=lambda g: g.amax(-1) - g.amin(-1), top=255), "the spread"),
    (lambda w: answer(w, largest=of_row), "the largest of a whole row"),
    (lambda w: answer(w, largest=of_matrix), "the largest of the matrix"),
    (lambda w: answer(w, top=128), "128 is no int8"),
    (lambda w: answer(w, top=255), "255 is no int8"),
    (lambda w: answer(w, top=100), "^scale: it is off by"),
    (lambda w: (answer(w)[0], 1 / answer(w)[1]), "one over that"),
    (lambda w: (answer(w)[0], 127 * answer(w)[1]), "not yet divided by 127"),
    (lambda w: (answer(w)[0], answer(w)[1] / torch.zeros(6, 3)), "not finite"),
    (lambda w: answer(w, turn=torch.trunc), "cut off, not rounded"),
    (lambda w: steps_of(w, lambda q: q.view(6, 3, 32).flip(-1).view(6, 96)), r"\d\d% of the weights"),
    (zeros_are_one, "0 / 0 is no number"),
    (per_row, r"^scale has shape \(6,\)"),
    (lambda w: (answer(w)[0].float(), answer(w)[1]), "^int8 is torch.float32"),
    (lambda w: (answer(w)[0], answer(w)[1].double()), "^scale is torch.float64"),
    (lambda w: answer(w)[0], "returned a Tensor: it should be two"),
    (lambda w: w.missing, "it raises AttributeError"),
)  # fmt: skip


def masked_places(query, keys, values, length):
    scores = torch.einsum("bhqd,bhkd->bhqk", query, keys) / query.shape[-1] ** 0.5
    scores[..., length:] = -torch.inf
    return scores.softmax(-1) @ values


def one_place_more(query, keys, values, length):
    return over_the_filled(query, keys, values, min(length + 1, keys.shape[-2]))


test_accepts_static_cache = accepts(check_static_cache, over_the_filled, masked_places)

test_rejects_static_cache = rejects(
    check_static_cache,
    (decode_loop.static_cache_unmasked, "^with 5 of 8 places filled: The empty places"),
    (one_place_more, "^with 5 of 8 places filled: it is off by"),
    (lambda q, k, v, n: over_the_filled(q, k, v, 5), "^with 1 of 8 places"),
    (lambda q, k, v, n: over_the_filled(q, k, v, n)[0], "has shape"),
)


def int8_product(weight, x, *, top=127, turn=torch.round):
    scale = weight.abs().amax(dim=-1, keepdim=True) / top
    return ((turn(weight / scale) * scale) * x).sum(-1)


def row_by_row(weight, x):
    return torch.stack(
        [
            quantize_rows(row[None])[0][0].float() @ x * quantize_rows(row[None])[1][0]
            for row in weight
        ]
    )


test_accepts_int8 = accepts(check_int8_product, int8_product, row_by_row, product)

test_rejects_int8 = rejects(
    check_int8_product,
    (decode_loop.int8_scale_of_columns, "each row, an output, has one"),
    (decode_loop.int8_to_128, "has become -128"),
    (
        lambda w, x: int8_product(w, x, top=7),
        r"^for a weight \(32, 32\), the product is further off",
    ),
    (lambda w, x: w.T @ x if len(w) == 32 else w @ x, "further off"),
    (lambda w, x: (w @ x).double(), "float64"),
)


def one_weight_at_a_time(halves, scale, minimum, x):
    return product_of_groups(halves, scale, minimum, x)


def sums_first(halves, scale, minimum, x):
    quantized = torch.cat([halves % 16, halves // 16], dim=-1).float()
    groups = x.view(-1, 32)
    sums = torch.einsum("ogw,gw->og", quantized, groups)
    return (sums * scale + minimum * groups.sum(-1)).sum(-1)


test_accepts_int4 = accepts(check_int4_product, one_weight_at_a_time, sums_first)

test_rejects_int4 = rejects(
    check_int4_product,
    (decode_loop.int4_halves_swapped, "^for 8 rows of 64: The high half"),
    (decode_loop.int4_halves_as_neighbors, "taken for neighbors"),
    (decode_loop.int4_minimum_once, "minimum is added once"),
    (lambda h, s, m, x: sums_first(h, s, 0 * m, x), "off by up to"),
    (lambda h, s, m, x: sums_first(h, s, m, x)[:1], "has shape"),
)
