"""The grader of attention over the keys and values that earlier calls have kept."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from companion.attention import scaled_dot_product_attention
from companion.exercises.gallery import random
from companion.exercises.graders.grading import check_numbers, check_tensor, graded
from companion.masks import causal_mask
from companion.rope import apply_rope, rope_cos_sin

# attend(query, key, value, cos, sin, keys, values) -> output, and keys and values to keep
Kept = tuple[Tensor, Tensor, Tensor]
Attend = Callable[..., Kept]

RUNS = ((1, 1, 1, 1, 1, 1), (3, 1, 2), (6,))  # the tokens of each call


@graded
def check_cached_attention(attend: Attend) -> str | None:
    """Grade `attend(query, key, value, cos, sin, keys, values)`: the output of the new tokens,
    and the keys and values to be kept, which the next call is given.
    """
    for calls in RUNS:
        where = f"in calls of {', '.join(map(str, calls))} tokens"
        if problem := check_kept(attend, calls[0]):
            return problem
        expected, answer = in_calls(attended, calls), in_calls(attend, calls)
        if problem := check_tensor(f"{where}, the output", answer, expected):
            return problem
        known = {name: in_calls(wrong, calls) for name, wrong in WRONG.items()}
        if problem := check_numbers(answer, expected, known):
            return f"{where}: {problem}"
    return None


def check_kept(attend: Attend, tokens: int) -> str | None:
    """Whether a first call returns three tensors, two of them to be kept."""
    kept = attend(*arguments(tokens), *random(2, 2, 3, 0, 8))
    if not isinstance(kept, tuple | list) or len(kept) != 3:
        return (
            f"it returned a {type(kept).__name__}: it should be three tensors, the output, "
            "and the keys and values to keep"
        )
    for name, x in zip(("keys", "values"), kept[1:], strict=True):
        problem = check_tensor(
            f"after a first call the {name}", x, arguments(tokens)[1]
        )
        if problem:
            return problem
    return None


def arguments(stop: int, start: int = 0) -> list[Tensor]:
    """Query, key, value (2, 3, q_len, 8) of some tokens, and their angles."""
    cos_sin = rope_cos_sin(torch.arange(start, stop)[None], 8, 10000.0)
    return [*(x[:, :, start:stop].clone() for x in random(3, 2, 3, 6, 8)), *cos_sin]


def in_calls(attend: Attend, calls: Sequence[int]) -> Tensor:
    """The outputs of all tokens, with so many of them in each call."""
    keys, values = random(2, 2, 3, 0, 8)
    outputs, start = [], 0
    for tokens in calls:
        new = arguments(start + tokens, start)
        output, keys, values = attend(*new, keys, values)
        outputs.append(output)
        start += tokens
    return torch.cat(outputs, dim=2)


def attended(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cos: Tensor,
    sin: Tensor,
    keys: Tensor,
    values: Tensor,
) -> Kept:
    """Keys are turned once, and kept; each query sees those up to its own."""
    keys = torch.cat([keys, apply_rope(key, cos, sin)], dim=2)
    values, query = torch.cat([values, value], dim=2), apply_rope(query, cos, sin)
    mask = causal_mask(query.shape[2], keys.shape[2])
    return scaled_dot_product_attention(query, keys, values, mask), keys, values


def turned_late(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cos: Tensor,
    sin: Tensor,
    keys: Tensor,
    values: Tensor,
) -> Kept:
    """Keys are kept as they came, and all turned by the newest angle."""
    keys, values = torch.cat([keys, key], dim=2), torch.cat([values, value], dim=2)
    newest = (x[:, -1:].expand(-1, keys.shape[2], -1) for x in (cos, sin))
    turned = apply_rope(keys, *newest)
    query = apply_rope(query, cos, sin)
    return scaled_dot_product_attention(query, turned, values), keys, values


def with_mask(mask: Callable[[int, int], Tensor]) -> Attend:
    """Right but for who sees whom: `mask(q_len, kv_len)`."""

    def attend(query: Tensor, *rest: Tensor) -> Kept:
        _, keys, values = attended(query, *rest)
        query = apply_rope(query, rest[2], rest[3])
        seen = mask(query.shape[2], keys.shape[2])
        return scaled_dot_product_attention(query, keys, values, seen), keys, values

    return attend


def with_angles(place: int) -> Attend:
    """Right but for one of query, key and value: whether it is turned."""

    def attend(*given: Tensor) -> Kept:
        new, (cos, sin) = list(given[:3]), given[3:5]
        turn = sin if place == 2 else -sin  # back, before it is turned
        new[place] = apply_rope(new[place], cos, turn)
        return attended(*new, *given[3:])

    return attend


WRONG: dict[str, Attend] = {
    "keys are kept before RoPE and all turned by the newest angle, so that every distance "
    "is 0: turn a key by its own angle, once, and keep it": turned_late,
    "the query is not turned": with_angles(0),
    "the keys are not turned": with_angles(1),
    "the values are turned: RoPE is for queries and keys alone": with_angles(2),
    "the new tokens of one call see those after them": with_mask(
        lambda q_len, kv_len: torch.ones(q_len, kv_len, dtype=torch.bool)
    ),
    "the mask begins at key 0, as is_causal=True does: a query sees all kept keys, and the "
    "new ones up to its own": with_mask(
        lambda q_len, kv_len: torch.ones(q_len, kv_len, dtype=torch.bool).tril()
    ),
}
