"""The grader of a merge of finished outputs, each with the logsumexp of its scores."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from companion.exercises.gallery import random
from companion.exercises.graders.grading import check_numbers, check_tensor, graded

Part = tuple[Tensor, Tensor]  # output (..., q_len, value_dim), logsumexp (..., q_len)
NAMES = "output", "lse"


@graded
def check_merge_outputs(
    merge: Callable[[Tensor, Tensor, Tensor, Tensor], Part],
) -> str | None:
    """Grade `merge(output_1, lse_1, output_2, lse_2)`: the outputs over two parts of the keys,
    each with its logsumexp, become that over all keys, and its logsumexp.
    """
    for where, first, second, expected in cases():
        answer = merge(*(x.clone() for x in (*first, *second)))
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            return (
                f"it returned a {type(answer).__name__}: it should be two tensors, the "
                "output and its lse"
            )
        for name, given, right in zip(NAMES, answer, expected, strict=True):
            if problem := check_tensor(name, given, right):
                return problem
            if problem := check_finite(given, right, expected[1]):
                return f"{where}, {name}: {problem}"
            known = merged_wrongly(first, second, expected)[name]
            seen = (
                expected[1] > -math.inf
            )  # -inf is right by now, and has no difference
            if problem := check_numbers(
                given[seen], right[seen], {k: x[seen] for k, x in known.items()}
            ):
                return f"{where}, {name}: {problem}"
    return None


def cases() -> Iterator[tuple[str, Part, Part, Part]]:
    """Attention of 4 queries over 2 of 5 keys, over the others, and over all."""
    query, key, value = random(3, 2, 5, 8)
    everything = torch.ones(4, 5, dtype=torch.bool)
    hidden = everything.clone()
    hidden[0, 2:], hidden[1, :2], hidden[2] = False, False, False
    for where, size, seen in (
        ("for scores of usual size", 1.0, everything),
        ("for scores up to 1,000", 400.0, everything),
        ("where queries see nothing of a part", 1.0, hidden),
    ):
        whole = size * query[:, :4] @ key.mT / math.sqrt(8)
        parts = (slice(0, 2), slice(2, 5), slice(0, 5))
        first, second, both = (
            attended(whole[..., keys], seen[:, keys], value[:, keys]) for keys in parts
        )
        yield where, first, second, both


def attended(scores: Tensor, seen: Tensor, value: Tensor) -> Part:
    """The output over some keys, and the logsumexp of their scores."""
    scores = scores.masked_fill(~seen, -math.inf)
    lse = scores.logsumexp(dim=-1)
    weights = torch.exp(scores - lse.masked_fill(lse.isneginf(), 0.0)[..., None])
    return weights @ value, lse


def check_finite(given: Tensor, right: Tensor, lse: Tensor) -> str | None:
    """Whether only what should be infinite is."""
    if given.isnan().any() or (given.isinf() & right.isfinite()).any():
        if lse.isfinite().all():
            return (
                "exp(lse) is too large for float32: subtract the larger lse of the two "
                "before, and add it again after the log"
            )
        return (
            "it is not a number: where a query sees nothing of either part, both lse are "
            "-inf, and -inf - -inf is no number; subtract 0 there"
        )
    if not torch.equal(given.isinf(), right.isinf()):
        return "where a query sees no key at all, the lse is -inf"
    return None


def merged_wrongly(
    first: Part, second: Part, both: Part
) -> dict[str, dict[str, Tensor]]:
    """What the usual mistakes make of the output and of its lse."""
    (output_1, lse_1), (output_2, lse_2) = first, second
    shares = torch.stack([lse_1, lse_2])
    linear = (shares / shares.sum(0)).nan_to_num()[..., None]
    return {
        "output": {
            "both parts count the same: the one with the larger lse weighs more": (
                (output_1 + output_2) / 2
            ),
            "the outputs are added: their shares have to sum to 1": output_1 + output_2,
            "a part weighs exp(lse), not lse": linear[0] * output_1
            + linear[1] * output_2,
        },
        "lse": {
            "it is the sum of the two: log(exp(lse_1) + exp(lse_2)) is asked for": (
                lse_1 + lse_2
            ),
            "it is the larger of the two: the other part's exponentials count too": (
                lse_1.maximum(lse_2)
            ),
            "it is not yet a logarithm": both[1].exp(),
        },
    }
