"""Forms of attention in blocks give the same whatever the size of a block."""

import torch
from attention_cases import KINDS, assert_right, masks, tensors
from hypothesis import example, given
from hypothesis import strategies as st

from companion import fast


@example(q_len=5, extra=2, q_block=1, kv_block=1, group=2, kind="is_causal")
@example(q_len=5, extra=2, q_block=1, kv_block=1, group=2, kind="bool")
@given(
    q_len=st.integers(0, 20), extra=st.integers(0, 9), q_block=st.integers(1, 25),
    kv_block=st.integers(1, 25), group=st.integers(1, 3), kind=st.sampled_from(KINDS),
)  # fmt: skip
def test_any_block_size(q_len, extra, q_block, kv_block, group, kind):
    torch.manual_seed(q_len)
    shape = (1, 2 * group, 2, q_len, q_len + extra)
    query, key, value = tensors(shape, torch.float64, value_dim=3)
    options = masks(query, key)[kind]
    sizes = {"q_block": q_block, "kv_block": kv_block}
    assert_right((fast.tiled, sizes), query, key, value, **options)
    assert_right((fast.blocks, {"q_block": q_block}), query, key, value, **options)
