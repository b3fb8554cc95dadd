"""The graders of the causal mask, and of its rule with a window or with padding."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from companion.exercises.graders.cases import Wrong, made
from companion.exercises.graders.grading import check_tensor, graded
from companion.masks import causal_mask, may_attend, padding_mask


@graded
def check_causal_mask(mask: Callable[[int, int], Tensor]) -> str | None:
    """Grade `mask(q_len, kv_len)`: bool, the queries being the last of the keys'
    positions.
    """
    for q_len, kv_len in ((4, 4), (2, 5), (1, 3)):
        expected, answer = causal_mask(q_len, kv_len), mask(q_len, kv_len)
        if problem := check_tensor(
            f"the mask for q_len {q_len}, kv_len {kv_len}", answer, expected
        ):
            return problem
        if torch.equal(answer, expected):
            continue
        if torch.equal(answer, ~expected):
            return "True and False are exchanged: True means may attend"
        if not answer[-1, -1]:
            return (
                f"for q_len {q_len}, kv_len {kv_len} the last query does not see the "
                "last key, which is itself"
            )
        return (
            f"for q_len {q_len}, kv_len {kv_len} row 0 is {answer[0].tolist()}; it "
            f"should be {expected[0].tolist()}"
        )
    return None


def window_mask(q_len: int, kv_len: int, window: int) -> Tensor:
    """A query sees the `window` newest keys up to its own."""
    key_pos = torch.arange(kv_len)
    query_pos = key_pos[kv_len - q_len :]
    return may_attend(query_pos, key_pos) & (
        query_pos[:, None] - key_pos[None, :] < window
    )


WINDOWS_WRONGLY: Wrong = {
    "a query sees one key too many: its own is one of the window's": (
        lambda q, kv, w: window_mask(q, kv, w + 1)
    ),
    "a query sees one key too few: its own is one of the window's": (
        lambda q, kv, w: window_mask(q, kv, w - 1)
    ),
    "the window is there and the causal rule is not: a query sees keys after its own": (
        lambda q, kv, w: (
            torch.arange(kv - q, kv)[:, None] - torch.arange(kv)[None, :] < w
        )
    ),
    "the queries are counted from 0; they are the last of the keys' columns": (
        lambda q, kv, w: window_mask(kv, kv, w)[:q]
    ),
    "True and False are exchanged: True means may attend": (
        lambda q, kv, w: ~window_mask(q, kv, w)
    ),
}


@graded
def check_window_mask(mask: Callable[[int, int, int], Tensor]) -> str | None:
    """Grade `mask(q_len, kv_len, window)`: bool, a query sees the `window` newest keys,
    its own included; the queries are the last columns.
    """
    cases = ((5, 5, 3), (5, 5, 1), (2, 7, 3), (1, 6, 2), (3, 4, 9))
    for sizes in cases:
        where = "q_len {}, kv_len {}, window {}".format(*sizes)
        known = made(WINDOWS_WRONGLY, *sizes)
        if problem := check_table(where, mask(*sizes), window_mask(*sizes), known):
            return problem
    return None


def batch_mask(attention_mask: Tensor, q_len: int) -> Tensor:
    """Causal rule and padding for the last `q_len` columns of a batch."""
    kv_len = attention_mask.shape[1]
    return causal_mask(q_len, kv_len)[None, None] & padding_mask(attention_mask)


BATCH_WRONGLY: Wrong = {
    "the padding hides rows, which are queries: it must hide columns, the keys": (
        lambda mask, q_len: (
            causal_mask(q_len, mask.shape[1]) & mask.bool()[:, None, -q_len:, None]
        )
    ),
    "the padding may be read": lambda mask, q_len: batch_mask(
        torch.ones_like(mask), q_len
    ),
    "the causal rule is missing": lambda mask, q_len: padding_mask(mask).expand(
        -1, -1, q_len, -1
    ),
    "the queries are counted from 0; they are the last of the columns": (
        lambda mask, q_len: batch_mask(mask, mask.shape[1])[:, :, :q_len]
    ),
    "a key may be read if one of the two rules allows it; both must": (
        lambda mask, q_len: causal_mask(q_len, mask.shape[1]) | padding_mask(mask)
    ),
    "True and False are exchanged: True means may attend": (
        lambda mask, q_len: ~batch_mask(mask, q_len)
    ),
}


@graded
def check_batch_mask(mask: Callable[[Tensor, int], Tensor]) -> str | None:
    """Grade `mask(attention_mask, q_len)`: bool (batch, 1, q_len, kv_len), from a
    tokenizer's mask of all columns, of which the last q_len are the queries.
    """
    padded = torch.tensor([[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1]])
    for q_len in (6, 1, 2):
        where = f"q_len {q_len}, kv_len 6"
        expected, known = batch_mask(padded, q_len), made(BATCH_WRONGLY, padded, q_len)
        if problem := check_table(where, mask(padded.clone(), q_len), expected, known):
            return problem
    return None


def check_table(
    where: str, answer: Tensor, expected: Tensor, known: Mapping[str, Tensor]
) -> str | None:
    """A bool table, else the known mistake that gives it or the first wrong row."""
    if problem := check_tensor(f"{where}: the mask", answer, expected):
        return problem
    if torch.equal(answer, expected):
        return None
    mistakes = [name for name, table in known.items() if torch.equal(answer, table)]
    if mistakes:
        return f"{where}: " + "; or: ".join(mistakes)
    rows = zip(answer.flatten(0, -2), expected.flatten(0, -2), strict=True)
    wrong, right = next((a, e) for a, e in rows if not torch.equal(a, e))
    return (
        f"{where}: a row is {wrong.int().tolist()}; it should be {right.int().tolist()}"
    )
