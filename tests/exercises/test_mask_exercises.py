import torch
from grades import accepts, rejects, rejects_each

from companion import causal_mask, padding_mask
from companion.exercises import (
    check_batch_mask,
    check_causal_mask,
    check_window_mask,
    mask,
)
from companion.exercises.graders.mask import (
    BATCH_WRONGLY,
    WINDOWS_WRONGLY,
    batch_mask,
    window_mask,
)


def by_tril(q, k):
    return torch.ones(q, k, dtype=torch.bool).tril(diagonal=k - q)


test_accepts = accepts(
    check_causal_mask,
    causal_mask,
    by_tril,
    lambda q, k: torch.arange(k) <= torch.arange(k - q, k)[:, None],
)

test_rejects = rejects(
    check_causal_mask,
    (mask.mask_off_by_one, "does not see the last key"),
    (mask.mask_top_left, "does not see the last key"),
    (mask.mask_reversed, "exchanged"),
    (lambda q, k: torch.ones(q, k, dtype=torch.bool), "row 0"),
    (lambda q, k: causal_mask(q, k).float(), "torch.float32"),
)  # fmt: skip


def by_two_triangles(q, k, window):
    triangle = by_tril(q, k)
    return triangle & ~triangle.tril(diagonal=k - q - window)


def window_by_loops(q, k, window):
    table = torch.zeros(q, k, dtype=torch.bool)
    for i in range(q):
        own = k - q + i
        for j in range(max(0, own - window + 1), own + 1):
            table[i, j] = True
    return table


test_accepts_window = accepts(
    check_window_mask,
    window_mask,
    by_two_triangles,
    window_by_loops,
)

test_rejects_window = rejects(
    check_window_mask,
    (lambda q, k, w: causal_mask(q, k), "a row is"),
    (lambda q, k, w: window_mask(q, k, w).int(), "torch.int32"),
)  # fmt: skip
test_rejects_known_windows = rejects_each(check_window_mask, WINDOWS_WRONGLY)


def query_by_query(attention_mask, q_len):
    batch, kv_len = attention_mask.shape
    table = torch.zeros(batch, 1, q_len, kv_len, dtype=torch.bool)
    for row in range(batch):
        for i in range(q_len):
            own = kv_len - q_len + i
            table[row, 0, i, : own + 1] = attention_mask[row, : own + 1].bool()
    return table


def last_rows(attention_mask, q_len):
    whole = causal_mask(attention_mask.shape[1]) & padding_mask(attention_mask)
    return whole[:, :, -q_len:]


def by_product(attention_mask, q_len):
    table = by_tril(q_len, attention_mask.shape[1]).long()
    return (table * attention_mask[:, None, None]).bool()


test_accepts_batch = accepts(check_batch_mask, query_by_query, last_rows, by_product)

test_rejects_batch = rejects(
    check_batch_mask,
    (lambda m, q: batch_mask(m, q)[:, 0], "has shape"),
    (lambda m, q: batch_mask(m, q).long(), "torch.int64"),
    (lambda m, q: batch_mask(m.flip(1), q), "a row is"),
)  # fmt: skip
test_rejects_known_batches = rejects_each(check_batch_mask, BATCH_WRONGLY)
