"""What attention is tested with, whichever form computes it: shapes, masks, and by how much it may be off."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from companion import causal_mask, repeat_kv

SHAPES = {
    "square": (2, 6, 2, 11, 11),
    "behind a cache": (1, 4, 2, 3, 11),
    "one query": (2, 4, 1, 1, 9),
    "more queries than keys": (1, 2, 2, 9, 5),
    "one key": (1, 2, 1, 3, 1),
    "no query": (1, 2, 2, 0, 5),
    "no key": (1, 2, 2, 4, 0),
    "no batch": (0, 2, 2, 4, 4),
}
LONGER_THAN_A_BLOCK = (1, 2, 1, 130, 260)
AXES = {
    "2-D": ((5, 8), (7, 8), (7, 8)),
    "3-D": ((2, 5, 8), (2, 7, 8), (2, 7, 8)),
    "broadcast key": ((2, 3, 5, 8), (1, 3, 7, 8), (1, 1, 7, 8)),
    "broadcast query": ((1, 3, 5, 8), (2, 3, 7, 8), (2, 3, 7, 8)),
    "fewer axes": ((2, 3, 5, 8), (3, 7, 8), (7, 8)),
    "more axes of key": ((5, 8), (2, 3, 7, 8), (2, 3, 7, 8)),
    "5-D": ((2, 1, 3, 5, 8), (2, 1, 3, 7, 8), (2, 1, 3, 7, 8)),
}


def tensors(shape, dtype, device="cpu", head_dim=8, value_dim=8):
    batch, heads, kv_heads, q_len, kv_len = shape
    return (
        torch.randn(batch, heads, q_len, head_dim, dtype=dtype, device=device),
        torch.randn(batch, kv_heads, kv_len, head_dim, dtype=dtype, device=device),
        torch.randn(batch, kv_heads, kv_len, value_dim, dtype=dtype, device=device),
    )


FAR = 2**30 + 16  # elements: the third is further from the first than 32 bits count


def far_apart(x, axis, apart=FAR):
    """The same numbers, `apart` from their neighbors on one axis: memory never touched."""
    strides = list(x.stride())
    strides[axis] = apart
    places = 1 + sum((n - 1) * s for n, s in zip(x.shape, strides, strict=True))
    if x.device.type == "cpu":  # numpy's zeros take no memory before they are written
        kind = np.bool_ if x.dtype == torch.bool else np.float16
        memory = torch.from_numpy(np.zeros(places, kind))
    else:
        memory = torch.zeros(places, dtype=x.dtype, device=x.device)
    return memory.as_strided(x.shape, strides).copy_(x)


def masks(query, key):
    """What to pass of attn_mask and is_causal, by kind; the bool masks leave rows empty."""
    batch, heads, q_len, kv_len = *query.shape[:3], key.shape[-2]
    random = torch.rand(batch, heads, q_len, kv_len, device=query.device)
    numbers = (random * 4 - 2).to(query.dtype)
    places = torch.arange(kv_len, device=query.device)
    allowed = random < 0.4
    two_axes = torch.rand(q_len, kv_len, device=query.device) < 0.4
    options = {
        "none": {},
        "is_causal": {"is_causal": True},
        "bool": {"attn_mask": allowed},
        "bool of one head": {"attn_mask": allowed[:, :1]},
        "bool of two axes": {"attn_mask": two_axes},
        "bool of one row": {"attn_mask": two_axes[:1]},
        "nothing allowed": {"attn_mask": torch.zeros_like(allowed)},
        "window": {"attn_mask": (places >= 3) & (places < 6)},
        "float": {"attn_mask": numbers},
        "float32": {"attn_mask": numbers.float()},
        "float with -inf": {"attn_mask": numbers.masked_fill(~allowed, -math.inf)},
        "lowest number": {
            "attn_mask": torch.zeros_like(numbers).masked_fill(
                ~allowed, torch.finfo(numbers.dtype).min
            )
        },
    }
    if q_len <= kv_len:
        causal = causal_mask(q_len, kv_len, device=query.device)
        padding = (places >= 2)[None, None, None]
        options["lower right"] = {"attn_mask": causal}
        options["padded"] = {"attn_mask": causal & padding}
    return options


KINDS = tuple(masks(*(torch.zeros(1, 1, 2, 4),) * 2))


def exact(query, key, value, attn_mask=None, is_causal=False, scale=None):
    """torch's attention in float64, written out (its fused kernels do not take every
    scale); heads repeated and masks as it wants them.
    """
    query, key, value = (x.double() for x in (query, key, value))
    group = query.shape[-3] // key.shape[-3]
    key, value = repeat_kv(key, group), repeat_kv(value, group)
    if attn_mask is not None and attn_mask.dtype != torch.bool:
        attn_mask = attn_mask.double()
    if attn_mask is not None and attn_mask.ndim == 1:
        attn_mask = attn_mask[None]
    with sdpa_kernel(SDPBackend.MATH):
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask, is_causal=is_causal, scale=scale
        )


def naive(query, key, value, attn_mask=None, is_causal=False, scale=None):
    """Attention written out with every step in the query's own dtype."""
    group = query.shape[-3] // key.shape[-3]
    key, value = repeat_kv(key, group), repeat_kv(value, group)
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    scores = query @ key.mT * scale
    if is_causal:
        attn_mask = torch.ones_like(scores, dtype=torch.bool).tril()
    if attn_mask is None:
        return scores.softmax(-1) @ value
    if attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    else:
        scores = scores + attn_mask.to(scores.dtype)
    return scores.softmax(-1).nan_to_num() @ value


def largest_score(query, key, scale=None):
    """Without a mask."""
    key = repeat_kv(key, query.shape[-3] // key.shape[-3]).double()
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    return (query.double() @ key.mT * scale).abs().max()


def assert_right(form, query, key, value, **options):
    """Within twice the error of the naive form, and a little for a result that has none.

    A score is a sum, rounded in float32 at least: it is off by some eps * |score|, of which
    exp makes a relative error of a weight. By chance the naive form's own may be none.
    """
    attend, blocks = form
    output = attend(query, key, value, enable_gqa=True, **options, **blocks)
    expected = exact(query, key, value, **options)
    assert output.shape == expected.shape
    assert output.dtype == query.dtype
    if not output.numel():
        return
    error = (output - expected).abs().max().item()
    allowed = 2 * (naive(query, key, value, **options) - expected).abs().max().item()
    allowed += 4 * torch.finfo(query.dtype).eps
    if key.numel():
        wide = torch.promote_types(query.dtype, torch.float32)
        score = largest_score(query, key, options.get("scale")) * value.abs().max()
        allowed += torch.finfo(wide).eps * score.item()
    assert error <= allowed, f"the error is {error:.3g} and may be {allowed:.3g}"
