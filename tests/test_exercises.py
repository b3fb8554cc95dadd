import re

import pytest
import torch

from companion import (
    apply_rope,
    causal_mask,
    explain_matmul,
    repeat_kv,
    scaled_dot_product_attention,
    show,
    split_heads,
)
from companion.exercises import (
    FAULTS,
    check_attention,
    check_causal_mask,
    check_decode_step,
    check_matmul_shape,
    check_repeat_kv,
    check_rope,
    check_split_heads,
    mistakes,
)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_keeps_the_shape_and_changes_the_numbers(name):
    wrong, right = FAULTS[name].run()
    assert wrong.shape == right.shape
    assert wrong.dtype == right.dtype
    assert (wrong.double() - right.double()).abs().max() > 5e-3


def test_every_mistake_is_in_the_gallery():
    module = mistakes.__name__
    written = {
        name
        for name, each in vars(mistakes).items()
        if getattr(each, "__module__", "") == module
    }
    assert written == set(FAULTS)


def decode_step(model, token, cache):
    return model(token, past_key_values=cache)[:, -1]


@pytest.mark.parametrize(
    ("check", "right"),
    [
        (check_attention, scaled_dot_product_attention),
        (check_split_heads, split_heads),
        (check_causal_mask, causal_mask),
        (check_matmul_shape, lambda a, b: explain_matmul(a, b).shape),
        (check_repeat_kv, repeat_kv),
        (check_rope, apply_rope),
        (check_decode_step, decode_step),
    ],
)
def test_graders_accept_the_right_answer(check, right):
    assert check(right).passed
    assert repr(check(right)) == "✓ right"


def without_cache(model, token, cache):
    return model(token)[:, -1]


def without_positions(model, token, cache):
    zero = torch.zeros_like(token)
    return model(token, position_ids=zero, past_key_values=cache)[:, -1]


REJECTED = [
    (check_decode_step, without_cache, "holds 4 tokens"),
    (check_decode_step, without_positions, "position 4"),
    (check_decode_step, lambda m, token, c: m(token, past_key_values=c), "has shape"),
    (check_attention, mistakes.key_not_transposed, "raises RuntimeError"),
    (check_attention, mistakes.no_scale, "√head_dim"),
    (check_attention, mistakes.scale_without_root, "√head_dim"),
    (check_attention, mistakes.softmax_over_queries, "sum to 1"),
    (check_attention, mistakes.mask_upside_down, "."),
    (check_attention, mistakes.mask_after_softmax, "before the softmax"),
    (check_attention, lambda q, k, v, m: scaled_dot_product_attention(q, k, v), "True means"),
    (check_attention, lambda q, k, v, m: q @ k.mT, "has shape"),
    (check_attention, lambda q, k, v, m: None, "not a tensor"),
    (check_attention, lambda q, k, v, m: scaled_dot_product_attention(q, k, v).double(), "float64"),
    (check_split_heads, mistakes.heads_by_view, "mixes tokens and heads"),
    (check_split_heads, mistakes.heads_interleaved, "head 0 of token 0"),
    (check_split_heads, lambda x, n: x, "has shape"),
    (check_causal_mask, mistakes.mask_off_by_one, "does not see the last key"),
    (check_causal_mask, mistakes.mask_top_left, "does not see the last key"),
    (check_causal_mask, mistakes.mask_reversed, "exchanged"),
    (check_causal_mask, lambda q, k: torch.ones(q, k, dtype=torch.bool), "row 0"),
    (check_causal_mask, lambda q, k: causal_mask(q, k).float(), "torch.float32"),
    (check_matmul_shape, lambda a, b: (*a[:-1], b[-1]), r"has shape \(\)"),
    (check_repeat_kv, mistakes.kv_tiled, r"\[0, 1, 0, 1, 0, 1\]"),
    (check_repeat_kv, lambda x, n: x, "has shape"),
    (check_rope, mistakes.rope_interleaved, "not of the pairs"),
    (check_rope, mistakes.rope_from_zero, "nothing was rotated"),
    (check_rope, lambda x, cos, sin: x * cos[:, None], "length of the vectors"),
    (check_rope, lambda x, cos, sin: x[..., :2], "has shape"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "wrong", "says"), REJECTED)
def test_graders_reject_wrong_answers_in_words(check, wrong, says):
    grade = check(wrong)
    assert not grade.passed
    assert re.search(says, grade.message)
    assert repr(grade).startswith("✗")


def test_the_table_of_faults_tells_shape_and_error():
    table = show.what_goes_wrong("kv_tiled", "no_scale")
    assert all(row[1] == row[2] for row in table.rows)
    assert all(float(row[3]) > 0.1 for row in table.rows)
    [mask] = show.what_goes_wrong("mask_top_left").rows
    assert mask[3] == "6 of 10 entries"
    with pytest.raises(ValueError, match="no fault 'typo'"):
        show.what_goes_wrong("typo")
