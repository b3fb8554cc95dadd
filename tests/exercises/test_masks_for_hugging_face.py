"""The graders of an additive mask, and of what a mask of None means."""

import torch
from grades import accepts, rejects

from companion.exercises import check_additive_mask, check_who_sees_whom


def filled(mask, dtype, number=None):
    number = torch.finfo(dtype).min if number is None else number
    return torch.zeros(mask.shape, dtype=dtype).masked_fill(~mask, number)


def chosen(mask, dtype):
    lowest = torch.tensor(torch.finfo(dtype).min, dtype=dtype)
    return torch.where(mask, torch.zeros((), dtype=dtype), lowest)


def multiplied(mask, dtype):
    return (1 - mask.to(dtype)) * torch.finfo(dtype).min


def minus_a_billion(mask, dtype):
    return filled(mask, torch.float32, -1e9).to(dtype)


test_accepts_additive = accepts(
    check_additive_mask, filled, chosen, multiplied, lambda m, d: filled(m, d, -3e4)
)

test_rejects_additive = rejects(
    check_additive_mask,
    (lambda m, d: (~m).to(d) * -torch.inf, "0 · -inf is no number"),
    (lambda m, d: filled(m, d, -torch.inf), "it holds -inf"),
    (minus_a_billion, "^in torch.float16: it holds -inf"),
    (lambda m, d: m.to(d), "it is 1 and 0"),
    (lambda m, d: filled(~m, d), "upside down"),
    (lambda m, d: (~m).to(d), "it is 1 and 0"),
    (lambda m, d: filled(m, d) + 1, "may attend 0 is added"),
    (lambda m, d: filled(m, d, -10.0), "-10 is too little"),
    (lambda m, d: filled(m, torch.float32), "^in torch.bfloat16: the mask is torch.float32"),
    (lambda m, d: filled(m, d)[0], "has shape"),
    (lambda m, d: None, "NoneType"),
)  # fmt: skip


def by_loops(past, q_len, kv_len):
    rows = [[key <= past + i for key in range(kv_len)] for i in range(q_len)]
    return torch.tensor(rows)


def by_tril(past, q_len, kv_len):
    return torch.ones(q_len, kv_len, dtype=torch.bool).tril(past)


def by_places(past, q_len, kv_len):
    return torch.arange(kv_len) <= torch.arange(past, past + q_len)[:, None]


test_accepts_seen = accepts(check_who_sees_whom, by_loops, by_tril, by_places)

test_rejects_seen = rejects(
    check_who_sees_whom,
    (lambda p, q, k: by_tril(k - q, q, k), "^past 0, q_len 5, kv_len 8: the last query"),
    (lambda p, q, k: by_tril(0, q, k), "^past 4, q_len 1, kv_len 5: it begins at key 0"),
    (lambda p, q, k: ~by_tril(p, q, k), "upside down"),
    (lambda p, q, k: by_tril(p - 1, q, k), "its own token too"),
    (lambda p, q, k: torch.arange(k) < p + q + torch.zeros(q, 1), "those after them"),
    (lambda p, q, k: by_tril(p, q, k) | (q == 1), "^past 4, q_len 1, kv_len 8: .* or: every query"),
    (lambda p, q, k: by_tril(p, q, k) ^ (q == 2), "^past 3, .*: it is upside down"),
    (lambda p, q, k: by_tril(p + (q == 2), q, k), "^past 3, .*: 2 entries are wrong"),
    (lambda p, q, k: by_tril(p, q, k).int(), "int32"),
    (lambda p, q, k: by_tril(p, q, k)[:, :q], "has shape"),
)  # fmt: skip
