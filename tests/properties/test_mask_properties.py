"""Who may see whom: causal masks of any sizes, and padding anywhere."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from companion import causal_mask, padding_mask, position_ids_from_mask
from companion.masks import may_attend

lengths = st.integers(0, 12)
positions = st.lists(st.integers(0, 30), max_size=9)
marks = st.lists(
    st.lists(st.integers(0, 1), min_size=7, max_size=7), min_size=1, max_size=3
).map(torch.tensor)


@given(lengths, lengths)
def test_the_causal_mask_of_any_lengths_is_the_rule_in_words(q_len, kv_len):
    """Query i of the last q_len positions sees key j where j <= i + kv_len - q_len."""
    if q_len > kv_len:
        with pytest.raises(ValueError, match=f"q_len is {q_len} and kv_len {kv_len}"):
            causal_mask(q_len, kv_len)
        return
    mask = causal_mask(q_len, kv_len)
    assert (mask.shape, mask.dtype) == ((q_len, kv_len), torch.bool)
    past = kv_len - q_len
    rule = [[j <= i + past for j in range(kv_len)] for i in range(q_len)]
    assert mask.tolist() == rule


@given(lengths, lengths, st.data())
def test_a_causal_mask_s_rows_do_not_depend_on_the_chunk(past, q_len, data):
    """Cut anywhere, the chunks' masks are the rows of the whole, and hide what they leave out."""
    whole = causal_mask(past + q_len)
    start = data.draw(st.integers(0, q_len)) + past
    assert torch.equal(causal_mask(past + q_len - start, past + q_len), whole[start:])
    assert torch.equal(causal_mask(start, start), whole[:start, :start])
    assert not whole[:start, start:].any()


@given(positions, positions, st.integers(-30, 1000))
def test_only_the_distance_of_positions_matters(query_pos, key_pos, shift):
    """In any order, with gaps; a shift of both changes nothing, and a token sees itself."""
    queries = torch.tensor(query_pos, dtype=torch.long)
    keys = torch.tensor(key_pos, dtype=torch.long)
    allowed = may_attend(queries, keys)
    assert allowed.tolist() == [[k <= q for k in key_pos] for q in query_pos]
    assert torch.equal(may_attend(queries + shift, keys + shift), allowed)
    assert may_attend(queries, queries).diagonal().all()


@given(marks, st.sampled_from([torch.bool, torch.int32, torch.int64]))
def test_padding_is_hidden_from_every_query_of_its_row_alone(marks, dtype):
    mask = padding_mask(marks.to(dtype))
    assert mask.dtype == torch.bool
    assert torch.equal(
        mask.expand(-1, 2, 5, -1), (marks == 1)[:, None, None].expand(-1, 2, 5, -1)
    )


@given(marks)
def test_real_tokens_are_counted_from_0_whatever_stands_between(marks):
    """Padding left, right or in the middle: its tokens may have any position from 0 on."""
    for row, position_ids in zip(marks, position_ids_from_mask(marks), strict=True):
        real = position_ids[row == 1]
        assert real.tolist() == list(range(len(real)))
        assert (position_ids >= 0).all()
