import math

import pytest
import torch
import torch.nn.functional as F

from companion import attention_weights, causal_mask, scaled_dot_product_attention

INF = math.inf

# query, key and value shapes; head_dim and value_dim differ so that no axis passes for another
SHAPES = {
    "2-D": ((3, 4), (5, 4), (5, 6)),
    "3-D": ((2, 3, 4), (2, 5, 4), (2, 5, 6)),
    "4-D": ((2, 3, 3, 4), (2, 3, 5, 4), (2, 3, 5, 6)),
    "5-D": ((2, 1, 3, 3, 4), (2, 1, 3, 5, 4), (2, 1, 3, 5, 6)),
    "broadcast key": ((2, 3, 3, 4), (1, 3, 5, 4), (1, 3, 5, 6)),
    "broadcast query": ((1, 3, 3, 4), (2, 3, 5, 4), (2, 3, 5, 6)),
    "fewer axes": ((2, 3, 3, 4), (3, 5, 4), (5, 6)),
    "one query": ((2, 3, 1, 4), (2, 3, 5, 4), (2, 3, 5, 6)),
    "more queries than keys": ((2, 3, 7, 4), (2, 3, 5, 4), (2, 3, 5, 6)),
    "one key": ((2, 3, 3, 4), (2, 3, 1, 4), (2, 3, 1, 6)),
    "no batch": ((0, 3, 3, 4), (0, 3, 5, 4), (0, 3, 5, 6)),
    "no query": ((2, 3, 0, 4), (2, 3, 5, 4), (2, 3, 5, 6)),
}
TOLERANCE = {
    torch.float64: 1e-14,
    torch.float32: 2e-6,
    torch.float16: 4e-3,
    torch.bfloat16: 3e-2,
}


def tensors(shapes, dtype=torch.float32, device="cpu"):
    return [torch.randn(shape, dtype=dtype, device=device) for shape in shapes]


def make_mask(kind, query, key):
    """A mask of every kind, in the shape (q_len, kv_len)."""
    q_len, kv_len = query.shape[-2], key.shape[-2]
    allowed = torch.rand(q_len, kv_len, device=query.device) < 0.6
    allowed[:, :1] = True
    numbers = torch.randn(q_len, kv_len, device=query.device)
    return {
        "none": None,
        "bool": allowed,
        "row with nothing allowed": allowed
        & (torch.arange(q_len, device=query.device) != 1)[:, None],
        "nothing allowed": torch.zeros_like(allowed),
        "one row for all queries": allowed[:1],
        "float32": numbers,
        "float of the query's dtype": numbers.to(query.dtype),
        "float with -inf": numbers.masked_fill(~allowed, -INF),
        "float row of -inf": numbers.masked_fill(
            (torch.arange(q_len, device=query.device) == 1)[:, None], -INF
        ),
        "lowest number": torch.zeros_like(numbers, dtype=query.dtype).masked_fill(
            ~allowed, torch.finfo(query.dtype).min
        ),
    }[kind]


MASKS = (
    "none",
    "bool",
    "row with nothing allowed",
    "nothing allowed",
    "one row for all queries",
    "float32",
    "float of the query's dtype",
    "float with -inf",
    "float row of -inf",
    "lowest number",
)


def assert_as_torch(query, key, value, **options):
    expected = F.scaled_dot_product_attention(query, key, value, **options)
    output = scaled_dot_product_attention(query, key, value, **options)
    assert output.dtype == expected.dtype
    tolerance = TOLERANCE[query.dtype]
    torch.testing.assert_close(output, expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
def test_equals_torch(shapes, mask, dtype, device):
    query, key, value = tensors(shapes, dtype, device)
    assert_as_torch(query, key, value, attn_mask=make_mask(mask, query, key))


@pytest.mark.parametrize("scale", [0.0, 0.3, 1.0, -2.0])
@pytest.mark.parametrize("mask", ["none", "bool", "float32"])
def test_scale_equals_torch(scale, mask, device):
    query, key, value = tensors(SHAPES["4-D"], device=device)
    assert_as_torch(
        query, key, value, attn_mask=make_mask(mask, query, key), scale=scale
    )


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
def test_is_causal_equals_torch(shapes, device):
    assert_as_torch(*tensors(shapes, device=device), is_causal=True)


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"scale": 0.3}], ids=str)
@pytest.mark.parametrize("kv_heads", [1, 2, 3, 6])
def test_enable_gqa_equals_torch(kv_heads, options, device):
    shapes = (2, 6, 3, 4), (2, kv_heads, 5, 4), (2, kv_heads, 5, 6)
    assert_as_torch(*tensors(shapes, device=device), enable_gqa=True, **options)


@pytest.mark.parametrize(
    "shapes",
    [
        ((6, 3, 4), (2, 5, 4), (2, 5, 6)),
        ((2, 6, 3, 4), (1, 2, 5, 4), (1, 2, 5, 6)),
        ((2, 1, 6, 3, 4), (2, 1, 3, 5, 4), (2, 1, 3, 5, 6)),
    ],
)
def test_enable_gqa_with_other_batch_axes_equals_torch(shapes, device):
    assert_as_torch(*tensors(shapes, device=device), enable_gqa=True)


@pytest.mark.parametrize(
    "mask_shape",
    [
        (3, 5),
        (1, 5),
        (3, 1),
        (1, 1),
        (2, 1, 3, 5),
        (1, 4, 3, 5),
        (2, 1, 1, 5),
        (4, 3, 5),
    ],
)
@pytest.mark.parametrize("kind", [torch.bool, torch.float32], ids=str)
def test_mask_broadcasts_as_in_torch(mask_shape, kind, device):
    query, key, value = tensors(
        ((2, 4, 3, 8), (2, 4, 5, 8), (2, 4, 5, 8)), device=device
    )
    mask = (
        torch.rand(mask_shape, device=device) < 0.5
        if kind == torch.bool
        else torch.randn(mask_shape, device=device)
    )
    output = scaled_dot_product_attention(query, key, value, attn_mask=mask)
    # on a GPU torch refuses a mask whose last axis is 1
    inputs = (x.cpu() for x in (query, key, value, mask))
    expected = F.scaled_dot_product_attention(*inputs).to(device)
    torch.testing.assert_close(output, expected, atol=2e-6, rtol=2e-6)


def test_mask_may_have_one_axis_or_none():
    query, key, value = tensors(SHAPES["4-D"])
    last_key_hidden = torch.tensor([True, True, True, True, False])
    output = scaled_dot_product_attention(query, key, value, attn_mask=last_key_hidden)
    torch.testing.assert_close(
        output,
        F.scaled_dot_product_attention(query, key[..., :4, :], value[..., :4, :]),
    )
    assert (
        scaled_dot_product_attention(query, key, value, attn_mask=torch.tensor(False))
        .eq(0)
        .all()
    )


# ---- numbers worked out by hand


def test_weights_by_hand():
    query, key = torch.tensor([[math.log(3), 0.0]]), torch.eye(2)
    torch.testing.assert_close(
        attention_weights(query, key, scale=1.0), torch.tensor([[0.75, 0.25]])
    )


def test_output_by_hand():
    query, key, value = (
        torch.tensor([[math.log(3), 0.0]]),
        torch.eye(2),
        torch.tensor([[4.0], [8.0]]),
    )
    torch.testing.assert_close(
        scaled_dot_product_attention(query, key, value, scale=1.0),
        torch.tensor([[5.0]]),
    )


def test_default_scale_is_one_over_the_root_of_head_dim():
    query, key = torch.tensor([[2 * math.log(3), 0.0, 0.0, 0.0]]), torch.eye(4)[:2]
    torch.testing.assert_close(
        attention_weights(query, key), torch.tensor([[0.75, 0.25]])
    )


def test_equal_keys_share_equally():
    torch.testing.assert_close(
        attention_weights(torch.randn(2, 4), torch.ones(5, 4)), torch.full((2, 5), 0.2)
    )


def test_is_causal_is_aligned_top_left():
    weights = attention_weights(torch.zeros(2, 4), torch.zeros(4, 4), is_causal=True)
    assert weights.tolist() == [[1, 0, 0, 0], [0.5, 0.5, 0, 0]]


def test_gqa_serves_neighboring_query_heads():
    query, key = torch.zeros(4, 1, 2), torch.zeros(2, 1, 2)
    value = torch.tensor([[[1.0]], [[2.0]]])
    output = scaled_dot_product_attention(query, key, value, enable_gqa=True)
    assert output.flatten().tolist() == [1, 1, 2, 2]


def test_float_mask_is_added_to_the_scores():
    mask = torch.tensor([[math.log(3), 0.0]])
    weights = attention_weights(torch.zeros(1, 4), torch.zeros(2, 4), mask)
    torch.testing.assert_close(weights, torch.tensor([[0.75, 0.25]]))


# ---- properties


def test_rows_of_weights_sum_to_one(device):
    query, key, _ = tensors(SHAPES["4-D"], torch.float64, device)
    weights = attention_weights(query, key)
    assert (weights > 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))


def test_output_is_weights_times_value(device):
    query, key, value = tensors(SHAPES["broadcast key"], device=device)
    for options in (
        {},
        {"is_causal": True},
        {"scale": 0.2},
        {"attn_mask": make_mask("bool", query, key)},
    ):
        weights = attention_weights(query, key, **options)
        assert weights.shape == (2, 3, 3, 5)
        torch.testing.assert_close(
            scaled_dot_product_attention(query, key, value, **options), weights @ value
        )


@pytest.mark.parametrize("kind", ["row with nothing allowed", "float row of -inf"])
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_row_with_nothing_allowed_is_zeros(kind, dtype, device):
    query, key, value = tensors(SHAPES["4-D"], dtype, device)
    output = scaled_dot_product_attention(
        query, key, value, attn_mask=make_mask(kind, query, key)
    )
    assert not output.isnan().any()
    assert output[..., 1, :].eq(0).all()
    assert output[..., [0, 2], :].ne(0).any(dim=-1).all()


def test_no_keys_give_zeros():
    output = scaled_dot_product_attention(
        torch.randn(2, 4), torch.randn(0, 4), torch.randn(0, 6)
    )
    assert output.tolist() == torch.zeros(2, 6).tolist()


def test_bool_and_float_mask_agree_exactly(device):
    query, key, value = tensors(SHAPES["4-D"], device=device)
    allowed = make_mask("row with nothing allowed", query, key)
    added = torch.zeros_like(allowed, dtype=torch.float32).masked_fill(~allowed, -INF)
    by_bool = scaled_dot_product_attention(query, key, value, attn_mask=allowed)
    assert torch.equal(
        by_bool, scaled_dot_product_attention(query, key, value, attn_mask=added)
    )


def test_is_causal_is_the_causal_mask_of_a_square(device):
    query, key, value = tensors(((2, 5, 4), (2, 5, 4), (2, 5, 6)), device=device)
    masked = scaled_dot_product_attention(
        query, key, value, attn_mask=causal_mask(5, device=device)
    )
    assert torch.equal(
        scaled_dot_product_attention(query, key, value, is_causal=True), masked
    )


def test_masked_keys_and_values_have_no_influence():
    query, key, value = tensors(((2, 4), (3, 4), (3, 6)))
    mask = torch.tensor([True, True, False])
    expected = scaled_dot_product_attention(query, key, value, attn_mask=mask)
    key[2], value[2] = 1e4, -1e4
    assert torch.equal(
        scaled_dot_product_attention(query, key, value, attn_mask=mask), expected
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "mask_dtype",
    [torch.float32, None],
    ids=["float32 mask", "mask of the query's dtype"],
)
def test_row_of_lowest_numbers_is_no_nan_in_half_precision(dtype, mask_dtype, device):
    query, key, value = tensors(
        ((1, 2, 8, 16), (1, 2, 8, 16), (1, 2, 8, 16)), dtype, device
    )
    kind = mask_dtype or dtype
    mask = torch.full((8, 8), torch.finfo(kind).min, dtype=kind, device=device)
    output = scaled_dot_product_attention(query * 10, key * 10, value, attn_mask=mask)
    assert output.isfinite().all()
    # on a GPU torch itself gives NaN, or another row, for such a mask
    inputs = (x.cpu() for x in (query * 10, key * 10, value, mask))
    expected = F.scaled_dot_product_attention(*inputs).to(device)
    torch.testing.assert_close(output, expected, atol=3e-2, rtol=3e-2)


def test_large_scores_do_not_overflow():
    weights = attention_weights(torch.full((1, 1), 1e4), torch.tensor([[1e4], [0.0]]))
    assert weights.tolist() == [[1, 0]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_errs_at_most_twice_as_much_as_written_out_in_that_dtype(
    dtype, device
):
    query, key, value = tensors(((4, 8, 64, 32),) * 3, dtype, device)
    exact = F.scaled_dot_product_attention(query.double(), key.double(), value.double())
    naive = torch.softmax(query @ key.mT / math.sqrt(32), dim=-1) @ value
    output = scaled_dot_product_attention(query, key, value)
    assert (output - exact).abs().max() <= 2 * (naive - exact).abs().max()


def test_softmax_is_computed_in_float32():
    query, key = (
        torch.randn(100, 1, dtype=torch.bfloat16),
        torch.randn(5000, 1).bfloat16(),
    )
    scores = 6 * query @ key.mT
    assert not torch.equal(scores.softmax(-1), scores.float().softmax(-1).bfloat16())
    weights = attention_weights(6 * query, key, scale=1.0)
    assert torch.equal(weights, scores.float().softmax(-1).bfloat16())


def test_dropout_of_everything_gives_zeros():
    query, key, value = tensors(SHAPES["4-D"])
    assert scaled_dot_product_attention(query, key, value, dropout_p=1.0).eq(0).all()


def test_dropout_drops_weights_and_scales_up_the_rest():
    query, key = torch.zeros(200, 4), torch.zeros(100, 4)
    weights = scaled_dot_product_attention(query, key, torch.eye(100), dropout_p=0.5)
    torch.testing.assert_close(weights.unique(), torch.tensor([0.0, 0.02]))
    assert abs((weights == 0).float().mean().item() - 0.5) < 0.02


def test_gradients_equal_torch():
    query, key, value = (
        x.requires_grad_()
        for x in tensors(((2, 3, 4), (2, 5, 4), (2, 5, 6)), torch.float64)
    )
    mask = torch.ones(3, 5, dtype=torch.bool).tril(1)
    ours = torch.autograd.grad(
        scaled_dot_product_attention(query, key, value, attn_mask=mask).sum(),
        (query, key, value),
    )
    theirs = torch.autograd.grad(
        F.scaled_dot_product_attention(query, key, value, attn_mask=mask).sum(),
        (query, key, value),
    )
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their)


@pytest.mark.filterwarnings("ignore:Anomaly Detection")
@pytest.mark.parametrize("kind", ["bool", "float"])
def test_gradients_of_a_fully_masked_row_are_finite(kind):
    query, key, value = torch.randn(3, 2, 5, 4, requires_grad=True).unbind()
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    mask[:2] = False
    if kind == "float":
        mask = torch.zeros(5, 5).masked_fill(~mask, -torch.inf)
    with torch.autograd.detect_anomaly(check_nan=True):
        output = scaled_dot_product_attention(query, key, value, mask)
        grads = torch.autograd.grad(output.sum(), (query, key, value))
    assert all(grad.isfinite().all() for grad in grads)
    assert torch.equal(output[:, :2], torch.zeros(2, 2, 4))
