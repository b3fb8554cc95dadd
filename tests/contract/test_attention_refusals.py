import pytest
import torch
import torch.nn.functional as F
from refusal import said

from companion import attention_weights, scaled_dot_product_attention


def zeros(*shapes, **options):
    return [torch.zeros(shape, **options) for shape in shapes]


# what both refuse: query, key and value shapes, options, and what our message quotes
GQA = {"enable_gqa": True}
SHAPES = {
    "head_dim": (
        (2, 4), (3, 5), (3, 5), {},
        ("head_dim 4", "key 5", "(2, 4)", "(3, 5)"),
    ),
    "head_dim of 4-D": (
        (2, 3, 4, 7), (2, 3, 5, 6), (2, 3, 5, 6), {},
        ("head_dim 7", "key 6", "(2, 3, 4, 7)", "(2, 3, 5, 6)"),
    ),
    "kv_len": (
        (2, 4), (3, 4), (2, 5), {},
        ("kv_len 3", "value 2", "(3, 4)", "(2, 5)"),
    ),
    "heads": (
        (1, 32, 2, 4), (1, 8, 3, 4), (1, 8, 3, 4), {},
        ("key has 8 heads", "query 32", "repeat_kv(key, 4)"),
    ),
    "heads of 3-D": (
        (6, 2, 4), (2, 3, 4), (2, 3, 4), {},
        ("key has 2 heads", "query 6", "repeat_kv(key, 3)"),
    ),
    "heads that do not divide": (
        (1, 6, 2, 4), (1, 4, 3, 4), (1, 4, 3, 4), {},
        ("key has 4 heads", "query 6", "multiple"),
    ),
    "more key heads": (
        (1, 2, 2, 4), (1, 4, 3, 4), (1, 4, 3, 4), {},
        ("key has 4 heads", "query 2", "multiple"),
    ),
    "batch": (
        (3, 4, 2, 4), (2, 4, 3, 4), (2, 4, 3, 4), {},
        ("query (3, 4, 2, 4)", "key (2, 4, 3, 4)", "broadcast"),
    ),
    "more batches of key": (
        (2, 4, 2, 4), (3, 4, 3, 4), (3, 4, 3, 4), {},
        ("query (2, 4, 2, 4)", "key (3, 4, 3, 4)", "broadcast"),
    ),
    "key without heads": (
        (2, 3, 4), (2, 3, 4), (2, 3, 3, 4), {},
        ("key (2, 3, 4)", "value (2, 3, 3, 4)"),
    ),
    "value without heads": (
        (2, 3, 3, 4), (2, 3, 3, 4), (2, 3, 4), {},
        ("key (2, 3, 3, 4)", "value (2, 3, 4)"),
    ),
    "value with batches for heads": (
        (2, 5, 3, 4), (2, 5, 3, 4), (2, 3, 4), {},
        ("key (2, 5, 3, 4)", "value (2, 3, 4)"),
    ),
    "key with batches for heads": (
        (2, 3, 4), (2, 3, 4), (2, 5, 3, 4), {},
        ("key (2, 3, 4)", "value (2, 5, 3, 4)"),
    ),
    "batch of value": (
        (3, 2, 2, 4), (3, 2, 3, 4), (2, 2, 3, 4), {},
        ("key (3, 2, 3, 4)", "value (2, 2, 3, 4)"),
    ),
    "heads of value": (
        (1, 4, 2, 4), (1, 4, 3, 4), (1, 2, 3, 4), {},
        ("key (1, 4, 3, 4)", "value (1, 2, 3, 4)"),
    ),
    "vectors": ((4,), (4,), (4,), {}, ("key is (4,)", "(length, head_dim)")),
    "a vector": ((4,), (3, 4), (3, 4), {}, ("query is (4,)", "(length, head_dim)")),
    "enable_gqa without heads": ((2, 4), (3, 4), (3, 4), GQA, ("(2, 4)", "(3, 4)", "heads axis")),
    "enable_gqa not dividing": (
        (1, 6, 2, 4), (1, 4, 3, 4), (1, 4, 3, 4), GQA,
        ("query has 6 heads", "4 key heads"),
    ),
    "enable_gqa with more key heads": (
        (1, 2, 2, 4), (1, 4, 3, 4), (1, 4, 3, 4), GQA,
        ("query has 2 heads", "4 key heads"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("query", "key", "value", "options", "quotes"), SHAPES.values(), ids=SHAPES
)
def test_shapes_that_torch_refuses(query, key, value, options, quotes):
    tensors = zeros(query, key, value)
    with pytest.raises((RuntimeError, IndexError)):
        F.scaled_dot_product_attention(*tensors, **options)
    with pytest.raises(ValueError, match=said(*quotes)):
        scaled_dot_product_attention(*tensors, **options)


@pytest.mark.parametrize(
    "mask",
    [
        (2, 2),
        (3, 3),
        (2, 4),
        (3, 1, 2, 3),
        (1, 3, 2, 3),
        (1, 1, 1, 2, 3),
        (5, 1, 1, 2, 3),
        (2, 2, 2, 3),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [torch.bool, torch.float32], ids=str)
def test_mask_that_does_not_broadcast(mask, dtype):
    query, key, value = zeros((1, 2, 2, 4), (1, 2, 3, 4), (1, 2, 3, 4))
    attn_mask = torch.ones(mask, dtype=dtype)
    if len(mask) < 5 or mask[0] > 1:
        with pytest.raises(RuntimeError):
            F.scaled_dot_product_attention(query, key, value, attn_mask=attn_mask)
    with pytest.raises(
        ValueError, match=said(f"attn_mask {mask}", "(1, 2, 2, 3)", "q_len, kv_len")
    ):
        scaled_dot_product_attention(query, key, value, attn_mask=attn_mask)


@pytest.mark.parametrize(
    "dtype",
    [
        torch.int64,
        torch.int8,
        torch.uint8,
        torch.float64,
        torch.float16,
        torch.bfloat16,
    ],
    ids=str,
)
def test_mask_of_another_kind(dtype):
    query, key, value = zeros((2, 4), (3, 4), (3, 4))
    attn_mask = torch.ones(2, 3, dtype=dtype)
    with pytest.raises(RuntimeError):
        F.scaled_dot_product_attention(query, key, value, attn_mask=attn_mask)
    with pytest.raises(
        ValueError, match=said(dtype, torch.float32, "attn_mask.bool()")
    ):
        scaled_dot_product_attention(query, key, value, attn_mask=attn_mask)


def test_is_causal_with_a_mask():
    tensors = zeros((2, 4), (2, 4), (2, 4))
    options = {"attn_mask": torch.ones(2, 2, dtype=torch.bool), "is_causal": True}
    with pytest.raises(RuntimeError):
        F.scaled_dot_product_attention(*tensors, **options)
    with pytest.raises(
        ValueError,
        match=said("is_causal=True", "attn_mask", "attn_mask & causal_mask(...)"),
    ):
        scaled_dot_product_attention(*tensors, **options)


@pytest.mark.parametrize(
    ("dtypes", "quotes"),
    [
        (
            (torch.float32, torch.float64, torch.float64),
            ("query is torch.float32", "key torch.float64"),
        ),
        (
            (torch.float32, torch.float32, torch.float16),
            ("key is torch.float32", "value torch.float16"),
        ),
        (
            (torch.bfloat16, torch.float16, torch.float16),
            ("query is torch.bfloat16", "key torch.float16"),
        ),
    ],
    ids=str,
)
def test_dtypes_that_differ(dtypes, quotes):
    tensors = [torch.zeros(2, 4, dtype=dtype) for dtype in dtypes]
    with pytest.raises(RuntimeError):
        F.scaled_dot_product_attention(*tensors)
    with pytest.raises(ValueError, match=said(*quotes, ".to(dtype)")):
        scaled_dot_product_attention(*tensors)


@pytest.mark.parametrize(
    "dtype", [torch.int64, torch.int32, torch.bool, torch.complex64], ids=str
)
def test_what_is_not_floating_point(dtype):
    with pytest.raises(ValueError, match=said(dtype, "key.float()")):
        scaled_dot_product_attention(*zeros((2, 4), (2, 4), (2, 4), dtype=dtype))


@pytest.mark.parametrize(
    ("devices", "quotes"),
    [
        (("cpu", "meta", "meta"), ("query is on cpu", "key on meta")),
        (("meta", "meta", "cpu"), ("key is on meta", "value on cpu")),
    ],
)
def test_devices_that_differ(devices, quotes):
    tensors = [torch.zeros(2, 4, device=device) for device in devices]
    with pytest.raises(ValueError, match=said(*quotes, ".to(device)")):
        scaled_dot_product_attention(*tensors)


def test_mask_on_another_device():
    tensors = zeros((2, 4), (2, 4), (2, 4))
    attn_mask = torch.ones(2, 2, dtype=torch.bool, device="meta")
    with pytest.raises(ValueError, match=said("attn_mask is on meta", "query on cpu")):
        scaled_dot_product_attention(*tensors, attn_mask=attn_mask)


# what some of torch's kernels let through, and we do not
MORE_SHAPES = {
    "kv_len, more values": (
        (2, 3, 6, 4), (2, 3, 5, 4), (2, 3, 7, 4), {},
        ("kv_len 5", "value 7", "(2, 3, 5, 4)", "(2, 3, 7, 4)"),
    ),
    "kv_len of 4-D": ((1, 2, 2, 4), (1, 2, 3, 4), (1, 2, 2, 4), {}, ("kv_len 3", "value 2")),
    "no key heads": ((1, 4, 2, 4), (1, 0, 3, 4), (1, 0, 3, 4), {}, ("0 heads", "query 4")),
    "enable_gqa and no key heads": (
        (1, 4, 2, 4), (1, 0, 3, 4), (1, 0, 3, 4), GQA,
        ("query has 4 heads", "0 key heads"),
    ),
    "enable_gqa and one value head": (
        (5, 4, 2, 4), (5, 2, 3, 4), (5, 1, 3, 4), GQA,
        ("key has 2 heads", "value 1"),
    ),
    "enable_gqa and more value heads": (
        (5, 4, 2, 4), (5, 1, 3, 4), (5, 4, 3, 4), GQA,
        ("key has 1 heads", "value 4"),
    ),
    "enable_gqa and value without heads": (
        (4, 2, 4), (2, 3, 4), (3, 4), GQA,
        ("(4, 2, 4)", "(2, 3, 4)", "(3, 4)"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("query", "key", "value", "options", "quotes"),
    MORE_SHAPES.values(),
    ids=MORE_SHAPES,
)
def test_more_shapes(query, key, value, options, quotes):
    with pytest.raises(ValueError, match=said(*quotes)):
        scaled_dot_product_attention(*zeros(query, key, value), **options)


@pytest.mark.parametrize("dropout_p", [-0.5, 1.5])
def test_dropout_that_is_no_probability(dropout_p):
    tensors = zeros((2, 4), (3, 4), (3, 4))
    with pytest.raises(ValueError, match=said(f"dropout_p is {dropout_p}", "0 and 1")):
        scaled_dot_product_attention(*tensors, dropout_p=dropout_p)


# leading axes that broadcast are none of these, nor is a mask of the axes they make
@pytest.mark.parametrize(
    ("query", "key"),
    [
        ((3, 2, 4), (5, 4)),
        ((2, 4), (3, 5, 4)),
        ((2, 1, 3, 4), (2, 6, 5, 4)),
        ((2, 6, 3, 4), (2, 1, 5, 4)),
        ((1, 2, 3, 4), (6, 2, 5, 4)),
        ((6, 1, 3, 4), (1, 2, 5, 4)),
    ],
    ids=str,
)
def test_leading_axes_that_broadcast(query, key):
    torch.manual_seed(0)
    q, k, v = torch.randn(query), torch.randn(key), torch.randn(key)
    scores = torch.Size([*torch.broadcast_shapes(query[:-2], key[:-2]), query[-2], 5])
    mask = torch.randn(scores)
    ours = scaled_dot_product_attention(q, k, v, attn_mask=mask)
    expanded = (x.expand(*scores[:-2], *x.shape[-2:]) for x in (q, k, v))
    theirs = F.scaled_dot_product_attention(*expanded, attn_mask=mask)
    torch.testing.assert_close(ours, theirs)


def test_weights_refuse_alike():
    query, key = zeros((1, 32, 2, 4), (1, 8, 3, 4))
    with pytest.raises(
        ValueError, match=said("key has 8 heads", "query 32", "repeat_kv(key, 4)")
    ):
        attention_weights(query, key)
    with pytest.raises(ValueError, match=said("query is torch.int64")):
        attention_weights(query.long(), key)
    with pytest.raises(ValueError, match=said("is_causal=True", "attn_mask")):
        attention_weights(*zeros((2, 4), (2, 4)), torch.ones(2, 2), is_causal=True)


def test_heads_without_features():
    query, key = torch.zeros(2, 3, 0), torch.zeros(2, 5, 0)
    with pytest.raises(ValueError, match=said("(2, 3, 0)", "head_dim is 0")):
        scaled_dot_product_attention(query, key, torch.zeros(2, 5, 6))
