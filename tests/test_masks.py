import torch
from hypothesis import given
from hypothesis import strategies as st

from companion import causal_mask, padding_mask, position_ids_from_mask
from companion.masks import may_attend


def test_causal_by_hand():
    assert causal_mask(3).int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]


def test_causal_with_more_keys_is_aligned_at_the_lower_right():
    assert causal_mask(2, 4).int().tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]


def test_one_query_sees_every_key():
    assert causal_mask(1, 7).all()


@given(st.integers(0, 8), st.integers(0, 8))
def test_causal_is_the_last_rows_of_the_square(q_len, past):
    kv_len = q_len + past
    mask = causal_mask(q_len, kv_len)
    assert mask.shape == (q_len, kv_len)
    assert mask.dtype == torch.bool
    assert torch.equal(mask, causal_mask(kv_len)[past:])
    assert mask.sum(dim=-1).tolist() == list(range(past + 1, kv_len + 1))


def test_causal_is_made_on_the_device(device):
    assert causal_mask(2, 3, device=device).device.type == device


def test_may_attend_by_positions():
    allowed = may_attend(
        torch.tensor([[0, 4], [2, 3]]), torch.tensor([[0, 3, 4], [3, 2, 9]])
    )
    assert allowed.int().tolist() == [[[1, 0, 0], [1, 1, 1]], [[0, 1, 0], [1, 1, 0]]]


def test_padding_broadcasts_over_heads_and_queries():
    for marks in (
        torch.tensor([[0, 1, 1], [1, 1, 1]]),
        torch.tensor([[False, True, True], [True, True, True]]),
    ):
        mask = padding_mask(marks)
        assert mask.shape == (2, 1, 1, 3)
        assert mask.dtype == torch.bool
        assert mask[:, 0, 0].int().tolist() == [[0, 1, 1], [1, 1, 1]]


def test_causal_and_padding_together():
    mask = causal_mask(3) & padding_mask(torch.tensor([[0, 1, 1]]))
    assert mask[0, 0].int().tolist() == [[0, 0, 0], [0, 1, 0], [0, 1, 1]]


def test_positions_count_real_tokens_only():
    marks = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 1, 0, 1, 1]])
    assert position_ids_from_mask(marks).tolist() == [
        [0, 0, 0, 1, 2],
        [0, 1, 2, 3, 4],
        [0, 0, 0, 1, 2],
    ]


@given(st.integers(0, 5), st.integers(1, 5))
def test_left_padding_does_not_shift_positions(padding, length):
    marks = torch.tensor([[0] * padding + [1] * length])
    assert position_ids_from_mask(marks)[0, padding:].tolist() == list(range(length))
